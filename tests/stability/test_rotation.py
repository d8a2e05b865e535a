"""Rotation numbers, locked intervals and spectra against maps that turn as we know."""

import numpy as np
import pytest

from prefdyn import (
    MRSIPO,
    InputError,
    InsufficientData,
    LogitRule,
    basins,
    games,
    lyapunov,
    mode_locking,
    orbit,
    power_spectrum,
    rotation_number,
    zero_one,
)
from tests.known_maps import CircleMap, DelayedLogistic, Henon, Logistic

GOLDEN = (np.sqrt(5) - 1) / 2
CURVE = np.exp([0.4, 0.5, 0]) / np.exp([0.4, 0.5, 0]).sum()
PLANE = np.exp([0.1, 0.1, 0]) / np.exp([0.1, 0.1, 0]).sum()


def onset(alpha, eps, a=0.4):
    beta = a / np.sqrt(3 * (1 - alpha**2)) / (1 + eps)
    return MRSIPO(games.rock_paper_scissors(a), beta, alpha, 1.0)


@pytest.mark.parametrize("omega", [GOLDEN, 0.1234567, np.sqrt(0.02)])
def test_the_rigid_rotation_turns_by_omega(omega):
    found = rotation_number(CircleMap(omega), rounds=2000, settle=0)
    assert abs(found.value - min(omega, 1 - omega)) <= max(found.error, 1e-12)
    assert found.error < 1e-8


def test_the_weighted_average_converges_faster_than_the_plain_one():
    """A run four times as long gains much more than the factor 4 of a plain average."""
    policies = orbit(CircleMap(GOLDEN, 0.5), rounds=5000, tolerance=0).policies[500:]
    best = rotation_number(policies).value
    errors = [abs(rotation_number(policies[:n]).value - best) for n in (150, 600)]
    assert errors[1] < errors[0] / 100


def test_just_past_the_delayed_logistic_bifurcation():
    found = rotation_number(DelayedLogistic(2.01), CURVE, 2000, settle=2000)
    assert found.value == pytest.approx(1 / 6, abs=2e-3)
    assert found.error < 1e-7


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_at_onset_ipo_turns_by_the_angle_of_its_multipliers(alpha):
    """arccos(alpha) per round, and MRS-8's shift."""
    eps = 0.01
    found = rotation_number(onset(alpha, eps), rounds=1500, settle=int(20 / ((1 - alpha**2) * eps)))
    angle, w = np.arccos(alpha), np.sqrt(1 - alpha**2)
    shift = eps * (alpha * w / 3 - w**2 / 3 / np.tan(1.5 * angle))
    assert 2 * np.pi * found.value == pytest.approx(angle + shift, abs=5 * eps**2)
    assert found.error < 1e-6


def test_cycles_turn_by_rationals_and_a_line_by_half_per_crossing():
    line = np.array([0.57, 0.43])
    for r, expected in ((3.2, 1 / 2), (3.5, 1 / 2), (3.83, 1 / 3)):
        found = rotation_number(Logistic(r), line, 300, settle=1000)
        assert found.value == pytest.approx(expected, abs=1e-9)


def test_a_batch_is_its_runs_and_settled_ones_are_nan():
    rule = onset(np.array([0.3, 0.5]), np.array([[0.05], [-0.5]]))
    found = rotation_number(rule, rounds=1000, settle=1000)
    assert np.isnan(found.value[1]).all()
    alone = rotation_number(onset(0.5, 0.05), rounds=1000, settle=1000)
    assert found.value[0, 1] == pytest.approx(alone.value, abs=1e-9)


def test_what_has_no_rotation_number_is_refused():
    with pytest.raises(InsufficientData, match="has settled"):
        rotation_number(onset(0.5, -0.3))
    with pytest.raises(InsufficientData, match="no rotation number"):
        rotation_number(Henon(), PLANE, 1000, settle=100)
    with pytest.raises(InsufficientData, match="at least 100"):
        rotation_number(onset(0.5, 0.1), rounds=50)
    noise = np.random.default_rng(0).dirichlet(np.ones(3), size=1000)
    with pytest.raises(InsufficientData, match="turns of single rounds"):
        rotation_number(noise)


