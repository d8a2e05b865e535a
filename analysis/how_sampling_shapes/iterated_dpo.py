"""Rounds of DPO: the Jacobian, its spectrum, and rock-paper-scissors; DPO-6 to DPO-8."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes.one_shot_dpo import (
    STRENGTH,
    derived_condition,
    gaps,
    sigmoid,
    upper,
)
from prefdyn import MRSDPO, Inexact, PreferenceMatrix, critical, games, orbit, period
from prefdyn.policies import centre, log_softmax, softmax, softmax_jacobian

Array = np.ndarray


class Recipe(NamedTuple):
    """A recipe with a chosen fixed point pi, its reference solved for; batched."""

    game: PreferenceMatrix
    beta: Any
    alpha: Any
    lam: Any
    pi: Array
    offline: Array

    def rule(self) -> MRSDPO:
        """The shipped rule; the reference is the one that makes pi fixed."""
        alpha, beta, lam = (np.asarray(x)[..., None] for x in (self.alpha, self.beta, self.lam))
        drive = MRSDPO(self.game, 1.0, 0.0, 0.0).drive(lam * self.pi + (1 - lam) * self.offline)
        log_ref = np.log(self.pi) - drive / (beta * (1 - alpha))
        return MRSDPO(
            self.game,
            self.beta,
            self.alpha,
            self.lam,
            offline=self.offline,
            log_reference=log_softmax(log_ref),
        )


def recipe(rng: np.random.Generator, K: int, size: Any = (), lam: float | None = None) -> Recipe:
    """Random recipes with beta in [0.05, 3]; lam is drawn unless given."""
    return Recipe(
        game(rng, K, size, strength=STRENGTH),
        log_uniform(rng, 0.05, 3, size),
        rng.uniform(0, 0.95, size),
        rng.uniform(0, 1, size) if lam is None else np.full(size, lam),
        interior(rng, K, size),
        interior(rng, K, size),
    )


def multipliers(jacobian: Array) -> Array:
    """Eigenvalues on centred logits (..., K - 1), without the all-ones direction."""
    K = jacobian.shape[-1]
    basis = np.linalg.svd(centre(np.eye(K)))[0][:, : K - 1]
    return np.linalg.eigvals(basis.T @ jacobian @ basis)


# ---------------------------------------------------------------------------------------- DPO-6


class JacobianByFiniteDifferences(Check):
    """The claimed matrix, with a pseudo-inverse, against differences of the shipped round."""

    claim = "DPO-6"
    part = "Jacobian at a fixed point against finite differences of the round"
    tolerance = 1e-6
    instances = 100

    def draw(self, rng):
        return recipe(rng, responses(rng))

    def predict(self, instance):
        r = instance
        mu = r.lam * r.pi + (1 - r.lam) * r.offline
        scores = r.beta * (1 - r.alpha) * (np.log(r.pi) - r.rule().log_ref)
        fitted = sigmoid(gaps(scores))
        weights = mu * fitted * (1 - fitted)
        system = np.diag(weights.sum(-1)) - weights
        # Invert on centred vectors: the added mu^T only fixes the free constant.
        drive = np.linalg.solve(system + mu, r.game.P - fitted)
        jacobian = r.alpha * np.eye(len(mu)) + r.lam / r.beta * drive @ softmax_jacobian(r.pi)
        return centre((jacobian @ centre(np.eye(len(mu)))).T).T

    def observe(self, instance):
        rule, theta, step = instance.rule(), np.log(instance.pi), 1e-6
        columns = [
            (rule.update(theta + step * e) - rule.update(theta - step * e)) / (2 * step)
            for e in centre(np.eye(len(theta)))
        ]
        return centre(np.array(columns)).T


class RoundFormula(Check):
    """The map as claimed, its equations given to a general root finder, against one round."""

    claim = "DPO-6"
    part = "one round is alpha theta + (1 - alpha) log ref + r/beta, r by a general root finder"
    tolerance = 1e-8

    def draw(self, rng):
        K = responses(rng)
        return recipe(rng, K), rng.normal(size=K)

    def predict(self, instance):
        from scipy.optimize import root

        r, theta = instance
        mu = r.lam * softmax(theta) + (1 - r.lam) * r.offline

        def equations(scores):
            # All but one of the dependent equations, and a zero mean to fix the constant.
            return np.r_[((sigmoid(gaps(scores)) - r.game.P) @ mu)[1:], scores.sum()]

        scores = root(equations, np.zeros(len(mu)), tol=1e-13).x
        return centre(r.alpha * theta + (1 - r.alpha) * r.rule().log_ref + scores / r.beta)

    def observe(self, instance):
        r, theta = instance
        return centre(r.rule().step(theta, 0, None))


class JacobianDerived(Check):
    """The implicit derivative by sympy, three responses, against the shipped closed form."""

    claim = "DPO-6"
    part = "Jacobian by implicit differentiation, symbolically (K = 3), at random logits"
    instances = 100

    def draw(self, rng):
        return recipe(rng, 3), rng.normal(size=3)

    def predict(self, instance):
        r, theta = instance
        pi = softmax(theta)
        mu = r.lam * pi + (1 - r.lam) * r.offline
        values = upper(r.game), mu, MRSDPO(r.game, 1.0, 0.0, 0.0).drive(mu)
        by_u, by_mu = (part(*values) for part in derived_condition()[1:])
        drive = -np.linalg.pinv(by_u) @ by_mu
        return centre((r.alpha * np.eye(3) + r.lam / r.beta * drive @ softmax_jacobian(pi)).T).T

    def observe(self, instance):
        r, theta = instance
        return centre(r.rule().jacobian(theta).matrix.T).T


# ---------------------------------------------------------------------------------------- DPO-7


class OnPolicySpectrum(Check):
    """Real parts of the multipliers at lam = 1."""

    claim = "DPO-7"
    part = "lam = 1: the real part of every multiplier is alpha"
    tolerance = 1e-8
    instances = 40
    batch = 100

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch, lam=1.0)

    def predict(self, instance):
        return np.broadcast_to(instance.alpha[:, None], (self.batch, instance.game.K - 1))

    def observe(self, instance):
        rule = instance.rule()
        return np.real(multipliers(rule.jacobian(np.log(instance.pi)).matrix))


class OffPolicySpectrum(Check):
    """How far the real parts leave alpha when part of the sampler is fixed."""

    claim = "DPO-7"
    part = "lam < 1: (real part - alpha) beta over random recipes"
    comparison = "report"
    instances = 40
    batch = 100

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch)

    def observe(self, instance):
        real = np.real(multipliers(instance.rule().jacobian(np.log(instance.pi)).matrix))
        excess = (real - instance.alpha[:, None]) * instance.beta[:, None]
        return excess.min(), excess.max()

    def summary(self, observations):
        low, high = np.array(observations).T
        return f"the real parts leave alpha by between {low.min():.3f} and {high.max():.3f} / beta"


class PeriodAtOnset(Check):
    """One turn of rock-paper-scissors just beyond its threshold."""

    claim = "DPO-7"
    part = "lam = 1: 2 pi/arccos(alpha) rounds per turn at onset (rock-paper-scissors, a = .2)"
    comparison = "relative"
    tolerance = 0.005
    cases = (np.array([0.0, 0.3, 0.5, 0.9]),)
    batch = 4

    def predict(self, instance):
        return 2 * np.pi / np.arccos(instance)

    def observe(self, instance):
        beta = threshold(0.2, instance, 1.0, 1.0) / 1.001
        rule = MRSDPO(games.rock_paper_scissors(0.2), beta, instance, 1.0)
        return period(orbit(rule, softmax(np.array([0.02, -0.01, 0.0])), 2000).policies)


# ---------------------------------------------------------------------------------------- DPO-8


@cache
def derived_threshold():
    """Beta at which the multipliers of an inexact round cross the unit circle, by sympy.

    From the implicit derivative of the first-order condition at the uniform policy, where r = 0
    by symmetry.
    """
    import sympy

    from analysis._symbolic import symbolic_population_loss, three_responses
    from prefdyn import DPO

    s = three_responses()
    a, alpha, lam, kappa = sympy.symbols("a alpha lambda kappa", positive=True)
    u = sympy.symbols("u:3", real=True)
    loss, beta = symbolic_population_loss(DPO(), s, u)
    gradient = sympy.Matrix([sympy.diff(loss, x) for x in u]).subs(beta, 1)
    half, third = sympy.Rational(1, 2), sympy.Rational(1, 3)
    uniform = dict.fromkeys(s.mu, third) | dict.fromkeys(u, 0)
    cycle = {s.p[0]: half + a, s.p[1]: half - a, s.p[2]: half + a}
    by_u, by_mu = (gradient.jacobian(x).subs(uniform | cycle) for x in (u, s.mu))
    # Centred logits: adding the all-ones matrix makes the system regular and changes nothing there.
    drive = -(by_u + sympy.ones(3, 3)).inv() * by_mu
    softmax_part = (sympy.eye(3) - third * sympy.ones(3, 3)) * third
    rotation = sympy.simplify(lam / beta * drive * softmax_part)
    # Eigenvalues 0 and +-i x of the drive; a fraction kappa of the round is executed.
    x = sympy.sqrt(-(rotation * rotation).trace() / 2)
    square = (1 - kappa * (1 - alpha)) ** 2 + (kappa * x) ** 2
    positive = sympy.Symbol("z", positive=True)
    (solution,) = sympy.solve(sympy.simplify(square.subs(beta, positive)) - 1, positive**2)
    return sympy.lambdify((a, alpha, lam, kappa), sympy.sqrt(solution))


def threshold(a: Any, alpha: Any, lam: Any, kappa: Any) -> Any:
    """The claimed beta_c."""
    return 4 * lam * a / np.sqrt(3) / np.sqrt((1 - alpha) * (2 / kappa - 1 + alpha))


class ThresholdDerived(Check):
    """The threshold from the symbolic derivative against the claimed formula."""

    claim = "DPO-8"
    part = "threshold from the symbolic implicit derivative against the formula"
    comparison = "relative"

    def draw(self, rng):
        return tuple(rng.uniform((0.01, 0, 0.1, 0.05), (0.49, 0.99, 1, 1)))

    def predict(self, instance):
        return threshold(*instance)

    def observe(self, instance):
        return derived_threshold()(*instance)


class ThresholdBySolver(Check):
    """The threshold that the stability solver finds."""

    claim = "DPO-8"
    part = "the largest unstable beta found by the stability solver"
    comparison = "relative"
    tolerance = 1e-6
    instances = 10

    def draw(self, rng):
        return tuple(rng.uniform((0.1, 0, 0.3, 0.2), (0.45, 0.9, 1, 1)))

    def predict(self, instance):
        return derived_threshold()(*instance)

    def observe(self, instance):
        a, alpha, lam, kappa = instance
        rule = Inexact(MRSDPO(games.rock_paper_scissors(a), 1.0, alpha, lam), kappa)
        return critical(rule, "rule.beta", (1e-2, 10.0), samples=20).value


class ThresholdSimulated(Check):
    """Small perturbations on both sides of the threshold, iterated until they say which."""

    claim = "DPO-8"
    part = "a 1e-3 perturbation decays at 1.03 beta_c and grows at 0.97, exact and inexact rounds"
    comparison = "agree"
    tolerance = 0.0
    cases = (1.0, 0.5, 0.2)  # kappa
    batch = 9

    def predict(self, instance):
        return np.tile([False, True], (self.batch, 1))

    def observe(self, instance):
        a, alpha = (x.reshape(-1, 1) for x in np.meshgrid((0.2, 0.3, 0.45), (0.0, 0.5, 0.9)))
        beta = threshold(a, alpha, 1.0, instance) * np.array([1.03, 0.97])
        a, alpha = (np.broadcast_to(x, beta.shape) for x in (a, alpha))
        rule = Inexact(MRSDPO(games.rock_paper_scissors(a), beta, alpha, 1.0), instance)
        theta = np.broadcast_to(1e-3 * np.array([1.0, -0.5, -0.5]), (*beta.shape, 3))
        start = np.linalg.norm(theta[0, 0])
        for _ in range(30_000):
            theta = centre(rule.step(theta, 0, None))
            size = np.linalg.norm(theta, axis=-1) / start
            if ((size > 3) | (size < 1 / 3)).all():
                return size > 1
        raise RuntimeError("a perturbation neither tripled nor shrank to a third")
