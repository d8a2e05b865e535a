"""Weighted gradients and derivatives along a direction."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from prefdyn import InputError, llm
from prefdyn.llm import gradient_products, response_geometry, step_direction, weighted_gradient
from tests.llm.tiny import KINDS, RESPONSES, ROUNDING, plain_gradients, tiny_model

COEFFICIENTS = np.array([0.7, -0.4, 0.1, 0.0])


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def rows(model):
    return plain_gradients(model, RESPONSES, list(model.parameters())).numpy()


def flat(parts):
    return torch.cat([part.reshape(-1) for part in parts.values()]).numpy()


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_weighted_gradient_is_the_weighted_sum_of_gradients(model, rows, batch):
    found = weighted_gradient(model, RESPONSES, COEFFICIENTS, batch=batch)
    assert list(found) == [name for name, _ in model.named_parameters()]
    assert_allclose(flat(found), COEFFICIENTS @ rows, atol=1e-11)


def test_weights_of_tokens(model):
    tokens = response_geometry(model, None, None, RESPONSES, tokens=True).token_gradients
    assert tokens is not None
    weights = np.random.default_rng(0).normal(size=RESPONSES.mask.shape)
    found = weighted_gradient(model, RESPONSES, weights)
    assert_allclose(flat(found), np.einsum("rt,rtp->p", weights, tokens), atol=1e-11)


def test_the_step_of_a_loss_is_minus_its_gradient(model):
    reference = llm.token_log_probs(model, RESPONSES).detach()
    loss = llm.PairLoss("ipo", RESPONSES, [(0, 1)], reference)
    twin = copy.deepcopy(model)
    loss(twin).backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in twin.parameters()]
    want = torch.cat([grad.reshape(-1) for grad in grads])
    assert_allclose(flat(step_direction(model, loss)), -want, atol=1e-11)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("method", ["forward", "differences"])
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_columns_of_the_gram_matrix(kind, method):
    """Claim KER-4."""
    model = tiny_model(kind)
    rows = plain_gradients(model, RESPONSES, list(model.parameters())).numpy()
    v = weighted_gradient(model, RESPONSES, COEFFICIENTS)
    found = gradient_products(model, RESPONSES, v, method=method, batch=3)
    want = rows @ rows.T @ COEFFICIENTS
    off = np.abs(found - want).max() / np.abs(want).max()
    assert off < (ROUNDING[kind] if method == "forward" else 5e-5)


@pytest.mark.parametrize("method", ["forward", "differences"])
def test_products_in_single_precision(model, rows, method):
    single = copy.deepcopy(model).float()
    found = gradient_products(single, RESPONSES, COEFFICIENTS @ rows, method=method)
    want = rows @ rows.T @ COEFFICIENTS
    assert np.abs(found - want).max() < 1e-4 * np.abs(want).max()


def test_a_direction_within_a_part_of_the_parameters(model):
    head = list(model.lm_head.parameters())
    rows = plain_gradients(model, RESPONSES, head).numpy()
    found = gradient_products(model, RESPONSES, COEFFICIENTS @ rows, parameters="head")
    assert_allclose(found, rows @ rows.T @ COEFFICIENTS, rtol=1e-9)


class NoForwardMode(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return 2 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *gradients):
        return 2 * gradients[0]


class Doubled(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return NoForwardMode.apply(self.inner(x))


def test_differences_where_a_module_has_no_forward_mode(model):
    twin = copy.deepcopy(model)
    twin.model.layers[0].mlp = Doubled(twin.model.layers[0].mlp)
    rows = plain_gradients(twin, RESPONSES, list(twin.parameters())).numpy()
    v = COEFFICIENTS @ rows
    assert_allclose(gradient_products(twin, RESPONSES, v), rows @ v, rtol=1e-5)
    with pytest.raises(RuntimeError):
        gradient_products(twin, RESPONSES, v, method="forward")


def test_no_direction_no_change(model):
    v = {"lm_head.weight": torch.zeros(23, 16)}
    for method in ("forward", "differences"):
        assert not gradient_products(model, RESPONSES, v, method=method).any()


class Rough(torch.nn.Module):
    """A curve whose slope says nothing at any length."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + torch.sin(1e7 * x)


def test_differences_that_do_not_agree_are_refused(model):
    twin = copy.deepcopy(model)
    for layer in twin.model.layers:
        layer.mlp = Rough(layer.mlp)
    v = {"model.embed_tokens.weight": torch.randn(23, 16, generator=torch.manual_seed(0))}
    with pytest.raises(InputError, match="do not agree"):
        gradient_products(twin, RESPONSES, v, method="differences")


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (np.zeros(5), "has shape"),
        ({"head": torch.zeros(2)}, "'head'"),
        ({"lm_head.weight": torch.zeros(2)}, "lm_head.weight"),
    ],
)
def test_directions_that_do_not_fit(model, direction, message):
    with pytest.raises(InputError, match=message):
        gradient_products(model, RESPONSES, direction)


def test_half_precision_is_refused(model):
    half = copy.deepcopy(model).bfloat16()
    with pytest.raises(InputError, match="half precision"):
        gradient_products(half, RESPONSES, {"lm_head.weight": torch.zeros(23, 16)})


def test_coefficients_of_another_shape(model):
    with pytest.raises(InputError, match="coefficients has shape"):
        weighted_gradient(model, RESPONSES, [1.0])
