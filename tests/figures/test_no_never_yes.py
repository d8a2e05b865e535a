import numpy as np
import pytest

from figures import plot_displacement_threshold, plot_no_never_yes
from prefdyn import Pair, objectives

W_LEARNS, H_LEARNS, BOTH = 0, 1, 2
YES, NO, NEVER = 0, 1, 2


@pytest.mark.parametrize("id", plot_no_never_yes.RATES)
def test_the_pushes_written_out_are_those_of_the_objective(id):
    rng = np.random.default_rng(0)
    chosen, rejected, ref_chosen, ref_rejected = -rng.exponential(2, size=(4, 50))
    written = plot_no_never_yes.PUSHES[id](
        chosen - ref_chosen, rejected - ref_rejected, (chosen, rejected)
    )
    pair = Pair(
        chosen=chosen,
        rejected=rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
        chosen_tokens=chosen[:, None],
        rejected_tokens=rejected[:, None],
    )
    np.testing.assert_allclose(written, objectives.get(id).pushes(pair), rtol=1e-10, atol=1e-14)


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_no_never_yes, "STEPS", 60)
        patch.setattr(plot_no_never_yes, "SAVED", np.array([1, 10, 30, 60]))
        return plot_no_never_yes.compute(0)


def of(data, id):
    return data["simulated"][list(plot_no_never_yes.RATES).index(id)]


@pytest.mark.parametrize("id", ["dpo", "ipo", "simpo"])
def test_losses_of_the_margin_hand_yes_the_mass_where_only_h_learns(data, id):
    run = of(data, id)[:, H_LEARNS]
    assert run[-1, YES] > 0.5
    assert np.all(np.diff(run[:, NO]) < 0)
    losses = data["losses"][list(plot_no_never_yes.RATES).index(id), :, H_LEARNS]
    assert np.all(np.diff(losses) < 0)
    for learns in (W_LEARNS, BOTH):
        assert of(data, id)[-1, learns, NO] > 0.85


@pytest.mark.parametrize("id", ["dpop", "spo", "slime"])
def test_the_others_do_not(data, id):
    run = of(data, id)[:, H_LEARNS]
    assert np.all(run[:, YES] < 0.2)
    assert run[-1, NO] > 0.65


def test_the_first_order_diagnosis_names_who_gains(data):
    ids = list(plot_no_never_yes.RATES)
    alone = data["first_order"][:, H_LEARNS]
    assert [bool(rates[NO] < 0) for rates in alone] == [id in ids[:4] for id in ids]
    assert alone[ids.index("dpo")].argmax() == YES
    assert data["first_order"][ids.index("slime"), W_LEARNS].argmax() == NEVER


def test_steps_follow_the_formulas(data):
    gap = np.abs(data["simulated"] - data["predicted"])
    assert gap[1:, 1:].max() < 0.05
    assert gap[:, :, H_LEARNS].max() < 0.03


def test_the_threshold_predicts_the_share(monkeypatch):
    monkeypatch.setattr(plot_displacement_threshold, "DRAWS", 60)
    monkeypatch.setattr(plot_displacement_threshold, "RATIOS", np.array([1e-3, 0.1, 1.0]))
    monkeypatch.setattr(plot_displacement_threshold, "END_RATIOS", np.array([1e-3, 5e-3, 0.1]))
    found = plot_displacement_threshold.compute(0)
    at = [np.abs(found["ratio_line"] - r).argmin() for r in found["ratio"]]
    np.testing.assert_array_equal(found["simulated"], found["predicted"][:, at])
    assert found["threshold"][0] == pytest.approx(0.00386, abs=5e-6)
    assert found["end"][0, YES] > 0.99
    assert found["end"][1, YES] == pytest.approx(0.896, abs=0.01)  # above the threshold
    assert found["end"][2, NO] > 0.99
