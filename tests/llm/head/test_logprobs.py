import math

import pytest
import torch

from prefdyn import InputError
from prefdyn.llm import Head, token_logprobs

HEADS = {
    "plain": {},
    "biased": {"bias": True},
    "scaled": {"scale": 0.0625},
    "soft-capped": {"cap": 3.0},
    "all": {"bias": True, "scale": 0.5, "cap": 5.0},
}
N, D, V = 13, 6, 37  # no power of two anywhere, and no multiple of a chunk


def operands(bias=False, scale=1.0, cap=None, dtype=torch.float64, seed=0, size=1.0):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return size * torch.randn(*shape, generator=g, dtype=torch.float64)

    hidden, weight, offset = draw(N, D).to(dtype), draw(V, D).to(dtype), draw(V).to(dtype)
    targets = torch.randint(V, (N,), generator=g)
    return hidden, Head(weight, offset if bias else None, scale, cap), targets


def double(hidden, head, targets):
    """The definition, in float64."""
    u = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        u = u + head.bias.double()
    z = u * head.scale
    z = z if head.cap is None else head.cap * torch.tanh(z / head.cap)
    log_p = z - z.logsumexp(-1, keepdim=True)
    return torch.where(targets < 0, 0.0, log_p.gather(1, targets.clamp(min=0)[:, None])[:, 0])


def trained(hidden, head, which, dtype=None):
    """The same operands as leaves, those of `which` with a gradient."""

    def leaf(x, name):
        return x.detach().to(dtype or x.dtype, copy=True).requires_grad_(name in which)

    h, weight = leaf(hidden, "hidden"), leaf(head.weight, "weight")
    bias = None if head.bias is None else leaf(head.bias, "bias")
    leaves = [x for x in (h, weight, bias) if x is not None and x.requires_grad]
    return h, Head(weight, bias, head.scale, head.cap), leaves


