"""Multipliers at the fixed point and their closed forms: MRS-4 and MRS-6."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import (
    Recipe,
    defective,
    finite_differences,
    recipe,
    rotations,
    rps,
    spectral_norm,
    symbolic_map,
)
from prefdyn import PreferenceMatrix, fixed_point, stability
from prefdyn.policies import softmax, softmax_jacobian

# ---------------------------------------------------------------------------------------- MRS-4


@cache
def derived_jacobian():
    """Jacobian of the map of three responses, differentiated by sympy."""
    import sympy

    m = symbolic_map()
    return sympy.lambdify((m.theta, m.A, m.beta, m.alpha, m.lam), m.jacobian)


@cache
def derived_multipliers():
    """Eigenvalues of the Jacobian on logit differences: roots of ``x^2 - trace x + det``."""
    import sympy

    m = symbolic_map()
    half = m.trace / 2
    root = sympy.sqrt(sympy.factor(half**2 - m.determinant))  # factored, or s near 0 cancels
    pair = [half + root, half - root]
    return sympy.lambdify((m.policy[:2], m.A, m.beta, m.alpha, m.lam), pair)


class JacobianDerived(Check):
    """The symbolic derivative of the map against the rule's closed-form Jacobian."""

    claim = "MRS-4"
    part = "Jacobian of the map, differentiated symbolically (K = 3), at random logits"
    instances = 100

    def draw(self, rng):
        r = recipe(rng, 3, 1)
        return r._replace(beta=r.beta[0], alpha=r.alpha[0], lam=r.lam[0]), rng.normal(size=3)

    def predict(self, instance):
        r, theta = instance
        A = r.game.skew[0][np.triu_indices(3, 1)]
        return derived_jacobian()(theta, A, r.beta, r.alpha, r.lam)

    def observe(self, instance):
        r, theta = instance
        return r.rule().jacobian(theta[None]).matrix[0]


class MultipliersDerived(Check):
    """The symbolic eigenvalues against those that the stability solver computes."""

    claim = "MRS-4"
    part = "multipliers from the symbolic trace and determinant (K = 3)"
    instances = 100

    def draw(self, rng):
        return Recipe(
            game(rng, 3),
            log_uniform(rng, 0.05, 3),
            rng.uniform(0, 0.95),
            rng.uniform(0, 1),
            interior(rng, 3),
            interior(rng, 3),
        )

    def predict(self, instance):
        r = instance
        A = r.game.skew[np.triu_indices(3, 1)]
        policy = fixed_point(r.rule()).policy
        values = derived_multipliers()(policy[:2].astype(complex), A, r.beta, r.alpha, r.lam)
        return as_reals(np.array(values))

    def observe(self, instance):
        return as_reals(stability(instance.rule()).multipliers)


class RadiusByFiniteDifferences(Check):
    """The closed form of the radius against finite differences of the round itself."""

    claim = "MRS-4"
    part = "hypot(alpha, lam s/beta) against finite differences of the centred map"
    tolerance = 1e-6
    instances = 20
    batch = 10

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch)

    def skip(self, instance):
        return defective(instance)

    def predict(self, instance):
        r = instance
        s = rotations(r.game.skew, fixed_point(r.rule()).policy)[..., 0]
        return np.hypot(r.alpha, r.lam * s / r.beta)

    def observe(self, instance):
        rule = instance.rule()
        jacobian = finite_differences(rule, fixed_point(rule).state)
        return np.abs(np.linalg.eigvals(jacobian)).max(-1)


class AllMultipliers(RadiusByFiniteDifferences):
    """Every multiplier, not the leading one only: real parts alpha, imaginary parts in pairs."""

    claim = "MRS-4"
    part = "all multipliers are alpha +- i (lam/beta) s_k"
    skip = Check.skip
    tolerance = 1e-7  # rounding enters by its square root where two multipliers nearly coincide

    def predict(self, instance):
        r = instance
        s = rotations(r.game.skew, fixed_point(r.rule()).policy)[..., :-1]
        imaginary = (r.lam / r.beta)[:, None] * s * np.resize([1, -1], s.shape[-1])
        return np.stack([np.broadcast_to(r.alpha[:, None], s.shape), np.sort(imaginary)], -1)

    def observe(self, instance):
        return as_reals(stability(instance.rule()).multipliers)


class ImaginarySpectrum(RadiusByFiniteDifferences):
    """The symmetrised matrix, with the package's softmax Jacobian and a root by eigenvectors."""

    claim = "MRS-4"
    part = "the spectrum of J^(1/2) A J^(1/2) is imaginary"
    skip = Check.skip
    tolerance = 1e-9

    def predict(self, instance):
        return np.zeros((self.batch, instance.game.K))

    def observe(self, instance):
        values, vectors = np.linalg.eigh(softmax_jacobian(fixed_point(instance.rule()).policy))
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :] @ vectors.mT
        return np.linalg.eigvals(root @ instance.game.skew @ root).real


