"""The optimum of one round of IPO: IPO-1, IPO-2.

The derivations start from the shared loss core's symbolic form and end as functions that are held
against the shipped rule, `prefdyn.MRSIPO` with a fixed reference and a fixed sampler.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis._symbolic import symbolic_population_loss, three_responses
from prefdyn import IPO, MRS, MRSIPO, Pair, PreferenceMatrix
from prefdyn.policies import centre, log_softmax, softmax

Array = np.ndarray


class OneShot(NamedTuple):
    """A game, the sampler mu of its pairs, a reference and beta."""

    game: PreferenceMatrix
    mu: Array
    reference: Array
    beta: float


def one_shot(rng: np.random.Generator, K: int | None = None) -> OneShot:
    """Random one-shot problem, K in 3..6 and beta in [0.05, 3]."""
    K = K or responses(rng)
    return OneShot(
        game(rng, K), interior(rng, K), interior(rng, K), float(log_uniform(rng, 0.05, 3))
    )


def shipped_optimum(problem: OneShot) -> Array:
    """Centred logits of the optimum, by the shipped rule."""
    rule = MRSIPO(
        problem.game, problem.beta, 0.0, 0.0, reference=problem.reference, offline=problem.mu
    )
    return centre(rule.update(np.zeros(rule.K)))


def pairs(theta: Array, log_ref: Array) -> Pair:
    """All ordered pairs (i chosen, j rejected) as a (K, K) pair."""
    log_policy = log_softmax(theta)
    return Pair(
        chosen=log_policy[:, None],
        rejected=log_policy[None, :],
        ref_chosen=log_ref[:, None],
        ref_rejected=log_ref[None, :],
    )


def population_loss(problem: OneShot, theta: Array) -> float:
    """``sum_ij mu_i mu_j P_ij loss(i, j)`` with the shipped loss."""
    weights = np.outer(problem.mu, problem.mu) * problem.game.P
    loss = IPO(problem.beta).loss(pairs(theta, np.log(problem.reference)))
    return float((weights * loss).sum())


def population_gradient(problem: OneShot, theta: Array) -> Array:
    """Its gradient in the logits, from the shipped pushes (automatic differentiation)."""
    weights = np.outer(problem.mu, problem.mu) * problem.game.P
    up, down = IPO(problem.beta).pushes(pairs(theta, np.log(problem.reference)))
    by_log_policy = -(weights * up).sum(1) + (weights * down).sum(0)
    return by_log_policy - softmax(theta) * by_log_policy.sum()


# ---------------------------------------------------------------------------------------- IPO-1


@cache
def derived_optimum():
    """Log-ratios u from the stationarity of the population loss, three responses."""
    import sympy

    s = three_responses()
    u = sympy.symbols("u:3", real=True)
    loss, beta = symbolic_population_loss(IPO(), s, u)
    equations = [sympy.diff(loss, u[0]), sympy.diff(loss, u[1]), sum(u)]
    (solution,) = sympy.linsolve(equations, u)
    return sympy.lambdify((s.p, s.mu, beta), solution)


@cache
def derived_kl_optimum():
    """The same from the win rate with a KL penalty, by a Lagrange multiplier for sum pi = 1."""
    import sympy

    s = three_responses()
    beta = sympy.Symbol("beta", positive=True)
    pi, ref = sympy.symbols("pi:3", positive=True), sympy.symbols("ref:3", positive=True)
    value = sum(pi[i] * s.mu[j] * s.P[i, j] for i in range(3) for j in range(3))
    penalty = sum(pi[i] * sympy.log(pi[i] / ref[i]) for i in range(3))
    multiplier = sympy.Symbol("nu", real=True)
    lagrangian = value - beta * penalty - multiplier * (sum(pi) - 1)
    weights = [sympy.solve(sympy.diff(lagrangian, pi[i]), pi[i])[0] for i in range(3)]
    policy = [weight.subs(multiplier, 0) for weight in weights]  # nu only scales all three alike
    return sympy.lambdify((s.p, s.mu, ref, beta), [w / sum(policy) for w in policy])


class OptimumFromLoss(Check):
    """Stationarity of the squared loss, solved by sympy, against the shipped rule."""

    claim = "IPO-1"
    part = "stationarity of the population loss, solved symbolically (K = 3)"
    tolerance = 1e-10

    def draw(self, rng):
        return one_shot(rng, K=3)

    def predict(self, instance):
        p = instance.game.P[np.triu_indices(3, 1)]
        u = np.array(derived_optimum()(p, instance.mu, instance.beta))
        return centre(np.log(instance.reference) + u)

    def observe(self, instance):
        return shipped_optimum(instance)


class OptimumFromKL(Check):
    """Stationarity of win rate minus KL, solved by sympy, against the shipped rule."""

    claim = "IPO-1"
    part = "stationarity of win rate minus beta KL, solved symbolically (K = 3)"
    tolerance = 1e-10

    def draw(self, rng):
        return one_shot(rng, K=3)

    def predict(self, instance):
        p = instance.game.P[np.triu_indices(3, 1)]
        return derived_kl_optimum()(p, instance.mu, instance.reference, instance.beta)

    def observe(self, instance):
        return softmax(shipped_optimum(instance))


class OptimumByLeastSquares(Check):
    """The formula against weighted least squares for u."""

    claim = "IPO-1"
    part = "closed form against weighted least squares"
    instances = 200
    tolerance = 1e-8

    def draw(self, rng):
        return one_shot(rng)

    def predict(self, instance):
        win_rates = instance.game.P @ instance.mu
        return centre(np.log(instance.reference) + win_rates / instance.beta)

    def observe(self, instance):
        weights = np.outer(instance.mu, instance.mu) * instance.game.P
        u = least_squares(weights, 1 / (2 * instance.beta))
        return centre(np.log(instance.reference) + u)


class OptimumOfLossCore(OptimumByLeastSquares):
    """The formula against the rule that minimises any objective's loss numerically."""

    claim = "IPO-1"
    part = "closed form against Newton's method on the shared loss core"
    instances = 50

    def observe(self, instance):
        game, mu, reference, beta = instance
        rule = MRS(game, "ipo", beta, 0.0, 0.0, reference=reference, offline=mu)
        return centre(rule.update(np.zeros(rule.K)))


