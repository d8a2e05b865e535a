"""Where a noisy series has gone: a few straight pieces, with uncertainty."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn.runlog._log import Series

FEWEST = 6
"""Readings that a trend needs: a straight line leaves four to tell its error."""
PER_TURN = 8
"""Readings that each turn needs beside; fewer make turns of their noise."""
TURNS = 2
"""Most turns looked for: a peak, and a levelling off."""
PLACES = 24
"""Places at which a turn is looked for, evenly among the readings."""
EDGE = 3
"""Readings at either end between which it is."""
TURN_PARAMETERS = 3
"""What a turn costs in BIC: a slope, a place, and the search for the best place."""
HUBER = 1.345
"""Residuals beyond so many standard deviations count less: 95 % as good as least squares for normal
noise, and one odd batch moves nothing."""
REWEIGHTINGS = 4
"""Of these residuals; after four no figure said changes."""
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
    places : numpy.ndarray
        (p, c) corners that fit as well, with 95 % confidence.
    """

    steps: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray
    noise: float
    readings: int
    effective: float
    places: np.ndarray

    @property
    def start(self) -> float:
        """Level at the first step."""
        return float(self.levels[0])

    @property
    def end(self) -> float:
        """Level at the last step."""
        return float(self.levels[-1])

    @property
    def top(self) -> int:
        """The highest corner before the last; the later one where two are level."""
        return int(np.flatnonzero(self.levels[:-1] == self.levels[:-1].max())[-1])

    @property
    def bottom(self) -> int:
        """The lowest corner before the last."""
        return int(np.flatnonzero(self.levels[:-1] == self.levels[:-1].min())[-1])

    def change(self, corner: int = 0) -> tuple[float, float]:
        """From a corner to the last step, and its standard error."""
        weights = np.zeros(len(self.levels))
        weights[-1] += 1
        weights[corner] -= 1
        return float(weights @ self.levels), float(np.sqrt(weights @ self.covariance @ weights))

    def between(self, corner: int) -> tuple[int, int]:
        """Steps between which a corner lies, with 95 % confidence."""
        return round(float(self.places[:, corner].min())), round(
            float(self.places[:, corner].max())
        )

    def moves(self, sign: int, chance: float, least: float = 0.0, corner: int = 0) -> bool:
        """Whether noise makes a change of this sign and size, from a corner, less than `chance`."""
        moved, error = self.change(corner)
        return moved * sign > least and abs(moved) > self.width(chance) * error

    def width(self, chance: float) -> float:
        """Standard errors that noise exceeds, to either side, as often as `chance`."""
        from scipy.stats import t

        return float(t.ppf(1 - chance / 2, max(1.0, self.effective - 2 * len(self.levels) + 2)))

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
            f"{series.column} has {n} readings: a trend takes {FEWEST}; log more often."
        )
    steps = np.asarray(series.steps, dtype=float)
    x = (steps - steps[0]) / (steps[-1] - steps[0])
    y = np.asarray(series.values, dtype=float)
    weights = np.ones(n)
    for _ in range(REWEIGHTINGS if series.split == "train" else 1):
        corners, near = _corners(x, y, weights)
        design = _design(x, corners)
        inverse = np.linalg.inv(design.T @ (design * weights[:, None]))
        levels = inverse @ (design.T @ (weights * y))
        residuals = y - design @ levels
        if series.split == "train":
            weights = _huber(residuals, y)
    freedom = n - 2 * len(corners) + 2
    noise = np.sqrt(float(weights @ residuals**2) / freedom)
    sticky = _stickiness(residuals, freedom)
    place = steps[0] + np.array([corners, *near]) * (steps[-1] - steps[0])
    return Trend(place[0], levels, inverse * noise**2 * sticky, noise, n, n / sticky, place)


def _corners(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[list[float], list[list[float]]]:
    """Corners of the best number of pieces, and others that cost hardly more."""
    n = len(x)
    inner = np.arange(EDGE, n - EDGE)
    places = x[inner[np.linspace(0, len(inner) - 1, min(PLACES, len(inner))).astype(int)]]
    most = min(TURNS, (n - FEWEST) // PER_TURN)
    costs = {turns: _costs(x, y, weights, places, turns) for turns in range(most + 1)}
    floor = _rounding(y) ** 2 * n
    finest = max(min(costs[most].values()), floor)
    best = costs[most]
    worth = n / _stickiness(
        _residuals(x, y, weights, min(best, key=best.__getitem__)), n - 2 * most - 2
    )
    lowest = {turns: max(min(table.values()), floor) for turns, table in costs.items()}
    earned = {
        turns: worth * np.log(cost / finest) + TURN_PARAMETERS * turns * np.log(n)
        for turns, cost in lowest.items()
    }
    turns = min(earned, key=earned.__getitem__)
    within = [
        knots
        for knots, cost in costs[turns].items()
        if worth * np.log(max(cost, floor) / lowest[turns]) <= 3.84  # 95 % of chi square (1)
    ]
    chosen = min(costs[turns], key=costs[turns].__getitem__)
    return [0.0, *chosen, 1.0], [[0.0, *knots, 1.0] for knots in within]


def _costs(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, places: np.ndarray, turns: int
) -> dict[tuple[float, ...], float]:
    """Sum of squares by the places of the turns."""
    basis = np.column_stack([np.ones_like(x), x, np.maximum(0, x[:, None] - places)])
    gram, right = basis.T @ (basis * weights[:, None]), basis.T @ (weights * y)
    found = list(combinations(range(len(places)), turns))
    chosen = np.array(found, dtype=int).reshape(len(found), turns)
    columns = np.column_stack([np.tile([0, 1], (len(chosen), 1)), chosen + 2])
    left = gram[columns[:, :, None], columns[:, None, :]]
    solved = np.linalg.solve(left, right[columns][..., None])[..., 0]
    sums = float(weights @ y**2) - (solved * right[columns]).sum(axis=1)
    return {tuple(places[row]): float(cost) for row, cost in zip(chosen, sums, strict=True)}


def _design(x: np.ndarray, corners: list[float]) -> np.ndarray:
    """Columns whose coefficients are the levels at the corners."""
    return np.column_stack([np.interp(x, corners, row) for row in np.eye(len(corners))])


def _residuals(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, knots: tuple[float, ...]
) -> np.ndarray:
    design = _design(x, [0.0, *knots, 1.0])
    root = np.sqrt(weights)
    return y - design @ np.linalg.lstsq(design * root[:, None], root * y, rcond=None)[0]


def _huber(residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
    spread = max(1.4826 * float(np.median(np.abs(residuals))), _rounding(y))
    return np.minimum(1, HUBER * spread / np.maximum(np.abs(residuals), spread))


def _rounding(y: np.ndarray) -> float:
    return 1e-9 * max(float(np.abs(y).max()), 1e-300)


def _stickiness(residuals: np.ndarray, freedom: int) -> float:
    """How many readings are worth one independent one."""
    total = float(residuals @ residuals)
    if not total:
        return 1.0
    r = float(residuals[1:] @ residuals[:-1]) / total
    r = float(np.clip(r + (1 + 4 * r) / freedom, 0.0, STICKIEST))  # short series hide correlation
    return (1 + r) / (1 - r)
