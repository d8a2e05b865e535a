"""The optimum of one round of DPO, a Bradley-Terry fit to the sampled pairs: DPO-1 to DPO-5.

The first-order condition and its implicit derivative are derived from the shared loss core's
symbolic form and held against the shipped Newton solver, `prefdyn.MRSDPO`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis._symbolic import symbolic_population_loss, three_responses
from prefdyn import DPO, MRSDPO, MRSIPO, NoOptimum, Pair, PreferenceMatrix
from prefdyn.games import bradley_terry
from prefdyn.policies import centre

Array = np.ndarray

STRENGTH = 0.48
"""Largest |P - 1/2| of random games here: DPO needs win rates inside (0, 1)."""


class Fit(NamedTuple):
    """A game and the sampler of its pairs."""

    game: PreferenceMatrix
    mu: Array


def fit(rng: np.random.Generator, K: int | None = None) -> Fit:
    """A random fit, K in 3..6."""
    K = K or responses(rng)
    return Fit(game(rng, K, strength=STRENGTH), interior(rng, K))


def shipped_scores(instance: Fit) -> Array:
    """Scores r(mu), mean zero, by the shipped solver; batched over mu."""
    return MRSDPO(instance.game, 1.0, 0.0, 0.0).drive(instance.mu)


def sigmoid(x: Array) -> Array:
    """Written out here, so that the checks share nothing with the solver."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def gaps(x: Array) -> Array:
    """All differences x_i - x_j."""
    return x[..., :, None] - x[..., None, :]


# ---------------------------------------------------------------------------------------- DPO-1


@cache
def derived_condition():
    """dL/du of the population loss at beta = 1 with its derivatives by u and by mu (K = 3)."""
    import sympy

    s = three_responses()
    u = sympy.symbols("u:3", real=True)
    loss, beta = symbolic_population_loss(DPO(), s, u)
    gradient = sympy.Matrix([sympy.diff(loss, x).subs(beta, 1) for x in u])
    parts = gradient, gradient.jacobian(u), gradient.jacobian(s.mu)
    return tuple(sympy.lambdify((s.p, s.mu, u), part) for part in parts)


def upper(game: PreferenceMatrix) -> Array:
    """The free entries of a game of three."""
    return game.P[np.triu_indices(3, 1)]


class FirstOrderCondition(Check):
    """The claimed equations against the gradient that sympy derives from the loss."""

    claim = "DPO-1"
    part = "the symbolic gradient is mu_i [sum_j mu_j sigmoid(r_i - r_j) - (P mu)_i] (K = 3)"
    tolerance = 1e-12

    def draw(self, rng):
        return fit(rng, K=3), rng.normal(scale=2, size=3)

    def predict(self, instance):
        (game, mu), r = instance
        return mu * ((sigmoid(gaps(r)) - game.P) @ mu)

    def observe(self, instance):
        (game, mu), r = instance
        return derived_condition()[0](upper(game), mu, r)[:, 0]


class ScoresSolveCondition(Check):
    """The shipped scores are a zero of the symbolic gradient."""

    claim = "DPO-1"
    part = "the shipped scores are a zero of the symbolic gradient (K = 3)"
    tolerance = 1e-14

    def draw(self, rng):
        return fit(rng, K=3)

    def predict(self, instance):
        return np.zeros(3)

    def observe(self, instance):
        gradient = derived_condition()[0]
        return gradient(upper(instance.game), instance.mu, shipped_scores(instance))[:, 0]


