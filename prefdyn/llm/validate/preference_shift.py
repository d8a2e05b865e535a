"""Experiment: pairs that share a long beginning, under DPO and under its cures."""

import copy
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._forward import token_log_probs
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.sampling import greedy
from prefdyn.llm.training._fit import train_on
from prefdyn.llm.validate._draws import fresh, next_log_probs, own_prompts
from prefdyn.llm.validate._shift_view import draw, records
from prefdyn.objectives import DPO, DPOP, SLIME, SPO, SimPO

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "Preference shift and its cures, on pairs that share a long beginning"
CAPTION = """
Two pairs for every prompt, all answers written by the model and alike up to one token: the pair
that is predicted to displace its chosen answer most, and one drawn from the others; prompts are
those of many where that prediction is largest. Each objective by gradient descent at a rate of its
own, its reference 1e-4 nat a token below the start. a: mean change of the log-probability of chosen
(y) against rejected (x) answers while training goes on, predicted from the untrained model (lines)
and measured (dots); below the grey line the chosen answer falls. b: probability of the four answers
together, relative to the start, measured: what is lost has gone to answers outside the data. c:
rejected tokens under SLIME, measured; dashed the floor that is predicted for tokens that start
above it. d: a single small step of SPO on single pairs whose chosen answer is predicted to fall
under DPO, its change in units of what is predicted under DPO, against the weight nu in units of the
predicted critical one: predicted (line), measured (dots).
"""
CLAIMS = ("SPO-4", "SPO-8", "SLIME-2", "SLIME-3", "ENT-1", "KER-2", "KER-5")

