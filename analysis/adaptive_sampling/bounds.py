"""What votes prove: VOTE-1 to VOTE-3."""

from itertools import product
from math import comb

import numpy as np

from analysis import Check
from analysis._draws import game, log_uniform, responses
from prefdyn import MRS, PreferenceMatrix, learn_sampler, max_margin_sampler
from prefdyn.games import (
    Evidence,
    confidence_bounds,
    log_evidence,
    robust_sampler,
    smith_set,
)

Array = np.ndarray

SLACK = 1e-5
"""Chance with which a statement about a frequency is refuted though true."""


def frequency_bound(trials: int, chance: float) -> float:
    """Frequency that events of this chance exceed only with probability `SLACK`."""
    from scipy.stats import binom

    return float(binom.isf(SLACK, trials, chance)) / trials


def pair(wins: Array | float, losses: Array | float) -> Array:
    """Counts (..., 2, 2) of one pair."""
    wins, losses = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)
    zero = np.zeros_like(wins)
    return np.stack([np.stack([zero, wins], -1), np.stack([losses, zero], -1)], -2)


# --------------------------------------------------------------------------------------- VOTE-1


class EvidenceIsFair(Check):
    """Mean of the evidence over all outcomes of n votes, one by one."""

    claim = "VOTE-1"
    part = "the evidence against the true win rate has mean 1 after any number of votes"
    comparison = "close"
    tolerance = 1e-9
    instances = 30

    def draw(self, rng):
        return float(rng.uniform(0.02, 0.98)), int(rng.integers(1, 40))

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        p, n = instance
        return sum(
            comb(n, w) * p**w * (1 - p) ** (n - w) * np.exp(log_evidence(wins, p)[0, 1])
            for w, wins in ((w, pair(w, n - w)) for w in range(n + 1))
        )


class TiesAreSafe(EvidenceIsFair):
    """Votes that may be ties, half a win each way."""

    claim = "VOTE-1"
    part = "with ties as half votes the mean is at most 1"
    comparison = "at_most"
    instances = 20

    def draw(self, rng):
        return rng.dirichlet(np.ones(3)), int(rng.integers(1, 5))

    def observe(self, instance):
        chances, n = instance  # of a loss, a tie, a win
        p = chances[1] / 2 + chances[2]
        total = 0.0
        for outcome in product(range(3), repeat=n):
            w = sum(outcome) / 2
            evidence = log_evidence(pair(w, n - w), p)[0, 1]
            total += np.prod(chances[list(outcome)]) * np.exp(evidence)
        return total


class BoundsHoldForever(Check):
    """Sequences of votes, looked at after every vote."""

    claim = "VOTE-1"
    part = "the true win rate is ever outside in at most a share delta of 500 sequences"
    comparison = "at_most"
    tolerance = 0.0
    instances = 3
    batch = 500
    votes = 1000

    def draw(self, rng):
        p, delta = float(rng.uniform(0.05, 0.95)), float(log_uniform(rng, 0.02, 0.3))
        return p, delta, np.cumsum(rng.random((self.batch, self.votes)) < p, axis=1)

    def predict(self, instance):
        return frequency_bound(self.batch, instance[1])

    def observe(self, instance):
        p, delta, wins = instance
        looks = np.unique(np.geomspace(1, self.votes, 60).astype(int))  # fewer looks, fewer errors
        wins = wins[:, looks - 1].astype(float)
        evidence = log_evidence(pair(wins, looks - wins), p)[..., 0, 1]
        return np.mean(np.any(evidence >= np.log(1 / delta), axis=1))


