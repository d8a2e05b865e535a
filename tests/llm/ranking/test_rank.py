"""Predictions of what a step on a pair does, held to the step itself."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch

from prefdyn import InputError, llm, objectives
from prefdyn.llm import Responses
from prefdyn.llm._usable import usable_pairs
from prefdyn.llm.ranking._rank import CrossEffects, Push, cross_effects, rank_pairs
from prefdyn.llm.training._gradient import backward

PAIRS = [
    ("is it red? ", "yes, it is.", "no"),
    ("is it red? ", "yes", "yes, it is red."),
    ("once upon a time ", "a cat sat.", "a cat ran!"),
    ("say no: ", "no.", "never, ever."),
]
OBJECTIVES = [
    objectives.get("dpo", beta=0.1),
    objectives.get("simpo"),
    objectives.get("ipo"),
    objectives.get("slime"),  # pushes single tokens
    objectives.get("kto"),  # sees answers under other prompts
    objectives.get("spo", mode="barrier"),  # sees gradients
]


@pytest.fixture(scope="module")
def model(llama):
    """In double precision throughout: the norms of transformers compute in single precision."""
    exact = copy.deepcopy(llama).double()

    def norm(old):
        return torch.nn.RMSNorm(old.weight.shape, eps=old.variance_epsilon, dtype=torch.float64)

    for layer in exact.model.layers:
        layer.input_layernorm = norm(layer.input_layernorm)
        layer.post_attention_layernorm = norm(layer.post_attention_layernorm)
    exact.model.norm = norm(exact.model.norm)
    return exact


@pytest.fixture(scope="module")
def encoded(tokenizer):
    """Chosen and rejected of all pairs in turn."""
    each = [llm.encode(tokenizer, prompt, both) for prompt, *both in PAIRS]
    return Responses(
        tuple(prompt for both in each for prompt in both.prompt_tokens),
        tuple(tokens for both in each for tokens in both.tokens),
    )


def slopes(model, responses, objective, rate, pair=None):
    """What a real step of this rate does to all responses, per unit of it.

    On a pair, the others of the batch only lend their statistics; None is a step on the mean loss.
    """
    pairs = np.arange(len(responses)).reshape(-1, 2)
    whole, moved = responses, None
    if objective.mismatched:
        whole, moved = llm.with_mismatched(responses, pairs)
    stepped = copy.deepcopy(model).requires_grad_(True)
    reference = llm.token_log_probs(model, whole).detach()
    weights = np.eye(len(pairs))[pair] if pair is not None else None
    loss = llm.PairLoss(objective, whole, pairs, reference, weights, mismatched=moved)
    together = llm.PairLoss(objective, whole, pairs, reference, mismatched=moved)
    stats = backward(stepped, together, loss.initial_stats).stats
    stepped.zero_grad()
    loss(stepped, stats).backward()
    with torch.no_grad():
        for parameter in stepped.parameters():
            parameter -= rate * parameter.grad
        change = llm.log_probs(stepped, responses) - llm.log_probs(model, responses)
    return change.numpy() / rate


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.id)
def test_rates_are_what_a_small_step_does(objective, model, tokenizer, encoded):
    found = cross_effects(model, tokenizer, PAIRS, objective)
    predicted = np.empty((2 * len(PAIRS), len(PAIRS)))
    predicted[0::2], predicted[1::2] = found.chosen, found.rejected
    errors = []
    for rate in (1e-6, 1e-7):
        columns = [slopes(model, encoded, objective, rate, r) for r in range(len(PAIRS))]
        errors.append(np.abs(np.stack(columns, 1) - predicted).max() / np.abs(predicted).max())
    assert errors[0] < 1e-2
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)  # what is left is of second order


def test_a_batch_moves_as_a_step_on_its_mean_loss(model, tokenizer, encoded):
    found = list(rank_pairs(model, tokenizer, PAIRS, "dpo", batch=len(PAIRS), gains=0))
    actual = slopes(model, encoded, objectives.get("dpo"), 1e-6)
    predicted = np.array([[p.batch_chosen_rate, p.batch_rejected_rate] for p in found])
    np.testing.assert_allclose(predicted.ravel(), actual, atol=1e-4 * np.abs(actual).max())


def test_a_prediction_in_numbers(model, tokenizer, encoded):
    found = list(rank_pairs(model, tokenizer, PAIRS, objectives.get("dpo", beta=0.4), gains=0))
    cross = cross_effects(model, tokenizer, PAIRS, objectives.get("dpo", beta=0.4))
    geometry = llm.response_geometry(model, None, None, encoded)
    for r, p in enumerate(found):
        w, v = 2 * r, 2 * r + 1
        gram = geometry.gram[[[w], [v]], [[w, v]]]
        assert p.line == r + 1
        assert (p.d_w, p.d_l) == pytest.approx((0.2, 0.2))  # beta / 2, at the reference
        assert p.chosen_rate == pytest.approx(0.2 * (gram[0, 0] - gram[0, 1]))
        assert p.rejected_rate == pytest.approx(0.2 * (gram[0, 1] - gram[1, 1]))
        assert p.margin_rate == pytest.approx(p.chosen_rate - p.rejected_rate)
        assert p.chosen_falls == (p.chosen_rate < 0)
        assert p.entanglement.inner == gram[0, 1]
        assert (p.chosen_log_prob, p.rejected_log_prob) == tuple(geometry.log_probs[[w, v]])
        scores = geometry.scores(w, v)
        assert {name: getattr(p, name) for name in scores} == pytest.approx(scores)
        others = [i for i in range(len(PAIRS)) if i != r]
        worst = others[cross.chosen[r, others].argmin()]
        assert p.pushed_by == worst + 1
        assert p.pushed_rate == pytest.approx(cross.chosen[r, worst])
        assert p.effect_on_others == pytest.approx(cross.chosen[others, r].mean())
        assert p.parts_at == [0, 3, 6, 1][r]


def test_next_tokens_that_gain(model, tokenizer, encoded):
    """Against the probabilities after a real step, at the place where chosen and rejected part."""
    rate = 1e-6
    for r, p in enumerate(rank_pairs(model, tokenizer, PAIRS, "dpo", gains=34)):
        context = encoded.prompt_tokens[2 * r] + encoded.tokens[2 * r][: p.parts_at]
        stepped = copy.deepcopy(model).requires_grad_(True)
        reference = llm.token_log_probs(model, encoded).detach()
        llm.PairLoss("dpo", encoded, [(2 * r, 2 * r + 1)], reference)(stepped).backward()
        with torch.no_grad():
            for parameter in stepped.parameters():
                parameter -= rate * parameter.grad
            before, after = (
                m(torch.tensor([context])).logits[0, -1].softmax(-1).numpy()
                for m in (model, stepped)
            )
        gained = (after - before) / rate
        order = [gain.token for gain in p.gains]
        assert set(order) == set(np.flatnonzero(gained > 0))
        masses = np.array([gain.probability * gain.rate for gain in p.gains])
        np.testing.assert_allclose(masses, gained[order], rtol=1e-3, atol=1e-4 * gained.max())
        assert np.all(np.diff(masses) <= 0)
        assert sum(gain.share for gain in p.gains) == pytest.approx(1)
        # Between two tokens this tokenizer writes a space.
        assert [gain.text for gain in p.gains] == [f" {tokenizer.decode([t])}" for t in order]


def test_pairs_are_read_as_they_are_wanted(model, tokenizer):
    read = []

    def stream():
        for pair in PAIRS:
            read.append(pair)
            yield pair

    found = rank_pairs(model, tokenizer, stream(), batch=2, gains=0)
    assert read == []
    assert [p.line for p in islice(found, 2)] == [1, 2]
    assert read == PAIRS[:2]
    assert [(p.line, p.batch) for p in found] == [(3, 1), (4, 1)]


def test_a_pair_alone_has_nobody_to_push(model, tokenizer):
    (found,) = rank_pairs(model, tokenizer, PAIRS[:1], gains=0)
    assert (found.pushed_by, found.pushed_rate, found.effect_on_others) == (None, None, None)
    assert found.batch_chosen_rate == found.chosen_rate


def test_worst_pushes():
    chosen = np.array([[-9.0, -1.0, 3.0], [-4.0, 5.0, 2.0], [-2.0, 0.0, 1.0]])
    cross = CrossEffects(chosen, np.zeros((3, 3)))
    assert cross.worst(9) == (Push(1, 0, -4.0), Push(2, 0, -2.0), Push(0, 1, -1.0))
    assert cross.worst(1) == (Push(1, 0, -4.0),)
    np.testing.assert_array_equal(cross.on_others, [-3.0, -0.5, 2.5])
    np.testing.assert_array_equal(cross.margin, chosen)


def test_another_reference(model, tokenizer, encoded):
    """Behind the reference on the chosen side, DPO pushes harder than half of beta."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.lm_head.weight.mul_(1.1)
    gap = (llm.log_probs(model, encoded) - llm.log_probs(other, encoded)).detach().numpy()
    for r, p in enumerate(rank_pairs(model, tokenizer, PAIRS, reference=other, gains=0)):
        margin = 0.1 * (gap[2 * r] - gap[2 * r + 1])
        assert p.d_w == pytest.approx(0.1 / (1 + np.exp(margin)))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("a ", "no", "no")], "Line 1: chosen and rejected are the same"),
        ([("a ", "no", "yes"), ((), (4,), (5,))], "Line 2: the prompt has no token"),
        ([((3,), (4,), (99,))], "Line 1: .*99"),
        ([], "no pair"),
    ],
)
def test_pairs_that_cannot_be_used(model, tokenizer, pairs, words):
    with pytest.raises(InputError, match=words):
        cross_effects(model, tokenizer, pairs)


