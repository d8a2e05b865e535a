"""The figure of all objectives in rounds: none is missing, and thresholds are the closed forms."""

import numpy as np
import pytest

from figures import plot_objectives_in_rounds as figure
from prefdyn import games, objectives
from prefdyn.rules import MRS

SOME = ["dpo", "ipo", "sppo", "kto", "aot", "dpop", "discopop"]


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "ordered", lambda: SOME)
        patch.setattr(figure, "ROUNDS", 10)
        table = figure.compute(0)
    return table


def entry(data, id, name):
    return data[name][list(data["ids"]).index(id)]


def test_every_objective_of_the_registry_has_a_row(monkeypatch):
    row = {"critical": 1.0, "reason": ""}
    monkeypatch.setattr(figure, "_row", lambda id, depth: {"ids": id, **row})
    known = objectives.classes()
    shipped = [id for id in objectives.names() if known[id].__module__.startswith("prefdyn.")]
    assert sorted(figure.compute(0)["ids"]) == shipped


def test_thresholds_are_the_closed_forms(data):
    """IPO: s = beta sqrt(3 (1 - alpha^2)) (MRS-5); DPO's slope at 1/2 is four times as steep."""
    ipo = figure.BETA * np.sqrt(3 * (1 - figure.ALPHA**2))
    for id, expected in (("ipo", ipo), ("sppo", ipo), ("dpo", ipo / 4)):
        assert entry(data, id, "critical") == pytest.approx(expected, rel=2e-3)


def test_small_disturbances_grow_as_the_multipliers_say(data):
    runs = data["reason"] == ""
    np.testing.assert_allclose(data["growth"][runs], data["radius"][runs], rtol=1e-3)
    assert np.all(data["growth"][runs][:, 0] < 1)
    assert np.all(data["growth"][runs][:, 1] > 1)


def test_what_cannot_be_iterated_says_why(data):
    expected = {
        "kto": "no minimum inside, or no unique one",
        "aot": "sorts its batch: no loss per pair",
        "dpop": "kink at policy = reference",
        "discopop": "no minimum at policy = reference",
    }
    assert {id: entry(data, id, "reason") for id in expected} == expected
    assert {id for id in SOME if entry(data, id, "reason")} == set(expected)


def test_stable_fixed_points_are_reached(data):
    for id in ("ipo", "sppo"):
        assert np.all(entry(data, id, "stable"))
        np.testing.assert_allclose(entry(data, id, "last"), entry(data, id, "fixed"), atol=0.01)
    assert not entry(data, "dpo", "stable")[0]


def test_a_round_without_optimum_ends_one_game_and_not_the_other():
    """The weak game goes on while exo_pair, which is not convex, loses its optimum in the other."""
    both = games.PreferenceMatrix(np.stack([games.cycle(4, 0.001).P, games.cycle(4, 0.4).P]))
    rule = MRS(both, objectives.get("exo_pair"), figure.BETA, figure.ALPHA, figure.LAM)
    policies, failed = figure.simulate(rule, 4)
    assert failed[0] == -1
    assert failed[1] > 0
    assert len(policies) == 5
    assert np.all(policies[failed[1] :, 1] == policies[failed[1] - 1, 1])


def test_the_crossing_is_interpolated():
    s = np.array([0.1, 0.2, 0.3])
    assert figure.crossing(s, np.array([0.8, 0.9, 1.1])) == pytest.approx(0.25)
    assert figure.crossing(s, np.array([1.1, 1.2, 1.3])) == 0
    assert figure.crossing(s, np.array([0.1, 0.2, 0.3])) == np.inf
