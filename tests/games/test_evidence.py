"""What votes prove: the martingale, the bounds, the top and the questions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import InputError
from prefdyn.games import (
    Evidence,
    condorcet_winner,
    confidence_bounds,
    cycle,
    log_evidence,
    max_margin_sampler,
    random,
    smith_set,
)
from prefdyn.games.evidence import bottleneck


def counts(w, l):  # noqa: E741
    return np.array([[0.0, w], [l, 0.0]])


@pytest.mark.parametrize("p", [0.2, 0.5, 0.85])
def test_evidence_is_a_martingale_that_starts_at_one(p):
    assert log_evidence(counts(0, 0), p)[0, 1] == pytest.approx(0, abs=1e-12)
    for n in (1, 7, 40):
        mean = sum(
            math.comb(n, w)
            * p**w
            * (1 - p) ** (n - w)
            * math.exp(log_evidence(counts(w, n - w), p)[0, 1])
            for w in range(n + 1)
        )
        assert mean == pytest.approx(1, rel=1e-9)


@settings(max_examples=40)
@given(st.integers(0, 500), st.integers(0, 500))
def test_bounds_are_where_the_evidence_reaches_the_level(w, l):  # noqa: E741
    wins = counts(w, l)
    lower, upper = confidence_bounds(wins, 0.05)
    np.testing.assert_allclose(upper, 1 - lower.T)
    rate = w / (w + l) if w + l else 0.5
    assert 0 <= lower[0, 1] <= rate <= upper[0, 1] <= 1
    assert lower[0, 0] == upper[1, 1] == 0.5
    for bound in (lower[0, 1], upper[0, 1]):
        if 0 < bound < 1:
            assert log_evidence(wins, bound)[0, 1] == pytest.approx(math.log(1 / 0.05), abs=1e-6)


def test_more_pairs_share_the_error():
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0] = 60, 40
    four, two = confidence_bounds(wins, 0.06)[0][0, 1], confidence_bounds(wins[:2, :2], 0.01)[0]
    assert four == pytest.approx(two[0, 1], abs=1e-12)


def told(game, votes):
    """As many votes as `votes` on every pair, in the proportions of the game."""
    wins = votes * game.P
    np.fill_diagonal(wins, 0)
    return wins


@pytest.mark.parametrize("seed", range(12))
def test_many_votes_show_the_top_of_the_game(seed):
    game = random(5, seed)
    evidence = Evidence(told(game, 1e6), 0.01)
    assert evidence.top == smith_set(game)
    assert evidence.decided
    assert evidence.confidence > 0.99
    if len(evidence.top) < game.K:
        assert evidence.certified
        assert 0.95 < evidence.sampler.margin / max_margin_sampler(game).margin <= 1 + 1e-9


def test_confidence_falls_to_nothing_without_votes_and_rises_with_them():
    game = random(4, 0)
    confidence = [Evidence(told(game, votes), 0.05).confidence for votes in (0, 30, 300, 3000)]
    assert confidence[0] == 0
    assert np.all(np.diff(confidence) >= 0)
    assert confidence[-1] > 0.95


def test_decided_is_confidence_at_its_level():
    game = random(4, 3)
    for votes in (20, 50, 100, 200, 400, 800):
        evidence = Evidence(told(game, votes), 0.05)
        assert evidence.decided == (evidence.confidence >= 0.95)


def test_a_ring_needs_evidence_that_ties_it_together():
    game = cycle(4, 0.3)
    wins = told(game, 400)
    assert Evidence(wins, 0.05).decided  # 0 > 1 > 2 > 3 > 0: no smaller set can dominate
    wins[3, 0] = wins[0, 3] = 0  # one edge of the ring left out
    evidence = Evidence(wins, 0.05)
    assert evidence.confidence == 0
    assert evidence.decisive()[0, 3]


def test_ties_are_settled_only_within_a_tolerance():
    wins = np.array([[0.0, 5000, 9000], [5000, 0, 9000], [1000, 1000, 0]])
    assert not Evidence(wins, 0.05).decided
    evidence = Evidence(wins, 0.05, tolerance=0.05)
    assert evidence.decided
    assert evidence.top == (0, 1)
    assert not evidence.decisive()[0, 2] or evidence.decided


def test_only_unsettled_pairs_are_asked_until_the_top_is_decided():
    game = random(5, 1)
    assert condorcet_winner(game) is not None
    for votes in (0, 5, 20, 60):
        evidence = Evidence(told(game, votes), 0.05)
        asked = evidence.decisive()
        assert np.array_equal(asked, asked.T)
        assert asked.any()
        if not evidence.decided:
            assert not (asked & evidence.settled).any()


def test_margin_questions_stay_with_the_best_sampler():
    game = random(5, 1)
    evidence = Evidence(told(game, 2000), 0.05)
    assert evidence.decided
    asked = evidence.decisive()
    assert asked.any()
    assert not np.diagonal(asked).any()


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(0, 10**6))
def test_the_bottleneck_is_the_largest_level_that_connects(n, seed):
    from scipy.sparse.csgraph import connected_components

    links = np.random.default_rng(seed).integers(0, 6, (n, n)).astype(float)
    found = bottleneck(links)
    connected = [
        level
        for level in np.unique(links)
        if connected_components(links >= level, directed=True, connection="strong")[0] == 1
    ]
    # Level by level, 0 entries count as links too: the lowest level always connects.
    assert found == max(connected)
    assert bottleneck(np.array([[3.0]])) == np.inf
    assert bottleneck(np.full((2, 2), -np.inf)) == -np.inf


@pytest.mark.parametrize(
    ("wins", "delta", "says"),
    [
        (np.zeros((3, 3)), 0.0, "delta is 0: it must lie between"),
        (np.zeros((3, 3)), 2.0, "delta is 2: it must lie between"),
        (-np.eye(3)[::-1], 0.1, "an array of votes must hold wins >= 0"),
        (np.zeros((3, 2)), 0.1, r"this one has shape \(3, 2\)"),
        (np.full((3, 3), np.nan), 0.1, "wins contains NaN"),
    ],
)
def test_what_is_no_evidence_is_refused(wins, delta, says):
    for build in (Evidence, confidence_bounds):
        with pytest.raises(InputError, match=says):
            build(wins, delta)