BETA = 0.1
NU = (0.1, 1.0)
ARMS = {
    "DPO": DPO(BETA),
    "SimPO": SimPO(),
    "DPOP": DPOP(BETA, 5.0),
    "SPO, nu = 0.1": SPO(DPO(BETA), lam=NU[0], nll_norm="sum"),
    "SPO, nu = 1": SPO(DPO(BETA), lam=NU[1], nll_norm="sum"),
    "SLIME": SLIME(),
    "SLIME without floor": SLIME(lambda_l=0.0),
}
PROMPT, TEXT, ENDINGS = 4, 14, 8
"""Tokens of a prompt and of the text the model writes behind it; endings at its most open place."""
STEP, JUMP, FALLEN = 0.08, 0.15, 0.5
"""Nats by which the fastest answer moves in the first step, which sets the rate of an objective.

No step may be above `JUMP` from where the chosen answers have fallen by `FALLEN`, either: DPOP
pushes hardest there, and large steps would hop to and fro across its kink.
"""
EDGE = 1e-4
"""Nats by which the reference lies below the untrained model at every place, alike for all."""
SMALL, CLEAR = 1e-3, 0.01
"""Size of the single steps of SPO; and how far ``K_wl / K_ww`` has to be from 1 for them.

Closer to it their signs are lost in single precision and second order.
"""
SHARES = (0.0, 0.5, 0.8, 1.25, 2.0)
"""Weights of SPO in units of the critical one."""
EVERY = 2
"""Steps from one measurement to the next; it divides those of a run."""
SIZES = {"quick": (2, 12, 40), "default": (4, 48, 80)}
"""Prompts of training runs, prompts that are searched and on whose pairs single steps are tried,
and steps of a run."""


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw prompts, answers and pairs, choose rates, and predict every run."""
    number, searched, steps = SIZES[size]
    rng = np.random.default_rng(seed)
    texts = own_prompts(lm, searched, PROMPT + TEXT, seed)
    geometries = [response_geometry(lm.model, None, None, _answers(lm, text)) for text in texts]
    drawn = [_pairs(geometry, rng) for geometry in geometries]
    found = list(zip(geometries, drawn, strict=True))
    found.sort(key=lambda both: -_ratio(both[0], both[1][0]))
    return {
        "steps": steps,
        "searched": len(found),
        "floor": floor(ARMS["SLIME"]),
        "cases": [_predict_case(lm, *both, steps) for both in found[:number]],
        "crossings": [
            _predict_crossing(geometry, pair)
            for geometry, pairs in found
            for pair in pairs
            if abs(_ratio(geometry, pair) - 1) >= CLEAR
        ],
    }


def _predict_case(
    lm: LanguageModel, geometry: Geometry, pairs: list[list[int]], steps: int
) -> dict[str, Any]:
    responses = geometry.responses
    rows = sorted({i for pair in pairs for i in pair})
    by_token = response_geometry(lm.model, None, None, responses[rows], tokens=True)
    inner = [[rows.index(i) for i in pair] for pair in pairs]
    return {
        "prompt": lm.tokenizer.decode(responses.prompt_tokens[0]),
        "prompt_tokens": responses.prompt_tokens[0],
        "answers": responses.tokens,
        "texts": [lm.tokenizer.decode(tokens) for tokens in responses.tokens],
        "log_probs": geometry.log_probs,
        "pairs": pairs,
        "rows": rows,
        "runs": {
            arm: _predict_run(by_token, objective, inner, steps)
            if objective.token_level
            else _predict_run(geometry, objective, pairs, steps)
            for arm, objective in ARMS.items()
        },
    }


def _answers(lm: LanguageModel, text: Tokens) -> Responses:
    """Answers that differ from one token on: the likeliest ones where the text is most open.

    The last two are the shared beginning itself and what the model writes greedily.
    """
    start = max(1, min(PROMPT + 1, len(text) - 2))  # the first token is not the model's own
    places = range(max(start + 1, (start + len(text)) // 2), max(start + 2, len(text)))
    after = [next_log_probs(lm.model, text[:place]) for place in places]
    at = int(np.argmax([-(np.exp(row) * row).sum() for row in after]))
    shared = text[: places[at]]
    likely = [int(token) for token in np.argsort(-after[at], kind="stable")[:ENDINGS]]
    ends = [(t, *greedy(lm.model, lm.tokenizer, (*shared, t), 2).tokens[0]) for t in likely]
    prompt, beginning = shared[:start], shared[start:]
    own = greedy(lm.model, lm.tokenizer, prompt, TEXT).tokens[0]
    answers = (*(beginning + end for end in ends), beginning, own)
    return Responses((prompt,) * len(answers), answers)


def _pairs(geometry: Geometry, rng: np.random.Generator) -> list[list[int]]:
    """The pair with the largest ``K_wl / K_ww``, and one drawn from the other answers."""
    every = [[w, r] for w in range(ENDINGS) for r in range(ENDINGS) if w != r]
    worst = max(every, key=lambda pair: _ratio(geometry, pair))
    left = [i for i in range(ENDINGS) if i not in worst]
    return [worst, [int(i) for i in rng.choice(left, 2, replace=False)]]


def _ratio(geometry: Geometry, pair: list[int]) -> float:
    """``K_wl / K_ww``; above 1 a step of DPO lowers the chosen answer."""
    own, shared = geometry.gram[pair[0], pair]
    return float(shared / own)


def _predict_run(geometry: Geometry, objective: Any, pairs: Any, steps: int) -> dict[str, Any]:
    rate = _rate(geometry, objective, pairs)
    run = predict_training(geometry, objective, pairs, rate, steps)
    return {"rate": rate, "change": run.change[::EVERY]}


def _rate(geometry: Geometry, objective: Any, pairs: Any) -> float:
    """Rate at which no answer moves faster than `STEP` and `JUMP` say."""
    start = geometry.token_log_probs if objective.token_level else geometry.log_probs
    above = start.copy()
    # A reference that gave them more is the same to an objective as answers that have fallen.
    above[[w for w, _ in pairs]] *= 1 - FALLEN / np.abs(geometry.log_probs).max()
    tiny = 1e-9
    limits = []
    for reference, most in ((start, STEP), (above, JUMP)):
        run = predict_training(geometry, objective, pairs, tiny, 1, reference=reference)
        limits.append(most * tiny / float(np.abs(run.change[1]).max()))
    return min(limits)


def _predict_crossing(geometry: Geometry, pair: list[int]) -> dict[str, Any]:
    """One step of SPO on a single pair: the chosen answer rises iff ``nu >= g (K_wl/K_ww - 1)``.

    g is DPO's push at its reference; where the critical weight is negative only DPO's own step is
    tried.
    """
    own, shared = geometry.gram[pair[0], pair]
    push = BETA / 2
    critical = push * (_ratio(geometry, pair) - 1)
    weights = [share * critical for share in SHARES] if critical > 0 else [0.0]
    columns = geometry.gram[pair][:, pair]
    rate = SMALL / (push * float(np.abs(columns[:, 0] - columns[:, 1]).max()))
    return {
        "prompt_tokens": geometry.responses.prompt_tokens[0],
        "answers": [geometry.responses.tokens[i] for i in pair],
        "critical": critical,
        "rate": rate,
        "weights": weights,
        "change": [rate * ((push + nu) * own - push * shared) for nu in weights],
    }


def floor(objective: SLIME) -> float:
    """Log-probability under which the margin force of SLIME cannot push a rejected token.

    Where the pull-up ``lambda_l p softplus(z)^(p-1) sigma(z)``, ``z = -log p - delta``, equals the
    largest force ``max F`` (claims SLIME-2, SLIME-3).
    """
    gap = np.linspace(-5.0, objective.m_h, 20001)
    v = expit(-objective.kappa * (gap - objective.m_s))
    force = float((v + objective.kappa * (objective.m_h - gap) * v * (1 - v)).max())
    force *= objective.lambda_d

    def excess(depth: float) -> float:
        pull = np.logaddexp(0.0, depth) ** (objective.p - 1) * expit(depth)
        return float(objective.lambda_l * objective.p * pull - force)

    return -objective.delta - float(brentq(excess, 0.0, 1e4))  # pyright: ignore[reportArgumentType]


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train a copy of the model for every prompt and objective, and take the single steps."""
    return {
        "cases": [
            {"runs": {arm: _measure_run(lm, case, arm, predicted["steps"]) for arm in case["runs"]}}
            for case in predicted["cases"]
        ],
        "crossings": [_measure_crossing(lm, crossing) for crossing in predicted["crossings"]],
    }