def relative(found, expected):
    return float(((found.double() - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("chunk", [None, 1, 5, 13, 100])
@pytest.mark.parametrize("which", [("hidden",), ("weight", "bias"), ("hidden", "weight", "bias")])
def test_gradients_against_autograd_in_float64(kind, chunk, which):
    hidden, head, targets = operands(**HEADS[kind])
    weights = torch.linspace(-1, 2, N, dtype=torch.float64)
    h, made, leaves = trained(hidden, head, which)
    expected = torch.autograd.grad((weights * double(h, made, targets)).sum(), leaves)
    values = token_logprobs(h, made, targets, chunk=chunk)
    torch.testing.assert_close(values, double(hidden, head, targets), rtol=1e-12, atol=1e-12)
    for _ in range(2):  # the second backward must find what the first one found
        found = torch.autograd.grad((weights * values).sum(), leaves, retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("chunk", [None, 4])
def test_single_precision_keeps_its_digits(chunk):
    hidden, head, targets = operands(bias=True, dtype=torch.float32)
    h, made, leaves = trained(hidden, head, ("hidden", "weight", "bias"))
    h64, made64, leaves64 = trained(hidden, head, ("hidden", "weight", "bias"), torch.float64)
    values, expected = token_logprobs(h, made, targets, chunk=chunk), double(h64, made64, targets)
    assert relative(values, expected) <= 1e-6
    for one, other in zip(
        torch.autograd.grad(values.sum(), leaves),
        torch.autograd.grad(expected.sum(), leaves64),
        strict=True,
    ):
        assert relative(one, other) <= 1e-5


@pytest.mark.parametrize("chunk", [None, 4])
def test_bfloat16_operands_with_single_precision_logits(chunk):
    hidden, head, targets = operands(dtype=torch.bfloat16)
    h, made, leaves = trained(hidden, head, ("hidden", "weight"))
    h64, made64, leaves64 = trained(
        hidden.double(), Head(head.weight.double()), ("hidden", "weight")
    )
    values, expected = token_logprobs(h, made, targets, chunk=chunk), double(h64, made64, targets)
    assert values.dtype == torch.float32
    assert float((values.double() - expected).detach().abs().max()) <= 1e-4
    found = torch.autograd.grad(values.sum(), leaves)
    for one, other in zip(found, torch.autograd.grad(expected.sum(), leaves64), strict=True):
        assert one.dtype == torch.bfloat16
        assert relative(one, other) <= 1e-2


def test_the_unit_gradient_is_the_embedding_less_its_expectation():
    hidden, head, targets = operands()
    h, made, leaves = trained(hidden, head, ("hidden",))
    (found,) = torch.autograd.grad(token_logprobs(h, made, targets, chunk=4).sum(), leaves)
    p = (hidden @ head.weight.T).softmax(-1)
    torch.testing.assert_close(
        found, head.weight[targets] - p @ head.weight, rtol=1e-12, atol=1e-12
    )


# What torch loads when forward mode is first used still goes through its own jit.
forward_mode = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")


@forward_mode
@pytest.mark.parametrize("kind", HEADS)
def test_forward_mode_along_states_and_head(kind):
    hidden, head, targets = operands(**HEADS[kind])
    directions = [torch.randn_like(x) for x in (hidden, head.weight)]

    def values(h, w, function):
        return function(h, Head(w, head.bias, head.scale, head.cap), targets)

    def chunked(h, made, y):
        return token_logprobs(h, made, y, chunk=5)

    found = [
        torch.func.jvp(lambda h, w, f=f: values(h, w, f), (hidden, head.weight), tuple(directions))[
            1
        ]
        for f in (chunked, double)
    ]
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-12)


@forward_mode
def test_forward_mode_along_the_bias():
    hidden, head, targets = operands(bias=True)

    def moved(function):
        return torch.func.jvp(
            lambda b: function(hidden, Head(head.weight, b), targets),
            (head.bias,),
            (torch.linspace(0, 1, V, dtype=torch.float64),),
        )[1]

    torch.testing.assert_close(
        moved(lambda *args: token_logprobs(*args, chunk=5)), moved(double), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_second_derivatives(frozen):
    hidden, head, targets = operands(bias=True, cap=4.0)
    which = ("hidden",) if frozen else ("hidden", "weight", "bias")
    h, made, leaves = trained(hidden, head, which)

    def second(values):
        first = torch.autograd.grad(values.square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(torch.stack([x.square().sum() for x in first]).sum(), leaves)

    for one, other in zip(
        second(token_logprobs(h, made, targets, chunk=5)),
        second(double(h, made, targets)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("chunk", [None, 5])
def test_ignored_rows_are_nothing(chunk):
    hidden, head, targets = operands()
    targets[[0, 7, 12]] = -100
    h, made, leaves = trained(hidden, head, ("hidden", "weight"))
    values = token_logprobs(h, made, targets, chunk=chunk)
    assert (values[[0, 7, 12]] == 0).all()
    by_hidden, by_weight = torch.autograd.grad(values.sum(), leaves)
    assert (by_hidden[[0, 7, 12]] == 0).all()
    kept = targets >= 0
    h, made, leaves = trained(hidden, head, ("hidden", "weight"))
    expected = torch.autograd.grad(double(h[kept], made, targets[kept]).sum(), leaves)
    torch.testing.assert_close(by_weight, expected[1], rtol=1e-11, atol=1e-12)


def test_one_weight_as_embedding_and_as_head():
    _, head, targets = operands()
    ids = torch.arange(N)

    def gradient(function):
        weight = head.weight.clone().requires_grad_()
        return torch.autograd.grad(
            function(weight[ids].tanh(), Head(weight), targets).sum(), weight
        )

    (found,) = gradient(lambda *args: token_logprobs(*args, chunk=5))
    (expected,) = gradient(double)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_statistics_come_from_the_same_pass():
    hidden, head, targets = operands()
    values, stats = token_logprobs(hidden.requires_grad_(), head, targets, chunk=5, statistics=True)
    log_p = (hidden @ head.weight.T).log_softmax(-1).detach()
    torch.testing.assert_close(stats.entropy, -(log_p.exp() * log_p).sum(-1))
    torch.testing.assert_close(stats.sum_p2, log_p.exp().square().sum(-1))
    assert torch.equal(stats.argmax, log_p.argmax(-1))
    assert torch.equal(stats.log_prob, values)
    assert values.requires_grad
    assert not any(part.requires_grad for part in stats)


def test_no_more_logits_are_held_than_asked_for(monkeypatch):
    hidden, head, targets = operands()
    held = []
    real = torch.empty

    def recorded(*args, **kwargs):
        made = real(*args, **kwargs)
        held.append(tuple(made.shape))
        return made

    monkeypatch.setattr(torch, "empty", recorded)
    token_logprobs(hidden.requires_grad_(), head, targets, chunk=4).sum().backward()
    assert held == [(4, V)]


def test_no_rows():
    hidden, head, targets = operands()
    h, made, leaves = trained(hidden[:0], head, ("hidden", "weight"))
    values = token_logprobs(h, made, targets[:0], chunk=4)
    assert values.shape == (0,)
    assert all((x == 0).all() for x in torch.autograd.grad(values.sum(), leaves))


def test_the_plain_expression_under_vmap():
    hidden, head, targets = operands()

    def one(h, y):
        return token_logprobs(h[None], head, y[None])[0]

    each = torch.func.vmap(torch.func.grad(one))(hidden, targets)
    expected = head.weight[targets] - (hidden @ head.weight.T).softmax(-1) @ head.weight
    torch.testing.assert_close(each, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk", [0, -3, 2.5, True])
def test_a_chunk_of_no_rows_is_refused(chunk):
    with pytest.raises(InputError, match="chunk is"):
        token_logprobs(*operands(), chunk=chunk)


def test_certain_and_hopeless_tokens():
    weight = torch.tensor([[1000.0], [0.0], [-1000.0]])
    values = token_logprobs(torch.ones(3, 1), Head(weight), torch.arange(3), chunk=2)
    assert values.tolist() == [0.0, -1000.0, -2000.0]
    assert math.isfinite(float(values.sum()))


@pytest.mark.parametrize("chunk", [None, 5])
def test_automatic_mixed_precision_does_not_round_the_logits(chunk):
    hidden, head, targets = operands(bias=True, dtype=torch.float32)
    expected = token_logprobs(hidden, head, targets, chunk=chunk)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(token_logprobs(hidden, head, targets, chunk=chunk), expected)
