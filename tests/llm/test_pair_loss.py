"""Objectives on pairs of a model's responses: what they see, and what is refused."""

import numpy as np
import pytest
import torch

from prefdyn import InputError, objectives
from prefdyn.llm import PairLoss, encode, log_probs, token_log_probs, with_mismatched
from prefdyn.llm._pair_loss import measure

TEXTS = [" yes", " no, never", " he may", " it is."]


@pytest.fixture(scope="module")
def responses(tokenizer):
    return encode(tokenizer, "is it?", TEXTS)


@pytest.fixture(scope="module")
def reference(llama, responses):
    # Not the policy itself: at equality many objectives are flat.
    return token_log_probs(llama, responses).detach() * 1.1


def test_loss_is_the_formula(llama, responses, reference):
    loss = PairLoss(objectives.get("dpo", beta=0.3), responses, [(0, 1), (2, 1)], reference)
    ratios = log_probs(llama, responses) - reference.sum(-1)
    gaps = torch.stack([ratios[0] - ratios[1], ratios[2] - ratios[1]])
    expected = -torch.nn.functional.logsigmoid(0.3 * gaps)
    assert float(loss(llama).detach()) == pytest.approx(float(expected.detach().mean()), rel=1e-5)
    weighted = PairLoss(loss.objective, responses, loss.pairs, reference, weights=[2.0, -1.0])
    assert float(weighted(llama).detach()) == pytest.approx(
        float((2 * expected[0] - expected[1]).detach()), rel=1e-5
    )


def test_tokens_lengths_and_masks_reach_the_objective(llama, responses, reference):
    pair = PairLoss("slime", responses, [(1, 0)], reference).pair(
        token_log_probs(llama, responses).detach()
    )
    assert pair.chosen_length.tolist() == [len(responses.tokens[1])]
    assert pair.rejected_mask is not None
    assert pair.rejected_mask.sum() == len(responses.tokens[0])
    assert pair.chosen_tokens is not None
    torch.testing.assert_close(pair.chosen_tokens.sum(-1), pair.chosen)


def test_squares_are_those_of_the_softmax(llama, responses):
    found = measure(llama, responses, squares=True)
    assert found.log_sum_p2 is not None
    row = 1
    ids = torch.tensor([responses.prompt_tokens[row] + responses.tokens[row]])
    n = len(responses.tokens[row])
    p = llama(ids).logits[0, -n - 1 : -1].double().softmax(-1)
    torch.testing.assert_close(
        found.log_sum_p2[row, :n].double(), p.square().sum(-1).log(), rtol=1e-5, atol=1e-5
    )
    assert not found.log_sum_p2.requires_grad


def test_wpo_weighs_by_the_models_own_confidence(llama, responses, reference):
    wpo = objectives.get("wpo", base="dpo", beta=0.1)
    base = PairLoss(wpo.base, responses, [(0, 1)], reference)
    found = measure(llama, responses, squares=True)
    assert found.log_sum_p2 is not None
    relative = (found.tokens - found.log_sum_p2).detach().double().numpy()
    means = [relative[i, : len(responses.tokens[i])].mean() for i in (0, 1)]
    expected = np.exp(sum(means)) * float(base(llama).detach())
    loss = PairLoss(wpo, responses, [(0, 1)], reference)
    assert float(loss(llama).detach()) == pytest.approx(expected, rel=1e-5)


def test_z0_comes_from_answers_behind_other_prompts(llama, tokenizer):
    prompts = ["is it?", "is it?", "who ran?", "who ran?"]
    responses, moved = with_mismatched(encode(tokenizer, prompts, TEXTS), [(0, 1), (2, 3)])
    assert moved.tolist() == [[4, 5], [6, 7]]
    assert responses.tokens[4:] == responses.tokens[:4]
    assert responses.prompt_tokens[4] == responses.prompt_tokens[2]
    assert responses.prompt_tokens[7] == responses.prompt_tokens[0]
    found = measure(llama, responses)
    reference = found.tokens.detach() - 0.1 * torch.as_tensor(responses.mask)
    loss = PairLoss("kto", responses, [(0, 1), (2, 3)], reference, mismatched=moved)
    stats = loss.updated(loss.initial_stats, found)
    assert stats is not None
    assert stats["z0"] == pytest.approx(0.1 * responses.lengths[4:].mean(), rel=1e-4)
    assert loss.unpaired.tolist() == [4, 5, 6, 7]


