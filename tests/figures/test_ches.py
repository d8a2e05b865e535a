import numpy as np
import pytest
from scipy.stats import spearmanr

from figures import plot_ches
from prefdyn.displacement import toy_pairs


def test_rank_correlation_is_scipys_also_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 8, size=(2, 5, 40))
    expected = np.array([spearmanr(a, b)[0] for a, b in zip(x, y, strict=True)], dtype=float)
    np.testing.assert_allclose(plot_ches.spearman(x, y), expected)


def test_subsets_run_from_the_lowest_to_the_highest():
    score = np.random.default_rng(1).normal(size=200)
    means = [score[index].mean() for index in plot_ches.subsets(score)]
    assert len(means) == len(plot_ches.PERCENTILES)
    assert np.all(np.diff(means) > 0)
    lowest = plot_ches.subsets(score)[0]
    assert set(lowest) == set(np.argsort(score)[: plot_ches.SUBSET])


def test_the_fall_is_that_of_a_gradient_step():
    pairs = toy_pairs(5, 2, lengths=(2, 5))
    for i, fall in enumerate(plot_ches.falls(pairs)):
        assert plot_ches.first_order(pairs[i : i + 1].policy()) == pytest.approx(-0.05 * fall)


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_ches, "TOYS", 1)
        patch.setattr(plot_ches, "PAIRS", 250)
        patch.setattr(plot_ches, "POOL", 300)
        patch.setattr(plot_ches, "SUBSET", 40)
        patch.setattr(plot_ches, "RESAMPLES", 50)
        return plot_ches.compute(0)


def test_ches_ranks_and_with_free_lengths_so_does_their_difference(data):
    names = list(plot_ches.SCORES)
    ches, length = names.index("ches"), names.index("length_difference")
    value, low, high = np.moveaxis(data["correlations"], -1, 0)
    assert value[0, 0, ches] > 0.8
    assert value[1, 0, ches] > 0.5
    assert np.all(np.abs(value[0, :, ches] - value[0, :, length]) < 0.15)
    assert np.all(np.isnan(value[1, :, length]))
    known = ~np.isnan(value)
    assert np.all(low[known] < high[known])


def test_training_on_low_scores_raises_and_on_high_ones_lowers(data):
    names = list(plot_ches.SCORES)
    changes = data["simulated"][:, names.index("ches")]
    assert np.all(changes[:, 0] > 0)
    assert np.all(changes[:, -1] < 0)
    flat = data["simulated"][0, [names.index("edit_distance"), names.index("last_hidden")]]
    assert np.abs(flat).max() < changes[0].max() / 3


def test_the_first_order_has_the_sign_of_the_change(data):
    large = np.abs(data["simulated"]) > 1
    assert large.sum() > 5
    assert np.all(np.sign(data["simulated"][large]) == np.sign(data["predicted"][large]))