class RotationBound(Check):
    """s at random policies against half the norm of A."""

    claim = "MRS-4"
    part = "s <= ||A||/2 at every policy"
    comparison = "at_most"
    instances = 40
    batch = 100

    def draw(self, rng):
        K = responses(rng)
        return game(rng, K, self.batch), softmax(3 * rng.normal(size=(self.batch, K)))

    def predict(self, instance):
        return spectral_norm(instance[0].skew) / 2

    def observe(self, instance):
        return rotations(instance[0].skew, instance[1])[:, 0]


def as_reals(multipliers: np.ndarray) -> np.ndarray:
    """Real and imaginary parts (..., m, 2) in the order of the imaginary parts."""
    order = np.argsort(np.imag(multipliers), axis=-1)
    ordered = np.take_along_axis(multipliers, order, axis=-1)
    return np.stack([np.real(ordered), np.imag(ordered)], axis=-1)


# ---------------------------------------------------------------------------------------- MRS-6


@cache
def derived_rotation():
    """Rotation strength s of three responses from ``det = alpha^2 + (lam s/beta)^2``."""
    import sympy

    m = symbolic_map()
    squared = sympy.factor((m.determinant - m.alpha**2) * (m.beta / m.lam) ** 2)
    return sympy.lambdify((m.policy[:2], m.A), sympy.sqrt(squared))


class RotationOfThree(Check):
    """The curl formula, and its derivation, against the matrix."""

    claim = "MRS-6"
    part = "K = 3: the symbolic s and sqrt(pi_1 pi_2 pi_3) |A_12 + A_23 + A_31| at any pi"
    tolerance = 1e-10
    instances = 200

    def draw(self, rng):
        return game(rng, 3), softmax(3 * rng.normal(size=3))

    def predict(self, instance):
        A, policy = instance[0].skew, instance[1]
        formula = np.sqrt(policy.prod()) * abs(A[0, 1] + A[1, 2] + A[2, 0])
        return np.array([formula, derived_rotation()(policy[:2], A[np.triu_indices(3, 1)])])

    def observe(self, instance):
        return np.full(2, rotations(instance[0].skew, instance[1])[0])


class RotationOfBalanced(Check):
    """Games in which every response wins as much as it loses."""

    claim = "MRS-6"
    part = "rows of A sum to 0, all else uniform: pi* uniform, s = ||A||/K"
    tolerance = 1e-10
    instances = 20
    batch = 10

    def draw(self, rng):
        K = responses(rng)
        centring = np.eye(K) - 1 / K
        A = centring @ game(rng, K, self.batch).skew @ centring
        A *= 0.5 / np.abs(A).max()
        beta, alpha = log_uniform(rng, 0.05, 3, self.batch), rng.uniform(0, 0.95, self.batch)
        return Recipe(PreferenceMatrix(0.5 + A), beta, alpha, rng.uniform(0.1, 1, self.batch))

    def predict(self, instance):
        r = instance
        s = spectral_norm(r.game.skew) / r.game.K
        uniform = np.full((self.batch, r.game.K), 1 / r.game.K)
        return np.column_stack([uniform, np.hypot(r.alpha, r.lam * s / r.beta)])

    def observe(self, instance):
        found = stability(instance.rule())
        return np.column_stack([found.point.policy, found.spectral_radius])


class RotationOfRPS(Check):
    """Rock-paper-scissors at uniform."""

    claim = "MRS-6"
    part = "rps(a): s = a/sqrt 3, so that the radius is hypot(alpha, lam a/(sqrt 3 beta))"
    tolerance = 1e-10
    batch = 50
    instances = 4

    def draw(self, rng):
        return (
            rng.uniform(0, 0.5, self.batch),
            log_uniform(rng, 0.05, 3, self.batch),
            rng.uniform(0, 0.95, self.batch),
            rng.uniform(0, 1, self.batch),
        )

    def predict(self, instance):
        a, beta, alpha, lam = instance
        return np.hypot(alpha, lam * a / np.sqrt(3) / beta)

    def observe(self, instance):
        return stability(rps(*instance)).spectral_radius


class NoRotationOfAdditive(Check):
    """Additive preferences: the matrix at any policy, and the multipliers at the fixed point."""

    claim = "MRS-6"
    part = "additive preferences: s = 0 at any pi, every multiplier is alpha"
    tolerance = 1e-10
    instances = 20
    batch = 10

    def draw(self, rng):
        K = responses(rng)
        v = rng.uniform(0, 0.5, (self.batch, K))
        A = v[:, :, None] - v[:, None, :]
        r = recipe(rng, K, self.batch)._replace(game=PreferenceMatrix(0.5 + A))
        return r, softmax(3 * rng.normal(size=(self.batch, K)))

    def predict(self, instance):
        r, _ = instance
        real = np.broadcast_to(r.alpha[:, None], (self.batch, r.game.K - 1))
        return np.column_stack([np.zeros(self.batch), real, 0 * real])

    def observe(self, instance):
        r, policy = instance
        multipliers = stability(r.rule()).multipliers
        s = rotations(r.game.skew, policy)[:, 0]
        return np.column_stack([s, np.real(multipliers), np.imag(multipliers)])
