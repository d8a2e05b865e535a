"""Orbit diagrams: where runs end as a parameter is swept up and down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import choice, count, positive
from prefdyn._progress import working
from prefdyn._stability._long_run import along, ascending, begin, record
from prefdyn._stability._long_run import settle as settled
from prefdyn._stability.fixed_points import tangent
from prefdyn.rules._rule import Rule, a_rule
from prefdyn.rules._wrapper import set_parameter

DIRECTIONS = {"up": ("up",), "down": ("down",), "both": ("up", "down")}
NUDGE = 1e-4
"""Size of the push that a state gets at every new value: without it, a run would stay for long on
a fixed point that has lost its stability, and that delay would pass for hysteresis."""
PATIENCE = 4
"""A difference must still be there after so many times the rounds that settling was given."""
DRAWN = 400
"""Rounds, at most, that are then compared."""


@dataclass(frozen=True)
class OrbitDiagram:
    """Policies that long runs visit along a parameter.

    Attributes
    ----------
    parameter, values
        What was swept, and through which values (n,), ascending.
    directions
        "up", "down", or both.
    policies
        By direction (n, keep, K): the last rounds at each value.
    distance
        Distance of the two directions' sets of policies at each value (n,): the mean over the
        points of each of the largest difference of a probability from the nearest point of the
        other, the larger of both.  NaN for one direction.
    hysteresis
        Where the directions end on different attractors (n,): the distance exceeds `tolerance` and
        what the sets differ in themselves, and does not shrink in four times as many rounds.
    tolerance
        The distance that is put down to settling.
    """

    parameter: str
    values: np.ndarray
    directions: tuple[str, ...]
    policies: dict[str, np.ndarray]
    distance: np.ndarray
    hysteresis: np.ndarray
    tolerance: float

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """First and last value of each stretch on which the directions differ."""
        edges = np.diff(np.concatenate([[0], self.hysteresis.astype(int), [0]]))
        ends = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
        return tuple((float(self.values[a]), float(self.values[b])) for a, b in ends)


@working("drawing the orbit diagram")
def orbit_diagram(
    rule: Rule,
    parameter: str,
    values: Sequence[float] | np.ndarray,
    *,
    start: Any = None,
    settle: int = 1000,
    keep: int = 100,
    direction: str = "both",
    tolerance: float = 1e-3,
) -> OrbitDiagram:
    """Sweep one parameter, carrying the state along, and keep where the runs end.

    A sweep up and a sweep down that end differently at one value show two attractors there
    (hysteresis, claims NS-4 and NS-5).  That they agree proves nothing: an attractor that neither
    sweep meets remains unseen; `basins` looks for those.

    Parameters
    ----------
    rule
        A rule without batch.
    parameter
        Its name, as in `prefdyn.rules.set_parameter`.
    values
        Values (n,), in ascending order.
    start
        Probabilities from which each sweep begins; by default as in `prefdyn.orbit`.
    settle, keep
        Rounds at each value to discard, and to keep.
    direction
        "up", "down" or "both".
    tolerance
        Distance of the two directions' policies up to which they count as equal.

    Raises
    ------
    InputError
        For an unknown parameter or direction, a batch, or values not in ascending order.
    InsufficientData
        If a run leaves every bound.
    """
    rule = a_rule(rule).skeleton
    if rule.batch_shape:
        raise InputError(f"a batch of {rule.batch_shape} rules cannot be swept: pass one rule.")
    values = ascending(values, parameter)
    directions = DIRECTIONS[choice(direction, DIRECTIONS, "direction")]
    settle, keep = count(settle, "settle"), count(keep, "keep", least=4)
    tolerance = float(positive(tolerance, "tolerance"))
    policies, states = {}, {}
    for name in directions:
        order = slice(None) if name == "up" else slice(None, None, -1)
        swept = _sweep(rule, parameter, values[order], start, settle, keep)
        policies[name], states[name] = (part[order] for part in swept)
    distance = np.full(len(values), np.nan)
    hysteresis = np.zeros(len(values), dtype=bool)
    if len(directions) == 2:
        distance, apart = _compare(policies["up"], policies["down"], tolerance)
        hysteresis = apart.copy()
        if apart.any():
            family = along(rule, [parameter], [values[apart]])
            later = {
                name: _later(family, state[apart], settle, keep) for name, state in states.items()
            }
            still = _lasts(policies, later, distance, apart, tolerance)
            hysteresis[apart] = still
    return OrbitDiagram(parameter, values, directions, policies, distance, hysteresis, tolerance)


def _sweep(rule, parameter, values, start, settling, keep) -> tuple[np.ndarray, np.ndarray]:
    """Policies (n, keep, K) and last states (n, ...), the state carried from value to value."""
    state = begin(set_parameter(rule, parameter, float(values[0])), start)
    push = NUDGE * tangent(rule) @ np.cos(1.0 + np.arange(tangent(rule).shape[1]))
    policies, states = [], []
    for value in values:
        here = set_parameter(rule, parameter, float(value))
        visited, state = record(here, settled(here, state + push, settling), keep)
        policies.append(np.exp(visited))
        states.append(state)
    return np.stack(policies), np.stack(states)


def _later(family: Rule, state: np.ndarray, settling: int, keep: int) -> np.ndarray:
    """Policies (n, kept, K) after a longer wait, drawn from many more rounds.

    Near a resonance a run turns slowly along its curve, and a few successive rounds show but a part
    of it, which is another part in each direction.
    """
    visited, _ = record(family, settled(family, state, PATIENCE * settling), settling + keep)
    drawn = np.random.default_rng(0).choice(len(visited), min(len(visited), DRAWN), replace=False)
    return np.moveaxis(np.exp(visited[np.sort(drawn)]), 0, 1)


def _compare(up: np.ndarray, down: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) of the directions' policies, and whether they are more than scatter."""
    distance = np.array([set_distance(a, b) for a, b in zip(up, down, strict=True)])
    half = up.shape[1] // 2
    scatter = [
        [set_distance(run[:half], run[half:]) for run in policies] for policies in (up, down)
    ]
    return distance, distance > tolerance + np.max(scatter, axis=0)


def _lasts(policies, later, distance, apart, tolerance) -> np.ndarray:
    """Whether differences are still there after many more rounds, and no run is on its way."""
    after, still = _compare(later["up"], later["down"], tolerance)
    still &= after > 0.9 * distance[apart]
    for name, runs in later.items():
        before, now = size(policies[name][apart]), size(runs)
        # A small loop that grows is leaving a fixed point that has lost its stability.
        still &= ~((now > 1.05 * before) & (now < 0.1 * after) & (now > 1e-12))
    return still


def size(policies: np.ndarray) -> np.ndarray:
    """Root-mean-square distance (...,) of policies (..., keep, K) from their mean."""
    return np.sqrt(policies.var(axis=-2).sum(axis=-1))


def set_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean nearest-neighbour distance of two sets of policies (n, K), the larger of both ways.

    Means, not the largest: two samples of one closed curve have gaps.
    """
    gaps = np.abs(one[:, None] - other[None]).max(axis=-1)
    return float(max(gaps.min(axis=0).mean(), gaps.min(axis=1).mean()))