def test_answers_to_one_prompt_have_no_mismatch(responses):
    with pytest.raises(InputError, match="All pairs answer one prompt"):
        with_mismatched(responses, [(0, 1), (2, 3)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": 3}, "objective is a int"),
        ({"objective": "dop"}, "nearest: .*dpo"),
        ({"objective": "kto"}, "give mismatched="),
        ({"pairs": []}, "at least one"),
        ({"pairs": [(0, 1), (2,)]}, "one row per pair"),
        ({"pairs": [(0, 4)]}, "names response 4: there are 0 to 3"),
        ({"pairs": [(1, 1)]}, "same response as chosen and as rejected"),
        ({"weights": [1.0]}, "one finite number for each of 2 pairs"),
        ({"weights": [1.0, np.nan]}, "one finite number for each of 2 pairs"),
        ({"weights": "ab"}, "not an array of numbers"),
        ({"reference": torch.zeros(4, 2)}, "reference has shape"),
        ({"gold": [3]}, "one number of a response, 0 to 3, for each of 2 pairs"),
        ({"gold": [0, 4]}, "one number of a response, 0 to 3, for each of 2 pairs"),
        ({"extra": {"chosen_win": [1, 0]}}, "a pair has"),
        ({"extra": {"chosen_win_rate": [0.1, 0.2, 0.3]}}, "one entry for each of 2 pairs"),
    ],
)
def test_wrong_inputs_are_refused(responses, reference, change, message):
    settings = {"objective": "dpo", "pairs": [(0, 1), (2, 1)], "reference": reference}
    with pytest.raises(InputError, match=message):
        PairLoss(responses=responses, **settings | change)


def test_a_broken_reference_is_found(responses, reference):
    broken = reference.clone()
    broken[1, 2] = torch.nan
    with pytest.raises(InputError, match=r"reference\[1, 2\] is nan"):
        PairLoss("dpo", responses, [(0, 1)], broken)


def test_pairs_answer_one_prompt(tokenizer, llama):
    responses = encode(tokenizer, ["is it?", "who?"], [" yes", " she"])
    with pytest.raises(InputError, match="answer different prompts"):
        PairLoss("dpo", responses, [(0, 1)], token_log_probs(llama, responses))


def test_win_rates_reach_the_objective(llama, responses, reference):
    extra = {"chosen_win_rate": [0.9], "rejected_win_rate": [0.2]}
    loss = PairLoss("sppo", responses, [(0, 1)], reference, extra=extra)
    ratios = (log_probs(llama, responses) - reference.sum(-1)).detach().double().numpy()
    beta = loss.objective.beta
    expected = 0.5 * ((ratios[0] - 0.4 / beta) ** 2 + (ratios[1] + 0.3 / beta) ** 2)
    assert float(loss(llama).detach()) == pytest.approx(expected, rel=1e-5)


def test_the_hinge_of_spo_is_that_of_the_batch(llama, responses, reference):
    """Its mean loss is above the constraint while one of its pairs is below: both are pushed."""
    sft = [-float(log_probs(llama, responses)[i].detach()) / responses.lengths[i] for i in (0, 2)]
    v_star = min(sft) + 0.25 * abs(sft[0] - sft[1])
    hinge = objectives.get("spo", mode="hinge", lam=0.7, eps=0.0, v_star=v_star)
    loss = PairLoss(hinge, responses, [(0, 1), (2, 1)], reference)
    plain = loss.with_objective(hinge.base)
    stats = loss.updated(loss.initial_stats, measure(llama, responses))
    found = float((loss(llama, stats) - plain(llama)).detach())
    assert found == pytest.approx(0.7 * (sum(sft) / 2 - v_star), rel=1e-4)
    assert found < 0.7 * (max(sft) - v_star) / 2 - 0.01  # what pairs by themselves would give


def test_answers_go_behind_the_next_other_prompt(tokenizer):
    prompts = ["a", "a", "b", "c", "c", "a", "a"]
    each = [prompt for prompt in prompts for _ in range(2)]
    before = encode(tokenizer, each, [f"{n % 2}" + "xyz"[n % 3] for n in range(14)])
    pairs = np.arange(14).reshape(-1, 2)
    found, moved = with_mismatched(before, pairs)
    texts = ["".join(tokenizer.convert_ids_to_tokens(list(p))) for p in found.prompt_tokens]
    assert [texts[i] for i in moved[:, 0]] == ["b", "b", "c", "a", "a", "b", "b"]
