"""Rounds of preference optimisation on a language model: what `prefdyn.orbit` is for a table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn._inputs import count
from prefdyn.games import PreferenceMatrix
from prefdyn.llm._parameters import Selection
from prefdyn.llm.rounds._ballots import Polling, Votes
from prefdyn.llm.rounds._candidates import gather, is_several
from prefdyn.llm.rounds._inner import Inner
from prefdyn.llm.rounds._plan import LanguageModelOrbit as LanguageModelOrbit
from prefdyn.llm.rounds._plan import RoundPlan, checked_game
from prefdyn.llm.sampling import continuations

Judge = Callable[[str, str, str], float | bool]
"""``judge(prompt, one, other)``: whether one is preferred, or with which probability."""


def mrs_rounds(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    responses: Any,
    game: Any,
    *,
    beta: float | None,
    alpha: float,
    lam: float,
    rounds: int,
    objective: Any = "ipo",
    votes: int | None = None,
    reference: Any = None,
    offline: Any = None,
    inner: Inner | str | None = None,
    parameters: Selection = "all",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> LanguageModelOrbit:
    r"""Train a language model, in place, through rounds of iterated preference optimisation.

    In each round the reference is :math:`\propto\pi_t^\alpha\mathrm{ref}^{1-\alpha}` on the
    candidates, pairs come from :math:`\mu_t = \lambda\pi_t + (1-\lambda)\mu_0`, and the model is
    trained until the population loss of `prefdyn.rules.MRS` is minimal (arXiv 2602.12180).

    Parameters
    ----------
    model, tokenizer
        A causal language model, which is changed, and its tokenizer.
    prompt
        Text or token ids; or a list of prompts, which share the parameters.
    responses
        K candidates as texts or token ids; for several prompts a list of K for each.
    game
        Who beats whom: a `PreferenceMatrix`, an array (K, K) or (prompts, K, K), or a name or file
        as of `prefdyn.games.load`.
    beta
        Pull to the reference; None for an objective without one.
    alpha, lam
        Shares of the current policy in the next reference and the next sampler.
    rounds
        Rounds to train.
    objective
        An `Objective` or the id of one.
    votes
        Estimate the game in every round from this many votes per pair, the votes that
        ``orbit(FiniteSample(rule, votes), seed=seed)`` draws; None trains on the game itself.
    reference
        Fixed part of the reference: probabilities ([prompts,] K), or ``"uniform"``; by default the
        model's own policy at the start.
    offline
        Fixed part of the sampler: probabilities, or ``"initial"``, the policy at the start; uniform
        by default.
    inner
        How a round is trained, an `Inner` or the name of its optimiser.
    parameters
        Which parameters move: ``"all"``, ``"trainable"``, ``"head"``, names or patterns.
    seed
        Seed of the votes.
    checkpoint
        Folder that holds the last round's state.  A run that finds one there goes on from it, and
        ends on the same numbers on a CPU; call it with the model as it was before round 1.
    progress
        Show a progress bar; by default on a terminal, after two seconds.

    Raises
    ------
    InputError
        For responses that do not fit the game, or of which one is the beginning of another; for
        parameters outside their range; for a checkpoint of another run.
    NoOptimum
        If the objective has no optimum on this game, as DPO where a response always wins.
    """
    found = gather(model, tokenizer, prompt, responses)
    matrix = checked_game(game, found)
    poll = None if votes is None else Votes(matrix.P, votes, found, seed)
    settings = {"game": matrix.P.tolist(), "votes": votes, "seed": seed}
    plan = RoundPlan(objective, beta, alpha, lam, reference, offline, inner, parameters)
    run = plan.run(model, found, matrix, poll, rounds, settings, checkpoint, progress)
    return run if votes is None else replace(run, seed=seed)


def sampled_rounds(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    judge: Judge | None = None,
    *,
    reward: Callable[[str, str], float] | None = None,
    responses: Any = None,
    candidates: int = 4,
    length: int = 12,
    votes: int = 64,
    pool: bool = False,
    prior: float = 0.5,
    beta: float | None,
    alpha: float,
    lam: float,
    rounds: int,
    objective: Any = "ipo",
    reference: Any = None,
    offline: Any = None,
    inner: Inner | str | None = None,
    parameters: Selection = "all",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> LanguageModelOrbit:
    r"""Rounds in which nobody knows the game: the model writes, a judge votes, and P is estimated.

    The candidates are written by the model at the start.  In every round `votes` pairs per prompt
    are drawn from :math:`\mu_t`, both members independently; the judge is asked about each pair of
    different candidates, in the order in which they were drawn.  Win rates are the means of the
    posteriors ``Beta(wins + prior, losses + prior)``, their uncertainty is the posteriors' standard
    deviation, and the round is trained on them as `mrs_rounds` trains on a game.

    Parameters
    ----------
    model, tokenizer, prompt, beta, alpha, lam, rounds, objective, reference, offline
        As of `mrs_rounds`.
    inner, parameters, seed, checkpoint, progress
        As of `mrs_rounds`.
    judge
        ``judge(prompt, one, other)``, texts: whether one is preferred to other, or with which
        probability, from which the vote is drawn.
    reward
        Instead of a judge, ``reward(prompt, response)``: votes follow Bradley and Terry,
        ``P(one wins) = sigmoid(reward(one) - reward(other))``.
    responses
        Candidates, instead of the model's own.
    candidates, length
        How many it writes, and of how many tokens at most.
    votes
        Pairs drawn per prompt and round.
    pool
        Whether the votes of all rounds so far count, rather than those of the round.
    prior
        Pseudo-count, above 0.

    Raises
    ------
    InputError
        As of `mrs_rounds`; for both or neither of judge and reward, or a judge that answers with
        something else than a probability.
    """
    number = count(candidates, "candidates", least=2)
    if responses is None:
        prompts = list(prompt) if is_several(prompt) else [prompt]
        written = [
            continuations(
                model, tokenizer, one, number, length=length, seed=seed, greedy_first=False
            ).tokens
            for one in prompts
        ]
        responses = written if is_several(prompt) else written[0]
    found = gather(model, tokenizer, prompt, responses)
    poll = Polling(found, judge, reward, votes, pool, prior, seed)
    unknown = PreferenceMatrix(np.full((found.K, found.K), 0.5))
    settings = {"votes": votes, "pool": pool, "prior": prior, "seed": seed}
    plan = RoundPlan(objective, beta, alpha, lam, reference, offline, inner, parameters)
    run = plan.run(model, found, unknown, poll, rounds, settings, checkpoint, progress)
    assert run.counts is not None
    if not len(run.counts):
        return replace(run, seed=seed)
    together = PreferenceMatrix(poll.estimate(run.counts[0], run.counts.sum(0)).win_rates)
    return replace(run, seed=seed, rule=run.rule.replace(game=together))
