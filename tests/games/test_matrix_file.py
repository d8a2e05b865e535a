"""Matrix files: three formats of one table, and what is wrong with the others."""

import json

import numpy as np
import pytest

from prefdyn._errors import InputError
from prefdyn.games import load_matrix

P = [[0.5, 0.7], [0.3, 0.5]]


@pytest.fixture
def write(tmp_path):
    def write(text, name="game.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("game.csv", "0.5,0.7\n0.3,0.5\n", None),
        ("game.csv", "a,b\n0.5,0.7\n0.3,0.5\n", ("a", "b")),
        ("game.csv", ",a,b\na,0.5,0.7\nb,0.3,0.5\n", ("a", "b")),
        ("game.csv", 'over,"a, or b",b\n"a, or b",0.5,0.7\nb,0.3,0.5\n', ("a, or b", "b")),
        ("game.csv", "# as published\na,0.5,0.7\n\nb,0.3,0.5\n", ("a", "b")),
        ("game.txt", "0.5 0.7\n0.3\t0.5", None),
        ("game.txt", "a b\n0.5 0.7\n0.3 0.5", ("a", "b")),
        ("game.txt", "  a b\na 0.5 0.7\nb 0.3 0.5", ("a", "b")),
        ("game.json", json.dumps(P), None),
        ("game.json", json.dumps({"P": P, "names": ["a", "b"]}), ("a", "b")),
    ],
)
def test_every_format_reads_the_same_table(write, name, text, names):
    game = load_matrix(write(text, name))
    np.testing.assert_array_equal(game.P, P)
    assert game.names == names
    assert game.source == name


def test_json_may_hold_wins_a_source_or_a_batch(write):
    entry = {"wins": [[0, 3], [1, 0]], "source": "a poll", "licence": "MIT", "how": "counted"}
    game = load_matrix(write(json.dumps(entry), "game.json"), prior=0.0)
    assert game.P[0, 1] == 0.75
    assert game.source == "a poll"
    assert load_matrix(write(json.dumps([P, P, P]), "game.json")).batch_shape == (3,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5,0.7\n0.4,0.5\n", r"P\[0, 1\] \+ P\[1, 0\] = 1.1"),
        ("0.5,0.7\n0.3\n", r"line 2 has 1 numbers, but the first row has 2"),
        ("a,b\n0.5,x\n0.3,0.5\n", r"line 2 holds 'x'"),
        ("0.5,nan\n0.3,0.5\n", r"P\[0, 1\] is NaN"),
        ("0.5,0.7,0.1\n0.3,0.5,0.2\n", r"shape \(2, 3\)"),
        ("0.5\n", "K = 1"),
        ("a,b,c\n0.5,0.7\n0.3,0.5\n", "3 names for 2 responses"),
        ("x,b,a\na,0.5,0.7\nb,0.3,0.5\n", "names rows and columns differently"),
        ("a,b\n", "holds no numbers"),
        ("# nothing\n", "holds no numbers"),
        ('"0.5,0.7\n', "line 1 is not valid CSV"),
        ("", "is empty"),
        (b"0.5,0.7\n\xff,0.5\n", "line 2 is not UTF-8"),
    ],
)
def test_bad_tables_are_refused_with_file_and_place(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load_matrix(write(text))
    assert str(caught.value).startswith("game.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[0.5, 0.7], [0.3,", "not complete JSON"),
        ('{"P": [[0.5, 0.7], [0.3, 0.5]], "nmaes": []}', "unknown key 'nmaes'"),
        ('{"names": ["a", "b"]}', "either P"),
        ('{"P": [[0.5]], "wins": [[0]]}', "either P"),
        ('{"P": [[0.5, 0.7], [0.3, 0.5]], "names": "ab"}', "list of strings"),
        ('{"P": [[0.5, 0.7], [0.3, 0.5]], "names": [1, 2]}', "strings"),
        ('{"P": [[0.5, null], [0.3, 0.5]]}', r"P\[0, 1\] is NaN"),
        ('{"wins": [[0, -1], [0, 0]]}', r"counts\[0, 1\] = -1"),
        ("0.5", r"shape \(\)"),
        ('"P"', "numbers"),
        ("[" * 100_000, "more brackets than can be nested"),
        ("[[0.5, 1" + "0" * 5000 + "], [0, 0.5]]", "whole number that is too long"),
        ("[[0.5, 1" + "0" * 400 + "], [0, 0.5]]", "P must be a .* array of numbers"),
        ('{"wins": [[0, 1' + "0" * 400 + "], [0, 0]]}", "must be a .* array of numbers"),
    ],
)
def test_bad_json_is_refused_with_the_key_or_entry(write, content, message):
    with pytest.raises(InputError, match=message) as caught:
        load_matrix(write(content, "game.json"))
    assert str(caught.value).startswith("game.json")
