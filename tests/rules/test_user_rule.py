"""A user's ten-line rule in numpy only, and that `check_rule` catches what it must."""

import numpy as np
import pytest

from prefdyn import (
    MRSIPO,
    Inexact,
    InputError,
    LogitRule,
    Momentum,
    ensemble,
    fixed_point,
    games,
    orbit,
    stability,
)
from prefdyn.policies import softmax
from prefdyn.rules import Jacobian
from prefdyn.testing import check_rule


class Decaying(LogitRule):
    """Multiplicative weights with a leak: theta' = (1 - leak) theta + rate P softmax(theta)."""

    def __init__(self, P, rate, leak):
        self.P, self.rate, self.leak = np.asarray(P), rate, leak

    @property
    def K(self):
        return len(self.P)

    def update(self, theta):
        return (1 - self.leak) * theta + self.rate * softmax(theta) @ self.P.T


P = games.rock_paper_scissors(0.4).P


def test_a_ten_line_rule_runs_and_is_analysed():
    rule = Decaying(P, rate=2.0, leak=0.5)
    twin = MRSIPO(games.rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
    check_rule(rule)
    mine, theirs = orbit(rule, [0.5, 0.3, 0.2]), orbit(twin, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(mine.policies, theirs.policies, atol=1e-12)
    assert mine.reason == theirs.reason
    linear = stability(rule)
    assert linear.jacobian_by == "finite differences"
    assert fixed_point(rule).residual <= 1e-12
    np.testing.assert_allclose(linear.multipliers, stability(twin).multipliers, atol=1e-8)
    strengths = ensemble(rule, np.full((2, 3), [0.5, 0.3, 0.2]))["cycle_strength"]
    assert strengths.shape == (2,)


def test_a_ten_line_rule_can_be_wrapped_and_changed():
    rule = Decaying(P, rate=2.0, leak=0.5)
    check_rule(Inexact(rule, 0.3))
    check_rule(Momentum(rule, 0.3))
    faster = rule.replace(rate=4.0)
    assert (faster.rate, rule.rate) == (4.0, 2.0)
    assert faster.fingerprint() != rule.fingerprint()
    with pytest.raises(InputError, match="Decaying has no parameter 'speed'"):
        rule.replace(speed=1.0)


def test_an_unstable_fixed_point_is_found_too():
    rule = Decaying(P, rate=20.0, leak=0.5)
    linear = stability(rule)
    assert linear.kind == "neimark_sacker"
    np.testing.assert_allclose(linear.point.policy, 1 / 3, atol=1e-10)


class Impure(Decaying):
    def update(self, theta):
        theta += 0.1 * self.P[0]
        return super().update(theta)


class Counting(Decaying):
    def update(self, theta):
        self.rate = 0.9 * self.rate
        return super().update(theta)


class NotBatched(Decaying):
    def update(self, theta):
        return super().update(theta) / (1 + softmax(theta).max())


class SeesConstants(Decaying):
    def update(self, theta):
        return theta * np.abs(theta)


class WrongJacobian(Decaying):
    def jacobian(self, state):
        return Jacobian((1 - self.leak) * np.eye(self.K) + 0 * state[..., None], "guessed")


class PlaysFavourites(MRSIPO):
    def drive(self, mu):
        return super().drive(mu) * np.arange(1, self.K + 1)

    def drive_along(self, mu, directions):
        return np.arange(1, self.K + 1)[:, None] * super().drive_along(mu, directions)


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (Impure, "step changes the state it is given"),
        (Counting, "two results from one state"),
        (NotBatched, "a batch is no loop"),
        (SeesConstants, "a neutral shift acts on the step"),
        (WrongJacobian, "the Jacobian is no derivative"),
    ],
)
def test_check_rule_notices(cls, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_rule(cls(P, rate=2.0, leak=0.5))


def test_check_rule_notices_labels_that_matter():
    rule = PlaysFavourites(games.rock_paper_scissors(0.4), 0.5, 0.5, 1.0)
    rule.backends = ("numpy",)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AssertionError, match="labels matter"):
        check_rule(rule)
