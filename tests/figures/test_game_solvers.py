import numpy as np
import pytest

from figures import plot_game_solvers, plot_samplers, plot_where_rules_cycle


@pytest.mark.slow
def test_every_rule_on_the_same_game(monkeypatch):
    monkeypatch.setattr(plot_game_solvers, "ROUNDS", 150)
    monkeypatch.setattr(plot_game_solvers, "RUNS", 3)
    monkeypatch.setattr(plot_game_solvers, "GAMES", 2)
    monkeypatch.setattr(plot_game_solvers, "SEEN", 500)
    data = plot_game_solvers.compute(0)
    assert np.all(data["exact EGPO"] <= data["linear bound"] + 1e-15)
    decreasing = data["exact Nash-MD, decreasing"]
    assert np.all(decreasing[1:] <= data["decreasing bound"][1:])
    assert data["exact SPPO"][-1] > data["exact SPPO"][0]
    assert len(data["measured"]) >= 8
    np.testing.assert_allclose(data["measured"], data["predicted"], rtol=0.03)
    floors = {name: data[f"sampled {name}"][-50:].mean() for name in plot_game_solvers.COLOURS}
    assert floors["EGPO"] > 10 * data["exact EGPO"][-1]
    assert floors["EGPO"] < floors["SPPO"]


@pytest.mark.slow
def test_where_mirror_rules_cycle(monkeypatch):
    monkeypatch.setattr(plot_where_rules_cycle, "TAU", np.array([0.03]))
    monkeypatch.setattr(plot_where_rules_cycle, "COARSE", np.array([0.03]))
    monkeypatch.setattr(plot_where_rules_cycle, "FINE", np.array([0.03]))
    monkeypatch.setattr(plot_where_rules_cycle, "SCAN", 14)
    monkeypatch.setattr(plot_where_rules_cycle, "HALVINGS", 5)  # to 1 %
    names = ("EGPO", "Nash-MD")
    colours = {name: plot_where_rules_cycle.COLOURS[name] for name in names}
    monkeypatch.setattr(plot_where_rules_cycle, "COLOURS", colours)
    data = plot_where_rules_cycle.compute(0)
    for name in names:
        found, predicted = data[f"even dots {name}"], data[f"even line at dots {name}"]
        assert np.all(np.isfinite(found))
        np.testing.assert_allclose(found, predicted, rtol=2e-2)
        found, predicted = data[f"uneven dots {name}"], data[f"uneven line {name}"]
        np.testing.assert_allclose(found[0], predicted[0], rtol=2e-2)
    assert len(data["even dots Nash-MD"]) == 2


def test_linear_and_quadratic_samplers(monkeypatch):
    monkeypatch.setattr(plot_samplers, "VOTES", np.array([10**3, 10**5]))
    data = plot_samplers.compute(0)
    uniform = data["error uniform"]
    assert abs(uniform[10] / uniform[9] / data["linear factor"] - 1) < 0.02
    for name in ("Mix-R", "Mix-P"):
        e = data[f"error {name}"]
        assert e[4] < 1e-13
        assert np.all(e[2:4] < e[1:3] ** 2)
    constant = data["error Mix-P, constant rate"]
    assert constant[8] / constant[7] > 0.01
    np.testing.assert_allclose(data["floor Mix-P"][0] / data["floor Mix-P"][1], 10, rtol=0.4)
    assert np.ptp(data["rest"], axis=0).max() > 0.1


def test_closed_boundaries():
    """GAME-3 and GAME-4 on rock-paper-scissors, and Nash-MD's tongue."""
    tau, s = np.array([0.02, 0.2]), plot_where_rules_cycle.STRENGTH / np.sqrt(3)
    plain = plot_where_rules_cycle.closed_form("mirror descent", tau)
    np.testing.assert_allclose(plain, [2 * tau / (tau**2 + s**2)], rtol=1e-3)
    egpo = plot_where_rules_cycle.closed_form("EGPO", tau)[0, 0]
    m, y = 1 - egpo * tau[0], egpo * s
    b = 2 * m - m**2
    assert abs(y**2 - (b + np.sqrt(b**2 + 4 * (1 - m**2))) / 2) < 2e-3
    tongue = plot_where_rules_cycle.closed_form("Nash-MD", tau)
    assert np.all(np.isinf(tongue[:, 1]))
    for eta in tongue[:, 0]:
        assert abs((1 - eta * tau[0]) * np.hypot(1, eta * s) - 1) < 2e-3
