import numpy as np
import pytest

from figures import plot_real_games
from prefdyn import MRSIPO, ensemble, stability
from prefdyn.games import load


@pytest.mark.parametrize("name", ["pandalm", "arxiv"])
def test_most_real_games_are_stable_wherever_one_would_look(name):
    radius = plot_real_games.shown_radii(plot_real_games.radii(load(name)))
    assert np.nanmax(radius) < 1


def test_the_cyclic_matrix_shows_a_window_at_alpha_0():
    unstable = plot_real_games.radii(load("cyclic"))[:, 0] > 1
    assert unstable.any()
    assert not unstable[0]
    assert not unstable[-1]
    assert np.abs(np.diff(unstable.astype(int))).sum() == 2


def test_radii_are_those_of_the_recipe():
    game, tau = load("minneapolis"), plot_real_games.TAU[20]
    for column, alpha in enumerate(plot_real_games.ALPHA):
        rule = MRSIPO(game, beta=tau / (1 - alpha), alpha=alpha, lam=1.0)
        expected = stability(rule).spectral_radius
        assert plot_real_games.radii(game)[20, column] == pytest.approx(expected, rel=1e-9)


def test_below_the_window_a_cycle_lives_beside_the_stable_winner():
    rule = MRSIPO(load("cyclic"), beta=0.005, alpha=0.0, lam=1.0)
    starts = np.array([[0.94, 0.02, 0.02, 0.02], [0.02, 0.94, 0.02, 0.02]])
    run = ensemble(rule, starts, rounds=600)
    assert stability(rule).spectral_radius < 1e-3
    assert run["cycle_strength"][0] < 1e-12
    assert run["cycle_strength"][1] > 0.1
    assert run["last_policy"][1, 0] < 1e-3
