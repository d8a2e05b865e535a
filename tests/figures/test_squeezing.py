"""What the figures of the squeezing effect say, from their own data."""

import numpy as np
import pytest

from figures import plot_extension, plot_squeezing
from figures.plot_extension import ARMS


@pytest.fixture(scope="module")
def steps():
    return plot_squeezing.compute(0)


@pytest.fixture(scope="module")
def runs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_extension, "STEPS", 40)
        return plot_extension.compute(0)


@pytest.mark.parametrize("name", ["gain_flat", "gain_peaky", *plot_squeezing.CASES])
def test_every_step_ends_where_the_formula_says(steps, name):
    np.testing.assert_allclose(
        steps[f"{name}_simulated"], steps[f"{name}_predicted"], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("start", plot_squeezing.STARTS)
def test_those_above_the_dotted_line_rise(steps, start):
    before, after = steps[f"gain_{start}_before"], steps[f"gain_{start}_simulated"]
    above = np.exp(before) > plot_squeezing.bar(before, 42, float(steps["strength"]))
    above[42] = False
    np.testing.assert_array_equal(after > before, above)


def test_a_peaky_policy_lifts_its_peaks_alone_and_a_flat_one_everybody(steps):
    flat, peaky = (
        steps[f"gain_{start}_simulated"] > steps[f"gain_{start}_before"]
        for start in plot_squeezing.STARTS
    )
    assert flat.sum() == 49
    peaks = np.argsort(steps["gain_peaky_before"])[-peaky.sum() :]
    assert set(np.flatnonzero(peaky)) == set(peaks)
    assert peaky.sum() <= 8


def test_equal_steps_for_and_against_cancel_on_the_others(steps):
    change = steps["valley_simulated"] - steps["valley_before"]
    assert np.ptp(np.delete(change, [25, 42])) < 1e-12
    assert change[25] > 1
    assert change[42] < -1


@pytest.mark.parametrize("arm", ARMS)
def test_dpo_follows_the_predicted_curves(runs, arm):
    np.testing.assert_allclose(
        runs[f"{arm}_simulated"], runs[f"{arm}_predicted"], rtol=0, atol=1e-10
    )


def test_the_extension_softens_the_squeeze(runs):
    change = {arm: np.diff(runs[f"{arm}_simulated"][[0, -1]], axis=0)[0] for arm in ARMS}
    chosen, rejected, unrelated, likeliest = change["baseline"]
    assert (chosen > 0, rejected < 0, unrelated < 0, likeliest > 0) == (True,) * 4
    assert change["extended"][2] > unrelated / 2
    start = {arm: runs[f"{arm}_simulated"][0, 1] for arm in ARMS}
    assert start["extended"] > start["baseline"] + 1


@pytest.mark.parametrize("module", [plot_squeezing, plot_extension])
def test_findings_are_sentences(module, steps, runs):
    data = steps if module is plot_squeezing else runs
    assert all(sentence.endswith(".") for sentence in module.findings(data))
