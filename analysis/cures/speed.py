"""How fast cured rounds settle: an adaptive beta, and small optimistic rounds."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import game, log_uniform, responses
from analysis.cures._rounds import SETTING, A, G, Z, cured_round, plane
from analysis.how_sampling_shapes._recipes import rotations, rps
from prefdyn import (
    MRSDPO,
    MRSIPO,
    AdaptiveBeta,
    Extragradient,
    Inexact,
    Optimistic,
    fixed_point,
    games,
    orbit,
    stability,
)
from prefdyn.rules import BestFraction


def rate(rule, start=None, rounds=4000, far=1e-4, near=1e-9) -> float:
    """Simulated factor per round between two distances from the fixed point."""
    home = fixed_point(rule).policy
    run = orbit(rule, start, rounds=rounds)
    distance = np.abs(run.policies - home).max(-1)
    first = np.flatnonzero(distance < far)[0]
    last = np.flatnonzero(distance < near)[0]
    return float((distance[last] / distance[first]) ** (1 / (last - first)))


class AdaptiveRate(Check):
    """Orbits of the adaptive rule, which is told nothing about the game's rotation."""

    claim = "CURE-5"
    part = "MRS-IPO, cyclic games: simulated factor per round against q/sqrt(1 + q^2)"
    comparison = "relative"
    tolerance = 0.01
    cases = (("cycle:3:0.4", 0.1), ("cycle:5:0.4", 0.08), ("cycle:3:0.3", 0.05))
    alphas = (0.2, 0.7)

    def rules(self, instance):
        name, tau = instance
        return [MRSIPO(games.load(name), tau / (1 - a), a, 1.0) for a in self.alphas]

    def predict(self, instance):
        name, tau = instance
        A, policy = games.load(name).skew, fixed_point(self.rules(instance)[0]).policy
        q = rotations(A, policy)[0] / tau
        return np.full(len(self.alphas), q / np.sqrt(1 + q**2))

    def observe(self, instance):
        return np.array([rate(AdaptiveBeta(rule)) for rule in self.rules(instance)])


class SettledMultipliers(Check):
    """What stability analysis sees of the adaptive rule."""

    claim = "CURE-5"
    part = "random games: differences of the best fraction at every policy, radius q/sqrt(1 + q^2)"
    tolerance = 1e-6
    instances = 20

    def draw(self, rng):
        K = responses(rng)
        return MRSIPO(game(rng, K), log_uniform(rng, 0.05, 1), rng.uniform(0, 0.9), 1.0)

    def skip(self, rule):
        y = rotations(rule.game.skew, fixed_point(rule).policy)[0] / rule.beta
        room = 1 - rule.alpha
        return room >= room**2 + y**2  # the whole round is best

    def predict(self, rule):
        q = rotations(rule.game.skew, fixed_point(rule).policy)[0]
        q /= (1 - rule.alpha) * rule.beta
        return q / np.sqrt(1 + q**2)

    def observe(self, rule):
        cured, h = BestFraction(rule, 1e-6), 1e-6
        state, basis = fixed_point(rule).state, plane(rule.K)
        columns = [
            (cured.step(state + h * e, 0, None) - cured.step(state - h * e, 0, None)) / (2 * h)
            for e in basis.T
        ]
        return np.abs(np.linalg.eigvals(basis.T @ np.stack(columns, -1))).max()


class OneStepShrinks(Check):
    """The best fraction for one displacement, in the variance under the policy."""

    claim = "CURE-5"
    part = "MRS-IPO, random directions: the smallest displacement after a fraction of a round"
    tolerance = 1e-6
    instances = 30

    def draw(self, rng):
        K = responses(rng)
        rule = MRSIPO(game(rng, K), log_uniform(rng, 0.05, 1), rng.uniform(0, 0.9), 1.0)
        return rule, rng.normal(size=K)

    def predict(self, instance):
        rule, direction = instance
        policy = fixed_point(rule).policy
        turned = rule.game.skew @ (policy * (direction - policy @ direction)) / rule.beta
        y = np.sqrt(variance(policy, turned) / variance(policy, direction))
        return y / np.hypot(1 - rule.alpha, y)

    def observe(self, instance):
        rule, direction = instance
        point, h = fixed_point(rule), 1e-6
        moved = (
            rule.step(point.state + h * direction, 0, None)
            - rule.step(point.state - h * direction, 0, None)
        ) / (2 * h)
        # Over all kappa, also beyond a whole round: a parabola through three values.
        at = np.array([0.0, 0.5, 1.0])
        sizes = [variance(point.policy, (1 - k) * direction + k * moved) for k in at]
        c2, c1, c0 = np.polyfit(at, sizes, 2)
        return np.sqrt((c0 - c1**2 / (4 * c2)) / variance(point.policy, direction))


def variance(policy, logits):
    """Variance of logits under a policy."""
    return policy @ (logits - policy @ logits) ** 2