def test_the_tongue_of_0_has_width_k_over_pi():
    k = 0.8
    found = mode_locking(
        CircleMap(0.0, k), "omega", np.linspace(-0.25, 0.25, 11), rounds=300, settle=700, refine=9
    )
    (zero,) = [plateau for plateau in found.plateaus if plateau.period == 1]
    assert zero.turns == 0
    error = zero.low_error + zero.high_error
    # Next to its ends runs settle slowly, which costs about 1/settle^2 beyond the bracket.
    assert -5e-4 < zero.width - k / np.pi < error
    assert error < 5e-4


@pytest.mark.slow
def test_the_staircase_rises_and_locks_at_rationals():
    omega = np.array([0.26, 0.274, 0.3, 0.32, 0.346, 0.38, 0.406, 0.45])
    found = mode_locking(CircleMap(0.0, 0.8), "omega", omega, rounds=400, settle=600, refine=0)
    assert np.all(np.diff(found.rotation) > 0)
    locked = {(p.turns, p.period) for p in found.plateaus}
    assert locked == {(1, 4), (1, 3), (2, 5)}
    assert list(found.locked) == [k in (1, 4, 6) for k in range(8)]


def test_without_coupling_nothing_locks_but_the_rationals_themselves():
    found = mode_locking(
        CircleMap(0.0), "omega", np.array([0.2, 0.2071, 0.25]), rounds=300, settle=1
    )
    assert list(found.periods) == [5, 0, 4]
    assert all(plateau.width < 2e-4 for plateau in found.plateaus)


def test_strong_drive_locks_to_period_3_and_5():
    """MRS-15, with both kinds of evidence."""
    for alpha, ratios, turns, period in (
        (0.0, (1.7, 1.8, 2.0, 3.0), 1, 3),
        (0.5, (3.0, 4.0), 1, 5),
    ):
        beta = np.sort(0.4 / np.sqrt(3 * (1 - alpha**2)) / np.array(ratios))
        rule = onset(alpha, 0.0)
        found = mode_locking(rule, "beta", beta, rounds=400, refine=0, settle=3000)
        assert list(found.tongue(turns, period)) == [True] * (len(ratios) - 1) + [False]
        assert np.all(found.returns[found.locked] == period)


def test_a_rule_that_takes_no_arrays_gives_the_same_as_one_that_does():
    class Alone(MRSIPO):
        @property
        def batch_shape(self):
            return ()

    beta, kind = np.array([0.05, 0.1, 0.12]), {"rounds": 300, "settle": 500, "refine": 0}
    batched = mode_locking(onset(0.5, 0.0), "beta", beta, **kind)
    stacked = mode_locking(
        Alone(games.rock_paper_scissors(0.4), 1.0, 0.5, 1.0), "beta", beta, **kind
    )
    assert stacked.rotation == pytest.approx(batched.rotation, abs=1e-9, nan_ok=True)
    assert np.array_equal(stacked.periods, batched.periods)


def test_a_run_that_waits_at_vertices_has_not_settled():
    """Of 24 rounds all but a few change no probability by 1e-7; at alpha = 1 the waits grow."""
    rule = MRSIPO(games.rock_paper_scissors(0.4), 0.005, 0.98, 1.0)
    still = np.abs(np.diff(orbit(rule, rounds=5000, tolerance=0).policies[-48:], axis=0)).max(-1)
    assert np.mean(still < 1e-7) > 0.8
    found = mode_locking(rule, "alpha", np.array([0.98, 1.0]), rounds=1000, refine=0)
    assert found.returns.tolist() == [24, 0]
    assert found.periods.tolist() == [24, 0]
    assert np.isnan(found.rotation[1])
    with pytest.raises(InsufficientData, match="go on falling"):
        rotation_number(rule.replace(alpha=1.0))