class BoundsAreNarrow(Check):
    """Distance of the bounds from the observed win rate."""

    claim = "VOTE-1"
    part = "the bounds lie within sqrt((l + log(n)/2 + log 2)/(2n)) of the observed win rate"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 60

    def draw(self, rng):
        n = int(log_uniform(rng, 1, 1e6))
        wins = float(rng.binomial(n, rng.uniform(0, 1)))
        return wins, n, float(log_uniform(rng, 1e-6, 0.5))

    def predict(self, instance):
        _, n, delta = instance
        return np.sqrt((np.log(1 / delta) + np.log(n) / 2 + np.log(2)) / (2 * n))

    def observe(self, instance):
        wins, n, delta = instance
        lower, upper = confidence_bounds(pair(wins, n - wins), delta)
        return max(upper[0, 1] - wins / n, wins / n - lower[0, 1])


# --------------------------------------------------------------------------------------- VOTE-2


class DecisionsAreRight(Check):
    """Adaptive sampling of random games until it is certain, at a generous delta."""

    claim = "VOTE-2"
    part = "a wrong top is decided in at most a share delta = 0.3 of 40 random games"
    comparison = "at_most"
    tolerance = 0.0
    instances = 1
    batch = 40
    delta = 0.3

    def draw(self, rng):
        return [game(rng, responses(rng, most=4)) for _ in range(self.batch)], rng

    def predict(self, instance):
        return frequency_bound(self.batch, self.delta)

    def observe(self, instance):
        games, rng = instance
        return np.mean([self.wrong(game, rng) for game in games])

    def wrong(self, game, rng):
        learning = learn_sampler(game, seed=rng, delta=self.delta, votes=20_000, growth=0.5)
        return any(e.decided and e.top != smith_set(game) for e in learning.history)


class TiesAreNotDecided(DecisionsAreRight):
    """Two tied responses: to decide for one of them is an error."""

    claim = "VOTE-2"
    batch = 100
    part = "of 100 tied pairs at most a share delta = 0.3 is ever decided"

    def draw(self, rng):
        return [PreferenceMatrix(np.full((2, 2), 0.5))] * self.batch, rng

    def wrong(self, game, rng):
        return learn_sampler(game, seed=rng, delta=self.delta, votes=300, growth=0.3).last.decided


class TopsAreDecided(Check):
    """Games without near ties, asked until the top is decided."""

    claim = "VOTE-2"
    part = "without near ties (0.04) the top is decided, and right at delta = 1e-6"
    comparison = "agree"
    tolerance = 0.0
    instances = 25

    def draw(self, rng):
        return game(rng, responses(rng, least=2, most=5)), rng

    def skip(self, instance):
        return np.abs(instance[0].skew[np.triu_indices(instance[0].K, 1)]).min() < 0.04

    def predict(self, instance):
        return [True, *np.isin(np.arange(instance[0].K), smith_set(instance[0]))]

    def observe(self, instance):
        game, rng = instance
        last = learn_sampler(game, seed=rng, delta=1e-6, votes=10**7, growth=0.5).last
        return [last.decided, *np.isin(np.arange(game.K), last.top)]


# --------------------------------------------------------------------------------------- VOTE-3


class WorstGameInTheBox(Check):
    """The worst game for each pair, built entry by entry."""

    claim = "VOTE-3"
    part = "the margin of the robust sampler is that of the worst game within the bounds"
    comparison = "close"
    tolerance = 1e-9
    instances = 40

    def draw(self, rng):
        base = game(rng, responses(rng), strength=0.4)
        width = np.triu(rng.uniform(0, 0.1, base.P.shape), 1)
        top = rng.permutation(base.K)[: rng.integers(1, base.K)]
        return base.P - width - width.T, base.P + width + width.T, sorted(top.tolist())

    def predict(self, instance):
        return robust_sampler(*instance).margin

    def observe(self, instance):
        lower, upper, top = instance
        mu = robust_sampler(*instance).policy
        margins = []
        for i in top:
            for j in set(range(len(lower))) - set(top):
                P = (lower + upper) / 2
                P[i], P[:, i] = lower[i], upper[:, i]
                P[j], P[:, j] = upper[j], lower[:, j]
                P[i, j], P[j, i] = lower[i, j], upper[j, i]
                margins.append((PreferenceMatrix(P).P @ mu)[[i, j]] @ [1, -1])
        return min(margins)


