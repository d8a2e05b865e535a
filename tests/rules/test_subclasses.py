"""Rules and objectives of a user's own: nothing proved or compiled for another map is used."""

from dataclasses import dataclass

import numpy as np
import pytest

from prefdyn import (
    MRS,
    MRSDPO,
    MRSIPO,
    Inexact,
    InputError,
    LogitRule,
    Momentum,
    NoOptimum,
    certificates,
    ensemble,
    fixed_point,
    orbit,
    stability,
    verdict,
)
from prefdyn.games import rock_paper_scissors
from prefdyn.objectives import Objective

RPS = rock_paper_scissors(0.4)
START = [0.5, 0.3, 0.2]


class TwiceTheDrive(MRSIPO):
    def drive(self, mu):
        return 2 * super().drive(mu)


class HalfARound(MRSDPO):
    def update(self, theta):
        return (theta + super().update(theta)) / 2


class Drifting(LogitRule):
    """Response 0 gains one nat per round, for ever."""

    @property
    def K(self):
        return 3

    def update(self, theta):
        return theta + np.array([1.0, 0.0, 0.0])


@pytest.mark.parametrize("cls", [TwiceTheDrive, HalfARound])
def test_a_subclass_has_no_proof_and_no_kernel_of_its_parent(cls):
    rule, parent = cls(RPS, 3.0, 0.5, 0.0), cls.__mro__[1](RPS, 3.0, 0.5, 0.0)
    assert any(c.proves == "global" and c.holds for c in certificates(parent))
    assert [c.proves for c in certificates(rule)] == ["local"]
    assert verdict(rule, far_starts=4).word != "certified"
    assert rule.compiled(3) is None
    assert parent.compiled(3) is not None


@pytest.mark.parametrize("cls", [TwiceTheDrive, HalfARound])
def test_an_ensemble_runs_what_the_subclass_says(cls):
    rule, parent = cls(RPS, 0.7, 0.5, 1.0), cls.__mro__[1](RPS, 0.7, 0.5, 1.0)
    found, other = (
        ensemble(each, np.array([START]), rounds=16, reducers=("last_policy",))["last_policy"][0]
        for each in (rule, parent)
    )
    run = orbit(rule, START, rounds=16, tolerance=0)
    np.testing.assert_allclose(found, run.policies[-1], atol=1e-13)
    assert np.abs(found - other).max() > 1e-3


def test_a_subclass_that_changes_the_drive_moves_its_own_fixed_point():
    reference = [0.6, 0.3, 0.1]
    rule = TwiceTheDrive(RPS, 1.0, 0.5, 0.0, reference=reference)
    twin = MRSIPO(RPS, 0.5, 0.5, 0.0, reference=reference)
    np.testing.assert_allclose(fixed_point(rule).policy, fixed_point(twin).policy, atol=1e-12)


@pytest.mark.parametrize(
    "wrap", [lambda rule: rule, lambda r: Inexact(r, 0.3), lambda r: Momentum(r, 0.3)]
)
def test_a_rule_without_fixed_point_says_so_inside_wrappers_too(wrap):
    rule = wrap(Drifting())
    for question in (fixed_point, stability, verdict):
        with pytest.raises(NoOptimum, match="no fixed point found") as caught:
            question(rule)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    [
        MRSIPO(RPS, np.array([0.1, 0.2]), 0.5, 1.0),
        Inexact(MRSIPO(RPS, 0.1, 0.5, 1.0), np.array([0.1, 0.2])),
        Momentum(MRSIPO(RPS, 0.1, 0.5, 1.0), np.array([0.1, 0.2])),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_starts_that_do_not_fit_the_batch_are_refused(rule):
    for run in (orbit, ensemble):
        with pytest.raises(InputError, match="do not broadcast with the rule's batch"):
            run(rule, np.full((3, 3), 1 / 3), rounds=5)


def test_an_objective_without_beta_cannot_be_iterated():
    @dataclass(frozen=True)
    class Margin(Objective):
        margin: float = 1.0

        def loss(self, pair, xp=None, stats=None):
            return (pair.chosen - pair.rejected - self.margin) ** 2

    with pytest.raises(InputError, match="has no beta"):
        MRS(RPS, Margin(), 0.5, 0.5, 1.0)
