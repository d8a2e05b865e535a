import numpy as np
import pytest

from figures import plot_hysteresis


@pytest.mark.slow
def test_only_strong_preferences_under_dpo_have_a_loop(monkeypatch):
    ratios = np.array([0.97, 0.995, 1.01, 1.035])
    monkeypatch.setattr(plot_hysteresis, "RATIOS", ratios)
    monkeypatch.setattr(plot_hysteresis, "EDGES", np.array([1.004]))
    monkeypatch.setattr(plot_hysteresis, "SETTLE", 2500)
    monkeypatch.setattr(plot_hysteresis, "WATCH", 300)
    data = plot_hysteresis.compute(0)
    for k in (0, 1):
        np.testing.assert_allclose(data[f"down_{k}"], data[f"up_{k}"], atol=1e-3)
        assert np.all(data[f"down_{k}"][2:] < 1e-6)
    apart = data["up_2"] - data["down_2"] > 0.3
    np.testing.assert_array_equal(apart, [False, False, True, False])
    expected = np.interp(1.004, data["line_ratio_2"], data["line_2"])
    np.testing.assert_allclose(data["edge"], expected, rtol=0.1)
    sentences = plot_hysteresis.findings(data)
    assert "MRS-IPO, a = 0.3: the sweeps down and up agree." in sentences
    assert any("part from 1.010 to 1.010 beta_c" in sentence for sentence in sentences)


def test_coefficients_lie_on_the_formula(monkeypatch):
    monkeypatch.setattr(plot_hysteresis, "_sweeps", lambda kind, a: np.zeros((2, 1)))
    monkeypatch.setattr(plot_hysteresis, "_edges", lambda: np.zeros(1))
    data = plot_hysteresis.compute(0)
    ipo, dpo = data["coefficient"]
    np.testing.assert_allclose(ipo, -0.75, atol=1e-9)
    np.testing.assert_allclose(dpo, -0.75 + 4 * data["strength"] ** 2, atol=1e-9)
