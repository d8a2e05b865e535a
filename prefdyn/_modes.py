"""Dominant multipliers of a measured sequence, by dynamic mode decomposition.

Rounds are measured with noise of two kinds: what is read off differs from the truth, and the round
itself sees finite samples.  Plain dynamic mode decomposition regresses each round on the one before
and shrinks multipliers under noise of the first kind; running it backwards as well repairs that and
fails under the second.  Here the past that a round is compared with ends before the round: noise of
neither kind in it is repeated later, so that the multipliers are consistent under both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import count, finite

EXACT = 1e-9
"""Directions that vary less than this share of the widest one, and smaller angles: rounding."""
DELAYS = 2
"""Rounds in a window where several directions vary; two outvote the noise of one."""
LINE_DELAYS = (3, 6)
"""Fewest and most where only one does: an oscillation shows in three rounds of one number."""
SHUFFLES = 199
"""Shuffled copies that what is left is compared with; the p-value is then good to half a per cent
at 0.05."""
NO_MEMORY = 0.05
"""Errors that shuffled ones outdo in memory as often as this have none."""
SOME_MEMORY = 0.005
"""A sequence must do better to have any: a word about modes should be wrong once in 200 times."""
DESCRIBED = 0.95
"""Share of the variance from which on modes describe a sequence whose errors keep some memory: a
cycle of large size is no sum of a few modes, yet its first ones turn at its frequency."""
CLEAN = 0.9999
"""Share from which on there is no noise to speak of: what settles from a kick is over in a few
rounds, which shuffled ones imitate by chance."""
REPLICATES = 200
"""Sequences simulated for the standard errors, which are then good to five per cent."""


@dataclass(frozen=True, eq=False)
class DynamicModes:
    """Linear modes of a measured sequence; made by `dynamic_modes`.

    A mode multiplies by its multiplier every round.  A complex pair is one mode, given by the
    member above the real axis.  Modes are sorted by their share, largest first.

    Attributes
    ----------
    multipliers : numpy.ndarray
        (M,) complex.
    errors : numpy.ndarray
        (M,) standard errors: root mean square distance in the complex plane.
    growth, growth_error : numpy.ndarray
        (M,) factor per round, ``|multiplier|``, and its standard error.
    angle, angle_error : numpy.ndarray
        (M,) radians per round in [0, pi], and its standard error.
    share : numpy.ndarray
        (M,) variance of what the mode contributes, over that of the sequence.  Modes that are not
        orthogonal do not add up to the share described.
    swing : numpy.ndarray
        (M,) largest half range, over the d numbers, of what the mode contributes.
    described : float
        Share of the variance that one round predicts of the next.
    rounds, delays, rank : int
        Length of the sequence, rounds in a window, and dimensions of the linear state.
    confidence, width : float
        Of the intervals, and their half width in standard errors.
    notes : tuple of str
        What was left out.
    """

    multipliers: np.ndarray
    errors: np.ndarray
    growth: np.ndarray
    growth_error: np.ndarray
    angle: np.ndarray
    angle_error: np.ndarray
    share: np.ndarray
    swing: np.ndarray
    described: float
    rounds: int
    delays: int
    rank: int
    confidence: float
    width: float
    notes: tuple[str, ...]

    @property
    def period(self) -> np.ndarray:
        """(M,) rounds per turn; infinite for a multiplier on the positive half of the real axis."""
        return _rounds_per_turn(self.angle)

    @property
    def growth_interval(self) -> np.ndarray:
        """(M, 2) confidence interval of the growth per round."""
        return np.maximum(0, _around(self.growth, self.width * self.growth_error))

    @property
    def period_interval(self) -> np.ndarray:
        """(M, 2) confidence interval of the period."""
        angles = np.clip(_around(self.angle, self.width * self.angle_error), 0, np.pi)
        return _rounds_per_turn(angles[:, ::-1])

    @property
    def turning(self) -> np.ndarray:
        """(M,) whether a mode turns: beyond its error, and by a whole turn within the sequence."""
        surely = self.angle > self.width * self.angle_error
        return surely & (self.period <= self.rounds)


def dynamic_modes(
    series: ArrayLike,
    *,
    rank: int | None = None,
    delays: int | None = None,
    confidence: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> DynamicModes:
    r"""Dominant multipliers of a measured sequence, with their errors.

    Near a fixed point :math:`x_{t+1} - x^* = A (x_t - x^*)`.  With windows
    :math:`F_t = (x_t, \dots, x_{t+m-1})` and :math:`P_t = (x_{t-1}, \dots, x_{t-m})`, less their
    means, and the singular value decomposition :math:`\sum_t F_t P_t^\top = U S V^\top` cut at the
    rank r, the multipliers are the eigenvalues of

    .. math:: A_r = U^\top \Big(\sum_t F_{t+1} P_t^\top\Big) V S^{-1},

    those of A, however noisy the rounds and the measurements, as the sequence gets long (claim
    DIAG-1): subspace dynamic mode decomposition (arXiv 1705.04908) of correlations.  The rank is
    the smallest at which the errors of predicting one round ahead have no more memory than
    shuffled ones.  Standard errors come from simulating the fitted system with those errors, drawn
    again, and estimating anew.

    Parameters
    ----------
    series
        (T, d) or (T,): what is known of the policy at the ends of T rounds, or at equal spacing.
    rank
        Dimensions of the linear state; found from the data by default.
    delays
        Rounds m in a window; by default 2, or where only one direction varies T/6, from 3 to 6.
    confidence
        Of the intervals.
    rng
        Seed, or generator, of the shuffles and replicates.

    Raises
    ------
    InsufficientData
        If the sequence is too short, does not move, moves like noise without memory, or is not
        described by a few linear modes.
    InputError
        For entries that are not finite, or parameters out of range.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(40)
    >>> turning = 0.97**t * np.cos(2 * np.pi * t / 8)
    >>> float(dynamic_modes(turning).period.round(6)[0])
    8.0
    """
    from scipy.stats import t as student

    rng = np.random.default_rng(rng)
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence:g}: it must lie between 0 and 1.")
    rows = _rows(series)
    size = float(np.abs(rows).max()) or 1.0  # squares of very large numbers overflow
    y, directions, notes = _principal(rows / size)
    m = _delays(y) if delays is None else count(delays, "delays")
    _long_enough(len(y), m)
    fit = _at_rank(y, m, rng) if rank is None else _fit(y, m, _rank(rank, y, m))
    multipliers, parts = _modes(fit)
    shares = parts.var(axis=0).sum(axis=0) / fit.y.var(axis=0).sum()
    swings = np.ptp(np.einsum("tqr,qd->tdr", parts, directions), axis=0).max(axis=0) / 2 * size
    replicates = _matched(multipliers, _replicates(fit, rng))
    upper = np.imag(multipliers) >= 0
    order = np.flatnonzero(upper)[np.argsort(-shares[upper], kind="stable")]
    found, drawn = multipliers[order], replicates[:, order]
    freedom = max(1, len(fit.errors) - 2 * fit.rank - 1)
    return DynamicModes(
        multipliers=found,
        errors=_rms(np.abs(drawn - found)),
        growth=np.abs(found),
        growth_error=_rms(np.abs(drawn) - np.abs(found)),
        angle=np.abs(np.angle(found)),
        angle_error=_rms(np.abs(np.angle(drawn)) - np.abs(np.angle(found))),
        share=shares[order],
        swing=swings[order],
        described=fit.described,
        rounds=len(y),
        delays=m,
        rank=fit.rank,
        confidence=confidence,
        width=float(student.ppf((1 + confidence) / 2, freedom)),
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """A state of `rank` numbers, V'P, that predicts the sequence y one round ahead."""

    y: np.ndarray
    delays: int
    A: np.ndarray
    """(r, r) in the coordinates U'F."""
    U: np.ndarray
    states: np.ndarray
    """(n, r) predicted U'F, of the rounds whose errors are known."""
    one_ahead: np.ndarray
    """(mq + 1, q): the next round from the last m and 1."""
    errors: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.A)

    @property
    def described(self) -> float:
        later = self.y[self.delays :]
        return 1 - float((self.errors**2).sum() / ((later - later.mean(0)) ** 2).sum())


