"""Vote files: what is counted, and one clear sentence for everything that is not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefdyn._errors import InputError
from prefdyn.games import load_votes
from prefdyn.games.votes import Vote, count_votes

CSV = """winner, loser, count, prompt, tie
a, b, 3, p, false
b, a, 1, p,
b, c, 2, q, true
"c, or d",a,,q,no
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="votes.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_votes_are_counted_and_ties_are_half_a_win_each(write):
    game = load_votes(write(CSV.replace("c, or d", "c")))
    assert game.names == ("a", "b", "c")
    np.testing.assert_array_equal(game.counts, [[0, 3, 0], [1, 0, 1], [1, 1, 0]])
    assert game.prior == 0.5


def test_names_may_hold_commas_and_accents(write):
    game = load_votes(write('winner,loser\n"c, or d",é\n'.encode("utf-8-sig")))
    assert game.names == ("c, or d", "é")


def test_pooling_over_prompts_says_so(write):
    assert load_votes(write(CSV)).source == "votes.csv: 7 votes, pooled over 2 prompts"
    assert load_votes(write("winner,loser\na,b\n")).source == "votes.csv: 1 votes"


def test_a_prompt_column_gives_one_game_per_prompt(write):
    games = load_votes(write(CSV.replace("c, or d", "c")), prior=1.0, per_prompt=True)
    assert list(games) == ["p", "q"]
    assert [game.names for game in games.values()] == [("a", "b"), ("b", "c", "a")]
    assert games["p"].P[0, 1] == pytest.approx(4 / 6)
    assert "prompt 'q'" in games["q"].source


def test_json_lines_say_the_same_as_csv(write):
    rows = [
        {"winner": "a", "loser": "b", "count": 3, "tie": False},
        {"winner": "b", "loser": "c", "count": 2.0, "tie": True},
        {"winner": "c", "loser": "a", "tie": None, "count": None},
    ]
    lines = "\n\n".join(json.dumps(row) for row in rows)
    game = load_votes(write(lines, "votes.jsonl"))
    np.testing.assert_array_equal(game.counts, [[0, 3, 0], [0, 0, 1], [1, 1, 0]])
    numbered = load_votes(write('{"winner": 1, "loser": 2}', "votes.jsonl"))
    assert numbered.names == ("1", "2")


