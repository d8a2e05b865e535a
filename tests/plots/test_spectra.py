import numpy as np
from matplotlib import pyplot

from prefdyn import MRSIPO, games, plots, stability


def marks(ax):
    return [line for line in ax.lines if line.get_marker() == "o"]


def test_multipliers_are_drawn_where_they_are_and_hollow_outside_the_circle():
    beta = np.array([1.0, 0.1])
    result = stability(MRSIPO(games.rock_paper_scissors(0.4), beta, 0.5, 1.0))
    calm, wild = marks(plots.spectrum(result))
    for line, multipliers, fill in zip(
        (calm, wild), result.multipliers, ("full", "none"), strict=True
    ):
        np.testing.assert_array_equal(line.get_xdata(), multipliers.real)
        np.testing.assert_array_equal(line.get_ydata(), multipliers.imag)
        assert line.get_fillstyle() == fill


def test_spectrum_draws_on_given_axes():
    _, ax = pyplot.subplots()
    result = stability(MRSIPO(games.random(5, 0), 0.3, 0.5, 1.0))
    assert plots.spectrum(result, ax, color="red") is ax
    drawn = np.concatenate([line.get_xydata() for line in marks(ax)])
    expected = np.stack([np.real(result.multipliers), np.imag(result.multipliers)], axis=-1)
    np.testing.assert_array_equal(drawn, expected)
    assert {line.get_color() for line in marks(ax)} == {"red"}
