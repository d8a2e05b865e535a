"""How many votes it takes, and against whom: VOTE-4 to VOTE-6."""

from collections.abc import Callable
from functools import cache
from itertools import islice

import numpy as np
from scipy.optimize import brentq
from scipy.special import rel_entr

from analysis import Check
from analysis._draws import game, interior, responses
from analysis.how_sampling_shapes.samplers import FixedSamplerFails
from prefdyn import MRS, MRSIPO, PreferenceMatrix, fixed_point, learn_sampler
from prefdyn.games import Evidence, condorcet_winner

Array = np.ndarray

# --------------------------------------------------------------------------------------- VOTE-4


class LearningSucceeds(Check):
    """The construction against a fixed sampler, learned from votes."""

    claim = "VOTE-4"
    part = "in the game against a fixed sampler IPO and DPO lose the winner; learned, they do not"
    comparison = "agree"
    tolerance = 0.0
    instances = 12

    def draw(self, rng):
        K = responses(rng, most=5)
        mu = np.full(K, 1 / K) if rng.random() < 0.3 else interior(rng, K)
        winner, runner_up = (int(i) for i in rng.choice(K, size=2, replace=False))
        return FixedSamplerFails.construct(mu, winner, runner_up), mu, winner, rng

    def predict(self, instance):
        return [False, False, True, True, True]

    def observe(self, instance):
        game, fixed, winner, rng = instance
        learning = learn_sampler(game, seed=rng, delta=1e-3, votes=10**7, growth=0.5)
        samplers = (fixed, learning.last.sampler.policy)
        first = [
            bool(np.argmax(optimum(game, objective, mu)) == winner)
            for mu in samplers
            for objective in ("ipo", "dpo")
        ]
        return [*first, learning.certified]


class OnPolicyRoundsFail(Check):
    """The construction against rounds that sample from their own policy and know the game."""

    claim = "VOTE-4"
    part = "rounds with any share lam on-policy: the winner is first at no fixed point"
    comparison = "at_least"
    tolerance = 0.0
    instances = 40

    def draw(self, rng):
        K, alpha, lam = responses(rng), rng.uniform(0, 0.9), rng.uniform(0, 1)
        tau = rng.uniform(0.15, 2)
        eps = rng.uniform(0.3, 1) * (K - 2) * np.exp(-1 / tau) / (2 * K)
        A = np.triu(np.full((K, K), eps), 1)
        A[1, 2:] = 0.5
        game = PreferenceMatrix(0.5 + A - A.T)
        return MRSIPO(game, beta=tau / (1 - alpha), alpha=alpha, lam=lam)

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        assert condorcet_winner(instance.game) == 0
        log_policy = fixed_point(instance).log_policy
        return log_policy[1] - log_policy[0]


def optimum(game: PreferenceMatrix, objective: str, mu: Array) -> Array:
    """Log-policy that minimises the loss of the whole game under a sampler, from uniform."""
    rule = MRS(game, objective, beta=0.5, alpha=0.0, lam=0.0, offline=mu)
    return rule.log_policy(rule.step(rule.init(np.full(game.K, 1 / game.K)), 0, None))


# --------------------------------------------------------------------------------------- VOTE-5


def settled_by(gap: float, level: float) -> float:
    """Votes that settle a pair of this gap at the latest, while its bounds hold."""
    return crossing(lambda n: n - 2 * (level + np.log(n) / 2 + np.log(2)) / gap**2, 1 / gap**3)


def settled_near(gap: float, level: float) -> float:
    """Votes that typically settle a pair of this gap."""
    each = information(0.5 + gap)
    return crossing(lambda n: n * each - level - np.log(np.pi * n / 2) / 2, 1 / gap**3)


def crossing(excess: Callable[[float], float], scale: float) -> float:
    """The number of votes from which on the excess is positive."""
    return float(brentq(excess, 1.0, 1e3 * scale))  # pyright: ignore[reportArgumentType]


def information(p: Array | float) -> Array | float:
    """kl(p, 1/2) in nats per vote."""
    return rel_entr(p, 0.5) + rel_entr(1 - np.asarray(p), 0.5)


def led(K: int, gap: float, rng: np.random.Generator) -> PreferenceMatrix:
    """Response 0 beats all others by the same gap; the others are random."""
    A = game(rng, K, strength=0.4).skew.copy()
    A[0], A[:, 0], A[0, 0] = gap, -gap, 0
    return PreferenceMatrix(0.5 + A)


