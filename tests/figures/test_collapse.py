import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from figures.plot_collapse import largest_entropy
from prefdyn.policies import entropy, log_softmax


@given(st.lists(st.floats(0, 20), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_no_policy_within_the_bounds_has_a_larger_entropy(bounds, seed):
    bounds = np.array(bounds)
    slack = np.random.default_rng(seed).exponential(size=(300, len(bounds)))
    odds = np.concatenate([[bounds], bounds + slack, np.maximum(bounds, slack)])
    allowed = entropy(log_softmax(np.concatenate([np.zeros((len(odds), 1)), -odds], axis=-1)))
    assert largest_entropy(bounds) >= allowed.max() - 1e-6  # the grid's resolution


def test_without_bounds_the_uniform_policy_is_reached():
    np.testing.assert_allclose(largest_entropy(np.zeros((2, 3))), np.log(4), atol=1e-12)
