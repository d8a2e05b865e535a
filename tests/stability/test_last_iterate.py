"""alpha = 1: collapse and its rate, ties, and cycles that grow at a known speed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import MRSDPO, MRSIPO, NoOptimum, PreferenceMatrix, last_iterate, orbit
from prefdyn.games import cycle, rock_paper_scissors, strongly_transitive
from prefdyn.policies import softmax

TIE = PreferenceMatrix([[0.5, 0.5, 0.8], [0.5, 0.5, 0.6], [0.2, 0.4, 0.5]])


def rounds_by_hand(rule, most):
    """Rounds of the published map until one response has 99.9 % of the mass."""
    theta = rule.log_ref
    for rounds in range(most):
        if softmax(theta).max() >= 0.999:
            return rounds
        mu = rule.lam * softmax(theta) + (1 - rule.lam) * rule.mu0
        theta = theta + rule.game.skew @ mu / rule.beta
    return None


@settings(max_examples=25)
@given(
    st.integers(2, 5),
    st.integers(0, 10**6),
    st.floats(0.2, 2.0),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_ranked_game_collapses_at_the_rate_and_in_the_rounds_of_theory(K, seed, beta, lam):
    rule = MRSIPO(strongly_transitive(K, seed, strict=True), beta, 1.0, lam)
    found = last_iterate(rule, patience=1500)
    assert (found.kind, found.top) == ("collapse", 0)
    A, mu0 = rule.game.skew, rule.mu0
    gaps = [lam * (A[0, 0] - A[j, 0]) + (1 - lam) * (A[0] - A[j]) @ mu0 for j in range(1, K)]
    assert found.rate == pytest.approx(min(gaps) / beta, rel=1e-9)  # MRS-12
    assert found.rounds_to_collapse == rounds_by_hand(rule, 1501)
    assert found.rounds_per_turn is found.growth_per_round is None


def test_the_rate_is_that_of_the_log_odds_in_the_end():
    rule = MRSIPO(strongly_transitive(4, 5, strict=True), 0.5, 1.0, 0.5)
    log = orbit(rule, rounds=800, tolerance=0).log_policies
    odds = log[:, 0] - np.delete(log, 0, axis=1).max(axis=1)
    assert last_iterate(rule).rate == pytest.approx(odds[-1] - odds[-2], rel=1e-9)


def test_dpo_collapses_at_the_smallest_log_odds_of_the_winner():
    game = strongly_transitive(4, 2, strict=True)
    found = last_iterate(MRSDPO(game, 0.7, 1.0, 1.0))
    wins = game.P[0, 1:]  # on the winner alone the scores are its log-odds, exactly
    assert (found.kind, found.top) == ("collapse", 0)
    assert found.rate == pytest.approx(np.log(wins / (1 - wins)).min() / 0.7, rel=1e-9)


def test_a_slow_collapse_is_not_waited_for():
    rule = MRSIPO(PreferenceMatrix([[0.5, 0.500001], [0.499999, 0.5]]), 1.0, 1.0, 1.0)
    found = last_iterate(rule, patience=500)
    assert (found.kind, found.rounds_to_collapse) == ("collapse", None)
    assert found.rate == pytest.approx(1e-6)


def test_the_start_is_the_reference():
    game = PreferenceMatrix([[0.5, 0.6], [0.4, 0.5]])
    plain = MRSIPO(game, 1.0, 1.0, 1.0)
    ahead = plain.replace(reference=[0.9995, 0.0005])
    behind = plain.replace(reference=[0.1, 0.9])
    times = [last_iterate(rule).rounds_to_collapse for rule in (ahead, plain, behind)]
    assert times == [rounds_by_hand(rule, 1000) for rule in (ahead, plain, behind)]
    assert times[0] == 0
    assert len(set(times)) == 3


def test_a_tie_at_the_top_stays_only_on_policy():
    found = last_iterate(MRSIPO(TIE, 1.0, 1.0, 1.0))
    assert (found.kind, found.top, found.rate) == ("tie", 0, None)
    run = orbit(MRSIPO(TIE, 1.0, 1.0, 1.0), np.full(3, 1 / 3), rounds=2000)
    np.testing.assert_allclose(run.policies[-1], [0.6, 0.4, 0], atol=5e-3)  # MRS-12
    # Off-policy pairs with response 2 tell the tied ones apart: gap (0.3 - 0.1) / 3, halved.
    broken = last_iterate(MRSIPO(TIE, 1.0, 1.0, 0.5))
    assert (broken.kind, broken.top) == ("collapse", 0)
    assert broken.rate == pytest.approx(0.5 * 0.2 / 3)


@pytest.mark.parametrize(
    ("game", "strength"),
    [
        (rock_paper_scissors(0.4), 0.4 / np.sqrt(3)),
        (rock_paper_scissors(0.05), 0.05 / np.sqrt(3)),
        (cycle(5, 0.3), 2 * 0.3 * np.sin(2 * np.pi / 5) / 5),
    ],
)
@pytest.mark.parametrize(("beta", "lam"), [(0.1, 1.0), (2.0, 1.0), (0.5, 0.3)])
def test_a_cycle_turns_and_grows_as_its_multipliers_say(game, strength, beta, lam):
    found = last_iterate(MRSIPO(game, beta, 1.0, lam))
    turn = lam * strength / beta  # multipliers 1 +- i turn, MRS-10
    assert (found.kind, found.top, found.rate) == ("cycling", None, None)
    assert found.rounds_per_turn == pytest.approx(2 * np.pi / np.arctan(turn), rel=1e-9)
    assert found.growth_per_round == pytest.approx(np.sqrt(1 + turn**2), rel=1e-9)


def test_a_small_cycle_grows_in_simulation_too():
    rule = MRSIPO(rock_paper_scissors(0.4), 1.0, 1.0, 1.0)
    start = np.full(3, 1 / 3) + 1e-7 * np.array([1, -1, 0])
    run = orbit(rule, start, rounds=81, tolerance=0)
    size = np.linalg.norm(run.log_policies + np.log(3), axis=-1)
    growth = last_iterate(rule).growth_per_round
    assert (size[80] / size[0]) ** (1 / 80) == pytest.approx(growth, rel=1e-5)


def test_dominated_responses_do_not_change_the_cycle():
    A = np.zeros((5, 5))
    cyclic = [1, 2, 4]
    A[np.ix_(cyclic, cyclic)] = rock_paper_scissors(0.4).skew
    for loser, margin in ((0, 0.2), (3, 0.3)):
        A[loser, cyclic], A[cyclic, loser] = -margin, margin
    A[0, 3], A[3, 0] = 0.45, -0.45
    alone, among = (
        last_iterate(MRSIPO(game, 0.8, 1.0, 1.0))
        for game in (rock_paper_scissors(0.4), PreferenceMatrix(0.5 + A))
    )
    assert among.kind == "cycling"
    assert among.rounds_per_turn == pytest.approx(alone.rounds_per_turn, rel=1e-9)
    assert among.growth_per_round == pytest.approx(alone.growth_per_round, rel=1e-9)


def test_dpo_turns_four_times_as_far():
    found = last_iterate(MRSDPO(rock_paper_scissors(0.4), 1.0, 1.0, 1.0))
    turn = 4 * 0.4 / np.sqrt(3)  # DPO is IPO with 4 A to first order at uniform
    assert found.kind == "cycling"
    assert found.rounds_per_turn == pytest.approx(2 * np.pi / np.arctan(turn), rel=1e-9)


def test_infinite_scores_are_named():
    with pytest.raises(NoOptimum, match="scores are infinite"):
        last_iterate(MRSDPO(rock_paper_scissors(0.5), 0.5, 1.0, 1.0))