def _rows(series: ArrayLike) -> np.ndarray:
    rows = finite(series, "series")
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or 0 in rows.shape:
        raise InputError(f"series has shape {rows.shape}: give (rounds, numbers).")
    return rows


def _principal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Coordinates (T, q) along the directions (q, d) of largest variance, one per six rounds."""
    centred = rows - rows.mean(axis=0)
    U, S, Vt = np.linalg.svd(centred, full_matrices=False)
    if S[0] <= EXACT * np.abs(rows).max() * np.sqrt(rows.size):
        raise InsufficientData("the sequence does not move: it has no modes.")
    moving = int((EXACT * S[0] < S).sum())
    kept = min(moving, max(2, len(rows) // 6))
    lost = 1 - float((S[:kept] ** 2).sum() / (S**2).sum())
    note = f"{moving - kept} directions with {lost:.1%} of the variance were left out"
    notes = (f"{note}: {len(rows)} rounds carry {kept}.",) if kept < moving else ()
    return U[:, :kept] * S[:kept], Vt[:kept], notes


def _delays(y: np.ndarray) -> int:
    return DELAYS if y.shape[1] > 1 else int(np.clip(len(y) // 6, *LINE_DELAYS))


def _long_enough(T: int, m: int) -> None:
    fewest = 4 * m + 4  # twice as many windows as numbers in one, and the ends of the windows
    if fewest > T:
        raise InsufficientData(f"{T} rounds are too few to tell modes from noise: take {fewest}.")


def _rank(rank: int, y: np.ndarray, m: int) -> int:
    if count(rank, "rank") > _largest_rank(y, m):
        raise InsufficientData(
            f"{len(y)} rounds carry a state of {_largest_rank(y, m)} numbers, not of {rank}: "
            "lower rank, or run more rounds."
        )
    return rank


def _largest_rank(y: np.ndarray, m: int) -> int:
    future, past, _ = _windows(y, m)
    seen = int(np.linalg.matrix_rank(_transposed(future) @ past))
    if not seen:
        raise InsufficientData("the sequence moves at its ends only: it has no modes.")
    return min(seen, len(y) // 4)


def _at_rank(y: np.ndarray, m: int, rng: np.random.Generator) -> _Fit:
    """The fit of the smallest rank whose errors have no memory left."""
    fits = [_fit(y, m, r) for r in range(1, _largest_rank(y, m) + 1)]
    for fit in fits:
        if fit.described > CLEAN:
            return fit
    if _outdone(y - y.mean(axis=0), m, rng) > SOME_MEMORY:
        raise InsufficientData(
            f"the {len(y)} rounds move like noise, each regardless of the ones before: "
            "there is no mode to see; average over more prompts, or run more rounds."
        )
    for fit in fits:
        if _outdone(fit.errors, m, rng) > NO_MEMORY:
            return fit
    if fits[-1].described < DESCRIBED:
        raise InsufficientData(
            f"{fits[-1].rank} linear modes describe only {fits[-1].described:.0%} of the sequence "
            "and their errors are no noise: look at its picture, or run more rounds."
        )
    return fits[-1]


def _outdone(errors: np.ndarray, m: int, rng: np.random.Generator) -> float:
    """How often shuffled errors have as much memory."""
    shuffled = np.stack([errors[rng.permutation(len(errors))] for _ in range(SHUFFLES)])
    above = np.sum(_memory(shuffled, m) >= _memory(errors, m))
    return (1 + float(above)) / (1 + SHUFFLES)


def _memory(y: np.ndarray, m: int) -> np.ndarray:
    """Largest singular value of the correlation of past and future windows."""
    future, past, _ = _windows(y, m)
    return np.linalg.norm(_transposed(future) @ past, ord=2, axis=(-2, -1))


def _windows(y: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Future, past and next future, (..., T - 2m, mq) each, less their means."""
    n = y.shape[-2] - 2 * m

    def window(first: int, step: int) -> np.ndarray:
        rows = [y[..., first + step * j : first + step * j + n, :] for j in range(m)]
        joined = np.concatenate(rows, axis=-1)
        return joined - joined.mean(axis=-2, keepdims=True)

    return window(m, 1), window(m - 1, -1), window(m + 1, 1)


