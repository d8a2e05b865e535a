"""Experiment: which pairs will push their chosen response down, and who knows beforehand."""

from typing import Any

import numpy as np

from prefdyn import DPO, InputError
from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.sampling import continuations
from prefdyn.llm.training._fit import train_on
from prefdyn.llm.validate._draws import fresh, own_prompts, rate_for
from prefdyn.llm.validate._rankings_view import draw, records

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "Who foretells a falling chosen response? Scores of pairs against measured displacement"
CAPTION = """
DPO, beta = 0.1 (the pull to the reference), 10 steps of gradient descent at one rate, each pair by
itself; responses are continuations that the model wrote, half of them to other prompts than they
answer here; in a third of the pairs the rejected response begins as the chosen one does. a, b: rank
correlation (Spearman) of each score with the measured fall of the chosen log-probability, with
bootstrap intervals of 95 % over pairs; pairs of any two lengths, and of equal lengths, where the
difference of lengths says nothing. The kernel prediction is made before training from the gradients
of the untrained model: the rate of the first step, and the whole run. c, d: its predicted change of
the chosen log-probability against the measured one (dots); on the line they agree, below the grey
line the chosen response falls. Axes are linear within 0.1 nat of 0, logarithmic beyond.
"""
CLAIMS = ("DISP-9", "DISP-10", "KER-5", "KER-6")

OBJECTIVE = DPO(0.1)
STEPS = 10
PROMPT, SHORTEST, LONGEST = 6, 2, 8
ARMS = ("free", "equal")
SHARED = 1 / 3
"""Share of the pairs whose rejected response begins as the chosen one does."""
TARGET = 2.0
"""Nats that some response of the median pair moves by, to first order; it sets the rate."""
WRITTEN = 20
"""Different responses to each prompt, of which pairs take beginnings."""
SIZES = {"quick": (4, 10), "default": (10, 25)}
"""Prompts, and pairs of each in either arm."""


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw pairs, score them, and predict what training on each of them does."""
    number, each = SIZES[size]
    rng = np.random.default_rng(seed)
    prompts, written, closed = _written(lm, number, seed)
    drawn = [
        [_pair(rng, written, number, arm) for arm in ARMS for _ in range(each)]
        for number in range(len(prompts))
    ]
    geometries = [
        response_geometry(lm.model, None, None, _responses(prompt, pairs))
        for prompt, pairs in zip(prompts, drawn, strict=True)
    ]
    rates = [
        rate_for(geometry, OBJECTIVE, [(2 * k, 2 * k + 1)], TARGET / STEPS, 1)
        for geometry in geometries
        for k in range(len(ARMS) * each)
    ]
    rate = float(np.median(rates))
    pairs = [
        {
            "arm": ARMS[k // each],
            "prompt": list(prompt),
            "responses": [list(tokens) for tokens in pair],
            **_foretold(geometry, 2 * k, 2 * k + 1, rate),
        }
        for prompt, geometry, many in zip(prompts, geometries, drawn, strict=True)
        for k, pair in enumerate(many)
    ]
    return {"steps": STEPS, "rate": rate, "closed": closed, "pairs": pairs}


def _written(
    lm: LanguageModel, number: int, seed: int
) -> tuple[list[Tokens], list[tuple[Tokens, ...]], list[str]]:
    """Prompts, the responses written to each, and the prompts to which too few were."""
    found: dict[Tokens, tuple[Tokens, ...]] = {}
    closed = []
    for prompt in own_prompts(lm, 2 * number, PROMPT, seed):
        if len(found) == number:
            break
        settings = {"length": LONGEST, "seed": seed, "greedy_first": False}
        try:
            found[prompt] = continuations(
                lm.model, lm.tokenizer, prompt, WRITTEN, **settings
            ).tokens
        except InputError:
            closed.append(lm.tokenizer.decode(prompt))
    if len(found) < 2:
        raise InputError(
            f"The model writes {WRITTEN} different responses to {len(found)} of its own prompts "
            "only, and pairs need two: it is too sure of itself for this experiment."
        )
    return list(found), list(found.values()), closed


def _pair(
    rng: np.random.Generator, written: list[tuple[Tokens, ...]], prompt: int, arm: str
) -> tuple[Tokens, Tokens]:
    """Two different responses to one prompt, each written to it or to another one."""
    others = [number for number in range(len(written)) if number != prompt]
    while True:
        lengths = rng.integers(SHORTEST, LONGEST + 1, 2)
        sources = [prompt if rng.random() < 0.5 else rng.choice(others) for _ in range(2)]
        one, two = (written[source][rng.integers(len(written[source]))] for source in sources)
        if arm == "equal":
            lengths[:] = min(lengths[0], len(one), len(two))
        if rng.random() < SHARED:
            common = int(rng.integers(1, SHORTEST + 1))
            two = one[:common] + two[common:]
        chosen, rejected = one[: lengths[0]], two[: lengths[1]]
        if chosen != rejected:
            return chosen, rejected


def _responses(prompt: Tokens, pairs: list[tuple[Tokens, Tokens]]) -> Responses:
    """Chosen and rejected, pair after pair."""
    flat = tuple(tokens for pair in pairs for tokens in pair)
    return Responses((tuple(prompt),) * len(flat), flat)


def _foretold(geometry: Geometry, chosen: int, rejected: int, rate: float) -> dict[str, Any]:
    """Scores of a pair, and the predicted change of its chosen response."""
    run = predict_training(geometry, OBJECTIVE, [(chosen, rejected)], rate, STEPS)
    changes = {"first": run.change[1, chosen], "run": run.change[-1, chosen]}
    return {
        "scores": geometry.scores(chosen, rejected),
        "changes": {name: float(value) for name, value in changes.items()},
    }


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train a copy of the model on each pair; how far its chosen and rejected response moved."""
    changes = []
    for pair in predicted["pairs"]:
        one, two = (tuple(tokens) for tokens in pair["responses"])
        responses = _responses(tuple(pair["prompt"]), [(one, two)])
        model = fresh(lm)
        start = train_on(model, _loss(responses, np.zeros(responses.mask.shape)), 1.0, 0)
        loss = _loss(responses, start.token_log_probs[0])
        path = train_on(model, loss, predicted["rate"], predicted["steps"], every=STEPS)
        changes.append(path.change[-1].tolist())
    return {"changes": changes}


def _loss(responses: Responses, reference: np.ndarray) -> PairLoss:
    return PairLoss(OBJECTIVE, responses, [(0, 1)], reference)
