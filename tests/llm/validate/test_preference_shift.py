"""Preference shift and its cures, on a model so small that the whole experiment fits a test."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from prefdyn.llm.models import LanguageModel
from prefdyn.llm.validate import preference_shift
from prefdyn.llm.validate._run import _as_read
from prefdyn.objectives import SLIME


@pytest.fixture(scope="module")
def experiment(llama, tokenizer):
    """Predictions and measurements, as they come back from disk."""
    lm = LanguageModel(llama, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preference_shift, "SIZES", {"quick": (1, 2, 6)})
        predicted = _as_read(preference_shift.predict(lm, "quick", 0))
        return predicted, _as_read(preference_shift.measure(lm, predicted, "quick", 0))


def test_answers_share_a_long_beginning_and_differ_by_a_token(experiment):
    (case,) = experiment[0]["cases"]
    answers = case["answers"][: preference_shift.ENDINGS]
    shared = case["answers"][preference_shift.ENDINGS]
    assert len(shared) >= 6
    assert all(answer[: len(shared)] == shared for answer in answers)
    assert len({answer[len(shared)] for answer in answers}) == preference_shift.ENDINGS
    assert len({i for pair in case["pairs"] for i in pair}) == 4


def test_runs_are_on_the_prompts_with_the_largest_predicted_displacement(experiment):
    predicted, _ = experiment
    assert predicted["searched"] == 2
    tokens = [crossing["prompt_tokens"] for crossing in predicted["crossings"]]
    assert predicted["cases"][0]["prompt_tokens"] == tokens[0]
    critical = [crossing["critical"] for crossing in predicted["crossings"]]
    assert critical[0] == max(critical)


def test_the_fastest_answer_moves_as_the_rate_was_chosen(experiment):
    (case,) = experiment[0]["cases"]
    for arm, run in case["runs"].items():
        first = np.abs(np.array(run["change"])[1]).max() / preference_shift.EVERY
        assert first == pytest.approx(preference_shift.STEP, rel=0.3) or arm == "DPOP"


def test_bounds_and_first_steps_hold_for_whatever_model(experiment):
    """The near field, a matter of how curved a model is, is left to models that were trained."""
    found = preference_shift.records(*experiment)
    asserted = [record for record in found if record.verdict in ("holds", "fails")]
    theorems = [r for r in asserted if r.quantity.startswith(("SPO", "SLIME"))]
    assert len(theorems) == 4
    assert [r.quantity for r in theorems if r.verdict == "fails"] == []
    assert len(asserted) == 6
    assert all(record.experiment == "preference_shift" for record in found)


def test_a_wrong_prediction_fails(experiment):
    predicted, measured = (dict(part) for part in experiment)
    turned = [dict(c, change=[-x for x in c["change"]]) for c in predicted["crossings"]]
    case = dict(predicted["cases"][0], runs={})
    for arm, run in predicted["cases"][0]["runs"].items():
        case["runs"][arm] = dict(run, change=(-np.array(run["change"])).tolist())
    worse = predicted | {"crossings": turned, "cases": [case], "floor": 0.0}
    verdicts = [record.verdict for record in preference_shift.records(worse, measured)]
    assert verdicts[:3] == ["fails"] * 3


def test_without_clear_pairs_or_tokens_above_the_floor_nothing_is_claimed(experiment):
    predicted, measured = experiment
    empty = predicted | {"crossings": [], "floor": 0.0}
    found = preference_shift.records(empty, measured | {"crossings": []})
    assert sum(record.verdict == "not_run" for record in found) == 2
    assert isinstance(preference_shift.draw(empty, measured | {"crossings": []}), Figure)


def test_the_floor_is_where_pull_and_push_balance():
    """Against the explicit derivative of the loss: no token below it is pushed down."""
    objective = SLIME()
    floor = preference_shift.floor(objective)
    assert floor == pytest.approx(-4.19, abs=0.01)
    depth = -floor - objective.delta
    sigmoid, softplus = 1 / (1 + math.exp(-depth)), math.log1p(math.exp(depth))
    pull = objective.lambda_l * objective.p * softplus ** (objective.p - 1) * sigmoid
    assert pull == pytest.approx(1.231, abs=2e-3)  # the largest margin force
    assert preference_shift.floor(SLIME(lambda_l=5e-4)) < -80


def test_the_figure_is_drawn(experiment):
    drawing = preference_shift.draw(*experiment)
    assert len(drawing.axes) == 4
    assert [ax.get_xlabel() for ax in drawing.axes[:3]] == [
        "change of log p, rejected (nat)",
        "step",
        "step",
    ]
