import numpy as np
import pytest

from figures import _collections as experiment
from figures import plot_cyclic_collection, plot_transitive_collection
from figures._following import follow, moduli
from prefdyn import MRSDPO, MRSIPO, ensemble, stability


@pytest.fixture(scope="module")
def games():
    return experiment.draw_games(0, 400)


@pytest.mark.parametrize("rule", [MRSIPO, MRSDPO])
def test_a_ladder_of_fixed_points_gives_the_multipliers_of_any_recipe(games, rule):
    some, taus, alpha = games.cyclic[:5], 0.5 ** np.arange(6), np.array([0.3, 0.8])
    ladder = follow(lambda tau: rule(some, beta=tau, alpha=0.0, lam=0.7), taus)
    for tau, found in zip(taus, ladder, strict=True):
        direct = stability(rule(some[:, None], beta=tau / (1 - alpha), alpha=alpha, lam=0.7))
        np.testing.assert_allclose(moduli(found, alpha), direct.spectral_radius, rtol=1e-9)


def test_cells_are_predicted_by_their_own_recipe(games):
    some = games.cyclic[:3]
    predicted = experiment.predict(some)
    for row, column, last in ((0, 0, 1), (2, 1, 0), (4, 5, 1), (5, 0, 1)):
        beta, alpha, lam = experiment.BETA[row], experiment.ALPHA[column], experiment.LAM[last]
        direct = stability(MRSDPO(some, beta=beta, alpha=alpha, lam=lam)).spectral_radius
        np.testing.assert_allclose(
            predicted["dpo_radius"][:, row, column, last], direct, rtol=1e-7, atol=1e-12
        )


def test_policies_move_exactly_past_the_local_boundary_for_ipo(games):
    some = games.cyclic[:15]
    radius = experiment.predict(some)["ipo_radius"]
    recipe = {
        "beta": experiment.BETA[:, None, None],
        "alpha": experiment.ALPHA[:, None],
        "lam": experiment.LAM,
    }
    run = ensemble(MRSIPO(some[:, None, None, None], **recipe), reducers=("cycle_strength",))
    moving = run["cycle_strength"] > plot_cyclic_collection.MOVING
    clear = np.abs(radius - 1) > 0.01
    assert 0.1 < moving.mean() < 0.9
    assert np.mean(moving[clear] == (radius[clear] > 1)) > 0.99  # NS-5: a cycle may coexist


def test_ties_leave_exactly_the_floor(games):
    some = games.strongly_transitive[:30]
    floor = plot_transitive_collection.floors(some.P, experiment.LAM)
    for lam, expected in zip(experiment.LAM, floor, strict=True):
        rule = MRSIPO(some, beta=1e-4, alpha=0.5, lam=lam)
        last = ensemble(rule, rounds=300, reducers=("entropy",))["entropy"]
        assert last.mean() == pytest.approx(expected, abs=1e-6)
    assert floor[0] < floor[1]  # the offline sampler breaks ties
