import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefdyn import InputError
from prefdyn.displacement import (
    ches,
    edit_distance_similarity,
    last_hidden_similarity,
    length_difference,
    length_normalised_ches,
)

HIDDEN_SCORES = (ches, length_normalised_ches, last_hidden_similarity)
CHOSEN = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, -1.0]])  # sum (3, 0)
REJECTED = np.array([[1.0, 0.0], [3.0, 4.0]])  # sum (4, 4)


def test_by_hand():
    assert ches(CHOSEN, REJECTED) == 12 - 9
    assert length_normalised_ches(CHOSEN, REJECTED) == 12 / 6 - 9 / 9
    assert last_hidden_similarity(CHOSEN, REJECTED) == -4


@pytest.mark.parametrize("score", HIDDEN_SCORES)
@pytest.mark.parametrize("padding", [0.0, 7.0, np.nan, np.inf])
def test_padding_never_counts(score, padding):
    padded = np.full((5, 2), padding)
    padded[:3] = CHOSEN
    mask = [1, 1, 1, 0, 0]
    assert score(padded, REJECTED, mask) == score(CHOSEN, REJECTED)
    assert score(REJECTED, padded, None, mask) == score(REJECTED, CHOSEN)


@pytest.mark.parametrize("score", HIDDEN_SCORES)
def test_left_padding_and_prompts_are_masked_alike(score):
    padded = np.vstack([np.full((2, 2), 9.0), CHOSEN])
    assert score(padded, REJECTED, [0, 0, 1, 1, 1]) == score(CHOSEN, REJECTED)


@pytest.mark.parametrize("score", HIDDEN_SCORES)
def test_batches_are_scored_row_by_row(score):
    rng = np.random.default_rng(0)
    chosen, rejected = rng.normal(size=(4, 3, 5, 2)), rng.normal(size=(3, 6, 2))
    together = score(chosen, rejected)
    assert together.shape == (4, 3)
    assert together[2, 1] == pytest.approx(score(chosen[2, 1], rejected[1]))


@pytest.mark.parametrize("score", HIDDEN_SCORES)
def test_half_precision_tensors_are_summed_in_double(score):
    chosen = torch.tensor(CHOSEN, dtype=torch.bfloat16, requires_grad=True)
    assert score(chosen, torch.tensor(REJECTED)) == score(CHOSEN, REJECTED)


def test_repeating_both_responses_scales_ches_but_not_its_normalised_form():
    twice = np.vstack([CHOSEN, CHOSEN]), np.vstack([REJECTED, REJECTED])
    assert ches(*twice) == 4 * ches(CHOSEN, REJECTED)
    assert length_normalised_ches(*twice) == pytest.approx(length_normalised_ches(CHOSEN, REJECTED))


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("kitten", "sitting", 3),
        ("abc", "abc", 0),
        ("abc", "xyz", 3),
        ("a", "bca", 2),
        ("ab", "b", 1),
    ],
)
def test_edit_distance_by_hand(one, other, distance):
    expected = -distance / max(len(one), len(other))
    assert edit_distance_similarity(one, other) == expected
    assert edit_distance_similarity(other, one) == expected


@given(st.lists(st.integers(0, 3), min_size=1), st.integers(0, 3), st.data())
def test_one_inserted_token_is_one_edit(tokens, extra, data):
    at = data.draw(st.integers(0, len(tokens)))
    longer = [*tokens[:at], extra, *tokens[at:]]
    assert edit_distance_similarity(tokens, np.array(longer)) == pytest.approx(-1 / len(longer))


def test_the_length_baseline_is_rejected_minus_chosen():
    np.testing.assert_array_equal(length_difference([3, 5], [7, 2]), [4, -3])


@pytest.mark.parametrize("score", HIDDEN_SCORES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CHOSEN[0], REJECTED), r"hidden_chosen has shape \(2,\): give one row per token"),
        ((CHOSEN, REJECTED[:, :1]), "widths 2 .* and 1"),
        ((np.zeros((2, 3, 2)), np.zeros((4, 3, 2))), "do not broadcast"),
        ((CHOSEN * np.nan, REJECTED), r"hidden_chosen\[0\] is not finite"),
        ((CHOSEN, REJECTED, [1, 0]), r"chosen_mask has shape \(2,\)"),
        ((CHOSEN, REJECTED, None, [0.5, 1]), "rejected_mask holds other numbers"),
        ((CHOSEN, REJECTED, None, [0, 0]), "hidden_rejected has a response without tokens"),
        ((np.zeros((0, 2)), REJECTED), "hidden_chosen has a response without tokens"),
        (([["a"]], REJECTED), "hidden_chosen is not an array of numbers"),
    ],
)
def test_bad_states_are_refused_in_a_sentence(score, arguments, message):
    with pytest.raises(InputError, match=message):
        score(*arguments)


def test_empty_sequences_and_lengths_are_refused():
    with pytest.raises(InputError, match="rejected has no token"):
        edit_distance_similarity("a", "")
    with pytest.raises(InputError, match="chosen_length is 0"):
        length_difference(0, 3)
    with pytest.raises(InputError, match=r"rejected_length is 2\.5"):
        length_difference(1, 2.5)