def test_usable_pairs_counts_what_it_leaves_out(model, tokenizer):
    pairs = usable_pairs(
        model, tokenizer, [*PAIRS, ("a ", "no", "no"), ((3,), (4,), (99,))], skip_bad=True
    )
    assert len(list(rank_pairs(model, tokenizer, pairs, gains=0))) == len(PAIRS)
    assert pairs.skipped == {"chosen equals rejected": 1, "does not fit the model": 1}


def test_the_greedy_continuation(model, tokenizer, encoded):
    rate, objective = 1e-6, objectives.get("dpo")
    for r, p in enumerate(rank_pairs(model, tokenizer, PAIRS[:2], "dpo", gains=0, greedy=4)):
        own = llm.greedy(model, tokenizer, encoded.prompt_tokens[2 * r], 4)
        both = encoded[[2 * r, 2 * r + 1]]
        three = Responses(both.prompt_tokens + own.prompt_tokens, both.tokens + own.tokens)
        stepped = copy.deepcopy(model).requires_grad_(True)
        reference = llm.token_log_probs(model, three).detach()
        llm.PairLoss(objective, three, [(0, 1)], reference)(stepped).backward()
        with torch.no_grad():
            for parameter in stepped.parameters():
                parameter -= rate * parameter.grad
            change = llm.log_probs(stepped, own) - llm.log_probs(model, own)
        assert p.greedy_rate == pytest.approx(float(change) / rate, rel=1e-3)
        assert p.greedy == tokenizer.decode(own.tokens[0])


