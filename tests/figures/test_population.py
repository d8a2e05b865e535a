import numpy as np
import pytest

from figures import plot_population


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_population, "STEPS", 120)
        patch.setattr(plot_population, "PROMPTS", 20)
        return plot_population.compute(0)


def of(method):
    return list(plot_population.METHODS).index(method)


def test_all_methods_of_the_published_table_are_there(data):
    assert data["outside"].shape[1:] == (6, 2)
    assert plot_population.PUBLISHED.shape == (6, 3, 2)


def test_dpo_ranks_all_pairs_right_and_loses_the_data(data):
    assert data["accuracy"][-1, of("DPO"), 0] == 1
    assert data["outside"][-1, of("DPO"), 0] > 0.8
    assert data["chosen"][-1, of("DPO"), 0] < data["chosen"][0, of("DPO"), 0]


def test_the_penalty_keeps_the_mass_for_every_method(data):
    without, with_penalty = np.moveaxis(data["outside"][-1], -1, 0)
    assert np.all(with_penalty < without)
    assert np.all(with_penalty < 0.15)


def test_no_policy_has_more_mass_outside_than_the_bound_allows(data):
    assert np.all(data["outside"] <= data["bound"] + 1e-12)


def test_all_start_alike(data):
    assert np.ptp(data["outside"][0]) < 1e-15
    assert data["outside"][0, 0, 0] == pytest.approx(50 * np.exp(-4) / (10 + 50 * np.exp(-4)))


def test_pushes_are_those_of_the_objectives_one_by_one():
    from prefdyn import Pair, objectives

    rng = np.random.default_rng(3)
    losses = [objectives.get(**kind) for kind in plot_population.METHODS.values()]
    stats = [[loss.initial_stats()] * 2 for loss in losses]
    chosen, rejected = -rng.uniform(1, 5, size=(2, len(losses), 2, 7))
    reference = -rng.uniform(1, 5, size=(2, 7))
    up, down = plot_population.preference_pushes(losses, stats, chosen, rejected, *reference)
    for m, loss in enumerate(losses):
        for k in (0, 1):
            pair = Pair(
                chosen=chosen[m, k],
                rejected=rejected[m, k],
                ref_chosen=reference[0],
                ref_rejected=reference[1],
                chosen_length=plot_population.CHOSEN_LENGTH,
                rejected_length=plot_population.REJECTED_LENGTH,
            )
            expected = loss.pushes(pair, loss.update(loss.initial_stats(), pair))
            np.testing.assert_allclose((up[m, k], down[m, k]), expected, rtol=1e-12, atol=1e-15)
