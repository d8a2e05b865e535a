"""Following a curve on which a system of equations holds, by pseudo-arclength continuation.

The curve is ``F(x) = 0`` with one equation less than x has entries.  A step goes along the tangent
and comes back by Newton's method on F and on the plane across the tangent, so that a curve that
turns round in a parameter is no obstacle (Keller 1977; Kuznetsov, Elements of Applied Bifurcation
Theory, chapter 10).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from prefdyn._errors import InputError

Array = np.ndarray

FIRST, COARSE, SMALLEST = 1e-2, 1e-6, 1e-9
"""First step, one that is fine whatever the multipliers do, and the smallest, in the curve's
metric, where a range has length 1."""
NEWTON_STEPS = 12
TOLERANCE, SHORT = 1e-9, 1e-6
"""Residual, relative to its slope, and step, relative to the point, before the last Newton step:
what that leaves is their square."""
STATE = 5.0
"""Relative change of the state that counts as much as the whole range of a parameter."""
NODES = 0.5 - 0.5 * np.cos(np.pi * np.arange(10) / 9)
"""Shares of a chord at which a curve is interpolated where it cannot be solved for."""
ROOT = 1e-6
"""Largest value of a test function at its root, relative to those around."""
RUNAWAY, STILL = 1e3, 1e-4
"""A state grown by this factor, while a unit step changes no parameter by more than the second,
is on its way to infinity."""
TURN = 0.95
"""Smallest cosine between tangents of neighbouring points: sharper turns take smaller steps."""


class Curve(Protocol):
    """What is followed; the last `parameters` entries of x are coordinates in [0, 1]."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        ...

    def linear(self, x: Array) -> tuple[Array, Array]:
        """F, one entry less than x has, and its derivative, one row less than columns."""
        ...

    def resolved(self, before: Array, after: Array) -> bool:
        """Whether two points are near enough to be neighbours."""
        ...

    def passed(self, x: Array) -> "Curve":
        """The curve as it goes on from an accepted point."""
        ...

    def end(self, x: Array) -> "End | None":
        """Whether the curve has ended between the last accepted point and x."""
        ...

    def where(self, x: Array) -> str:
        """The parameters at a point, in words."""
        ...


class Path(NamedTuple):
    """Points of a curve.

    Attributes
    ----------
    points
        In order, (n, N).
    curves
        The curve as it is at each point, see `Curve.passed`.
    reason
        Why it ends, in words.
    closed
        Whether it is a loop.
    """

    points: Array
    curves: list[Any]
    reason: str
    closed: bool = False


class End(NamedTuple):
    """Why a curve ends, in words, and a function whose sign changes there."""

    reason: str
    test: Callable[[Array], float]


class Failed(Exception):
    """Newton's method found no point, for a reason in words."""


def correct(curve: Curve, guess: Array, normal: Array) -> tuple[Array, Array]:
    """The curve's point on the plane ``normal . (x - guess) = 0`` by Newton's method, and F' there.

    Raises
    ------
    Failed
        If there is none near the guess, or a parameter leaves the range that the rule accepts.
    """
    x = guess
    for _ in range(NEWTON_STEPS):
        try:
            with np.errstate(all="ignore"):
                residual, slope = curve.linear(x)
        except ValueError as error:  # InputError, or what a rule of yours says
            raise Failed(f"the rule refuses to go on ({error})") from None
        if not (np.all(np.isfinite(residual)) and np.all(np.isfinite(slope))):
            break
        try:
            step = np.linalg.solve(
                np.vstack([slope, normal]), np.append(residual, normal @ (x - guess))
            )
        except np.linalg.LinAlgError:
            break
        small = np.abs(residual).max() <= TOLERANCE * _scale(slope, x)
        short = np.abs(step).max() <= SHORT * max(1.0, np.abs(x).max())
        x = x - step
        if small and short:
            return x, slope
    raise Failed("Newton's method finds no further point")