@pytest.mark.parametrize("objective", ["dpo", "slime"])
def test_layer_by_layer_and_in_part(model, tokenizer, objective):
    """Without the gradient of any response, and of some parameters only."""
    part = ["*self_attn*", "lm_head*"]
    found, same = (
        cross_effects(model, tokenizer, PAIRS[:2], objective, parameters=part, method=method)
        for method in ("gradients", "layer-wise")
    )
    whole = cross_effects(model, tokenizer, PAIRS[:2], objective)
    scale = np.abs(whole.chosen).max()
    np.testing.assert_allclose(same.chosen, found.chosen, atol=1e-9 * scale)
    np.testing.assert_allclose(same.rejected, found.rejected, atol=1e-9 * scale)
    rest = cross_effects(
        model, tokenizer, PAIRS[:2], objective, parameters=["*mlp*", "*norm*", "*embed*"]
    )
    np.testing.assert_allclose(found.chosen + rest.chosen, whole.chosen, atol=1e-9 * scale)


def test_records_are_not_taken_for_their_keys(model, tokenizer):
    record = {"prompt": "a ", "chosen": "yes", "rejected": "no"}
    with pytest.raises(InputError, match="hand records to read_pairs first"):
        list(rank_pairs(model, tokenizer, [record], gains=0))


def test_a_length_of_zero_is_refused(model, tokenizer):
    with pytest.raises(InputError, match="max_length is 0"):
        list(usable_pairs(model, tokenizer, PAIRS, 0))


def test_the_greedy_continuation_ends_with_the_context(model, tokenizer):
    long = [("a" * 60, "b", "c")]
    (short,) = rank_pairs(model, tokenizer, long, gains=0, greedy=4)
    (found,) = rank_pairs(model, tokenizer, long, gains=0, greedy=100)
    assert found.greedy == short.greedy
    assert found.greedy_rate == short.greedy_rate


def test_half_precision_is_predicted_roughly(llama, tokenizer):
    half = copy.deepcopy(llama).bfloat16()
    for objective in ("dpo", "slime"):
        found = list(rank_pairs(half, tokenizer, PAIRS, objective, gains=0))
        known = list(rank_pairs(llama, tokenizer, PAIRS, objective, gains=0))
        rates = np.array([[p.chosen_rate, p.rejected_rate] for p in found])
        exact = np.array([[p.chosen_rate, p.rejected_rate] for p in known])
        assert np.abs(rates - exact).max() < 0.1 * np.abs(exact).max()
    with pytest.raises(InputError, match="runs in half precision"):
        list(rank_pairs(half, tokenizer, PAIRS, gains=1))
