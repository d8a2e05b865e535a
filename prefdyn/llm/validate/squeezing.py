"""Experiment: unlikely answers are rejected, and the greedy continuation gains what is lost."""

from typing import Any

import numpy as np
import torch

from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._forward import log_probs, token_log_probs
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.sampling import continuations, greedy
from prefdyn.llm.training._fit import train_on
from prefdyn.llm.validate._draws import fresh, next_log_probs, open_prompts, rate_for
from prefdyn.llm.validate._squeezing_view import ROLES, draw, records

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "Squeezing: who gains what an unlikely rejected answer loses"
CAPTION = """
Prompts, greedy continuations, probes (sampled) and chosen answers come from the model itself, the
prompts among those that leave most open what comes next; rejected answers were written to another
prompt (off-policy), or to the same one (control); gradient descent. a: mean change of
log-probability over DPO training with off-policy rejected answers, predicted from one measurement
of the untrained model (lines), measured (dots); the axis is linear within 0.1 nat of 0, logarithmic
beyond. b: the same at the end, for every prompt and kind of training, predicted (x) and measured
(y); "down alone" lowers the off-policy answer and raises none. c: one small step that lowers the
off-policy answer alone: change of the log-probability of the likeliest next tokens after the
prompt, and of the answer's own first, against their probability.
"""
CLAIMS = ("SQZ-1", "SQZ-2", "SQZ-3", "SQZ-5", "KER-1")

ARMS = {
    "DPO, off-policy": ("dpo", "foreign", 1.0, 10.0),
    "DPO, control": ("dpo", "own", 1.0, 3.0),
    "down alone, off-policy": ("sft", "foreign", -1.0, 10.0),
}
"""Objective, rejected answer, weight (with -1, likelihood training pushes down), and target.

The target, in nats, is how far the fastest answer moves, to first order, and sets the rate; an
unlikely answer has to fall far before others notice.
"""
LENGTH = 8
NEXT = 10
"""Next tokens that are watched after a prompt."""
SIZES = {"quick": (4, 8), "default": (10, 16)}
"""Prompts, and steps of a run."""
SMALL = 0.1
"""The target of a single small step against an answer, and what the next tokens do."""


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw prompts and answers, and predict every run from the untrained model's geometry."""
    number, steps = SIZES[size]
    prompts = open_prompts(lm, number, LENGTH, seed)
    own = [
        continuations(lm.model, lm.tokenizer, prompt, len(ROLES) - 1, length=LENGTH, seed=seed)
        for prompt in prompts
    ]
    cases = []
    for i, prompt in enumerate(prompts):
        foreign = _foreign(own[i].tokens, own[(i + 1) % number].tokens)
        cases.append(_predict_case(lm, prompt, (*own[i].tokens, foreign), steps))
    return {"steps": steps, "cases": cases}


def _foreign(own: tuple[Tokens, ...], others: tuple[Tokens, ...]) -> Tokens:
    """An answer to another prompt that is not among one's own; the last one drawn, if possible."""
    return next((tokens for tokens in others[::-1] if tokens not in own), others[-1][::-1])


def _predict_case(
    lm: LanguageModel, prompt: Tokens, answers: tuple[Tokens, ...], steps: int
) -> dict[str, Any]:
    """Runs of one prompt; ``answers`` in the order of `ROLES`."""
    likely = [int(token) for token in np.argsort(-next_log_probs(lm.model, prompt))[:NEXT]]
    first = answers[ROLES.index("foreign")][0]
    watched = list(dict.fromkeys([*likely, first]))
    rows = Responses((prompt,) * len(answers), answers)
    geometry = response_geometry(lm.model, lm.tokenizer, None, rows)
    against = (answers[ROLES.index("foreign")], *((token,) for token in watched))
    tokens = Responses((prompt,) * len(against), against)
    return {
        "prompt": lm.tokenizer.decode(prompt, skip_special_tokens=True),
        "prompt_tokens": prompt,
        "answers": answers,
        "texts": [lm.tokenizer.decode(answer) for answer in answers],
        "log_probs": geometry.log_probs,
        "runs": {arm: _predict_run(geometry, arm, steps) for arm in ARMS},
        "next": _predict_next(response_geometry(lm.model, lm.tokenizer, None, tokens), first),
    }