def _scale(slope: Array, x: Array) -> float:
    """What rounding in one evaluation can do, over the smallest number it can do it to."""
    return max(1.0, np.abs(slope).sum(axis=1).max(), 1e-3 * np.abs(x).max())


def tangent(
    curve: Curve, x: Array, along: Array | None = None, slope: Array | None = None
) -> Array:
    """Unit tangent in the metric at x, on the side of `along`; F' there may be given."""
    weights = metric(curve, x)
    if slope is None:
        with np.errstate(all="ignore"):
            slope = curve.linear(x)[1]
    direction = np.linalg.svd(slope / weights)[2][-1] / weights
    if along is not None and direction @ (weights**2 * along) < 0:
        return -direction
    return direction


def metric(curve: Curve, x: Array) -> Array:
    """Weights: parameters are measured by their ranges, states relative to their size.

    A step of the whole range may be as long as one that changes the state `STATE`-fold.
    """
    weights = np.ones(len(x))
    size = np.abs(x[: -curve.parameters]).max(initial=0)
    weights[: -curve.parameters] = 1 / (STATE * max(1.0, size))
    return weights


def both_ways(curve: Curve, start: Array, direction: Array, longest: float, most: int) -> Path:
    """The curve from a point on it along a direction and against it; see `follow`."""
    onward = follow(curve, start, direction, longest, most)
    if onward.closed:
        return onward._replace(reason="The curve closes on itself.")
    back = follow(curve, start, -direction, longest, most)
    return Path(
        np.concatenate([back.points[:0:-1], onward.points]),
        [*back.curves[:0:-1], *onward.curves],
        f"It begins where {back.reason}; it ends where {onward.reason}.",
    )


def follow(curve: Curve, start: Array, direction: Array, longest: float, most: int) -> Path:
    """Points of a curve from a point on it, in a direction, until something ends it.

    Parameters
    ----------
    curve, start
        What is followed, and from which point of it.
    direction
        Tangent at the start, pointing where to go.
    longest
        Longest step in the curve's metric.
    most
        Points after which to stop.
    """
    points, curves = [start], [curve.passed(start)]
    along, size = direction, min(FIRST, longest)

    def path(reason: str, closed: bool = False) -> Path:
        return Path(np.array(points), curves[: len(points)], reason, closed)

    while len(points) <= most:
        x, curve = points[-1], curves[-1]
        reach, edge = _to_edge(curve, x, along)
        if reach <= 1e-12:
            return path(_at_edge(curve, x))
        landing = reach <= size
        size = min(size, reach)
        try:
            new, following = _step(curve, x, along, size, edge if landing else None)
        except (Failed, ValueError) as failure:
            size /= 2
            if size < SMALLEST:
                return path(f"{failure} at {curve.where(x)}")
            continue
        if (end := curve.end(new)) is not None:
            last = root_between(curve, x, new, end.test)
            if last is not None:
                points.append(last)
                curves.append(curve.passed(last))
            return path(f"{end.reason} at {curve.where(points[-1])}")
        points.append(new)
        curves.append(curve.passed(new))
        if landing:
            return path(_at_edge(curve, new))
        if _runs_away(curve, start, new, following):
            return path(f"the state grows without bound near {curve.where(new)}")
        if _is_back(points, direction, following, metric(curve, new)):
            points[-1] = start
            return path("the curve closes on itself", closed=True)
        along, size = following, min(1.5 * size, longest)
    return path(f"{most} points are reached at {curve.where(points[-1])}: allow more")


def _step(
    curve: Curve, x: Array, along: Array, size: float, edge: Array | None
) -> tuple[Array, Array]:
    """The next point and the tangent there; on the plane of an edge where one is given."""
    weights = metric(curve, x)
    trial = x + size * along
    if edge is not None:
        trial = np.where(edge > 0, np.round(trial), trial)
    new, slope = correct(curve, trial, weights**2 * along if edge is None else edge)
    following = tangent(curve, new, along, slope)
    place = new[-curve.parameters :]
    if edge is None and not np.all((place >= 0) & (place <= 1)):
        raise Failed("the curve leaves the range in a turn")
    if (weights**2 * along) @ following < TURN * np.linalg.norm(weights * following):
        raise Failed("the curve turns too sharply")
    if size > COARSE and not curve.resolved(x, new):
        raise Failed("the multipliers change too fast")
    return new, following