class OptimumIsBest(Check):
    """Win rate minus KL at the shipped optimum against mixtures with random policies."""

    claim = "IPO-1"
    part = "maximises win rate minus beta KL among 30 mixtures 0.9 pi* + 0.1 q"
    comparison = "at_most"
    tolerance = 0.0
    instances = 200
    batch = 30

    def draw(self, rng):
        problem = one_shot(rng)
        return problem, rng.dirichlet(np.ones(problem.game.K), size=30)

    def predict(self, instance):
        problem, _ = instance
        return self.value(problem, softmax(shipped_optimum(problem)))

    def observe(self, instance):
        problem, others = instance
        policy = softmax(shipped_optimum(problem))
        return max(self.value(problem, 0.9 * policy + 0.1 * other) for other in others)

    @staticmethod
    def value(problem, policy):
        divergence = policy @ np.log(policy / problem.reference)
        return policy @ problem.game.P @ problem.mu - problem.beta * divergence


class CorrelatedPairs(Check):
    """Pairs whose two members are not independent."""

    claim = "IPO-1"
    part = "a symmetric pair law that is no product solves a Laplacian system"
    tolerance = 1e-8

    def draw(self, rng):
        problem = one_shot(rng)
        K = problem.game.K
        law = rng.dirichlet(np.ones(K * K)).reshape(K, K) + 0.1 / K**2
        return problem, (law + law.T) / np.sum(law + law.T)

    def predict(self, instance):
        problem, law = instance
        laplacian = np.diag(law.sum(1)) - law
        right = (law * problem.game.skew).sum(1) / problem.beta
        return np.linalg.lstsq(laplacian, right, rcond=None)[0]  # the centred solution

    def observe(self, instance):
        problem, law = instance
        return centre(least_squares(law * problem.game.P, 1 / (2 * problem.beta)))


