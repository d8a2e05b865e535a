import numpy as np
import pytest

from figures import plot_slime
from prefdyn import objectives

NAMES = [*plot_slime.ABLATION, *plot_slime.RIVALS]


@pytest.fixture(scope="module")
def population():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_slime, "STEPS", 150)
        patch.setattr(plot_slime, "SAVED", np.array([10, 150]))
        return plot_slime._population(np.random.default_rng(0))


@pytest.fixture(scope="module")
def rests():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_slime, "WEIGHTS", np.array([5e-4, 0.1]))
        return plot_slime._rests()


def test_forces_are_their_formulas_on_both_sides_of_the_jump():
    data = plot_slime._forces()
    slime = objectives.get("slime")
    force = plot_slime.margin_force(data["force_at"], slime)
    np.testing.assert_allclose(data["force"], force, atol=1e-12)
    assert {True, False} == set((force == 0).tolist())
    for weight, found in zip((plot_slime.PAPER, plot_slime.RELEASED), data["pull"], strict=True):
        expected = plot_slime.pull(data["depth"], objectives.get("slime", lambda_l=weight))
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_tokens_rest_where_the_forces_balance(rests):
    np.testing.assert_allclose(rests["rest"], rests["rest_predicted"], atol=5e-3)
    np.testing.assert_allclose(rests["rest"], [[-1.8, -2.5, -3.5], [-1.8, -2.4, -3.14]], atol=0.01)


def test_the_released_floor_is_none(rests):
    closed = plot_slime.closed_form(rests["weight"], objectives.get("slime"))
    np.testing.assert_allclose(rests["floor"], np.repeat(closed[:, None], 3, axis=1), atol=0.1)
    np.testing.assert_allclose(closed, [-87.4, -3.77], atol=0.1)


def test_all_variants_start_from_the_same_policy(population):
    for name in plot_slime.MEASURED:
        assert np.ptp(population[name][0]) < 1e-12


def test_without_its_floor_slime_pushes_rejected_tokens_far_down(population):
    lowest = dict(zip(NAMES, population["lowest"][-1], strict=True))
    assert lowest["SLIME"] > -4.5
    assert lowest["no floor"] < lowest["SLIME"] - 1
    assert lowest[f"λ_l = {plot_slime.RELEASED:g}"] < lowest["SLIME"] - 1
    assert lowest["SimPO"] < lowest["no floor"]


def test_only_the_rivals_give_the_chosen_response_up(population):
    chosen = dict(zip(NAMES, population["chosen"][-1], strict=True))
    assert chosen["SimPO"] < population["chosen"][0, 0] - 0.3
    assert chosen["SLIME"] > chosen["SimPO"] + 0.5


def test_each_switch_changes_the_run(population):
    for name in plot_slime.MEASURED:
        ends = population[name][-1]
        assert len(set(ends.tolist())) == len(ends)