def _case_responses(case: dict[str, Any]) -> Responses:
    answers = tuple(tuple(answer) for answer in case["answers"])
    return Responses((tuple(case["prompt_tokens"]),) * len(answers), answers)


def _measure_run(lm: LanguageModel, case: dict[str, Any], arm: str, steps: int) -> dict[str, Any]:
    responses = _case_responses(case)
    start = token_log_probs(lm.model, responses, batch=len(responses))
    # DPOP starts on its kink, where rounding would decide; a little below, the prediction does.
    loss = PairLoss(ARMS[arm], responses, case["pairs"], start - EDGE)
    path = train_on(fresh(lm), loss, case["runs"][arm]["rate"], steps, every=EVERY)
    rejected = path.token_log_probs[:, [pair[1] for pair in case["pairs"]]]
    return {
        "steps": path.steps,
        "log_probs": path.log_probs,
        "losses": path.losses,
        "rejected_tokens": rejected if ARMS[arm].token_level else None,
    }


def _measure_crossing(lm: LanguageModel, crossing: dict[str, Any]) -> list[float]:
    """Change of the chosen answer by one step at every weight; doubles, as the step is small."""
    responses = _case_responses(crossing)
    exact = fresh(lm).double()
    start = token_log_probs(exact, responses, batch=2)
    changes = []
    for nu in crossing["weights"]:
        loss = PairLoss(SPO(DPO(BETA), lam=nu, nll_norm="sum"), responses, [[0, 1]], start)
        path = train_on(copy.deepcopy(exact), loss, crossing["rate"], 1)
        changes.append(float(path.change[-1, 0]))
    return changes
