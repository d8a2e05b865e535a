import numpy as np
import pytest

from figures import plot_basins, plot_mode_locking
from prefdyn import Attractor, Basins, rotation_number


def test_the_drive_is_one_where_stability_is_lost():
    calm = rotation_number(plot_mode_locking.rule(np.array([0.9, 1.1])), rounds=400, settle=4000)
    assert np.isnan(calm.value[0])
    assert calm.value[1] == pytest.approx(np.arccos(0.5) / (2 * np.pi), abs=5e-3)


def test_tongues_at_no_memory_are_those_of_period_3(monkeypatch):
    monkeypatch.setattr(plot_mode_locking, "TONGUE_ALPHA", np.array([0.0]))
    monkeypatch.setattr(plot_mode_locking, "TONGUE_DRIVE", np.array([1.5, 1.75, 1.85, 5.0]))
    turns, periods = plot_mode_locking.tongues()
    assert list(periods[0] == 3) == [False, False, True, True]
    assert list(turns[0, 2:]) == [1, 1]


def test_chaos_needs_both_tests():
    data = {
        "exponents": np.array([[0.3, -1], [0.3, -1], [0.01, -1], [-0.1, -1]]),
        "exponent_errors": np.full((4, 2), 0.01),
        "zero_one": np.array([0.99, 0.3, 0.99, 0.99]),
    }
    assert list(plot_mode_locking.chaotic(data)) == [True, False, False, False]
    drive = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    chosen = np.array([False, True, True, False, True])
    assert plot_mode_locking.stretches(drive, chosen) == [(1.5, 3.5), (4.5, 5.5)]


def test_the_share_that_returns_is_the_fixed_points():
    def attractor(kind):
        return Attractor(kind, None, np.full((1, 3), 1 / 3), 0.0, 0.0, np.nan)

    def outcome(*kinds):
        shares = np.array([0.7, 0.3])[: len(kinds)]
        starts = np.full((10, 3), 1 / 3)
        return Basins(
            starts,
            np.zeros(10, dtype=int),
            tuple(attractor(kind) for kind in kinds),
            shares,
            shares / 10,
            0.0,
            np.zeros(10),
            0.01,
            "given",
        )

    assert plot_basins.returning(outcome("closed curve", "fixed point")) == (0.3, 0.03)
    assert plot_basins.returning(outcome("closed curve")) == (0.0, 0.1)
