"""`token_logprobs` and `pair_head`, through the kernels, against plain expressions in float64."""

from itertools import pairwise, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import States
from prefdyn.llm._pair_head import pair_head
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.head import _passes
from prefdyn.llm.head._head import Head
from prefdyn.llm.head.logprobs import token_logprobs
from tests.llm.kernels.suite.place import DEVICE, ON_GPU, draw, relative

# A vocabulary that no block divides (GPT-2's on a GPU).
V, D = (50257, 256) if ON_GPU else (301, 16)
LENGTHS = (3, 2, 4, 1, 2, 2)
PAIRS = np.array([[0, 1], [2, 3], [0, 5]])  # one response in two pairs, one in none
HEADS = {
    "plain": {},
    "biased": {"bias": True},
    "scaled": {"scale": 0.0625},
    "soft-capped": {"bias": True, "cap": 4.0},
}
TRAINED = [("hidden", "weight", "bias"), ("hidden",), ("weight", "bias")]
# The interpreter cannot do bfloat16, and takes its time.
LOW = torch.bfloat16 if ON_GPU else torch.float16
CASES = [
    ("plain", TRAINED[0], torch.float32),
    ("scaled", TRAINED[0], torch.float16),
    ("soft-capped", TRAINED[0], torch.float32),
    ("biased", TRAINED[1], torch.float32),
    ("biased", TRAINED[2], torch.float16),
]
if ON_GPU:
    CASES = list(product(HEADS, TRAINED, [torch.float32, torch.float16, torch.bfloat16]))


def log_prob_error(dtype):
    return 1e-5 if dtype == torch.float32 else 1e-4


def gradient_error(dtype):
    return 1e-5 if dtype == torch.float32 else 1e-2


def operands(dtype, bias=False, scale=1.0, cap=None, trained=TRAINED[0]):
    """Hidden states, head, targets, and the leaves that are trained."""
    rows = sum(LENGTHS)
    hidden = draw(rows, D, seed=1, dtype=dtype)
    weight = draw(V, D, seed=2, size=2 / D**0.5, dtype=dtype)
    offset = draw(V, seed=3, dtype=dtype) if bias else None
    named = {"hidden": hidden, "weight": weight, "bias": offset}
    leaves = [x.requires_grad_() for name, x in named.items() if x is not None and name in trained]
    targets = torch.randint(V, (rows,), generator=torch.Generator().manual_seed(4)).to(DEVICE)
    return hidden, Head(weight, offset, scale, cap), targets, leaves


def doubled(hidden, head, leaves):
    """The same numbers as leaves in float64."""
    twins = {id(x): x.detach().double().requires_grad_(x.requires_grad) for x in leaves}

    def twin(x: Any) -> Any:
        return None if x is None else twins.get(id(x), x.detach().double())

    exact = Head(twin(head.weight), twin(head.bias), head.scale, head.cap)
    return twin(hidden), exact, [twins[id(x)] for x in leaves]


def definition(hidden, head, targets):
    """All logits, in float64."""
    z = hidden @ head.weight.T if head.bias is None else hidden @ head.weight.T + head.bias
    z = head.scale * z
    log_p = (z if head.cap is None else head.cap * torch.tanh(z / head.cap)).log_softmax(-1)
    picked = log_p.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return torch.where(targets < 0, 0.0, picked)


def compare(found, leaves, expected, exact, times=1):
    """Gradients, as often as is said."""
    wanted = torch.autograd.grad(expected, exact, retain_graph=True)
    for _ in range(times):
        for one, other, leaf in zip(
            torch.autograd.grad(found, leaves, retain_graph=True), wanted, leaves, strict=True
        ):
            assert one.dtype == leaf.dtype
            assert relative(one, other) <= gradient_error(leaf.dtype)


@pytest.mark.parametrize(("kind", "trained", "dtype"), CASES)
def test_token_log_probabilities(kind, trained, dtype):
    hidden, head, targets, leaves = operands(dtype, **HEADS[kind], trained=trained)
    targets[[0, 9]] = -1
    hidden64, head64, leaves64 = doubled(hidden, head, leaves)
    found, stats = token_logprobs(hidden, head, targets, chunk=8, statistics=True)
    expected = definition(hidden64, head64, targets)
    assert found.dtype == torch.float32
    assert float((found - expected).detach().abs().max()) <= log_prob_error(dtype)
    assert stats.entropy.isfinite().all()
    weights = torch.linspace(-1, 2, len(found), device=DEVICE)
    compare((found * weights).sum(), leaves, (expected * weights).sum(), leaves64, times=2)


def paired(dtype, objective="dpo", **settings):
    """Operands and a loss on pairs of responses."""
    hidden, head, targets, leaves = operands(dtype, **settings)
    numbers, firsts = targets.tolist(), np.cumsum((0, *LENGTHS))
    tokens = tuple(tuple(numbers[a:b]) for a, b in pairwise(firsts))
    responses = Responses(((1, 2),) * len(tokens), tokens)
    reference = torch.as_tensor(-2.0 * responses.mask)
    loss = PairLoss(objective, responses, PAIRS, reference, weights=[0.5, -1.0, 2.0])
    segments = torch.as_tensor(np.repeat(range(len(LENGTHS)), LENGTHS), device=DEVICE)
    return States(hidden, targets, segments), head, loss, leaves


def loss_by_definition(states, head, loss):
    values = definition(states.hidden, head, states.targets)
    places = tuple(torch.as_tensor(x, device=DEVICE) for x in loss.responses.places)
    table = values.new_zeros(loss.responses.mask.shape).index_put(places, values)
    return loss.of_tokens(table), table


