"""What a step does to every next token."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from prefdyn import InputError, llm
from prefdyn.llm import NextTokenRates, next_token_rates, step_direction, weighted_gradient
from tests.llm.tiny import KINDS, PROMPT, RESPONSES, tiny_model

CONTEXTS = [PROMPT, (2, 4, 6, 8)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_moves_all_next_tokens_at_these_rates(kind):
    """Claim SQZ-1: the error falls a hundredfold when the step falls tenfold."""
    model = tiny_model(kind)
    reference = llm.token_log_probs(model, RESPONSES).detach()
    loss = llm.PairLoss("dpo", RESPONSES, [(0, 1)], reference)
    direction = step_direction(model, loss)
    found = next_token_rates(model, CONTEXTS, direction, batch=1)
    errors = []
    for rate in (1e-3, 1e-4):
        after = copy.deepcopy(model)
        with torch.no_grad():
            for name, parameter in after.named_parameters():
                parameter += rate * direction[name]
            logs = [after(torch.tensor([c])).logits[0, -1].log_softmax(-1) for c in CONTEXTS]
        change = torch.stack(logs).numpy() - found.log_probs
        errors.append(np.abs(change - rate * found.rates).max())
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.2)


def test_probabilities_stay_a_distribution():
    model = tiny_model("llama")
    direction = weighted_gradient(model, RESPONSES, [1.0, -1.0, 0.0, 0.0])
    found = next_token_rates(model, CONTEXTS, direction)
    assert_allclose(np.exp(found.log_probs).sum(-1), 1, rtol=1e-12)
    assert_allclose(found.mass_rates.sum(-1), 0, atol=1e-9)


def test_movers_are_sorted_and_only_those_that_move():
    log_probs = np.log([[0.5, 0.3, 0.1, 0.1]])
    found = NextTokenRates(log_probs, np.array([[0.2, -0.4, 0.9, -0.7]]))
    assert [mover.token for mover in found.gainers()] == [0, 2]
    assert [mover.token for mover in found.gainers(by_mass=False)] == [2, 0]
    assert [mover.token for mover in found.losers(n=1)] == [1]
    assert found.losers(by_mass=False)[0] == (3, -0.7, np.log(0.1))


def test_contexts_must_have_tokens():
    with pytest.raises(InputError, match="contexts is empty"):
        next_token_rates(tiny_model("gpt2"), [()], {})
