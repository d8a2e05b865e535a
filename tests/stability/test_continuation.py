"""Branches of maps with known bifurcations, and of our rules against their closed forms."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    FiniteSample,
    InputError,
    LogitRule,
    Momentum,
    NoOptimum,
    continuation,
    critical,
    fixed_point,
    games,
    periodic_orbits,
    stability,
)
from prefdyn.policies import softmax
from prefdyn.rules._wrapper import set_parameter
from tests.known_maps import DelayedLogistic, Henon, Logistic


def at(*state):
    """The policy of a state of a known map."""
    return softmax(np.append(np.array(state, dtype=float), 0.0))


RPS = games.rock_paper_scissors(0.4)


@pytest.fixture(scope="module")
def logistic():
    return continuation(Logistic(2.5), "r", (2.5, 4.0), start=at(0.6), step=0.1)


def test_the_logistic_map_doubles_its_period(logistic):
    """Flips at 3, 1 + sqrt 6 and 3.54409: of the point, and of the cycles born in each flip."""
    (flip,) = logistic.bifurcations
    assert (flip.kind, flip.criticality, flip.period) == ("flip", "supercritical", 1)
    assert flip.value == pytest.approx(3, rel=1e-10)
    np.testing.assert_allclose(logistic.states[:, 0, 0], 1 - 1 / logistic.values, atol=1e-10)
    np.testing.assert_allclose(logistic.multipliers[:, 0], 2 - logistic.values, atol=1e-8)
    assert np.array_equal(logistic.stable, logistic.values < 3)
    double = logistic.switch(step=0.1)
    assert double.period == 2
    assert double.values[0] == flip.value
    assert double.at("flip").value == pytest.approx(1 + np.sqrt(6), rel=1e-10)
    r = double.values[1:]
    middle = double.states[1:, :, 0].sum(axis=1)
    np.testing.assert_allclose(middle, (1 + r) / r, atol=1e-9)  # the two points of the cycle
    four = double.switch(range=(3.4, 3.6), step=0.2)
    assert four.at("flip").value == pytest.approx(3.5440903596, rel=1e-9)
    assert four.amplitude[0] < four.amplitude[-1]


def test_a_cycle_of_period_three_turns_round_in_its_fold():
    """Born at 1 + sqrt 8; both of its halves are one curve."""
    cycle = min(
        periodic_orbits(Logistic(3.84), 3, starts=32).orbits, key=lambda o: o.spectral_radius
    )
    branch = continuation(Logistic(3.84), "r", (3.7, 3.85), start=cycle, step=0.1)
    fold = branch.at("fold")
    assert fold.value == pytest.approx(1 + np.sqrt(8), rel=1e-12)
    assert branch.values.min() == pytest.approx(fold.value, abs=1e-3)
    assert branch.values[0] == branch.values[-1] == 3.85
    assert branch.at("flip").criticality == "supercritical"


def test_a_doubled_cycle_ends_in_the_flip_it_was_born_in():
    cycle = periodic_orbits(Logistic(3.2), 2, starts=32).orbits[0]
    branch = continuation(Logistic(3.2), "r", (2.8, 3.3), start=cycle, step=0.1)
    assert "the cycle of period 2 shrinks to one of period 1 at r = 3" in branch.reason
    assert min(branch.values) == pytest.approx(3, abs=1e-6)


def test_branches_that_cross_are_told_from_folds():
    """x = 0 and x = 1 - 1/r exchange stability at r = 1."""
    branch = continuation(Logistic(2.5), "r", (0.2, 2.9), start=at(0.6), step=0.1)
    (crossing,) = branch.bifurcations
    assert crossing.kind == "branch_point"
    assert crossing.value == pytest.approx(1, rel=1e-8)
    assert crossing.criticality is None


def test_henon_folds_and_flips():
    """At a = -(1-b)^2/4 and 3(1-b)^2/4; the branch runs off to infinity as a tends to 0."""
    branch = continuation(Henon(0.2, 0.3), "a", (-1.0, 1.0), start=at(0.8, 0.24), step=0.1)
    assert branch.at("fold").value == pytest.approx(-0.1225, rel=1e-10)
    assert branch.at("flip").value == pytest.approx(0.3675, rel=1e-9)
    assert "the state grows without bound near a = -" in branch.reason


def test_the_delayed_logistic_map_starts_to_turn():
    branch = continuation(DelayedLogistic(1.8), "a", (1.5, 2.2), start=at(0.45, 0.45), step=0.1)
    (turn,) = branch.bifurcations
    assert (turn.kind, turn.criticality) == ("neimark_sacker", "supercritical")
    assert turn.value == pytest.approx(2, rel=1e-10)
    assert turn.angle == pytest.approx(np.pi / 3, abs=1e-8)


@pytest.mark.parametrize(
    ("rule", "parameter", "range"),
    [
        (MRSIPO(RPS, 0.5, 0.5, 1.0), "beta", (0.1, 1.0)),
        (MRSIPO(RPS, 0.25, 0.5, 0.9), "alpha", (0.0, 1.0)),
        (MRSDPO(RPS, 0.5, 0.3, 1.0), "lam", (0.1, 1.0)),
        (FiniteSample(Momentum(MRSIPO(RPS, 0.5, 0.5, 1.0), 0.3), 10), "beta", (0.1, 1.0)),
    ],
    ids=["beta", "alpha", "lam", "a noisy wrapper with memory"],
)
def test_branches_cross_where_critical_says(rule, parameter, range):
    branch = continuation(rule, parameter, range, step=0.2)
    assert (branch.values[0], branch.values[-1]) == range
    expected = critical(rule, parameter, range, samples=20)
    assert [b.value for b in branch.bifurcations] == pytest.approx([expected.value], rel=1e-10)
    k = len(branch.values) // 2
    point = stability(set_parameter(rule, parameter, branch.values[k]))
    np.testing.assert_allclose(branch.policies[k, 0], point.point.policy, atol=1e-10)
    assert bool(branch.stable[k]) == (point.spectral_radius < 1)


def test_a_window_narrower_than_a_step_is_found():
    rule = MRSIPO(games.condorcet_over_cycle(0.095, 0.482), 1.0, 0.5, 1.0)
    branch = continuation(rule, "beta", (0.02, 1.0), step=0.2)
    (_, low), (high, _) = critical(rule, "beta", (0.02, 1.0), samples=40).intervals
    assert [b.value for b in branch.bifurcations] == pytest.approx([low, high], rel=1e-10)


class Steep(LogitRule):
    """A user's rule that only exists up to a limit."""

    def __init__(self, rate, error=InputError):
        if rate > 2:
            raise error(f"rate is {rate:g}: it must be at most 2.")
        self.rate, self.error = rate, error

    K = 2  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def replace(self, **changes):
        return Steep(error=self.error, **changes)

    def update(self, theta):
        return self.rate * np.tanh(theta) + np.array([0.3, -0.3])


