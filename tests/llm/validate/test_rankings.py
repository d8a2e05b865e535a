"""Scores as rankers of measured displacement: the experiment on a tiny model, and its judgement."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from prefdyn import InputError
from prefdyn.llm import LanguageModel
from prefdyn.llm.validate import _rankings_view as view
from prefdyn.llm.validate import rankings


@pytest.fixture(scope="module")
def data(llama, tokenizer):
    """Two prompts, three pairs each in either arm, as from disk."""
    lm = LanguageModel(llama, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rankings.SIZES, "tiny", (2, 3))
        patch.setattr(rankings, "TARGET", 0.05)  # little, for so wild a model
        predicted = json.loads(json.dumps(rankings.predict(lm, "tiny", 0)))
        measured = json.loads(json.dumps(rankings.measure(lm, predicted, "tiny", 0)))
    return predicted, measured


def test_pairs_are_as_the_arms_want_them(data):
    pairs = data[0]["pairs"]
    arms = {arm: [pair["responses"] for pair in pairs if pair["arm"] == arm] for arm in view.ARMS}
    assert [len(arm) for arm in arms.values()] == [6, 6]
    assert all(len(one) == len(two) and one != two for one, two in arms["equal"])
    assert any(len(one) != len(two) for one, two in arms["free"])
    assert len({tuple(pair["prompt"]) for pair in pairs}) == 2


def test_the_kernel_prediction_is_close(data):
    predicted, measured = data
    for arm in view.ARMS:
        at, scores = view.scores_of(predicted, arm)
        fall = view.falls(measured)[at]
        assert np.corrcoef(scores["run"], fall)[0, 1] > 0.99
        assert ("length_difference" in scores) == (arm == "free")


def made(fall, kernel, rival):
    """An experiment of which all pairs are in both arms."""
    pairs = [
        {
            "arm": arm,
            "changes": {"first": -k, "run": -k},
            "scores": dict.fromkeys(view.RIVALS, r),
        }
        for arm in view.ARMS
        for k, r in zip(kernel, rival, strict=True)
    ]
    changes = [[-f, 0.0] for _ in view.ARMS for f in fall]
    return {"pairs": pairs, "closed": []}, {"changes": changes}


def test_the_better_ranker_wins_and_a_tie_does_not(monkeypatch):
    monkeypatch.setattr(view, "RESAMPLES", 200)
    rng = np.random.default_rng(0)
    fall = rng.normal(size=60)
    good, bad = fall + 0.1 * rng.normal(size=60), fall + 2 * rng.normal(size=60)

    def verdicts(kernel, rival):
        found = view.records(*made(fall, kernel, rival))
        return {record.verdict for record in found if "lead" in record.quantity}

    assert verdicts(good, bad) == {"holds"}
    assert verdicts(bad, good) == {"fails"}
    assert verdicts(bad, fall + 2 * rng.normal(size=60)) == {"fails"}


def test_prompts_that_leave_nothing_open_are_left_out_and_named(llama, tokenizer, monkeypatch):
    written = rankings.continuations
    refused = []

    def sure_of_the_first(model, tokenizer, prompt, number, **settings):
        if not refused:
            refused.append(prompt)
        if prompt == refused[0]:
            raise InputError("The model wrote only 3 different responses.")
        return written(model, tokenizer, prompt, number, **settings)

    monkeypatch.setattr(rankings, "continuations", sure_of_the_first)
    prompts, responses, closed = rankings._written(LanguageModel(llama, tokenizer), 2, 0)
    assert closed == [tokenizer.decode(refused[0])]
    assert refused[0] not in prompts
    assert [len(set(some)) for some in responses] == [rankings.WRITTEN] * 2
    data = made(np.arange(3.0), np.arange(3.0), np.arange(3.0)[::-1])
    last = view.records(data[0] | {"closed": closed}, data[1])[-1]
    assert (last.measured, last.verdict) == (1, "reported")

    def sure_of_all(*arguments, **settings):
        raise InputError("The model wrote only 3 different responses.")

    monkeypatch.setattr(rankings, "continuations", sure_of_all)
    with pytest.raises(InputError, match="too sure of itself"):
        rankings._written(LanguageModel(llama, tokenizer), 2, 0)


def test_rank_correlations_are_those_of_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.integers(5, size=(3, 20)), rng.normal(size=(3, 20))
    expected: Any = [spearmanr(a, b)[0] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(view.spearman(x, y), expected, atol=1e-12)
    assert view.spearman(np.ones(4), np.arange(4.0)) == 0


def test_the_figure_shows_every_score(data):
    drawing = view.draw(*data)
    drawing.canvas.draw()
    free, equal, *_ = drawing.get_axes()
    assert len(free.lines) == 2 * 7 + 1
    assert len(equal.lines) == 2 * 6 + 1
