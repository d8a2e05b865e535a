"""Runs predicted from a geometry: the experiment on a tiny model, and how it is judged."""

import json

import numpy as np
import pytest

from prefdyn.llm import LanguageModel
from prefdyn.llm.validate import _kernel_view as view
from prefdyn.llm.validate import kernel_prediction


@pytest.fixture(scope="module")
def data(llama, tokenizer):
    """One prompt, one pair, as from disk."""
    lm = LanguageModel(llama, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kernel_prediction.SIZES, "tiny", (1, 1))
        patch.setattr(kernel_prediction, "STEPS", 10)
        before = [p.clone() for p in llama.parameters()]
        predicted = json.loads(json.dumps(kernel_prediction.predict(lm, "tiny", 0)))
        measured = json.loads(json.dumps(kernel_prediction.measure(lm, predicted, "tiny", 0)))
    assert all((p == q).all() for p, q in zip(before, llama.parameters(), strict=True))
    return predicted, measured


def test_small_runs_agree_and_renewed_ones_better_than_frozen(data):
    runs = view.runs_of(*data)
    assert [run.about["regime"] for run in runs].count("near") == 2
    for optimiser in ("sgd", "adamw"):
        (near,), (far,) = (view.chosen_from(runs, optimiser, r) for r in ("near", "far"))
        assert near.sizes[-1] == pytest.approx(0.4, rel=0.3)
        assert near.r2() > 0.9
        assert len(near.sizes) == len(far.sizes)  # every step, so that none drops out for its size
        assert near.slope() == pytest.approx(1, abs=0.2)
        assert far.sizes[-1] > 3 * near.sizes[-1]
        assert far.r2(by="renewed") > far.r2()
        assert far.renewed is not None
        np.testing.assert_allclose(far.renewed_normalised[:5], far.normalised[:5], atol=1e-9)
        np.testing.assert_allclose(far.renewed[:5], far.frozen[:5], atol=1e-9)


def test_every_quantity_has_a_record(data):
    found = view.records(*data)
    words = [record.quantity for record in found]
    assert len(set(words)) == len(words) == 2 * (3 + 1 + 3 + 2 + 1 + 2 + 2 + 2) + 2 + 2
    asserted = [record for record in found if record.verdict in ("holds", "fails")]
    assert len(asserted) >= 9
    assert found[-1].verdict == "reported"


def test_a_geometry_renewed_at_every_step_explains_the_worst_run(data):
    followed = [r for r in view.records(*data) if "every step" in r.quantity]
    assert [record.verdict for record in followed] == ["holds", "holds"]
    for run in data[1]["followed"].values():
        assert view.r_squared(np.array(run["renewed"][-1]), np.array(run["change"][-1])) > 0.999


def fake(measured, frozen, renewed=None, regime="near", optimiser="sgd"):
    about = {"regime": regime, "optimiser": optimiser, "pair": [0, 1], "words": "0 over 1"}
    return view.Run(about, np.full(3, -3.0), np.array(frozen), np.array(measured), renewed)


def test_judged_at_the_last_step_within_the_size():
    measured = [[0, 0, 0], [0.3, -0.2, 0.1], [0.6, -0.4, 0.2]]
    frozen = [[0, 0, 0], [0.3, -0.2, 0.1], [0.0, 0.5, 0.0]]
    run = fake(measured, frozen)
    assert run.within(0.5) == 1
    assert run.r2(1) == pytest.approx(1)
    assert run.r2() < 0
    assert run.range == pytest.approx(0.6)
    median, worst, slope = view._asserted("x", [run], 0.5, (0.99, 0.95), "frozen")
    assert {median.verdict, worst.verdict, slope.verdict} == {"holds"}
    assert "1 of 1 runs, 1 of them up to the last step" in median.note
    assert "0 over 1" in worst.note
    off = fake(measured, 1.3 * np.array(measured))
    median, worst, slope = view._asserted("x", [off], 1.0, (0.99, 0.95), "frozen")
    assert {median.verdict, worst.verdict, slope.verdict} == {"fails"}
    assert slope.measured == pytest.approx(1 / 1.3)
    (nothing,) = view._asserted("x", [run], 0.1, (0.99, 0.95), "frozen")
    assert nothing.verdict == "not_run"


def test_signs_count_where_something_moved():
    right = fake([[0, 0, 0], [0.3, 0, 0]], [[0, 0, 0], [0.1, 0, 0]])
    wrong = fake([[0, 0, 0], [0.3, 0, 0]], [[0, 0, 0], [-0.1, 0, 0]])
    still = fake([[0, 0, 0], [0.01, 0, 0]], [[0, 0, 0], [-0.1, 0, 0]])
    both, frozen = view._signs([right, still])
    assert both.measured == frozen.measured == 1
    assert "1 of 1 runs" in both.note
    assert "out of 2" in both.note
    assert view._signs([right, wrong])[0].verdict == "fails"
    assert [record.verdict for record in view._signs([still])] == ["not_run"]


def test_the_figure_has_all_runs(data):
    drawing = view.draw(*data)
    drawing.canvas.draw()
    axes = drawing.get_axes()
    assert len(axes) == 11
    assert all("$R^2$" in ax.texts[0].get_text() for ax in [*axes[:8], *axes[9:]])
    assert len(axes[8].lines) == 3