class AdaptiveDPO(Check):
    """What the adaptive rule does on MRS-DPO, against the best fixed fraction."""

    claim = "CURE-5"
    part = "MRS-DPO: rounds to 1e-9 over those of the best fixed fraction's rate"
    comparison = "report"
    cases = (("cycle:3:0.3", 0.3), ("cycle:5:0.3", 0.3))

    def observe(self, instance):
        name, tau = instance
        rule = MRSDPO(games.load(name), 2 * tau, 0.5, 1.0)
        settled = stability(AdaptiveBeta(rule)).spectral_radius
        return np.log(rate(AdaptiveBeta(rule))) / np.log(settled)

    def summary(self, observations):
        low, high = min(observations), max(observations)
        return f"speed {low:.2f} to {high:.2f} times that of the best fixed fraction"


@cache
def limit_radius(kind: str) -> float:
    """Radius of a turning pair as q grows: a -> 1 and g = i w, w = 1/2 or 1/sqrt 2, by sympy."""
    import sympy

    w = {"optimistic": sympy.Rational(1, 2), "extragradient": 1 / sympy.sqrt(2)}[kind]
    matrix = cured_round(kind).subs({A: 1, SETTING: 1, G: sympy.I * w})
    roots = sympy.roots(matrix.charpoly(Z).as_expr(), Z)
    return max(float(sympy.Abs(root)) for root in roots)


class LimitOfSmallRounds(Check):
    """Strong drive, three responses: one turning pair."""

    claim = "CURE-6"
    part = "q = 2000: radii of shipped rules at the stated kappa tend to the derived limits"
    tolerance = 0.02
    cases = ((0.0, 1e-4), (0.7, 1e-4))

    def predict(self, instance):
        return np.array(
            [limit_radius("optimistic"), 1 / np.sqrt(2), limit_radius("extragradient"), 0.75**0.5]
        )

    def observe(self, instance):
        alpha, tau = instance
        rule = rps(0.4, tau / (1 - alpha), alpha, 1.0)
        y = 0.4 / np.sqrt(3) / rule.beta
        optimistic = stability(Optimistic(Inexact(rule, 1 / (2 * y)))).spectral_radius
        ahead = stability(Extragradient(Inexact(rule, 1 / (np.sqrt(2) * y)))).spectral_radius
        return np.array([optimistic, optimistic, ahead, ahead])


class FastestPerEvaluation(Check):
    """Smaller, optimistic and extragradient rounds, each at its best fraction."""

    claim = "CURE-6"
    part = "alpha = 0, q = 1/2, 1, 2, 5, 20: which of three settles a turning pair fastest"
    comparison = "agree"
    cases = (np.array([0.5, 1, 2, 5, 20]),)

    def predict(self, instance):
        return np.array([2, 2, 1, 1, 1])

    def observe(self, instance):
        kappa = np.geomspace(1e-3, 1, 500)
        winners = []
        for q in instance:
            small = Inexact(rps(0.4, 0.4 / np.sqrt(3) / q, 0.0, 1.0), kappa)
            radii = [
                np.min(stability(small).spectral_radius),
                np.min(stability(Optimistic(small)).spectral_radius),
                np.sqrt(np.min(stability(Extragradient(small)).spectral_radius)),
            ]
            winners.append(int(np.argmin(radii)))
        return np.array(winners)


class EvenResponsesSlow(Check):
    """A direction that does not turn."""

    claim = "CURE-6"
    part = "four responses, kappa = 1/(2 y): the radius is 1 - 1/(2 q), of optimistic rounds"
    tolerance = 1e-8
    instances = 15

    def draw(self, rng):
        return rng.uniform(0.1, 0.5), rng.uniform(0, 0.9), log_uniform(rng, 0.002, 0.02)

    def predict(self, instance):
        a, _, tau = instance
        q = rotations(games.cycle(4, a).skew, np.full(4, 0.25))[0] / tau
        return 1 - 1 / (2 * q)

    def observe(self, instance):
        a, alpha, tau = instance
        rule = MRSIPO(games.cycle(4, a), tau / (1 - alpha), alpha, 1.0)
        x: Any = stability(rule).multipliers
        y = np.abs(x.imag).max()
        return stability(Optimistic(Inexact(rule, 1 / (2 * y)))).spectral_radius


class SimulatedSpeed(Check):
    """Orbits from afar: rounds until the policy is 1e-8 from the fixed point."""

    claim = "CURE-6"
    part = "simulated factor per round of small optimistic rounds against its radius, far start"
    comparison = "relative"
    tolerance = 0.02
    cases = ((0.0, 0.05), (0.5, 0.05), (0.9, 0.02))

    def predict(self, instance):
        rule = self.cured(instance)
        return stability(rule).spectral_radius

    def cured(self, instance):
        alpha, tau = instance
        rule = rps(0.4, tau / (1 - alpha), alpha, 1.0)
        beta = tau / (1 - alpha)
        return Optimistic(Inexact(rule, 0.3 * np.sqrt(3) * beta))

    def observe(self, instance):
        return rate(self.cured(instance), [0.7, 0.2, 0.1], far=1e-3, near=1e-10)