def _predict_run(geometry: Geometry, arm: str, steps: int) -> dict[str, Any]:
    objective, weights, pair = _training(arm)
    rate = rate_for(geometry, objective, pair, ARMS[arm][-1], steps, weights=weights)
    run = predict_training(geometry, objective, pair, rate, steps, weights=weights)
    return {"rate": rate, "change": run.change}


def _training(arm: str) -> tuple[str, list[float], list[tuple[int, int]]]:
    """Objective, weights and pairs of an arm."""
    objective, rejected, weight, _ = ARMS[arm]
    chosen, against = ROLES.index("chosen"), ROLES.index(rejected)
    # What likelihood training raises is the first of a pair; with a negative weight it lowers it.
    return objective, [weight], [(chosen, against) if weight > 0 else (against, chosen)]


def _predict_next(geometry: Geometry, first: int) -> dict[str, Any]:
    """One small step against response 0: what the next tokens, the other responses, do."""
    step = (geometry, "sft", [(0, 1)])  # the second of the pair plays no part in it
    rate = rate_for(*step, SMALL, 1, weights=[-1.0])
    return {
        "tokens": [row[0] for row in geometry.responses.tokens[1:]],
        "first": first,
        "log_probs": geometry.log_probs[1:],
        "rate": rate,
        "change": predict_training(*step, rate, 1, weights=[-1.0]).change[-1, 1:],
    }


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train a copy of the model for every prompt and arm."""
    steps = predicted["steps"]
    return {
        "cases": [
            {
                "runs": {
                    arm: _measure_run(lm, case, arm, run["rate"], steps)
                    for arm, run in case["runs"].items()
                },
                "next": _measure_next(lm, case),
            }
            for case in predicted["cases"]
        ]
    }


def _measure_run(
    lm: LanguageModel, case: dict[str, Any], arm: str, rate: float, steps: int
) -> dict[str, Any]:
    model, prompt = fresh(lm), tuple(case["prompt_tokens"])
    answers = tuple(tuple(answer) for answer in case["answers"])
    objective, weights, pair = _training(arm)
    path = train_on(model, _loss(model, objective, prompt, answers, pair, weights), rate, steps)
    with torch.no_grad():
        end = greedy(model, lm.tokenizer, prompt, LENGTH)
        start = Responses((prompt,), answers[:1])
        likeliest = [float(log_probs(m, r)[0]) for m, r in ((lm.model, start), (model, end))]
    return {"change": path.change, "losses": path.losses, "likeliest": likeliest}


def _measure_next(lm: LanguageModel, case: dict[str, Any]) -> dict[str, Any]:
    model, prompt, step = fresh(lm), tuple(case["prompt_tokens"]), case["next"]
    answers = (tuple(case["answers"][-1]), tuple(case["answers"][0]))
    before = next_log_probs(model, prompt)
    train_on(model, _loss(model, "sft", prompt, answers, [(0, 1)], [-1.0]), step["rate"], 1)
    after = next_log_probs(model, prompt)
    others = np.setdiff1d(np.arange(len(before)), [step["first"]])
    best = int(others[before[others].argmax()])
    return {
        "change": (after - before)[step["tokens"]],
        # In logistic regression token i rises, to first order, if p_i > sum_j p_j^2 - p_y (SQZ-3).
        "bar": float(np.exp(2 * before).sum() - np.exp(before[step["first"]])),
        "best_rises": bool(after[best] > before[best]),
        "risen": float(np.mean(after[others] > before[others])),
    }


def _loss(model, objective, prompt, answers, pairs, weights) -> PairLoss:
    responses = Responses((prompt,) * len(answers), answers)
    with torch.no_grad():
        reference = token_log_probs(model, responses)
    return PairLoss(objective, responses, pairs, reference, weights)
