"""Rounds of a few gradient steps, and the fraction of a round that they make: RND-4."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import Array, Recipe, step
from prefdyn import IPO, Inexact, Pair, fixed_point
from prefdyn.policies import centre, log_softmax, softmax


def trained_round(r: Recipe, theta: Array, steps: int, rate: float) -> Array:
    """A round of explicit gradient steps on the population IPO loss, started where it stands.

    Reference and sampler are those of the current policy; the loss and, by automatic
    differentiation, its pushes are the package's.
    """
    rule = r.rule()
    mu, reference = rule.sampler(theta), log_softmax(rule.mixed_reference(theta))
    weights = np.outer(mu, mu) * r.game.P
    objective = IPO(r.beta)
    for _ in range(steps):
        log_policy = log_softmax(theta)
        pair = Pair(
            chosen=log_policy[:, None],
            rejected=log_policy[None, :],
            ref_chosen=reference[:, None],
            ref_rejected=reference[None, :],
        )
        up, down = (weights * push for push in objective.pushes(pair))
        theta = theta + rate * (up.sum(1) - down.sum(0))  # pushes are equal: softmax drops out
    return centre(theta)


class KappaOfGradientSteps(Check):
    """Explicit steps with a uniform sampler against an inexact round."""

    claim = "RND-4"
    part = "uniform mu: 1 to 8 gradient steps on L, or on 2 L, are an inexact round"
    tolerance = 1e-10
    instances = 60

    def draw(self, rng):
        K = responses(rng)
        r = Recipe(game(rng, K), log_uniform(rng, 0.05, 3), rng.uniform(0, 0.95), 0.0)
        multiple, steps = int(rng.integers(1, 3)), int(rng.integers(1, 9))
        rate = rng.uniform(0.02, 0.9) * K / (2 * multiple)
        return r._replace(reference=interior(rng, K)), rng.normal(size=K), multiple, steps, rate

    def predict(self, instance):
        r, theta, multiple, steps, rate = instance
        kappa = 1 - (1 - 2 * multiple * rate / r.game.K) ** steps
        return step(Inexact(r.rule(), kappa), centre(theta))

    def observe(self, instance):
        r, theta, multiple, steps, rate = instance
        return trained_round(r, theta, steps, multiple * rate)


class MatrixOfGradientSteps(Check):
    """Explicit steps with any sampler: a matrix takes the place of kappa."""

    claim = "RND-4"
    part = "any mu: 1 to 8 gradient steps move by C (F(theta) - theta)"
    tolerance = 1e-10
    instances = 60

    def draw(self, rng):
        K = responses(rng)
        r = Recipe(
            game(rng, K),
            log_uniform(rng, 0.05, 3),
            rng.uniform(0, 0.95),
            rng.uniform(0, 1),
            interior(rng, K),
            interior(rng, K),
        )
        return r, centre(rng.normal(size=K)), int(rng.integers(1, 9)), rng.uniform(0.05, 1)

    def predict(self, instance):
        r, theta, steps, rate = instance
        mu = r.lam * softmax(theta) + (1 - r.lam) * r.offline
        C = progress(mu, steps, rate)
        return centre(theta + C @ (step(r.rule(), theta) - theta))

    def observe(self, instance):
        return trained_round(*instance)


class JacobianOfGradientSteps(MatrixOfGradientSteps):
    """The same round at the fixed point, where the dependence of C on the policy drops out."""

    claim = "RND-4"
    part = "Jacobian at the fixed point is I + C (DF - I), finite differences"
    tolerance = 1e-6
    instances = 20

    def predict(self, instance):
        r, _, steps, rate = instance
        rule = r.rule()
        point = fixed_point(rule)
        mu = r.lam * point.policy + (1 - r.lam) * r.offline
        identity = np.eye(r.game.K)
        C = progress(mu, steps, rate)
        jacobian = identity + C @ (rule.jacobian(point.state).matrix - identity)
        return jacobian - jacobian.mean(0)

    def observe(self, instance):
        r, _, steps, rate = instance
        point, h = fixed_point(r.rule()).state, 1e-5
        columns = [
            trained_round(r, point + h * e, steps, rate)
            - trained_round(r, point - h * e, steps, rate)
            for e in np.eye(r.game.K)
        ]
        return np.stack(columns, axis=-1) / (2 * h)


def progress(mu: Array, steps: int, rate: float) -> Array:
    """``C = I - (I - 2 rate J(mu))^steps``: what the steps cover of the way to the optimum."""
    identity = np.eye(len(mu))
    J = np.diag(mu) - np.outer(mu, mu)
    return identity - np.linalg.matrix_power(identity - 2 * rate * J, steps)
