"""Large gradient steps on a disputed pair: BIF-3."""

from functools import cache

import numpy as np
from scipy.optimize import root
from scipy.special import expit

from analysis import Check
from prefdyn import DPO, GradientStep, LogitRule, continuation
from prefdyn.policies import Tabular, centre

SHARE = 0.7
"""Share of the preferred response in the cascade."""


def disputed(share: float, beta: float, rate: float) -> GradientStep:
    """DPO on two responses, labelled one way with a share and the other way with the rest."""
    policy, pairs = Tabular([0.0, 0.0]), [(0, 1), (1, 0)]
    return GradientStep(DPO(beta), policy, pairs, rate=rate, weights=[share, 1 - share])


class Disputed(LogitRule):
    """The same step written out, which is quicker to follow through many rounds."""

    K = 2  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, share: float, rate: float):
        self.share, self.rate = share, rate

    def update(self, theta):
        """One step at beta = 1."""
        push = self.share - expit(theta[..., :1] - theta[..., 1:])
        return theta + self.rate * push * np.array([1, -1])


class SameStep(Check):
    """The written-out step against the package's gradient."""

    claim = "BIF-3"
    part = "a gradient step on the pair moves the logits by +-h (p - sigmoid(u)) at beta = 1"
    instances = 5
    tolerance = 1e-12

    def draw(self, rng):
        return rng.uniform(0.1, 0.9), rng.uniform(0.1, 10), rng.normal(size=2)

    def predict(self, instance):
        p, rate, theta = instance
        return Disputed(p, rate).step(centre(theta), 0, None)

    def observe(self, instance):
        p, rate, theta = instance
        return disputed(p, 1.0, rate).step(centre(theta), 0, None)


class Flip(Check):
    """Threshold, criticality and coefficient."""

    claim = "BIF-3"
    part = "flip at h beta^2 = 1/(p(1-p)), coefficient 2 beta^2 (2/3 - 2p(1-p)), supercritical"
    comparison = "relative"
    tolerance = 1e-8
    cases = ((0.5, 1.0), (0.9, 0.1))

    def predict(self, instance):
        p, beta = instance
        return np.array([1 / (beta**2 * p * (1 - p)), 2 * beta**2 * (2 / 3 - 2 * p * (1 - p)), 1])

    def observe(self, instance):
        p, beta = instance
        rate = 1 / (beta**2 * p * (1 - p))
        rule = disputed(p, beta, 0.9 * rate)
        found = continuation(rule, "rate", (0.9 * rate, 1.1 * rate), step=0.5).at("flip")
        return np.array([found.value, found.coefficient, found.criticality == "supercritical"])


class Cascade(Check):
    """The next two doublings of the period."""

    claim = "BIF-3"
    part = "p = .7: flips of the doubled and the redoubled cycle, against roots for the scalar map"
    comparison = "relative"
    tolerance = 1e-7
    cases = ((2, 6.453), (4, 6.9694), (8, 7.0797))

    def predict(self, instance):
        period, near = instance
        return critical_rate(period, near)

    def observe(self, instance):
        return followed_rates()[instance[0]]


class CascadeAsStated(Check):
    """The printed digits."""

    claim = "BIF-3"
    part = "p = .7: flips at h beta^2 = 6.4530, 6.9694, 7.0797; distances shrink by 3.3 and 4.7"
    tolerance = 1e-9
    cases = (0,)

    def predict(self, instance):
        return np.array([6.4530, 6.9694, 7.0797, 3.3, 4.7])

    def observe(self, instance):
        rates = [1 / (SHARE * (1 - SHARE)), *followed_rates().values()]
        gaps = np.diff(rates)
        return np.array([*np.round(rates[1:], 4), *np.round(gaps[:-1] / gaps[1:], 1)])


@cache
def followed_rates() -> dict[int, float]:
    """Rates at which the cycles of period 2, 4 and 8 flip, each followed from where it is born."""
    branch = continuation(Disputed(SHARE, 4.7), "rate", (4.6, 4.9), step=0.5)
    found = {}
    for period, last in ((2, 6.6), (4, 7.0), (8, 7.09)):
        flip = branch.at("flip")
        branch = branch.switch(flip, range=(flip.value - 1e-3, last), step=0.5)
        found[period] = branch.at("flip").value
    return found


def critical_rate(period: int, near: float) -> float:
    """Where a cycle of ``v' = v + 2 H (p - sigmoid(v))`` has multiplier -1, H = h beta^2.

    v is beta times the log-ratio gap: gradients of the two logits are opposite, hence the 2.
    """

    def following(v, H):
        return v + 2 * H * (SHARE - expit(v))

    def conditions(x):
        v, H = x
        slope = 1.0
        for _ in range(period):
            slope *= 1 - 2 * H * expit(v) * expit(-v)
            v = following(v, H)
        return [v - x[0], slope + 1]

    v = 0.0
    for _ in range(20_000):
        v = following(v, 0.999 * near)
    return float(root(conditions, [v, near], tol=1e-14).x[1])
