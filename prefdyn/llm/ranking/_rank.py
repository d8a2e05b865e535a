"""Which preference pairs will hurt: predicted before any training."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from prefdyn import objectives
from prefdyn._inputs import count
from prefdyn.displacement import scores
from prefdyn.displacement.diagnosis import Entanglement
from prefdyn.llm import sampling
from prefdyn.llm._encoding import Tokens
from prefdyn.llm._forward import context_of
from prefdyn.llm._parameters import Selection
from prefdyn.llm._usable import usable_pairs
from prefdyn.llm.data import paired_responses
from prefdyn.llm.geometry._forward_mode import Direction, gradient_products
from prefdyn.llm.geometry._next_token import next_token_rates
from prefdyn.llm.ranking._batch_effects import BatchEffects, batch_effects
from prefdyn.llm.ranking._pair_prediction import Gain, PairPrediction


class Push(NamedTuple):
    """One pair's effect on another: the rate of the other's chosen response."""

    pair: int
    by: int
    rate: float


@dataclass(frozen=True, eq=False)
class CrossEffects:
    """Which pairs of a batch push which; by `cross_effects`.

    Attributes
    ----------
    chosen, rejected : numpy.ndarray
        (B, B): entry [i, r] is what a step on pair r alone does to the chosen (rejected) response
        of pair i, in nats per unit of learning rate.
    """

    chosen: np.ndarray
    rejected: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """The same of ``log pi_w - log pi_l``, (B, B)."""
        return self.chosen - self.rejected

    @property
    def on_others(self) -> np.ndarray:
        """What each pair does to the chosen responses of the others, on average, (B,)."""
        B = len(self.chosen)
        return (self.chosen.sum(0) - np.diag(self.chosen)) / max(B - 1, 1)

    def worst(self, number: int = 5) -> tuple[Push, ...]:
        """The effects on other pairs' chosen responses that push these down most."""
        rates = np.where(np.eye(len(self.chosen), dtype=bool), np.inf, self.chosen)
        order = np.argsort(rates, axis=None, kind="stable")[: count(number, "number")]
        found = (tuple(map(int, np.unravel_index(at, rates.shape))) for at in order)
        return tuple(Push(i, r, float(rates[i, r])) for i, r in found if rates[i, r] < 0)


def cross_effects(
    model: Any,
    tokenizer: Any,
    pairs: Iterable[Any],
    objective: Any = "dpo",
    *,
    reference: Any = None,
    parameters: Selection = "all",
    method: str = "auto",
) -> CrossEffects:
    r"""How a step on each pair of a batch moves all pairs of the batch.

    .. math:: E_{ir} = d_w^r \langle g_{w_i}, g_{w_r}\rangle - d_l^r \langle g_{w_i}, g_{l_r}\rangle

    for the chosen responses, likewise for the rejected ones, whatever their prompts (claim KER-1).
    A step on the mean loss of the batch moves pair i at the mean of row i.

    All pairs are one batch.

    Parameters
    ----------
    model, tokenizer, pairs, objective, reference, parameters, method
        As of `rank_pairs`.

    Raises
    ------
    InputError
        As of `rank_pairs`, and for no pairs at all.
    """
    responses, _ = paired_responses(list(usable_pairs(model, tokenizer, pairs)))
    effects = batch_effects(
        model,
        responses,
        objectives.get(objective) if isinstance(objective, str) else objective,
        reference=reference,
        parameters=parameters,
        method=method,
    )
    return _cross(effects)


def _cross(effects: BatchEffects) -> CrossEffects:
    return CrossEffects(effects.of_pairs[0::2], effects.of_pairs[1::2])


def rank_pairs(
    model: Any,
    tokenizer: Any,
    pairs: Iterable[Any],
    objective: Any = "dpo",
    *,
    batch: int = 8,
    gains: int = 5,
    greedy: int = 0,
    reference: Any = None,
    parameters: Selection = "all",
    method: str = "auto",
) -> Iterator[PairPrediction]:
    r"""Predict what a step on each preference pair does, before any training.

    .. math:: \frac{d \log\pi_w}{d\,\text{step}}
              = d_w \langle g_w, g_w\rangle - d_l \langle g_w, g_l\rangle

    and likewise for the rejected response (claims KER-1, ENT-1), from one gradient per response.
    The pairs are read as they are wanted, a batch at a time.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer.
    pairs
        As of `usable_pairs`.
    objective
        An `Objective` or the id of one; statistics that it keeps are those of each batch.
    batch
        Pairs that are measured together; effects of pairs on each other stay within a batch.
    gains
        Next tokens to name for each pair; 0 spares a backward pass and one forward in forward
        mode, which on a small model are most of the time.
    greedy
        Tokens of the greedy continuation whose rate is predicted too, fewer where the context ends;
        0 for none.
    reference
        The model at which the objective's log-ratios are 0; by default `model` itself, as at the
        start of training.
    parameters, method
        As of `response_geometry`.

    Yields
    ------
    PairPrediction
        In the order of the pairs.

    Raises
    ------
    InputError
        As of `usable_pairs` and `response_geometry`.

    References
    ----------
    arXiv 2410.08847 (displacement, CHES) and 2410.13828 (gradient entanglement).
    """
    count(batch, "batch")
    count(gains, "gains", least=0)
    count(greedy, "greedy", least=0)
    if isinstance(objective, str):
        objective = objectives.get(objective)
    usable = usable_pairs(model, tokenizer, pairs)
    number = 0
    while found := list(islice(usable, batch)):
        effects = batch_effects(
            model,
            paired_responses(found)[0],
            objective,
            reference=reference,
            parameters=parameters,
            method=method,
        )
        lines = [pair.line for pair in found]
        for r, prediction in enumerate(_predictions(effects, lines, number)):
            more = _elsewhere(model, tokenizer, effects, r, gains, greedy)
            yield replace(prediction, **more)
        number += 1


