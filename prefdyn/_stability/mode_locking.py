"""Mode locking: where along parameters the rotation number sticks to a rational."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import gcd
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability._long_run import along, ascending, begin, each_run, kept, refuse_short
from prefdyn._stability.rotation import LEAST, rotation
from prefdyn.rules._rule import Rule, a_rule

RETURN, RETURN_LOG = 1e-7, 1e-4
"""Largest difference of a probability that still counts as a return, and of a log-probability,
relative to the largest of 1 and itself: next to a vertex only log-probabilities move."""


@dataclass(frozen=True)
class Plateau:
    """An interval of one parameter on which the rotation number is ``turns / period``.

    Attributes
    ----------
    turns, period
        The rational in lowest terms: so many turns in so many rounds, turning by at most a half
        per round.
    low, high
        The outermost parameter values found locked.
    low_error, high_error
        Distance to the nearest value beyond each end that was not found locked; NaN where the
        values end first.
    samples
        Values of the grid inside.
    """

    turns: int
    period: int
    low: float
    high: float
    low_error: float
    high_error: float
    samples: int

    @property
    def width(self) -> float:
        """Width: at least this, and at most this plus both errors."""
        return self.high - self.low


@dataclass(frozen=True)
class ModeLocking:
    """Rotation numbers over a grid of one or two parameters, and where they are locked.

    Attributes
    ----------
    parameters, values
        What was varied, and the grid's values of each.
    rotation, rotation_error
        Turns per round over the grid, in [0, 1/2]; NaN where there is none (settled, chaotic, on
        the way to the boundary).
    returns
        Rounds after which the run returns to within 1e-7, over the grid; 1 where it has settled, 0
        where it does not return within `largest_period` rounds.
    turns, periods
        Numerator and denominator of the rational to which a run is locked; 0 and 0 where it is not,
        0 and 1 where it has settled.  Evidence is twofold: the run returns after a multiple of
        `periods` rounds, and the rotation number is the rational within its error.
    plateaus
        Locked and settled (0/1) intervals in ascending order, for one parameter; empty for two.
    """

    parameters: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    rotation: np.ndarray
    rotation_error: np.ndarray
    returns: np.ndarray
    turns: np.ndarray
    periods: np.ndarray
    plateaus: tuple[Plateau, ...]

    @property
    def locked(self) -> np.ndarray:
        """Where a run turns and is locked, over the grid."""
        return self.periods > 1

    def tongue(self, turns: int, period: int) -> np.ndarray:
        """Where the rotation number is locked to ``turns / period``, over the grid."""
        return (self.turns == turns) & (self.periods == period)


@working("measuring rotation numbers")
def mode_locking(
    rule: Rule,
    parameters: str | Sequence[str],
    values: Any,
    *,
    start: Any = None,
    rounds: int = 2000,
    settle: int = 4000,
    largest_period: int = 64,
    refine: int = 10,
) -> ModeLocking:
    """Rotation number over one parameter, or two, and the rationals to which it is locked.

    Past a Neimark-Sacker bifurcation runs turn on a closed curve.  Their rotation number is a
    devil's staircase of the parameters: every rational holds on an interval (in two parameters on
    an Arnold tongue), inside which the run is a cycle of finite order.

    Parameters
    ----------
    rule
        A rule without batch.
    parameters
        One name or two, as in `prefdyn.rules.set_parameter`; the values of a rule that broadcasts
        run as a batch.
    values
        One array of values, ascending, or one for each of two parameters.
    start
        Probabilities from which every run begins; where several attractors coexist, it decides
        between them.
    rounds
        Rounds of each run that are looked at.
    settle
        Rounds to discard before.  Close to the ends of a locked interval runs settle slowly: an end
        is known no better than to about ``1 / settle^2`` of the parameter's scale.
    largest_period
        Longest return time that is looked for.
    refine
        Bisections of both ends of each locked interval of one parameter.

    Raises
    ------
    InputError
        For more than two parameters, or values not in ascending order.
    InsufficientData
        For fewer than 100 rounds, or fewer than four times the largest period.
    """
    names = (parameters,) if isinstance(parameters, str) else tuple(parameters)
    grids = _grids(names, values)
    rounds, longest = count(rounds, "rounds"), count(largest_period, "largest_period")
    refuse_short(rounds, max(LEAST, 4 * longest))
    search = _Search(a_rule(rule).skeleton, names, start, rounds, count(settle, "settle"), longest)
    points = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
    found = search(points.reshape(-1, len(names)))
    number, error, returns, turns, periods = found.reshape(5, *points.shape[:-1])
    plateaus = ()
    if len(names) == 1:
        labels = list(zip(turns.astype(int), periods.astype(int), strict=True))
        plateaus = _plateaus(search, grids[0], labels, count(refine, "refine", least=0))
    returns, turns, periods = (x.astype(int) for x in (returns, turns, periods))
    return ModeLocking(names, grids, number, error, returns, turns, periods, plateaus)


def _grids(names: tuple[str, ...], values: Any) -> tuple[np.ndarray, ...]:
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise InputError(f"parameters are {names!r}: give one name, or two different ones.")
    given = [values] if len(names) == 1 or np.isscalar(values) else list(values)
    if len(given) != len(names):
        raise InputError(f"values are {values!r}: give one array for each of {', '.join(names)}.")
    pairs = zip(names, given, strict=True)
    return tuple(ascending(grid, name, least=2) for name, grid in pairs)


@dataclass(frozen=True)
class _Search:
    """Rotation number, its error, return time and rational (5, n) of runs at n points."""

    rule: Rule
    names: tuple[str, ...]
    start: Any
    rounds: int
    settle: int
    longest: int

    def __call__(self, points: np.ndarray) -> np.ndarray:
        family = along(self.rule, self.names, list(points.T))
        log_policies = kept(family, begin(family, self.start), self.settle, self.rounds)
        number, error = each_run(np.exp(log_policies), rotation, 2)
        returns = return_times(log_policies, self.longest)
        turns, periods = np.zeros(len(points)), (returns == 1).astype(float)
        for k in np.flatnonzero((returns > 1) & np.isfinite(number)):
            full = int(returns[k])
            whole = round(number[k] * full)
            if abs(number[k] - whole / full) <= error[k] + RETURN:
                shared = gcd(whole, full)
                turns[k], periods[k] = whole // shared, full // shared
        return np.stack([number, error, returns, turns, periods])


def return_times(log_policies: np.ndarray, longest: int) -> np.ndarray:
    """Smallest p <= longest after which runs (rounds, ..., K) return, (...,); 0 if none.

    To within 1e-7, all the time in the last ``4 longest`` rounds: strong drive stays at a vertex
    for many rounds, as if it had settled there.
    """
    tail = log_policies[-4 * longest :]
    found = np.zeros(tail.shape[1:-1], dtype=int)
    for p in range(1, longest + 1):
        open_ = np.flatnonzero(found == 0)
        if not len(open_):
            break
        now, before = tail[p:, open_], tail[:-p, open_]
        near = np.abs(np.exp(now) - np.exp(before)) < RETURN
        near &= np.abs(now - before) < RETURN_LOG * np.maximum(1.0, np.abs(now))
        found[open_[near.all(axis=(0, -1))]] = p
    return found


def _plateaus(
    search: _Search, grid: np.ndarray, labels: list[tuple[int, int]], refine: int
) -> tuple[Plateau, ...]:
    """Runs of equal rationals along the grid, with their ends bisected all at once."""
    runs, at = [], 0
    for label, members in groupby(labels):
        length = len(list(members))
        if label[1]:
            runs.append((label, at, at + length - 1))
        at += length
    # Inner and outer bracket of every end that lies inside the grid.
    inside, outside, wanted = [], [], []
    for label, first, last in runs:
        for end, beyond in ((first, first - 1), (last, last + 1)):
            known = 0 <= beyond < len(grid)
            inside.append(grid[end])
            outside.append(grid[beyond] if known else np.nan)
            wanted.append(label)
    inner, outer = np.array(inside), np.array(outside)
    open_ends = np.flatnonzero(np.isfinite(outer))
    for _ in range(refine if len(open_ends) else 0):
        middle = (inner[open_ends] + outer[open_ends]) / 2
        *_, turns, periods = search(middle[:, None])
        targets = np.array(wanted)[open_ends]
        hit = (turns == targets[:, 0]) & (periods == targets[:, 1])
        inner[open_ends[hit]] = middle[hit]
        outer[open_ends[~hit]] = middle[~hit]
    errors = np.abs(outer - inner)
    return tuple(
        Plateau(
            int(label[0]),
            int(label[1]),
            float(inner[2 * k]),
            float(inner[2 * k + 1]),
            float(errors[2 * k]),
            float(errors[2 * k + 1]),
            last - first + 1,
        )
        for k, (label, first, last) in enumerate(runs)
    )
