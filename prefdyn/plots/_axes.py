"""Where to draw: the caller's axes, or axes on a figure of their own."""

from typing import Any

from matplotlib.axes import Axes

from prefdyn.plots.house import BLACK, GREY, PALETTE

INK, SOFT, FAINT = BLACK, GREY, "#BDBDB6"


def axes(ax: Axes | None, **subplot: Any) -> Axes:
    """`ax` itself, or the axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.figure(layout="constrained").add_subplot(**subplot)


def colour(index: int) -> str:
    """The index-th colour of the palette, which repeats."""
    return PALETTE[index % len(PALETTE)]
