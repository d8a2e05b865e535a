"""Games by name, and the sentence that answers a wrong name."""

import json

import numpy as np
import pytest

from prefdyn._errors import InputError
from prefdyn.games import condorcet_over_cycle, cycle, load, names, rock_paper_scissors
from prefdyn.games.builtin import minneapolis, pandalm


@pytest.mark.parametrize(
    ("spec", "game"),
    [
        ("rps:0.4", rock_paper_scissors(0.4)),
        ("cycle:5:0.3", cycle(5, 0.3)),
        ("condorcet:0.02:0.482", condorcet_over_cycle(0.02, 0.482)),
        ("pandalm", pandalm()),
        ("pandalm:2", pandalm(2)),
        ("minneapolis", minneapolis()),
    ],
)
def test_a_name_makes_its_game(spec, game):
    np.testing.assert_array_equal(load(spec).P, game.P)


def test_every_listed_name_is_understood_and_described_in_one_line():
    examples = {"A": "0.3", "K": "4", "MARGIN": "0.1", "SEED": "1"}
    for usage, about in names().items():
        head, *arguments = usage.split("[")[0].split(":")
        assert load(":".join([head, *(examples[a] for a in arguments)])).K >= 3
        assert about
        assert "\n" not in about


def test_seeded_names_repeat():
    np.testing.assert_array_equal(load("random:4:7").P, load("random:4:7").P)
    assert not np.array_equal(load("transitive:4:7").P, load("transitive:4:8").P)


def test_the_prior_reaches_every_game_of_votes(tmp_path):
    (tmp_path / "v.csv").write_text("winner,loser\na,b\nb,c\nc,a\n")
    for spec in ("minneapolis", "pandalm:1", str(tmp_path / "v.csv")):
        assert load(spec, prior=2.0).prior == 2.0


def test_files_are_told_apart_by_what_they_hold(tmp_path):
    (tmp_path / "votes.csv").write_text("\n winner,loser\na,b\n")
    (tmp_path / "matrix.csv").write_text("a,b\n0.5,0.7\n0.3,0.5\n")
    (tmp_path / "votes.jsonl").write_text('{"winner": "a", "loser": "b"}')
    (tmp_path / "matrix.json").write_text(json.dumps([[0.5, 0.7], [0.3, 0.5]]))
    (tmp_path / "matrix").write_text("0.5 0.7\n0.3 0.5\n")
    assert load(tmp_path / "votes.csv").P[0, 1] == 0.75
    assert load(str(tmp_path / "votes.jsonl")).P[0, 1] == 0.75
    for name in ("matrix.csv", "matrix.json", "matrix"):
        assert load(str(tmp_path / name)).P[0, 1] == 0.7
    (tmp_path / "votes.csv").write_text("winer,loser\na,b\n")
    with pytest.raises(InputError, match="unknown column 'winer'"):
        load(tmp_path / "votes.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chosen,rejected\na,b\n", "line 1 has the unknown column 'chosen'; known are winner"),
        ("winer,looser,count\na,b,3\n", r"unknown column 'winer'; did you mean 'winner'\?"),
        ("winner;loser\na;b\n", "unknown column 'winner;loser'; separate columns by commas"),
        ("winner\tloser\na\tb\n", "separate columns by commas"),
        ("x,b,a\na,0.5,0.7\nb,0.3,0.5\n", "names rows and columns differently"),
        (",a,b\na,x,y\nb,z,0.5\n", "line 2 holds 'x'"),
        ("a,b\n", "holds no numbers"),
        ("a" * 140_000 + ",b\n0.5,0.7\n0.3,0.5\n", "line 1 is not valid CSV"),
        ("winner," + "a" * 140_000 + "\na,b\n", "line 1 is not valid CSV"),
    ],
)
def test_a_bad_csv_file_is_judged_as_what_it_was_meant_to_be(tmp_path, text, message):
    (tmp_path / "game.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "game.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tie,count\n0.5,0.7\n0.3,0.5\n", ("tie", "count")),
        (",winner,tie\nwinner,0.5,0.7\ntie,0.3,0.5\n", ("winner", "tie")),
        ("# winner, loser\na,b\n0.5,0.7\n0.3,0.5\n", ("a", "b")),
        ("loser,winner\n2,1\n", ("1", "2")),
    ],
)
def test_names_do_not_decide_what_a_csv_file_is(tmp_path, text, names):
    (tmp_path / "game.csv").write_text(text)
    game = load(tmp_path / "game.csv")
    assert game.names == names
    assert game.P[0, 1] > 0.5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rsp:0.4", r"no game 'rsp:0.4'; did you mean 'rps:A'\?"),
        ("minneapolos", r"did you mean 'minneapolis'\?"),
        ("chess", r"give a file, or one of rps:A, cycle:K:A"),
        ("rps", r"'rps' has 0 argument\(s\); write rps:A"),
        ("rps:0.1:0.2", r"has 2 argument\(s\)"),
        ("minneapolis:2", r"has 1 argument\(s\); write minneapolis"),
        ("rps:strong", r"'strong' in 'rps:strong' is not a number"),
        ("cycle:4.5:0.1", r"'4.5' in .* is not a whole number"),
        ("random:4:-1", r"'-1' in .* is not a whole number"),
        ("rps:0.7", r"a = 0.7 must lie in"),
        ("pandalm:9", r"annotator = 9"),
        ("nowhere.csv", r"there is no file 'nowhere.csv'"),
        ("some/where", r"there is no file 'some/where'"),
        ("", r"no game ''"),
    ],
)
def test_a_bad_name_is_answered_in_one_sentence(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        load(spec)
    assert "\n" not in str(caught.value)
