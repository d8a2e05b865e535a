"""Experiment: training runs predicted from the geometry of the untrained model."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from prefdyn import DPO
from prefdyn.llm._encoding import Responses
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.prediction._memory import Memory
from prefdyn.llm.prediction._predict import predict_training
from prefdyn.llm.sampling import continuations
from prefdyn.llm.training._fit import train_on
from prefdyn.llm.validate._draws import fresh, own_prompts, rate_for
from prefdyn.llm.validate._kernel_view import draw, in_words, r_squared, records

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "Training foretold: predicted and measured changes of log-probabilities"
CAPTION = """
DPO, beta = 0.1 (the pull to the reference), 20 full-batch steps on one pair of ten candidates that
the model wrote itself; every pair is a training run of its own. Predicted change of each
candidate's log-probability (horizontal) against the measured one (dots); on the line they agree. a
to d: gradient descent, e to h: AdamW, whose moments are run in function space. a, b, c and e, f, g:
predicted before training from log-probabilities and gradients of the untrained model, at rates that
the program chose for small, middle and large changes; d, h: the large ones again, the geometry
measured anew every 5 steps. i: R^2 of the frozen prediction against the size of the change while
the large runs go on, one line each as far as it is above 0; on the dotted line it is 0.9. j: where
the frozen prediction fails: the likeliest candidate rejected and pushed far, by gradient descent.
k: the same runs, with the sum of all probabilities held at 1 and what the model might write besides
the candidates as one more response. Every panel shows the ends of its runs. R^2 is that of the
prediction itself, without a fit; median and, in brackets, worst of the runs, among them those that
went further than the 0.5 and 8 nats up to which something is asserted.
"""
CLAIMS = ("KER-5", "KER-6", "KER-7")

OBJECTIVE = DPO(0.1)
STEPS, EVERY = 20, 5
CANDIDATES, PROMPT, LENGTH = 10, 6, 8
OPTIMISERS = ("sgd", "adamw")
REGIMES = {"near": 0.4, "middle": 1.5, "far": 4.5}
"""Nats that the candidate which moves most is predicted to move; they set the rate of each run.

Large changes turn out almost twice as large as predicted, so that this leads to about 8 nats, up to
which something is asserted.
"""
DOMINANT = 30.0
"""The same for the failing case."""
SIZES = {"quick": (4, 1), "default": (7, 4)}
"""Prompts, and pairs of each."""


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw prompts, candidates and pairs, choose rates, and predict every run."""
    prompts, pairs = SIZES[size]
    rng = np.random.default_rng(seed)
    cases = []
    for prompt in own_prompts(lm, prompts, PROMPT, seed):
        responses = continuations(
            lm.model, lm.tokenizer, prompt, CANDIDATES, length=LENGTH, seed=seed
        )
        geometry = response_geometry(lm.model, None, None, responses)
        every = [(i, j) for i in range(CANDIDATES) for j in range(CANDIDATES) if i != j]
        drawn = [every[k] for k in rng.choice(len(every), pairs, replace=False)]
        dominant = int(np.argmax(geometry.log_probs))
        rest = np.delete(np.arange(CANDIDATES), dominant)
        failing = (int(rng.choice(rest)), dominant)
        runs = [
            run
            for pair in drawn
            for optimiser in OPTIMISERS
            for run in _foretold(geometry, pair, optimiser, REGIMES)
        ]
        runs += _foretold(geometry, failing, "sgd", {"dominant": DOMINANT})
        cases.append(
            {
                "prompt": lm.tokenizer.decode(prompt),
                "prompt_tokens": list(prompt),
                "candidates": [lm.tokenizer.decode(tokens) for tokens in responses.tokens],
                "tokens": [list(tokens) for tokens in responses.tokens],
                "log_probs": geometry.log_probs.tolist(),
                "runs": runs,
            }
        )
    return {"steps": STEPS, "every": EVERY, "cases": cases}


