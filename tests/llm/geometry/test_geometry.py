"""The geometry of a model at some responses."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from prefdyn import InputError, llm
from prefdyn.llm import Responses, response_geometry
from prefdyn.policies import LinearisedPolicy
from tests.llm.tiny import COMMON, KINDS, PROMPT, ROUNDING, plain_gradients, tiny_model

TOKENS = ((3, 4, 5), (7, 2), (11, 12, 13, 14, 2), (6,))
RESPONSES = Responses((PROMPT,) * 4, TOKENS)


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def geometry(model):
    return response_geometry(model, None, None, RESPONSES)


def test_gradients_are_those_of_each_response_by_itself(model, geometry):
    rows = plain_gradients(model, RESPONSES, list(model.parameters())).numpy()
    assert_allclose(geometry.gradients, rows, atol=1e-12)
    assert_allclose(geometry.gram, rows @ rows.T, rtol=1e-12)
    assert_allclose(geometry.log_probs, llm.log_probs(model, RESPONSES).detach(), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parameters", ["all", "head"])
def test_gradients_of_all_kinds_of_layers(kind, parameters):
    model = tiny_model(kind)
    found = response_geometry(model, None, None, RESPONSES, parameters=parameters)
    assert found.gradients is not None
    chosen = [dict(model.named_parameters())[name] for name in found.parameter_names]
    rows = plain_gradients(model, RESPONSES, chosen).numpy()
    assert_allclose(found.gradients, rows, atol=ROUNDING[kind] * np.abs(rows).max())


def test_gradients_of_layers_that_the_layer_wise_method_does_not_know():
    import transformers

    torch.manual_seed(0)
    config = transformers.MixtralConfig(**COMMON, num_local_experts=4)
    model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
    found = response_geometry(model, None, None, RESPONSES).gradients
    assert found is not None
    rows = plain_gradients(model, RESPONSES, list(model.parameters())).numpy()
    assert_allclose(found, rows, atol=1e-5 * np.abs(rows).max())


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_padding_and_batches_change_nothing(model, geometry, batch):
    other = response_geometry(model, None, None, RESPONSES, batch=batch)
    assert_allclose(other.gram, geometry.gram, rtol=1e-11)
    for states, same in zip(other.hidden, geometry.hidden, strict=True):
        assert_allclose(states, same, atol=1e-13)


def test_padding_changes_nothing_in_single_precision(model, geometry):
    together = response_geometry(model, None, None, RESPONSES, dtype=torch.float32).gram
    scale = np.sqrt(np.diag(geometry.gram))
    for pair in ([0, 1], [0, 2], [3, 2]):
        alone = response_geometry(model, None, None, RESPONSES[pair], dtype=torch.float32, batch=1)
        off = (alone.gram - together[np.ix_(pair, pair)]) / np.outer(scale[pair], scale[pair])
        assert np.abs(off).max() < 1e-6
    assert next(model.parameters()).dtype == torch.float64


def test_one_step_changes_log_probs_as_the_gram_matrix_says(model, geometry):
    """Claim KER-1: the error falls a hundredfold when the step falls tenfold."""
    pushes = np.array([0.7, -0.4, 0.0, 0.0])
    errors = []
    for rate in (1e-5, 1e-6):
        step = torch.tensor(rate * pushes @ geometry.gradients)
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(model.parameters()) + step, model.parameters()
        )
        after = llm.log_probs(model, RESPONSES).detach().numpy()
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(model.parameters()) - step, model.parameters()
        )
        change = rate * geometry.gram @ pushes
        errors.append(np.abs(after - geometry.log_probs - change).max())
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)


def test_tokens_add_up_to_responses(model, geometry):
    tokens = response_geometry(model, None, None, RESPONSES, tokens=True)
    assert tokens.token_gram is not None
    assert tokens.token_gradients is not None
    assert tokens.gradients is not None
    assert_allclose(tokens.gram, geometry.gram, rtol=1e-11)
    assert_allclose(tokens.gradients, geometry.gradients, atol=1e-12)
    assert tokens.token_gram.shape == (4, 5, 4, 5)
    flat = tokens.token_gradients.reshape(20, -1)
    assert_allclose(tokens.token_gram.reshape(20, 20), flat @ flat.T, atol=1e-10)
    assert tokens.policy().mask.sum() == 11


def test_the_policy_starts_at_the_model_and_has_its_gram(geometry):
    policy = geometry.policy()
    assert isinstance(policy, LinearisedPolicy)
    assert_allclose(policy.log_probs(), geometry.log_probs)
    assert_allclose(policy.gram(), geometry.gram)
    assert_allclose(policy.lengths, [3, 2, 5, 1])


def test_several_prompts_share_one_gram(model):
    responses = Responses((PROMPT, (2, 4), PROMPT), ((3,), (4, 5), (6,)))
    geometry = response_geometry(model, None, None, responses)
    rows = plain_gradients(model, responses, list(model.parameters())).numpy()
    assert_allclose(geometry.gram, rows @ rows.T, rtol=1e-11)
    assert_allclose(geometry.policy().prompts, [0, 1, 0])


def test_one_response(model, geometry):
    alone = response_geometry(model, None, None, RESPONSES[[2]])
    assert_allclose(alone.gram, geometry.gram[2:3, 2:3], rtol=1e-11)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("head", ["lm_head.weight"]),
        (
            ["model.layers.1.mlp.*"],
            [f"model.layers.1.mlp.{n}_proj.weight" for n in ("gate", "up", "down")],
        ),
        ("model.norm.weight", ["model.norm.weight"]),
    ],
)
def test_a_part_of_the_parameters(model, parameters, names):
    geometry = response_geometry(model, None, None, RESPONSES, parameters=parameters)
    assert list(geometry.parameter_names) == names
    chosen = [dict(model.named_parameters())[name] for name in names]
    rows = plain_gradients(model, RESPONSES, chosen).numpy()
    assert_allclose(geometry.gram, rows @ rows.T, rtol=1e-11)


def test_trainable_parameters_and_flags_left_as_they_were(model):
    model.model.embed_tokens.weight.requires_grad_(False)
    model.train()
    try:
        geometry = response_geometry(model, None, None, RESPONSES, parameters="trainable")
        assert "model.embed_tokens.weight" not in geometry.parameter_names
        assert not model.model.embed_tokens.weight.requires_grad
        assert model.training
        assert model.lm_head.weight.requires_grad
        assert model.lm_head.weight.grad is None
    finally:
        model.model.embed_tokens.weight.requires_grad_(True)
        model.eval()


def test_texts_are_encoded():
    class Characters:
        eos_token_id = 2

        def __call__(self, text, **options):
            return {"input_ids": [3 + ord(c) % 20 for c in text]}

    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=23, n_embd=8, n_layer=1, n_head=1)).eval()
    geometry = response_geometry(model, Characters(), "why", ["yes", "no"])
    assert geometry.responses.lengths.tolist() == [4, 3]
    assert geometry.gram.shape == (2, 2)


def test_scores_are_those_of_each_response_run_by_itself(model, geometry):
    states = []
    for i in (0, 2):
        ids = torch.tensor([PROMPT + TOKENS[i]])
        hidden = model.model(ids).last_hidden_state[0]
        states.append(hidden[len(PROMPT) - 1 : -1].detach().numpy())
    first, second = (s.sum(0) for s in states)
    found = geometry.scores(0, 2)
    assert found["ches"] == pytest.approx(first @ second - first @ first)
    assert found["ln_ches"] == pytest.approx(first @ second / 15 - first @ first / 9)
    assert found["last_hidden"] == pytest.approx(states[0][-1] @ states[1][-1])
    assert found["edit_distance"] == -1
    assert found["length_difference"] == 2


@pytest.mark.parametrize("objective", ["dpo", "cpo"])
def test_entanglement_says_what_a_step_does(model, geometry, objective):
    """Claim ENT-1: the two terms of each rate, with the objective's own weights."""
    found = geometry.diagnose(0, 1, objective)
    gram = geometry.gram
    why = found.entanglement
    assert why.chosen_own == pytest.approx(found.d_w * gram[0, 0])
    assert why.rejected_own == pytest.approx(found.d_l * gram[1, 1])
    assert_allclose(found.rates, found.d_w * gram[:, 0] - found.d_l * gram[:, 1])
    loss = llm.PairLoss(objective, RESPONSES, [(0, 1)], llm.token_log_probs(model, RESPONSES))
    direction = llm.step_direction(model, loss)
    assert_allclose(found.rates, llm.gradient_products(model, RESPONSES, direction), rtol=1e-9)
    assert None not in found.scores.values()
    assert found.scores == geometry.scores(0, 1)


@pytest.mark.parametrize("number", [-1, 4, 1.5])
def test_responses_that_do_not_exist(geometry, number):
    with pytest.raises(InputError, match="rejected is"):
        geometry.scores(0, number)


def test_nan_in_the_model_is_named(model):
    import copy

    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        response_geometry(broken, None, None, RESPONSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": ["model.layer.0.*"]}, "nearest: model.layers.0"),
        ({"parameters": []}, "parameters is empty"),
        ({"method": "exact"}, "method 'exact' is not known"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_wrong_options_in_words(model, options, message):
    with pytest.raises(InputError, match=message):
        response_geometry(model, None, None, RESPONSES, **options)


def test_a_prompt_beside_encoded_responses(model):
    with pytest.raises(InputError, match="give prompt=None"):
        response_geometry(model, None, "why", RESPONSES)
