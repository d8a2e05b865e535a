from typing import Any

import numpy as np
import pytest

from prefdyn import InputError, lyapunov, mode_locking, plots, power_spectrum
from tests.known_maps import CircleMap, Henon
from tests.plots.drawn import labels, vertices
from tests.plots.pictures import doubling, made


def test_multipliers_of_a_branch_are_coloured_by_the_parameter():
    branch = doubling()[0]
    ax = plots.multipliers(branch)
    (dots,) = ax.collections
    drawn = np.asarray(dots.get_offsets())
    np.testing.assert_allclose(drawn[:, 0], branch.multipliers[:, 0].real)
    np.testing.assert_array_equal(drawn[:, 1], 0)
    np.testing.assert_allclose(np.asarray(dots.get_array()), branch.values)
    figure: Any = ax.figure
    assert figure.axes[1].get_ylabel() == "r"


def test_power_shows_the_lines_where_the_run_turns():
    turn = 2 * np.pi * 0.17 * np.arange(512)
    policies = np.stack([0.3 + 0.1 * np.cos(turn), 0.3 + 0.1 * np.sin(turn)], axis=-1)
    policies = np.concatenate([policies, 1 - policies.sum(axis=-1, keepdims=True)], axis=-1)
    result = power_spectrum(policies)
    ax = plots.power(result)
    curve, *peaks = ax.lines
    np.testing.assert_array_equal(vertices(curve)[:, 1], result.power)
    assert vertices(peaks[0])[0, 0] == pytest.approx(0.17, abs=1e-3)
    assert ax.texts[0].get_text() == "0.17"
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < result.power.max() < high


def test_locked_plateaus_are_bars_with_their_rational():
    values = np.linspace(0.3, 0.37, 15)
    result = mode_locking(CircleMap(0.3, 0.9), "omega", values, rounds=260, settle=300)
    ax = plots.rotation(result)
    dots, *bars = ax.lines
    np.testing.assert_array_equal(vertices(dots)[:, 1], result.rotation)
    third = next(plateau for plateau in result.plateaus if plateau.period == 3)
    expected = [[third.low, 1 / 3], [third.high, 1 / 3]]
    assert any(np.allclose(vertices(bar), expected) for bar in bars)
    assert "1/3" in [text.get_text() for text in ax.texts]


def test_exponents_are_lines_with_their_errors():
    a: Any = np.array([1.0, 1.2, 1.4])
    start = np.tile([0.4, 0.4, 0.2], (3, 1))
    result = lyapunov(Henon(a), start, rounds=400, settle=200)
    ax = plots.lyapunov(a, result, parameter="a")
    zero, *lines = ax.lines
    assert list(np.asarray(zero.get_ydata())) == [0, 0]
    for k, line in enumerate(lines):
        np.testing.assert_array_equal(vertices(line), np.stack([a, result.exponents[:, k]], -1))
        band = np.asarray(ax.collections[k].get_paths()[0].vertices)
        assert np.ptp(band[band[:, 0] == 1.4][:, 1]) == pytest.approx(2 * result.errors[2, k])
    assert labels(ax) == ["exponent 1", "exponent 2"]
    assert ax.get_xlabel() == "a"


def test_a_direction_that_is_forgotten_at_once_leaves_a_gap():
    exponents = np.array([[-1.0], [-np.inf]])
    result: Any = made(exponents=exponents, errors=np.zeros((2, 1)))
    line = plots.lyapunov([1.0, 2.0], result).lines[1]
    assert list(np.isfinite(vertices(line)[:, 1])) == [True, False]


def test_exponents_without_their_values_are_refused():
    result: Any = made(exponents=np.zeros((3, 2)), errors=np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"batch shape \(3,\) for values of shape \(2,\)"):
        plots.lyapunov([1.0, 2.0], result)


def test_agreement_lies_on_the_diagonal_of_equal_axes():
    ax: Any = plots.predicted_measured(
        [1.0, 2.0, np.nan], [1.1, 2.5, 3.0], error=0.5, quantity="x (s)"
    )
    points, diagonal = ax.lines
    np.testing.assert_array_equal(vertices(points), [[1.0, 1.1], [2.0, 2.5]])
    ends = vertices(diagonal)
    np.testing.assert_array_equal(ends[:, 0], ends[:, 1])
    assert ax.get_xlim() == ax.get_ylim() == tuple(ends[:, 0])
    assert ends[0, 0] < 0.6
    assert ends[1, 0] > 3.0
    (bars,) = ax.collections
    np.testing.assert_allclose(
        np.stack([segment[:, 1] for segment in bars.get_segments()]), [[0.6, 1.6], [2.0, 3.0]]
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted x (s)", "measured x (s)")


@pytest.mark.parametrize(
    ("predicted", "measured", "message"),
    [([1.0], [1.0, 2.0], "1 predicted and 2 measured"), ([np.nan], [1.0], "nothing to draw")],
)
def test_unequal_or_empty_comparisons_are_refused(predicted, measured, message):
    with pytest.raises(InputError, match=message):
        plots.predicted_measured(predicted, measured)
