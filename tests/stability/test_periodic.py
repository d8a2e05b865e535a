"""Cycles of maps whose cycles are known."""

import numpy as np
import pytest

from prefdyn import MRSIPO, InputError, games, orbit, periodic_orbits
from tests.known_maps import HalfSeen, Henon, Logistic


@pytest.mark.parametrize(("period", "cycles"), [(1, 2), (2, 1), (3, 2), (4, 3), (5, 6)])
def test_the_full_logistic_map_has_all_cycles(period, cycles):
    """Conjugate to the tent map: multipliers +-2^p, and 4 at 0."""
    found = periodic_orbits(Logistic(4.0), period, seed=1)
    assert len(found.orbits) == cycles
    for cycle in found.orbits:
        x = cycle.states[:, 0]
        np.testing.assert_allclose(4 * x * (1 - x), np.roll(x, -1), atol=1e-9)
        expected = 4 if np.allclose(x, 0) else 2**period
        assert cycle.spectral_radius == pytest.approx(expected, rel=1e-6)


def test_the_period_two_cycle_of_the_logistic_map():
    r = 3.2
    (cycle,) = periodic_orbits(Logistic(r), 2, starts=64).orbits
    root = np.sqrt((r - 3) * (r + 1))
    np.testing.assert_allclose(
        np.sort(cycle.states[:, 0]), (r + 1 + root * np.array([-1, 1])) / (2 * r), atol=1e-12
    )
    assert cycle.multipliers[0] == pytest.approx(4 + 2 * r - r * r, abs=1e-7)
    assert cycle.kind == "stable"
    assert cycle.policies.shape == (2, 2)


@pytest.mark.parametrize(("period", "cycles"), [(2, 1), (4, 1), (7, 4)])
def test_cycles_of_the_henon_map(period, cycles):
    """As many as are known at (1.4, .3); multipliers multiply to det^p = (-b)^p."""
    found = periodic_orbits(Henon(), period)
    assert len(found.orbits) == cycles
    for cycle in found.orbits:
        assert np.prod(cycle.multipliers).real == pytest.approx((-0.3) ** period, abs=1e-5)
        assert cycle.kind in ("flip", "fold")


def test_odd_periods_the_henon_map_lacks():
    found = periodic_orbits(Henon(), 5, starts=64)
    assert found.orbits == ()
    assert "0 cycles of period 5 found" in found.complete


def test_a_locked_rule_has_a_stable_and_an_unstable_cycle():
    """MRS-15: at alpha = 0 strong drive locks to three rounds; the orbit ends on the stable one."""
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.1, 0.0, 1.0)
    found = periodic_orbits(rule, 3, starts=64)
    stable, saddle = sorted(found.orbits, key=lambda cycle: cycle.spectral_radius)
    assert (stable.kind, saddle.kind) == ("stable", "fold")
    run = orbit(rule, [0.5, 0.3, 0.2], rounds=300, tolerance=0)
    distances = np.abs(stable.policies - run.policies[-1]).max(axis=-1)
    assert distances.min() < 1e-10
    shorter = 64 - sum(found.hits)
    assert f"{shorter} starts led to cycles of a period that divides 3" in found.complete
    assert "led nowhere" not in found.complete


def test_a_cycle_may_pass_one_policy_twice():
    """A rule with memory shows r, 0, -r, 0: its state is another at either 0."""
    found = periodic_orbits(HalfSeen(), 4, starts=64)
    assert sorted(cycle.kind for cycle in found.orbits) == ["fold", "stable"]
    assert "period that divides" not in found.complete
    (cycle,) = [cycle for cycle in found.orbits if cycle.kind == "stable"]
    assert np.sort(np.abs(cycle.states), axis=0) == pytest.approx(
        np.sqrt([[0, 0], [0, 0], [1.2, 1.2], [1.2, 1.2]]), abs=1e-9
    )


def test_a_period_is_a_whole_number():
    with pytest.raises(InputError, match="period is 0"):
        periodic_orbits(Logistic(3.2), 0)
