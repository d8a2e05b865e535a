"""Rock-paper-scissors: where it turns unstable, and the cycle that is born. MRS-5, 7, 8 and 15."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import responses
from analysis.how_sampling_shapes._recipes import recipe, rps, symbolic_map
from prefdyn import critical, ensemble, orbit, period, stability
from prefdyn.policies import softmax
from prefdyn.rules import Rule

Array = np.ndarray
START = softmax(np.array([0.3, -0.1, 0.0]))
"""Off the fixed point, where symmetric games never move."""


@cache
def derived_threshold():
    """beta_c(a, alpha, lam) from det = 1 of the symbolic map at the uniform policy, by sympy."""
    import sympy

    m = symbolic_map()
    a = sympy.Symbol("a", positive=True)
    cycle = dict(zip(m.A, (a, -a, a), strict=True))
    uniform = dict.fromkeys(m.policy[:2], sympy.Rational(1, 3))
    boundary = m.determinant.subs({**cycle, **uniform}) - 1
    (beta,) = (root for root in sympy.solve(boundary, m.beta) if root.subs({a: 1, m.alpha: 0}) > 0)
    return sympy.lambdify((a, m.alpha, m.lam), beta)


def beta_c(a: Any, alpha: Any, lam: Any) -> Array:
    """The threshold as printed in MRS-5."""
    return lam * np.asarray(a) / np.sqrt(3 * (1 - np.asarray(alpha) ** 2))


# ---------------------------------------------------------------------------------------- MRS-5


class ThresholdDerived(Check):
    """The symbolic threshold and the printed one against the shipped search."""

    claim = "MRS-5"
    part = "symbolic threshold and formula against the stability search, random a, alpha, lam"
    comparison = "relative"
    instances = 4
    batch = 50

    def draw(self, rng):
        n = self.batch
        return rng.uniform(0.02, 0.5, n), rng.uniform(0, 0.97, n), rng.uniform(0.1, 1, n)

    def predict(self, instance):
        return np.stack([derived_threshold()(*instance), beta_c(*instance)])

    def observe(self, instance):
        a, alpha, lam = instance
        found = [interval.value for interval in critical(rps(a, 1.0, alpha, lam), "beta")]
        return np.stack([found, found])


class ThresholdSimulated(Check):
    """Bisection on what simulated perturbations do, without the package's search."""

    claim = "MRS-5"
    part = "bisection on whether a 1e-3 perturbation grows over 8000 rounds, lam = .7"
    comparison = "relative"
    tolerance = 5e-3
    cases = (0.231, 0.5)
    alphas = np.array([0, 0.3, 0.6, 0.9])

    def predict(self, instance):
        return derived_threshold()(instance, self.alphas, 0.7)

    def observe(self, instance):
        start = softmax(1e-3 * np.array([1, -0.5, -0.5]))
        low, high = np.full(4, 0.3 * instance), np.full(4, 2.0 * instance)
        while np.any(high > 1.0005 * low):
            beta = np.sqrt(low * high)
            run = ensemble(
                rps(instance, beta, self.alphas, 0.7), start, 8000, reducers=["last_policy"]
            )
            grew = np.abs(run["last_policy"] - 1 / 3).max(-1) > np.abs(start - 1 / 3).max()
            low, high = np.where(grew, beta, low), np.where(grew, high, beta)
        return np.sqrt(low * high)


# ---------------------------------------------------------------------------------------- MRS-7


class RealParts(Check):
    """Random games, random references: multipliers may turn, not flip or fold."""

    claim = "MRS-7"
    part = "random games and references: the real part of every multiplier equals alpha"
    tolerance = 1e-7  # rounding enters by its square root where two multipliers nearly coincide
    instances = 20
    batch = 50

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch)

    def predict(self, instance):
        return np.broadcast_to(instance.alpha[:, None], (self.batch, instance.game.K - 1))

    def observe(self, instance):
        return np.real(stability(instance.rule()).multipliers)


class KindOfOnset(Check):
    """What the stability search says just beyond the threshold of random cyclic games."""

    claim = "MRS-7"
    part = "beyond the threshold of random games the kind is Neimark-Sacker"
    comparison = "agree"
    tolerance = 0.0
    instances = 5
    batch = 20

    def draw(self, rng):
        r = recipe(rng, responses(rng), self.batch)
        return r._replace(alpha=rng.uniform(0.02, 0.95, self.batch))

    def predict(self, instance):
        return "neimark_sacker"

    def observe(self, instance):
        found = critical(instance.rule(), "beta", range=(0.01, 10), samples=40)
        unstable = np.array([0 if f.value is None else 0.999 * f.value for f in found])
        some = unstable > 0
        r = instance._replace(beta=np.where(some, unstable, 10.0))
        kinds = {str(kind) for kind in stability(r.rule()).kind[some]}
        return " and ".join(sorted(kinds))


class PeriodAtOnset(Check):
    """Simulated turns just beyond the threshold."""

    claim = "MRS-7"
    part = "period at beta_c/1.001 after 30,000 rounds against 2 pi/arccos(alpha)"
    comparison = "relative"
    tolerance = 5e-3
    cases = (np.array([0, 0.3, 0.5, 0.6, 0.9, 0.97]),)

    def predict(self, instance):
        return 2 * np.pi / np.arccos(instance)

    def observe(self, instance):
        rule = rps(0.5, beta_c(0.5, instance, 1.0) / 1.001, instance, 1.0)
        return 2 * np.pi / turning(after(rule, 30_000, 5000))


