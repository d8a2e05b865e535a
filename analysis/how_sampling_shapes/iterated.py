"""Iterated IPO as a map, and where it provably converges: MRS-1, MRS-2, MRS-3, MRS-9."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import Recipe, recipe, rps, spectral_norm, step
from prefdyn import MRS, MRSIPO, PreferenceMatrix, certificates, ensemble, fixed_point, orbit
from prefdyn.policies import centre, log_softmax

# ---------------------------------------------------------------------------------------- MRS-1


class OneRound(Check):
    """Mixed reference, mixed sampler, closed-form optimum: by hand, against the shipped rule."""

    claim = "MRS-1"
    part = "one round: reference and sampler built by hand, then the closed form with P"
    tolerance = 1e-12
    instances = 20
    batch = 10

    def draw(self, rng):
        K = responses(rng)
        return recipe(rng, K, self.batch), interior(rng, K, self.batch)

    def predict(self, instance):
        r, policy = instance
        alpha, lam, beta = r.alpha[:, None], r.lam[:, None], r.beta[:, None]
        reference = policy**alpha * r.reference ** (1 - alpha)
        sampler = lam * policy + (1 - lam) * r.offline
        odds = reference * np.exp(np.einsum("nij,nj->ni", r.game.P, sampler) / beta)
        return np.log(odds / odds.sum(-1, keepdims=True))

    def observe(self, instance):
        r, policy = instance
        rule = r.rule()
        return rule.log_policy(step(rule, rule.init(policy)))


class RoundMinimisesTheLoss(OneRound):
    """The same round as the minimum of the squared loss, found by the generic rule."""

    part = "one round: the minimum of the population squared loss for that reference and sampler"
    tolerance = 1e-9
    claim = "MRS-1"

    def observe(self, instance):
        r, policy = instance
        rule = MRS(r.game, "ipo", *r[1:])
        return rule.log_policy(step(rule, rule.init(policy)))


# ---------------------------------------------------------------------------------------- MRS-2


def contracting(rng: np.random.Generator, K: int, size: int) -> tuple[Recipe, np.ndarray]:
    """Recipes whose constant rho = alpha + lam ||A|| / (2 beta) is uniform in (alpha, 1)."""
    r = recipe(rng, K, size)
    rho = rng.uniform(r.alpha + 1e-3, 1)
    beta = r.lam * spectral_norm(r.game.skew) / (2 * (rho - r.alpha))
    return r._replace(beta=beta), rho


class Contraction(Check):
    """Distances of two policies' logits before and after a round."""

    claim = "MRS-2"
    part = "two policies approach by the factor alpha + lam ||A||/(2 beta) at least"
    comparison = "at_most"
    instances = 40
    batch = 100

    def draw(self, rng):
        K = responses(rng)
        spread = log_uniform(rng, 1e-3, 3, (2, self.batch, 1))
        one, gap = centre(spread * rng.normal(size=(2, self.batch, K)))
        return recipe(rng, K, self.batch), one, one + gap

    def predict(self, instance):
        r, _, _ = instance
        return r.alpha + r.lam * spectral_norm(r.game.skew) / (2 * r.beta)

    def observe(self, instance):
        r, one, other = instance
        rule = r.rule()
        after = np.linalg.norm(step(rule, one) - step(rule, other), axis=-1)
        return after / np.linalg.norm(one - other, axis=-1)


class ContractionIsSharp(Check):
    """All mass on two responses that fight only the other two: J and A both act at full norm."""

    claim = "MRS-2"
    part = "alpha = 0, four responses, mass on two of them: the factor is reached"
    comparison = "relative"
    tolerance = 1e-5
    cases = ((0.1, 0.05), (0.3, 0.2), (0.5, 2.0))

    def predict(self, instance):
        a, beta = instance
        return spectral_norm(self.game(a).skew) / (2 * beta)

    def observe(self, instance):
        a, beta = instance
        rule = MRSIPO(self.game(a), beta, 0.0, 1.0)
        centred, shift = np.array([20.0, 20, -20, -20]), 1e-3 * np.array([1.0, -1, 0, 0])
        after = step(rule, centred + shift) - step(rule, centred - shift)
        return np.linalg.norm(after) / np.linalg.norm(2 * shift)

    @staticmethod
    def game(a):
        block = a * np.array([[1.0, -1], [-1, 1]])
        zero = np.zeros((2, 2))
        return PreferenceMatrix(0.5 + np.block([[zero, block], [-block, zero]]))


class GeometricConvergence(Check):
    """Orbits from far starts against the certified rate."""

    claim = "MRS-2"
    part = "rho < 1: |theta_t - theta*| <= rho^t |theta_0 - theta*|, 5 starts, 60 rounds"
    comparison = "at_most"
    instances = 20
    batch = 50

    def draw(self, rng):
        K, recipes = responses(rng), self.batch // 5
        r, rho = contracting(rng, K, recipes)
        return r, rho, 3 * centre(rng.normal(size=(5, recipes, K)))

    def predict(self, instance):
        r, rho, starts = instance
        return self.distance(r, starts) * rho ** np.arange(61)[:, None, None]

    def observe(self, instance):
        r, _, starts = instance
        run = orbit(r.rule(), log_start=log_softmax(starts), rounds=60, tolerance=0)
        return self.distance(r, centre(run.log_policies))

    @staticmethod
    def distance(r, theta):
        return np.linalg.norm(theta - fixed_point(r.rule()).state, axis=-1)


# ---------------------------------------------------------------------------------------- MRS-3