def _common(one: Tokens, two: Tokens) -> int:
    """Number of tokens that two responses share at their beginning."""
    both = zip(one, two, strict=False)
    return next((t for t, (a, b) in enumerate(both) if a != b), min(len(one), len(two)))


def _predictions(effects: BatchEffects, lines: list[int], batch: int) -> Iterator[PairPrediction]:
    geometry, cross = effects.geometry, _cross(effects)
    responses, log_probs = geometry.responses, geometry.log_probs
    together = effects.of_pairs.mean(1)
    on_others = cross.on_others
    for r, line in enumerate(lines):
        w, v = 2 * r, 2 * r + 1
        hidden = geometry.hidden[w], geometry.hidden[v]
        chosen, rejected = responses.tokens[w], responses.tokens[v]
        others = np.delete(np.arange(len(lines)), r)
        worst = others[cross.chosen[r, others].argmin()] if len(others) else None
        yield PairPrediction(
            line=line,
            prompt_length=len(responses.prompt_tokens[w]),
            chosen_length=len(chosen),
            rejected_length=len(rejected),
            chosen_log_prob=float(log_probs[w]),
            rejected_log_prob=float(log_probs[v]),
            d_w=float(effects.pushes[w].sum() / len(chosen)),
            d_l=float(0.0 - effects.pushes[v].sum() / len(rejected)),
            chosen_rate=float(cross.chosen[r, r]),
            rejected_rate=float(cross.rejected[r, r]),
            entanglement=_entanglement(effects, w, v),
            ches=float(scores.ches(*hidden)),
            ln_ches=float(scores.length_normalised_ches(*hidden)),
            last_hidden=float(scores.last_hidden_similarity(*hidden)),
            edit_distance=scores.edit_distance_similarity(chosen, rejected),
            length_difference=float(scores.length_difference(len(chosen), len(rejected))),
            batch=batch,
            batch_chosen_rate=float(together[w]),
            batch_rejected_rate=float(together[v]),
            pushed_by=None if worst is None else lines[worst],
            pushed_rate=None if worst is None else float(cross.chosen[r, worst]),
            effect_on_others=None if worst is None else float(on_others[r]),
            parts_at=_common(chosen, rejected),
        )


def _elsewhere(
    model: Any, tokenizer: Any, effects: BatchEffects, pair: int, gains: int, greedy: int
) -> dict[str, Any]:
    """What a step on a pair does to responses that are not in it."""
    if not (gains or greedy):
        return {}
    direction, found = effects.direction(model, pair), {}
    prompt = effects.geometry.responses.prompt_tokens[2 * pair]
    if gains:
        chosen, rejected = effects.geometry.responses.tokens[2 * pair : 2 * pair + 2]
        context = prompt + chosen[: _common(chosen, rejected)]
        found["gains"] = _gains(model, tokenizer, context, direction, gains)
    if greedy:
        room = (context_of(model) or math.inf) - len(prompt)
        own = sampling.greedy(model, tokenizer, prompt, int(min(greedy, room)))
        found["greedy"] = tokenizer.decode(own.tokens[0])
        found["greedy_rate"] = float(gradient_products(model, own, direction)[0])
    return found


def _gains(
    model: Any, tokenizer: Any, context: Tokens, direction: Direction, number: int
) -> tuple[Gain, ...]:
    """Next tokens that gain most probability."""
    found = next_token_rates(model, [context], direction)
    gained = float(found.mass_rates.clip(min=0).sum())
    before = tokenizer.decode(context[-1:])
    return tuple(
        Gain(
            token=token,
            # Behind another token a word keeps the space before it.
            text=tokenizer.decode([context[-1], token])[len(before) :],
            probability=math.exp(log_prob),
            rate=rate,
            share=math.exp(log_prob) * rate / gained,
        )
        for token, rate, log_prob in found.gainers(0, number, by_mass=True)
    )


def _entanglement(effects: BatchEffects, w: int, v: int) -> Entanglement:
    gram, rates = effects.geometry.gram, effects.rates
    terms = (rates[w, w], 0.0 - rates[w, v], 0.0 - rates[v, v], rates[v, w])
    # chosen_own, chosen_overlap, rejected_own, rejected_overlap
    return Entanglement(*map(float, (gram[w, v], gram[w, w], gram[v, v], *terms)))
