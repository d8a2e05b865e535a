"""Structure of games against brute force over all orders and subsets, ties included."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefdyn._errors import InputError
from prefdyn.games import (
    PreferenceMatrix,
    condorcet_over_cycle,
    condorcet_winner,
    contains_cycle,
    copeland,
    cycle,
    cyclic_share,
    is_strongly_transitive,
    is_transitive,
    random,
    rock_paper_scissors,
    smith_set,
)
from prefdyn.testing import games


@st.composite
def tied_games(draw, max_K=5):
    """Games whose entries come from a few values, so that ties are common."""
    K = draw(st.integers(2, max_K))
    pairs = K * (K - 1) // 2
    steps = draw(
        st.lists(st.sampled_from([-0.2, -0.1, 0, 0.1, 0.2]), min_size=pairs, max_size=pairs)
    )
    A = np.zeros((K, K))
    A[np.triu_indices(K, 1)] = steps
    return PreferenceMatrix(0.5 + A - A.T)


@given(tied_games())
def test_smith_set_is_the_smallest_dominating_set(game):
    beats = game.skew > 1e-9
    dominating = [
        members
        for size in range(1, game.K + 1)
        for members in combinations(range(game.K), size)
        if all(beats[i, j] for i in members for j in set(range(game.K)) - set(members))
    ]
    assert smith_set(game) == dominating[0]
    winner = condorcet_winner(game)
    assert (winner is not None) == (len(dominating[0]) == 1)
    assert winner is None or smith_set(game) == (winner,)


@given(tied_games(max_K=4), st.booleans())
def test_strong_transitivity_means_that_some_order_dominates_row_by_row(game, strict):
    def dominates(order):
        drops = game.P[list(order)][:-1] - game.P[list(order)][1:]
        return (drops > 1e-9).all() if strict else (drops >= -1e-9).all()

    expected = any(dominates(order) for order in permutations(range(game.K)))
    assert is_strongly_transitive(game, strict=strict) == expected


@given(tied_games())
def test_cycles_by_enumeration(game):
    beats = game.skew > 1e-9

    def ring(members):
        return all(beats[i, j] for i, j in zip(members, members[1:] + members[:1], strict=True))

    def any_ring(length):
        return any(ring(members) for members in permutations(range(game.K), length))

    assert contains_cycle(game, length=3) == any_ring(3)
    assert contains_cycle(game) == any(any_ring(n) for n in range(3, game.K + 1))


@given(tied_games())
def test_transitivity_by_enumeration(game):
    at_least = game.skew >= -1e-9
    expected = all(
        at_least[i, k]
        for i, j, k in permutations(range(game.K), 3)
        if at_least[i, j] and at_least[j, k]
    )
    assert is_transitive(game) == expected


@given(games(min_K=3, kind="strongly_transitive"))
def test_strong_transitivity_implies_the_weaker_properties(game):
    assert is_strongly_transitive(game)
    assert is_transitive(game)
    assert not contains_cycle(game)
    assert smith_set(game) == (0,)
    assert np.all(np.diff(copeland(game)) <= 0)


@given(games(min_K=3, max_K=9, kind="cycle"))
def test_a_ring_is_all_cycle(game):
    assert contains_cycle(game)
    assert contains_cycle(game, length=3) == (game.K == 3)
    assert smith_set(game) == tuple(range(game.K))
    assert condorcet_winner(game) is None
    assert cyclic_share(game) == pytest.approx(1)
    np.testing.assert_array_equal(copeland(game), np.full(game.K, (game.K - 1) / 2))


@given(games(min_K=3), st.randoms(use_true_random=False))
def test_structure_does_not_depend_on_labels(game, shuffler):
    order = list(range(game.K))
    shuffler.shuffle(order)
    relabelled = game.restrict(order)
    assert sorted(order[i] for i in smith_set(relabelled)) == list(smith_set(game))
    assert cyclic_share(relabelled) == pytest.approx(cyclic_share(game), abs=1e-12)
    np.testing.assert_array_equal(copeland(relabelled), copeland(game)[order])


def test_hodge_share_is_the_least_squares_residual():
    game = random(5, 11)
    rows, columns = np.triu_indices(5, 1)
    incidence = np.zeros((rows.size, 5))
    incidence[np.arange(rows.size), rows] = 1
    incidence[np.arange(rows.size), columns] = -1
    flow = game.skew[rows, columns]
    scores = np.linalg.lstsq(incidence, flow, rcond=None)[0]
    residual = np.square(flow - incidence @ scores).sum() / np.square(flow).sum()
    assert cyclic_share(game) == pytest.approx(residual, abs=1e-12)


def test_additive_preferences_have_no_cyclic_share_and_ties_count_as_none():
    v = np.array([0.2, 0.05, -0.1, 0.0])
    assert cyclic_share(PreferenceMatrix(0.5 + v[:, None] - v)) == pytest.approx(0, abs=1e-15)
    assert cyclic_share(PreferenceMatrix(np.full((4, 4), 0.5))) == 0


def test_batches_are_classified_game_by_game():
    batch = random(4, 2, size=(3, 50))
    for classify in (is_transitive, is_strongly_transitive, contains_cycle, cyclic_share, copeland):
        one_by_one = np.array([[classify(game) for game in row] for row in batch])
        np.testing.assert_allclose(classify(batch), one_by_one, atol=1e-15)
    assert 0 < is_transitive(batch).mean() < 1


@pytest.mark.parametrize("ask", [condorcet_winner, smith_set])
def test_questions_about_one_game_refuse_a_batch(ask):
    with pytest.raises(InputError, match="index the batch"):
        ask(random(3, 0, size=2))


def test_known_games():
    assert condorcet_winner(condorcet_over_cycle(0.02, 0.4)) == 0
    assert contains_cycle(cycle(150, 0.1))
    assert not is_transitive(rock_paper_scissors(0.1))
    # a difference below the tolerance is a tie
    assert is_transitive(rock_paper_scissors(1e-10))
    assert condorcet_winner(condorcet_over_cycle(1e-10, 0.4)) is None
    assert condorcet_winner(condorcet_over_cycle(1e-10, 0.4), tolerance=1e-12) == 0
    with pytest.raises(InputError, match="length = 4"):
        contains_cycle(cycle(4, 0.1), length=4)  # pyright: ignore[reportArgumentType]
