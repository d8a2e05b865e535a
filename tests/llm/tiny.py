"""Random models of two layers and of several kinds, in double precision throughout."""

from typing import Any

import torch
from torch import nn

from prefdyn.llm import Responses

PROMPT = (8, 5, 9)
RESPONSES = Responses((PROMPT,) * 3 + ((2, 4),), ((3, 4, 5), (7, 2), (11, 12, 13, 14, 2), (6,)))
"""Four responses of different lengths, the last to another prompt."""

COMMON: Any = {
    "vocab_size": 23,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
PAIRS = [
    ("is it red? ", "yes, it is.", "no"),
    ("is it red? ", "yes", "yes, it is red."),
    ("once upon a time ", "a cat sat.", "a cat ran!"),
    ("say no: ", "no.", "never, ever."),
    ("who ran? ", "a dog.", "the big old cat."),
    ("was it hot? ", "yes.", "no, never at all."),
    ("the sun ", "is up.", "is a dog."),
    ("i am ", "here", "there, i hope"),
    ("the end ", "is near.", "is here."),
    ("say it ", "no no", "no no no no no no no no no."),
]
"""Prompt, chosen and rejected, in letters that the tiny tokenizer knows."""


def tiny_model(kind: str) -> Any:
    """A model of one of `KINDS`."""
    import transformers

    torch.manual_seed(0)
    if kind == "gpt2":
        config: Any = transformers.GPT2Config(
            vocab_size=23, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3
        )
    elif kind == "gemma2":
        extra: Any = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4}
        config = transformers.Gemma2Config(
            **COMMON | extra, final_logit_softcapping=4.0, attn_logit_softcapping=5.0
        )
    elif kind == "qwen2":
        config = transformers.Qwen2Config(**COMMON, tie_word_embeddings=False)
    else:
        config = transformers.LlamaConfig(**COMMON, tie_word_embeddings=kind == "tied llama")
    model: Any = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name or "ln_" in name:
                parameter += 0.3 * torch.randn_like(parameter)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.__class__ = _exact(type(module))
    return model


KINDS = "llama", "tied llama", "gpt2", "qwen2", "gemma2"

ROUNDING = dict.fromkeys(KINDS, 1e-10) | {"gemma2": 1e-6}
"""Relative; the softmax of Gemma-2's capped attention runs in single precision."""


def _exact(norm: type) -> type:
    """The norm in its own precision: the library's computes in single precision whatever comes."""
    shift = 1.0 if norm.__name__.startswith("Gemma") else 0.0

    def forward(self, hidden):
        eps = self.eps if shift else self.variance_epsilon
        return nn.functional.rms_norm(hidden, self.weight.shape, self.weight + shift, eps)

    return type(norm.__name__, (norm,), {"forward": forward})


def plain_gradients(model: Any, responses: Responses, parameters: list) -> torch.Tensor:
    """One backward pass per response, run by itself, through the model's own logits."""
    rows = []
    for prompt, tokens in zip(responses.prompt_tokens, responses.tokens, strict=True):
        ids = torch.tensor([prompt + tokens])
        logs = model(ids).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]
        total = logs[torch.arange(len(tokens)), list(tokens)].sum()
        gradients = torch.autograd.grad(total, parameters, materialize_grads=True)
        rows.append(torch.cat([g.reshape(-1) for g in gradients]))
    return torch.stack(rows)