class OptimumByMinimiser(Check):
    """The shipped rule's optimum against a general-purpose minimiser of the shipped loss."""

    claim = "DPO-1"
    part = "log ref + r/beta against a trust-region minimiser of the loss in u"
    tolerance = 1e-6
    instances = 50

    def draw(self, rng):
        problem = fit(rng)
        return problem, interior(rng, problem.game.K), float(log_uniform(rng, 0.3, 3))

    def predict(self, instance):
        (game, mu), reference, beta = instance
        rule = MRSDPO(game, beta, 0.0, 0.0, reference=reference, offline=mu)
        return centre(rule.update(np.zeros(game.K)))

    def observe(self, instance):
        import torch
        from scipy.optimize import minimize

        (game, mu), reference, beta = instance
        weights = np.outer(mu, mu) * game.P

        def pair(u):
            return Pair(chosen=torch.tensor(u)[:, None], rejected=torch.tensor(u)[None, :])

        def loss(u):
            return float((weights * DPO(beta).loss(pair(u)).numpy()).sum())

        def gradient(u):
            by = DPO(beta).derivatives(pair(u))
            return (weights * by.c.numpy()).sum(1) + (weights * by.r.numpy()).sum(0)

        def hessian(u):
            by = DPO(beta).derivatives(pair(u))
            cross = weights * by.cr.numpy()
            own = (weights * by.cc.numpy()).sum(1) + (weights * by.rr.numpy()).sum(0)
            return np.diag(own) + cross + cross.T

        start = np.zeros(game.K)
        options = {"gtol": 1e-12}
        found = minimize(
            loss, start, jac=gradient, hess=hessian, method="trust-exact", options=options
        )
        return centre(np.log(reference) + found.x)


class OptimumExists(Check):
    """Games with certain wins: an optimum exactly when wins lead from everyone to everyone."""

    claim = "DPO-1"
    part = "an optimum exists exactly when the win graph is strongly connected"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        K = responses(rng)
        A = np.triu(rng.choice([-0.5, -0.2, 0.3, 0.5], p=[0.4, 0.1, 0.1, 0.4], size=(K, K)), 1)
        return Fit(PreferenceMatrix(0.5 + A - A.T), interior(rng, K))

    def predict(self, instance):
        wins = instance.game.P > 0
        return bool((np.linalg.matrix_power(wins.astype(float), instance.game.K) > 0).all())

    def observe(self, instance):
        try:
            r = shipped_scores(instance)
        except NoOptimum:
            return False
        residual = (sigmoid(gaps(r)) - instance.game.P) @ instance.mu
        return bool(np.abs(residual).max() < 1e-12)


# ---------------------------------------------------------------------------------------- DPO-2


class BradleyTerryIsRecovered(Check):
    """Bradley-Terry preferences: the fit returns their scores, whatever the sampler."""

    claim = "DPO-2"
    part = "Bradley-Terry preferences: r is their score vector for random mu"
    tolerance = 1e-8

    def draw(self, rng):
        K = responses(rng)
        return rng.normal(scale=1.5, size=K), interior(rng, K)

    def predict(self, instance):
        return centre(instance[0])

    def observe(self, instance):
        scores, mu = instance
        return shipped_scores(Fit(bradley_terry(scores), mu))


class SamplingBiasSurvives(Check):
    """Other preferences: how far r moves over twenty samplers."""

    claim = "DPO-2"
    part = "random games of 4 to 6 responses: r moves by over 0.05 between 20 samplers"
    comparison = "at_least"
    tolerance = 0.0
    batch = 20

    def draw(self, rng):
        K = responses(rng, least=4)
        return Fit(game(rng, K, strength=STRENGTH), interior(rng, K, self.batch))

    def predict(self, instance):
        return 0.05

    def observe(self, instance):
        return np.ptp(shipped_scores(instance), axis=0).max()


class SensitivityIsMisfit(Check):
    """r has derivative 0 in mu exactly where the fit leaves no residual in any pair."""

    claim = "DPO-2"
    part = "r is stationary in mu iff P_ij = sigmoid(r_i - r_j) for all pairs"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        K = responses(rng)
        P = bradley_terry(rng.normal(size=K))
        return Fit(P if rng.random() < 0.5 else game(rng, K, strength=STRENGTH), interior(rng, K))

    def predict(self, instance):
        # sigmoid(r_i - r_j) for all pairs: the win odds then multiply around every triangle
        odds = np.log(instance.game.P / instance.game.P.T)
        around = odds[:, :, None] + odds[None, :, :] - odds[:, None, :]
        return bool(np.abs(around).max() < 1e-9)

    def observe(self, instance):
        step = 1e-5
        columns = [
            shipped_scores(instance._replace(mu=instance.mu + step * direction))
            - shipped_scores(instance._replace(mu=instance.mu - step * direction))
            for direction in centre(np.eye(instance.game.K))
        ]
        return bool(np.abs(columns).max() / (2 * step) < 1e-6)


