"""Multipliers at a fixed point: whether a small perturbation shrinks, grows or turns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._stability.fixed_points import FixedPoint, fixed_point, tangent
from prefdyn.rules._rule import Rule, a_rule

REAL = 1e-9
"""Angle in radians below which a multiplier counts as real, modulus below which as 0, and
distance from 1 below which as 1."""


@dataclass(frozen=True)
class Stability:
    """Linear stability of a fixed point.

    Attributes
    ----------
    multipliers
        Eigenvalues of one round on the tangent space of the simplex, (..., m), largest modulus
        first.
    spectral_radius
        Modulus of the first, (...,).
    kind
        ``"stable"``, or how stability is lost: ``"neimark_sacker"`` (complex pair), ``"flip"``
        (real, negative), ``"fold"`` (real, positive); ``"marginal"`` where the first multiplier is
        1, as along a line of fixed points; an array of words for a batch.
    period
        Rounds per turn of the leading multiplier, ``2 pi / |angle|``; infinite where it is real
        and positive.  At the boundary this is the period of the cycle that is born (MRS-7).
    jacobian_by
        ``"closed form"``, ``"autodiff"`` or ``"finite differences"``.
    point
        The fixed point.
    """

    multipliers: np.ndarray
    spectral_radius: Any
    kind: Any
    period: Any
    jacobian_by: str
    point: FixedPoint


def stability(rule: Rule, point: FixedPoint | Any = None) -> Stability:
    """Multipliers of a rule at a fixed point, on the directions that carry dynamics.

    Parameters
    ----------
    rule
        Any `Rule`; a batched one gives batched results.
    point
        A `FixedPoint`, or probabilities (..., K) to search from; by default from uniform.

    Raises
    ------
    NoOptimum
        If no fixed point is found.
    InputError
        For a fixed point of another number of responses.
    """
    rule = a_rule(rule).skeleton
    if not isinstance(point, FixedPoint):
        point = fixed_point(rule, point)
    elif (K := point.policy.shape[-1]) != rule.K:
        raise InputError(
            f"the fixed point given is one of {K} responses, and the rule has {rule.K}: find one "
            "with fixed_point(rule)."
        )
    multipliers, by = multipliers_at(rule, point.state)
    leading = multipliers[..., 0]
    radius = np.abs(leading)
    angle = _angle(leading)
    kind = kinds(leading)
    with np.errstate(divide="ignore"):
        period = np.where(angle < REAL, np.inf, 2 * np.pi / np.maximum(angle, REAL))
    if radius.ndim == 0:
        return Stability(multipliers, float(radius), str(kind), float(period), by, point)
    return Stability(multipliers, radius, kind, period, by, point)


def kinds(leading: Any) -> np.ndarray:
    """Words for leading multipliers of any shape; see `Stability`."""
    angle = _angle(leading)
    return np.select(
        [np.abs(leading - 1) <= REAL, np.abs(leading) < 1, angle < REAL, angle > np.pi - REAL],
        ["marginal", "stable", "fold", "flip"],
        "neimark_sacker",
    )


def _angle(leading: Any) -> np.ndarray:
    """Moduli of the angles of multipliers; rounding of 0 turns nothing."""
    return np.where(np.abs(leading) < REAL, 0.0, np.abs(np.angle(leading)))


def multipliers_at(rule: Rule, state: np.ndarray) -> tuple[np.ndarray, str]:
    """Multipliers (..., m) at a state, largest modulus first, and how the Jacobian was obtained."""
    basis = tangent(rule)
    jacobian = rule.jacobian(state)
    return eigenvalues(basis.T @ jacobian.matrix @ basis), jacobian.by


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """Eigenvalues (..., m) of matrices (..., m, m), largest modulus first."""
    values = np.linalg.eigvals(matrix).astype(complex)
    # Conjugates have equal moduli: the one with positive angle goes first.
    order = np.lexsort((-np.imag(values), -np.round(np.abs(values), 12)), axis=-1)
    return np.take_along_axis(values, order, axis=-1)
