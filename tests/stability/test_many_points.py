"""Fixed points from many starts: systems whose lists are known, and what is said of the rest."""

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
    fixed_points,
    games,
)
from prefdyn._stability._many import Catch
from prefdyn.policies import softmax
from tests.known_maps import Henon, Logistic


class Coordination(LogitRule):
    """Logit response in a game where agreeing pays: several sharp points, and what is between."""

    def __init__(self, gain, K=2):
        self.gain, self.size = gain, K

    @property
    def K(self):
        return self.size

    def update(self, theta):
        return self.gain * softmax(theta)


def test_logistic_and_henon_maps_have_two_each():
    found = fixed_points(Logistic(3.2), starts=64)
    np.testing.assert_allclose(
        sorted(float(p.state[0]) for p in found.points), [0, 1 - 1 / 3.2], atol=1e-12
    )
    found = fixed_points(Henon(), starts=64)
    x = np.roots([1.4, 0.7, -1])
    np.testing.assert_allclose(sorted(p.state[0] for p in found.points), sorted(x), atol=1e-12)
    assert found.index_sum is None  # nothing pulls a quadratic map back


@pytest.mark.parametrize("rule", [MRSIPO, MRSDPO])
def test_the_logit_equilibrium_is_the_only_one(rule):
    found = fixed_points(rule(games.rock_paper_scissors(0.4), 0.1, 0.5, 1.0), starts=32)
    (point,) = found.points
    np.testing.assert_allclose(point.policy, 1 / 3, atol=1e-12)
    assert found.hits == (32,)
    assert found.stabilities[0].kind == "neimark_sacker"
    assert found.index_sum == 1
    assert found.unseen == pytest.approx(1 - 0.05 ** (1 / 16))  # the rule of three, exactly
    assert "fewer than 17 % of such starts lead to another" in found.complete


def test_coordination_has_its_three_and_their_indices_add_up():
    """theta_1 - theta_2 = x solves x = 3 tanh(x / 2): 0 and two solutions of opposite sign."""
    found = fixed_points(Coordination(3.0), starts=64)
    gaps = sorted(float(np.log(p.policy[0] / p.policy[1])) for p in found.points)
    assert gaps == pytest.approx([-2.5757, 0, 2.5757], abs=1e-4)
    kinds = sorted(s.kind for s in found.stabilities)
    assert kinds == ["fold", "stable", "stable"]
    assert found.index_sum == 1
    assert sum(found.hits) == 64


def test_three_responses_coordinate_in_seven_ways():
    """Three sharp points, three saddles beside uniform, and uniform itself."""
    found = fixed_points(Coordination(2.9, K=3), starts=128)
    assert len(found.points) == 7
    assert found.index_sum == 1


def test_a_missing_point_is_given_away_by_the_indices(monkeypatch):
    rule = Coordination(3.0)
    monkeypatch.setattr(
        "prefdyn._stability.many_points.random_starts",
        lambda reduced, starts, rounds, seed: np.where(
            np.arange(16) % 2, 0.01, 3.0 * np.sign(reduced.basis[0, 0])
        )[:, None],
    )
    found = fixed_points(rule, starts=16)
    assert len(found.points) == 2
    assert found.index_sum == 0
    assert "at least one is missing" in found.complete


def test_a_memory_changes_nothing_but_the_proof():
    rule = Momentum(MRSIPO(games.rock_paper_scissors(0.4), 0.1, 0.5, 1.0), 0.5)
    (point,) = fixed_points(rule, starts=16).points
    np.testing.assert_allclose(point.policy, 1 / 3, atol=1e-12)


def test_noise_is_left_out():
    rule = FiniteSample(MRSIPO(games.rock_paper_scissors(0.4), 0.1, 0.5, 1.0), votes=10)
    assert len(fixed_points(rule, starts=16).points) == 1


def test_a_line_of_fixed_points_is_said_to_be_one():
    class Still(Coordination):
        def update(self, theta):
            return theta.copy()

    found = fixed_points(Still(1.0), starts=16)
    assert len(found.points) == 16
    assert found.index_sum is None
    assert "may lie on a curve of fixed points" in found.complete


def test_starts_that_leave_the_domain_are_counted_not_fatal():
    class Fragile(Coordination):
        def update(self, theta):
            if np.any(np.abs(theta[..., 0]) > 2):
                raise NoOptimum("too far out.")
            return super().update(theta)

    found = fixed_points(Fragile(1.0), starts=32)
    assert len(found.points) == 1
    lost = 32 - found.hits[0]
    assert 0 < lost < 32
    assert f"{lost} starts led nowhere" in found.complete


def test_a_loss_that_flattens_out_has_no_fixed_point():
    """DPO on one pair: steps die out towards infinity, where rounding looks like rest."""

    class OnePair(Coordination):
        def update(self, theta):
            push = 0.02 / (1 + np.exp(0.1 * (theta[..., 0] - theta[..., 1])))
            return theta + push[..., None] * np.array([1, -1])

    found = fixed_points(OnePair(1.0), starts=16)
    assert found.points == ()
    assert "0 fixed points found from 16 random starts; 16 starts led nowhere" in found.complete


def test_batches_are_refused():
    rule = MRSIPO(games.rock_paper_scissors(0.4), np.array([0.1, 0.2]), 0.5, 1.0)
    with pytest.raises(InputError, match="batch of recipes of shape"):
        fixed_points(rule)


def test_the_bound_on_the_unseen_covers():
    """1000 lists from a known law: the true share of the unseen is above the bound in <= 5 %."""
    rng = np.random.default_rng(0)
    share = 0.6 ** np.arange(1, 40)
    share /= share.sum()
    above = 0
    for _ in range(1000):
        labels = rng.choice(len(share), size=64, p=share)
        unseen = 1 - share[np.unique(labels)].sum()
        above += unseen > Catch(labels, tuple(range(len(share)))).unseen
    assert above <= 50