# ---------------------------------------------------------------------------------------- DPO-3


class SameRanking(Check):
    """The order of the DPO and IPO optima under a uniform reference."""

    claim = "DPO-3"
    part = "DPO and IPO optima are ordered as P mu"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        return fit(rng)

    def skip(self, instance):
        return np.diff(np.sort(instance.game.P @ instance.mu)).min() < 1e-9

    def predict(self, instance):
        order = np.argsort(instance.game.P @ instance.mu)
        return [order, order]

    def observe(self, instance):
        game, mu = instance
        return [
            np.argsort(kind(game, 0.7, 0.0, 0.0, offline=mu).update(np.zeros(game.K)))
            for kind in (MRSDPO, MRSIPO)
        ]


# ---------------------------------------------------------------------------------------- DPO-4


class GapsFourfold(Check):
    """Every gap of the scores against four times the gap of the win rates."""

    claim = "DPO-4"
    part = "|r_i - r_j| >= 4 |(P mu)_i - (P mu)_j| for all pairs"
    comparison = "at_least"
    tolerance = 1e-12

    def draw(self, rng):
        return fit(rng)

    def predict(self, instance):
        return 4 * np.abs(gaps(instance.game.P @ instance.mu))

    def observe(self, instance):
        return np.abs(gaps(shipped_scores(instance)))


class GapsFourfoldLimit(Check):
    """Equality for weak preferences; the next order is the square of their strength."""

    claim = "DPO-4"
    part = "r tends to 4 A mu as P tends to 1/2 (at |A| < 1e-3, relative to |A|)"
    tolerance = 1e-5

    def draw(self, rng):
        K = responses(rng)
        return Fit(game(rng, K, strength=1e-3), interior(rng, K))

    def predict(self, instance):
        return centre(4 * instance.game.skew @ instance.mu) / 1e-3

    def observe(self, instance):
        return shipped_scores(instance) / 1e-3


# ---------------------------------------------------------------------------------------- DPO-5


class ImplicitDerivative(Check):
    """Implicit differentiation of the symbolic condition against the shipped derivative."""

    claim = "DPO-5"
    part = "dr/dmu by implicit differentiation, symbolically (K = 3), against the shipped one"
    tolerance = 1e-10

    def draw(self, rng):
        return fit(rng, K=3)

    def predict(self, instance):
        values = upper(instance.game), instance.mu, shipped_scores(instance)
        by_u, by_mu = (part(*values) for part in derived_condition()[1:])
        return -np.linalg.pinv(by_u) @ by_mu @ centre(np.eye(3))

    def observe(self, instance):
        game, mu = instance
        jacobian = MRSDPO(game, 1.0, 0.0, 0.0).drive_along(mu, centre(np.eye(3)))
        return centre(jacobian.T).T


class WeightedIdentity(Check):
    """The weighted sum of gap changes, from central differences of the solver."""

    claim = "DPO-5"
    part = "sum_j mu_j sigmoid'(r_i - r_j)(dr_i - dr_j) = ((P - sigmoid(r_i - r_j)) dmu)_i"
    tolerance = 1e-6

    def draw(self, rng):
        problem = fit(rng)
        return problem, centre(rng.normal(size=problem.game.K))

    def predict(self, instance):
        problem, change = instance
        return (problem.game.P - sigmoid(gaps(shipped_scores(problem)))) @ change

    def observe(self, instance):
        problem, change = instance
        step = 1e-6
        before, after = (
            shipped_scores(problem._replace(mu=problem.mu + sign * step * change))
            for sign in (-1, 1)
        )
        slope = sigmoid(gaps(shipped_scores(problem)))
        slope = slope * (1 - slope)
        return (slope * gaps((after - before) / (2 * step))) @ problem.mu
