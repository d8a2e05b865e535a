"""What was predicted against what was measured."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn.plots._axes import SOFT, axes, colour
from prefdyn.plots.house import SIMULATED


def predicted_measured(
    predicted: Any,
    measured: Any,
    ax: Axes | None = None,
    *,
    error: Any = None,
    quantity: str = "",
    **marks: Any,
) -> Axes:
    """Draw measured values over predicted ones, with the diagonal on which they would agree.

    Both axes have the same range and scale, so that the distance from the diagonal is the error.

    Parameters
    ----------
    predicted, measured
        Numbers of the same shape.
    ax
        Axes to draw on; by default a new figure.
    error
        Uncertainty of each measured value, drawn as a bar to either side.
    quantity
        What is predicted, with its unit, for the labels.
    **marks
        Changes to the markers' style.

    Raises
    ------
    InputError
        If the shapes differ, or nothing is finite.
    """
    across, up = (np.asarray(x, dtype=float) for x in (predicted, measured))
    if across.shape != up.shape:
        raise InputError(
            f"{across.size} predicted and {up.size} measured values of shapes {across.shape} and "
            f"{up.shape}: give one measured value for each predicted one."
        )
    both = np.isfinite(across) & np.isfinite(up)
    if not both.any():
        raise InputError("no pair of a predicted and a measured value is finite: nothing to draw.")
    ax = axes(ax)
    bars = np.zeros_like(up) if error is None else np.broadcast_to(np.abs(error), up.shape)
    style = {**SIMULATED, "color": colour(0), "elinewidth": 0.8, "capsize": 0, **marks}
    shown = None if error is None else bars[both]
    ax.errorbar(across[both], up[both], yerr=shown, **style)
    low = min(across[both].min(), (up - bars)[both].min())
    high = max(across[both].max(), (up + bars)[both].max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=SOFT, linewidth=1, zorder=1)
    words = f" {quantity}" if quantity else ""
    ax.set(
        xlabel=f"predicted{words}", ylabel=f"measured{words}", xlim=ends, ylim=ends, aspect="equal"
    )
    return ax