class OptimaInTheBox(WorstGameInTheBox):
    """Minimisers of both losses in games drawn within the bounds."""

    claim = "VOTE-3"
    part = "the IPO log-odds of top over rest are at least margin/beta in games within the bounds"
    comparison = "at_least"
    instances = 20
    objective = "ipo"
    gain = 1.0
    beta = 0.5

    def skip(self, instance):
        return robust_sampler(*instance).margin <= 1e-3

    def predict(self, instance):
        return self.gain * robust_sampler(*instance).margin / self.beta

    def observe(self, instance):
        lower, upper, top = instance
        share = np.triu(np.random.default_rng(0).uniform(0, 1, (3, *lower.shape)), 1)
        P = lower + np.triu(share) * (upper - lower)
        P = np.triu(P, 1)
        games = PreferenceMatrix(
            P + np.tril(1 - np.swapaxes(P, -1, -2), -1) + np.eye(len(lower)) / 2
        )
        mu = robust_sampler(*instance).policy
        rule = MRS(games, self.objective, beta=self.beta, alpha=0.0, lam=0.0, offline=mu)
        start = np.full(rule.K, 1 / rule.K)
        log_policy = rule.log_policy(rule.step(rule.init(start), 0, None))
        inside = np.isin(np.arange(rule.K), top)
        return (log_policy[:, inside].min(axis=-1) - log_policy[:, ~inside].max(axis=-1)).min()


class DPOOptimaInTheBox(OptimaInTheBox):
    """The same for DPO, whose gaps are at least four times those of IPO (DPO-4)."""

    claim = "VOTE-3"
    part = "the DPO log-odds of top over rest are at least 4 margin/beta in these games"
    objective = "dpo"
    gain = 4.0
    instances = 20


class WinnersHaveAMargin(Check):
    """Votes in the proportions of a game with a Condorcet winner that has been decided."""

    claim = "VOTE-3"
    part = "a decided Condorcet winner: the certified margin is at least min_j L_cj - 1/2"
    comparison = "at_least"
    tolerance = 1e-9
    instances = 30

    def draw(self, rng):
        votes = log_uniform(rng, 20, 5000)
        return proportional(game(rng, responses(rng)), votes)

    def skip(self, instance):
        return len(instance.top) > 1 or not instance.decided

    def predict(self, instance):
        winner = instance.top[0]
        others = np.arange(instance.K) != winner
        return instance.bounds[0][winner, others].min() - 0.5

    def observe(self, instance):
        lower, upper = instance.bounds
        return robust_sampler(lower, upper, instance.top, keep=1.0).margin


class MarginApproaches(Check):
    """How far the certified margin can be from the true one."""

    claim = "VOTE-3"
    part = "the certified margin falls short by at most the doubt about the best case's sampler"
    comparison = "at_least"
    tolerance = 1e-9
    instances = 40

    def draw(self, rng):
        base = game(rng, responses(rng))
        return base, proportional(base, log_uniform(rng, 20, 5000))

    def skip(self, instance):
        return len(instance[1].top) == instance[0].K or instance[1].top != smith_set(instance[0])

    def predict(self, instance):
        base, evidence = instance
        lower, upper = evidence.bounds
        mu = robust_sampler(upper, lower, evidence.top, keep=1.0).policy
        doubt = (upper - lower) @ mu
        inside = np.isin(np.arange(base.K), evidence.top)
        true = max_margin_sampler(base, keep=1.0).margin
        return true - doubt[inside].max() - doubt[~inside].max()

    def observe(self, instance):
        evidence = instance[1]
        lower, upper = evidence.bounds
        return robust_sampler(lower, upper, evidence.top, keep=1.0).margin


def proportional(base: PreferenceMatrix, votes: Array | float) -> Evidence:
    """Evidence of so many votes on every pair, split exactly as the win rates say."""
    wins = votes * base.P
    np.fill_diagonal(wins, 0)
    return Evidence(wins, 0.05)
