import numpy as np
import pytest

from figures import plot_preference_shift, plot_spo_bounds


def test_the_toy_loses_its_pair_while_the_loss_falls(monkeypatch):
    monkeypatch.setattr(plot_preference_shift, "ROUNDS", 60)
    data = plot_preference_shift.toy()
    np.testing.assert_allclose(data["toy"], data["toy_line"], atol=1e-10)
    np.testing.assert_allclose(data["toy_loss"], data["toy_loss_line"], rtol=1e-10)
    assert np.all(np.diff(data["toy_loss"]) < 0)
    assert data["toy"][-1, 0] < np.log(1e-12)
    assert np.exp(data["toy"][-1, 2]) > 1 - 1e-9


def test_small_steps_leak_as_predicted():
    data = plot_preference_shift.leak()
    np.testing.assert_allclose(data["leak"], data["leak_predicted"], atol=1e-5)
    assert (data["leak"] < 0).any()
    assert (data["leak"] > 0.9).any()


def test_the_share_of_falls_by_steps_is_the_expected_one():
    rng = np.random.default_rng(0)
    expected = plot_preference_shift.expected_falls(rng, 4, 0.99)
    assert expected == pytest.approx(0.44, abs=0.02)
    assert plot_preference_shift.falls(rng, 4, 0.99) == pytest.approx(expected, abs=0.1)
    assert plot_preference_shift.falls(rng, 64, 0.0) == 0


def test_the_flow_peaks_where_it_should():
    chosen, rejected = 0.02, 0.4
    predicted = plot_preference_shift.peak_mass(chosen, rejected)
    assert plot_preference_shift.highest(chosen, rejected) == pytest.approx(predicted, abs=2e-3)


def test_only_length_normalisation_pushes_the_shared_token():
    data = plot_preference_shift.prefix()
    np.testing.assert_allclose(data["prefix_simpo"], data["prefix_predicted"], atol=1e-12)
    np.testing.assert_allclose(data["prefix_dpo"], 0, atol=1e-15)
    assert data["prefix_simpo"][0] > 0 > data["prefix_simpo"][-1]


@pytest.mark.parametrize("k", [1, 2])
def test_descent_on_the_penalty_rests_at_the_root(k, monkeypatch):
    monkeypatch.setattr(plot_spo_bounds, "NU_DOTS", np.array([0.5, 2.0]))
    beta = plot_spo_bounds.BETAS[k]
    policies = plot_spo_bounds.rest(beta)
    left = [plot_spo_bounds.left_of_rejected(beta, nu) for nu in plot_spo_bounds.NU_DOTS]
    np.testing.assert_allclose(policies[:, 1], plot_spo_bounds.Q[1] * np.exp(left), rtol=1e-8)
    np.testing.assert_allclose(policies[:, 2:], [plot_spo_bounds.Q[2:]] * 2, rtol=1e-8)


def test_no_policy_has_more_mass_outside_than_its_distance_allows(monkeypatch):
    monkeypatch.setattr(plot_spo_bounds, "POLICIES", 5)
    monkeypatch.setattr(plot_spo_bounds, "STEPS", 50)
    data = plot_spo_bounds.outside(np.random.default_rng(0))
    assert np.all(data["outside"] <= -np.expm1(-data["distance"]) + 1e-12)
    assert data["outside"][-1].mean() < data["outside"][0].mean()  # large nu against small


def test_chosen_rises_exactly_above_the_limit_on_nu():
    data = plot_spo_bounds.small_steps(np.random.default_rng(1))
    np.testing.assert_allclose(data["change"], data["excess"], atol=1e-8)
    assert 0 < np.mean(data["excess"] > 0) < 1
