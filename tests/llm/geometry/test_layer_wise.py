"""The Gram matrix layer by layer against the gradients themselves."""

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from prefdyn import InputError
from prefdyn.llm import Responses, response_geometry
from prefdyn.llm.geometry import _head_gram, _layer_wise, _lookups
from tests.llm.tiny import COMMON, KINDS, PROMPT, RESPONSES, ROUNDING, plain_gradients, tiny_model


def off(found, model, parameters=None, responses=RESPONSES):
    """Largest error of a Gram matrix, relative to the norms of the gradients."""
    chosen = list(model.parameters()) if parameters is None else parameters
    rows = plain_gradients(model, responses, chosen).numpy()
    want = rows @ rows.T
    norms = np.sqrt(np.diag(want))
    return np.abs((found - want) / np.outer(norms, norms)).max()


def layer_wise(model, responses=RESPONSES, **options):
    return response_geometry(model, None, None, responses, method="layer-wise", **options)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_layer_by_layer_as_by_gradients(kind, batch):
    model = tiny_model(kind)
    geometry = layer_wise(model, batch=batch)
    assert geometry.method == "layer-wise"
    assert geometry.gradients is None
    assert off(geometry.gram, model) < ROUNDING[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind):
    model = tiny_model(kind)
    geometry = layer_wise(copy.deepcopy(model).float())
    assert off(geometry.gram, model) < 1e-5


@pytest.mark.parametrize("name", ["lm_head.weight", "*embed*", "*mlp*", "*norm*", "*q_proj.bias"])
def test_parts_of_the_parameters(name):
    model = tiny_model("qwen2")
    geometry = layer_wise(model, parameters=[name])
    chosen = [dict(model.named_parameters())[n] for n in geometry.parameter_names]
    assert chosen
    assert off(geometry.gram, model, chosen) < 1e-10


@pytest.mark.parametrize("kind", ["tied llama", "gemma2"])
def test_vocabulary_and_tokens_in_pieces(kind, monkeypatch):
    monkeypatch.setattr(_head_gram, "CHUNK", 50)
    monkeypatch.setattr(_head_gram, "WIDTHS", 0)
    monkeypatch.setattr(_lookups, "_PRODUCTS", 3)
    model = tiny_model(kind)
    assert off(layer_wise(model).gram, model) < ROUNDING[kind]


@pytest.mark.parametrize("kind", ["tied llama", "gpt2"])
def test_a_few_layers_at_a_time(kind, monkeypatch):
    model = tiny_model(kind)
    once = len(list(_layer_wise.groups(model, RESPONSES, dict(model.named_parameters()))))
    monkeypatch.setattr(_layer_wise, "KEPT", 2000)
    often = list(_layer_wise.groups(model, RESPONSES, dict(model.named_parameters())))
    assert once == 1 < len(often) < len(list(model.parameters()))
    assert off(layer_wise(model).gram, model) < 1e-10


def test_other_architectures():
    """A head with a bias and fused layers (Phi), norms per attention head (Qwen3)."""
    import transformers

    for config in (transformers.PhiConfig(**COMMON), transformers.Qwen3Config(**COMMON)):
        torch.manual_seed(0)
        model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
        geometry = layer_wise(model)
        assert off(geometry.gram, model) < 1e-5


def test_adapters_alone():
    import peft

    torch.manual_seed(1)
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between the two libraries
        adapted: Any = peft.get_peft_model(tiny_model("llama"), config).eval()
    geometry = layer_wise(adapted, parameters="trainable")
    assert all("lora" in name for name in geometry.parameter_names)
    chosen = [p for p in adapted.parameters() if p.requires_grad]
    assert off(geometry.gram, adapted, chosen) < 1e-10


def test_tokens_one_by_one():
    model = tiny_model("llama")
    found = layer_wise(model, tokens=True)
    want = response_geometry(model, None, None, RESPONSES, tokens=True)
    assert found.token_gram is not None
    assert found.token_gradients is None
    assert want.token_gram is not None
    np.testing.assert_allclose(found.token_gram, want.token_gram, atol=1e-9)
    np.testing.assert_allclose(found.gram, want.gram, atol=1e-9)


