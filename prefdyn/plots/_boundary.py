"""Where stability ends in the plane of two parameters, as a curve."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from prefdyn.plots._axes import axes
from prefdyn.plots._bifurcations import NAMES
from prefdyn.plots._curves import part
from prefdyn.plots.house import BLACK, BLUE, GREY, VERMILION

if TYPE_CHECKING:
    from prefdyn._stability import Boundary

COLOURS = {"": BLACK, "supercritical": BLUE, "subcritical": VERMILION, "undecided": GREY}
DOTTED = (0, (1, 1.5))


def boundary(
    result: "Boundary", ax: Axes | None = None, *, legend: bool = True, **line: Any
) -> Axes:
    """Draw a curve of bifurcations over two parameters, coloured by criticality.

    Dotted where another multiplier is outside the unit circle already, so that stability does not
    end there.  Points of codimension two are diamonds with their names.

    Parameters
    ----------
    result
        From `prefdyn.boundary`.
    ax
        Axes to draw on, such as those of a `chart`; by default a new figure.
    legend
        Whether to explain the colours.
    **line
        Changes to the line's style.
    """
    ax = axes(ax)
    words = np.asarray(result.criticality, dtype=str)
    rim = [withStroke(linewidth=3.6, foreground="white")]  # seen on any colour of a chart
    style = {"linewidth": 2, "zorder": 3, "solid_capstyle": "butt", "path_effects": rim, **line}
    name = NAMES[result.kind]
    for outermost, dash in ((True, "-"), (False, DOTTED)):
        for word in dict.fromkeys(words):
            own = (words == word) & (result.outermost == outermost)
            if own.any():
                ending = "" if outermost else ", already unstable"
                label = ", ".join(filter(None, (name, word))) + ending
                look = {"color": COLOURS[word], "linestyle": dash, "label": label, **style}
                ax.plot(*part(result.values, own).T, **look)
    for event in result.events:
        ax.add_line(_diamond(event.values))
        ax.annotate(
            event.kind,
            event.values,
            xytext=(6, 4),
            textcoords="offset points",
            fontsize="small",
            path_effects=rim,
            zorder=5,
        )
    ax.set(xlabel=result.parameters[0], ylabel=result.parameters[1])
    if legend:
        ax.legend(frameon=True)
    return ax


def _diamond(values: tuple[float, float]) -> Line2D:
    look = {"color": BLACK, "markeredgecolor": "white", "linestyle": "none", "zorder": 5}
    return Line2D([values[0]], [values[1]], marker="D", markersize=6.5, **look)