def test_what_is_no_series_is_refused():
    missing = np.full((2000, 3), 1 / 3)
    missing[7, 1] = np.nan
    for estimate in (rotation_number, zero_one, power_spectrum):
        with pytest.raises(InputError, match="contains NaN"):
            estimate(missing)
        with pytest.raises(InputError, match="neither a rule nor policies"):
            estimate(np.zeros((2000, 0)))


@pytest.mark.parametrize("tool", [basins, lyapunov, power_spectrum, rotation_number, zero_one])
def test_a_rule_with_a_schedule_has_no_long_run(tool):
    class Cooling(LogitRule):
        K = 3  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

        def update(self, theta):
            return np.roll(theta, 1, axis=-1)

        def step(self, state, t, rng):
            return self.update(state) / (1 + t)

    with pytest.raises(InputError, match="another map in every round"):
        tool(Cooling())


def test_a_run_that_leaves_every_bound_costs_its_batch_nothing():
    line = np.array([0.57, 0.43])
    found = rotation_number(Logistic(np.array([[3.2], [6.0]])), line, 300, settle=1000)
    assert found.value[0] == pytest.approx(0.5, abs=1e-9)
    assert np.isnan(found.value[1])


def test_tongues_in_two_parameters_and_what_is_refused():
    rule = onset(0.5, 0.0)
    beta, alpha = np.array([0.04, 0.08]), np.array([0.0, 0.1, 0.2])
    found = mode_locking(rule, ("beta", "alpha"), (beta, alpha), rounds=300)
    assert found.rotation.shape == (2, 3)
    assert found.plateaus == ()
    assert found.tongue(1, 3)[0, 0]
    with pytest.raises(InputError, match="ascending"):
        mode_locking(rule, "beta", [0.2, 0.1])
    with pytest.raises(InputError, match="one name, or two"):
        mode_locking(rule, ("beta", "alpha", "lam"), ([1, 2],) * 3)
    with pytest.raises(InputError, match="two different ones"):
        mode_locking(rule, ("beta", "beta"), ([0.1, 0.2],) * 2)
    with pytest.raises(InputError, match="one array for each of beta, alpha"):
        mode_locking(rule, ("beta", "alpha"), 0.1)
    with pytest.raises(InputError, match="not an array of numbers"):
        mode_locking(rule, "beta", "x")
    with pytest.raises(InputError, match="no parameter"):
        mode_locking(rule, "gamma", [0.1, 0.2])
    with pytest.raises(InsufficientData, match="at least 256"):
        mode_locking(rule, "beta", [0.1, 0.2], rounds=200)


def test_a_spectrum_has_lines_at_multiples_of_the_rotation_number():
    rule = DelayedLogistic(2.1)
    turns = rotation_number(rule, CURVE, 600, settle=1000).value
    spectrum = power_spectrum(rule, CURVE, rounds=1024, settle=1000)
    for line, order in zip(spectrum.peaks, (1, 2, 3), strict=False):
        assert abs(line.frequency - order * turns) < line.resolution / 4
    assert sum(line.share for line in spectrum.peaks) > 0.99
    variance = orbit(rule, CURVE, rounds=2024, tolerance=0).policies[-1024:].var(axis=0).sum()
    total = spectrum.power.sum() * spectrum.frequencies[1]
    assert total == pytest.approx(variance, rel=0.02)


def test_a_two_cycle_has_one_line_at_a_half_and_chaos_has_none():
    line = np.array([0.57, 0.43])
    (peak,) = power_spectrum(Logistic(3.2), line, 512, settle=500).peaks
    assert peak.frequency == pytest.approx(0.5, abs=1e-9)
    assert peak.share > 0.99
    broad = power_spectrum(Logistic(4.0), line, settle=100)
    assert max((peak.share for peak in broad.peaks), default=0) < 0.05
    with pytest.raises(InsufficientData, match="settled"):
        power_spectrum(Logistic(2.5), line, 100)
    with pytest.raises(InputError, match="batch"):
        power_spectrum(onset(np.array([0.3, 0.5]), 0.1))
