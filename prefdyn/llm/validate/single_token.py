"""Experiment: one token preferred over another, and where the probability goes."""

from typing import Any

import numpy as np
import torch
from torch import nn

from prefdyn import objectives
from prefdyn.llm._encoding import Responses, Tokens, prompt_ids
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.llm.head._head import Head
from prefdyn.llm.little import grammar
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.training._fit import train_on
from prefdyn.llm.validate._draws import fresh, next_log_probs, open_prompts, rate_for
from prefdyn.llm.validate._single_token_view import draw, records

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "One token over another: does the preferred one fall?"
CAPTION = """
Single tokens preferred over others after prompts, one pair at a time, each at a rate that is
predicted to move the fastest token by about a nat: pairs of published tables, pairs whose preferred
token is least predicted to rise, and controls where it is most; gradient descent unless RMSprop is
named. a: change of its log-probability, measured (dots) against predicted from one measurement of
the untrained model's gradients (line), for every pair and objective. b: pairs whose preferred token
falls, predicted (bars), and falls while the loss falls, measured (dots); below, how many were
tried. c: of all pairs under DPO the one whose preferred token falls most, or rises least: change of
the probability of the tokens that move most, predicted (bars) and measured (dots).
"""
CLAIMS = ("DISP-1", "DISP-2", "DISP-3", "DISP-4", "KER-1", "KER-7")

ARMS = {
    "DPO": ("dpo", "sgd", "all"),
    "IPO": ("ipo", "sgd", "all"),
    "SimPO": ("simpo", "sgd", "all"),
    "SPO": ("spo", "sgd", "all"),
    "SLIME": ("slime", "sgd", "all"),
    "DPO, head frozen": ("dpo", "sgd", "below the head"),
    "DPO, RMSprop": ("dpo", "rmsprop", "all"),
}
"""Objective, at its defaults, optimiser and trained parameters of each run."""
NAMED = (("No", "Never"), ("Yes", "No"), ("Sure", "Yes"))
"""Pairs of the published tables (arXiv 2410.08847): preferred, then rejected."""
WATCHED = 24
SIZES = {"quick": (2, 6, 1), "default": (4, 12, 2)}
"""Prompts, steps of a run, and pairs per prompt at either end of the predictions."""
TARGET = 1.0
"""Nats that the fastest watched token moves by, to first order; it sets the rate."""


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw prompts and pairs, and predict every run from the untrained model's geometry."""
    number, steps, extremes = SIZES[size]
    words = answer_words(lm.tokenizer)
    prompts = questions(lm, number, seed) if words else open_prompts(lm, number, 8, seed)
    cases = [_predict_case(lm, prompt, words, steps, extremes) for prompt in prompts]
    return {"steps": steps, "words": words, "cases": cases}


def answer_words(tokenizer: Any) -> dict[str, int]:
    """The grammar's answers that are single tokens; none unless those of `NAMED` are."""
    words = dict.fromkeys(word for family in grammar.ANSWERS.values() for word in family)
    ids = {word: tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words}
    single = {word: int(tokens[0]) for word, tokens in ids.items() if len(tokens) == 1}
    unknown = getattr(tokenizer, "unk_token_id", None)
    known = {word: token for word, token in single.items() if token != unknown}
    return known if all(word in known for pair in NAMED for word in pair) else {}


def questions(lm: LanguageModel, number: int, seed: int) -> list[Tokens]:
    """Different questions of the grammar that end where the answer begins."""
    rng = np.random.default_rng(seed)
    words = {word for family in grammar.ANSWERS.values() for word in family}
    asked: dict[str, None] = {}
    while len(asked) < number:
        question, answer = grammar.question(rng)
        if answer in words:
            asked[question] = None
    return [prompt_ids(lm.tokenizer, f"Q: {question}\nA:") for question in asked]


def _predict_case(
    lm: LanguageModel, prompt: Tokens, words: dict[str, int], steps: int, extremes: int
) -> dict[str, Any]:
    """Watched tokens of a prompt, their geometry, the pairs and the predicted runs."""
    top = np.argsort(-next_log_probs(lm.model, prompt))[:WATCHED].tolist()
    watched = list(dict.fromkeys([*words.values(), *top]))[: max(WATCHED, len(words))]
    rows = _single(prompt, watched)
    geometries = {
        "all": response_geometry(lm.model, lm.tokenizer, None, rows),
        "below the head": response_geometry(
            lm.model, lm.tokenizer, None, rows, parameters=below_head(lm.model)
        ),
    }
    named = [(watched.index(words[a]), watched.index(words[b])) for a, b in NAMED if words]
    pairs = drawn_pairs(geometries["all"], named, extremes)
    return {
        "prompt": lm.tokenizer.decode(prompt, skip_special_tokens=True),
        "prompt_tokens": prompt,
        "tokens": watched,
        "texts": [token_text(lm.tokenizer, token) for token in watched],
        "log_probs": geometries["all"].log_probs,
        "pairs": [
            # RMSprop is simulated on all parameters, which is slow: the first pairs only.
            _predict_pair(lm, geometries, pair, steps, rmsprop=number <= extremes)
            for number, pair in enumerate(pairs)
        ],
    }


def token_text(tokenizer: Any, token: int) -> str:
    """A token as a reader knows it; its number where it is only space."""
    return tokenizer.decode([token]).strip() or f"token {token}"


def below_head(model: Any) -> list[str]:
    """Names of all parameters but those of the head, and of the embedding if it is tied to it."""
    head = {id(parameter) for parameter in model.get_output_embeddings().parameters()}
    return [name for name, parameter in model.named_parameters() if id(parameter) not in head]


