"""Rotation number: turns per round of a run that goes round a closed curve."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn._stability._long_run import each_run, long_run, principal_plane
from prefdyn.rules._rule import Rule

LEAST = 100
"""Rounds that a rotation number needs."""
GAP = 0.02
"""Turns per round that must be left free, so that one can tell which way round a step went."""
ORDERED = 0.9
"""Smallest share of rounds that keep the cyclic order of the points on the curve."""
COINCIDENT = 1e-6
"""Turns between points of the curve that are taken for one."""
ROUNDING = 1e-14
"""What rounding leaves of the turns of one round."""


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty; arrays (...,) for a batch, NaN where refused."""

    value: Any
    error: Any


def rotation_number(
    rule: Rule | Any, start: Any = None, rounds: int = 4000, *, settle: int = 4000
) -> Estimate:
    r"""Turns per round, in [0, 1/2], from the winding of a settled run about its mean.

    .. math:: \rho = \sum_t w(t/T)\,\Delta\varphi_t \Big/ 2\pi\sum_t w(t/T), \qquad
              w(s) = e^{-1/(s(1-s))}

    with phases taken in the run's principal plane.  The weights let the average of a smooth
    quasi-periodic run converge faster than any power of 1/T (Das, Sander, Yorke and others,
    arXiv 1601.06051).  Its error is the largest difference between the averages over the first,
    middle and last half of the run.  Turning one way is not told from turning the other way, which
    makes :math:`\rho` and :math:`1 - \rho` the same; a run that goes back and forth on a line turns
    by half at each crossing of its mean.

    Parameters
    ----------
    rule
        Any `Rule`, or the policies (rounds, ..., K) of a settled run.
    start
        Probabilities; by default as in `prefdyn.orbit`.
    rounds
        Rounds to average over.
    settle
        Rounds to discard before.

    Returns
    -------
    Estimate
        Turns per round, and its error.

    Raises
    ------
    InputError
        For a rule that is another map in every round, or what is no array of policies.
    InsufficientData
        For a single run that has settled or stays within no bounds, that turns by so different
        angles that a step's direction cannot be told, or that does not go round in order (no closed
        curve about the mean: chaos, or a curve that the plane folds); in a batch these are NaN.
        For fewer than 100 rounds.
    """
    policies = long_run(rule, start, rounds, settle, LEAST)
    if policies.ndim == 2:
        return Estimate(*rotation(policies))
    return Estimate(*each_run(policies, rotation, 2))


def rotation(policies: np.ndarray) -> tuple[float, float]:
    """Rotation number of a settled run (rounds, K), and its error."""
    plane = principal_plane(policies)
    phase = np.arctan2(plane.points[:, 1], plane.points[:, 0]) / (2 * np.pi) % 1
    turns = np.diff(phase) % 1
    if not plane.flat:
        cut = _cut(turns)
        _refuse_disorder(phase)
        turns = (turns - cut) % 1 + cut
    half = len(turns) // 2
    middle = half // 2
    halves = [_average(turns[at : at + half]) for at in (0, middle, len(turns) - half)]
    error = max(np.ptp(halves), ROUNDING)
    value = _average(turns) % 1
    return float(min(value, 1 - value)), float(error)


def _average(turns: np.ndarray) -> float:
    """Birkhoff average with weights that vanish smoothly at both ends."""
    s = (np.arange(len(turns)) + 0.5) / len(turns)
    weights = np.exp(-1 / (s * (1 - s)))
    return float(weights @ turns / weights.sum())


def _cut(turns: np.ndarray) -> float:
    """A turn that no round makes, in the middle of the widest gap: where counting may start.

    Turns are known modulo one only.  On a closed curve those of one round fill an interval, so that
    cutting outside it keeps the lift continuous.
    """
    known = np.sort(turns)
    gaps = np.diff(known, append=known[0] + 1)
    widest = int(np.argmax(gaps))
    if gaps[widest] < GAP:
        raise InsufficientData(
            "the turns of single rounds differ by up to a whole turn, so the way round cannot be "
            "told and there is no rotation number: look at lyapunov and zero_one."
        )
    return float(known[widest] + gaps[widest] / 2)


def _refuse_disorder(phase: np.ndarray) -> None:
    """Refuse runs whose round does not keep the cyclic order of the points on the curve."""
    now, following = phase[:-1], phase[1:]
    order = np.argsort(now)
    ranks = following[order]
    # Points that coincide (a locked run visits few) are in order whatever rounding makes of them.
    apart = np.diff(now[order], append=now[order][0] + 1) > COINCIDENT
    back = (np.diff(ranks, append=ranks[0]) < -COINCIDENT) & apart
    if np.sum(back) > 1 + (1 - ORDERED) * len(back):  # one step back is the seam of the circle
        raise InsufficientData(
            "the run does not go round in order, so it follows no closed curve about its mean and "
            "has no rotation number: look at lyapunov and zero_one."
        )
