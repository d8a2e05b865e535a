"""What is read off an orbit: cycle strength, period, recurrence.

Cycle strength is a variance, period a real number of rounds per turn (from the unwrapped phase),
recurrence an integer return time.  Neither of the last two stands for the other: a quasi-periodic
orbit has a period and no recurrence.  An estimate that the run cannot support is refused.
"""

from typing import Any

import numpy as np

from prefdyn._errors import InputError, InsufficientData

MIN_TURNS = 3
"""Fewer turns than this do not make a period."""
MIN_ROUNDS = 10
"""Fewer rounds after the burn-in than this do not make a variance."""
THIN = 1e-2
"""A loop flatter than this is a line: the angle in it would be that of noise."""
UNSTEADY = 0.2
"""Largest relative difference between the turns of the two halves of an orbit with a period."""
CALM = 1e-9
"""Standard deviation of the policy below which an orbit counts as settled."""


def after_burn_in(policies: np.ndarray, burn_in: float) -> np.ndarray:
    """The part of an orbit (T, ..., K) behind its burn-in.

    Parameters
    ----------
    policies
        Saved policies, one per round, time first.
    burn_in
        Share of the rounds in [0, 1) to discard as transient.

    Raises
    ------
    InsufficientData
        If fewer than 10 rounds remain.
    """
    if not 0 <= burn_in < 1:
        raise InputError(
            f"burn_in is {burn_in:g}: it is a share of the run and must lie in [0, 1)."
        )
    policies = np.asarray(policies, dtype=float)
    tail = policies[int(burn_in * len(policies)) :]
    if len(tail) < MIN_ROUNDS:
        raise InsufficientData(
            f"only {len(tail)} of {len(policies)} rounds are left after the burn-in: "
            f"run at least {int(np.ceil(MIN_ROUNDS / (1 - burn_in)))} rounds."
        )
    return tail


def cycle_strength(policies: np.ndarray, burn_in: float = 1 / 3) -> Any:
    """Mean over responses of the time variance of the policy after the burn-in, (...,).

    The metric of arXiv 2602.12180 (claim MRS-16).  Take it per run and average over runs, never
    the reverse: averaged curves hide cycles (claim MRS-17).

    Parameters
    ----------
    policies
        Orbit (T, ..., K), every round saved.
    burn_in
        Share of the rounds to discard.

    Raises
    ------
    InsufficientData
        If fewer than 10 rounds remain after the burn-in.
    """
    return after_burn_in(policies, burn_in).var(axis=0).mean(axis=-1)


def period(policies: np.ndarray, burn_in: float = 1 / 3) -> Any:
    """Rounds per turn from the unwrapped phase in the orbit's principal plane.

    An orbit that moves back and forth on a line makes half a turn per crossing of its mean.

    Parameters
    ----------
    policies
        Orbit (T, K), or a batch (T, ..., K), every round saved.
    burn_in
        Share of the rounds to discard.

    Returns
    -------
    float or ndarray
        Real number of rounds per turn, >= 2; in a batch NaN where it is refused.

    Raises
    ------
    InsufficientData
        For a single orbit that has settled, turned fewer than three times, or turns at a rate that
        drifts or wanders.
    """
    tail = after_burn_in(policies, burn_in)
    if tail.ndim > 2:
        return _per_orbit(tail, lambda orbit: _refused_as_nan(_period, orbit))
    return _period(tail)


def recurrence(policies: np.ndarray, burn_in: float = 1 / 3, tolerance: float = 1e-7) -> Any:
    """Smallest p with ``|pi_t - pi_(t-p)| < tolerance`` in every round after the burn-in.

    Parameters
    ----------
    policies
        Orbit (T, K), or a batch (T, ..., K), every round saved.
    burn_in
        Share of the rounds to discard.
    tolerance
        Largest difference of a probability that still counts as a return.

    Returns
    -------
    int, None or ndarray
        1 for a settled orbit, None if no p up to half the rounds fits; in a batch, NaN for None.
    """
    tail = after_burn_in(policies, burn_in)
    if tail.ndim > 2:
        return _per_orbit(tail, lambda orbit: _recurrence(orbit, tolerance) or np.nan)
    return _recurrence(tail, tolerance)


def _period(tail: np.ndarray) -> float:
    centred = tail - tail.mean(axis=0)
    if centred.std(axis=0).max() < CALM:
        raise InsufficientData("the orbit has settled: it has no period.")
    times, turns = _winding(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T)
    total = abs(turns[-1] - turns[0])
    if total < MIN_TURNS:
        raise InsufficientData(
            f"only {total:.1f} turns in {len(tail)} rounds: run longer to measure a period."
        )
    halfway = np.interp((times[0] + times[-1]) / 2, times, turns)
    if abs(2 * abs(halfway - turns[0]) - total) > UNSTEADY * total + 1:
        raise InsufficientData(
            "the orbit does not turn at a steady rate, so it has no one period: look at its phase."
        )
    return (times[-1] - times[0]) / total


def _winding(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (rounds) and the number of turns made until then, of an orbit in its plane (T, 2)."""
    spread = plane.std(axis=0)
    if spread[1] < THIN * spread[0]:  # back and forth on a line: half a turn per crossing
        x = plane[:, 0]
        before = np.flatnonzero(np.signbit(x[1:]) != np.signbit(x[:-1]))
        times = before + x[before] / (x[before] - x[before + 1])
        return (times, np.arange(len(times)) / 2) if len(times) else (np.zeros(1), np.zeros(1))
    # Equal scales on both axes: on an elongated loop the bare angle would bunch up, not miscount.
    phase = np.unwrap(np.arctan2(*(plane / spread).T))
    return np.arange(len(plane), dtype=float), phase / (2 * np.pi)


def _recurrence(tail: np.ndarray, tolerance: float) -> int | None:
    for p in range(1, len(tail) // 2 + 1):
        if np.abs(tail[p:] - tail[:-p]).max() < tolerance:
            return p
    return None


def _refused_as_nan(estimate, orbit: np.ndarray) -> float:
    try:
        return estimate(orbit)
    except InsufficientData:
        return np.nan


def _per_orbit(tail: np.ndarray, estimate) -> np.ndarray:
    shape = tail.shape[1:-1]
    values = [estimate(tail[(slice(None), *index)]) for index in np.ndindex(shape)]
    return np.array(values, dtype=float).reshape(shape)
