import numpy as np
import pytest
from matplotlib.figure import Figure

from prefdyn.llm import load
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.validate import squeezing
from prefdyn.llm.validate._run import _as_read


@pytest.fixture(scope="module")
def ran():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(squeezing, "SIZES", {"tiny": (2, 3)})
        lm = load()
        predicted = _as_read(squeezing.predict(lm, "tiny", 0))
        return predicted, _as_read(squeezing.measure(lm, predicted, "tiny", 0))


def test_signs_of_next_tokens_follow_the_kernel_and_the_rest_is_reported(ran):
    records = {record.quantity: record for record in squeezing.records(*ran)}
    kernel = next(record for words, record in records.items() if "by the kernel" in words)
    assert kernel.verdict == "holds"
    outcome = "DPO, off-policy: prompts whose greedy continuation gains, of 2"
    assert records[outcome].verdict == "reported"
    assert isinstance(squeezing.draw(*ran), Figure)


def test_small_steps_move_next_tokens_by_what_was_predicted(ran):
    predicted, measured = ran
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        foretold, change = (np.array(part["next"]["change"]) for part in (case, seen))
        # A step that moves the fastest token by 0.1 nat: the second order is some 5 % of it.
        np.testing.assert_allclose(change, foretold, atol=0.15 * np.abs(foretold).max())


def test_answers_have_the_roles_they_are_given(ran):
    predicted, _ = ran
    first, second = predicted["cases"]
    assert first["answers"][-1] in second["answers"]
    assert first["answers"][-1] not in first["answers"][:-1]
    assert len(first["answers"]) == len(squeezing.ROLES)
    assert max(first["log_probs"][:5]) > first["log_probs"][-1]


def test_training_starts_where_the_prediction_does_and_lowers_the_rejected(ran):
    predicted, measured = ran
    for case, seen in zip(predicted["cases"], measured["cases"], strict=True):
        for arm, run in seen["runs"].items():
            rejected = squeezing.ROLES.index(squeezing.ARMS[arm][1])
            assert run["change"][0] == [0.0] * len(squeezing.ROLES)
            assert run["change"][-1][rejected] < 0
            assert case["runs"][arm]["change"][-1][rejected] < 0


def test_wrong_predictions_fail(ran):
    predicted, measured = _as_read(ran)
    for case in predicted["cases"]:
        case["next"]["change"] = [-value for value in case["next"]["change"]]
        for run in case["runs"].values():
            run["change"] = [[-value for value in row] for row in run["change"]]
    records = squeezing.records(predicted, measured)
    asserted = [record.verdict for record in records if record.tolerance]
    assert asserted
    assert set(asserted) == {"fails"}


def test_a_model_of_another_kind(monkeypatch, llama, tokenizer):
    monkeypatch.setattr(squeezing, "SIZES", {"tiny": (2, 2)})
    lm = LanguageModel(llama, tokenizer)
    predicted = _as_read(squeezing.predict(lm, "tiny", 0))
    measured = _as_read(squeezing.measure(lm, predicted, "tiny", 0))
    assert squeezing.records(predicted, measured)
