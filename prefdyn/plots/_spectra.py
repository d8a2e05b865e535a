"""Multipliers against the unit circle."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._stability import Stability
from prefdyn.plots._axes import FAINT, SOFT, axes, colour


def spectrum(result: Stability, ax: Axes | None = None, **mark: Any) -> Axes:
    """Draw the multipliers of a fixed point in the complex plane, filled inside the unit circle.

    Parameters
    ----------
    result
        From `prefdyn.stability`; of a batch all multipliers are drawn, one colour per element.
    ax
        Axes to draw on; by default a new figure.
    **mark
        Changes to the markers' style.
    """
    ax = axes(ax)
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(turn), np.sin(turn), color=SOFT, linewidth=1, zorder=1)
    ax.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    ax.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
    style = {"linestyle": "none", "marker": "o", "markersize": 6, "zorder": 3}
    batch = result.multipliers.reshape(-1, result.multipliers.shape[-1])
    for index, multipliers in enumerate(batch):
        stable = np.abs(multipliers) < 1
        for values, fill in ((multipliers[stable], "full"), (multipliers[~stable], "none")):
            if values.size:
                look = {**style, "color": colour(index), "fillstyle": fill, **mark}
                ax.plot(np.real(values), np.imag(values), **look)
    ax.set(xlabel="real part of a multiplier", ylabel="imaginary part", aspect="equal")
    return ax
