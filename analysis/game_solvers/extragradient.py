"""Extragradient steps and Nash-MD: GAME-4 and GAME-5."""

import numpy as np

from analysis import Check
from analysis.game_solvers._problems import (
    characteristic,
    logits,
    observed,
    problem,
    turns,
)
from analysis.game_solvers.mirror_descent import MirrorDescentContracts, MirrorDescentMultipliers
from analysis.how_sampling_shapes._recipes import growth_rates
from prefdyn import EGPO, NashMD, fixed_point, games, online_mirror_descent, orbit
from prefdyn.policies import log_softmax, softmax

# --------------------------------------------------------------------------------------- GAME-4


class ExtragradientMultipliers(MirrorDescentMultipliers):
    """Multipliers from pi*, against those of the simulated step."""

    claim = "GAME-4"
    part = "multipliers m - y_k^2 +- i m y_k"
    tolerance = 1e-6
    instances = 20

    def rule(self, p):
        return EGPO(p.game, p.eta, p.tau, p.reference)

    def predict(self, instance):
        p = instance
        pi = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).policy
        m, y = p.keep[:, None], p.eta[:, None] * turns(p.game.skew, pi)
        return characteristic(m - y**2 + 1j * m * y)


KEPT = np.array([0.0, 0.3, 0.7, 0.95, 1.0])
"""m = 1 - eta tau, and the largest stable y = eta s of EGPO there."""
CRITICAL = np.array([1.0, 1.115, 1.141, 1.043, 1.0])


class ExtragradientThreshold(Check):
    """Rock-paper-scissors, whose s is a/sqrt 3: growth on either side of the critical y."""

    claim = "GAME-4"
    part = "growth rates around the critical y, which is 1, 1.115, 1.141, 1.043, 1 at five m"
    tolerance = 2e-3  # the stated values have four digits
    cases = (0.97, 1.0, 1.03)
    strength = 0.4

    def critical(self):
        b = 2 * KEPT - KEPT**2
        return np.sqrt((b + np.sqrt(b**2 + 4 * (1 - KEPT**2))) / 2)

    def predict(self, instance):
        y = instance * CRITICAL
        return np.log(np.hypot(KEPT - y**2, KEPT * y))

    def observe(self, instance):
        eta = instance * self.critical() * np.sqrt(3) / self.strength
        game = games.rock_paper_scissors(np.full(len(KEPT), self.strength))
        return growth_rates(EGPO(game, eta, (1 - KEPT) / eta), 30, 1e-6)


class ExtragradientContracts(MirrorDescentContracts):
    """Far starts, at the largest step that the condition allows."""

    claim = "GAME-4"
    part = "KL(pi* || pi) shrinks by 1 - eta tau a round if eta <= 1/(2 tau + 2 max|A|)"

    def draw(self, rng):
        p = problem(rng, 10)
        largest = np.abs(p.game.skew).max((-1, -2))
        return p._replace(eta=0.5 / (p.tau + largest)), logits(rng, p, 3.0)

    def rule(self, p):
        return EGPO(p.game, p.eta, p.tau, p.reference)


# --------------------------------------------------------------------------------------- GAME-5


class NashMDRecursion(MirrorDescentContracts):
    """Far starts, any step."""

    claim = "GAME-5"
    part = "KL(pi* || pi) is at most (1 - eta tau) times the last one plus 2 eta^2"

    def draw(self, rng):
        p = problem(rng, 10)
        return p, logits(rng, p, 3.0)

    def rule(self, p):
        return NashMD(p.game, p.eta, p.tau, p.reference)

    def distances(self, instance):
        p, theta = instance
        run = orbit(self.rule(p), log_start=log_softmax(theta), rounds=self.rounds, tolerance=0)
        pi = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).log_policy
        return np.sum(np.exp(pi) * (pi - run.log_policies), axis=-1)

    def predict(self, instance):
        return super().predict(instance) + 2 * instance[0].eta ** 2


class NashMDBound(Check):
    """The decreasing step, every round."""

    claim = "GAME-5"
    part = "decreasing step: KL(pi* || pi_T) <= 8/(tau^2 (T + 1)) for every T <= 2000"
    comparison = "at_most"
    tolerance = 0.0
    instances = 10

    def draw(self, rng):
        p = problem(rng, 20)
        return p, logits(rng, p, 3.0)

    def predict(self, instance):
        rounds = np.arange(1, 2001)[:, None]
        return 8 / (instance[0].tau ** 2 * (rounds + 1))

    def observe(self, instance):
        p, theta = instance
        rule = NashMD(p.game, None, p.tau, p.reference)
        run = orbit(rule, log_start=log_softmax(theta), rounds=2000, tolerance=0)
        star = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).log_policy
        return np.sum(np.exp(star) * (star - run.log_policies[1:]), axis=-1)


def mixture(p, policy):
    """The geometric mixture of policy and reference, with the share eta tau of the latter."""
    m = p.keep[:, None]
    return softmax(m * np.log(policy) + (1 - m) * np.log(p.reference))


class NashMDBias(Check):
    """Where a constant step rests."""

    claim = "GAME-5"
    part = "constant step: the mixture is the equilibrium at tau/(1 - eta tau), pi the BR to it"
    tolerance = 1e-10
    instances = 20

    def draw(self, rng):
        return problem(rng, 4)

    def predict(self, instance):
        p = instance
        hotter = p.tau / p.keep
        mix = fixed_point(online_mirror_descent(p.game, 0.5 / hotter, hotter, p.reference)).policy
        lead = np.einsum("...ij,...j->...i", p.game.P, mix) / p.tau[:, None]
        return np.stack([mix, softmax(np.log(p.reference) + lead)])

    def observe(self, instance):
        p = instance
        pi = fixed_point(NashMD(p.game, p.eta, p.tau, p.reference)).policy
        return np.stack([mixture(p, pi), pi])


class NashMDMultipliers(MirrorDescentMultipliers):
    """Multipliers from the mixture, against those of the simulated step."""

    claim = "GAME-5"
    part = "multipliers (1 - eta tau)(1 +- i eta s_k), s_k at the mixture"
    tolerance = 1e-6
    instances = 20

    def rule(self, p):
        return NashMD(p.game, p.eta, p.tau, p.reference)

    def predict(self, instance):
        p = instance
        hotter = p.tau / p.keep
        mix = fixed_point(online_mirror_descent(p.game, 0.5 / hotter, hotter, p.reference)).policy
        return characteristic(p.keep[:, None] * (1 + 1j * p.eta[:, None] * turns(p.game.skew, mix)))

    def observe(self, instance):
        return observed(self.rule(instance))
