import copy

import numpy as np
import pytest
from matplotlib.figure import Figure

from prefdyn.llm import Inner
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.validate import rounds
from prefdyn.llm.validate._rounds_view import behaviour, deviation
from prefdyn.llm.validate._run import _as_read
from tests.llm.conftest import tiny_llama

BUDGET = {"rounds": 12, "near": 6, "halvings": 1, "onset": 24, "adam": 1, "prompts": 2}


@pytest.fixture(scope="module")
def ran(tokenizer):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "SIZES", {"tiny": BUDGET})
        patch.setattr(rounds, "ADAM", Inner("adam", rate=3e-3, steps=50))
        patch.setattr(rounds, "STEPS", 4)
        lm = LanguageModel(tiny_llama(initializer_range=0.1), tokenizer)
        predicted = _as_read(rounds.predict(lm, "tiny", 0))
        return predicted, _as_read(rounds.measure(lm, predicted, "tiny", 0))


def test_theory_holds_on_a_tiny_model(ran):
    records = rounds.records(*ran)
    assert [record.quantity for record in records if record.verdict == "fails"] == []
    held = [record.quantity for record in records if record.verdict == "holds"]
    for words in ("critical beta, IPO", "critical beta, DPO", "period at onset (rounds), IPO"):
        assert words in held
    assert isinstance(rounds.draw(*ran), Figure)


def test_predictions_are_the_closed_forms(ran):
    predicted, _ = ran
    # claims MRS-5, DPO-8 and MRS-7 at a = 0.4, alpha = 0.5, lam = 1
    assert predicted["thresholds"]["ipo"]["beta"] == pytest.approx(0.4 / np.sqrt(3 * 0.75))
    assert predicted["thresholds"]["dpo"]["beta"] == pytest.approx(1.6 / np.sqrt(3 * 0.75))
    assert predicted["thresholds"]["ipo"]["period"] == pytest.approx(6)
    assert predicted["orbits"]["transitive"]["bound"] < 0.15


def test_undertrained_rounds_grow_as_their_kappa_says(ran):
    for seen in ran[1]["undertrained"].values():
        assert 0.2 < seen["kappa"] < 0.6
        assert seen["exact"] > 1
        theory, growth = seen["growth"]
        assert growth == pytest.approx(theory, abs=0.05)
        assert growth < 1


def test_wrong_predictions_fail(ran):
    predicted, measured = copy.deepcopy(ran)
    for theory in predicted["thresholds"].values():
        theory["beta"] *= 1.1
        theory["period"] *= 1.1
    for orbit in predicted["orbits"].values():
        orbit["policies"] = np.flip(orbit["policies"], -1).tolist()
        orbit["kind"] = "stable" if orbit["kind"] != "stable" else "neimark_sacker"
    predicted["orbits"]["onset"]["period"] *= 1.1
    predicted["orbits"]["transitive"] |= {"entropy": 0.2, "bound": 0.001}
    records = rounds.records(predicted, measured)
    assert [record.quantity for record in records if record.verdict == "holds"] == []


def test_a_threshold_that_was_not_found_fails(ran):
    predicted, measured = copy.deepcopy(ran)
    measured["thresholds"]["ipo"] |= {"beta": None, "period": None}
    measured["runs"]["onset"]["period"] = None
    records = {record.quantity: record for record in rounds.records(predicted, measured)}
    assert records["critical beta, IPO"].verdict == "fails"
    assert "did not change sign" in records["critical beta, IPO"].note
    assert records["period of an orbit just below the threshold (rounds)"].verdict == "fails"


def test_multiplier_of_a_spiral():
    turn = 0.9 * np.exp(0.7j)
    z = 0.05 * turn ** np.arange(12)
    plane = np.linalg.svd(np.eye(3) - 1 / 3)[0][:, :2]
    logits = np.stack([z.real, z.imag], -1) @ plane.T + np.array([0.4, -0.1, 0.0])
    found = rounds.multiplier(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    assert abs(found) == pytest.approx(0.9, abs=1e-9)
    assert abs(np.angle(found)) == pytest.approx(0.7, abs=1e-9)


def test_behaviour_has_three_words():
    fall = 0.5 ** np.arange(12)[:, None] * np.array([0.4, -0.4])
    turn = np.cos(np.arange(12))[:, None] * np.array([0.4, -0.4])
    assert behaviour(0.5 + fall, [0.5, 0.5]) == "converges"
    assert behaviour(0.5 + turn, [0.5, 0.5]) == "orbits"
    assert behaviour(0.5 + 0.2 * turn, [0.5, 0.5]) == "undecided"


def test_deviation_looks_at_twelve_rounds():
    theory = np.zeros((20, 2))
    seen = theory.copy()
    seen[3], seen[13] = 0.02, 1.0
    value = deviation({"policies": theory}, {"policies": seen})
    assert value == (0.02, 12)