def _foretold(
    geometry: Geometry, pair: tuple[int, int], optimiser: str, regimes: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """The runs on one pair: their rates, and what the frozen geometry says that they will do."""
    settings: dict[str, Any] = {"steps": STEPS, "optimiser": optimiser}
    # To first order all steps of a run are alike: one of them tells the rate.
    per_nat = rate_for(geometry, OBJECTIVE, [pair], 1 / STEPS, 1, optimiser=optimiser)
    for regime, target in regimes.items():
        rate = per_nat * target
        if optimiser == "sgd":  # whose steps wane with the pushes
            run = predict_training(geometry, OBJECTIVE, [pair], rate, **settings)
            rate *= target / float(np.abs(run.change[-1]).max())
        run = predict_training(geometry, OBJECTIVE, [pair], rate, **settings)
        yield {
            "optimiser": optimiser,
            "regime": regime,
            "pair": [int(i) for i in pair],
            "rate": rate,
            "change": run.change.tolist(),
        }


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train a copy of the model for every run; renew the geometry on the way of the large ones.

    And at every step of the small run that was foretold worst: what is left then is not curvature.
    """
    cases, near = [], {}
    for case in predicted["cases"]:
        tokens = tuple(tuple(one) for one in case["tokens"])
        responses = Responses((tuple(case["prompt_tokens"]),) * len(tokens), tokens)
        start = response_geometry(lm.model, None, None, responses)
        cases.append([_trained(lm, start, run) for run in case["runs"]])
        for run, seen in zip(case["runs"], cases[-1], strict=True):
            if run["regime"] == "near":
                r2 = r_squared(np.array(run["change"][-1]), np.array(seen["change"][-1]))
                known = near.get(run["optimiser"])
                if known is None or r2 < known[0]:
                    near[run["optimiser"]] = r2, start, run, in_words(case, run["pair"])
    followed = {
        optimiser: {"frozen_r2": r2, "words": words, **_followed(lm, start, run, 1)}
        for optimiser, (r2, start, run, words) in near.items()
    }
    return {"cases": cases, "followed": followed}


def _trained(lm: LanguageModel, start: Geometry, run: dict[str, Any]) -> dict[str, Any]:
    """The measured run, and the prediction that is renewed on its way where it goes far."""
    if run["regime"] == "far":
        return _followed(lm, start, run, EVERY)
    loss = PairLoss(OBJECTIVE, start.responses, [run["pair"]], start.token_log_probs)
    settings: dict[str, Any] = {"rate": run["rate"], "optimiser": run["optimiser"]}
    # Small runs are judged at the last step within a size, so every step of them is needed.
    every = 1 if run["regime"] == "near" else STEPS
    path = train_on(fresh(lm), loss, steps=STEPS, every=every, **settings)
    return {"steps": path.steps.tolist(), "change": path.change.tolist(), "renewed": None}


def _followed(
    lm: LanguageModel, start: Geometry, run: dict[str, Any], every: int
) -> dict[str, Any]:
    """The measured run beside the prediction whose geometry is measured anew every few steps."""
    model, responses = fresh(lm), start.responses
    loss = PairLoss(OBJECTIVE, responses, [run["pair"]], start.token_log_probs)
    settings: dict[str, Any] = {"rate": run["rate"], "optimiser": run["optimiser"]}
    geometry, memory, path = start, Memory(), None
    predicted, seen = [np.zeros(len(responses))], [start.log_probs]
    for _ in range(STEPS // every):
        if path is not None:
            geometry = response_geometry(model, None, None, responses)
            memory = Memory.of(path.optimiser, model, geometry, path.stats)
        ahead = predict_training(
            geometry,
            OBJECTIVE,
            [run["pair"]],
            steps=every,
            reference=start.log_probs,
            memory=memory,
            **settings,
        )
        predicted += list(predicted[-1] + ahead.change[1:])
        path = train_on(model, loss, steps=every, start=path, **settings)
        seen += list(path.log_probs[1:])
    return {
        "steps": list(range(STEPS + 1)),
        "change": (np.array(seen) - seen[0]).tolist(),
        "renewed": np.array(predicted).tolist(),
    }
