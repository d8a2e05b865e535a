"""Where a noisy series has gone: a few straight pieces, with uncertainty."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn.runlog._log import Series

FEWEST = 6
"""Readings that a trend needs: a straight line leaves four to tell its error."""
PER_TURN = 8
"""Readings that each turn needs beside; fewer make turns of their noise."""
TURNS = 3
"""Most turns looked for: a smooth curve needs them, or its misfit looks like noise that sticks."""
PLACES = 20
"""Places at which a turn is looked for, evenly among the readings."""
EDGE = 3
"""Readings at either end between which it is."""
TURN_PARAMETERS = 3
"""What a turn costs in BIC: a slope, a place, and the search for the best place."""
BLOCKS = 120
"""Means that a series is cut down to before its peak is looked for."""
RIDGE = 1e-9
"""Added to the normal equations, since neighbouring turns around odd batches look alike."""
HUBER = 1.345
"""Residuals beyond so many standard deviations count less: 95 % as good as least squares for normal
noise, and one odd batch moves nothing."""
ODD = 6.0
"""Beyond so many it does not count: normal noise does that once in five hundred million."""
NEGLIGIBLE = 1e-4
"""What an odd batch then weighs: not nothing, so that every piece has readings."""
NEIGHBOURS = 4
"""Readings to either side whose median a reading is compared with."""
STICKIEST = 0.9
"""Largest correlation of neighbours believed: nineteen readings are then worth one."""


@dataclass(frozen=True, eq=False)
class Trend:
    """Straight pieces through a series.

    Attributes
    ----------
    steps, levels : numpy.ndarray
        (c,) corners: the first step, turns if there are any, the last step; and the levels there.
    covariance : numpy.ndarray
        (c, c) of the levels, with the correlation of neighbouring readings allowed for.
    noise : float
        Standard deviation of a reading around the pieces.
    readings, effective : int, float
        How many there are, and how many independent ones these are worth.
    ends : tuple of float or None
        The first and the last reading where all are of the same responses; pieces cut corners.
    """

    steps: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray
    noise: float
    readings: int
    effective: float
    ends: tuple[float, float] | None

    @property
    def start(self) -> float:
        """Level at the first step."""
        return float(self.levels[0])

    @property
    def end(self) -> float:
        """Level at the last step."""
        return float(self.levels[-1])

    @property
    def quoted(self) -> tuple[float, float]:
        """Start and end to tell: readings of the same responses, or else levels."""
        return self.ends or (self.start, self.end)

    @property
    def moved(self) -> float:
        """From the first step to the last."""
        return self.end - self.start

    @property
    def error(self) -> float:
        """Standard error of `moved`."""
        weights = np.zeros(len(self.levels))
        weights[0], weights[-1] = -1, 1
        return float(np.sqrt(weights @ self.covariance @ weights))

    def moves(self, sign: int, chance: float, least: float = 0.0) -> bool:
        """Whether it moves this way by more than `least`, and noise would less than `chance`."""
        return self.moved * sign > least and abs(self.moved) > self.width(chance) * self.error

    def width(self, chance: float) -> float:
        """Standard errors that noise exceeds, to either side, as often as `chance`."""
        from scipy.stats import t

        freedom = max(FEWEST - 2, self.effective - 2 * len(self.levels) + 2)
        return float(t.ppf(1 - chance / 2, freedom))

    def at(self, step: float) -> tuple[float, float]:
        """Level on the last piece, and beyond it, and its standard error."""
        share = (step - self.steps[-2]) / (self.steps[-1] - self.steps[-2])
        weights = np.zeros(len(self.levels))
        weights[-2:] = 1 - share, share
        return float(weights @ self.levels), float(np.sqrt(weights @ self.covariance @ weights))


def trend(series: Series) -> Trend:
    """Fit up to four straight pieces that meet; a further turn must earn its parameters by BIC.

    Batches of training differ, and odd ones among them count less (Huber's weights); evaluations
    of the same responses count alike.  Errors are inflated by (1 + r)/(1 - r), r the correlation
    of neighbouring residuals, because readings of the same responses wobble together.

    Raises
    ------
    InsufficientData
        Below six readings.
    """
    n = len(series.values)
    if n < FEWEST:
        raise InsufficientData(
            f"{series.column} has {n} reading{'s' * (n != 1)}: a trend takes {FEWEST}; log more "
            "often."
        )
    steps = np.asarray(series.steps, dtype=float)
    x = (steps - steps[0]) / (steps[-1] - steps[0])
    y = np.asarray(series.values, dtype=float)
    weights = _huber(y) if series.split == "train" else np.ones(n)
    corners = _corners(x, y, weights)
    design = _design(x, corners)
    weighted = design.T * weights
    levels = np.linalg.solve(weighted @ design, weighted @ y)
    residuals = y - design @ levels
    noise = _noise(residuals, weights, 2 * len(corners) - 2)
    sticky = _stickiness(residuals, n - 2 * len(corners) + 2)
    at = steps[0] + np.array(corners) * (steps[-1] - steps[0])
    covariance = np.linalg.inv(design.T @ design) * noise**2 * sticky
    ends = (float(y[0]), float(y[-1])) if series.split == "eval" else None
    return Trend(at, levels, covariance, noise, n, n / sticky, ends)


def _noise(residuals: np.ndarray, weights: np.ndarray, parameters: int) -> float:
    """Standard deviation of a reading; Huber's, which counts what the weights took away."""
    n, whole = len(residuals), float(np.mean(weights == 1))
    taken = 1 + parameters / n * (1 - whole) / whole
    return taken * float(np.sqrt(np.sum((weights * residuals) ** 2) / (n - parameters))) / whole


@dataclass(frozen=True)
class Peak:
    """When a series was highest: the best step, and those between which it lies (95 %)."""

    step: int
    earliest: int
    latest: int


def peak(series: Series, path: Trend) -> Peak:
    """Where the rise that fits best gives way to a fall, whatever their shapes.

    Least squares over all series that rise and then fall; peaks are as good as the best one while
    they cost no more than 3.84 variances of the noise of `path`, as in a likelihood ratio.
    """
    from scipy.optimize import isotonic_regression

    steps, y = _in_blocks(series)
    places = np.arange(len(y))
    costs = np.array(
        [
            ((y[: k + 1] - isotonic_regression(y[: k + 1]).x) ** 2).sum()
            + ((y[k:] - isotonic_regression(y[k:], increasing=False).x)[1:] ** 2).sum()
            for k in places
        ]
    )
    variance = path.noise**2 * path.readings / path.effective * len(y) / path.readings
    within = places[costs <= costs.min() + 3.84 * variance]
    best = places[costs <= costs.min() * (1 + 1e-9)][-1]  # a plateau ends where the fall begins
    return Peak(*(int(steps[k]) for k in (best, within[0], within[-1])))


def since(series: Series, step: int, until: int | None = None) -> Series:
    """The part of a series from a step on, up to another."""
    kept = (series.steps >= step) & (until is None or series.steps <= until)
    return replace(series, steps=series.steps[kept], values=series.values[kept])


def _in_blocks(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbours where there are many readings."""
    parts = np.array_split(np.arange(len(series.values)), min(BLOCKS, len(series.values)))
    middles = np.array([series.steps[part[len(part) // 2]] for part in parts])
    return middles, np.array([series.values[part].mean() for part in parts])


def _corners(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> list[float]:
    """Corners of the number of pieces that is best by BIC."""
    n = len(x)
    inner = np.arange(EDGE, n - EDGE)
    places = x[inner[np.linspace(0, len(inner) - 1, min(PLACES, len(inner))).astype(int)]]
    most = min(TURNS, (n - FEWEST) // PER_TURN)
    best = [_cheapest(x, y, weights, places, turns) for turns in range(most + 1)]
    finest = _residuals(x, y, weights, best[-1][0])
    worth = n / _stickiness(finest, n - 2 * most - 2)
    floor = n * _rounding(y) ** 2
    totals = [
        worth * np.log(max(cost, floor)) + TURN_PARAMETERS * turns * np.log(n)
        for turns, (_, cost) in enumerate(best)
    ]
    return [0.0, *best[int(np.argmin(totals))][0], 1.0]


def _cheapest(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, places: np.ndarray, turns: int
) -> tuple[tuple[float, ...], float]:
    """Places of the turns with the smallest sum of squares, and that sum."""
    basis = np.column_stack([np.ones_like(x), x, np.maximum(0, x[:, None] - places)])
    gram, right = basis.T @ (basis * weights[:, None]), basis.T @ (weights * y)
    found = list(combinations(range(len(places)), turns))
    chosen = np.array(found, dtype=int).reshape(len(found), turns)
    columns = np.column_stack([np.tile([0, 1], (len(chosen), 1)), chosen + 2])
    left = gram[columns[:, :, None], columns[:, None, :]] + RIDGE * np.eye(turns + 2)
    solved = np.linalg.solve(left, right[columns][..., None])[..., 0]
    sums = float(weights @ y**2) - (solved * right[columns]).sum(axis=1)
    best = int(np.argmin(sums))
    return tuple(places[chosen[best]]), float(sums[best])


def _design(x: np.ndarray, corners: list[float]) -> np.ndarray:
    """Columns whose coefficients are the levels at the corners."""
    return np.column_stack([np.interp(x, corners, row) for row in np.eye(len(corners))])


def _residuals(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, knots: tuple[float, ...]
) -> np.ndarray:
    design = _design(x, [0.0, *knots, 1.0])
    root = np.sqrt(weights)
    return y - design @ np.linalg.lstsq(design * root[:, None], root * y, rcond=None)[0]


def _huber(y: np.ndarray) -> np.ndarray:
    """Weights by the distance from the median of the neighbours, which knows no shape."""
    around = min(NEIGHBOURS, (len(y) - 1) // 2)
    padded = np.pad(y, around, mode="reflect")
    middles = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1), axis=1)
    off = np.abs(y - middles)
    spread = max(1.4826 * float(np.median(off)), _rounding(y))
    return np.where(
        off > ODD * spread, 0.0, np.minimum(1, HUBER * spread / np.maximum(off, spread))
    )


def _rounding(y: np.ndarray) -> float:
    return 1e-9 * max(float(np.abs(y).max()), 1e-100)


def _stickiness(residuals: np.ndarray, freedom: int) -> float:
    """How many readings are worth one independent one."""
    total = float(residuals @ residuals)
    if not total:
        return 1.0
    r = float(residuals[1:] @ residuals[:-1]) / total
    r = float(np.clip(r + (1 + 4 * r) / freedom, 0.0, STICKIEST))  # short series hide correlation
    return (1 + r) / (1 - r)
