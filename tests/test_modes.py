"""Dynamic modes against multipliers that are known."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    FiniteSample,
    InputError,
    InsufficientData,
    dynamic_modes,
    fixed_point,
    stability,
)
from prefdyn.games import rock_paper_scissors
from prefdyn.policies import log_softmax

T = np.arange(40)


def path(rule, played=None, rounds=40, kick=0.02, seed=0):
    rng = np.random.default_rng(seed)
    state = fixed_point(rule).log_policy + kick * rng.normal(size=3)
    rows = []
    for t in range(rounds):
        rows.append(log_softmax(state))
        state = (played or rule).step(state, t, rng)
    return np.array(rows)


def linear(multiplier, rounds, process, read, seed, numbers=3):
    """A turning pair seen in several numbers, with noise of both kinds."""
    rng = np.random.default_rng(seed)
    a, b = multiplier.real, multiplier.imag
    x, rows = np.array([1.0, 0.0]), []
    mix = np.eye(1, 2)  # one of the two is seen
    if numbers > 1:
        mix = np.linalg.qr(np.random.default_rng(5).normal(size=(numbers, 2)))[0]
    for _ in range(rounds):
        rows.append(mix @ x)
        x = np.array([[a, -b], [b, a]]) @ x + process * rng.normal(size=2)
    return np.array(rows) + read * rng.normal(size=(rounds, numbers))


@pytest.mark.parametrize("rule", [MRSIPO, MRSDPO])
def test_rounds_near_a_fixed_point_have_its_multiplier(rule):
    rule = rule(rock_paper_scissors(0.3), beta=1.0, alpha=0.6, lam=1.0)
    true = max(stability(rule).multipliers, key=np.imag)
    modes = dynamic_modes(path(rule))
    assert modes.multipliers[0] == pytest.approx(true, abs=2e-3)
    assert modes.period[0] == pytest.approx(2 * np.pi / np.angle(true), rel=5e-3)


def test_one_number_turns_too():
    modes = dynamic_modes(0.97**T * np.cos(2 * np.pi * T / 8))
    assert modes.period[0] == pytest.approx(8, abs=1e-9)
    assert modes.growth[0] == pytest.approx(0.97, abs=1e-9)
    assert modes.turning[0]
    assert modes.swing[0] == pytest.approx(0.75, abs=0.1)


def test_two_modes_are_told_apart():
    series = 0.95**T * np.cos(1.1 * T) + 2 * 0.8**T
    found = dynamic_modes(series)
    assert sorted(found.growth[:2]) == pytest.approx([0.8, 0.95], abs=1e-6)
    assert found.rank == 3


def test_back_and_forth_has_period_two():
    modes = dynamic_modes(3 + (-0.9) ** T)
    assert modes.period[0] == pytest.approx(2)
    assert modes.turning[0]


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_the_size_of_numbers_does_not_matter(size):
    modes = dynamic_modes(size * np.cos(np.arange(24)))
    assert modes.angle[0] == pytest.approx(1)
    assert modes.swing[0] / size == pytest.approx(1, rel=0.1)


def test_numbers_on_a_line_have_one_mode():
    """In exact arithmetic: what is left over is zero, and no direction."""
    assert dynamic_modes(np.outer(np.arange(40.0), [1, 2, 4])).rank == 1


def test_a_drift_does_not_turn():
    modes = dynamic_modes(np.stack([0.9**T, -(0.9**T)], axis=1))
    assert modes.growth[0] == pytest.approx(0.9)
    assert np.isinf(modes.period[0])
    assert not modes.turning.any()


def test_noise_does_not_shrink_multipliers():
    """Where plain decomposition, a regression on the round before, does."""
    true, plain, found = 0.8 + 0.6j, [], []
    for seed in range(5):
        rows = linear(true, 60, 0.0, 0.4, seed)
        centred = rows - rows.mean(axis=0)
        A = np.linalg.lstsq(centred[:-1], centred[1:], rcond=None)[0]
        plain.append(np.abs(np.linalg.eigvals(A)).max())
        found.append(dynamic_modes(rows, rank=2).growth[0])
    assert np.mean(plain) < 0.9
    assert np.mean(found) == pytest.approx(1, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("multiplier", "rounds", "process", "read", "numbers"),
    [
        (0.6 + 0.6j, 40, 0.2, 0.0, 3),
        (0.6 + 0.6j, 40, 0.2, 0.1, 10),
        (0.8 + 0.6j, 40, 0.0, 0.3, 3),
        (0.9 + 0.3j, 60, 0.2, 0.2, 3),
        (0.6 + 0.6j, 60, 0.2, 0.1, 1),
    ],
)
def test_errors_cover_the_truth(multiplier, rounds, process, read, numbers):
    held = []
    for seed in range(100):
        modes = dynamic_modes(linear(multiplier, rounds, process, read, seed, numbers), rank=2)
        k = int(np.argmax(modes.angle))
        low, high = modes.growth_interval[k]
        held.append(low <= abs(multiplier) <= high)
        early, late = modes.period_interval[k]
        held.append(early <= 2 * np.pi / np.angle(multiplier) <= late)
    assert np.mean(held) >= 0.87  # nominally 0.95; its error is .02, and samples are small


@pytest.mark.slow
def test_finite_samples_leave_the_multiplier_where_it_is():
    rule = MRSIPO(rock_paper_scissors(0.4), beta=0.35, alpha=0.5, lam=1.0)
    true = max(stability(rule).multipliers, key=np.imag)
    for seed in range(5):
        rows = path(rule, FiniteSample(rule, 200), rounds=200, seed=seed)
        modes = dynamic_modes(rows, rank=2)
        assert abs(modes.multipliers[0] - true) < 4 * modes.errors[0] < 0.5


@pytest.mark.slow
def test_noise_is_seldom_taken_for_modes():
    taken = 0
    for seed in range(100):
        try:
            dynamic_modes(np.random.default_rng(seed).normal(size=(30, 3)))
            taken += 1
        except InsufficientData:
            pass
    assert taken <= 3


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.cos(T[:10]), "10 rounds are too few .* take 16"),
        (np.ones((20, 3)), "does not move"),
        (np.random.default_rng(0).normal(size=(30, 2)), "move like noise"),
    ],
)
def test_what_cannot_be_told_is_refused(series, message):
    with pytest.raises(InsufficientData, match=message):
        dynamic_modes(series)


def test_what_no_linear_mode_describes_is_refused():
    x = [0.3]
    for _ in range(80):
        x.append(3.99 * x[-1] * (1 - x[-1]))  # chaos
    with pytest.raises(InsufficientData, match=r"linear modes describe|move like noise"):
        dynamic_modes(x)


def test_a_rank_beyond_the_rounds_is_refused():
    with pytest.raises(InsufficientData, match="carry a state of 4 numbers, not of 7"):
        dynamic_modes(linear(0.9 + 0.3j, 40, 0.1, 0.0, 0, 2), rank=7)


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ([1.0, np.nan] * 10, {}, "contains NaN"),
        (np.zeros((2, 3, 4)), {}, r"shape \(2, 3, 4\)"),
        (np.cos(T), {"confidence": 1.0}, "confidence is 1"),
        (np.cos(T), {"delays": 0}, "delays is 0"),
    ],
)
def test_input_is_checked(series, options, message):
    with pytest.raises(InputError, match=message):
        dynamic_modes(series, **options)


def test_directions_left_out_are_named():
    rows = linear(0.9 + 0.3j, 40, 0.05, 0.05, 0, 10)
    assert "4 directions with" in dynamic_modes(rows, rank=2).notes[0]


def test_the_same_seed_gives_the_same_errors():
    rows = linear(0.9 + 0.3j, 40, 0.1, 0.1, 0)
    assert np.array_equal(dynamic_modes(rows, rng=3).errors, dynamic_modes(rows, rng=3).errors)
