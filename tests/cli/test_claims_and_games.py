"""``prefdyn claims`` and ``prefdyn games``: what there is."""

import re

import prefdyn


def test_claims_are_listed_and_shown_in_full(data, text):
    listed = text("claims")
    assert all(claim.id in listed for claim in prefdyn.claims.all())
    shown = " ".join(text("claims", "mrs-5").split())
    assert prefdyn.claims.get("MRS-5").statement in shown
    assert "python -m analysis MRS-5" in shown
    assert len(data("claims")["claims"]) == len(prefdyn.claims.all())


def test_games_are_listed(data, text):
    names = [entry["name"] for entry in data("games")["games"]]
    assert names == list(prefdyn.games.names())
    assert "minneapolis" in text("games")


def test_a_game_is_shown_with_its_votes_and_structure(data, text):
    found = data("games", "minneapolis")
    assert found["game"]["licence"] == "public record"
    assert found["wins"][0][1] == 4324
    assert found["structure"]["condorcet_winner"] is None
    assert found["structure"]["smith_set"] == [0, 1, 2]
    shown = text("games", "minneapolis")
    assert re.search(r"0 Arab +0\.500 +0\.513", shown)
    assert re.search(r"Smith set +Arab, Gordon, Worlobah", shown)
    assert re.search(r"0 Arab +0 +4324", shown)


def test_a_wide_matrix_is_left_to_json(data, text):
    assert "--json" in text("games", "random:30:0")
    assert len(data("games", "random:30:0")["P"]) == 30
