"""Random regularised games, and how multipliers are compared."""

from typing import NamedTuple

import numpy as np

from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import finite_differences, plane, rotations
from prefdyn import PreferenceMatrix, fixed_point
from prefdyn.policies import softmax
from prefdyn.rules import Rule

Array = np.ndarray


class Problem(NamedTuple):
    """Independent regularised games with a step size each."""

    game: PreferenceMatrix
    eta: Array
    tau: Array
    reference: Array

    @property
    def K(self) -> int:
        """Number of responses."""
        return self.game.K

    @property
    def keep(self) -> Array:
        """``1 - eta tau`` (size,)."""
        return 1 - self.eta * self.tau


def problem(rng: np.random.Generator, size: int, least_tau: float = 0.05) -> Problem:
    """Games of 3 to 6 responses; tau up to 2, eta a share of 1/tau and at most 4."""
    K = responses(rng)
    tau = log_uniform(rng, least_tau, 2, size)
    eta = np.minimum(rng.uniform(0.05, 0.95, size) / tau, 4.0)
    return Problem(game(rng, K, size), eta, tau, interior(rng, K, size))


def logits(rng: np.random.Generator, like: Problem, spread: float = 2.0) -> Array:
    """Random centred logits (size, K)."""
    theta = spread * rng.normal(size=like.reference.shape)
    return theta - theta.mean(-1, keepdims=True)


def centred(x: Array) -> Array:
    """Rows with mean zero."""
    return x - x.mean(-1, keepdims=True)


def times(A: Array, x: Array) -> Array:
    """``A x`` for every problem."""
    return np.einsum("...ij,...j->...i", A, x)


def divergence(p: Array, q: Array) -> Array:
    """``KL(p || q)``."""
    return np.sum(p * np.log(p / q), axis=-1)


def turns(skew: Array, policy: Array) -> Array:
    """``y`` (..., K - 1): the eigenvalues of ``A J(policy)`` on logit differences are ``i y``."""
    s = rotations(skew, policy)
    # They come in pairs of opposite sign; the constant direction has the last one, 0.
    return (s * (-1.0) ** np.arange(s.shape[-1]))[..., :-1]


def characteristic(multipliers: Array) -> Array:
    """Coefficients of the polynomial with these roots, real and imaginary, (..., 2, m).

    Multiple roots are known to a root of the rounding only; coefficients are not.
    """
    flat = multipliers.reshape(-1, multipliers.shape[-1])
    found = np.array([np.poly(roots)[1:] for roots in flat])
    return np.stack([found.real, found.imag], axis=-2).reshape(*multipliers.shape[:-1], 2, -1)


def observed(rule: Rule) -> Array:
    """`characteristic` of the multipliers of the simulated step, by differences of it."""
    jacobian = finite_differences(rule, fixed_point(rule).state)
    K = jacobian.shape[-1]
    basis = plane(K)
    return characteristic(np.linalg.eigvals(basis.T @ jacobian @ basis).astype(complex))


def equilibrium(game: PreferenceMatrix, tau: Array, reference: Array) -> Array:
    """The fixed point of ``ref exp(A pi/tau)`` by damped iteration, no solver of the package."""
    log_ref = np.log(reference)
    theta = log_ref.copy()
    s2 = (np.abs(game.skew).max((-1, -2)) / 2) ** 2
    step = (tau**2 / (tau**2 + 4 * s2))[..., None]
    tau = tau[..., None]
    for _ in range(200_000):
        target = log_ref + times(game.skew, softmax(theta)) / tau
        move = centred(target - theta)
        theta = theta + step * move
        if np.abs(move).max() < 1e-13:
            break
    return softmax(theta)
