"""Where along a parameter a rule is stable: all intervals, not one threshold."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability._parameter import check_number, checked_range, is_pull, is_scale
from prefdyn._stability.fixed_points import solve
from prefdyn._stability.multipliers import eigenvalues
from prefdyn.rules._rule import Rule, a_rule
from prefdyn.rules._wrapper import get_parameter, set_parameter

NEAR = 0.05
"""A local extremum of the spectral radius this close to 1 is searched for a hidden crossing."""


@dataclass(frozen=True)
class StabilityIntervals:
    """Where in a range of one parameter the fixed point is locally stable.

    Attributes
    ----------
    parameter, range
        What was varied, and between which values.
    intervals
        All stable intervals ``(low, high)`` in the range, in ascending order; possibly none.
    value
        For beta and tau the largest unstable value, for other parameters the smallest: beyond it
        everything in the range is stable.  None if all of the range is stable; the end of the
        range if it is unstable there.
    """

    parameter: str
    range: tuple[float, float]
    intervals: tuple[tuple[float, float], ...]
    value: float | None


@working("searching for thresholds")
def critical(
    rule: Rule,
    parameter: str,
    range: tuple[float, float] | None = None,
    samples: int = 160,
) -> Any:
    """All intervals of a parameter on which the fixed point is locally stable.

    The fixed point is followed through the range (logarithmic in beta, kappa, tau, eta and rate,
    linear otherwise) at `samples` values; sign changes of ``spectral radius - 1`` are refined by
    Ridders' method to rounding, and extrema near 1 are searched for narrow windows.  Games may lose
    stability in a window only (MRS-14), or never.

    Parameters
    ----------
    rule
        A `Rule`; a batch of games gives one result each.
    parameter
        ``"beta"``, ``"alpha"``, ``"lam"``, ``"kappa"`` or any numeric parameter by its path, e.g.
        ``"objective.label_smoothing"``.
    range
        Lowest and highest value; needed for parameters not named above.
    samples
        Values at which the spectral radius is computed before refinement.

    Returns
    -------
    StabilityIntervals
        For a rule without batch; else a list of them, the batch in flattened order.

    Raises
    ------
    InputError
        For an unknown parameter or an empty range.
    NoOptimum
        If no fixed point is found somewhere in the range (beta ranges at alpha = 1).
    """
    rule = a_rule(rule).skeleton
    check_number(get_parameter(rule, parameter), parameter)
    low, high = checked_range(parameter, range)
    for end in (low, high):
        set_parameter(rule, parameter, end)  # refused now and by name, not somewhere on the way
    logarithmic = is_scale(parameter)
    spaced = np.geomspace if logarithmic else np.linspace
    grid = spaced(low, high, count(samples, "samples", least=3))
    # Followed from the calm end, where the fixed point is near the reference.
    scan = _Scan(rule, parameter, logarithmic)
    order = grid[::-1] if is_pull(parameter) else grid
    excess = np.stack([scan.excess(value) for value in order])
    if is_pull(parameter):
        excess = excess[::-1]
    batch = excess.shape[1:]
    columns = excess.reshape(len(grid), -1)
    results = [
        _intervals(parameter, (low, high), values, stable)
        for values, stable in scan.refined(grid, columns, batch)
    ]
    return results if batch else results[0]


class _Scan:
    """Evaluates ``spectral radius - 1`` along a parameter, starting from the last fixed point."""

    def __init__(self, rule: Rule, parameter: str, logarithmic: bool):
        self.rule, self.parameter, self.logarithmic = rule, parameter, logarithmic
        own = rule.own_start
        self.state = rule.init(np.full(rule.K, 1 / rule.K)) if own is None else own

    def excess(self, value: Any) -> np.ndarray:
        """``spectral radius - 1`` for one value, or one per batch element."""
        rule = set_parameter(self.rule, self.parameter, value)
        found = solve(rule, self.state)
        self.state = found.state
        return np.abs(eigenvalues(found.jacobian)[..., 0]) - 1

    def refined(self, grid: np.ndarray, columns: np.ndarray, batch: tuple[int, ...]):
        """Per batch element: crossings in ascending order, and whether it starts stable."""
        points = [list(zip(grid, column, strict=True)) for column in columns.T]
        hidden = [_hidden(column) for column in points]
        for b, value, excess in self._per_element(self._golden, hidden, batch):
            points[b].append((value, excess))
        points = [sorted(column) for column in points]
        brackets = [
            [(*p, *q) for p, q in pairwise(column) if (p[1] < 0) != (q[1] < 0)] for column in points
        ]
        crossings: list[list[float]] = [[] for _ in points]
        for b, value, _ in self._per_element(self._ridders, brackets, batch):
            crossings[b].append(value)
        return [(found, column[0][1] < 0) for found, column in zip(crossings, points, strict=True)]

    def _per_element(self, search, tasks: list[list[tuple]], batch: tuple[int, ...]):
        """Run a search on the first task of every element, then on the second, and so on.

        A rule evaluates its whole batch at once; elements that have run out of tasks idle.
        """
        for k in range(max(map(len, tasks))):
            busy = [b for b, todo in enumerate(tasks) if len(todo) > k]
            idle = tasks[busy[0]][k]
            columns = zip(*(todo[k] if len(todo) > k else idle for todo in tasks), strict=True)
            value = self._out(search(*(np.reshape(column, batch) for column in columns)))
            values, excess = np.ravel(value), np.ravel(self._at(value))
            yield from ((b, float(values[b]), float(excess[b])) for b in busy)

    def _golden(self, a: Any, b: Any, sign: Any) -> Any:
        """Where sign * excess is largest between a and b, by golden-section search."""
        a, b = self._in(a), self._in(b)
        ratio = (np.sqrt(5) - 1) / 2
        for _ in range(16):  # narrows the bracket 2000-fold: enough to see which side of 1 it is on
            c, d = b - ratio * (b - a), a + ratio * (b - a)
            left = sign * self._at(self._out(c)) >= sign * self._at(self._out(d))
            a, b = np.where(left, a, c), np.where(left, d, b)
        return (a + b) / 2

    def _ridders(self, a: Any, below: Any, b: Any, above: Any) -> Any:
        """Where the excess crosses 0 between a and b, by Ridders' method, to rounding."""
        a, b, x = self._in(a), self._in(b), self._in(b)
        for _ in range(12):
            middle = (a + b) / 2
            here = self._at(self._out(middle))
            # Brackets that have closed, and those of idle elements, divide 0 by 0.
            with np.errstate(invalid="ignore", divide="ignore"):
                root = np.sqrt(here**2 - below * above)
                shift = (middle - a) * np.sign(below - above) * here / root
            x = np.where(root > 0, middle + shift, middle)
            value = self._at(self._out(x))
            # The tightest bracket that a, middle, x, b offer: middle and x on either side of 0, or
            # x and the end whose sign differs.
            split = here * value < 0
            left = below * value < 0
            a, below, b, above = (
                np.where(split, middle, np.where(left, a, x)),
                np.where(split, here, np.where(left, below, value)),
                np.where(split, x, np.where(left, x, b)),
                np.where(split, value, np.where(left, value, above)),
            )
            if np.all((value == 0) | (np.abs(b - a) <= 1e-15 * np.abs(b))):
                break
        return x

    def _at(self, value: np.ndarray) -> np.ndarray:
        return self.excess(value if np.ndim(value) else float(value))

    def _in(self, value: Any) -> Any:
        return np.log(value) if self.logarithmic else value

    def _out(self, value: Any) -> Any:
        return np.exp(value) if self.logarithmic else value


def _hidden(points: list[tuple[float, float]]) -> list[tuple[float, float, int]]:
    """Brackets of extrema near 1 that may hide two crossings: (low, high, +1 peak or -1 valley)."""
    found = []
    for k in range(1, len(points) - 1):
        before, here, after = points[k - 1 : k + 2]
        sign = 1 if here[1] < 0 else -1
        extremal = sign * here[1] >= max(sign * before[1], sign * after[1])
        if extremal and abs(here[1]) < NEAR:
            found.append((before[0], after[0], sign))
    return found


def _intervals(parameter, ends, crossings, starts_stable) -> StabilityIntervals:
    edges = [ends[0], *crossings, ends[1]]
    stable = [(k % 2 == 0) == starts_stable for k, _ in enumerate(edges[:-1])]
    pieces = list(pairwise(edges))
    intervals = tuple(piece for piece, good in zip(pieces, stable, strict=True) if good)
    unstable = [piece for piece, good in zip(pieces, stable, strict=True) if not good]
    value = None
    if unstable:
        value = unstable[-1][1] if is_pull(parameter) else unstable[0][0]
    return StabilityIntervals(parameter, ends, intervals, value)
