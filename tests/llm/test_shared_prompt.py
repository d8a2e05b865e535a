import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prefdyn import InputError
from prefdyn.llm import Responses, completion_states, shared_prompt_states
from prefdyn.llm.shared_prompt import KNOWN

RESPONSES = Responses(
    ((3, 4, 5, 6, 7), (8, 9), (3, 4, 5, 6, 7), (8, 9), (3, 4, 5, 6, 7), (4,)),
    ((10, 11, 12), (20, 21, 22, 23), (10, 13, 14, 15, 2), (5, 5), (9,), (30, 31)),
)
SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
CHANGES = {
    "gemma": {"head_dim": 8},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 16},
    "mistral": {"sliding_window": None},
    "phi3": {"sliding_window": None},
    "qwen3": {"head_dim": 8},
}


def small(kind, attention="sdpa", **changes):
    settings = SMALL | CHANGES.get(kind, {}) | changes
    if kind == "gpt2":
        settings = {k: v for k, v in settings.items() if k not in ("hidden_size",)}
        settings = {k: v for k, v in settings.items() if not k.startswith(("num_", "max_"))}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **settings)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


@pytest.fixture(scope="module")
def shared_llama():
    return small("llama")


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KNOWN)
def test_the_states_of_separate_rows(kind, attention):
    model = small(kind, attention)
    alone, shared = (f(model, RESPONSES) for f in (completion_states, shared_prompt_states))
    assert torch.equal(shared.targets, alone.targets)
    assert torch.equal(shared.segments, alone.segments)
    assert relative(shared.hidden, alone.hidden) <= 2e-6


@torch.no_grad()
@pytest.mark.parametrize("together", [1, 2, 3])
def test_any_number_of_responses_in_a_row(shared_llama, together):
    found = shared_prompt_states(shared_llama, RESPONSES, together)
    assert relative(found.hidden, completion_states(shared_llama, RESPONSES).hidden) <= 2e-6


def test_gradients_of_separate_rows(shared_llama):
    def gradients(states_of):
        model = copy.deepcopy(shared_llama)
        states = states_of(model, RESPONSES)
        weights = torch.linspace(-1, 1, states.hidden.numel()).view_as(states.hidden)
        return torch.autograd.grad((weights * states.hidden).sum(), list(model.model.parameters()))

    pairs = zip(gradients(shared_prompt_states), gradients(completion_states), strict=True)
    assert max(relative(one, other) for one, other in pairs) <= 1e-5


@torch.no_grad()
def test_responses_do_not_see_each_other(shared_llama):
    def states(tokens):
        found = shared_prompt_states(shared_llama, Responses(((3, 4),) * 2, tokens))
        return found.hidden[found.segments == 1]

    assert torch.equal(states(((9, 8, 7), (5, 6, 7))), states(((20, 1, 2), (5, 6, 7))))
    assert not torch.equal(states(((9, 8, 7), (5, 6, 7))), states(((9, 8, 7), (5, 1, 7))))


@torch.no_grad()
def test_the_prompt_is_read_once(shared_llama):
    seen = []
    hook = shared_llama.model.embed_tokens.register_forward_hook(
        lambda _, inputs, __: seen.append(tuple(inputs[0].shape))
    )
    shared_prompt_states(shared_llama, RESPONSES)
    hook.remove()
    assert seen == [(3, 5 + 2 + 4 + 0)]  # three prompts; the first with 3, 5 and 1 tokens


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("mistral", {"sliding_window": 4}, "sliding window"),
        ("bloom", {"n_layer": 1}, "not known to work for 'bloom'"),
        ("gemma2", {}, "not known to work for 'gemma2'"),
    ],
)
def test_what_is_not_known_is_refused(kind, changes, message):
    with pytest.raises(InputError, match=message):
        shared_prompt_states(small(kind, "eager", **changes), RESPONSES)


def test_other_attention_is_refused(shared_llama):
    model = copy.deepcopy(shared_llama)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="'flash_attention_2' attention does not take"):
        shared_prompt_states(model, RESPONSES)


@pytest.mark.parametrize("together", [0, -1, 1.5])
def test_a_row_of_no_responses_is_refused(shared_llama, together):
    with pytest.raises(InputError, match="together is"):
        shared_prompt_states(shared_llama, RESPONSES, together)


def test_a_token_outside_the_vocabulary_is_refused(shared_llama):
    with pytest.raises(InputError, match="token id 40"):
        shared_prompt_states(shared_llama, Responses(((3,),), ((40,),)))
