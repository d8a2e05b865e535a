"""House style of our figures: one palette, one way to mark what is predicted and what is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any common colour blindness, and in grey by order.
BLACK, GREY = "#000000", "#767676"
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)

CALM, MOVING = "#F1F1EA", "#B8D2EA"
"""Backgrounds of regions: settles, keeps moving."""
SEQUENTIAL = "viridis"
"""Colour map of quantities that grow from zero."""

WIDTH = 7.2
"""Width of a figure in inches: a page, or a screen's column."""

PREDICTED: dict[str, Any] = {"linewidth": 1.5, "zorder": 2}
"""Theory is a line."""
SIMULATED: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 4.5,
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "zorder": 3,
}
"""Simulation is dots."""

_SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "svg.hashsalt": "prefdyn",  # the same drawing gives the same file
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of the house, for as long as the block runs."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches, that arranges its own panels."""
    return Figure(figsize=(width, height), layout="constrained")


def panel(ax: Axes, letter: str, title: str = "") -> None:
    """Letter and title of a panel, at its upper left."""
    ax.set_title(rf"$\bf{{{letter}}}$  {title}")
