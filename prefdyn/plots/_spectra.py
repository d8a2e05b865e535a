"""Multipliers against the unit circle, and power over frequency."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._stability import Stability
from prefdyn.plots._axes import FAINT, SOFT, axes, colour
from prefdyn.plots.house import SEQUENTIAL

if TYPE_CHECKING:
    from prefdyn._stability import Branch, PowerSpectrum

LABELLED = 5
"""Peaks that carry their frequency; more would run into each other."""


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
    ax = _unit_circle(ax)
    style = {"linestyle": "none", "marker": "o", "markersize": 6, "zorder": 3}
    batch = result.multipliers.reshape(-1, result.multipliers.shape[-1])
    for index, multipliers in enumerate(batch):
        stable = np.abs(multipliers) < 1
        for values, fill in ((multipliers[stable], "full"), (multipliers[~stable], "none")):
            if values.size:
                look = {**style, "color": colour(index), "fillstyle": fill, **mark}
                ax.plot(np.real(values), np.imag(values), **look)
    return ax


def multipliers(
    branch: "Branch", ax: Axes | None = None, *, colorbar: bool = True, **marks: Any
) -> Axes:
    """Draw the multipliers along a branch in the complex plane, coloured by the parameter.

    They leave the unit circle where stability is lost: at 1 (fold), at -1 (flip), or as a pair
    (Neimark-Sacker).

    Parameters
    ----------
    branch
        From `prefdyn.continuation`.
    ax
        Axes to draw on; by default a new figure.
    colorbar
        Whether to explain the colours beside the axes.
    **marks
        Changes to the style of matplotlib's ``scatter``.
    """
    ax = _unit_circle(ax)
    ax.set_adjustable("datalim")  # a long real branch would leave a strip
    values = np.asarray(branch.multipliers)
    parameter = np.repeat(branch.values, values.shape[1])
    style = {"s": 14, "cmap": SEQUENTIAL, "linewidths": 0, "zorder": 3, **marks}
    drawn = ax.scatter(np.real(values).ravel(), np.imag(values).ravel(), c=parameter, **style)
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, label=branch.parameter)
    return ax


def power(result: "PowerSpectrum", ax: Axes | None = None, **line: Any) -> Axes:
    """Draw power over frequency on a logarithmic scale, with the lines that were found marked.

    The five strongest lines carry their frequency in cycles per round.

    Parameters
    ----------
    result
        From `prefdyn.power_spectrum`.
    ax
        Axes to draw on; by default a new figure.
    **line
        Changes to the line's style.
    """
    ax = axes(ax)
    density = np.asarray(result.power, dtype=float)
    top = density.max()
    style = {"color": colour(0), "linewidth": 0.9, "zorder": 2, **line}
    ax.semilogy(result.frequencies, density, **style)
    # Beyond twelve decades lies rounding, which would squeeze all else into a strip.
    ax.set_ylim(max(density[density > 0].min(), 1e-12 * top) / 3, 30 * top)
    for rank, peak in enumerate(result.peaks):
        height = np.interp(peak.frequency, result.frequencies, density)
        ax.plot(peak.frequency, height, marker="v", color=colour(1), markersize=5, zorder=3)
        if rank < LABELLED:
            ax.annotate(
                f"{peak.frequency:.4g}",
                (peak.frequency, height),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize="small",
                rotation=90,
            )
    ax.set(xlabel="frequency (cycles per round)", ylabel="power (variance per cycle/round)")
    ax.set_xlim(0, 0.5)
    return ax


def _unit_circle(ax: Axes | None) -> Axes:
    ax = axes(ax)
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(turn), np.sin(turn), color=SOFT, linewidth=1, zorder=1)
    ax.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    ax.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
    ax.set(xlabel="real part of a multiplier", ylabel="imaginary part", aspect="equal")
    return ax
