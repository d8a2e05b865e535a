"""Cured rounds in symbols on one direction, and what the checks of cures share."""

from functools import cache
from typing import Any

import numpy as np
import sympy

from analysis.how_sampling_shapes._recipes import Recipe, plane, rotations
from prefdyn import fixed_point
from prefdyn.policies import softmax_jacobian
from prefdyn.rules import Rule

Array = np.ndarray

A, G, Z, SETTING = sympy.symbols("a g z setting")


def cured_round(kind: str) -> sympy.Matrix:
    """One cured round of a linear direction, ``F(x) = (a + g) x``, as a matrix on its memory.

    Written from the definition of the cure and not from its multipliers.
    """
    x, y, v = sympy.symbols("x y v")

    def pull(at):
        return G * at

    if kind == "optimistic":  # y: the last pull
        following = [A * x + (1 + SETTING) * pull(x) - SETTING * y, pull(x)]
    elif kind == "extragradient":
        following = [A * x + pull(A * x + pull(x))]
    elif kind == "averaged":  # y: the last average
        mean = SETTING * x + (1 - SETTING) * y
        following = [A * x + pull(mean), mean]
    else:  # a window of three: y, v are the policies before
        following = [A * x + pull((x + y + v) / 3), x, y]
    return sympy.Matrix(following).jacobian([x, y, v][: len(following)])


@cache
def characteristic(kind: str):
    """Coefficients of the characteristic polynomial of `cured_round`, as a function."""
    polynomial = cured_round(kind).charpoly(Z)
    return sympy.lambdify((A, G, SETTING), polynomial.all_coeffs())


def polynomial(kind: str, a: float, pulls: Array, setting: float) -> Array:
    """Product of the characteristic polynomials of all directions, real coefficients."""
    product = np.ones(1)
    for g in pulls:
        product = np.convolve(product, np.array(characteristic(kind)(a, g, setting), complex))
    return product.real


def pulls_of_ipo(r: Recipe) -> Array:
    """``g`` on the K - 1 directions of the simplex, from the singular values of MRS-4."""
    turning = rotations(r.game.skew, fixed_point(r.rule()).policy)[..., : r.game.K - 1]
    signs = np.where(np.arange(turning.shape[-1]) % 2, -1, 1)  # singular values come in pairs
    return 1j * signs * np.asarray(r.lam)[..., None] * turning / np.asarray(r.beta)[..., None]


def pulls_by_differences(rule: Any) -> Array:
    """``g`` of a single driven rule, by differences of its drive (nothing cured is used)."""
    policy = fixed_point(rule).policy
    mu, h = rule.lam * policy + (1 - rule.lam) * rule.mu0, 1e-6
    slope = np.stack(
        [(rule.drive(mu + h * e) - rule.drive(mu - h * e)) / (2 * h) for e in np.eye(rule.K)], -1
    )
    g = np.linalg.eigvals(plane(rule.K).T @ slope @ softmax_jacobian(policy) @ plane(rule.K))
    return np.asarray(rule.lam / rule.beta * g)


def observed_polynomial(rule: Rule, start: Any = None) -> Array:
    """Characteristic polynomial of a shipped rule at its fixed point, by differences of its step.

    Coefficients, unlike nearly equal roots, are well conditioned.
    """
    state = fixed_point(rule, start).state
    parts = len(state) // rule.K
    basis = np.kron(np.eye(parts), plane(rule.K))
    h = 1e-5
    columns = [
        (rule.step(state + h * e, 0, None) - rule.step(state - h * e, 0, None)) / (2 * h)
        for e in basis.T
    ]
    return np.poly(basis.T @ np.stack(columns, axis=-1)).real