class VotesAreBounded(Check):
    """Votes asked one at a time, against the bound of each pair."""

    claim = "VOTE-5"
    part = "asked one by one, no pair gets more votes than settle it at the latest, plus one"
    comparison = "at_most"
    tolerance = 0.0
    instances = 6
    delta = 1e-2

    def draw(self, rng):
        return game(rng, responses(rng, most=4)), rng

    def skip(self, instance):
        return self.gaps(instance[0]).min() < 0.1

    @staticmethod
    def gaps(game):
        return np.abs(game.skew[np.triu_indices(game.K, 1)])

    def predict(self, instance):
        gaps = self.gaps(instance[0])
        level = np.log(len(gaps) / self.delta)
        return np.array([settled_by(gap, level) for gap in gaps]) + 1

    def observe(self, instance):
        game, rng = instance
        asked = lambda evidence: only_one(evidence.decisive(), evidence.wins)  # noqa: E731
        learning = learn_sampler(game, seed=rng, delta=self.delta, growth=0.0, pairs=asked)
        votes = next(e.wins + e.wins.T for e in learning.history if e.decided)
        return votes[np.triu_indices(game.K, 1)]


def only_one(asked: Array, wins: Array) -> Array:
    """Of the pairs asked, the one with the fewest votes."""
    i, j = np.nonzero(np.triu(asked, 1))
    one = np.zeros_like(asked)
    if i.size:
        k = np.argmin((wins + wins.T)[i, j])
        one[i[k], j[k]] = one[j[k], i[k]] = True
    return one


@cache
def votes_of(K: int, gap: float, games: int) -> list[float]:
    """Votes until the top is certified in so many games with one leader, at delta = 0.05."""
    rng = np.random.default_rng(K)
    return [learn_sampler(led(K, gap, rng), seed=rng, votes=10**8).votes[-1] for _ in range(games)]


class VotesNearPrediction(Check):
    """Median votes over games with one leader, for several gaps and numbers of responses."""

    claim = "VOTE-5"
    part = "median votes over 7 games: within a factor 1.5 of the sum over the winner's pairs"
    comparison = "relative"
    tolerance = 0.5
    batch = 7
    cases = ((3, 0.03), (3, 0.3), (6, 0.1), (12, 0.03), (12, 0.3))
    delta = 0.05

    def predict(self, instance):
        K, gap = instance
        return (K - 1) * settled_near(gap, np.log(K * (K - 1) / 2 / self.delta))

    def observe(self, instance):
        K, gap = instance
        return np.median(votes_of(K, gap, self.batch))


class VotesAboveLowerBound(VotesNearPrediction):
    """Mean votes against the bound that holds for every rule."""

    claim = "VOTE-5"
    part = "mean votes over 7 games are at least the lower bound of any rule"
    comparison = "at_least"
    tolerance = 0.0
    cases = ((3, 0.03), (6, 0.1), (12, 0.3))

    def predict(self, instance):
        K, gap = instance
        doubt = rel_entr(self.delta, 1 - self.delta) + rel_entr(1 - self.delta, self.delta)
        return doubt * (K - 1) / information(0.5 + gap)

    def observe(self, instance):
        return np.mean(votes_of(*instance, self.batch))


class VotesOverLowerBound(VotesAboveLowerBound):
    """How much room the bound leaves."""

    claim = "VOTE-5"
    part = "mean votes over the lower bound of any rule"
    comparison = "report"

    def observe(self, instance):
        return np.mean(votes_of(*instance, self.batch)) / super().predict(instance)


# --------------------------------------------------------------------------------------- VOTE-6


def everywhere(evidence: Evidence) -> Array:
    """All pairs, as a fixed, uniform design asks."""
    return ~np.eye(evidence.K, dtype=bool)


def unsettled(evidence: Evidence) -> Array:
    """All pairs that are not settled: elimination, without regard to what they decide."""
    return ~evidence.settled


class AskingEverywhere(Check):
    """Votes until the same certificate, with all pairs asked and with the decisive ones."""

    claim = "VOTE-6"
    part = "spread over all pairs, the median of 11 games costs at least three times as much"
    comparison = "at_least"
    tolerance = 0.0
    instances = 1
    batch = 11
    other = staticmethod(everywhere)
    factor = 3.0

    def draw(self, rng):
        drawn = (game(rng, responses(rng, least=4)) for _ in range(10**4))
        return list(islice((one for one in drawn if lead(one) >= 0.05), self.batch)), rng

    def predict(self, instance):
        return self.factor

    def observe(self, instance):
        games, rng = instance
        return np.median([self.cost(game, rng) for game in games])

    def cost(self, game, rng):
        adaptive, other = (
            learn_sampler(game, seed=rng, votes=10**7, growth=0.3, pairs=pairs).votes[-1]
            for pairs in (Evidence.decisive, type(self).other)
        )
        return other / adaptive


class AskingUnsettled(AskingEverywhere):
    """The same against elimination."""

    claim = "VOTE-6"
    part = "by elimination, the median of 11 games costs at least 1.3 times as much"
    other = staticmethod(unsettled)
    factor = 1.3


def lead(game: PreferenceMatrix) -> float:
    """Smallest margin of the Condorcet winner; 0 if there is none."""
    winner = condorcet_winner(game)
    if winner is None:
        return 0.0
    return float(game.skew[winner, np.arange(game.K) != winner].min())
