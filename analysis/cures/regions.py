"""Where cured rounds are stable: regions derived from polynomials, against the shipped rules."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.cures._rounds import SETTING, A, G, Z, cured_round
from analysis.how_sampling_shapes._recipes import rps
from prefdyn import (
    MRSIPO,
    Averaged,
    Extragradient,
    Inexact,
    Optimistic,
    critical,
    fixed_point,
    orbit,
    stability,
)
from prefdyn.policies import kl


@cache
def derived_boundary(kind: str):
    """Critical y(a, setting) for g = i y: the root of the Schur-Cohn condition, by sympy.

    ``z^2 + b z + c`` has both roots inside the unit circle iff |c| < 1 and
    ``|b - conj(b) c| < 1 - |c|^2``.
    """
    import sympy

    y = sympy.Symbol("y", positive=True)
    a, setting = sympy.symbols("a setting", real=True)
    actual = {A: a, SETTING: setting, G: sympy.I * y}
    coefficients = cured_round(kind).charpoly(Z).all_coeffs()[1:]
    coefficients = [sympy.expand(c.subs(actual)) for c in coefficients]
    if len(coefficients) == 1:
        edge = sympy.expand_complex(coefficients[0] * sympy.conjugate(coefficients[0])) - 1
    else:
        b, c = coefficients
        inside = sympy.expand_complex(b - sympy.conjugate(b) * c)
        size = sympy.expand_complex(c * sympy.conjugate(c))
        edge = sympy.expand_complex(inside * sympy.conjugate(inside)) - (1 - size) ** 2
    square = sympy.Symbol("square", positive=True)
    edge = sympy.expand(sympy.expand(edge).subs(y, sympy.sqrt(square)))
    polynomial = sympy.Poly(sympy.cancel(edge), square)
    return sympy.lambdify((a, setting), polynomial.all_coeffs())


def derived(kind: str, a: float, setting: float) -> float:
    """Smallest y > 0 at which the derived condition is an equality."""
    roots = np.roots(np.array(derived_boundary(kind)(a, setting), float))
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 1e-12)]
    return float(np.sqrt(real.min()))


class OptimisticRegion(Check):
    """Thresholds of beta on rock-paper-scissors, uniform: y = lam a/(sqrt 3 beta)."""

    claim = "CURE-2"
    part = "derived region and formula against the stability search, rock-paper-scissors"
    comparison = "relative"
    tolerance = 1e-7
    instances = 12
    kind = "optimistic"

    def draw(self, rng):
        return rng.uniform(0.1, 0.5), rng.uniform(0, 0.97), rng.uniform(0.2, 1), 1.0

    def formula(self, alpha, setting):
        b = 6 - 8 * alpha + alpha**2
        return np.sqrt((np.sqrt(b**2 + 12 * (1 - alpha**2)) - b) / 6)

    def cured(self, rule, setting):
        return Optimistic(rule, setting)

    def predict(self, instance):
        a, alpha, lam, setting = instance
        turning = lam * a / np.sqrt(3)
        edges = derived(self.kind, alpha, setting), self.formula(alpha, setting)
        return turning / np.array(edges)

    def observe(self, instance):
        a, alpha, lam, setting = instance
        rule = self.cured(MRSIPO(rps(a, 1.0, alpha, lam).game, 1.0, alpha, lam), setting)
        return np.full(2, critical(rule, "beta", (0.01, 10), samples=30).value)


class ExtragradientRegion(OptimisticRegion):
    """The same of the half step."""

    claim = "CURE-3"
    part = "derived region and formula against the stability search, rock-paper-scissors"
    kind = "extragradient"

    def formula(self, alpha, setting):
        b = 2 * alpha - alpha**2
        return np.sqrt((b + np.sqrt(b**2 + 4 * (1 - alpha**2))) / 2)

    def cured(self, rule, setting):
        return Extragradient(rule)


class AveragedRegion(OptimisticRegion):
    """The same of a running average."""

    claim = "CURE-4"
    part = "derived region and formula against the stability search, rock-paper-scissors"
    kind = "averaged"

    def draw(self, rng):
        return (*super().draw(rng)[:3], rng.uniform(0.05, 1))

    def formula(self, alpha, setting):
        c = 1 - setting
        larger = (1 - alpha**2) * (1 + c) / (1 - c)
        return np.sqrt(larger) * (1 - alpha * c) / (1 + alpha * c)

    def cured(self, rule, setting):
        return Averaged(rule, rate=setting)


class OptimismGrowsOrShrinks(Check):
    """Where it grows the region: the usual strength above .828, light optimism above 1/2."""

    claim = "CURE-2"
    part = "derived regions against the plain one: grows iff alpha > .828 (m = 1), 1/2 (m -> 0)"
    comparison = "agree"
    instances = 60

    def draw(self, rng):
        return rng.uniform(0, 0.99)

    def skip(self, alpha):
        return min(abs(alpha - 2 * np.sqrt(2) + 2), abs(alpha - 0.5)) < 0.01

    def predict(self, alpha):
        return np.array([alpha > 2 * np.sqrt(2) - 2, alpha > 0.5])

    def observe(self, alpha):
        plain = np.sqrt(1 - alpha**2)
        return np.array([derived("optimistic", alpha, m) > plain for m in (1.0, 1e-3)])


class AveragingGrowsOrShrinks(OptimismGrowsOrShrinks):
    """Light averaging does the opposite, a slow average always helps, extragradient always."""

    claim = "CURE-4"
    part = "derived regions: light averaging grows it iff alpha < 1/2, c = 1 - (1 - alpha)^3 always"

    def predict(self, alpha):
        return np.array([alpha < 0.5, True])

    def observe(self, alpha):
        plain, slow = np.sqrt(1 - alpha**2), (1 - alpha) ** 3
        return np.array([derived("averaged", alpha, r) > plain for r in (1 - 1e-3, slow)])


class ExtragradientNeverShrinks(OptimismGrowsOrShrinks):
    """Compared at every alpha."""

    claim = "CURE-3"
    part = "derived region contains the plain one"

    def predict(self, alpha):
        return True

    def observe(self, alpha):
        return derived("extragradient", alpha, 1.0) > np.sqrt(1 - alpha**2)


class SimulatedSides(Check):
    """A small perturbation shrinks on one side of the threshold and grows on the other."""

    claim = "CURE-2"
    part = "simulated growth at beta_c (1 -+ .02), all cures, against the largest derived root"
    comparison = "agree"
    cases = tuple(
        (kind, alpha)
        for kind in ("optimistic", "extragradient", "averaged")
        for alpha in (0.3, 0.9)
    )

    def predict(self, instance):
        return np.array([True, False])

    def observe(self, instance):
        kind, alpha = instance
        wrap = {
            "optimistic": Optimistic,
            "extragradient": Extragradient,
            "averaged": lambda rule: Averaged(rule, rate=0.5),
        }[kind]
        beta = 0.4 / np.sqrt(3) / derived(kind, alpha, 0.5 if kind == "averaged" else 1.0)
        grows = []
        for side in (0.98, 1.02):
            rule = wrap(MRSIPO(rps(0.4, 1.0, alpha, 1.0).game, side * beta, alpha, 1.0))
            start = np.array([1 / 3 + 1e-6, 1 / 3 - 1e-6, 1 / 3])
            run = orbit(rule, start, rounds=400, tolerance=0)
            size = np.linalg.norm(run.policies - 1 / 3, axis=-1)
            grows.append(size[-100:].mean() > size[100:200].mean())
        return np.array(grows)


class BestFractionSearched(Check):
    """The exact minimiser against a fine search over the shipped rule's own multipliers."""

    claim = "CURE-1"
    part = "random games: radius q/sqrt(1 + q^2) or that of the whole round, against a search"
    comparison = "relative"
    tolerance = 1e-4
    instances = 15

    def draw(self, rng):
        K = responses(rng)
        return MRSIPO(game(rng, K), log_uniform(rng, 0.02, 1), rng.uniform(0, 0.95), 1.0)

    def predict(self, rule):
        x: Any = stability(rule).multipliers
        y, room = np.abs(x.imag).max(), 1 - float(rule.alpha)
        kappa = min(1.0, room / (room**2 + y**2))
        return np.hypot(1 - kappa * room, kappa * y)

    def observe(self, rule):
        kappa = np.geomspace(1e-5, 1, 3000)
        return np.min(stability(Inexact(rule, kappa)).spectral_radius)