class LogitEquilibrium(Check):
    """The shipped fixed point in the equation of the logit equilibrium, written with P."""

    claim = "MRS-3"
    part = "the fixed point is the logit equilibrium at temperature (1 - alpha) beta"
    tolerance = 1e-10
    instances = 20
    batch = 10

    def draw(self, rng):
        return recipe(rng, responses(rng), self.batch, least_beta=0.02)

    def predict(self, instance):
        r = instance
        lam, tau = r.lam[:, None], ((1 - r.alpha) * r.beta)[:, None]
        sampler = lam * fixed_point(r.rule()).policy + (1 - lam) * r.offline
        drive = np.einsum("nij,nj->ni", r.game.P, sampler) / tau
        return centre(np.log(r.reference) + drive)

    def observe(self, instance):
        return centre(fixed_point(instance.rule()).log_policy)


class OneFixedPoint(Check):
    """Damped rounds from three random starts; the damping makes the map contract globally."""

    claim = "MRS-3"
    part = "damped rounds from 3 random starts reach the one fixed point"
    tolerance = 1e-6
    instances = 60
    batch = 3

    def draw(self, rng):
        K = responses(rng)
        r = Recipe(
            game(rng, K),
            log_uniform(rng, 0.05, 3),
            rng.uniform(0, 0.9),
            rng.uniform(0, 1),
            interior(rng, K),
            interior(rng, K),
        )
        return r, interior(rng, K, self.batch)

    def predict(self, instance):
        r, starts = instance
        return np.broadcast_to(fixed_point(r.rule()).policy, starts.shape)

    def observe(self, instance):
        r, starts = instance
        half_norm = r.lam * spectral_norm(r.game.skew) / (2 * r.beta)
        pull = 1 - r.alpha
        h = pull / (pull**2 + half_norm**2)
        # (1 - h) theta + h F(theta) is itself a round, of another recipe (RND-1); its step
        # contracts by |1 - h pull +- i h half_norm|, hence the number of rounds.
        damped = r._replace(alpha=1 - h * pull, beta=r.beta / h) if h < 1 else r
        rate = np.hypot(1 - min(h, 1) * pull, min(h, 1) * half_norm)
        rounds = int(np.ceil(np.log(1e-8) / np.log(rate))) + 20
        return ensemble(damped.rule(), starts, rounds, reducers=["last_policy"])["last_policy"]


class UniquenessIdentity(Check):
    """Why there is only one: the identity that two fixed points would violate."""

    claim = "MRS-3"
    part = "sum of both KL of two policies = what their residuals of the fixed-point equation say"
    instances = 20
    batch = 10

    def draw(self, rng):
        K = responses(rng)
        return recipe(rng, K, self.batch), interior(rng, K, (2, self.batch))

    def predict(self, instance):
        r, (one, other) = instance
        tau = (1 - r.alpha) * r.beta
        return tau * np.sum((one - other) * (np.log(one) - np.log(other)), axis=-1)

    def observe(self, instance):
        # With residuals e = (F(theta) - theta) of both, lam (pi - pi')^T A (pi - pi') = 0 leaves
        # tau [KL + KL] = -beta (pi - pi')^T (e - e'): zero residuals make the policies equal.
        r, (one, other) = instance
        rule = r.rule()
        residuals = [step(rule, rule.init(policy)) - rule.init(policy) for policy in (one, other)]
        return -r.beta * np.sum((one - other) * (residuals[0] - residuals[1]), axis=-1)


# ---------------------------------------------------------------------------------------- MRS-9


def divergence(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """KL(p || q) as a sum of non-negative terms ``p (q/p - 1 - log q/p)``: accurate when tiny."""
    gap = log_q - log_p
    return np.sum(np.exp(log_p) * (np.expm1(gap) - gap), axis=-1)


class MirrorDescent(Check):
    """KL to the fixed point, round by round, with beta exactly at the bound."""

    claim = "MRS-9"
    part = "at the bound: KL(pi*, pi_t) shrinks by alpha in each of 30 rounds"
    comparison = "at_most"
    instances = 60
    batch = 5

    def draw(self, rng):
        K = responses(rng)
        r = recipe(rng, K, self.batch)
        alpha, lam = rng.uniform(0.02, 0.98, self.batch), rng.uniform(0.1, 1, self.batch)
        beta = lam * np.abs(r.game.skew).max((-2, -1)) / np.sqrt(alpha * (1 - alpha))
        return r._replace(alpha=alpha, lam=lam, beta=beta), interior(rng, K, self.batch)

    def predict(self, instance):
        r, _ = instance
        return np.broadcast_to(r.alpha, (30, self.batch))

    def observe(self, instance):
        r, start = instance
        run = orbit(r.rule(), start, 30, tolerance=0)
        kl = divergence(fixed_point(r.rule()).log_policy, run.log_policies)
        # Below 1e-10 the fixed point's own rounding enters.
        return np.where(kl[:-1] > 1e-10, kl[1:] / np.maximum(kl[:-1], 1e-10), 0.0)


class GapBetweenTheorems(Check):
    """Largest beta that each certificate of the package leaves open, for rock-paper-scissors."""

    claim = "MRS-9"
    part = "rps(1/2), alpha = 1/2, lam = 1: contraction from .866, mirror descent from 1, true .333"
    cases = (("contraction", np.sqrt(3) / 2), ("mirror_descent", 1.0), ("local_boundary", 1 / 3))

    def predict(self, instance):
        _, beta = instance
        return beta

    def observe(self, instance):
        from scipy.optimize import brentq

        name, _ = instance

        def excess(beta):
            found = {c.name: c.value for c in certificates(rps(0.5, beta, 0.5, 1.0))}
            return found[name] - 1

        return brentq(excess, 0.1, 3, xtol=1e-13)
