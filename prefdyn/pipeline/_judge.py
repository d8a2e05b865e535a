"""Verdicts on a translated pipeline: on one game, and on every game there is."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._advice import advise, recipe
from prefdyn._errors import InputError, NoOptimum
from prefdyn._stability import critical, fixed_point, last_iterate, stability, verdict
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.pipeline import _words
from prefdyn.pipeline._objective import DRIVEN
from prefdyn.pipeline._translate import Translation
from prefdyn.pipeline.moving_reference import least_kappa, speed, strength
from prefdyn.policies.softmax import entropy
from prefdyn.rules import Inexact, Rule


@dataclass(frozen=True)
class Outlook:
    """What a pipeline does on a game.

    Attributes
    ----------
    word : str
        A word of `prefdyn.Verdict`; ``"locally stable"`` where no far starts were tried;
        ``"converges"`` (one round, or a sampler that never moves), ``"drifts"``, ``"collapses"``,
        ``"cycles outward"`` or ``"stays on ties"`` (alpha = 1); ``"not known"``.
    spectral_radius : float or None
        Per round, at the fixed point.
    largest_kappa : float or None
        Rounds that go less than this fraction of the way are locally stable: their multipliers are
        ``1 + kappa (x - 1)`` (RND-2).  Above 1 every round is; None where that is not the question.
    stable_above : float or None
        Beta from which on the recipe is locally stable.
    policy : numpy.ndarray or None
        (K,) where it settles, or ends.
    sentences : tuple of str
        All of it in words.
    """

    word: str
    spectral_radius: float | None = None
    largest_kappa: float | None = None
    stable_above: float | None = None
    policy: np.ndarray | None = None
    sentences: tuple[str, ...] = ()


def judge(
    translation: Translation,
    game: PreferenceMatrix,
    *,
    far_starts: int = 64,
    seed: int = 0,
) -> Outlook:
    """What a translated pipeline does on a game.

    Parameters
    ----------
    translation
        From `translate`.
    game
        One game.
    far_starts
        Starts far from the fixed point that must come home before a recipe passes; 0 for the linear
        analysis alone, which objectives other than IPO and DPO always have.
    seed
        Seed of the random ones.

    Raises
    ------
    InputError
        For a batch of games, or where beta waits for the length of a response.
    """
    if game.batch_shape:
        raise InputError(f"game is a batch of shape {game.batch_shape}: give one game.")
    if translation.needs_tokens:
        translation.rule(game)  # says what is missing
    loss = translation.on_table
    if not isinstance(loss, str) and (stats := loss.initial_stats()):
        told = f"{loss.id} needs statistics of its batches ({', '.join(stats)})"
        return Outlook("not known", sentences=(f"No verdict: {told}, which games do not have.",))
    if translation.on_table not in DRIVEN:
        far_starts = 0  # a general round is a Newton solve: hundreds of them take minutes
    try:
        if translation.kind == "one round":
            return _one_round(translation, game)
        if translation.kind == "drift":
            return _drift(translation, game)
        if translation.kind == "tracking":
            return _tracking(translation, game, far_starts, seed)
        if translation.alpha == 1:
            return _without_anchor(translation, game, 1.0)
        return _rounds(translation, game, far_starts, seed)
    except NoOptimum as error:
        return Outlook("not known", sentences=(f"No verdict: {error}",))
    except InputError as error:
        if translation.on_table in DRIVEN:
            raise
        return Outlook("not known", sentences=(f"No verdict: {error}",))


def everywhere(translation: Translation) -> tuple[str, ...]:
    """What can be said for every game, whatever its preferences and its number of responses."""
    return tuple(_words.everywhere(translation))


def largest_kappa(multipliers: Any) -> float:
    """Fraction of a round below which it is stable: ``|1 + kappa (x - 1)| < 1`` for all x.

    That is ``kappa < 2 (1 - Re x)/|1 - x|^2``; 0 where a multiplier has a real part of 1 or more.
    """
    away: Any = 1 - np.asarray(multipliers, complex)
    away = away[np.abs(away) > 0]
    if not away.size:
        return 0.0
    return float(np.maximum(2 * away.real / np.abs(away) ** 2, 0).min())


def _rounds(made: Translation, game: PreferenceMatrix, far_starts: int, seed: int) -> Outlook:
    exact, rule = made.rule(game, exact=True), made.rule(game)
    at_rest = stability(exact)
    limit, whole = largest_kappa(at_rest.multipliers), made.kappa in (None, 1.0)
    if made.on_table in DRIVEN and made.mixture is None and whole and far_starts:
        found = advise(
            game,
            str(made.on_table),
            alpha=made.alpha,
            lam=made.lam,
            beta=made.beta,
            far_starts=far_starts,
            seed=seed,
        )
        word, above = found.verdict.word if found.verdict else "", found.stable_above
        sentences = found.sentences
    else:
        word, sentences = _word(rule, far_starts, seed)
        above = _stable_above(made, game) if word == "unstable" else None
    radius = float(stability(rule, at_rest.point).spectral_radius)
    sentences = (
        *sentences,
        *_words.of_kappa(made, limit, float(at_rest.spectral_radius), above),
        *_words.in_so_many_rounds(made, radius),
    )
    return Outlook(word, radius, limit, above, at_rest.point.policy, sentences)


def _word(rule: Rule, far_starts: int, seed: int) -> tuple[str, tuple[str, ...]]:
    if far_starts:
        found = verdict(rule, far_starts, seed)
        linear, word = found.stability, found.word
    else:
        linear = stability(rule)
        word = "unstable" if linear.spectral_radius >= 1 else "locally stable"
    return word, tuple(_words.judged(word, linear))


def _stable_above(made: Translation, game: PreferenceMatrix) -> float | None:
    """Beta above which all are stable, by the exact rounds that fractions of rounds are (RND-1)."""
    if made.on_table not in DRIVEN or made.mixture is not None:
        return None
    kappa = made.kappa or 1.0
    rule: Any = recipe(game, str(made.on_table), 1.0, 1 - kappa * (1 - made.alpha), made.lam)
    found = critical(rule, "beta").value
    return None if found is None else kappa * float(found)


def _one_round(made: Translation, game: PreferenceMatrix) -> Outlook:
    rule = made.rule(game, exact=True)
    optimum = fixed_point(rule)
    policy, spread = optimum.policy, float(entropy(optimum.log_policy))
    if made.kappa is not None and made.kappa < 1:
        part = Inexact(rule, made.kappa)
        log_policy = part.log_policy(part.step(part.init_log(rule.log_ref), 0, None))  # pyright: ignore
        policy, spread = np.exp(log_policy), float(entropy(log_policy))
    return Outlook(
        "converges", policy=policy, sentences=tuple(_words.one_round(made, game, policy, spread))
    )


def _drift(made: Translation, game: PreferenceMatrix) -> Outlook:
    if made.on_table not in DRIVEN:
        raise InputError(
            f"the drift of a moving reference is known for ipo and dpo, not for "
            f"{made.objective.id}."
        )
    mixing, kappa = made.mixing or 0.0, made.kappa or 1.0
    if made.periods is None:
        return _without_anchor(made, game, speed(mixing, kappa))
    moved = strength(mixing, kappa, made.periods)
    end = fixed_point(recipe(game, str(made.on_table), (made.beta or 0.0) / moved, 0.0, 0.0))
    sentences = _words.drifted(made, game, moved, end.policy, float(entropy(end.log_policy)))
    return Outlook("drifts", policy=end.policy, sentences=tuple(sentences))


def _tracking(made: Translation, game: PreferenceMatrix, far_starts: int, seed: int) -> Outlook:
    mixing, kappa = made.mixing or 0.0, made.kappa or 1.0
    slow = _without_anchor(made, game, speed(mixing, kappa)) if made.on_table in DRIVEN else None
    if slow is not None and slow.word == "collapses":
        return slow
    rule = made.rule(game)
    word, sentences = _word(rule, far_starts, seed)
    at_rest = stability(rule)
    return Outlook(
        word,
        float(at_rest.spectral_radius),
        policy=at_rest.point.policy,
        sentences=(*sentences, *_words.lagging(mixing, made.kappa, least_kappa(mixing))),
    )


def _without_anchor(made: Translation, game: PreferenceMatrix, pace: float) -> Outlook:
    """Rounds at alpha = 1, of which one goes `pace` of the way that a full one does."""
    if made.on_table not in DRIVEN:
        raise InputError(
            f"rounds without an anchor are analysed for ipo and dpo, not for {made.objective.id}."
        )
    beta = (made.beta or 0.0) / pace / ((made.kappa or 1.0) if made.kind == "rounds" else 1.0)
    found = last_iterate(recipe(game, str(made.on_table), beta, 1.0, made.lam))  # pyright: ignore
    word = {"collapse": "collapses", "cycling": "cycles outward", "tie": "stays on ties"}[
        found.kind
    ]
    growth = found.growth_per_round
    return Outlook(
        word,
        None if growth is None else float(growth),
        sentences=tuple(_words.without_anchor(made, game, found)),
    )