class ProvedFraction(Check):
    """KL to the equilibrium per round at the proved fraction, from far starts."""

    claim = "CURE-1"
    part = "KL(pi*, pi_t+1) / KL(pi*, pi_t) at the proved kappa, 60 rounds from a far start"
    comparison = "at_most"
    instances = 20

    def draw(self, rng):
        K = responses(rng)
        recipe = (log_uniform(rng, 0.02, 1), rng.uniform(0, 0.95), rng.uniform(0.1, 1))
        rule = MRSIPO(game(rng, K), *recipe, interior(rng, K))
        return rule, rng.dirichlet(np.full(K, 0.5)) * 0.99 + 0.01 / K

    def kappa(self, rule):
        room = 1 - rule.alpha
        largest = rule.lam * np.abs(rule.game.skew).max() / rule.beta
        return min(1.0, room / (room**2 + largest**2))

    def predict(self, instance):
        rule, _ = instance
        return 1 - self.kappa(rule) * (1 - rule.alpha)

    def observe(self, instance):
        rule, start = instance
        run = orbit(Inexact(rule, self.kappa(rule)), start, rounds=60, tolerance=0)
        distance = kl(fixed_point(rule).log_policy, run.log_policies)
        known = distance > 1e-9
        ratio = distance[1:][known[1:]] / distance[:-1][known[1:]]
        return ratio.max(initial=0.0)