def _transposed(x: np.ndarray) -> np.ndarray:
    return np.swapaxes(x, -1, -2)


def _reduced(y: np.ndarray, m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, U and V of sequences (..., T, q)."""
    future, past, later = _windows(y, m)
    U, S, Vt = np.linalg.svd(_transposed(future) @ past, full_matrices=False)
    U, V = U[..., :r], _transposed(Vt[..., :r, :])
    A = _transposed(U) @ (_transposed(later) @ past) @ V / S[..., None, :r]
    return A, U, V


def _fit(y: np.ndarray, m: int, r: int) -> _Fit:
    A, U, V = _reduced(y, m, r)
    future, past, _ = _windows(y, m)
    states = past @ V @ np.linalg.lstsq(past @ V, future @ U, rcond=None)[0]
    rows = len(y) - m
    pasts = np.concatenate([y[m - 1 - j : m - 1 - j + rows] for j in range(m)], axis=-1)
    known = np.column_stack([pasts @ V, np.ones(rows)])
    weights = np.linalg.lstsq(known, y[m:], rcond=None)[0]
    one_ahead = np.vstack([V @ weights[:-1], weights[-1:]])
    return _Fit(y, m, A, U, states, one_ahead, y[m:] - known @ weights)


def _modes(fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers (r,), and what each, with its pair, contributes to the sequence (n, q, r)."""
    multipliers, W = np.linalg.eig(fit.A)  # of a real matrix: pairs are exactly conjugate
    amplitudes = fit.states @ np.linalg.inv(W).T
    seen = fit.U[: fit.y.shape[1]] @ W
    pair = np.where(np.imag(multipliers) == 0, 1.0, 2.0)
    return multipliers.astype(complex), np.real(pair * amplitudes[:, None, :] * seen[None])


def _replicates(fit: _Fit, rng: np.random.Generator) -> np.ndarray:
    """Multipliers (REPLICATES, r) of simulations of the fitted system with errors drawn anew."""
    T, q = fit.y.shape
    m, n = fit.delays, len(fit.errors)
    inflated = fit.errors * np.sqrt(n / max(1, n - fit.rank - 1))  # a fit takes part of its errors
    drawn = inflated[rng.integers(n, size=(REPLICATES, T))]
    y = np.empty((REPLICATES, T, q))
    y[:, :m] = fit.y[:m]
    for t in range(m, T):
        past = np.concatenate([y[:, t - 1 - j] for j in range(m)], axis=-1)
        y[:, t] = past @ fit.one_ahead[:-1] + fit.one_ahead[-1] + drawn[:, t]
    return np.linalg.eigvals(_reduced(y, m, fit.rank)[0])


def _matched(multipliers: np.ndarray, replicates: np.ndarray) -> np.ndarray:
    """The replicates' multipliers, each in the place of the one that it stands for."""
    from scipy.optimize import linear_sum_assignment

    distances = np.abs(multipliers[None, :, None] - replicates[:, None, :])
    places = np.array([linear_sum_assignment(table)[1] for table in distances])
    return np.take_along_axis(replicates, places, axis=1)


def _rms(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(x**2, axis=0))


def _around(middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.stack([middle - half, middle + half], axis=-1)


def _rounds_per_turn(angle: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(angle > EXACT, 2 * np.pi / np.maximum(angle, EXACT), np.inf)
