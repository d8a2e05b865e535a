"""The checks of the squeezing effect: their instruments, and that they can fail."""

import numpy as np
import pytest

from analysis._harness import examine
from analysis.squeezing import _logistic
from prefdyn.policies import LogLinear, Tabular, UnconstrainedFeatures, log_softmax


def fails(id):
    return examine(id, scale=0.1)["verdict"] == "fails"


def scaled(kind, factor):
    """The kind's move, off by a factor."""
    right = kind.direction
    return lambda self, params, pushes: factor * right(self, params, pushes)


def test_a_wrong_step_elsewhere_is_caught(monkeypatch):
    monkeypatch.setattr(LogLinear, "direction", scaled(LogLinear, 1.01))
    assert fails("SQZ-1")


@pytest.mark.parametrize("id", ["SQZ-2", "SQZ-3"])
def test_a_wrong_negative_step_is_caught(id, monkeypatch):
    kind = UnconstrainedFeatures
    monkeypatch.setattr(kind, "direction", scaled(kind, 1.001))
    assert fails(id)


def test_steps_that_forget_the_normaliser_are_caught(monkeypatch):
    monkeypatch.setattr(Tabular, "direction", lambda self, params, pushes: pushes[..., 0])
    assert fails("SQZ-4")


def test_steps_in_the_wrong_direction_are_caught(monkeypatch):
    monkeypatch.setattr(Tabular, "direction", scaled(Tabular, -1))
    assert fails("SQZ-5")


def test_log_odds_keep_their_digits_near_certainty():
    log_p = log_softmax(np.array([[40.0, 0.0, 0.0]]))
    assert _logistic.log_odds(log_p, [0])[0] == pytest.approx(40 - np.log(2))
    assert _logistic.log_odds(log_p, [1])[0] == pytest.approx(-40)


def test_the_likeliest_other_and_the_mass_of_the_rest():
    log_p = np.log([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    y = np.array([0, 1])
    star = _logistic.likeliest_other(log_p, y)
    assert star.tolist() == [1, 2]
    np.testing.assert_allclose(np.exp(_logistic.others_log_mass(log_p, y, star)), [0.2, 0.1])


def test_a_step_for_a_response_undoes_a_small_step_against_it():
    logits = np.array([[0.3, -0.1, 0.4]])
    policy = Tabular(logits[0])
    away = _logistic.after(policy, logits, [2], [-1e-4])
    back = _logistic.after(policy, away, [2], [1e-4])
    np.testing.assert_allclose(back, log_softmax(logits), atol=1e-7)
    assert away[0, 2] < log_softmax(logits)[0, 2] - 1e-5
