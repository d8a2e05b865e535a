"""How the one-shot optimum depends on the sampler: IPO-6, IPO-7, IPO-8."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis._symbolic import three_responses
from analysis.how_sampling_shapes.one_shot_ipo import OneShot, one_shot, shipped_optimum
from analysis.how_sampling_shapes.samplers import ordered, shipped_ranks
from prefdyn import PreferenceMatrix
from prefdyn.games import bradley_terry, is_strongly_transitive, is_transitive, strongly_transitive
from prefdyn.policies import softmax

Array = np.ndarray

# ---------------------------------------------------------------------------------------- IPO-6


class StrongOrderSurvives(Check):
    """Strongly transitive games: adjacent gaps of the optimum are positive."""

    claim = "IPO-6"
    part = "strongly transitive: the order survives every sampler"
    comparison = "at_least"
    tolerance = 0.0
    instances = 300

    def draw(self, rng):
        K = responses(rng)
        return strongly_transitive(K, rng, strict=bool(rng.random() < 0.5)), interior(rng, K)

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        return (-np.diff(shipped_ranks(*instance))).min()


class WeakerOrderBreaks(Check):
    """Transitive games without row dominance: a sampler near a point mass breaks the order."""

    claim = "IPO-6"
    part = "transitive but not strongly: 0.999 e_c + 0.001/K breaks the order for some c"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        return ordered(rng, responses(rng))

    def skip(self, instance):
        return self.violation(instance)[0] < 1e-3

    @staticmethod
    def violation(game):
        """Largest P_jk - P_ik for i above j, and its opponent k."""
        rises = np.array(
            [game.P[j] - game.P[i] for i in range(game.K) for j in range(i + 1, game.K)]
        )
        return rises.max(), int(rises.max(axis=0).argmax())

    def predict(self, instance):
        return [True, False, True]

    def observe(self, instance):
        opponent = self.violation(instance)[1]
        mu = 0.999 * np.eye(instance.K)[opponent] + 0.001 / instance.K
        broken = bool(np.diff(shipped_ranks(instance, mu)).max() > 0)
        return [bool(is_transitive(instance)), bool(is_strongly_transitive(instance)), broken]


# ---------------------------------------------------------------------------------------- IPO-7


class TiltNeverShrinks(Check):
    """Mass moved to a better opponent, the advantage over which is no smaller."""

    claim = "IPO-7"
    part = "advantage non-increasing in the opponent's rank: moving mass up never shrinks the gap"
    comparison = "at_least"
    tolerance = 1e-12
    instances = 3000

    def draw(self, rng):
        """A one-shot problem, a tilted sampler, and a pair (upper, lower) or None."""
        K = responses(rng)
        game, mu = strongly_transitive(K, rng), interior(rng, K)
        better, worse = np.sort(rng.choice(K, size=2, replace=False))
        tilted = mu.copy()
        tilted[[better, worse]] += np.array([1, -1]) * rng.random() * mu[worse]
        pairs = [(i, j) for i in range(K) for j in range(i + 1, K)]
        pairs = [pair for pair in pairs if np.diff(self.advantage(game, pair)).max() <= 0]
        pair = pairs[rng.integers(len(pairs))] if pairs else None
        return OneShot(game, mu, interior(rng, K), float(log_uniform(rng, 0.05, 3))), tilted, pair

    @staticmethod
    def advantage(game, pair):
        return game.P[pair[0]] - game.P[pair[1]]

    def skip(self, instance):
        return instance[2] is None

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        problem, tilted, (upper, lower) = instance
        before, after = shipped_optimum(problem._replace(mu=np.stack([problem.mu, tilted])))
        return (after[upper] - after[lower]) - (before[upper] - before[lower])


class TiltBySummation(TiltNeverShrinks):
    """By how much, as a sum of non-negative terms."""

    claim = "IPO-7"
    part = "the gap grows by sum_k (prefix sum gained up to k)(d_k - d_{k+1})/beta"
    comparison = "close"
    tolerance = 1e-9
    instances = 300

    def predict(self, instance):
        problem, tilted, pair = instance
        ahead = np.cumsum(tilted - problem.mu)[:-1]
        return ahead @ -np.diff(self.advantage(problem.game, pair)) / problem.beta


class TiltExample(Check):
    """Bradley-Terry scores (2, 1, 0, -1): the top gap grows, the others shrink."""

    claim = "IPO-7"
    part = "the example: adjacent win-rate gaps under a uniform and a top-heavy sampler"
    tolerance = 1e-3
    cases = (
        ((0.25, 0.25, 0.25, 0.25), (0.171, 0.190, 0.171)),
        ((0.85, 0.05, 0.05, 0.05), (0.219, 0.158, 0.092)),
    )

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        return -np.diff(shipped_ranks(bradley_terry([2, 1, 0, -1]), np.array(instance[0])))


# ---------------------------------------------------------------------------------------- IPO-8


class AdditiveOptimum(Check):
    """Additive preferences: one optimum for twenty samplers."""

    claim = "IPO-8"
    part = "additive preferences: the optimum of 20 samplers is softmax(log ref + v/beta)"
    tolerance = 1e-12
    batch = 20

    def draw(self, rng):
        K = responses(rng)
        v = rng.uniform(0, 0.5, K)
        samplers = np.array([interior(rng, K) for _ in range(self.batch)])
        return v, samplers, interior(rng, K)

    def predict(self, instance):
        v, samplers, reference = instance
        return np.broadcast_to(softmax(np.log(reference) + v / 0.5), samplers.shape)

    def observe(self, instance):
        v, samplers, reference = instance
        additive = PreferenceMatrix(0.5 + v[:, None] - v[None, :])
        return softmax(shipped_optimum(OneShot(additive, samplers, reference, 0.5)))


class OtherwiseTheSamplerMatters(Check):
    """Games that are not additive: the spread of the optimum over twenty samplers."""

    claim = "IPO-8"
    part = "random games of 4 to 6 responses: the optimum of 20 samplers spreads by over 0.01"
    comparison = "at_least"
    tolerance = 0.0
    batch = 20

    def draw(self, rng):
        K = responses(rng, least=4)
        samplers = np.array([interior(rng, K) for _ in range(self.batch)])
        return OneShot(game(rng, K), samplers, interior(rng, K), 0.5)

    def predict(self, instance):
        return 0.01

    def observe(self, instance):
        return np.ptp(softmax(shipped_optimum(instance)), axis=0).max()


class AdditiveIsNecessary(Check):
    """The derivative of a log-ratio by the sampler vanishes only for equal row differences."""

    claim = "IPO-8"
    part = "a log-ratio moves with mu_k by (P_ik - P_jk)/beta, symbolically (K = 3)"
    tolerance = 1e-6

    def draw(self, rng):
        return one_shot(rng, K=3)

    def predict(self, instance):
        p = instance.game.P[np.triu_indices(3, 1)]
        return np.array(derived_sensitivity()(p, instance.beta), dtype=float)

    def observe(self, instance):
        # Moving mass from the last response to k keeps mu a distribution.
        step = 1e-6
        slopes = []
        for k in range(2):
            shift = step * (np.eye(3)[k] - np.eye(3)[2])
            up, down = (
                shipped_optimum(instance._replace(mu=instance.mu + sign * shift))
                for sign in (1, -1)
            )
            slope = (up - down) / (2 * step)
            slopes.append([slope[0] - slope[1], slope[1] - slope[2]])
        return np.array(slopes)


@cache
def derived_sensitivity():
    """d[theta_i - theta_j]/d(mu_k - mu_2) of the optimum, for k = 0, 1 and (i, j) = 01, 12."""
    import sympy

    s = three_responses()
    beta = sympy.Symbol("beta", positive=True)
    last = 1 - s.mu[0] - s.mu[1]
    logits = [
        sum(s.P[i, k] * weight for k, weight in enumerate((s.mu[0], s.mu[1], last))) / beta
        for i in range(3)
    ]
    gaps = (logits[0] - logits[1], logits[1] - logits[2])
    return sympy.lambdify((s.p, beta), [[sympy.diff(g, s.mu[k]) for g in gaps] for k in range(2)])
