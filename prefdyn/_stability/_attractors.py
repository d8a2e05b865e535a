"""What a long run has come to: a point, a cycle, a closed curve, chaos, or the boundary."""

from dataclasses import dataclass

import numpy as np

from prefdyn._stability._long_run import CALM, flees, record, some_of
from prefdyn._stability.lyapunov import along_run
from prefdyn._stability.mode_locking import return_times
from prefdyn._stability.zero_one import CHAOTIC, REGULAR, zero_one
from prefdyn.rules._rule import Rule

KEPT = 1000
"""Rounds of an attractor that are kept, and on which its kind is judged."""
LONGEST = 200
"""Longest return time of a cycle."""
CLOSE = 1e-3
"""Largest range of a probability in a run that still decays to a fixed point, slowly."""
CERTAIN = 3.0
"""Errors by which an exponent must differ from 0 for it to be positive."""


@dataclass(frozen=True)
class Attractor:
    """Where runs end.

    Attributes
    ----------
    kind
        "fixed point", "cycle" (of a finite order), "closed curve" (quasi-periodic), "chaotic",
        "boundary" (probabilities go on falling, without end), or "undecided" (the evidence is
        contradictory, or of less than a turn).
    period
        Order of a cycle, 1 for a fixed point, else None.
    policies
        Policies that it consists of (period, K), or 1000 rounds of it (1000, K).
    exponent, exponent_error
        Largest Lyapunov exponent, nats per round; NaN on the way to the boundary.
    chaos
        Outcome of the 0-1 test, where the run does not return; else NaN.
    """

    kind: str
    period: int | None
    policies: np.ndarray
    exponent: float
    exponent_error: float
    chaos: float


def attractors(rule: Rule, states: np.ndarray) -> list[Attractor]:
    """The attractors on which settled runs (m, n) are."""
    log_policies, after = record(rule, states, KEPT)
    policies = np.exp(log_policies)
    staying = np.flatnonzero(~flees(log_policies))
    found = [_boundary(run) for run in np.moveaxis(policies, 1, 0)]
    if len(staying):
        returns = return_times(log_policies[:, staying], LONGEST)
        few = some_of(rule, len(staying))
        parting = along_run(few, after[staying], KEPT // 2, 1, KEPT // 20)
        for k, p, x, e in zip(staying, returns, parting.exponents, parting.errors, strict=True):
            found[k] = _attractor(policies[:, k], int(p), float(x[0]), float(e[0]))
    return found


def _boundary(run: np.ndarray) -> Attractor:
    """The way to the boundary, with the last policy of it that is finite."""
    known = run[np.isfinite(run).all(axis=-1)]
    return Attractor("boundary", None, known[-1:], *[np.nan] * 3)


def _attractor(run: np.ndarray, returns: int, exponent: float, error: float) -> Attractor:
    if returns:
        kind = "fixed point" if returns == 1 else "cycle"
        return Attractor(kind, returns, run[-returns:], exponent, error, np.nan)
    if exponent < -CERTAIN * error and np.ptp(run, axis=0).max() < CLOSE:
        return Attractor("fixed point", 1, run[-1:], exponent, error, np.nan)
    if run.std(axis=0).max() < CALM:  # at rest next to a vertex, while log-probabilities move on
        return Attractor("undecided", None, run, exponent, error, np.nan)
    chaos = float(zero_one(run).value)
    if exponent > CERTAIN * error and chaos > CHAOTIC:
        kind = "chaotic"
    elif exponent <= CERTAIN * error and chaos < REGULAR:  # neither, if the exponent is not known
        kind = "closed curve"
    else:
        kind = "undecided"
    return Attractor(kind, None, run, exponent, error, chaos)
