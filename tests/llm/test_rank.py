"""Predictions of what a step on a pair does, held to the step itself."""

import copy

import numpy as np
import pytest
import torch

from prefdyn import llm, objectives
from prefdyn.llm import Responses
from prefdyn.llm._gradient import backward
from prefdyn.llm.rank import cross_effects

PAIRS = [
    ("is it red? ", "yes, it is.", "no"),
    ("is it red? ", "yes", "yes, it is red."),
    ("once upon a time ", "a cat sat.", "a cat ran!"),
    ("say no: ", "no.", "never, ever."),
]
OBJECTIVES = [
    objectives.get("dpo", beta=0.1),
    objectives.get("simpo"),
    objectives.get("ipo"),
    objectives.get("slime"),  # pushes single tokens
    objectives.get("kto"),  # sees answers under other prompts
    objectives.get("spo", mode="barrier"),  # sees gradients
]


@pytest.fixture(scope="module")
def model(llama):
    """In double precision throughout: the norms of transformers compute in single precision."""
    exact = copy.deepcopy(llama).double()

    def norm(old):
        return torch.nn.RMSNorm(old.weight.shape, eps=old.variance_epsilon, dtype=torch.float64)

    for layer in exact.model.layers:
        layer.input_layernorm = norm(layer.input_layernorm)
        layer.post_attention_layernorm = norm(layer.post_attention_layernorm)
    exact.model.norm = norm(exact.model.norm)
    return exact


@pytest.fixture(scope="module")
def encoded(tokenizer):
    """Chosen and rejected of all pairs in turn."""
    each = [llm.encode(tokenizer, prompt, both) for prompt, *both in PAIRS]
    return Responses(
        tuple(prompt for both in each for prompt in both.prompt_tokens),
        tuple(tokens for both in each for tokens in both.tokens),
    )


def slopes(model, responses, objective, rate, pair=None):
    """What a real step of this rate does to all responses, per unit of it.

    On a pair, the others of the batch only lend their statistics; None is a step on the mean loss.
    """
    pairs = np.arange(len(responses)).reshape(-1, 2)
    whole, moved = responses, None
    if objective.mismatched:
        whole, moved = llm.with_mismatched(responses, pairs)
    stepped = copy.deepcopy(model).requires_grad_(True)
    reference = llm.token_log_probs(model, whole).detach()
    weights = np.eye(len(pairs))[pair] if pair is not None else None
    loss = llm.PairLoss(objective, whole, pairs, reference, weights, mismatched=moved)
    together = llm.PairLoss(objective, whole, pairs, reference, mismatched=moved)
    stats = backward(stepped, together, loss.initial_stats).stats
    stepped.zero_grad()
    loss(stepped, stats).backward()
    with torch.no_grad():
        for parameter in stepped.parameters():
            parameter -= rate * parameter.grad
        change = llm.log_probs(stepped, responses) - llm.log_probs(model, responses)
    return change.numpy() / rate


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.id)
def test_rates_are_what_a_small_step_does(objective, model, tokenizer, encoded):
    found = cross_effects(model, tokenizer, PAIRS, objective)
    predicted = np.empty((2 * len(PAIRS), len(PAIRS)))
    predicted[0::2], predicted[1::2] = found.chosen, found.rejected
    errors = []
    for rate in (1e-6, 1e-7):
        columns = [slopes(model, encoded, objective, rate, r) for r in range(len(PAIRS))]
        errors.append(np.abs(np.stack(columns, 1) - predicted).max() / np.abs(predicted).max())
    assert errors[0] < 1e-2
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)  # what is left is of second order
