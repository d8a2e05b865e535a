"""Where to draw: the caller's axes, or axes on a figure of their own."""

from typing import Any

from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart with any common colour blindness."""
INK, SOFT, FAINT = "#000000", "#767676", "#BDBDB6"


def axes(ax: Axes | None, **subplot: Any) -> Axes:
    """`ax` itself, or the axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.figure(layout="constrained").add_subplot(**subplot)


def colour(index: int) -> str:
    """The index-th colour of the palette, which repeats."""
    return COLOURS[index % len(COLOURS)]