def drawn_pairs(
    geometry: Geometry, named: list[tuple[int, int]], extremes: int
) -> list[tuple[int, int, str]]:
    """Pairs and why they were drawn: those predicted to displace most, named ones, controls.

    With equal pushes the preferred token's log-probability moves at a rate proportional to
    ``K_ww - K_wl`` (claim KER-2).  Preferred tokens are likely enough to have mass to lose.
    """
    K = geometry.gram
    likely = np.flatnonzero(geometry.log_probs > np.log(0.01))
    rates = sorted(
        (1 - K[w, other] / K[w, w], int(w), other)
        for w in likely
        for other in range(len(K))
        if w != other
    )
    drawn = [(w, other, "least predicted to rise") for _, w, other in rates[:extremes]]
    drawn += [(*pair, "named") for pair in named]
    drawn += [(w, other, "most predicted to rise") for _, w, other in rates[::-1][:extremes]]
    return list({pair[:2]: pair for pair in reversed(drawn)}.values())[::-1]


def _predict_pair(
    lm: LanguageModel,
    geometries: dict[str, Geometry],
    pair: tuple[int, int, str],
    steps: int,
    *,
    rmsprop: bool,
) -> dict[str, Any]:
    chosen, rejected, why = pair
    runs = {}
    for arm, (objective, optimiser, parameters) in ARMS.items():
        geometry = geometries[parameters]
        if optimiser != "sgd" and (not rmsprop or geometry.gradients is None):
            continue
        arguments = (geometry, objective, [(chosen, rejected)])
        rate = rate_for(*arguments, TARGET, steps, optimiser=optimiser)
        run = predict_training(*arguments, rate, steps, optimiser=optimiser)
        runs[arm] = {"rate": rate, "change": run.change[-1]}
    return {
        "chosen": chosen,
        "rejected": rejected,
        "why": why,
        "runs": runs,
        "one_layer": _one_layer(lm, geometries["all"], chosen, rejected),
    }


def _one_layer(lm: LanguageModel, geometry: Geometry, w: int, other: int) -> dict[str, Any]:
    """What the theory of one layer says: alignment of unembeddings, and the head trained alone.

    ``<W_z, W_w - W_l>`` orders the gains of the other tokens (claim DISP-3); with the hidden state
    fixed the preferred token rises at ``c (1 - p_w + p_l) |h|^2`` (claim DISP-4, kappa_h = 0).
    """
    head = Head.of(lm.model)
    rows = head.weight.detach()[[tokens[0] for tokens in geometry.responses.tokens]].double()
    p_w, p_l = np.exp(geometry.log_probs[[w, other]])
    square = float((geometry.hidden[w].astype(float) ** 2).sum()) * head.scale**2
    push = objectives.get("dpo").beta / 2
    return {
        "alignment": (rows @ (rows[w] - rows[other])).tolist(),
        "rate": 1 / (push * square),
        "chosen_rises_by": 1 - p_w + p_l,
    }


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train a copy of the model for every pair and objective."""
    steps = predicted["steps"]
    return {
        "cases": [
            [
                {
                    "runs": {
                        name: _measure_run(lm, case, pair, name, run["rate"], steps)
                        for name, run in pair["runs"].items()
                    },
                    "head_alone": _head_alone(lm, case, pair),
                }
                for pair in case["pairs"]
            ]
            for case in predicted["cases"]
        ]
    }


def _measure_run(
    lm: LanguageModel,
    case: dict[str, Any],
    pair: dict[str, Any],
    name: str,
    rate: float,
    steps: int,
) -> dict[str, Any]:
    model, (objective, optimiser, parameters) = fresh(lm), ARMS[name]
    if parameters == "below the head":
        model.get_output_embeddings().requires_grad_(False)
    prompt, tokens = tuple(case["prompt_tokens"]), case["tokens"]
    ends = [tokens[pair["chosen"]], tokens[pair["rejected"]]]
    responses = _single(prompt, ends)
    start = next_log_probs(model, prompt)
    loss = PairLoss(objective, responses, [(0, 1)], torch.tensor(start[ends])[:, None])
    path = train_on(model, loss, rate, steps, optimiser=optimiser, every=steps)
    end = next_log_probs(model, prompt)
    gains = np.exp(end) - np.exp(start)
    best = np.argsort(-gains)[:3]
    return {
        "change": (end - start)[tokens],
        "loss": path.losses[[0, -1]],
        "gainers": best,
        "gainer_texts": [token_text(lm.tokenizer, int(token)) for token in best],
        "gains": gains[best],
    }


def _head_alone(lm: LanguageModel, case: dict[str, Any], pair: dict[str, Any]) -> float:
    """One small step on the head, cut loose from the embedding: change of the preferred token.

    A hundredth of the rate that moves the pair's logits by one, and the change times a hundred;
    in double precision, since hardly anything is left to gain by a token that is almost certain.
    """
    model, prompt = fresh(lm).double(), tuple(case["prompt_tokens"])
    head = model.get_output_embeddings()
    model.requires_grad_(False)
    head.weight = nn.Parameter(head.weight.detach().clone())
    ends = [case["tokens"][pair[side]] for side in ("chosen", "rejected")]
    start = next_log_probs(model, prompt)
    loss = PairLoss("dpo", _single(prompt, ends), [(0, 1)], torch.tensor(start[ends])[:, None])
    train_on(model, loss, pair["one_layer"]["rate"] / 100, 1)
    return float(100 * (next_log_probs(model, prompt) - start)[ends[0]])


def _single(prompt: Tokens, tokens: list[int]) -> Responses:
    return Responses((prompt,) * len(tokens), tuple((token,) for token in tokens))
