"""DPO on pairs from a sampler: GAME-8, GAME-9 and GAME-10."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import finite_differences
from prefdyn import SampledDPO, fixed_point, games, orbit
from prefdyn.policies import softmax

FIXED = ("uniform", "mix_r", "mix_p", "mix_p_clipped")
ON_POLICY = ("on_policy", "pilaf")


def errors(instance, sampler, rounds, rate=None):
    """Largest error of a reward gap in every round, from the uniform policy."""
    rewards, beta = instance
    rule = SampledDPO(games.bradley_terry(rewards), rate, beta, sampler)
    start = np.full(rewards.shape[-1], 1 / rewards.shape[-1])
    run = orbit(rule, start, rounds, tolerance=0)
    return np.ptp(rewards - beta * run.log_policies, axis=-1)


def rewards_of(rng, K=None):
    """Rewards in [0, 1] and a beta."""
    K = responses(rng, 3, 12) if K is None else K
    return rng.uniform(0, 1, K), float(log_uniform(rng, 0.3, 3))


class Quadratic(Check):
    """Rounds whose error is below 0.1 and still above rounding."""

    claim = "GAME-8"
    part = "Mix-R and Mix-P at the matched rate: the next error is at most half its square"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 20

    def draw(self, rng):
        return rewards_of(rng)

    def predict(self, instance):
        return np.zeros(2)

    def observe(self, instance):
        worst = []
        for sampler in ("mix_r", "mix_p"):
            e = errors(instance, sampler, 6)
            now, following = e[:-1], e[1:]
            worst.append(np.max((following - now**2 / 2)[now < 0.1]))
        return np.array(worst)


class Digits(Check):
    """The published experiment: 20 rewards in [0, 1], beta 3."""

    claim = "GAME-8"
    part = "K = 20, beta = 3: errors below 1e-9 after 4 rounds of Mix-R and Mix-P, above of uniform"
    comparison = "agree"
    tolerance = 0.0
    instances = 5

    def draw(self, rng):
        return rewards_of(rng, 20)[0], 3.0

    def predict(self, instance):
        return [True, True, False]

    def observe(self, instance):
        return [bool(errors(instance, s, 4)[-1] < 1e-9) for s in ("mix_r", "mix_p", "uniform")]


class ConstantRateIsLinear(Check):
    """Mix-P at the rate that is matched at the start."""

    claim = "GAME-8"
    part = "Mix-P at a constant rate: the error falls by a factor that settles above 0.01"
    comparison = "at_least"
    tolerance = 0.0
    instances = 5

    def draw(self, rng):
        rewards, beta = rewards_of(rng)
        return np.append(rewards, (0.0, 1.0)), beta

    def predict(self, instance):
        return 0.01

    def observe(self, instance):
        rewards, beta = instance
        e = errors(instance, "mix_p", 5, rate=2 * len(rewards) / beta**2)
        return e[-1] / e[-2]


class UniformIsLinear(Check):
    """The Laplacian's factor, against late rounds."""

    claim = "GAME-8"
    part = "uniform pairs: late errors shrink by the spectral radius of I - (4/K) L"
    tolerance = 2e-3
    instances = 20

    def draw(self, rng):
        return rewards_of(rng)

    def predict(self, instance):
        rewards, _ = instance
        gap = rewards[:, None] - rewards
        weights = 1 / (2 + np.exp(gap) + np.exp(-gap))
        L = np.diag(weights.sum(1)) - weights
        return np.sort(np.abs(1 - 4 * np.linalg.eigvalsh(L) / len(rewards)))[-2]

    def observe(self, instance):
        rewards, beta = instance
        rule = SampledDPO(games.bradley_terry(rewards), None, beta)
        slope = finite_differences(rule, fixed_point(rule).state)
        return np.abs(np.linalg.eigvals(slope)).max()


class UniformBound(Check):
    """The published guarantee."""

    claim = "GAME-8"
    part = "uniform pairs: the error is at most 0.588^T of the first"
    comparison = "at_most"
    tolerance = 0.0
    instances = 20

    def draw(self, rng):
        return rewards_of(rng)

    def predict(self, instance):
        return 0.588 ** np.arange(1, 11) * np.ptp(instance[0])

    def observe(self, instance):
        return errors(instance, "uniform", 10)[1:]


