"""Rounds that are only partly executed: RND-1, RND-2 and RND-3."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import game, log_uniform, responses
from analysis.how_sampling_shapes._recipes import (
    Recipe,
    defective,
    finite_differences,
    growth_rates,
    recipe,
    rotations,
    rps,
    step,
    symbolic_map,
)
from analysis.how_sampling_shapes.onset import after, turning
from prefdyn import (
    MRSDPO,
    MRSIPO,
    Inexact,
    PreferenceMatrix,
    critical,
    fixed_point,
    stability,
)
from prefdyn.policies import centre

Array = np.ndarray

ONSET = np.array([[0.0, 0.5], [0.0, 0.8], [0.5, 0.8]])
"""Recipes (alpha, kappa) whose cycles are measured near onset."""
ONSET_EPS = 0.004
"""How far below its threshold beta is there."""


# ---------------------------------------------------------------------------------------- RND-1


class EquivalentRound(Check):
    """A fraction of a round, and the whole round of the other recipe, by the same shipped rule."""

    claim = "RND-1"
    part = "MRS-IPO: one inexact round is one exact round of (alpha_eff, beta_eff)"
    tolerance = 1e-12
    instances = 10
    batch = 10
    kind = MRSIPO
    strength = 0.5

    def draw(self, rng):
        K = responses(rng)
        r = recipe(rng, K, self.batch)._replace(
            game=game(rng, K, self.batch, strength=self.strength)
        )
        return r, rng.uniform(0.02, 1, self.batch), 2 * rng.normal(size=(self.batch, K))

    def predict(self, instance):
        r, kappa, theta = instance
        other = r._replace(alpha=1 - kappa * (1 - r.alpha), beta=r.beta / kappa)
        return step(self.kind(*other), centre(theta))

    def observe(self, instance):
        r, kappa, theta = instance
        return step(Inexact(self.kind(*r), kappa), centre(theta))


class EquivalentRoundDPO(EquivalentRound):
    """The same for the implicit optimum of DPO."""

    claim = "RND-1"
    part = "MRS-DPO: one inexact round is one exact round of (alpha_eff, beta_eff)"
    tolerance = 1e-12
    kind = MRSDPO
    strength = 0.48


class SameFixedPoint(EquivalentRound):
    """Fixed points: of the exact rule, against the inexact one."""

    claim = "RND-1"
    part = "MRS-IPO: the fixed point does not depend on kappa"
    tolerance = 1e-10

    def predict(self, instance):
        r, _, _ = instance
        return fixed_point(self.kind(*r)).log_policy

    def observe(self, instance):
        r, kappa, _ = instance
        return fixed_point(Inexact(self.kind(*r), kappa)).log_policy


# ---------------------------------------------------------------------------------------- RND-2


@cache
def derived_boundary():
    """beta_c(a, alpha, lam, kappa) of rock-paper-scissors from the symbolic map, by sympy.

    An inexact round has the Jacobian (1 - kappa) I + kappa DF, whose determinant on logit
    differences follows from trace and determinant of DF.
    """
    import sympy

    m = symbolic_map()
    a, kappa = sympy.symbols("a kappa", positive=True)
    stay = 1 - kappa
    determinant = stay**2 + stay * kappa * m.trace + kappa**2 * m.determinant
    cycle = dict(zip(m.A, (a, -a, a), strict=True))
    uniform = dict.fromkeys(m.policy[:2], sympy.Rational(1, 3))
    roots = sympy.solve(determinant.subs({**cycle, **uniform}) - 1, m.beta)
    (beta,) = (root for root in roots if root.subs({a: 1, kappa: 1, m.alpha: 0, m.lam: 1}) > 0)
    return sympy.lambdify((a, m.alpha, m.lam, kappa), beta)


class BoundaryDerived(Check):
    """The symbolic boundary and the formula against the stability search on inexact rounds."""

    claim = "RND-2"
    part = "symbolic boundary and formula against the stability search, random parameters"
    comparison = "relative"
    instances = 4
    batch = 50

    def draw(self, rng):
        n = self.batch
        ranges = ((0.02, 0.5), (0, 0.95), (0.1, 1), (0.02, 1))
        return np.array([rng.uniform(low, high, n) for low, high in ranges])

    def predict(self, instance):
        a, alpha, lam, kappa = instance
        s = a / np.sqrt(3)
        formula = lam * s / np.sqrt((1 - alpha) * (2 / kappa - 1 + alpha))
        return np.stack([derived_boundary()(*instance), formula])

    def observe(self, instance):
        a, alpha, lam, kappa = instance
        found = critical(Inexact(rps(a, 1.0, alpha, lam), kappa), "beta", samples=60)
        return np.stack([[interval.value for interval in found]] * 2)


class SmallKappa(Check):
    """The square-root law of heavy under-training."""

    claim = "RND-2"
    part = "kappa = .001: the boundary is near lam s sqrt(kappa/(2 (1 - alpha)))"
    comparison = "relative"
    tolerance = 1e-3
    cases = ((0.5, 0.0), (0.5, 0.5), (0.3, 0.9))

    def predict(self, instance):
        a, alpha = instance
        return a / np.sqrt(3) * np.sqrt(1e-3 / (2 * (1 - alpha)))

    def observe(self, instance):
        a, alpha = instance
        return critical(Inexact(rps(a, 1.0, alpha, 1.0), 1e-3), "beta").value


class GrowthBesideTheBoundary(Check):
    """Simulated growth or decay of a 1e-3 perturbation until it has about tripled, or fallen."""

    claim = "RND-2"
    part = "growth per round at beta_c (1 -+ .005), a 1e-3 perturbation, sign and size (1 %)"
    comparison = "relative"
    tolerance = 0.01
    cases = tuple((alpha, kappa) for kappa in (1.0, 0.5, 0.2, 0.05) for alpha in (0.0, 0.5, 0.9))
    a = np.array([[0.3], [0.5]])
    sides = np.array([0.995, 1.005])

    def predict(self, instance):
        alpha, kappa = instance
        beta = self.sides * derived_boundary()(self.a, alpha, 1.0, kappa)
        turning = kappa * self.a / np.sqrt(3) / beta
        return np.log(np.hypot(1 - kappa * (1 - alpha), turning))

    def observe(self, instance):
        alpha, kappa = instance
        beta = self.sides * derived_boundary()(self.a, alpha, 1.0, kappa)
        rounds = int(np.log(3) / np.abs(self.predict(instance)).max())
        return growth_rates(Inexact(rps(self.a, beta, alpha, 1.0), kappa), rounds, size=1e-3)


class MultipliersOfInexactRounds(Check):
    """All multipliers for random games."""

    claim = "RND-2"
    part = "random games: hypot(1 - kappa (1 - alpha), kappa lam s/beta) against differences"
    tolerance = 1e-6
    instances = 20
    batch = 10

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch), rng.uniform(0.02, 1, self.batch)

    def skip(self, instance):
        return defective(instance[0])

    def predict(self, instance):
        r, kappa = instance
        s = rotations(r.game.skew, fixed_point(r.rule()).policy)[:, 0]
        return np.hypot(1 - kappa * (1 - r.alpha), kappa * r.lam * s / r.beta)

    def observe(self, instance):
        r, kappa = instance
        rule = Inexact(r.rule(), kappa)
        jacobian = finite_differences(rule, fixed_point(rule).state)
        return np.abs(np.linalg.eigvals(jacobian)).max(-1)


class OverRelaxedAdditive(Check):
    """Curl-free games, where even more than a whole round is stable up to 2/(1 - alpha)."""

    claim = "RND-2"
    part = "additive preferences: distances shrink (grow) at kappa = .99 (1.01) of 2/(1 - alpha)"
    comparison = "relative"
    tolerance = 1e-6
    instances = 50

    def draw(self, rng):
        K = responses(rng)
        v = rng.uniform(0, 0.5, K)
        additive = PreferenceMatrix(0.5 + v[:, None] - v[None, :])
        r = Recipe(additive, log_uniform(rng, 0.05, 3), rng.uniform(0, 0.9), rng.uniform(0, 1))
        return r, rng.choice([0.99, 1.01]) * 2 / (1 - r.alpha)

    def predict(self, instance):
        r, kappa = instance
        return abs(1 - kappa * (1 - r.alpha)) ** 10

    def observe(self, instance):
        r, kappa = instance
        rule = r.rule()
        point = centre(fixed_point(rule).state)
        theta = away = point + 1e-3 * centre(np.arange(r.game.K))
        for _ in range(10):
            # Centred, because kappa > 2 would blow up rounding along the neutral direction.
            theta = centre(theta + kappa * (step(rule, theta) - theta))
        return np.linalg.norm(theta - point) / np.linalg.norm(away - point)


# ---------------------------------------------------------------------------------------- RND-3

GRID = tuple(x.ravel() for x in np.meshgrid([0.5, 0.9], [1.0, 0.5, 0.2, 0.05], indexing="ij"))
"""alpha and kappa of the simulated periods."""


class InexactPeriod(Check):
    """Simulated turns just beyond the boundary."""

    claim = "RND-3"
    part = "period at beta_c(kappa)/1.001 after 30,000 rounds, alpha = .5, .9, kappa = 1 to .05"
    comparison = "relative"
    tolerance = 5e-3
    cases = (GRID,)

    def predict(self, instance):
        alpha, kappa = instance
        return 2 * np.pi / np.arccos(1 - kappa * (1 - alpha))

    def observe(self, instance):
        alpha, kappa = instance
        beta = derived_boundary()(0.5, alpha, 1.0, kappa) / 1.001
        rule = Inexact(rps(0.5, beta, alpha, 1.0), kappa)
        return 2 * np.pi / turning(after(rule, 30_000, 5000))


@cache
def inexact_near_onset():
    """Deviations from uniform on small cycles of inexact rounds, per (alpha, kappa)."""
    alpha, kappa = ONSET.T
    beta = derived_boundary()(0.5, alpha, 1.0, kappa) / (1 + ONSET_EPS)
    rule = Inexact(rps(0.5, beta, alpha, 1.0), kappa)
    slowest = np.max(1 - kappa * (1 - alpha))
    return after(rule, int(40 / ((1 - slowest**2) * ONSET_EPS)), 4000) - 1 / 3


class InexactAmplitude(Check):
    """Size of the cycle of inexact rounds near onset."""

    claim = "RND-3"
    part = "kappa = .5, .8: amplitude follows MRS-8 with eps = beta_c(kappa)/beta - 1"
    comparison = "relative"
    tolerance = 0.025
    cases = (ONSET_EPS,)

    def predict(self, instance):
        return np.full(len(ONSET), 4 / (3 * np.sqrt(3)) * np.sqrt(instance))

    def observe(self, instance):
        return np.abs(inexact_near_onset()).max((0, -1))


class InexactVariance(InexactAmplitude):
    """Variance on the same cycles."""

    claim = "RND-3"
    part = "kappa = .5, .8: variance on the same cycles follows MRS-8"
    tolerance = 0.01

    def predict(self, instance):
        return np.full(len(ONSET), 8 / 27 * instance)

    def observe(self, instance):
        return np.square(inexact_near_onset()).mean((0, -1))


class LastIterateStaysUnstable(Check):
    """At alpha = 1 under-training does not stabilise a cycle."""

    claim = "RND-3"
    part = "alpha = 1: multipliers 1 +- i kappa s/beta, outside the unit circle for every kappa"

    def draw(self, rng):
        return rng.uniform(0.01, 0.5), log_uniform(rng, 0.05, 3), rng.uniform(0.01, 1)

    def predict(self, instance):
        a, beta, kappa = instance
        return np.hypot(1, kappa * a / np.sqrt(3) / beta)

    def observe(self, instance):
        a, beta, kappa = instance
        return stability(Inexact(rps(a, beta, 1.0, 1.0), kappa), np.full(3, 1 / 3)).spectral_radius
