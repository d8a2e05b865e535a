import numpy as np

from figures import plot_bifurcations


def test_branches_double_where_predicted(monkeypatch):
    monkeypatch.setattr(plot_bifurcations, "CYCLES", ((2, 6.6),))
    monkeypatch.setattr(plot_bifurcations, "STEP", 0.3)
    data = plot_bifurcations._doubling(6)
    np.testing.assert_allclose(data["flips"], [1 / 0.21, 6.45300759], rtol=1e-8)
    below = data["rates"] < data["flips"][0]
    np.testing.assert_allclose(data["settled"][:, below], 0.7, atol=1e-2)
    assert np.ptp(data["settled"][:, ~below], axis=0).min() > 0.1


def test_boundaries_and_simulated_verdicts_agree(monkeypatch):
    monkeypatch.setattr(plot_bifurcations, "STEP", 0.3)
    rule = plot_bifurcations._dpo(1.15, 0.9)
    data = plot_bifurcations._plane("dpo", rule, ("lam", "beta"), (3, 4))
    lam, beta = data["dpo_curve"].T
    np.testing.assert_allclose(beta, 4 * lam * 0.482 / np.sqrt(2.25), rtol=1e-10)
    np.testing.assert_array_equal(data["dpo_abrupt"], lam > data["dpo_chenciner"][0])
    near, far = data["dpo_moving"]
    threshold = 4 * data["dpo_across"] * 0.482 / np.sqrt(2.25)
    up = data["dpo_up"][:, None]
    clear = np.abs(up / threshold - 1) > 0.01
    np.testing.assert_array_equal(near[clear], (up < threshold)[clear])
    assert np.all(far[near])
