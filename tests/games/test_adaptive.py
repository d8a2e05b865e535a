"""The adaptive sampler as a practitioner runs it, and as a simulation."""

import numpy as np
import pytest

from prefdyn import AdaptiveSampler, InputError, learn_sampler, max_margin_sampler
from prefdyn.games import (
    Evidence,
    PreferenceMatrix,
    bradley_terry,
    condorcet_over_cycle,
    cycle,
    load,
    smith_set,
)
from prefdyn.games.adaptive import allocate

GAME = PreferenceMatrix(condorcet_over_cycle(0.2, 0.4).P, ["good", "rock", "scissors", "paper"])


def label(game, questions, rng):
    """What annotators would answer."""
    names = list(game.names or range(game.K))
    for first, second, votes in questions:
        i, j = names.index(first), names.index(second)
        won = rng.binomial(votes, game.P[i, j])
        yield (first, second, won)
        yield (second, first, votes - won)


def test_asking_and_telling_finds_the_winner_and_ranks_it_first():
    sampler, rng = AdaptiveSampler(GAME.names or 4, delta=0.01), np.random.default_rng(0)
    assert sampler.confidence == 0
    np.testing.assert_allclose(sampler.sampler.policy, 0.25)
    while not sampler.certified:
        questions = sampler.ask(30)
        assert sum(question.votes for question in questions) == 30
        sampler.tell(label(GAME, questions, rng))
    assert sampler.top == ("good",)
    assert sampler.confidence >= 0.99
    rates = GAME.P @ sampler.sampler.policy
    assert rates[0] - rates[1:].max() >= sampler.sampler.margin > 0
    assert np.array_equal(sampler.game.counts, sampler.wins)  # pyright: ignore[reportArgumentType]
    assert "top {good}" in repr(sampler)


def test_the_votes_of_a_file_count_as_told(tmp_path):
    rows = ["winner,loser,count,tie", "a,b,40,", "b,a,4,", "a,c,30,", "b,c,6,true"]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(rows))
    read = AdaptiveSampler.from_votes(path)
    told = AdaptiveSampler(["a", "b", "c"])
    told.tell(path)
    by_hand = AdaptiveSampler(["a", "b", "c"])
    by_hand.tell([("a", "b", 40), ("b", "a", 4), ("a", "c", 30), ("b", "c", 3), ("c", "b", 3)])
    np.testing.assert_array_equal(read.wins, told.wins)
    np.testing.assert_array_equal(read.wins, by_hand.wins)
    assert read.top == ("a",)
    by_hand.tell(by_hand.wins)
    np.testing.assert_array_equal(by_hand.wins, 2 * read.wins)


def test_nothing_is_asked_once_all_are_known_to_be_in_the_top():
    learning = learn_sampler(cycle(3, 0.4), seed=1)
    assert learning.certified
    assert learning.last.top == (0, 1, 2)
    sampler = AdaptiveSampler(3)
    sampler.tell(learning.last.wins)
    assert sampler.ask(10) == ()


@pytest.mark.parametrize("name", ["cyclic", "pandalm", "arxiv"])
def test_a_simulation_ends_with_the_smith_set_of_the_game(name):
    game = load(name)
    learning = learn_sampler(game, seed=2)
    assert learning.certified
    assert learning.last.top == smith_set(game)
    assert learning.votes[0] == 0
    assert np.all(np.diff(learning.votes) > 0)
    again = learn_sampler(game, seed=2)
    np.testing.assert_array_equal(learning.last.wins, again.last.wins)


def test_a_simulation_spends_no_more_votes_than_it_has():
    learning = learn_sampler(bradley_terry([0.01, 0, 0]), seed=0, votes=500)
    assert not learning.certified
    assert learning.votes[-1] == 500


def test_tied_responses_are_asked_for_ever_unless_ties_are_allowed():
    game = bradley_terry([1.0, 1.0, -1.0])
    assert not learn_sampler(game, seed=0, votes=5000).certified
    allowed = learn_sampler(game, seed=0, votes=20_000, tolerance=0.05)
    assert allowed.certified
    assert allowed.last.top == (0, 1)


