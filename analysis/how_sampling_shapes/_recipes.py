"""Random MRS-IPO recipes, the map in symbols, and what the checks of iterated rounds share."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from analysis._draws import game, interior, log_uniform
from prefdyn import MRSIPO, PreferenceMatrix, fixed_point, games, orbit
from prefdyn.policies import centre, log_softmax, softmax_jacobian
from prefdyn.rules import Rule

Array = np.ndarray


class Recipe(NamedTuple):
    """What an MRS rule takes; arrays are a batch of independent recipes."""

    game: PreferenceMatrix
    beta: Any
    alpha: Any
    lam: Any
    reference: Any = None
    offline: Any = None

    def rule(self) -> MRSIPO:
        """The shipped closed-form rule."""
        return MRSIPO(*self)


def recipe(rng: np.random.Generator, K: int, size: int, least_beta: float = 0.05) -> Recipe:
    """A batch of recipes: random game, reference and offline sampler, beta up to 3."""
    return Recipe(
        game(rng, K, size),
        log_uniform(rng, least_beta, 3, size),
        rng.uniform(0, 0.95, size),
        rng.uniform(0, 1, size),
        interior(rng, K, size),
        interior(rng, K, size),
    )


def rps(a: Any, beta: Any, alpha: Any, lam: Any) -> MRSIPO:
    """MRS-IPO on rock-paper-scissors, uniform reference and offline sampler; arrays broadcast."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in (a, beta, alpha, lam)))
    return MRSIPO(games.rock_paper_scissors(np.broadcast_to(a, shape)), beta, alpha, lam)


def step(rule: Rule, theta: Array) -> Array:
    """One shipped round, centred logits in and out."""
    return rule.step(theta, 0, None)


def spectral_norm(matrix: Array) -> Array:
    """Largest singular value."""
    return np.linalg.norm(matrix, ord=2, axis=(-2, -1))


def rotations(A: Array, policy: Array) -> Array:
    """Singular values of ``J(pi)^(1/2) A J(pi)^(1/2)``, largest first.

    As those of ``B^T A B``, ``B = diag(sqrt pi) - pi sqrt(pi)^T``: B B^T = J(pi), and no root of a
    nearly singular matrix is taken.
    """
    root = np.sqrt(policy)
    B = root[..., None] * np.eye(root.shape[-1]) - policy[..., :, None] * root[..., None, :]
    return np.linalg.svd(B.mT @ A @ B, compute_uv=False)


def plane(K: int) -> Array:
    """Orthonormal basis (K, K - 1) of the directions that sum to 0."""
    return np.linalg.svd(np.ones((K, 1)))[0][:, 1:]


def finite_differences(rule: Rule, theta: Array, h: float = 1e-6) -> Array:
    """Jacobian (..., K, K) of the centred map, by central differences."""
    K = theta.shape[-1]
    columns = [(step(rule, theta + h * e) - step(rule, theta - h * e)) / (2 * h) for e in np.eye(K)]
    return centre(np.stack(columns, axis=-1))


def growth_rates(rule: Rule, rounds: int, size: float) -> Array:
    """Simulated growth per round, in nats, of a perturbation of the fixed point.

    The orbit starts `size` away, along the leading eigenvector; its distance is measured along the
    left eigenvector, where nothing turns: ``log(|w theta_T| / |w theta_0|)/T`` is log |multiplier|
    for a small perturbation.
    """
    point = fixed_point(rule).state
    values, left = np.linalg.eig(finite_differences(rule, point).mT)
    leading = np.argmax(np.abs(values), axis=-1)[..., None, None]
    w = np.take_along_axis(left, leading, axis=-1)[..., 0]
    away = centre(np.real(w))
    theta = point + size * away / np.linalg.norm(away, axis=-1, keepdims=True)
    run = orbit(rule, log_start=log_softmax(theta), rounds=rounds, save=rounds, tolerance=0)
    distance = np.abs(np.sum(w * (centre(run.log_policies) - point), axis=-1))
    return np.log(distance[-1] / distance[0]) / rounds


def defective(r: Recipe) -> bool:
    """Whether some recipe's multipliers nearly coincide although its Jacobian is no multiple of 1.

    So at nearly collapsed fixed points.  The error of finite differences then enters the
    multipliers by its square root.
    """
    policy = fixed_point(r.rule()).policy
    size = spectral_norm(r.game.skew @ softmax_jacobian(policy))
    return bool(np.any(rotations(r.game.skew, policy)[..., 0] < 1e-3 * size))


class SymbolicMap(NamedTuple):
    """MRS-IPO of three responses: symbols, and its Jacobian in the logit differences."""

    theta: Any
    A: Any
    beta: Any
    alpha: Any
    lam: Any
    jacobian: Any
    policy: Any
    trace: Any
    determinant: Any


@cache
def symbolic_map() -> SymbolicMap:
    """Differentiate ``theta' = alpha theta + const + A (lam softmax(theta) + const)/beta``.

    ``jacobian`` is that of the map itself; ``trace`` and ``determinant`` are those of its action on
    logit differences, written with the policy (pi_0, pi_1, 1 - pi_0 - pi_1) in place of the logits.
    """
    import sympy

    theta = sympy.symbols("theta:3", real=True)
    a = sympy.symbols("A01 A02 A12", real=True)
    beta, alpha, lam = sympy.symbols("beta alpha lambda", positive=True)
    A = sympy.Matrix([[0, a[0], a[1]], [-a[0], 0, a[2]], [-a[1], -a[2], 0]])
    weights = [sympy.exp(x) for x in theta]
    softmax = sympy.Matrix([w / sum(weights) for w in weights])
    drive = alpha * sympy.Matrix(theta) + lam / beta * A * softmax
    jacobian = drive.jacobian(theta)

    p, q = sympy.symbols("pi0 pi1", positive=True)
    pi = (p, q, 1 - p - q)
    at_policy = jacobian.subs(dict(zip(theta, map(sympy.log, pi), strict=True)))
    # Coordinates theta_0 - theta_2 and theta_1 - theta_2: the all-ones direction drops out.
    differences = sympy.Matrix([[1, 0, -1], [0, 1, -1]])
    inner = sympy.simplify(differences * at_policy * sympy.Matrix([[1, 0], [0, 1], [0, 0]]))
    return SymbolicMap(
        theta, a, beta, alpha, lam, jacobian, pi, sympy.simplify(inner.trace()), inner.det()
    )
