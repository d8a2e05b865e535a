"""Locally stable and cycling all the same: the regression examples of NS-4 and NS-5."""

from typing import Any, NamedTuple

import numpy as np

from analysis import Check
from prefdyn import (
    MRSDPO,
    MRSIPO,
    PreferenceMatrix,
    critical,
    ensemble,
    fixed_point,
    games,
    orbit,
    stability,
    verdict,
)
from prefdyn.policies import log_softmax
from prefdyn.rules import Rule

Array = np.ndarray

SETTLED = 1e-10
"""Distance from the fixed point of a run that has decayed onto it."""


def amplitudes(rule: Rule, log_starts: Array, settle: int) -> Array:
    """Largest ``max|pi - pi*|`` over 1000 rounds of each run after its transient, (...,)."""
    last = ensemble(rule, log_starts=log_starts, rounds=settle, reducers=["last_log_policy"])
    run = orbit(rule, log_start=last["last_log_policy"], rounds=1000, tolerance=0)
    return np.abs(run.policies - fixed_point(rule).policy).max((0, -1))


# ----------------------------------------------------------------------------------------- NS-4

NEAR, FAR = log_softmax(np.array([[1e-3, 0, -1e-3], [3.0, 0, -3]]))


def threshold(a: float, alpha: float, lam: float) -> float:
    """beta_c of rock-paper-scissors under MRS-DPO (DPO-8)."""
    return 4 * lam * a / np.sqrt(3 * (1 - alpha**2))


def rps_dpo(recipe: tuple[float, float, float], ratios: Any) -> MRSDPO:
    """MRS-DPO on rps(a) for a recipe (a, alpha, lam), at multiples of its threshold."""
    a, alpha, lam = recipe
    beta = threshold(a, alpha, lam) * np.asarray(ratios)
    return MRSDPO(games.rock_paper_scissors(a), beta, alpha, lam)


class SupercriticalAmplitude(Check):
    """Moderate preferences: the small cycle below the threshold."""

    claim = "NS-4"
    part = "lam a = .30, .40: amplitude at beta_c/1.002 against the formula"
    comparison = "relative"
    tolerance = 0.05
    cases = ((0.4, 0.0, 1.0), (0.4, 0.5, 1.0), (0.45, 0.0, 2 / 3))

    def predict(self, instance):
        a, _, lam = instance
        return 2 / 3 * np.sqrt(0.002 / (0.75 - 4 * lam**2 * a**2))

    def observe(self, instance):
        rule = rps_dpo(instance, 1 / 1.002)
        return amplitudes(rule, FAR, settle=20_000)


class SupercriticalAbove(Check):
    """Moderate preferences: nothing but the fixed point above the threshold."""

    claim = "NS-4"
    part = "lam a = .30, .40: a far start decays at 1.005 beta_c"
    comparison = "at_most"
    tolerance = 0.0
    cases = SupercriticalAmplitude.cases

    def predict(self, instance):
        return SETTLED

    def observe(self, instance):
        rule = rps_dpo(instance, 1.005)
        return amplitudes(rule, FAR, settle=20_000)


class SubcriticalCoexistence(Check):
    """Strong preferences: near and far starts at 1.005 and 1.02 times the threshold."""

    claim = "NS-4"
    part = (
        "a = .47: far starts cycle with size .40 at 1.005 beta_c; gone at 1.02; near starts decay"
    )
    tolerance = 5e-3
    cases = ((0.47, 0.0, 1.0),)

    def predict(self, instance):
        return np.array([[0.0, 0.0], [0.40, 0.0]])

    def observe(self, instance):
        rule = rps_dpo(instance, [1.005, 1.02])
        return amplitudes(rule, np.stack([NEAR, FAR])[:, None], settle=20_000)


# ----------------------------------------------------------------------------------------- NS-5


class Example(NamedTuple):
    """A game by the upper triangle of A, alpha, its threshold, and cycles beside it."""

    upper: tuple[float, ...]
    alpha: float
    beta_c: float
    ratios: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def game(self) -> PreferenceMatrix:
        """The game."""
        A = np.zeros((4, 4))
        A[np.triu_indices(4, 1)] = self.upper
        return PreferenceMatrix(0.5 + A - A.T)

    def rule(self) -> MRSIPO:
        """One recipe per ratio of beta to its threshold."""
        return MRSIPO(self.game, self.beta_c * np.array(self.ratios), self.alpha, 1.0)


ONE, TWO = (0.5 * np.tanh(gap / 2) for gap in (1, 2))
"""sigmoid(d) - 1/2 for score differences d, as in the games of MRS-16."""

EXAMPLES = (
    Example(
        (-0.070, 0.340, 0.035, 0.457, -0.023, 0.359), 0.3, 0.029492, (1.01, 1.05), (0.410, 0.291)
    ),
    Example(
        (-0.228, 0.195, -0.126, 0.005, -0.047, 0.199),
        0.3,
        0.017334,
        (0.95, 0.98, 0.998),
        (0.943, 0.922, 0.906),
    ),
    Example((0.0, TWO, -TWO, ONE, 0.0, ONE), 0.5, 0.036792, (1.01, 1.03), (0.359, 0.357)),
)


class BistableThreshold(Check):
    """The boundary that each example sits beside, by the stability search."""

    claim = "NS-5"
    part = "(a), (b), (c): beta_c is an end of a stable interval of beta"
    comparison = "relative"
    tolerance = 5e-5
    cases = EXAMPLES

    def predict(self, instance):
        return instance.beta_c

    def observe(self, instance):
        found = critical(MRSIPO(instance.game, 1.0, instance.alpha, 1.0), "beta")
        ends = np.array([end for interval in found.intervals for end in interval])
        return ends[np.argmin(np.abs(ends - instance.beta_c))]


class NearStartDecays(Check):
    """The fixed point is stable, as its multipliers say."""

    claim = "NS-5"
    part = "(a), (b), (c): spectral radius below 1, and a near start decays onto the fixed point"
    comparison = "at_most"
    tolerance = 0.0
    cases = EXAMPLES

    def predict(self, instance):
        return np.stack([np.ones(len(instance.ratios)), np.full(len(instance.ratios), SETTLED)])

    def observe(self, instance):
        rule = instance.rule()
        near = fixed_point(rule).log_policy + 1e-3 * np.array([1, -1, 0.5, -0.5])
        distance = amplitudes(rule, log_softmax(near), settle=20_000)
        return np.stack([stability(rule).spectral_radius, distance])


class FarStartsCycle(Check):
    """The largest cycle that twelve far starts find."""

    claim = "NS-5"
    part = "(a), (b), (c): far starts end on a cycle of the stated size max|pi - pi*|"
    tolerance = 1e-3
    cases = EXAMPLES

    def predict(self, instance):
        return np.array(instance.sizes)

    def observe(self, instance):
        far = log_softmax(4 * np.random.default_rng(0).normal(size=(12, 1, 4)))
        return amplitudes(instance.rule(), far, settle=20_000).max(0)


class VerdictIsBistable(Check):
    """What the package tells a user."""

    claim = "NS-5"
    part = "(a), (b), (c): the package's verdict is bistable"
    comparison = "agree"
    tolerance = 0.0
    cases = EXAMPLES

    def predict(self, instance):
        return ["bistable"] * len(instance.ratios)

    def observe(self, instance):
        return [
            verdict(MRSIPO(instance.game, ratio * instance.beta_c, instance.alpha, 1.0)).word
            for ratio in instance.ratios
        ]
