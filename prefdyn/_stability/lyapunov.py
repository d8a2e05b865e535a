"""Lyapunov exponents: how fast neighbouring runs part, per round."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import count as whole
from prefdyn._progress import working
from prefdyn._stability._long_run import GONE, advance, begin, escaped, refuse_short
from prefdyn._stability.fixed_points import tangent
from prefdyn.rules._rule import Rule, a_rule

BLOCKS = 20
"""Blocks whose means give the errors."""
LEAST = 200
"""Rounds that exponents need: ten per block."""
UNSTEADY, NEGLIGIBLE = 10.0, 1e-3
"""Halves that differ by more than this many errors, and by more than this, do not agree; the errors
are from the blocks within each half, and five standard deviations of the difference."""


@dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents of a run.

    Attributes
    ----------
    exponents
        Nats per round (..., count), largest first; -inf where a round forgets a direction at once.
    errors
        One standard error each, from the means of 20 blocks of the run.
    rounds
        Rounds averaged over.
    jacobian_by
        How the Jacobians were obtained.
    """

    exponents: np.ndarray
    errors: np.ndarray
    rounds: int
    jacobian_by: str

    @property
    def maximal(self) -> Any:
        """The largest exponent (...,): positive means chaos."""
        return self.exponents[..., 0]

    @property
    def dimension(self) -> Any:
        """Kaplan-Yorke dimension (...,) of the attractor; NaN where too few exponents are known.

        Exponents within three errors of 0 count as 0.
        """
        clear = np.abs(self.exponents) > 3 * self.errors
        known = np.where(clear | np.isnan(self.exponents), self.exponents, 0.0)
        values = np.array([_kaplan_yorke(row) for row in known.reshape(-1, known.shape[-1])])
        return values.reshape(self.exponents.shape[:-1])[()]


@working("measuring exponents")
def lyapunov(
    rule: Rule,
    start: Any = None,
    rounds: int = 5000,
    count: int | None = None,
    *,
    settle: int = 2000,
) -> Lyapunov:
    r"""Exponents of the run from a start, by QR of the rule's Jacobians along it.

    .. math:: \lambda_k = \lim_{T\to\infty} \frac1T \sum_t \log |R_{t,kk}|, \qquad
              Q_{t+1} R_{t+1} = DF(x_t)\,Q_t

    on the directions that carry dynamics (Benettin and others, 1980; Eckmann and Ruelle, Rev. Mod.
    Phys. 57, 617).  At a fixed point they are the logarithms of the multipliers' moduli; on a
    closed curve the first is 0; where it is positive, the run is chaotic.

    Parameters
    ----------
    rule
        Any `Rule`; a batch gives a batch of exponents.
    start
        Probabilities; by default as in `prefdyn.orbit`.
    rounds
        Rounds to average over.
    count
        Number of exponents; by default all.
    settle
        Rounds to discard before, in which the directions settle, too.

    Raises
    ------
    InsufficientData
        For fewer than 200 rounds, a run that leaves every bound, or a single run whose two halves
        do not agree within their errors: it has not settled.  In a batch these are NaN.
    """
    rule = a_rule(rule).skeleton
    rounds, settle = whole(rounds, "rounds"), whole(settle, "settle", least=0)
    refuse_short(rounds, LEAST)
    directions = tangent(rule).shape[1]
    number = directions if count is None else whole(count, "count")
    if number > directions:
        raise InputError(f"count is {number}, but only {directions} directions carry dynamics.")
    # The directions settle, too, next to an onset slowly: a quarter of the rounds is theirs.
    turning = min(settle // 2, rounds // 4)
    state = advance(rule, begin(rule, start), settle - turning)
    result = along_run(rule, state, rounds, number, turning)
    if result.exponents.ndim == 1 and np.isnan(result.exponents).any():
        raise InsufficientData(
            f"the exponents of the two halves of {rounds} rounds differ by more than their errors: "
            "the run has not settled; raise settle and rounds."
        )
    return result


def along_run(rule: Rule, state: np.ndarray, rounds: int, count: int, turning: int) -> Lyapunov:
    """Exponents of the run from a state, NaN where it is unsteady; `turning` rounds go first.

    In a batch they are NaN, too, for runs that leave every bound.
    """
    basis = tangent(rule)
    directions = basis.shape[1]
    frame = np.broadcast_to(np.eye(directions)[:, :count], (*state.shape[:-1], directions, count))
    logs, by = [], ""
    gone = escaped(state)
    for t in range(turning + rounds):
        if gone.all():
            raise InsufficientData(GONE)
        state = np.where(gone[..., None], state[~gone][0], state)  # a place to be, for the batch
        matrix, by = rule.jacobian(state)
        frame, upper = np.linalg.qr(basis.T @ matrix @ basis @ frame)
        if t >= turning:
            with np.errstate(divide="ignore"):  # -inf: a direction that one round forgets
                logs.append(np.log(np.abs(np.diagonal(upper, axis1=-2, axis2=-1))))
        with np.errstate(over="ignore", invalid="ignore"):
            state = rule.step(state, t, None)
        gone = gone | escaped(state)
    exponents, errors, steady = _averages(np.stack(logs))
    known = (steady & ~gone)[..., None]
    exponents, errors = (np.where(known, x, np.nan) for x in (exponents, errors))
    return Lyapunov(exponents, errors, rounds, by)


def _averages(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponents, largest first, their errors, and whether the halves agree, of (rounds, ..., n)."""
    forgotten = ~np.isfinite(logs).all(axis=0)
    logs = np.where(forgotten, 0.0, logs)
    length = len(logs) // BLOCKS
    blocks = logs[-length * BLOCKS :].reshape(BLOCKS, length, *logs.shape[1:]).mean(axis=1)
    exponents = np.where(forgotten, -np.inf, logs.mean(axis=0))
    errors = blocks.std(axis=0, ddof=1) / np.sqrt(BLOCKS)
    half = BLOCKS // 2
    differ = np.abs(blocks[:half].mean(axis=0) - blocks[half:].mean(axis=0))
    spread = np.mean([part.var(axis=0, ddof=1) for part in (blocks[:half], blocks[half:])], axis=0)
    limit = UNSTEADY * np.sqrt(spread / BLOCKS)
    steady = (differ <= np.maximum(limit, NEGLIGIBLE)).all(axis=-1)
    order = np.argsort(-exponents, axis=-1, kind="stable")
    exponents, errors = (np.take_along_axis(x, order, axis=-1) for x in (exponents, errors))
    return exponents, errors, steady


def _kaplan_yorke(exponents: np.ndarray) -> float:
    """``j + sum of the first j exponents / |exponent j + 1|``, j the last with a sum >= 0."""
    if np.isnan(exponents).any():
        return np.nan
    sums = np.cumsum(exponents)
    whole_part = int(np.sum(sums >= 0))
    if whole_part == 0:
        return 0.0
    if whole_part == len(exponents):
        return np.nan
    return whole_part + float(sums[whole_part - 1] / abs(exponents[whole_part]))