def test_large_gradients_go_layer_by_layer(monkeypatch):
    model = tiny_model("llama")
    size = 4 * 8 * sum(p.numel() for p in model.parameters())
    for largest, method in ((size, "gradients"), (size - 1, "layer-wise")):
        monkeypatch.setattr("prefdyn.llm.geometry._geometry.LARGEST_GRADIENTS", largest)
        assert response_geometry(model, None, None, RESPONSES).method == method


def test_experts_are_refused_and_may_be_left_out():
    import transformers

    config = transformers.MixtralConfig(**COMMON, num_local_experts=4)
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(InputError, match=r"mlp\.(gate|experts) is a Mixtral\w+, which"):
        layer_wise(model)
    geometry = layer_wise(model, parameters=["*self_attn*", "*norm*"])
    chosen = [dict(model.named_parameters())[name] for name in geometry.parameter_names]
    assert off(geometry.gram, model, chosen) < 1e-5


class Twice(torch.nn.Module):
    """A layer whose weight is also used behind its back."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + torch.tanh(x @ self.inner.weight.T)


class Matrix(torch.nn.Module):
    """A weight in a module of its own making."""

    def __init__(self, weight):
        super().__init__()
        self.matrix = torch.nn.Parameter(weight.detach().clone())

    def forward(self, x):
        return x @ self.matrix.T


class Flat(torch.nn.Module):
    """A layer that sees the places of all rows in one."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Twice, r"up_proj\.inner\.weight is used in a way"),
        (lambda inner: Matrix(inner.weight), r"up_proj is a Matrix"),
        (Flat, r"up_proj\.inner gets .* use batch=1"),
    ],
)
def test_what_is_not_seen_is_refused(change, message):
    model = copy.deepcopy(tiny_model("llama"))
    model.model.layers[1].mlp.up_proj = change(model.model.layers[1].mlp.up_proj)
    with pytest.raises(InputError, match=message):
        layer_wise(model)


def test_rows_in_one_are_told_apart_one_by_one():
    model = copy.deepcopy(tiny_model("llama"))
    model.model.layers[1].mlp.up_proj = Flat(model.model.layers[1].mlp.up_proj)
    assert off(layer_wise(model, batch=1).gram, model) < 1e-10


def test_an_almost_certain_response():
    """1 - p keeps its digits on both sides, and what underflows is no other use."""
    for scale in (16, 20, 80):
        model = copy.deepcopy(tiny_model("llama"))
        with torch.no_grad():
            model.lm_head.weight.mul_(scale)
        sure = int(model(torch.tensor([PROMPT])).logits[0, -1].argmax())
        responses = Responses((PROMPT,) * 2, ((sure,), (7, 2)))
        found = layer_wise(copy.deepcopy(model).float(), responses).gram[0, 0]
        want = layer_wise(model, responses).gram[0, 0]
        assert want < 1e-9
        assert found == pytest.approx(want, rel=1e-3, abs=1e-37)


@pytest.mark.parametrize("kind", ["qwen2", "opt"])
def test_gradients_that_are_rounding_alone(kind):
    """A query with one place to look at; a bias of keys where attention knows no places."""
    import transformers

    if kind == "qwen2":
        model: Any = copy.deepcopy(tiny_model(kind)).float()
        parameters, responses = "*q_proj.weight", Responses(((8,),) * 2, ((3,), (7,)))
    else:
        torch.manual_seed(0)
        config = transformers.OPTConfig(**COMMON, ffn_dim=24, word_embed_proj_dim=16, init_std=0.3)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        parameters, responses = "*k_proj.bias", RESPONSES
    gram = layer_wise(model, responses, parameters=parameters).gram
    assert np.abs(gram).max() < 1e-11
