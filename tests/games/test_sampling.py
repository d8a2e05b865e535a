"""The max-margin sampler against brute force, its guarantees and its errors."""

import numpy as np
import pytest
from hypothesis import given, settings

from prefdyn import InputError, NoOptimum, max_margin_sampler
from prefdyn.games import (
    PreferenceMatrix,
    best_margin,
    bradley_terry,
    condorcet_over_cycle,
    cycle,
    random,
    ranking_margin,
    robust_sampler,
    smith_set,
)
from prefdyn.testing import games


def margin(P, mu, top):
    """Smallest lead of a member over another response, written out."""
    rates = P @ mu
    return min(rates[i] - rates[j] for i in top for j in set(range(len(P))) - set(top))


PROPER = [game for game in random(5, 0, size=60) if len(smith_set(game)) < 5]


@pytest.mark.parametrize("game", PROPER)
def test_the_smith_set_is_on_top_by_the_margin_stated(game):
    top = smith_set(game)
    best, inside = max_margin_sampler(game, keep=1.0), max_margin_sampler(game)
    assert best.top == inside.top == top
    for found in (best, inside):
        assert found.policy.sum() == pytest.approx(1, abs=1e-12)
        assert found.margin == pytest.approx(margin(game.P, found.policy, top), abs=1e-12)
    assert inside.policy.min() > 0
    assert 0.9 * best.margin - 1e-12 <= inside.margin <= best.margin
    others = np.random.default_rng(0).dirichlet(np.full(game.K, 0.3), size=200)
    assert best.margin >= max(margin(game.P, mu, top) for mu in others) - 1e-9


def test_a_weak_winner_over_a_strong_cycle():
    # Against the winner all others lose by 0.1; against any rival, the one that beats it leads.
    found = max_margin_sampler(condorcet_over_cycle(0.1, 0.4), keep=1.0)
    assert found.top == (0,)
    assert found.margin == pytest.approx(0.1)
    assert np.ptp(found.policy[1:]) < 1e-9  # the rivals even out


def test_a_top_may_be_asked_for_by_name():
    game = PreferenceMatrix(bradley_terry([1.0, 0.5, 0.0]).P, ["a", "b", "c"])
    assert max_margin_sampler(game, ["b", "a"]).top == (0, 1)
    assert max_margin_sampler(game, [0, 1]).top == (0, 1)


@settings(max_examples=40)
@given(games(min_K=3, max_K=5, strength=0.4))
def test_no_game_within_the_bounds_leaves_less_than_the_robust_margin(game):
    top = (0,) if game.K < 5 else (1, 3)
    rng = np.random.default_rng(1)
    width = np.triu(rng.uniform(0, 0.1, game.P.shape), 1)
    lower, upper = game.P - width - width.T, game.P + width + width.T
    found = robust_sampler(lower, upper, top)
    inside = np.isin(np.arange(game.K), top)
    worst = np.inf
    for i in np.flatnonzero(inside):
        for j in np.flatnonzero(~inside):  # the worst game for this pair is a corner of the box
            P = game.P.copy()
            P[i], P[:, i] = lower[i], upper[:, i]
            P[j], P[:, j] = upper[j], lower[:, j]
            P[i, j], P[j, i] = lower[i, j], upper[j, i]
            PreferenceMatrix(P)
            worst = min(worst, (P[i] - P[j]) @ found.policy)
    assert found.margin == pytest.approx(worst, abs=1e-12)
    share = rng.uniform(-1, 1, game.P.shape)
    other = np.triu(share * width, 1)
    assert margin(game.P + other - other.T, found.policy, top) >= found.margin - 1e-12


def test_the_whole_order_may_be_out_of_reach():
    A = np.zeros((4, 4))
    A[np.triu_indices(4, 1)] = 0.05, 0.2, 0.05, 0.4, 0.2, 0.05
    value, mu = ranking_margin(PreferenceMatrix(0.5 + A - A.T), [(0, 1), (1, 2), (2, 3)])
    assert value == pytest.approx(-0.05)
    assert mu.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("game", "arguments", "error", "says"),
    [
        (cycle(3, 0.2), {}, NoOptimum, "every response is in the Smith set"),
        (PreferenceMatrix(np.full((3, 3), 0.5)), {}, NoOptimum, "every response"),
        (
            bradley_terry([2, 1, 0]),
            {"top": [2]},
            NoOptimum,
            "no sampler ranks {2} above {0, 1}: .* ask for the Smith set, {0}",
        ),
        (bradley_terry([2, 1, 0]), {"top": [0, 1, 2]}, NoOptimum, "all 3 responses"),
        (bradley_terry([2, 1, 0]), {"top": [3]}, InputError, "unknown response"),
        (bradley_terry([2, 1, 0]), {"top": "a"}, InputError, "unknown response"),
        (bradley_terry([2, 1, 0]), {"top": []}, InputError, "at least one"),
        (bradley_terry([2, 1, 0]), {"keep": 2.0}, InputError, "keep is 2"),
        (bradley_terry([[2, 1, 0]]), {}, InputError, "one game"),
        (bradley_terry([[2, 1, 0]]), {"top": [0]}, InputError, "one game"),
    ],
)
def test_what_has_no_answer_is_said_in_a_sentence(game, arguments, error, says):
    with pytest.raises(error, match=says.replace("{", r"\{")):
        max_margin_sampler(game, **arguments)


def test_no_pairs_have_no_margin():
    with pytest.raises(InputError, match="pairs is empty"):
        ranking_margin(bradley_terry([1, 0]), [])


@pytest.mark.parametrize("pair", [(0, 2), (0, -1), (0, 1, 1), (0, 0.5)])
def test_pairs_of_no_responses_are_refused(pair):
    with pytest.raises(InputError, match=r"pairs holds .*: give \(upper, lower\)"):
        ranking_margin(bradley_terry([1, 0]), [(0, 1), pair])


@pytest.mark.parametrize("rows", [[[np.nan, 0.1]], [0.1, 0.2], np.zeros((0, 2))])
def test_rows_that_are_none_have_no_margin(rows):
    with pytest.raises(InputError, match="rows"):
        best_margin(rows)
