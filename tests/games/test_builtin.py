"""Built-in games: the published facts about each, and how they were counted."""

import json

import numpy as np
import pytest

from prefdyn._errors import InputError
from prefdyn.games import (
    condorcet_winner,
    contains_cycle,
    cyclic_share,
    is_strongly_transitive,
    is_transitive,
    smith_set,
)
from prefdyn.games._derive import MODELS, _linked, main, pandalm_votes, wins_in_order
from prefdyn.games.builtin import (
    arithmetic,
    arxiv,
    cyclic,
    minneapolis,
    pandalm,
    pandalm_prompts,
)


def test_pandalm_is_transitive_with_one_close_pair():
    game = pandalm()
    assert game.names == MODELS
    assert game.counts is not None
    assert game.counts.sum() == 3 * 999
    assert (game.counts % 0.5 == 0).all()
    assert is_transitive(game)
    assert (np.diff(game.P.mean(axis=1)) < 0).all()
    assert game.P[1, 2] == pytest.approx(0.51, abs=0.005)
    assert "three annotators pooled" in game.source


def test_pandalm_pools_its_annotators():
    each = [pandalm(annotator).counts for annotator in (1, 2, 3)]
    votes = np.array([counts for counts in each if counts is not None])
    np.testing.assert_array_equal(pandalm().counts, votes.sum(axis=0))
    np.testing.assert_array_equal(votes.sum(axis=(1, 2)), [999] * 3)
    assert not np.array_equal(votes[0], votes[1])
    with pytest.raises(InputError, match="annotator = 4"):
        pandalm(4)


def test_pandalm_prompts_are_small_games_of_the_same_votes():
    games = pandalm_prompts()
    assert len(games) == 166
    assert {game.K for game in games.values()} == {2, 3, 4, 5}
    assert all(game.names is not None and set(game.names) <= set(MODELS) for game in games.values())
    votes = sum(game.counts.sum() for game in games.values() if game.counts is not None)
    assert 0.98 * 2997 < votes < 2997


def test_minneapolis_has_a_cycle_at_the_top():
    game = minneapolis(prior=0)
    assert game.names is not None
    assert [game.names[i] for i in smith_set(game)] == ["Arab", "Gordon", "Worlobah"]
    np.testing.assert_allclose(
        [game.P[0, 1], game.P[1, 2], game.P[2, 0]], [0.513, 0.505, 0.501], atol=5e-4
    )
    assert condorcet_winner(game) is None
    # the last edge is inside the noise of the votes
    share = (game.bootstrap(500, 0).P[:, 2, 0] > 0.5).mean()
    assert 0.5 < share < 0.7


def test_matrices_without_counts():
    assert arxiv().K == 6
    assert condorcet_winner(arxiv()) == 0
    assert cyclic().P[0].tolist() == [0.5, 0.6, 0.6, 0.6]
    assert contains_cycle(cyclic())
    assert cyclic_share(cyclic()) > 0.9
    assert is_strongly_transitive(arithmetic(), strict=True)
    for game in (arxiv(), cyclic(), arithmetic()):
        assert game.counts is None
        assert "duelingbanditlib" in game.source


RECORDS = [
    {"idx": 0, "instruction": "x", "input": "", "cmp_key": "A_B", "annotator1": 1},
    {"idx": 1, "instruction": "x", "input": "", "cmp_key": "B_C", "annotator1": 2},
    {"idx": 2, "instruction": "x", "input": "y", "cmp_key": "A_C", "annotator1": 0},
]


def test_annotations_become_votes():
    votes = pandalm_votes(RECORDS, annotator=1)
    assert [vote.prompt for vote in votes] == ["0", "0", "1"]
    wins = wins_in_order(votes, ("A", "B", "C"))
    np.testing.assert_array_equal(wins, [[0, 1, 0.5], [0, 0, 0], [0.5, 1, 0]])
    with pytest.raises(InputError, match="record 7 has the annotation 3"):
        pandalm_votes([RECORDS[0] | {"idx": 7, "annotator1": 3}], annotator=1)


def test_prompts_that_compare_unlinked_models_are_no_games():
    votes = pandalm_votes(RECORDS, annotator=1)
    assert _linked(votes)
    assert not _linked([votes[0], votes[1]._replace(winner="C", loser="D")])


def test_the_script_writes_what_the_loaders_read(tmp_path, monkeypatch):
    sources, data = tmp_path / "sources", tmp_path / "data"
    sources.mkdir()
    data.mkdir()
    monkeypatch.setattr("prefdyn.games._derive.DATA", data)
    monkeypatch.setattr("prefdyn.games.builtin.DATA", data)
    pairs = [(a, b) for i, a in enumerate(MODELS) for b in MODELS[i + 1 :]]
    records = [
        {"idx": n, "instruction": "x", "input": "", "cmp_key": f"{a}_{b}"}
        | {f"annotator{k}": (n + k) % 3 for k in (1, 2, 3)}
        for n, (a, b) in enumerate(pairs)
    ]
    ballots = {"candidates": ["a", "b"], "wins": [[0, 3], [1, 0]], "ballots": 4}
    (sources / "pandalm_testset_v1.json").write_text(json.dumps(records))
    (sources / "minneapolis_ward2_2021_pairwise.json").write_text(json.dumps(ballots))
    for name in ("arxiv", "cyclic", "arithmetic"):
        (sources / f"dueling_{name}.txt").write_text("0.5 0.6\n0.4 0.5\n")
    main(sources)
    # every pair is judged once 1, once 2 and once a tie, so all is even
    np.testing.assert_array_equal(pandalm().P, np.full((5, 5), 0.5))
    assert list(pandalm_prompts()) == ["0"]
    np.testing.assert_array_equal(pandalm_prompts()["0"].counts, 1.5 * (1 - np.eye(5)))
    assert minneapolis(prior=0).P[0, 1] == 0.75
    assert arxiv().P[0, 1] == 0.6