def _to_edge(curve: Curve, x: Array, along: Array) -> tuple[float, Array]:
    """Length of the step to the nearest end of a range, and the plane of that end."""
    place, speed = x[-curve.parameters :], along[-curve.parameters :]
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(
            speed > 0, (1 - place) / speed, np.where(speed < 0, -place / speed, np.inf)
        )
    nearest = int(np.argmin(reach))
    plane = np.zeros(len(x))
    plane[len(x) - curve.parameters + nearest] = 1
    return float(reach[nearest]), plane


def _at_edge(curve: Curve, x: Array) -> str:
    return f"the range ends at {curve.where(x)}"


def _runs_away(curve: Curve, start: Array, x: Array, along: Array) -> bool:
    number = curve.parameters
    grown = np.abs(x[:-number]).max(initial=0) > RUNAWAY * max(
        1.0, np.abs(start[:-number]).max(initial=0)
    )
    return bool(grown and np.abs(along[-number:]).max() < STILL)


def _is_back(points: list[Array], first: Array, last: Array, weights: Array) -> bool:
    """Whether the latest step has passed the start in the direction it was left in."""
    if len(points) < 10 or (weights**2 * first) @ last <= 0:
        return False
    step = weights * (points[-1] - points[-2])
    to_start = weights * (points[0] - points[-2])
    share = float((to_start @ step) / (step @ step))
    return 0 < share <= 1 and bool(
        np.linalg.norm(to_start - share * step) < 0.2 * np.linalg.norm(step)
    )


def between(curve: Curve, left: Array, right: Array) -> Callable[[float], Array]:
    """The curve between two of its points, by the share in [0, 1] of the chord.

    The guess is the cubic through both points along their tangents: where branches cross, only a
    good guess finds the same branch again.
    """
    chord = right - left
    plane = metric(curve, left) ** 2 * chord
    ends = [tangent(curve, x, chord) for x in (left, right)]
    first, last = (end * (plane @ chord) / (plane @ end) - chord for end in ends)

    def point(share: float) -> Array:
        if share in (0, 1):
            return right if share else left
        rest = 1 - share
        bend = share * rest * (rest * first - share * last)
        return correct(curve, left + share * chord + bend, plane)[0]

    return point


def root_between(
    curve: Curve, left: Array, right: Array, test: Callable[[Array], float]
) -> Array | None:
    """Where a test function changes sign between two points of a curve; None if that fails.

    Where another branch crosses, Newton's method is singular and fails: there the curve is
    interpolated through points around the crossing.
    """
    from scipy.interpolate import BarycentricInterpolator
    from scipy.optimize import brentq

    point = between(curve, left, right)
    try:
        chosen: Any = brentq(lambda c: test(point(c)), 0, 1, xtol=1e-14)
        root = point(chosen)
        if abs(test(root)) <= ROOT * (abs(test(left)) + abs(test(right))):
            return root  # else Newton's method has changed to the branch that crosses
    except (Failed, InputError):
        pass
    found = list(_where_possible(point, NODES))
    values = np.array([[*x, test(x)] for _, x in found])
    if len(found) < 4 or values[0, -1] * values[-1, -1] > 0:
        return None
    smooth: Any = BarycentricInterpolator([share for share, _ in found], values)
    chosen = brentq(lambda c: smooth(c)[-1], found[0][0], found[-1][0], xtol=1e-14)
    return smooth(chosen)[:-1]


def _where_possible(point: Callable[[float], Array], shares: Array) -> Any:
    for share in shares.tolist():
        try:
            yield share, point(share)
        except Failed:
            continue