class PolicyGradient(Check):
    """Direction and length of the two gradients, at rewards close to the policy's own."""

    claim = "GAME-9"
    part = "at r = beta u + 1e-4 N the gradients differ by less than 1e-3 of their length"
    tolerance = 1e-3
    instances = 30

    def draw(self, rng):
        K = responses(rng)
        return interior(rng, K), interior(rng, K), log_uniform(rng, 0.1, 2), rng.normal(size=K)

    def rewards(self, instance):
        pi, ref, beta, noise = instance
        return beta * np.log(pi / ref) + 1e-4 * noise

    def predict(self, instance):
        pi, ref, beta, _ = instance
        h = beta * np.log(pi / ref)
        gap = h[:, None] - h
        Z = np.sum(np.outer(pi, pi) * (2 + np.exp(gap) + np.exp(-gap)))
        score = self.rewards(instance) - beta * (np.log(pi / ref) + 1)
        ascent = 2 * beta / Z * pi * (score - pi @ score)
        return ascent / np.linalg.norm(ascent)

    def observe(self, instance):
        pi, ref, beta, _ = instance
        h = beta * np.log(pi / ref)
        gap = h[:, None] - h
        Z = np.sum(np.outer(pi, pi) * (2 + np.exp(gap) + np.exp(-gap)))
        score = self.rewards(instance) - beta * (np.log(pi / ref) + 1)
        length = 2 * beta / Z * np.linalg.norm(pi * (score - pi @ score))
        bradley_terry = games.bradley_terry(self.rewards(instance))
        rule = SampledDPO(bradley_terry, 1.0, beta, "pilaf", reference=ref)
        theta = np.log(pi)
        return (rule.step(theta, 0, None) - (theta - theta.mean())) / length


class RealMultipliers(Check):
    """Largest imaginary part at the fixed point of random games."""

    claim = "GAME-10"
    part = "uniform, Mix-R, Mix-P and clipped Mix-P: no complex multipliers on random games"
    comparison = "at_most"
    tolerance = 0.0
    instances = 10

    def draw(self, rng):
        K = responses(rng)
        return game(rng, K, strength=0.45), log_uniform(rng, 0.2, 2), interior(rng, K)

    def predict(self, instance):
        # A symmetric matrix with the rounding of differences: only near-multiple values turn.
        return np.full(len(FIXED), 1e-6)

    def observe(self, instance):
        game, beta, reference = instance
        found = []
        for sampler in FIXED:
            rule = SampledDPO(game, 1.0, beta, sampler, clip=0.3, reference=reference)
            slope = finite_differences(rule, fixed_point(rule).state)
            found.append(np.abs(slope - slope.T).max())
        return np.array(found)


class ComplexMultipliers(Check):
    """Rock-paper-scissors, where pairs from the policy follow it round."""

    claim = "GAME-10"
    part = "on-policy and PILAF pairs rotate on rock-paper-scissors: 1 - lambda with the stated one"
    tolerance = 1e-6
    instances = 10

    def draw(self, rng):
        return rng.uniform(0.05, 0.45), log_uniform(rng, 0.2, 2)

    def predict(self, instance):
        a, beta = instance
        # gradient: -2 beta sum_j w_ij (P_ij - sigma); w_ij = pi_i pi_j, or that over its sum
        turn = 2 * beta * a / np.sqrt(3) / 3
        pull = 2 * beta**2 / 4 / 3
        return np.array([[1 - pull, turn], [1 - pull, turn]])

    def observe(self, instance):
        a, beta = instance
        found = []
        for sampler in ON_POLICY:
            rule = SampledDPO(games.rock_paper_scissors(a), 1.0, beta, sampler)
            values = np.linalg.eigvals(finite_differences(rule, fixed_point(rule).state))
            leading = values[np.argmax(values.imag)]
            found.append([leading.real, leading.imag])
        return np.array(found)


class OneRestPointOnRewardModels(Check):
    """All six samplers."""

    claim = "GAME-10"
    part = "reward models: every sampler rests at beta u = r"
    tolerance = 1e-9
    instances = 10

    def draw(self, rng):
        K = responses(rng)
        return rng.normal(size=K), log_uniform(rng, 0.2, 2), interior(rng, K)

    def predict(self, instance):
        rewards, beta, reference = instance
        return np.tile(softmax(np.log(reference) + rewards / beta), (6, 1))

    def observe(self, instance):
        rewards, beta, reference = instance
        bradley_terry = games.bradley_terry(rewards)
        return np.stack(
            [
                fixed_point(SampledDPO(bradley_terry, 1.0, beta, s, reference=reference)).policy
                for s in FIXED + ON_POLICY
            ]
        )


class DifferentRestPoints(Check):
    """How far the policies of the six samplers lie apart."""

    claim = "GAME-10"
    part = "random games, beta = 1: largest difference of a probability between the six samplers"
    comparison = "report"
    instances = 10

    def draw(self, rng):
        return game(rng, responses(rng), strength=0.45)

    def observe(self, instance):
        found = [fixed_point(SampledDPO(instance, 1.0, 1.0, s)).policy for s in FIXED + ON_POLICY]
        return np.ptp(found, axis=0).max()
