"""Training pipelines: references that follow the policy, and fractions of rounds: PIPE-1 to 3."""

from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from prefdyn import MRSDPO, MRSIPO, Inexact, PreferenceMatrix, fixed_point, orbit, stability
from prefdyn.pipeline.moving_reference import least_kappa, multipliers, strength
from prefdyn.policies import centre

Array = np.ndarray


class Drift(Check):
    """Periods one after the other, against one round at a smaller beta."""

    claim = "PIPE-1"
    part = "IPO and DPO on fixed data: n periods end where one round at beta/M does"
    tolerance = 1e-8
    instances = 60

    def draw(self, rng):
        K = responses(rng)
        kind = (MRSIPO, MRSDPO)[int(rng.integers(2))]
        rule = kind(game(rng, K), log_uniform(rng, 0.3, 3), 0.0, 0.0, offline=interior(rng, K))
        return rule, rng.uniform(0.05, 1), rng.uniform(0.05, 1), int(rng.integers(1, 12))

    def predict(self, instance):
        rule, mixing, kappa, periods = instance
        moved = strength(mixing, kappa, periods)
        return centre(fixed_point(rule.replace(beta=rule.beta / moved)).log_policy)

    def observe(self, instance):
        rule, mixing, kappa, periods = instance
        optimum = fixed_point(rule).log_policy
        policy = reference = np.zeros(rule.K)
        for _ in range(periods):
            push = optimum + np.log(rule.K)  # of a uniform reference
            policy = policy + kappa * (reference + push - policy)
            reference, last = mixing * policy + (1 - mixing) * reference, policy
        return centre(last)


class LongRunDrift(Drift):
    """How fast it goes in the end."""

    claim = "PIPE-1"
    part = "the long-run drift is a kappa/c rounds per period"
    instances = 40

    def predict(self, instance):
        _, mixing, kappa, _ = instance
        return mixing * kappa / (kappa + mixing - mixing * kappa)

    def observe(self, instance):
        _, mixing, kappa, _ = instance
        return strength(mixing, kappa, 2000) - strength(mixing, kappa, 1999)


def turning(rng: np.random.Generator, K: int) -> PreferenceMatrix:
    """A random game whose rows add up to K/2, so that the uniform policy is at rest."""
    lead = rng.uniform(-0.5, 0.5, size=K)
    ring = (np.arange(K)[None, :] - np.arange(K)[:, None]) % K
    A = (lead[ring] - lead[-ring % K]) / 2
    return PreferenceMatrix(0.5 + A)


def two_steps(A: Array, beta: float, mixing: float, kappa: float, state: Array) -> Array:
    """One period, from its definition; policy and reference in one vector."""
    policy, reference = np.split(state, 2)
    pi = np.exp(policy) / np.exp(policy).sum()
    policy = policy + kappa * (reference + A @ pi / beta - policy)
    return np.concatenate([policy, mixing * policy + (1 - mixing) * reference])


class LagMultipliers(Check):
    """Spectral radius of finite differences of the period against the roots."""

    claim = "PIPE-2"
    part = "multipliers at the uniform policy, finite differences"
    tolerance = 1e-7
    instances = 60

    def draw(self, rng):
        K = responses(rng)
        return (
            turning(rng, K),
            log_uniform(rng, 0.05, 3),
            rng.uniform(0.05, 0.95),
            rng.uniform(0.05, 0.95),
        )

    def predict(self, instance):
        drawn, beta, mixing, kappa = instance
        x = stability(MRSIPO(drawn, beta, 0.0, 1.0)).multipliers
        return np.abs(multipliers(x, mixing, kappa)).max()

    def observe(self, instance):
        drawn, beta, mixing, kappa = instance
        K, A = drawn.K, drawn.skew
        step = 1e-6 * np.eye(2 * K)
        columns = [
            (two_steps(A, beta, mixing, kappa, h) - two_steps(A, beta, mixing, kappa, -h)) / 2e-6
            for h in step
        ]
        flat = np.kron(np.eye(2), np.eye(K) - 1 / K)
        return np.abs(np.linalg.eigvals(flat @ np.stack(columns, axis=1) @ flat)).max()


