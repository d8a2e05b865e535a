"""The paper's experiment on a synthetic stand-in, and averages over noisy runs: MRS-16, MRS-17."""

from functools import cache
from typing import ClassVar

import numpy as np

from analysis import Check
from prefdyn import (
    MRSIPO,
    FiniteSample,
    PreferenceMatrix,
    critical,
    ensemble,
    fixed_point,
    games,
    orbit,
)
from prefdyn.policies import centre, log_softmax, softmax
from prefdyn.rules import Rule

Array = np.ndarray

# --------------------------------------------------------------------------------------- MRS-16

PROMPTS, CYCLIC = 12_000, 500
"""Games made, and cyclic ones among them that are followed (about 720 would be)."""
LOWEST = 1 / 300
"""Smallest beta at which instability is looked for."""
OSCILLATES = 1e-6
"""Cycle strength that counts as oscillation; settled orbits end near 1e-30."""


@cache
def stand_in(seed: int) -> PreferenceMatrix:
    """Games of four responses with made-up scores, one random attribute per pair."""
    rng = np.random.default_rng(seed)
    return games.games_from_scores(games.synthetic_scores(PROMPTS, rng), rng)


@cache
def cyclic(seed: int) -> PreferenceMatrix:
    """The first 500 with three responses that strictly beat one another in a ring."""
    return stand_in(seed)[games.contains_cycle(stand_in(seed), length=3)][:CYCLIC]


@cache
def thresholds(seed: int) -> Array:
    """Largest unstable beta of each cyclic game at alpha = 1/2, lam = 1; NaN where none is."""
    rule = MRSIPO(cyclic(seed), 1.0, 0.5, 1.0)
    found = critical(rule, "beta", range=(LOWEST, 1.0), samples=40)
    return np.array([np.nan if interval.value is None else interval.value for interval in found])


class StandIn(Check):
    """Checks that look at one collection of 12,000 games, the same for all of them."""

    instances = 1

    def instance(self, seed, index):
        return seed + index


class Shares(StandIn):
    """What kinds of games the protocol makes."""

    claim = "MRS-16"
    part = "12,000 stand-in games: shares cyclic, weakly, strictly strongly transitive"
    tolerance = 0.015
    batch = PROMPTS

    def predict(self, instance):
        return np.array([0.060, 0.385, 0.002])

    def observe(self, instance):
        all_games = stand_in(instance)
        return np.array(
            [
                games.contains_cycle(all_games, length=3).mean(),
                games.is_strongly_transitive(all_games).mean(),
                games.is_strongly_transitive(all_games, strict=True).mean(),
            ]
        )


class NeverUnstable(StandIn):
    """Cyclic games that stay stable however weak the pull to the reference."""

    claim = "MRS-16"
    part = "500 cyclic stand-in games: 21 % stable down to beta = 1/300"
    tolerance = 0.08
    batch = CYCLIC

    def predict(self, instance):
        return 0.21

    def observe(self, instance):
        return np.isnan(thresholds(instance)).mean()


class CondorcetIsStable(StandIn):
    """A strict Condorcet winner of the stand-in wins by .231 at least, too much for MRS-14."""

    claim = "MRS-16"
    part = "cyclic stand-in games with a strict Condorcet winner: share stable down to 1/300"
    tolerance = 0.0

    def predict(self, instance):
        return 1.0

    def observe(self, instance):
        won = [games.condorcet_winner(game) is not None for game in cyclic(instance)]
        return np.isnan(thresholds(instance))[won].mean()


class ThresholdQuantiles(StandIn):
    """Where the others lose stability."""

    claim = "MRS-16"
    part = "largest unstable beta of the other cyclic stand-in games: median and 90 % quantile"
    tolerance = 0.015

    def predict(self, instance):
        return np.array([0.147, 0.187])

    def observe(self, instance):
        return np.nanquantile(thresholds(instance), [0.5, 0.9])


@cache
def beside_thresholds(seed: int) -> tuple[Array, Array]:
    """Cycle strengths 3 % below and above each threshold, from near and from far starts."""
    known = np.isfinite(thresholds(seed))
    beta = np.array([[0.97], [1.03]]) * thresholds(seed)[known]
    rule = MRSIPO(cyclic(seed)[known], beta, 0.5, 1.0)
    near = fixed_point(rule).log_policy + 1e-3 * np.array([1, -1, 0.5, -0.5])
    far = np.array([4.0, 0, -4, 0])

    def strengths(start):
        return ensemble(rule, log_starts=log_softmax(start), rounds=6000)["cycle_strength"]

    return strengths(near), strengths(far)


class VerdictsOfTheExperiment(StandIn):
    """The local verdict against the measure of the experiment itself."""

    claim = "MRS-16"
    part = "near starts, 6000 rounds: oscillating 3 % below each threshold, settled 3 % above"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        near, _ = beside_thresholds(instance)
        return np.broadcast_to([[True], [False]], near.shape)

    def observe(self, instance):
        near, _ = beside_thresholds(instance)
        return near > OSCILLATES


class BistableInTheExperiment(StandIn):
    """Games whose fixed point is locally stable while a far start keeps cycling (NS-5)."""

    claim = "MRS-16"
    part = "far starts 3 % above each threshold"
    comparison = "report"

    def observe(self, instance):
        near, far = beside_thresholds(instance)
        return np.count_nonzero((far[1] > OSCILLATES) & (near[1] < OSCILLATES)), far.shape[1]

    def summary(self, observations):
        bistable, games = np.sum(observations, axis=0)
        return f"{bistable} of {games} games go on cycling where the fixed point is locally stable"


