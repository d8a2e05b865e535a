import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from prefdyn import InputError, objectives
from prefdyn.llm import Head, PairLoss, Responses, States, completion_states, kernels, pair_head
from prefdyn.llm.head._passes import logits_buffer
from prefdyn.llm.head.logprobs import token_logprobs

V, D = 34, 16
# The first two share a prefix, the third a longer one with the first; one has a single token, and
# one is in no pair.
TOKENS = (
    (5, 6, 7, 8, 2),
    (5, 6, 9, 2),
    (5, 6, 7, 10, 11, 12),
    (3,),
    (20, 21, 22),
    (13, 14, 15, 16, 17, 18, 2),
)
PAIRS = np.array([[0, 1], [2, 3], [0, 5], [5, 2]])
HEADS = {
    "plain": {},
    "biased": {"bias": True},
    "scaled": {"scale": 0.0625},
    "soft-capped": {"cap": 3.0},
}


@pytest.fixture(scope="module")
def responses():
    return Responses(((4, 5, 6),) * len(TOKENS), TOKENS)


@pytest.fixture(scope="module")
def states(llama, responses):
    with torch.no_grad():
        return completion_states(copy.deepcopy(llama).double(), responses)


def draw_head(bias=False, scale=1.0, cap=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(V, D, generator=g, dtype=torch.float64)
    offset = torch.randn(V, generator=g, dtype=torch.float64) if bias else None
    return Head(weight, offset, scale, cap)


def draw_loss(responses, objective="dpo", **settings):
    reference = torch.as_tensor(-2.0 * responses.mask - np.arange(7) * 0.1 * responses.mask)
    return PairLoss(objective, responses, PAIRS, reference, **settings)


def leaves_of(states, head, dtype=torch.float64, trained=("hidden", "weight", "bias")):
    def leaf(x, name):
        return x.detach().to(dtype, copy=True).requires_grad_(name in trained)

    h, weight = leaf(states.hidden, "hidden"), leaf(head.weight, "weight")
    bias = None if head.bias is None else leaf(head.bias, "bias")
    leaves = [x for x in (h, weight, bias) if x is not None and x.requires_grad]
    return replace(states, hidden=h), Head(weight, bias, head.scale, head.cap), leaves


def token_table(states, head, responses):
    """The definition: all logits, in the operands' precision."""
    values = token_logprobs(states.hidden, head, states.targets, chunk=None)
    places = tuple(torch.as_tensor(x) for x in responses.places)
    return values.new_zeros(responses.mask.shape).index_put(places, values)


def relative(found, expected):
    return float(((found.double() - expected).norm() / expected.norm()).detach())


def close(found, expected, tolerance=1e-11):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("rows", [None, 12, 16, 29])
@pytest.mark.parametrize("trained", [("hidden",), ("weight", "bias"), ("hidden", "weight", "bias")])
def test_loss_and_gradients_against_autograd(states, responses, kind, rows, trained):
    loss = draw_loss(responses, weights=[0.5, -1.0, 2.0, 0.25])
    s, head, leaves = leaves_of(states, draw_head(**HEADS[kind]), trained=trained)
    found = pair_head(s, head, loss, rows=rows)
    expected = loss.of_tokens(token_table(s, head, responses))
    close(found.loss, expected)
    for _ in range(2):  # a second backward finds the same
        for one, other in zip(
            torch.autograd.grad(found.loss * 3, leaves, retain_graph=True),
            torch.autograd.grad(expected * 3, leaves, retain_graph=True),
            strict=True,
        ):
            close(one, other)


@pytest.mark.parametrize("rows", [None, 13, 5])
@pytest.mark.parametrize(
    "objective", ["ipo", "simpo", "orpo", "slime", "wpo", "aot", "aot_unpaired", "dpop"]
)
def test_every_kind_of_objective(states, responses, objective, rows):
    loss = draw_loss(responses, objective)
    s, head, leaves = leaves_of(states, draw_head())
    found = pair_head(s, head, loss, rows=rows)
    tokens = token_table(s, head, responses)
    log_p = head.logits(s.hidden).log_softmax(-1).detach()
    places = tuple(torch.as_tensor(x) for x in responses.places)
    squares = torch.zeros_like(tokens).index_put(places, (2 * log_p).logsumexp(-1))
    expected = loss.of_tokens(tokens, None, squares if loss.objective.token_level else None)
    close(found.loss, expected)
    for one, other in zip(
        torch.autograd.grad(found.loss, leaves), torch.autograd.grad(expected, leaves), strict=True
    ):
        close(one, other)


def test_statistics_of_the_batch_are_constants(states, responses):
    loss = draw_loss(responses, objectives.get("bco"))
    s, head, leaves = leaves_of(states, draw_head())
    stats = {"delta": 0.3, "count": 4.0}
    found = torch.autograd.grad(pair_head(s, head, loss, stats=stats, rows=12).loss, leaves)
    expected = loss.of_tokens(token_table(s, head, responses), stats)
    for one, other in zip(found, torch.autograd.grad(expected, leaves), strict=True):
        close(one, other)


def test_further_fields_go_with_their_pairs(states, responses):
    extra = {"chosen_win_rate": [0.9, 0.1, 0.8, 0.6], "rejected_win_rate": [0.2, 0.4, 0.3, 0.1]}
    loss = draw_loss(responses, "sppo", extra=extra)
    s, head, _ = leaves_of(states, draw_head())
    expected = loss.of_tokens(token_table(s, head, responses))
    close(pair_head(s, head, loss, rows=12).loss, expected)


@pytest.mark.parametrize("rows", [None, 12, 4])
def test_log_probabilities_and_statistics(states, responses, rows):
    found = pair_head(states, head := draw_head(), draw_loss(responses), rows=rows)
    expected = token_table(states, head, responses)
    alone = 4  # the response in no pair
    assert found.token_log_probs.dtype == torch.float64
    assert found.token_log_probs[alone, :3].isnan().all()
    assert (found.token_log_probs[torch.as_tensor(responses.mask) == 0] == 0).all()
    paired = [r for r in range(len(TOKENS)) if r != alone]
    close(found.token_log_probs[paired], expected[paired])
    log_p = head.logits(states.hidden).log_softmax(-1)
    rest = states.segments != alone
    close(found.stats.entropy[rest], -(log_p.exp() * log_p).sum(-1)[rest])
    assert torch.equal(found.stats.argmax[rest], log_p.argmax(-1)[rest])
    assert found.stats.entropy[~rest].isnan().all()
    assert (found.stats.argmax[~rest] == -1).all()


@pytest.mark.parametrize("objective", ["dpo", "slime"])
def test_merged_prefixes_change_nothing_that_the_model_below_sees(llama, responses, objective):
    loss = draw_loss(responses, objective)

    def gradients(merge):
        model = copy.deepcopy(llama).double()
        found = pair_head(
            completion_states(model, responses), Head.of(model), loss, merge=merge, rows=16
        )
        return found, torch.autograd.grad(found.loss, list(model.parameters()))

    (apart, one), (merged, other) = gradients(False), gradients(True)
    close(merged.loss, apart.loss)
    torch.testing.assert_close(merged.token_log_probs, apart.token_log_probs, equal_nan=True)
    for a, b in zip(one, other, strict=True):
        close(a, b, 1e-6)  # Llama's norms compute in single precision, whatever the model's is


def test_a_shared_prefix_cancels_in_the_gap(states, responses):
    loss = replace(draw_loss(responses), pairs=[[0, 1]], weights=[1.0])
    s, head, (by_hidden, *_) = leaves_of(states, draw_head())
    (found,) = torch.autograd.grad(pair_head(s, head, loss, merge=True).loss, by_hidden)
    assert found[[0, 1]].abs().max() < 1e-15  # the tokens 5 and 6
    assert found[2:5].abs().min(-1).values.max() > 1e-6


def pair_gradients(states, head, responses):
    """Gradients of log pi(y) by weight and bias, as vectors; (R, P)."""
    parts = [head.weight.clone().requires_grad_()]
    if head.bias is not None:
        parts.append(head.bias.clone().requires_grad_())
    made = Head(parts[0], parts[1] if len(parts) > 1 else None, head.scale, head.cap)
    values = token_table(states, made, responses).sum(-1)
    each = [torch.autograd.grad(v, parts, retain_graph=True) for v in values]
    return torch.stack([torch.cat([x.flatten() for x in row]) for row in each])


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("objective", ["dpo", "aot"])
def test_gram_of_the_head_without_its_gradients(states, responses, kind, objective, merge):
    head = draw_head(**HEADS[kind])
    loss = draw_loss(responses, objective)
    s, made, leaves = leaves_of(states, head)
    found = pair_head(s, made, loss, rows=16, gram=True, merge=merge)
    gradients = pair_gradients(states, head, responses)
    expected = torch.stack([gradients[p] @ gradients[p].T for p in torch.as_tensor(PAIRS)])
    assert found.gram is not None
    close(found.gram, expected, 1e-10)
    plain = pair_head(s, made, loss, rows=16, merge=merge)
    for one, other in zip(
        torch.autograd.grad(found.loss, leaves),
        torch.autograd.grad(plain.loss, leaves),
        strict=True,
    ):
        close(one, other)


def test_inner_products_from_four_probabilities(states):
    """K_ij = 1[y_i = y_j] - p_i(y_j) - p_j(y_i) + <p_i, p_j>."""
    head = draw_head()
    p, y = head.logits(states.hidden).softmax(-1), states.targets
    dz = torch.nn.functional.one_hot(y, V) - p
    equal = (y[:, None] == y).double()
    close(dz @ dz.T, equal - p[:, y] - p[:, y].T + p @ p.T)


def test_norms_of_token_gradients_from_the_statistics(states, responses):
    head = draw_head()
    found = pair_head(states, head, draw_loss(responses)).stats
    weight = head.weight.clone().requires_grad_()
    values = token_logprobs(states.hidden, Head(weight), states.targets)
    for row in (0, 6, 15):
        (gradient,) = torch.autograd.grad(values[row], weight, retain_graph=True)
        close(gradient.norm(), states.hidden[row].norm() * found.residual[row].sqrt())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_lower_precision_against_float64(states, responses, dtype, tolerance):
    loss = draw_loss(responses)
    s, head, leaves = leaves_of(states, draw_head(), dtype)
    s64, head64, leaves64 = leaves_of(s, head)
    found, expected = pair_head(s, head, loss, rows=16), pair_head(s64, head64, loss)
    worst = (found.token_log_probs - expected.token_log_probs).nan_to_num().abs().max()
    assert float(worst) <= (1e-4 if dtype == torch.bfloat16 else 1e-5)
    for one, other in zip(
        torch.autograd.grad(found.loss, leaves),
        torch.autograd.grad(expected.loss, leaves64),
        strict=True,
    ):
        assert one.dtype == dtype
        assert relative(one, other) <= tolerance


def test_a_tied_embedding_gets_both_gradients(llama, responses):
    loss = draw_loss(responses)

    def gradients(function):
        model = copy.deepcopy(llama).double()
        model.lm_head.weight = model.model.embed_tokens.weight
        value = function(completion_states(model, responses), Head.of(model))
        return torch.autograd.grad(value, list(model.parameters()))

    for one, other in zip(
        gradients(lambda s, head: pair_head(s, head, loss, rows=12).loss),
        gradients(lambda s, head: loss.of_tokens(token_table(s, head, responses))),
        strict=True,
    ):
        close(one, other)


def test_one_buffer_for_all_chunks(states, responses, monkeypatch):
    sizes = []
    real = torch.empty

    def recorded(*args, **kwargs):
        made = real(*args, **kwargs)
        sizes.append(tuple(made.shape))
        return made.fill_(torch.nan)  # what is read must have been written

    monkeypatch.setattr(torch, "empty", recorded)
    s, head, leaves = leaves_of(states, draw_head())
    found = pair_head(s, head, draw_loss(responses), rows=13)
    assert sizes == [(13, V)]
    assert all(x.isfinite().all() for x in torch.autograd.grad(found.loss, leaves))


def test_rows_on_a_gpu_begin_at_whole_vectors():
    """Of `meta` tensors, which stand for any device that is not a processor."""
    head = Head(torch.empty(50257, 4, device="meta"))
    buffer = logits_buffer(torch.empty(6, 4, device="meta"), head, 6)
    assert buffer.shape == (6, 50257)
    assert buffer.stride() == (50272, 1)


def test_where_no_gradient_is_recorded_none_is_made(states, responses, monkeypatch):
    head = Head(torch.randn(V, D, requires_grad=True))
    loss = draw_loss(responses)
    with_gradients = pair_head(states, head, loss).loss
    monkeypatch.setattr(kernels, "dz_row", None)
    with torch.no_grad():
        found = pair_head(states, head, loss).loss
    assert torch.equal(found, with_gradients)
    assert not found.requires_grad


def test_differentiating_twice_is_refused(states, responses):
    s, head, leaves = leaves_of(states, draw_head())
    with pytest.raises(InputError, match="first derivatives only"):
        torch.autograd.grad(
            pair_head(s, head, draw_loss(responses)).loss, leaves, create_graph=True
        )


def test_wrong_inputs(states, responses):
    head, loss = draw_head(), draw_loss(responses)
    with pytest.raises(InputError, match="states has 25 rows but the responses have 26 tokens"):
        pair_head(States(states.hidden[:-1], states.targets[:-1], states.segments[:-1]), head, loss)
    with pytest.raises(InputError, match="rows is 0"):
        pair_head(states, head, loss, rows=0)
    with pytest.raises(InputError, match="give rows=13"):
        pair_head(states, head, loss, rows=5, gram=True)


@pytest.mark.parametrize("rows", [None, 13, 5])
@pytest.mark.parametrize(
    "objective",
    [
        objectives.get("cpo", nll_norm="batch_tokens"),
        objectives.get("slime", token_reduction="batch"),
    ],
    ids=lambda objective: objective.id,
)
def test_lengths_of_the_whole_batch(states, responses, objective, rows):
    """A mean over the batch is not one over what fits into the buffer."""
    loss = draw_loss(responses, objective)
    s, head, leaves = leaves_of(states, draw_head())
    found = pair_head(s, head, loss, rows=rows)
    expected = loss.of_tokens(token_table(s, head, responses))
    close(found.loss, expected)
    assert all(
        torch.allclose(one, other, rtol=1e-9, atol=1e-11)
        for one, other in zip(
            torch.autograd.grad(found.loss, leaves, retain_graph=True),
            torch.autograd.grad(expected, leaves),
            strict=True,
        )
    )


@pytest.mark.parametrize("rows", [None, 13])
def test_gold_responses_have_log_probabilities_too(states, responses, rows):
    gold = [4, 4, 1, 0]  # response 4 is in no pair
    loss = draw_loss(responses, "cpo", gold=gold)
    s, head, leaves = leaves_of(states, draw_head())
    found = pair_head(s, head, loss, rows=rows)
    expected = loss.of_tokens(token_table(s, head, responses))
    close(found.loss, expected)
    for one, other in zip(
        torch.autograd.grad(found.loss, leaves, retain_graph=True),
        torch.autograd.grad(expected, leaves),
        strict=True,
    ):
        close(one, other)
    assert bool(found.token_log_probs[4, : len(TOKENS[4])].isfinite().all())
