import numpy as np
import pytest

from prefdyn import InputError
from prefdyn.displacement import ches, edit_distance_similarity, toy_pairs
from prefdyn.policies import log_softmax


def test_the_policy_has_the_log_probabilities_of_states_and_tokens():
    pairs = toy_pairs(7, 0, vocabulary=9, width=4, lengths=(1, 5))
    rows = np.take_along_axis(
        log_softmax(pairs.hidden @ pairs.W.T), pairs.tokens[..., None], axis=-1
    )[..., 0]
    expected = (rows * pairs.mask).sum(-1)
    np.testing.assert_allclose(pairs.policy().log_probs().reshape(7, 2), expected, rtol=1e-12)


def test_scores_are_those_of_the_policys_own_states_and_tokens():
    pairs = toy_pairs(4, 1, lengths=(2, 6))
    policy, found = pairs.policy(), pairs.scores()
    responses = policy.responses or ()
    for i in range(4):
        plus, minus = policy.hidden_states(2 * i), policy.hidden_states(2 * i + 1)
        assert found["ches"][i] == pytest.approx(ches(plus, minus))
        assert found["length_difference"][i] == len(minus) - len(plus)
        tokens = responses[2 * i], responses[2 * i + 1]
        assert found["edit_distance"][i] == edit_distance_similarity(*tokens)


def test_pairs_differ_in_their_first_token_and_share_its_state():
    pairs = toy_pairs(300, 2, on_policy=1.0)
    assert np.all(pairs.tokens[:, 0, 0] != pairs.tokens[:, 1, 0])
    np.testing.assert_array_equal(pairs.hidden[:, 0, 0], pairs.hidden[:, 1, 0])


def test_lengths_are_in_their_range_and_equal_where_asked():
    free, equal = toy_pairs(400, 3), toy_pairs(400, 3, equal_lengths=True)
    assert (free.lengths.min(), free.lengths.max()) == (3, 24)
    assert np.any(free.lengths[:, 0] != free.lengths[:, 1])
    assert np.all(equal.lengths[:, 0] == equal.lengths[:, 1])


def test_tokens_follow_the_model_only_on_policy():
    def surprise(pairs):
        rows = log_softmax(pairs.hidden @ pairs.W.T)
        found = np.take_along_axis(rows, pairs.tokens[..., None], axis=-1)[..., 0]
        return -found[pairs.mask > 0].mean()

    own, uniform = (surprise(toy_pairs(300, 4, on_policy=share)) for share in (1.0, 0.0))
    rows = log_softmax((toys := toy_pairs(300, 4)).hidden @ toys.W.T)
    entropy = -(np.exp(rows) * rows).sum(-1).mean()
    assert own == pytest.approx(entropy, rel=0.1)
    assert uniform > 2 * own


def test_the_same_seed_gives_the_same_pairs_and_a_slice_is_a_part():
    pairs, again = toy_pairs(20, 5), toy_pairs(20, 5)
    np.testing.assert_array_equal(pairs.hidden, again.hidden)
    assert len(pairs[3:7]) == 4
    np.testing.assert_array_equal(pairs[3:7].tokens, pairs.tokens[3:7])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"on_policy": 2}, "on_policy is 2"),
        ({"lengths": (5, 4)}, r"lengths is \(5, 4\)"),
        ({"lengths": (0, 4)}, "lengths is 0"),
        ({"vocabulary": 2}, "vocabulary is 2"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(keywords, message):
    with pytest.raises(InputError, match=message):
        toy_pairs(**{"n": 3, "rng": 0, **keywords})
