"""Basins: starts, attractors and shares where they are known."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    InputError,
    InsufficientData,
    LogitRule,
    PreferenceMatrix,
    basins,
    games,
)
from prefdyn._stability.basins import share_error, simplex_starts
from tests.known_maps import Logistic

# Locally stable, with a large cycle beside the fixed point (NS-5 a), at 1.05 times its threshold.
UPPER, BETA = (-0.070, 0.340, 0.035, 0.457, -0.023, 0.359), 1.05 * 0.029492


STARTS = [[1 / 3, 1 / 3, 1 / 3], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8]]


def four(upper):
    A = np.zeros((4, 4))
    A[np.triu_indices(4, 1)] = upper
    return PreferenceMatrix(0.5 + A - A.T)


def kinds(found):
    return [attractor.kind for attractor in found.attractors]


@pytest.mark.parametrize("K", [2, 3, 5])
def test_starts_fill_the_simplex_evenly(K):
    starts, sentence = simplex_starts(K, 60, 0)
    assert np.all(starts > 0)
    assert starts.sum(axis=-1) == pytest.approx(1)
    assert starts.mean(axis=0) == pytest.approx(np.full(K, 1 / K), abs=2e-3)
    # Second moment of the uniform distribution on the simplex.
    assert (starts**2).mean() == pytest.approx(2 / (K * (K + 1)), rel=0.01)
    assert str(len(starts)) in sentence


def test_a_stable_game_has_one_basin():
    found = basins(MRSIPO(games.rock_paper_scissors(0.4), 0.8, 0.5, 1.0), 12, rounds=512)
    assert kinds(found) == ["fixed point"]
    assert found.fractions == pytest.approx([1.0])
    assert 0 < found.fraction_errors[0] < 0.01
    assert found.undecided == 0
    assert found.attractors[0].policies == pytest.approx(np.full((1, 3), 1 / 3), abs=1e-6)
    nearest = np.argmin(np.abs(found.starts - 1 / 3).max(axis=-1))
    assert found.rounds[nearest] < found.rounds.max() < 20


def test_a_start_on_an_unstable_point_is_undecided():
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.05, 0.0, 1.0)
    found = basins(rule, starts=STARTS, rounds=1024)
    assert kinds(found) == ["cycle"]
    assert found.attractors[0].period == 3
    assert list(found.labels) == [-1, 0, 0]
    assert found.undecided == pytest.approx(1 / 3)
    assert np.isnan(found.rounds[0])


@pytest.mark.slow
def test_a_bistable_game_over_three_responses():
    """NS-4: a = .47 at 1.005 beta_c, near starts return and far ones cycle with size .40."""
    beta = 1.005 * 4 * 0.47 / np.sqrt(3)
    rule = MRSDPO(games.rock_paper_scissors(0.47), beta, 0.0, 1.0)
    found = basins(rule, 24)
    assert kinds(found) == ["closed curve", "fixed point"]
    curve, point = found.attractors
    assert np.abs(curve.policies - 1 / 3).max() == pytest.approx(0.40, abs=5e-3)
    assert abs(curve.exponent) < 3 * curve.exponent_error
    assert point.exponent == pytest.approx(np.log(1 / 1.005), rel=1e-3)
    distance = np.abs(found.starts - 1 / 3).max(axis=-1)
    assert np.all(found.labels[distance < 0.08] == 1)
    assert np.all(found.labels[distance > 0.3] == 0)
    assert found.fractions[1] == pytest.approx(0.092, abs=3 * found.fraction_errors[1])
    assert found.fractions.sum() == pytest.approx(1)


@pytest.mark.slow
def test_a_bistable_game_over_four_responses():
    found = basins(MRSIPO(four(UPPER), BETA, 0.3, 1.0), 22, rounds=8192)
    assert kinds(found) == ["closed curve", "fixed point"]
    assert 0 < found.fractions[1] < 0.06
    assert "Sobol" in found.sampling


def test_runs_that_leave_go_to_the_boundary():
    """Hedge (alpha = 1) with a best response: the others' log-probabilities fall for ever."""
    best = basins(MRSIPO(games.strongly_transitive(3, 0), 0.5, 1.0, 1.0), 8, rounds=1024)
    assert kinds(best) == ["boundary"]
    assert best.attractors[0].policies.max() > 0.999
    assert np.isnan(best.rounds).all()


def test_chaos_and_escape_on_the_line():
    starts = np.stack([p := np.array([0.55, 0.6, 0.7, 0.4]), 1 - p], axis=-1)
    found = basins(Logistic(3.9), starts=starts, rounds=2048)
    assert kinds(found) == ["chaotic", "boundary"]
    assert list(found.labels) == [0, 0, 0, 1]
    assert found.attractors[0].exponent == pytest.approx(0.495, abs=0.03)
    assert found.attractors[0].chaos > 0.95


def test_a_rule_that_takes_one_state_at_a_time():
    class Pull(LogitRule):
        @property
        def K(self):
            return 3

        def update(self, theta):
            return np.array([theta[k] / 2 + (k == 0) for k in range(3)])

    found = basins(Pull(), 3, rounds=512)
    assert kinds(found) == ["fixed point"]
    assert len(found.starts) == 6


def test_nothing_is_found_where_nothing_attracts():
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.05, 0.0, 1.0)
    found = basins(rule, starts=STARTS[:1], rounds=480)
    assert found.attractors == ()
    assert found.undecided == 1


def test_shares_have_errors_at_0_and_1_too():
    assert share_error(0.5, 100) == pytest.approx(0.05, rel=0.01)
    assert share_error(1.0, 100) == share_error(0.0, 100) == pytest.approx(0.005, rel=0.02)


def test_what_has_no_basins_is_refused():
    still = type("Still", (LogitRule,), {"K": 3, "update": lambda self, theta: theta})
    with pytest.raises(InsufficientData, match="more than 64"):
        basins(still(), 20, rounds=512)
    with pytest.raises(InputError, match="batch"):
        basins(MRSIPO(games.rock_paper_scissors(0.4), np.ones(2), 0.5, 1.0), 5)


def test_a_policy_that_waits_at_vertices_is_on_a_cycle():
    """Strong drive and long memory: whoever looks at a few rounds only sees a vertex at rest."""
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.005, 0.98, 1.0)
    found = basins(rule, starts=STARTS[1:])
    assert kinds(found) == ["cycle"]
    assert (found.attractors[0].period or 0) > 20
    assert np.ptp(found.attractors[0].policies, axis=0).min() > 0.99


def test_runs_that_leave_every_number_behind():
    away = type("Away", (LogitRule,), {"K": 3, "update": lambda self, theta: 1.5 * theta})
    found = basins(away(), starts=[[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], rounds=1000)
    assert kinds(found) == ["boundary", "boundary"]
    assert np.sort(found.attractors[0].policies[0]) == pytest.approx([0, 0, 1])
    assert np.isnan(found.rounds).all()


@pytest.mark.parametrize("starts", [np.full((2, 2, 3), 1 / 3), np.zeros((0, 3))])
def test_starts_are_rows(starts):
    with pytest.raises(InputError, match="one policy a row"):
        basins(MRSIPO(games.rock_paper_scissors(0.4), 0.8, 0.5, 1.0), starts=starts)
