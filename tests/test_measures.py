"""Cycle strength, period and recurrence on signals whose answer is known, and their refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefdyn import InputError, InsufficientData, cycle_strength, period, recurrence

E1, E2 = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)


def loop(turns, flatness=1.0, rounds=1200, size=0.1):
    """A policy that goes round an ellipse about the centre of the simplex, `turns` per round."""
    phase = 2 * np.pi * turns * np.arange(rounds)[:, None]
    return 1 / 3 + size * (np.cos(phase) * E1 + flatness * np.sin(phase) * E2)


@given(st.floats(2.05, 60.0), st.sampled_from([1.0, 0.3, 0.05]))
def test_the_period_of_a_loop(rounds_per_turn, flatness):
    found = period(loop(1 / rounds_per_turn, flatness))
    # A fraction of a turn too much shifts the centre by 1/turns, and the last angle with it.
    turns = 800 / rounds_per_turn
    assert found == pytest.approx(rounds_per_turn, rel=1e-5 + 0.5 / turns**2)


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-4])
@pytest.mark.parametrize("K", [2, 3, 5])
def test_alternating_between_two_policies_has_period_two(K, noise):
    """Where there is no loop, the angle is that of noise and says nothing: crossings count."""
    rng = np.random.default_rng(0)
    pair = rng.dirichlet(np.ones(K), size=2)
    policies = np.tile(pair, (200, 1)) + noise * rng.normal(size=(400, K))
    assert period(policies) == pytest.approx(2, rel=1e-3)
    assert recurrence(policies) == (2 if noise < 1e-7 else None)


def test_a_quasi_periodic_orbit_has_a_period_and_no_recurrence():
    golden = (np.sqrt(5) - 1) / 2
    policies = loop(golden / 3)
    assert period(policies) == pytest.approx(3 / golden, rel=1e-4)
    assert recurrence(policies) is None


def test_recurrence_is_the_smallest_return_time():
    """Five rounds per two turns: the policy is back after five, not after one turn."""
    policies = loop(2 / 5)
    assert recurrence(policies) == 5
    assert period(policies) == pytest.approx(2.5, rel=1e-4)
    assert recurrence(np.full((50, 3), 1 / 3)) == 1


def test_cycle_strength_of_a_loop_is_its_mean_variance():
    # Variance of size * cos is size^2 / 2 along either axis, shared among three responses.
    assert cycle_strength(loop(1 / 8, size=0.1)) == pytest.approx(0.1**2 / 3, rel=1e-9)
    assert cycle_strength(np.full((50, 3), 1 / 3)) < 1e-30


def test_the_burn_in_is_not_looked_at():
    policies = loop(1 / 7)
    spoilt = policies.copy()
    spoilt[:400] = [1.0, 0.0, 0.0]
    for measure in (cycle_strength, period, recurrence):
        assert measure(spoilt, burn_in=1 / 3) == measure(policies[400:], burn_in=0.0)
    assert cycle_strength(spoilt, burn_in=0.0) > 10 * cycle_strength(policies)


def test_averaging_orbits_of_random_phase_hides_the_cycle():
    """MRS-17: take the strength per run and average, never the reverse."""
    phases = np.random.default_rng(0).uniform(0, 600, size=200).astype(int)
    runs = np.stack([loop(1 / 7)[phase : phase + 600] for phase in phases], axis=1)
    assert cycle_strength(runs).mean() > 50 * cycle_strength(runs.mean(axis=1))


def test_a_batch_is_measured_orbit_by_orbit():
    policies = np.stack([loop(1 / 4), loop(1 / 7.5), np.full((1200, 3), 1 / 3)], axis=1)
    for measure in (cycle_strength, period, recurrence):
        found = measure(policies)
        assert found.shape == (3,)
        np.testing.assert_array_equal(found[:2], [measure(policies[:, b]) for b in range(2)])
    assert np.isnan(period(policies)[2])  # settled: refused
    assert recurrence(policies)[2] == 1


def random_walk():
    steps = np.random.default_rng(3).normal(size=(3000, 2)).cumsum(axis=0)
    return 1 / 3 + 1e-3 * (steps[:, :1] * E1 + steps[:, 1:] * E2)


def slowing_spiral():
    """As at alpha = 1: every turn takes longer than the last."""
    phase = 2 * np.pi * 50 * np.log1p(np.arange(3000) / 20)[:, None]
    return 1 / 3 + 0.1 * (np.cos(phase) * E1 + np.sin(phase) * E2)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (np.full((100, 3), 1 / 3), "has settled: it has no period"),
        (1 / 3 + 1e-12 * (loop(1 / 5) - 1 / 3), "has settled"),
        (loop(1 / 500), r"only 1\.7 turns in 800 rounds: run longer"),
        (loop(1 / 7, rounds=12), "only 8 of 12 rounds are left after the burn-in: run at least 15"),
        (slowing_spiral(), "does not turn at a steady rate"),
        (random_walk(), r"only \d\.\d turns|does not turn at a steady rate"),
    ],
)
def test_periods_a_run_cannot_support_are_refused(policies, message):
    with pytest.raises(InsufficientData, match=message) as error:
        period(policies)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("measure", [cycle_strength, period, recurrence])
def test_runs_that_are_too_short_are_refused(measure):
    with pytest.raises(InsufficientData, match="only 2 of 3 rounds are left"):
        measure(loop(1 / 4, rounds=3))
    for burn_in in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"burn_in is .*: it is a share of the run"):
            measure(loop(1 / 4), burn_in=burn_in)
