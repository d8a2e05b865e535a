"""From a game and a recipe to advice a person can act on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from prefdyn._advice import _words
from prefdyn._advice._recipe import recipe
from prefdyn._advice.cures import Cure, cures
from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability import (
    LastIterate,
    Stability,
    StabilityIntervals,
    Verdict,
    critical,
    last_iterate,
    verdict,
)
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.games.metrics import nash_equilibrium
from prefdyn.policies.softmax import entropy
from prefdyn.rules import Rule

SUPPORTED = 1e-9
"""Mass at the equilibrium of alpha = 1 from which a response belongs to it."""


@dataclass(frozen=True)
class Posterior:
    """What the votes leave open about stability.

    Attributes
    ----------
    draws
        Games drawn from the Beta posterior of the votes.
    unstable
        Posterior probability that any beta in the range is unstable.
    beta
        Median and central 90 % interval (5 %, 50 %, 95 %) of the largest unstable beta, given that
        there is one; None if no draw has one.
    """

    draws: int
    unstable: float
    beta: tuple[float, float, float] | None


@dataclass(frozen=True)
class Advice:
    """What `advise` found.

    Attributes
    ----------
    objective, beta, alpha, lam
        The recipe; beta None if only thresholds were asked for.
    verdict
        The word on the recipe (see `prefdyn.verdict`), with its evidence; None without a beta and
        at alpha = 1.
    last_iterate
        At alpha = 1: collapse or cycling instead of a verdict.
    beta_intervals
        All locally stable beta in the range; None at alpha = 1.
    stable_above
        Smallest beta above which every beta in the range is locally stable; None if all are, or if
        the end of the range is not.
    stable_share
        Largest on-policy share up to which every share is locally stable at this beta.
    margin
        ``beta / stable_above``: above 1 on the stable side.
    entropy
        Entropy of the fixed point in nats.
    posterior
        For a game with votes.
    cures
        Rounds that settle at the same fixed point, the best first (see `prefdyn.cures`), where the
        recipe is unstable, bistable, or cycles at alpha = 1.
    sentences
        All of it in words.
    """

    objective: str
    beta: float | None
    alpha: float
    lam: float
    verdict: Verdict | None = None
    last_iterate: LastIterate | None = None
    beta_intervals: StabilityIntervals | None = None
    stable_above: float | None = None
    stable_share: float | None = None
    margin: float | None = None
    entropy: float | None = None
    posterior: Posterior | None = None
    cures: tuple[Cure, ...] = ()
    sentences: tuple[str, ...] = ()


@working("judging the recipe")
def advise(
    game: PreferenceMatrix,
    objective: str = "ipo",
    *,
    alpha: float,
    lam: float,
    beta: float | None = None,
    reference: Any = None,
    offline: Any = None,
    range: tuple[float, float] | None = None,
    far_starts: int = 64,
    draws: int = 200,
    seed: int = 0,
) -> Advice:
    """Say whether iterating this recipe on this game converges, oscillates or collapses.

    Parameters
    ----------
    game
        One game; for a collection use `survey`.
    objective
        ``"ipo"``, ``"dpo"`` or the id of another objective.
    alpha, lam
        Share of the current policy in the next reference and in the next sampler.
    beta
        Pull to the reference; without it only the thresholds are computed.
    reference, offline
        Fixed parts of reference and sampler; uniform by default.
    range
        Range of beta searched for instability, by default (0.001, 100).
    far_starts
        Starts far from the fixed point that must come home before a recipe passes.
    draws
        Games drawn from the posterior where the game has votes.
    seed
        Seed of far starts and draws.

    Raises
    ------
    InputError
        For a batch of games or a parameter outside its range.
    NoOptimum
        If the objective has no optimum on this game.

    Examples
    --------
    >>> from prefdyn.games import rock_paper_scissors
    >>> advise(rock_paper_scissors(0.4), alpha=0.5, lam=1.0, beta=0.15).verdict.word
    'unstable'
    """
    if not isinstance(game, PreferenceMatrix):
        raise InputError(
            f"game is of type {type(game).__name__}: give a PreferenceMatrix; prefdyn.games.load "
            "reads names and files."
        )
    if game.batch_shape:
        raise InputError(f"game is a batch of shape {game.batch_shape}: use survey for many games.")
    for name, value in (("alpha", alpha), ("lam", lam), ("beta", beta)):
        if np.asarray(value).ndim:
            raise InputError(f"{name} is an array: advise takes one recipe, so give one number.")
    fixed = {"reference": reference, "offline": offline}
    rule: Any = recipe(game, objective, 1.0 if beta is None else beta, alpha, lam, **fixed)
    found: dict[str, Any] = {}
    if alpha == 1:
        if not hasattr(rule, "drive"):
            raise InputError(f"alpha = 1 is analysed for ipo and dpo only, not for {objective}.")
        if beta is not None:
            found["last_iterate"] = last = last_iterate(rule)
            if last.kind == "cycling" and (lam < 1 or np.all(nash_equilibrium(game) > SUPPORTED)):
                found["cures"] = _cures(rule, far_starts, seed)
    else:
        found.update(_thresholds(rule, beta, range))
        if beta is not None:
            found["verdict"] = judged = verdict(rule, far_starts, seed)
            found["entropy"] = float(entropy(judged.stability.point.log_policy))
            if judged.word in ("unstable", "bistable"):
                found["cures"] = _cures(rule, far_starts, seed, judged.stability)
        if game.counts is not None:
            drawn = game.draw(count(draws, "draws"), np.random.default_rng(seed))
            found["posterior"] = _posterior(recipe(drawn, objective, 1, alpha, lam, **fixed), range)
    advice = Advice(objective, beta, alpha, lam, **found)
    return replace(advice, sentences=tuple(_words.describe(game, advice)))


def _cures(
    rule: Rule, far_starts: int, seed: int, linear: Stability | None = None
) -> tuple[Cure, ...]:
    """Cures followed from a few of the far starts; none where there is no point to settle at."""
    try:
        return cures(rule, far_starts=min(far_starts, 16), seed=seed, linear=linear)
    except NoOptimum:
        return ()


def _thresholds(rule: Rule, beta: float | None, range: tuple[float, float] | None) -> dict:
    intervals = critical(rule, "beta", range)
    above = intervals.value if intervals.value != intervals.range[1] else None
    found = {"beta_intervals": intervals, "stable_above": above}
    if beta is None:
        return found
    smallest_unstable = critical(rule, "lam").value
    found["stable_share"] = 1.0 if smallest_unstable is None else smallest_unstable
    if above is not None:
        found["margin"] = beta / above
    return found


def _posterior(rule: Rule, range: tuple[float, float] | None) -> Posterior:
    found = critical(rule, "beta", range, samples=80)
    values = [intervals.value for intervals in found if intervals.value is not None]
    band = None
    if values:
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
        band = (float(low), float(median), float(high))
    return Posterior(len(found), len(values) / len(found), band)
