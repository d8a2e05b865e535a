"""Where multipliers cross the unit circle along a curve."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from prefdyn._stability._arclength import Failed, Path, between, root_between

Array = np.ndarray
Moduli = Callable[[Any, Array], Array]
"""Of a curve and a point of it: moduli of multipliers (m,) in descending order, which are
continuous functions on the curve."""

MARGINAL = 1e-7
"""A modulus this close to 1 is on neither side: the curve's own end, or a neutral direction."""
NEAR = 0.05
"""A local extremum of a modulus this close to 1 is searched for a hidden crossing."""


def with_hidden(path: Path, moduli: Moduli) -> Path:
    """The path, and points between its points that show crossings hidden by the steps."""
    sizes = np.array([moduli(*at) for at in zip(path.curves, path.points, strict=True)])
    points, curves = list(path.points), list(path.curves)
    for k in range(len(points) - 2, 0, -1):
        for j in range(sizes.shape[1]):
            before, here, after = sizes[k - 1 : k + 2, j] - 1
            sign = 1 if here < 0 else -1
            if not MARGINAL < abs(here) < NEAR or sign * here < max(sign * before, sign * after):
                continue
            for left in (k, k - 1):
                x = _extremal(path, left, lambda c, x, j=j, s=sign: s * (moduli(c, x)[j] - 1))
                if x is not None:
                    points.insert(left + 1, x)
                    curves.insert(left + 1, path.curves[left].passed(x))
    return path._replace(points=np.array(points), curves=curves)


def _extremal(path: Path, left: int, height: Callable[[Any, Array], float]) -> Array | None:
    """Where a height is largest between two neighbouring points, if it is above 0 there."""
    from scipy.optimize import minimize_scalar

    curve = path.curves[left]
    point = between(curve, path.points[left], path.points[left + 1])
    try:
        best: Any = minimize_scalar(
            lambda c: -height(curve, point(c)),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-4},
        )
        x = point(best.x)
    except Failed:
        return None
    return x if height(curve, x) > MARGINAL else None


def crossings(path: Path, moduli: Moduli) -> list[tuple[Array, Any, int, int]]:
    """Points of a path where a modulus is 1, in order.

    Returns
    -------
    list
        The point, the curve there, the modulus' place in descending order, and the index of the
        point of the path before it.
    """
    signs = np.array([_sides(moduli(*at)) for at in zip(path.curves, path.points, strict=True)])
    found: list[tuple[Array, Any, int, int]] = []
    for j in range(signs.shape[1]):
        decided = np.flatnonzero(signs[:, j])
        for left, right in pairwise(decided):
            if signs[left, j] == signs[right, j] or right - left > 2:
                continue
            curve = path.curves[left]
            root = root_between(
                curve,
                path.points[left],
                path.points[right],
                lambda x, j=j, curve=curve: float(moduli(curve, x)[j] - 1),
            )
            if root is not None:
                found.append((root, curve.passed(root), j, int(left)))
    return _one_of_each(sorted(found, key=lambda item: (item[3], item[2])), path.points)


def sign_changes(path: Path, test: Callable[[Any, Array], float]) -> list[tuple[Array, Any, int]]:
    """Points of a path where a function of it is 0, the curve there, the index of the point before.

    A change of sign through infinity is none.
    """
    values = np.array([test(*at) for at in zip(path.curves, path.points, strict=True)])
    found: list[tuple[Array, Any, int]] = []
    for k in np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0).tolist():
        curve = path.curves[k]
        root = root_between(
            curve, path.points[k], path.points[k + 1], lambda x, curve=curve: test(curve, x)
        )
        if root is not None and abs(test(curve, root)) <= 0.1 * min(abs(values[k : k + 2])):
            found.append((root, curve.passed(root), k))
    return found


def _sides(moduli: Array) -> Array:
    """1 outside the unit circle, -1 inside, 0 on it."""
    return np.where(np.abs(moduli - 1) > MARGINAL, np.sign(moduli - 1), 0)


def _one_of_each(found: list[tuple[Array, Any, int, int]], points: Array) -> list:
    """Without the second of a pair, which crosses with the first."""
    kept: list[tuple[Array, Any, int, int]] = []
    for x, curve, j, left in found:
        near = 1e-6 * np.linalg.norm(points[left + 1] - points[left])
        if not any(k + 1 == j and np.linalg.norm(z - x) < near for z, _, k, _ in kept):
            kept.append((x, curve, j, left))
    return kept
