"""What the figure of the kernel view says, from a few networks."""

import numpy as np
import pytest

from figures import plot_kernel


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_kernel, "SEEDS", 2)
        return plot_kernel.compute(0)


def test_every_panel_holds_ten_candidates_of_each_network(data):
    assert {name: changes.shape for name, changes in data.items()} == dict.fromkeys(
        plot_kernel.PANELS, (2, 2, 10)
    )


def test_measuring_again_brings_the_prediction_closer(data):
    frozen, five, one = (
        plot_kernel.medians(data, name)[1] for name in ("frozen", "every_5", "every_step")
    )
    assert frozen < five < one
    assert one > 0.99


def test_the_three_intervals_predict_the_same_runs(data):
    np.testing.assert_array_equal(data["frozen"][1], data["every_step"][1])


def test_adam_in_function_space_is_better_for_smaller_changes(data):
    slow, fast = (plot_kernel.medians(data, name) for name in ("adam_slow", "adam_fast"))
    assert slow[4] < fast[4]
    assert slow[1] > max(fast[1], 0.8)


def test_the_failing_case_is_a_shift_that_correlation_and_slope_do_not_show(data):
    r, r2, slope, shift, largest = plot_kernel.medians(data, "dominant")
    assert r > 0.95
    assert slope == pytest.approx(1, abs=0.15)
    assert r2 < 0
    assert shift < -largest / 4


def test_agreement_of_a_known_pair():
    predicted = np.array([0.0, 1.0, 2.0])
    found = plot_kernel.agreement(predicted, 2 * predicted + 3)
    assert found.r == pytest.approx(1)
    assert found.slope == pytest.approx(2)
    assert found.shift == pytest.approx(4)
    assert found.r2 == pytest.approx(1 - (9 + 16 + 25) / 8)
    assert found.largest == 7


def test_findings_are_sentences(data):
    assert all(sentence.endswith(".") for sentence in plot_kernel.findings(data))
