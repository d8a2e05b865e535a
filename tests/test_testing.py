"""The strategies draw what they say."""

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from prefdyn.games import contains_cycle, is_strongly_transitive
from prefdyn.testing import games, policies


@given(games(min_K=3, max_K=5, strength=0.3))
def test_games_keep_their_size_and_strength(game):
    assert 3 <= game.K <= 5
    assert np.abs(game.skew).max() <= 0.3 + 1e-15


@pytest.mark.parametrize("kind", ["cycle", "bradley_terry", "strongly_transitive"])
@given(data=st.data())
def test_games_are_of_their_kind(kind, data):
    game = data.draw(games(min_K=2, max_K=4, kind=kind))
    assert 2 <= game.K <= 4
    assert contains_cycle(game) if kind == "cycle" else is_strongly_transitive(game)


def test_free_games_reach_ties_and_certain_wins():
    assert find(games(), lambda game: bool((game.P == 1).any())).P.max() == 1
    assert not find(games(min_K=3), lambda game: bool((game.skew == 0).all())).skew.any()


@given(policies(4, spread=3.0))
def test_policies_are_inside_the_simplex(policy):
    assert policy.shape == (4,)
    assert policy.sum() == pytest.approx(1)
    assert policy.min() >= np.exp(-6) / 4