@pytest.mark.parametrize("error", [InputError, ValueError])
def test_a_branch_ends_where_the_rule_does(error):
    branch = continuation(Steep(0.5, error), "rate", (0.1, 5.0), step=0.1)
    assert "the rule refuses to go on (rate is 2" in branch.reason
    assert branch.values[-1] == pytest.approx(2, abs=1e-4)  # the width of its differences


def test_a_bifurcation_can_be_started_from(logistic):
    again = continuation(
        Logistic(1.0), "r", (2.9, 3.5), start=logistic.switch(step=0.1).at("flip"), step=0.1
    )
    assert again.period == 4
    turn = continuation(MRSIPO(RPS, 1.0, 0.5, 1.0), "beta", (0.1, 1.0), step=0.2).bifurcations[0]
    branch = continuation(MRSIPO(RPS, 1.0, 0.5, 1.0), "beta", (0.2, 0.5), start=turn, step=0.2)
    assert [b.value for b in branch.bifurcations] == pytest.approx([turn.value], rel=1e-10)


def test_bad_questions_are_refused_in_one_sentence(logistic):
    rule = MRSIPO(RPS, 0.5, 0.5, 1.0)
    with pytest.raises(InputError, match="pass a rule without batch"):
        continuation(MRSIPO(RPS, [0.5, 0.6], 0.5, 1.0), "beta")
    with pytest.raises(InputError, match="step is 0: give a share of the range"):
        continuation(rule, "beta", step=0)
    with pytest.raises(InputError, match="no default range is known for 'r'"):
        continuation(Logistic(2.5), "r")
    with pytest.raises(InputError, match=r"a bifurcation at r = 3, which is not among beta"):
        continuation(rule, "beta", start=logistic.bifurcations[0])
    with pytest.raises(InputError, match="this branch has no fold: its bifurcations are flip"):
        logistic.at("fold")
    with pytest.raises(NoOptimum, match="smaller period than 2"):
        continuation(Logistic(2.5), "r", (2.0, 3.0), start=at(0.6), period=2)


def test_few_points_are_said_to_be_too_few():
    branch = continuation(MRSIPO(RPS, 0.5, 0.5, 1.0), "beta", points=5)
    assert "5 points are reached at beta" in branch.reason
    assert len(branch.values) == 11


def test_a_fixed_point_can_be_the_start():
    point = fixed_point(Logistic(2.5), at(0.6))
    branch = continuation(Logistic(2.5), "r", (2.4, 2.9), start=point, step=0.3)
    np.testing.assert_allclose(branch.states[:, 0, 0], 1 - 1 / branch.values, atol=1e-10)
