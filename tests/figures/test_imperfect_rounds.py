import numpy as np
import pytest

from figures import plot_finite_sample, plot_inexact_rounds


def test_averaging_over_runs_hides_the_cycle(monkeypatch):
    monkeypatch.setattr(plot_finite_sample, "VOTES", np.array([plot_finite_sample.SHOWN]))
    data = plot_finite_sample.compute(0)
    assert data["spectral_radius"] > 1
    assert data["per_run"][0] > 10 * data["of_mean"][0]
    assert data["per_run"][0] > 0.5 * data["without_noise"]


@pytest.mark.slow
def test_thresholds_and_periods_of_inexact_rounds(monkeypatch):
    kappa, alpha = np.array([0.2, 1.0]), np.array([0.3, 0.8])
    monkeypatch.setattr(plot_inexact_rounds, "KAPPA", kappa)
    monkeypatch.setattr(plot_inexact_rounds, "ALPHA", alpha)
    monkeypatch.setattr(plot_inexact_rounds, "BISECTIONS", 8)  # to 0.3 %
    data = plot_inexact_rounds.compute(0)
    grid, strength = kappa[:, None], plot_inexact_rounds.STRENGTH
    np.testing.assert_allclose(
        data["ipo_simulated"], plot_inexact_rounds.threshold(strength, grid, alpha), rtol=5e-3
    )
    np.testing.assert_allclose(
        data["dpo_simulated"],
        plot_inexact_rounds.threshold(4 * strength, kappa, plot_inexact_rounds.DPO_ALPHA),
        rtol=5e-3,
    )
    np.testing.assert_allclose(
        data["period_simulated"], plot_inexact_rounds.onset_period(grid, alpha), rtol=5e-3
    )
