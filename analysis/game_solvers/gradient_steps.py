"""Gradient steps of online IPO, IPO-MD and Nash-MD-PG: GAME-6."""

import numpy as np

from analysis import Check
from analysis.game_solvers._problems import (
    centred,
    characteristic,
    logits,
    observed,
    problem,
    times,
)
from analysis.how_sampling_shapes._recipes import plane
from prefdyn import IPOMD, NashMD, NashMDPG, OnlineIPO, fixed_point, online_mirror_descent
from prefdyn.policies import softmax, softmax_jacobian


class UniformIsMirrorDescent(Check):
    """The update of OMD, and a step on the loss."""

    claim = "GAME-6"
    part = "uniform pairs: a step of rate rho is OMD with eta tau = 4 rho/K"
    tolerance = 1e-12
    instances = 20

    def draw(self, rng):
        p = problem(rng, 10)
        return p, logits(rng, p)

    def predict(self, instance):
        p, theta = instance
        eta, tau = p.eta[:, None], p.tau[:, None]
        lead = times(p.game.P, softmax(theta))
        return centred(theta + eta * (lead - tau * (theta - np.log(p.reference))))

    def observe(self, instance):
        p, theta = instance
        rate = p.eta * p.tau * p.K / 4
        return OnlineIPO(p.game, rate, p.tau, "uniform", reference=p.reference).step(theta, 0, None)


def steps(p, m):
    """The three rules whose pairs come from a policy or a mixture, at rate 0.1."""
    keywords = {"reference": p.reference}
    return (
        OnlineIPO(p.game, 0.1, p.tau, **keywords),
        IPOMD(p.game, 0.1, p.tau, m, **keywords),
        NashMDPG(p.game, 0.1, p.tau, m, **keywords),
    )


class Gradients(Check):
    """Losses summed over pairs and outcomes of a vote, differentiated by differences."""

    claim = "GAME-6"
    part = "on-policy, IPO-MD and Nash-MD-PG: the step is 0.1 times minus the loss's gradient"
    tolerance = 1e-7
    instances = 10

    def draw(self, rng):
        p = problem(rng, 5, least_tau=0.2)
        return p, rng.uniform(0, 1, 5), logits(rng, p, 1.0)

    def losses(self, p, m, theta):
        """Of moved logits x, with the samplers held at theta."""
        pi = softmax(theta)
        mix = softmax((1 - m) * theta + m * np.log(p.reference))
        tau = p.tau[:, None, None]

        def voted(x, sampler):
            u = np.log(softmax(x) / p.reference)
            h = u[:, :, None] - u[:, None, :]
            each = p.game.P * (h - 0.5 / tau) ** 2 + p.game.P.mT * (h + 0.5 / tau) ** 2
            return np.einsum("bi,bij,bj->b", sampler, each, sampler)

        def value(x):
            now = softmax(x)
            win = np.einsum("bi,bij,bj->b", now, p.game.P, mix)
            return p.tau * np.sum(now * np.log(now / p.reference), -1) - win

        return (lambda x: voted(x, pi)), (lambda x: voted(x, mix)), value

    def predict(self, instance):
        p, m, theta = instance
        h, moved = 1e-5, []
        for loss in self.losses(p, m[:, None], theta):
            slope = [(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(p.K)]
            moved.append(theta - 0.1 * np.stack(slope, axis=-1))
        return np.stack(moved)

    def observe(self, instance):
        p, m, theta = instance
        return np.stack([rule.step(theta, 0, None) for rule in steps(p, m)])


class RestPoints(Check):
    """Fixed points of gradient rules, against those of Nash-MD and mirror descent."""

    claim = "GAME-6"
    part = "on-policy IPO rests at pi*, IPO-MD and Nash-MD-PG where Nash-MD with eta tau = m does"
    tolerance = 1e-9
    instances = 10

    def draw(self, rng):
        return problem(rng, 4)

    def predict(self, instance):
        p = instance
        star = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).policy
        biased = fixed_point(NashMD(p.game, p.eta, p.tau, p.reference)).policy
        return np.stack([star, biased, biased])

    def observe(self, instance):
        p = instance
        return np.stack([fixed_point(rule).policy for rule in steps(p, 1 - p.keep)])


class GradientMultipliers(Check):
    """The stated Jacobians, against differences of the step."""

    claim = "GAME-6"
    part = "multipliers of on-policy IPO, IPO-MD and Nash-MD-PG"
    tolerance = 1e-6
    instances = 10

    def draw(self, rng):
        return problem(rng, 4, least_tau=0.2)

    def predict(self, instance):
        p = instance
        A, K = p.game.skew, p.K
        star = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).policy
        biased = fixed_point(NashMD(p.game, p.eta, p.tau, p.reference)).policy
        keep, tau = p.keep[:, None, None], p.tau[:, None, None]
        mix = softmax(
            p.keep[:, None] * np.log(biased) + (1 - p.keep[:, None]) * np.log(p.reference)
        )
        at_star, at_biased, at_mix = (softmax_jacobian(x) for x in (star, biased, mix))
        identity = np.eye(K)
        slopes = (
            4 * at_star @ (identity - A @ at_star / tau),
            4 * at_mix @ (identity - keep * A @ at_mix / tau),
            at_biased @ (tau * identity - keep * A @ at_mix),
        )
        basis = plane(K)
        return np.stack(
            [
                characteristic(np.linalg.eigvals(basis.T @ (identity - 0.1 * x) @ basis) + 0j)
                for x in slopes
            ]
        )

    def observe(self, instance):
        p = instance
        return np.stack([observed(rule) for rule in steps(p, 1 - p.keep)])
