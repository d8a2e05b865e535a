"""Log-probabilities of responses: against the model's own logits, whatever the architecture."""

import copy

import pytest
import torch
import transformers as hf

from prefdyn import InputError, llm
from prefdyn.llm._encoding import Responses
from prefdyn.llm._memory import enough_memory
from prefdyn.llm.head._head import check_head

COMMON = {
    "vocab_size": 34,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": None,
}
GPT = {
    "vocab_size": 34,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 64,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 2,
}
OPT = {
    "vocab_size": 34,
    "hidden_size": 16,
    "ffn_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "word_embed_proj_dim": 8,
    "init_std": 0.3,
    "pad_token_id": 1,
}
MODELS = {
    "Llama": COMMON,
    "Llama, tied": COMMON | {"tie_word_embeddings": True},
    "Mistral": COMMON | {"sliding_window": 3},
    "Qwen2": COMMON,
    "Gemma2": COMMON | {"head_dim": 8, "final_logit_softcapping": 2.0, "sliding_window": 3},
    "Phi": COMMON,
    "Cohere": COMMON | {"logit_scale": 0.0625},
    "Granite": COMMON | {"logits_scaling": 4.0},
    "GPT2": GPT,
    "GPTJ": GPT | {"rotary_dim": 4},
    "OPT": OPT,
    "Mamba": {"vocab_size": 34, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
}
HEADS = {  # bias, scale, cap
    "Phi": (True, 1.0, None),
    "GPTJ": (True, 1.0, None),
    "Gemma2": (False, 1.0, 2.0),
    "Cohere": (False, 0.0625, None),
    "Granite": (False, 0.25, None),
}
RESPONSES = Responses(
    ((5, 6), (7,), (8, 9, 10, 11), (5, 6)), ((3, 4, 5), (12, 13, 14, 15, 16), (2,), (3, 4, 5, 6))
)


@pytest.fixture(scope="module", params=MODELS)
def named(request):
    torch.manual_seed(0)
    config = getattr(hf, request.param.split(",")[0] + "Config")(**MODELS[request.param])
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    for name, parameter in model.named_parameters():  # biases begin at 0
        if parameter.dim() == 1 and name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return request.param, model


@torch.no_grad()
def by_logits(model, responses: Responses) -> torch.Tensor:
    """Token log-probabilities from the model's own logits, one response at a time."""
    table = torch.zeros(responses.mask.shape)
    both = zip(responses.prompt_tokens, responses.tokens, strict=True)
    for row, (prompt, tokens) in enumerate(both):
        logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0].log_softmax(-1)
        for column, token in enumerate(tokens):
            table[row, column] = logits[len(prompt) + column - 1, token]
    return table


def test_log_probabilities_are_those_of_the_models_own_logits(named):
    _, model = named
    table = llm.token_log_probs(model, RESPONSES)
    assert torch.allclose(table, by_logits(model, RESPONSES), rtol=1e-5, atol=1e-5)
    assert torch.equal(llm.log_probs(model, RESPONSES), table.sum(-1))
    assert not table[torch.tensor(RESPONSES.mask) == 0].any()


def test_the_head_is_read_from_the_config_and_agrees(named):
    name, model = named
    check_head(model)
    head = llm.Head.of(model)
    assert (head.bias is not None, head.scale, head.cap) == HEADS.get(name, (False, 1.0, None))


def test_neither_batch_nor_padding_changes_anything(named):
    """Alone, in pairs, all together, behind a long row: the same to rounding."""
    _, model = named
    together = llm.token_log_probs(model, RESPONSES)
    for batch in (1, 2, 3, 9):
        parts = llm.token_log_probs(model, RESPONSES, batch)
        assert not parts.requires_grad
        assert torch.allclose(parts, together, rtol=1e-5, atol=1e-5)
    long = Responses((*RESPONSES.prompt_tokens, (4,) * 20), (*RESPONSES.tokens, (6,) * 20))
    padded = llm.token_log_probs(model, long)[:4, :5]
    assert torch.allclose(padded, together, rtol=1e-5, atol=1e-5)


def test_greedy_continuations_need_no_cache_to_be_right(named, tokenizer):
    _, model = named
    (tokens,) = llm.greedy(model, tokenizer, [5, 6, 7], 6).tokens
    ids = [5, 6, 7]
    for _ in tokens:
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    assert tuple(ids[3:]) == tokens


def test_batches_agree_to_double_precision():
    """GPT-2 computes in double precision throughout; Llama's norms would round to single."""
    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(hf.GPT2Config(**GPT)).double().eval()
    together = llm.token_log_probs(model, RESPONSES)
    assert torch.allclose(llm.token_log_probs(model, RESPONSES, 1), together, rtol=1e-10)


def test_log_probabilities_are_differentiable(llama):
    model = copy.deepcopy(llama)
    llm.log_probs(model, RESPONSES).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_adapters_in_the_body_change_what_is_measured(llama):
    peft = pytest.importorskip("peft")
    from prefdyn.llm._hub import quiet

    with quiet():
        config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        adapted = peft.get_peft_model(copy.deepcopy(llama), config).eval()
    check_head(adapted)
    ours = llm.token_log_probs(adapted, RESPONSES)
    assert torch.allclose(ours, by_logits(adapted, RESPONSES), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours, llm.token_log_probs(llama, RESPONSES), atol=1e-3)


@pytest.mark.parametrize(
    ("prompt", "tokens", "message"),
    [
        ((5, 34), (3,), "Response 1 or its prompt has the token id 34, but .* 0 to 33"),
        ((5,), (3, -1), "token id -1"),
        ((5,) * 60, (3,) * 5, "Response 1 has 5 tokens behind a prompt of 60, but .* holds 64"),
    ],
)
def test_what_the_model_cannot_read_is_refused(llama, prompt, tokens, message):
    responses = Responses(((5,), prompt), ((3,), tokens))
    with pytest.raises(InputError, match=message):
        llm.completion_states(llama, responses)


def test_a_response_without_a_finite_log_probability_is_named(llama):
    broken = copy.deepcopy(llama)
    torch.nn.init.constant_(broken.model.embed_tokens.weight[12], torch.nan)
    with pytest.raises(InputError, match="gives response 1 a log-probability that is not finite"):
        llm.token_log_probs(broken, RESPONSES, 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_memory_that_runs_out_says_which_size_to_lower(llama, error):
    short = copy.deepcopy(llama)

    def forward(**inputs):
        raise error

    short.model.forward = forward
    with pytest.raises(InputError, match="not enough memory: take fewer than 4 responses of 6"):
        llm.token_log_probs(short, RESPONSES)


def test_memory_that_really_runs_out_is_noticed():
    with pytest.raises(InputError, match="not enough memory: lower it"), enough_memory("lower it"):
        torch.empty(1 << 60)


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="else"), enough_memory("lower it"):
        raise RuntimeError("something else")