class LossPerLabelledPair(Check):
    """The mean over labelled pairs is twice L, label by label."""

    claim = "IPO-1"
    part = "the mean loss per labelled pair is 2 L"
    tolerance = 1e-12

    def draw(self, rng):
        problem = one_shot(rng)
        return problem, rng.normal(size=problem.game.K)

    def predict(self, instance):
        return 2 * population_loss(*instance)

    def observe(self, instance):
        problem, theta = instance
        loss = IPO(problem.beta).loss(pairs(theta, np.log(problem.reference)))
        mean = 0.0
        for i, first in enumerate(problem.mu):
            for j, second in enumerate(problem.mu):
                win = problem.game.P[i, j]
                mean += first * second * (win * loss[i, j] + (1 - win) * loss[j, i])
        return mean


def least_squares(weights: Array, target: float) -> Array:
    """``argmin_u sum_ij weights_ij (u_i - u_j - target)^2``, by a dense solver."""
    K = len(weights)
    i, j = (index.ravel() for index in np.indices((K, K)))
    root = np.sqrt(weights.ravel())
    design = root[:, None] * (np.eye(K)[i] - np.eye(K)[j])
    return np.linalg.lstsq(design, root * target, rcond=None)[0]


# ---------------------------------------------------------------------------------------- IPO-2


@cache
def derived_gradient():
    """dL/dtheta by sympy, through the softmax of three logits."""
    import sympy

    s = three_responses()
    theta, log_ref = sympy.symbols("theta:3", real=True), sympy.symbols("l:3", real=True)
    normaliser = sympy.log(sum(sympy.exp(x) for x in theta))
    u = [x - normaliser - r for x, r in zip(theta, log_ref, strict=True)]
    loss, beta = symbolic_population_loss(IPO(), s, u)
    gradient = [sympy.diff(loss, x) for x in theta]
    return sympy.lambdify((s.p, s.mu, theta, log_ref, beta), gradient)


def with_logits(rng, K=None):
    """A one-shot problem and logits to start from."""
    problem = one_shot(rng, K)
    return problem, rng.normal(scale=2, size=problem.game.K)


class GradientDerived(Check):
    """The sympy gradient against automatic differentiation of the shipped loss."""

    claim = "IPO-2"
    part = "symbolic gradient against the shipped pushes (K = 3)"

    def draw(self, rng):
        return with_logits(rng, K=3)

    def predict(self, instance):
        problem, theta = instance
        p = problem.game.P[np.triu_indices(3, 1)]
        values = derived_gradient()(p, problem.mu, theta, np.log(problem.reference), problem.beta)
        return np.array(values)

    def observe(self, instance):
        return population_gradient(*instance)


class GradientFormula(Check):
    """The claimed formula against central differences of the shipped loss."""

    claim = "IPO-2"
    part = "formula against finite differences of the loss"
    tolerance = 1e-6

    def draw(self, rng):
        return with_logits(rng)

    def predict(self, instance):
        problem, theta = instance
        u = log_softmax(theta) - np.log(problem.reference)
        drive = (problem.game.P @ problem.mu - 0.5) / problem.beta
        return 2 * problem.mu * (u - problem.mu @ u - drive)

    def observe(self, instance):
        problem, theta = instance
        step = 1e-6 * np.eye(len(theta))
        rise = [
            population_loss(problem, theta + h) - population_loss(problem, theta - h) for h in step
        ]
        return np.array(rise) / 2e-6


class GradientSteps(Check):
    """Seven explicit steps against the matrix power."""

    claim = "IPO-2"
    part = "7 gradient steps against the matrix power, uniform and random mu, L and 2 L"
    tolerance = 1e-10
    instances = 100

    def draw(self, rng):
        problem, theta = with_logits(rng)
        if rng.random() < 0.5:
            problem = problem._replace(mu=np.full(problem.game.K, 1 / problem.game.K))
        return problem, theta, rng.uniform(0.05, 1), int(rng.integers(1, 3))

    def predict(self, instance):
        problem, theta, rate, multiple = instance
        mu = problem.mu
        goal = centre(np.log(problem.reference) + problem.game.P @ mu / problem.beta)
        step = np.eye(len(mu)) - 2 * multiple * rate * (np.diag(mu) - np.outer(mu, mu))
        return goal + np.linalg.matrix_power(step, 7) @ (centre(theta) - goal)

    def observe(self, instance):
        problem, theta, rate, multiple = instance
        for _ in range(7):
            theta = theta - rate * multiple * population_gradient(problem, theta)
        return centre(theta)
