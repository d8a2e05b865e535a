"""The HelpSteer protocol: the games it makes, the collections, and the loader's errors."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

from prefdyn._errors import InputError
from prefdyn.games import contains_cycle, games_from_scores, is_strongly_transitive
from prefdyn.games.helpsteer import (
    ATTRIBUTES,
    collections,
    load_helpsteer,
    scores_by_prompt,
    synthetic_scores,
)


def test_each_pair_is_judged_on_one_attribute():
    scores = synthetic_scores(200, 1)
    games = games_from_scores(scores, 2)
    gaps = scores[:, :, None, :] - scores[:, None, :, :]
    matches = np.isclose(games.P[..., None], expit(gaps), rtol=0, atol=1e-14)
    assert matches.any(axis=-1).all()
    assert games.batch_shape == (200,)
    # the attributes differ between pairs: no single one explains a whole game, usually
    assert matches.all(axis=(1, 2)).any(axis=-1).mean() < 0.5


def test_every_attribute_is_drawn_equally_often():
    # attribute m alone separates the two responses by m, so the win rate tells which was drawn
    scores = np.zeros((20_000, 2, 5))
    scores[:, 0] = np.arange(5)
    drawn = np.rint(np.log(1 / (1 / games_from_scores(scores, 0).P[:, 0, 1] - 1)))
    shares = np.bincount(drawn.astype(int), minlength=5) / 20_000
    np.testing.assert_allclose(shares, 0.2, atol=5 * np.sqrt(0.16 / 20_000))


def test_the_only_strengths_are_those_of_integer_gaps():
    games = games_from_scores(synthetic_scores(500, 3), 4)
    strengths = np.unique(np.abs(games.skew).round(12))
    assert set(strengths) <= set((expit(np.arange(5)) - 0.5).round(12))
    assert strengths.size >= 4


def test_shares_of_the_collections_in_the_synthetic_stand_in():
    """MRS-16: 6.0 % cyclic, 38.5 % weakly and 0.2 % strictly strongly transitive (± 1.5 %)."""
    picked = collections(games_from_scores(synthetic_scores(12_000, 0), 1))
    shares = [games.batch_shape[0] / 12_000 for games in picked]
    np.testing.assert_allclose(shares, [0.060, 0.385, 0.002], atol=0.015)
    assert contains_cycle(picked.cyclic, length=3).all()
    assert is_strongly_transitive(picked.strongly_transitive).all()
    assert is_strongly_transitive(picked.strictly_strongly_transitive, strict=True).all()


def test_synthetic_scores_have_the_stated_form():
    scores = synthetic_scores(4000, 5, K=3, attributes=2)
    assert scores.shape == (4000, 3, 2)
    assert set(np.unique(scores)) == {0, 1, 2, 3, 4}
    # two attributes of a response share its quality: correlation .8²/(.8² + .7²) less clipping
    correlation = np.corrcoef(scores[..., 0].ravel(), scores[..., 1].ravel())[0, 1]
    assert 0.45 < correlation < 0.57
    np.testing.assert_array_equal(scores, synthetic_scores(4000, 5, K=3, attributes=2))


def rows(prompts):
    return [
        {"prompt": prompt, "response": "…", **dict.fromkeys(ATTRIBUTES, score)}
        for prompt, score in prompts
    ]


def test_only_prompts_with_all_responses_are_kept():
    interleaved = rows([("p", 0), ("q", 4), ("p", 1), ("r", 2), ("p", 2), ("p", 3), ("q", 4)])
    scores = scores_by_prompt(interleaved)
    assert scores.shape == (1, 4, 5)
    np.testing.assert_array_equal(scores[0, :, 0], [0, 1, 2, 3])
    assert scores_by_prompt(interleaved, K=2).shape == (1, 2, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"helpfulness": 5}, "row 1 has helpfulness = 5"),
        ({"verbosity": None}, "row 1 has verbosity = None"),
        ({"coherence": 2.5}, "row 1 has coherence = 2.5"),
    ],
)
def test_bad_scores_are_refused_with_the_row(change, message):
    data = rows([("p", 1)] * 4)
    data[1] |= change
    with pytest.raises(InputError, match=message):
        scores_by_prompt(data)


def test_rows_without_prompts_or_too_few_are_refused():
    data = rows([("p", 1)] * 4)
    del data[2]["prompt"]
    with pytest.raises(InputError, match="row 2 has no prompt"):
        scores_by_prompt(data)
    with pytest.raises(InputError, match="exactly 4"):
        scores_by_prompt(rows([("p", 1)] * 3))


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"shape \(3, 2\)"):
        games_from_scores(np.zeros((3, 2)), 0)
    with pytest.raises(InputError, match="n is 0"):
        synthetic_scores(0, 0)


def test_a_missing_library_is_one_clear_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"install prefdyn\[data\]"):
        load_helpsteer()


def test_missing_data_is_one_clear_sentence(monkeypatch):
    def load_dataset(path, split):
        raise ConnectionError("no route to host.\nmany more lines")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(
        InputError, match=r"could not be loaded \(no route to host\); give"
    ) as caught:
        load_helpsteer()
    assert "\n" not in str(caught.value)


def test_the_library_is_asked_for_the_real_data(monkeypatch):
    asked = []

    def load_dataset(path, split):
        asked.append((path, split))
        return rows([("p", 3)] * 4)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_helpsteer().shape == (1, 4, 5)
    assert asked == [("nvidia/HelpSteer", "train")]
