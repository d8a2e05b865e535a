"""Over one parameter: rotation numbers with their locked plateaus, and Lyapunov exponents."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn._inputs import finite
from prefdyn.plots._axes import FAINT, axes, colour

if TYPE_CHECKING:
    from prefdyn._stability import Lyapunov, ModeLocking

LABELLED = 12
"""Plateaus that carry their rational, widest first."""


def rotation(result: "ModeLocking", ax: Axes | None = None, **dots: Any) -> Axes:
    """Draw rotation numbers over a parameter, a dot each, with locked plateaus as bars.

    The widest plateaus carry their rational: turns per rounds.

    Parameters
    ----------
    result
        From `prefdyn.mode_locking`, of one parameter.
    ax
        Axes to draw on; by default a new figure.
    **dots
        Changes to the dots' style.

    Raises
    ------
    InputError
        For mode locking over two parameters.
    """
    if len(result.parameters) != 1:
        raise InputError(
            f"a staircase runs over one parameter, not over {' and '.join(result.parameters)}: "
            "draw the tongues with the tongues function instead."
        )
    ax = axes(ax)
    style = {"linestyle": "none", "marker": ".", "markersize": 3, "color": colour(0), "zorder": 3}
    values, number = result.values[0], np.asarray(result.rotation)
    ax.plot(values, number, **{**style, **dots})
    widest = sorted(result.plateaus, key=lambda plateau: -plateau.width)[:LABELLED]
    for plateau in result.plateaus:
        height = plateau.turns / plateau.period
        ax.plot(
            [plateau.low, plateau.high],
            [height, height],
            color=colour(1),
            linewidth=3,
            solid_capstyle="butt",
            zorder=2,
        )
        if plateau in widest:
            ax.annotate(
                f"{plateau.turns}/{plateau.period}",
                ((plateau.low + plateau.high) / 2, height),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize="small",
            )
    ax.set(xlabel=result.parameters[0], ylabel="rotation number (turns per round)")
    return ax


def lyapunov(
    values: Any,
    result: "Lyapunov",
    ax: Axes | None = None,
    *,
    parameter: str = "",
    **line: Any,
) -> Axes:
    """Draw Lyapunov exponents over a parameter, with one standard error to either side.

    Above the line at zero neighbouring runs part: chaos.

    Parameters
    ----------
    values
        Values (n,) of the parameter.
    result
        From `prefdyn.lyapunov`, of a rule with batch (n,).
    ax
        Axes to draw on; by default a new figure.
    parameter
        Name of the parameter, for the label.
    **line
        Changes to the lines' style.

    Raises
    ------
    InputError
        If there is not one set of exponents per value.
    """
    values = finite(values, "the series of values")
    exponents, errors = np.asarray(result.exponents), np.asarray(result.errors)
    if exponents.ndim != 2 or values.shape != exponents.shape[:1]:
        raise InputError(
            f"exponents of batch shape {exponents.shape[:-1]} for values of shape {values.shape}: "
            "give the values of the one parameter along which the rule's batch runs."
        )
    ax = axes(ax)
    ax.axhline(0, color=FAINT, linewidth=1, zorder=0)
    for k, (exponent, error) in enumerate(zip(exponents.T, errors.T, strict=True)):
        drawn = np.where(np.isfinite(exponent), exponent, np.nan)  # -inf: no place on paper
        style = {"color": colour(k), "linewidth": 1, "marker": ".", "markersize": 3, "zorder": 2}
        ax.plot(values, drawn, **{**style, "label": f"exponent {k + 1}", **line})
        ax.fill_between(
            values, drawn - error, drawn + error, color=colour(k), alpha=0.25, linewidth=0, zorder=1
        )
    ax.set(xlabel=parameter, ylabel="Lyapunov exponent (nats per round)")
    if exponents.shape[1] > 1:
        ax.legend()
    return ax