def after(rule: Rule, settle: int, rounds: int) -> Array:
    """Policies (rounds + 1, ..., 3) of an orbit that has left its transient behind."""
    transient = ensemble(rule, START, settle, reducers=["last_policy"], burn_in=0.99)
    return orbit(rule, transient["last_policy"], rounds, tolerance=0).policies


def turning(policies: Array) -> Array:
    """Mean turn per round in radians, by the unwrapped phase of ``sum_k pi_k e^(2 pi i k/3)``."""
    angle = np.unwrap(np.angle(policies @ np.exp(2j * np.pi * np.arange(3) / 3)), axis=0)
    return np.abs(angle[-1] - angle[0]) / (len(policies) - 1)


class PeriodMeasured(PeriodAtOnset):
    """The package's own period of an orbit, which knows nothing of the game's symmetry."""

    claim = "MRS-7"
    part = "the same by the package's measure, from the principal plane of the orbit"

    def observe(self, instance):
        rule = rps(0.5, beta_c(0.5, instance, 1.0) / 1.001, instance, 1.0)
        return period(after(rule, 30_000, 5000), burn_in=0.0)


# ---------------------------------------------------------------------------------------- MRS-8

EPS = np.array([0.001, 0.004])[:, None]
ALPHAS = np.array([0.0, 0.5, 0.9])


@cache
def near_onset(a: float, lam: float) -> Array:
    """Policies (rounds, eps, alpha, 3) on the cycles just beyond the threshold.

    Transients die like ``exp(-2 (1 - alpha^2) eps t)``; all runs take the slowest one's time.
    """
    rule = rps(a, beta_c(a, ALPHAS, lam) / (1 + EPS), ALPHAS, lam)
    rounds = int(40 / ((1 - ALPHAS.max() ** 2) * EPS.min()))
    return after(rule, rounds, 6000)


class Amplitude(Check):
    """Largest deviation from uniform on the cycle."""

    claim = "MRS-8"
    part = "amplitude at eps = .001, .004, alpha = 0, .5, .9 against (4/(3 sqrt 3)) sqrt eps"
    comparison = "relative"
    tolerance = 0.025
    cases = ((0.5, 1.0), (0.3, 0.6))

    def predict(self, instance):
        return np.broadcast_to(4 / (3 * np.sqrt(3)) * np.sqrt(EPS), (2, 3))

    def observe(self, instance):
        return np.abs(near_onset(*instance) - 1 / 3).max((0, -1))


class Variance(Amplitude):
    """Mean over time and responses of the squared deviation."""

    claim = "MRS-8"
    part = "variance on the same cycles against (8/27) eps"
    tolerance = 0.01

    def predict(self, instance):
        return np.broadcast_to(8 / 27 * EPS, (2, 3))

    def observe(self, instance):
        return np.square(near_onset(*instance) - 1 / 3).mean((0, -1))


class FrequencyShift(Amplitude):
    """Turning per round, less arccos(alpha), over eps."""

    claim = "MRS-8"
    part = "shift of the turning per round on the same cycles"
    tolerance = 0.05

    def predict(self, instance):
        w = np.sqrt(1 - ALPHAS**2)
        shift = ALPHAS * w / 3 - w**2 / 3 / np.tan(1.5 * np.arccos(ALPHAS))
        return np.broadcast_to(shift, (2, 3))

    def observe(self, instance):
        return (turning(near_onset(*instance)) - np.arccos(ALPHAS)) / EPS


class NoCycleAbove(Check):
    """Far starts on the stable side."""

    claim = "MRS-8"
    part = "far starts at beta_c/.99 end at uniform after 20,000 rounds: no coexisting cycle"
    comparison = "at_most"
    tolerance = 0.0
    cases = (0.05, 0.3, 0.5)
    starts = softmax(np.array([[6.0, 0, -6], [3, -1, 0], [8, 7, -9]]))[:, None]

    def predict(self, instance):
        return 1e-9

    def observe(self, instance):
        rule = rps(instance, beta_c(instance, ALPHAS, 1.0) / 0.99, ALPHAS, 1.0)
        last = ensemble(rule, self.starts, 20_000, reducers=["last_policy"])["last_policy"]
        return np.abs(last - 1 / 3).max()


# --------------------------------------------------------------------------------------- MRS-15


class Locking(Check):
    """Integer return times far beyond onset; 0 stands for none."""

    claim = "MRS-15"
    part = "return time: 3 for beta <= beta_c/1.8, none at /1.7; 5 at alpha = .5 and beta_c/4"
    comparison = "agree"
    tolerance = 0.0
    cases = (
        *((a, 0.0, factor, 3) for a in (0.2, 0.5) for factor in (1.8, 2.0, 3.0, 6.0)),
        *((a, 0.0, 1.7, 0) for a in (0.2, 0.5)),
        *((a, 0.5, 4.0, 5) for a in (0.2, 0.5)),
    )

    def predict(self, instance):
        return instance[-1]

    def observe(self, instance):
        a, alpha, factor, _ = instance
        rule = rps(a, beta_c(a, alpha, 1.0) / factor, alpha, 1.0)
        policies = after(rule, 6000, 400)
        for p in range(1, 100):
            if np.abs(policies[p:] - policies[:-p]).max() < 1e-7:
                return p
        return 0