class WeakCycles(LagMultipliers):
    """The sign of growth, two per cent beside the least fraction of a round."""

    claim = "PIPE-2"
    part = "weak cycles settle above kappa = a^2/((1 - a)(2 - a)) only"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        mixing = rng.uniform(0.1, 0.6)
        drawn = turning(rng, 3)
        beta = 200 * np.abs(drawn.skew).max()
        return drawn, beta, mixing, least_kappa(mixing) * (0.98 if rng.random() < 0.5 else 1.02)

    def skip(self, instance):
        return np.abs(instance[0].skew).max() < 0.01

    def predict(self, instance):
        _, _, mixing, kappa = instance
        return kappa * (1 - mixing) * (2 - mixing) > mixing**2

    def observe(self, instance):
        return super().observe(instance) < 1


class LocallyStableEverywhere(Check):
    """Random games just below the fraction."""

    claim = "PIPE-3"
    part = "spectral radius below the local fraction, any game, reference and sampler"
    comparison = "at_most"
    tolerance = 1e-9
    instances = 100

    def draw(self, rng):
        K = responses(rng)
        return (
            MRSIPO(
                game(rng, K),
                log_uniform(rng, 0.02, 2),
                rng.uniform(0, 0.95),
                rng.uniform(0.05, 1),
                interior(rng, K),
                interior(rng, K),
            ),
        )

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        rule: Any = instance[0]
        room = 1 - rule.alpha
        kappa = 2 * room / (room**2 + (rule.lam / (np.pi * rule.beta)) ** 2)
        return stability(Inexact(rule, min(float(kappa), 1.0))).spectral_radius


class SharpFraction(Check):
    """Regular tournaments, in which each response beats the half that follows it."""

    claim = "PIPE-3"
    part = "one per cent above it a regular tournament of 101 responses is unstable"
    comparison = "at_least"
    tolerance = 0.0
    cases = ((0.05, 0.0), (0.05, 0.5), (0.1, 0.8))

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        beta, alpha = instance
        K = 101
        ahead = (np.arange(K)[None, :] - np.arange(K)[:, None]) % K
        P = np.where(ahead == 0, 0.5, np.where(ahead <= K // 2, 1.0, 0.0))
        room = 1 - alpha
        kappa = 2 * room / (room**2 + (1 / (np.pi * beta)) ** 2)
        rule = MRSIPO(PreferenceMatrix(P), beta, alpha, 1.0)
        return stability(Inexact(rule, 1.01 * kappa)).spectral_radius


class EveryStart(LocallyStableEverywhere):
    """Divergence from the fixed point after a round at the global fraction."""

    claim = "PIPE-3"
    part = "at the global fraction the divergence from the fixed point shrinks every round"
    instances = 60

    def draw(self, rng):
        (rule,) = super().draw(rng)
        return rule, interior(rng, rule.K)

    def predict(self, instance):
        rule, _ = instance
        return 1 - self.kappa(rule) * (1 - rule.alpha)

    def observe(self, instance):
        rule, start = instance
        star = fixed_point(rule)
        found = orbit(Inexact(rule, self.kappa(rule)), start, rounds=20, tolerance=0)
        to_rest = (star.policy * (star.log_policy - found.log_policies)).sum(axis=-1)
        seen = to_rest[:-1] > 1e-10
        return (to_rest[1:] / to_rest[:-1])[seen].max(initial=0.0)

    @staticmethod
    def kappa(rule: Any) -> float:
        room = 1 - rule.alpha
        return min(float(room / (room**2 + (rule.lam / (2 * rule.beta)) ** 2)), 1.0)