class DirectionOfTheExperiment(StandIn):
    """Share of oscillating games when one parameter of a baseline is raised."""

    claim = "MRS-16"
    part = "3000 rounds: raising alpha, lam or 1/beta makes more cyclic stand-in games oscillate"
    comparison = "at_least"
    tolerance = 0.0
    recipes = np.array([[0.1, 0.5, 0.6], [0.1, 0.9, 0.6], [0.1, 0.5, 1.0], [0.03, 0.5, 0.6]])

    def predict(self, instance):
        return np.full(3, self.oscillating(instance, self.recipes[:1])[0] + 0.05)

    def observe(self, instance):
        return self.oscillating(instance, self.recipes[1:])

    @staticmethod
    def oscillating(seed, recipes):
        beta, alpha, lam = recipes.T[..., None]
        rule = MRSIPO(cyclic(seed), beta, alpha, lam)
        return (ensemble(rule, rounds=3000)["cycle_strength"] > OSCILLATES).mean(-1)


class ConcentrationOfTheExperiment(StandIn):
    """Final entropy on the other collection; ties at the top leave a floor when lam = 1."""

    claim = "MRS-16"
    part = "3000 rounds, alpha = 1/2: mean entropy on strongly transitive stand-in games"
    comparison = "report"

    def observe(self, instance):
        ranked = stand_in(instance)[games.is_strongly_transitive(stand_in(instance))][:500]
        beta, lam = np.array([[1 / 3], [1 / 30], [1 / 300]]), np.array([0.2, 1.0])
        rule = MRSIPO(ranked, beta[..., None], 0.5, lam[:, None])
        return ensemble(rule, rounds=3000, reducers=["entropy"])["entropy"].mean(-1)

    def summary(self, observations):
        off, on = np.mean(observations, axis=0).T
        listed = [" / ".join(f"{value:.3f}" for value in column) for column in (off, on)]
        return (
            f"500 games, 1/beta = 3 / 30 / 300: {listed[0]} nats at lam = .2 and {listed[1]} at "
            "lam = 1, where ties at the top keep a floor"
        )


# --------------------------------------------------------------------------------------- MRS-17


class SampledPairs(MRSIPO):
    """MRS-IPO on 200 labelled pairs a round, both members drawn from the round's sampler.

    The win rate of a response is its share of wins among the comparisons it took part in, 1/2 if
    there were none.
    """

    stochastic: ClassVar[bool] = True

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """A round on drawn pairs."""
        assert rng is not None
        mu = self.sampler(state)
        law = (mu[..., :, None] * mu[..., None, :]).reshape(*mu.shape[:-1], -1)
        drawn = rng.multinomial(200, law).reshape(*mu.shape, self.K)
        won = rng.binomial(drawn, self.game.P)
        wins, times = won.sum(-1) + (drawn - won).sum(-2), drawn.sum(-1) + drawn.sum(-2)
        rate = np.where(times > 0, wins / np.maximum(times, 1), 0.5)
        return centre(self.mixed_reference(state) + rate / self.beta)


def noisy_runs(rule: Rule, seed: int) -> Array:
    """Rounds 200 to 600 of 40 runs from one start, (rounds, 40, 3)."""
    starts = np.tile(softmax(np.array([0.3, 0.0, -0.3])), (40, 1))
    return orbit(rule, starts, 600, seed=seed).policies[200:]


def hidden(policies: Array) -> float:
    """Variance in time within runs, over that of the run average."""
    return policies.var(0).mean() / policies.mean(1).var(0).mean()


class AverageHidesTheCycle(Check):
    """Forty runs: variance in time of each, against the variance in time of their mean."""

    claim = "MRS-17"
    part = "rps(1/2), 200 labelled pairs a round: variance within runs over that of the run average"
    comparison = "at_least"
    tolerance = 0.0
    instances = 5
    batch = 40

    def draw(self, rng):
        return int(rng.integers(2**32))

    def predict(self, instance):
        return 10.0

    def observe(self, instance):
        rule = SampledPairs(games.rock_paper_scissors(0.5), 0.2, 0.8, 1.0)
        return hidden(noisy_runs(rule, instance))


class AverageOfVotesHidesTheCycle(AverageHidesTheCycle):
    """The same by the package's own rule of noisy rounds."""

    claim = "MRS-17"
    part = "rps(.4), 5 votes on every pair and round: the same ratio"

    def observe(self, instance):
        exact = MRSIPO(games.rock_paper_scissors(0.4), 0.2, 0.8, 1.0)
        return hidden(noisy_runs(FiniteSample(exact, 5), instance))


class ManyVotesStayInPhase(AverageOfVotesHidesTheCycle):
    """How much noise it takes: with many votes the runs keep the phase of their common start."""

    claim = "MRS-17"
    part = "rps(.4), 200 votes on every pair and round"
    comparison = "report"
    instances = 2

    def observe(self, instance):
        exact = MRSIPO(games.rock_paper_scissors(0.4), 0.2, 0.8, 1.0)
        return hidden(noisy_runs(FiniteSample(exact, 200), instance))

    def summary(self, observations):
        return (
            f"ratio {min(observations):.1f} to {max(observations):.1f}: runs from one start are "
            "still in phase after 600 rounds, so their average does show the cycle"
        )


class VarianceWithinRuns(AverageHidesTheCycle):
    """Noise does not wash out the cycle of a single run."""

    claim = "MRS-17"
    part = "variance within runs against that of the exact rounds"
    comparison = "close"
    tolerance = 0.02
    instances = 2

    def predict(self, instance):
        exact = MRSIPO(games.rock_paper_scissors(0.5), 0.2, 0.8, 1.0)
        return ensemble(exact, rounds=3000, reducers=["cycle_strength"])["cycle_strength"]

    def observe(self, instance):
        rule = SampledPairs(games.rock_paper_scissors(0.5), 0.2, 0.8, 1.0)
        return noisy_runs(rule, instance).var(0).mean()
