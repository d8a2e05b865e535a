"""The 0-1 test on regular and chaotic maps."""

import numpy as np
import pytest

from prefdyn import MRSIPO, InsufficientData, games, zero_one
from prefdyn._stability.zero_one import _growth_correlations
from tests.known_maps import CircleMap, Logistic

LINE = np.array([0.57, 0.43])


@pytest.mark.parametrize(
    ("r", "kind"), [(3.2, "regular"), (3.83, "regular"), (3.9, "chaotic"), (4.0, "chaotic")]
)
def test_the_logistic_map(r, kind):
    found = zero_one(Logistic(r), LINE, rounds=1200, settle=300)
    assert found.kind == kind
    assert abs(found.value - (kind == "chaotic")) < 0.03
    assert found.spread < 0.05


def test_quasi_periodic_motion_is_regular_however_it_is_sampled():
    golden = CircleMap((np.sqrt(5) - 1) / 2, 0.9)
    for every in (1, 3):
        assert abs(zero_one(golden, rounds=1000, settle=0, every=every).value) < 0.05


def test_strong_drive_is_chaotic_where_the_exponent_is_positive():
    rule = MRSIPO(games.rock_paper_scissors(0.4), np.array([0.0314, 0.08, 1.0]), 0.5, 1.0)
    found = zero_one(rule, rounds=2000, settle=2000)
    assert list(found.kind[:2]) == ["chaotic", "regular"]
    assert np.isnan(found.value[2])  # settled


def test_displacements_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    series = rng.normal(size=200)
    series -= series.mean()
    walk = np.cumsum(series * np.exp(1.3j * np.arange(1, 201)))
    mean_squares = [np.mean(np.abs(walk[n : n + 180] - walk[:180]) ** 2) for n in range(1, 21)]
    expected = np.corrcoef(np.arange(1, 21), mean_squares)[0, 1]
    assert _growth_correlations(series, np.array([1.3])) == pytest.approx(expected, abs=1e-9)


def test_too_little_is_refused():
    with pytest.raises(InsufficientData, match="at least 1000"):
        zero_one(Logistic(4.0), LINE, rounds=500)
    with pytest.raises(InsufficientData, match="settled"):
        zero_one(Logistic(2.5), LINE)