HEADER = "winner,loser,count,tie\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("winner,looser\na,b\n", r"line 1 has the unknown column 'looser'; did you mean 'loser'\?"),
        ("winner,loser,rating\na,b,1\n", r"unknown column 'rating'; known are winner, loser"),
        ("winner;loser\na;b\n", r"unknown column 'winner;loser'; separate columns by commas"),
        ("winner,count\na,1\n", r"line 1 has no column 'loser'"),
        ("winner,loser,loser\na,b,c\n", r"the column 'loser' twice"),
        (HEADER + "a,b,1,\na,a,1,\n", r"line 3 compares 'a' with itself"),
        (HEADER + "a,b,-1,\n", r"line 2 has the count '-1'"),
        (HEADER + "a,b,many,\n", r"line 2 has the count 'many'"),
        (HEADER + "a,b,nan,\n", r"line 2 has the count 'nan'"),
        (HEADER + "a,b,1" + "0" * 400 + ",\n", r"line 2 has the count '10{38}; give"),
        (HEADER + "a,b,inf,\n", r"line 2 has the count 'inf'"),
        (HEADER + "a,b,1,perhaps\n", r"line 2 has the tie 'perhaps'"),
        (HEADER + "a,,1,\n", r"line 2 has an empty loser"),
        (HEADER + "a,b\n", r"line 2 has 2 cells for 4 columns"),
        (HEADER + "\n\na,b,1,,5\n", r"line 4 has 5 cells for 4 columns"),
        (HEADER + 'a,"b,1,\n', r"line 2 is not valid CSV"),
        ("", r"votes.csv is empty"),
        (" \n\n", r"votes.csv is empty"),
        (HEADER, r"a header but no votes"),
        (HEADER.encode() + b"a,b,1,\n\xe9,b,1,\n", r"line 3 is not UTF-8"),
        (HEADER.encode("utf-16"), r"line 1 is not UTF-8"),
        (HEADER.encode("utf-16-le"), r"line 1 is not UTF-8"),
        ("winner,loser\na,b\nc,d\n", r"votes.csv: no comparison links .* \{a, b\} and \{c, d\}"),
    ],
)
def test_bad_csv_is_refused_with_file_and_line(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load_votes(write(text))
    assert str(caught.value).startswith("votes.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"winner": "a", "loser": "b"}\n{"winner": "a", "lo', r"line 2 is not complete JSON"),
        ('["a", "b"]', r"line 1 is not an object"),
        ('{"winner": "a", "loser": "b", "score": 1}', r"line 1 has the unknown column 'score'"),
        ('{"winner": "a"}', r"line 1 has no column 'loser'"),
        ('{"winner": "a", "loser": ["b"]}', r"line 1 has the loser \['b'\]"),
        ('{"winner": "a", "loser": null}', r"line 1 has the loser None"),
        ('{"winner": "a", "loser": "b", "count": true}', r"line 1 has the count True"),
        (f'{{"winner": "a", "loser": "b", "count": {10**400}}}', r"line 1 has the count 10{39};"),
        ("[" * 100_000, r"line 1 opens more brackets than can be nested"),
        ('{"winner": "a", "loser": "b", "count": NaN}', r"line 1 has the count nan"),
        ('{"winner": "a", "loser": "b", "count": [1]}', r"line 1 has the count \[1\]"),
        ('{"winner": "a", "loser": "b", "tie": 2}', r"line 1 has the tie 2"),
    ],
)
def test_bad_json_lines_are_refused_with_the_line(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load_votes(write(text, "votes.jsonl"))
    assert str(caught.value).startswith("votes.jsonl")


def test_games_per_prompt_need_a_prompt_in_every_row(write):
    with pytest.raises(InputError, match="rows without a prompt"):
        load_votes(write("winner,loser\na,b\n"), per_prompt=True)
    with pytest.raises(InputError, match="line 2 has an empty prompt"):
        load_votes(write("winner,loser,prompt\na,b,\n"), per_prompt=True)


def test_unlinked_prompts_are_left_out_with_the_reason(write):
    unlinked = "".join(f"a,b,{p}\nc,d,{p}\n" for p in "pqr")
    games = load_votes(write("winner,loser,prompt\n" + unlinked + "a,b,fine\n"), per_prompt=True)
    assert list(games) == ["fine"]
    assert list(games.left_out) == ["p", "q", "r"]
    assert "prompt 'p': no comparison" in games.left_out["p"]
    with pytest.raises(InputError, match=r"no prompt makes a game: .*prompt 'p': no comparison"):
        load_votes(write("winner,loser,prompt\n" + unlinked), per_prompt=True)


def test_only_known_kinds_of_files_are_read(write, tmp_path):
    with pytest.raises(InputError, match=r"votes.tsv is not a vote file"):
        load_votes(write(CSV, "votes.tsv"))
    with pytest.raises(InputError, match=r"there is no file '.*missing.csv'"):
        load_votes(tmp_path / "missing.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"cannot be read"):
        load_votes(tmp_path / "folder.csv")


VOTE = st.builds(
    Vote,
    st.sampled_from("abc"),
    st.sampled_from("def"),
    st.integers(0, 9).map(float),
    st.none(),
    st.booleans(),
)


@given(st.lists(VOTE, min_size=1))
def test_no_vote_is_lost(votes):
    wins, names = count_votes(votes)
    assert wins.sum() == sum(vote.count for vote in votes)
    ties = [
        vote._replace(winner=vote.loser, loser=vote.winner) if vote.tie else vote for vote in votes
    ]
    mirrored, other = count_votes(ties)
    order = [other.index(name) for name in names]
    np.testing.assert_array_equal(mirrored[np.ix_(order, order)], wins)  # a tie has no winner
