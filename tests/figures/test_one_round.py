import numpy as np
import pytest
from hypothesis import given

from figures import plot_dpo_sampling, plot_one_shot_ranking, plot_sampler_tilt
from prefdyn.games import bradley_terry, condorcet_winner, is_transitive
from prefdyn.games import random as random_game
from prefdyn.testing import policies


@given(policies(K=5))
def test_the_built_game_is_transitive_and_its_winner_loses_the_first_place(mu):
    game = plot_one_shot_ranking.built_to_fail(mu)
    winner = condorcet_winner(game)
    assert is_transitive(game)
    assert winner is not None
    assert np.argmax(game.P @ mu) != winner


def test_a_tuned_sampler_has_nearly_the_largest_margin_and_full_support():
    game, pairs = plot_one_shot_ranking.out_of_reach(), [(0, 1), (1, 2), (2, 3)]
    mu = plot_one_shot_ranking.tuned(game, pairs)
    assert np.min(-np.diff(game.P @ mu)) == pytest.approx(-0.05, abs=1e-3)
    assert mu.min() > 0


@pytest.fixture(scope="module")
def shares():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_one_shot_ranking, "GAMES", 15)
        return plot_one_shot_ranking.compute(0)["kept"]


def test_what_is_proved_always_or_never_to_hold_does(shares):
    for (kind, sampler), proved in plot_one_shot_ranking.PROVED.items():
        row = plot_one_shot_ranking.CLASSES.index(kind)
        for observed, expected in zip(shares[row, sampler], proved, strict=True):
            if expected is not None:
                assert observed == expected


def test_elsewhere_the_sampler_decides(shares):
    random_row = plot_one_shot_ranking.CLASSES.index("random")
    assert np.all(shares[random_row, 1:3] < 1)


def test_only_additive_preferences_meet_the_condition_in_every_gap():
    games = random_game(4, 0, size=200)
    falls = np.diff(plot_sampler_tilt.advantages(games), axis=-1) <= 0
    assert not falls.all(axis=(-1, -2)).any()
    # what i gains between opponents k and k + 1, k loses between i and i + 1
    steps = np.diff(plot_sampler_tilt.advantages(games), axis=-1)
    np.testing.assert_allclose(steps, -np.swapaxes(steps, -1, -2), atol=1e-12)


def test_gaps_follow_the_win_rates_and_shrink_only_without_the_condition(monkeypatch):
    monkeypatch.setattr(plot_sampler_tilt, "DRAWS", 200)
    data = plot_sampler_tilt.compute(0)
    for name in ("bradley_terry", "additive"):
        np.testing.assert_allclose(data[f"{name}_simulated"], data[f"{name}_predicted"], atol=1e-9)
    assert np.ptp(data["additive_simulated"]) > 0.1  # gaps differ,
    assert np.ptp(data["additive_simulated"], axis=0).max() < 1e-9  # but not by sampler
    assert data["change"][data["condition"]].min() > -1e-12
    assert data["change"][~data["condition"]].min() < -1e-3


def test_dpo_is_shifted_as_predicted_to_first_order():
    mu, rewards = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 0.3, 0.2, -0.5])
    disturbance = 1e-5 * np.triu(np.ones((4, 4)), 1)
    disturbance = disturbance - disturbance.T
    game = plot_dpo_sampling.PreferenceMatrix(bradley_terry(rewards).P + disturbance)
    moved = np.diff(plot_dpo_sampling.minimiser(game, mu, "dpo")) - np.diff(rewards)
    expected = np.diff(plot_dpo_sampling.shift(rewards, mu, disturbance))
    np.testing.assert_allclose(moved, expected, rtol=1e-3)


def test_the_sampler_matters_in_proportion_to_the_distance_from_bradley_terry():
    data = plot_dpo_sampling.compute(0)
    assert data["dpo_spread_at_0"] < 1e-9
    assert data["ipo_spread_at_0"] < 1e-9
    small = data["sizes"] < 2e-3
    np.testing.assert_allclose(
        data["dpo_spread_simulated"][small], data["dpo_spread_predicted"][small], rtol=0.02
    )
    np.testing.assert_allclose(
        data["ipo_spread_simulated"], data["ipo_spread_predicted"], rtol=1e-6
    )