@pytest.mark.parametrize(("kind", "trained", "dtype"), CASES)
def test_pairs(kind, trained, dtype):
    states, head, loss, leaves = paired(dtype, **HEADS[kind], trained=trained)
    hidden64, head64, leaves64 = doubled(states.hidden, head, leaves)
    expected, table = loss_by_definition(
        States(hidden64, states.targets, states.segments), head64, loss
    )
    found = pair_head(states, head, loss, rows=10)
    assert relative(found.loss.detach(), expected.detach()) <= log_prob_error(dtype)
    off = (found.token_log_probs - table.detach())[loss.rows]
    assert float(off.abs().max()) <= log_prob_error(dtype)
    compare(found.loss, leaves, expected, leaves64, times=2)


@pytest.mark.parametrize("kind", ["plain", "soft-capped"])
def test_narrow_gradients(monkeypatch, kind):
    """What a GPU does with bfloat16: gradients by logits half as wide, in the same buffer."""
    monkeypatch.setattr(_passes, "gradient_dtype", lambda hidden, head: LOW)
    states, head, loss, leaves = paired(LOW, **HEADS[kind])
    hidden64, head64, leaves64 = doubled(states.hidden, head, leaves)
    states64 = States(hidden64, states.targets, states.segments)
    expected, _ = loss_by_definition(states64, head64, loss)
    for gram in (False, True):
        found = pair_head(states, head, loss, rows=10, gram=gram)
        compare(found.loss, leaves, expected, leaves64)
    values = definition(hidden64, head64, states.targets)
    each = [values[states.segments == r].sum() for r in range(len(LENGTHS))]
    parts = [x for x in (head64.weight, head64.bias) if x is not None]
    vectors = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(x, parts, retain_graph=True)])
            for x in each
        ]
    )
    assert found.gram is not None
    for numbers, gram in zip(PAIRS, found.gram, strict=True):
        assert relative(gram, vectors[numbers] @ vectors[numbers].T) <= 1e-2
    hidden, frozen, targets, leaves = operands(LOW, **HEADS[kind], trained=("hidden",))
    hidden64, head64, leaves64 = doubled(hidden, frozen, leaves)
    compare(
        token_logprobs(hidden, frozen, targets, chunk=8).sum(),
        leaves,
        definition(hidden64, head64, targets).sum(),
        leaves64,
    )


def test_the_host_waits_for_nothing_between_chunks():
    """No number is read back once the first product is on its way."""
    states, head, loss, leaves = paired(torch.float32, **HEADS["biased"])
    profile: Any = torch.autograd.profiler.profile()
    with profile:
        pair_head(states, head, loss, rows=10)
        values = token_logprobs(states.hidden, head, states.targets, chunk=8)
        torch.autograd.grad(values.sum(), leaves)
    events = sorted(profile.function_events, key=lambda event: event.time_range.start)
    names = [event.name for event in events]
    after = names[names.index("aten::addmm_") :]
    assert after.count("aten::addmm_") > 6
    assert not {"aten::_local_scalar_dense", "aten::nonzero"} & set(after)


def test_a_tied_embedding_gets_both_gradients():
    _, head, targets, _ = operands(torch.float32, trained=("weight",))
    weight, ids = head.weight, targets.roll(1)
    weight64 = weight.detach().double().requires_grad_()
    found = token_logprobs(torch.tanh(weight[ids]), head, targets, chunk=8).sum()
    expected = definition(torch.tanh(weight64[ids]), Head(weight64), targets).sum()
    compare(found, [weight], expected, [weight64])


def test_only_what_is_wanted_is_multiplied(monkeypatch):
    seen = []
    real = _passes.kernels.add_product

    def recorded(out, a, b, **settings):
        seen.append((tuple(a.shape), tuple(b.shape)))
        return real(out, a, b, **settings)

    monkeypatch.setattr(_passes.kernels, "add_product", recorded)
    rows = sum(LENGTHS[i] for i in (0, 1, 2, 3, 5))
    products = {"logits": ((rows, D), (D, V)), "hidden": ((rows, V), (V, D))}
    products["weight"] = ((V, rows), (rows, D))
    for trained in (("hidden",), ("weight",), ("hidden", "weight"), ()):
        states, head, loss, _ = paired(torch.float32, trained=trained)
        seen.clear()
        pair_head(states, head, loss, rows=100)
        assert seen == [products[name] for name in ("logits", *trained)]


def test_what_is_read_has_been_written(monkeypatch):
    def poisoned(make):
        return lambda *args, **settings: _poison(make(*args, **settings))

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    states, head, loss, leaves = paired(torch.float32, **HEADS["biased"])
    found = pair_head(states, head, loss, rows=10)
    assert all(x.isfinite().all() for x in torch.autograd.grad(found.loss, leaves))
    values = token_logprobs(states.hidden, head, states.targets, chunk=8)
    assert all(x.isfinite().all() for x in torch.autograd.grad(values.sum(), leaves))


def _poison(x):
    return x.fill_(torch.nan) if x.is_floating_point() else x


def test_an_adapter_on_the_head_is_refused():
    adapter = torch.nn.Sequential(torch.nn.Linear(4, 7))
    model = SimpleNamespace(get_output_embeddings=lambda: adapter, config=None)
    with pytest.raises(InputError, match="merge an adapter on it first"):
        Head.of(model)