def test_asking_on_raises_the_certified_margin_to_the_true_one():
    # Against itself the winner leads two others by 0.1; against the last response all by 0.4.
    A = np.array([[0, 0.1, 0.1, 0.4], [0, 0, 0.05, -0.3], [0, 0, 0, -0.3], [0, 0, 0, 0]])
    game = PreferenceMatrix(0.5 + np.triu(A) - np.triu(A).T)
    best = max_margin_sampler(game, keep=1.0).margin
    assert best == pytest.approx(0.4)
    sampler = AdaptiveSampler(4)
    won = 600 * game.P
    won[1:3, 3], won[3, 1:3], won[1, 2], won[2, 1] = 0, 0, 0, 0  # nothing known but the winner's
    np.fill_diagonal(won, 0)
    sampler.tell(won)
    assert sampler.certified
    before = sampler.sampler.margin
    for _ in range(12):
        for first, second, votes in sampler.ask(800):
            rate = game.P[int(first), int(second)]
            sampler.tell([(first, second, votes * rate), (second, first, votes * (1 - rate))])
    assert before < 0.1
    assert 0.3 < sampler.sampler.margin < best


def test_other_rules_of_asking_can_be_compared():
    def uniform(evidence: Evidence) -> np.ndarray:
        return ~np.eye(evidence.K, dtype=bool)

    adaptive = learn_sampler(GAME, seed=3).votes[-1]
    assert learn_sampler(GAME, seed=3, pairs=uniform).votes[-1] > 1.5 * adaptive


def test_votes_are_shared_evenly_and_the_rest_goes_to_the_least_asked():
    wins = np.array([[0.0, 5, 0], [0, 0, 0], [0, 1, 0]])
    i, j, n = allocate(~np.eye(3, dtype=bool), wins, 8)
    assert list(zip(i, j, n, strict=True)) == [(0, 1, 2), (0, 2, 3), (1, 2, 3)]


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        ([("good", "bad")], "unknown response 'bad': known are good, rock"),
        ([("good", 9)], "unknown response 9"),
        ([("good", "good")], "compares 'good' with itself"),
        ([("good", "rock", -1)], "vote 0 has the count -1"),
        (["good"], r"vote 0 is 'good': give \(winner, loser\)"),
        ([1, 2], r"vote 0 is 1: give \(winner, loser\)"),
        ([("good", "rock", "x")], "vote 0 has the count 'x'"),
        ([(["good"], "rock")], "unknown response"),
        (3, "votes is 3: give"),
        (np.ones((4, 4)), "diagonal of 0"),
        (np.zeros((3, 3)), r"shape \(4, 4\)"),
    ],
)
def test_votes_that_make_no_sense_are_refused_whole(votes, says):
    sampler = AdaptiveSampler(GAME.names or 4)
    with pytest.raises(InputError, match=says):
        sampler.tell(votes)
    assert sampler.wins.sum() == 0


def test_a_file_of_several_prompts_is_refused(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("winner,loser,prompt\na,b,1\nb,a,2\n")
    with pytest.raises(InputError, match="votes on 2 prompts"):
        AdaptiveSampler.from_votes(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"responses": 1}, "responses is 1"),
        ({"responses": ["a", "a"]}, "given twice"),
        ({"responses": 3.0}, "responses is 3.0"),
        ({"responses": 3, "delta": 0.0}, "delta is 0"),
        ({"responses": 3, "delta": "much"}, "delta is not an array of numbers"),
        ({"responses": 3, "tolerance": 0.5}, "tolerance is 0.5"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        AdaptiveSampler(**arguments)


def test_a_batch_that_shrinks_is_refused():
    with pytest.raises(InputError, match="growth is -1"):
        learn_sampler(GAME, seed=0, growth=-1.0)


def test_a_batch_of_games_is_refused():
    with pytest.raises(InputError, match="one game"):
        learn_sampler(bradley_terry([[1, 0], [0, 1]]), seed=0)
