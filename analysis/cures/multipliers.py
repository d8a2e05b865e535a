"""Multipliers of cured rounds, from symbols and from differences of the shipped rules."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.cures._rounds import (
    observed_polynomial,
    polynomial,
    pulls_by_differences,
    pulls_of_ipo,
)
from analysis.how_sampling_shapes._recipes import Recipe
from prefdyn import (
    MRSDPO,
    MRSIPO,
    AdaptiveBeta,
    Averaged,
    Extragradient,
    Inexact,
    LogitRule,
    Optimistic,
    fixed_point,
)
from prefdyn.policies import centre, log_softmax, softmax


class OptimisticMultipliers(Check):
    """Any strength, random games, references and samplers."""

    claim = "CURE-2"
    part = "MRS-IPO: derived polynomial against differences of the shipped rule"
    tolerance = 1e-6
    instances = 40
    kind = "optimistic"

    def draw(self, rng):
        K = responses(rng)
        fixed = interior(rng, K), interior(rng, K)
        alpha, lam = rng.uniform(0, 0.95, 2)
        r = Recipe(game(rng, K), log_uniform(rng, 0.1, 3), alpha, lam, *fixed)
        return r, rng.uniform(0.1, 1)

    def cured(self, rule, setting):
        return Optimistic(rule, setting)

    def predict(self, instance):
        r, setting = instance
        return polynomial(self.kind, r.alpha, pulls_of_ipo(r), setting)

    def observe(self, instance):
        r, setting = instance
        return observed_polynomial(self.cured(r.rule(), setting))


class OptimisticDPO(OptimisticMultipliers):
    """The same of the implicit optimum of DPO, where g is any complex number."""

    claim = "CURE-2"
    part = "MRS-DPO: derived polynomial against differences of the shipped rule"
    tolerance = 1e-5
    instances = 20

    def draw(self, rng):
        r, setting = super().draw(rng)
        return r._replace(game=game(rng, r.game.K, strength=0.45), beta=r.beta + 0.3), setting

    def predict(self, instance):
        r, setting = instance
        return polynomial(self.kind, r.alpha, pulls_by_differences(MRSDPO(*r)), setting)

    def observe(self, instance):
        r, setting = instance
        return observed_polynomial(self.cured(MRSDPO(*r), setting))


class ExtragradientMultipliers(OptimisticMultipliers):
    """Half step, then the pull at the half step."""

    claim = "CURE-3"
    part = "MRS-IPO: derived multipliers against differences of the shipped rule"
    kind = "extragradient"

    def cured(self, rule, setting):
        return Extragradient(rule)


class ExtragradientDPO(OptimisticDPO):
    """The same of the implicit optimum of DPO."""

    claim = "CURE-3"
    part = "MRS-DPO: derived multipliers against differences of the shipped rule"
    kind = "extragradient"

    def cured(self, rule, setting):
        return Extragradient(rule)


class AveragedPolicies(OptimisticMultipliers):
    """An exponential average of probabilities."""

    claim = "CURE-4"
    part = "MRS-IPO, average of probabilities: derived polynomial against differences"
    kind = "averaged"

    def cured(self, rule, setting):
        return Averaged(rule, rate=setting)


class AveragedLogits(AveragedPolicies):
    """An exponential average of logits: the same spectrum."""

    claim = "CURE-4"
    part = "MRS-IPO, average of logits: derived polynomial against differences"

    def cured(self, rule, setting):
        return Averaged(rule, rate=setting, of="logits")


class AveragedWindow(AveragedPolicies):
    """The last three policies."""

    claim = "CURE-4"
    part = "MRS-IPO, window of three: derived polynomial against differences"
    kind = "window"

    def cured(self, rule, setting):
        return Averaged(rule, window=3)


class AveragedDPO(OptimisticDPO):
    """The same of the implicit optimum of DPO."""

    claim = "CURE-4"
    part = "MRS-DPO, average of probabilities: derived polynomial against differences"
    kind = "averaged"

    def cured(self, rule, setting):
        return Averaged(rule, rate=setting)


class WholeRoundAveraged(Check):
    """Reference and sampler both follow the average: the averages are an inexact orbit."""

    claim = "CURE-4"
    part = "reference and sampler at the average: 20 rounds equal rounds of fraction kappa = rate"
    tolerance = 1e-9
    instances = 40

    def draw(self, rng):
        K = responses(rng)
        alpha, lam = rng.uniform(0, 0.95, 2)
        rule = MRSIPO(game(rng, K), log_uniform(rng, 0.1, 3), alpha, lam)
        return rule, rng.uniform(0.05, 1), centre(rng.normal(size=K))

    def predict(self, instance):
        rule, rate, theta = instance
        for _ in range(20):
            theta = Inexact(rule, rate).step(theta, 0, None)
        return centre(theta)

    def observe(self, instance):
        rule, rate, average = instance
        for _ in range(20):
            newest = rule.alpha * average + rule.drive(rule.sampler(average)) / rule.beta
            average = (1 - rate) * average + rate * newest
        return centre(average)


class OptimismExplicit(Check):
    """The drive of the last round, counted backwards, written out for MRS-IPO and MRS-DPO."""

    claim = "CURE-2"
    part = "20 rounds equal ((1 + m) drive(mu_t) - m drive(mu_(t-1)))/beta on the mixed reference"
    tolerance = 1e-9
    instances = 20

    def draw(self, rng):
        K = responses(rng)
        kind = (MRSIPO, MRSDPO)[int(rng.integers(2))]
        alpha, lam = rng.uniform(0, 0.95, 2)
        recipe = (log_uniform(rng, 0.5, 3), alpha, lam, interior(rng, K))
        return kind(game(rng, K, strength=0.45), *recipe), rng.uniform(0, 1), rng.normal(size=K)

    def predict(self, instance):
        rule, m, theta = instance
        last = rule.drive(rule.sampler(theta))
        for _ in range(20):
            drive = rule.drive(rule.sampler(theta))
            extrapolated = (1 + m) * drive - m * last
            theta, last = rule.mixed_reference(theta) + extrapolated / rule.beta, drive
        return log_softmax(theta)

    def observe(self, instance):
        rule, m, theta = instance
        cured = Optimistic(rule, m)
        state = cured.init_log(log_softmax(theta))
        for t in range(20):
            state = cured.step(state, t, None)
        return cured.log_policy(state)


class Potential(LogitRule):
    """Ascent of a concave potential: real multipliers ``1 - rate`` at the reference, a = 1."""

    def __init__(self, target, rate):
        self.target, self.rate = target, rate

    @property
    def K(self):
        """Number of responses."""
        return len(self.target)

    def update(self, theta):
        """A share of the way to the target in probabilities, divided by those of the target."""
        return theta - self.rate * (softmax(theta) / self.target - 1)


class WhatDoesNotTurn(Check):
    """All of the displacement extrapolated, or taken at the half step: real directions suffer."""

    claim = "CURE-2"
    part = "real multiplier x of another rule: radius from the derived polynomial with a = 1"
    tolerance = 1e-6
    instances = 20
    kind = "optimistic"

    def draw(self, rng):
        return Potential(interior(rng, 4), rng.uniform(0.1, 1.9))

    def predict(self, rule):
        return polynomial(self.kind, 1.0, np.full(3, -rule.rate), 1.0)

    def observe(self, rule):
        return observed_polynomial(Optimistic(rule), rule.target)


class WhatDoesNotTurnExtragradient(WhatDoesNotTurn):
    """The same for the half step."""

    claim = "CURE-3"
    part = "real multiplier x of another rule: 1 + (x - 1) x, with a = 1"
    kind = "extragradient"

    def observe(self, rule):
        return observed_polynomial(Extragradient(rule), rule.target)


class FixedPointStays(Check):
    """Averages of both kinds do not move the fixed point, nor do optimism and the half step."""

    claim = "CURE-4"
    part = "one cured round at the plain rule's fixed point, all cures: nothing moves"
    tolerance = 1e-10
    instances = 20

    def draw(self, rng):
        K = responses(rng)
        kind = (MRSIPO, MRSDPO)[int(rng.integers(2))]
        alpha, lam = rng.uniform(0, 0.95, 2)
        recipe = (log_uniform(rng, 0.5, 3), alpha, lam, interior(rng, K))
        return kind(game(rng, K, strength=0.45), *recipe)

    def predict(self, rule):
        return np.zeros(5)

    def observe(self, rule):
        point = fixed_point(rule).log_policy
        cured = (
            Optimistic(rule),
            Extragradient(rule),
            Averaged(rule, rate=0.3),
            Averaged(rule, window=3, of="logits"),
            AdaptiveBeta(rule),
        )
        after = [r.log_policy(r.step(r.init_log(point), 0, None)) for r in cured]
        return np.abs(np.array(after) - point).max(-1)
