"""Orbit diagrams: every policy that long runs visit, over a parameter."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn.plots._axes import axes, colour
from prefdyn.plots._reading import Reading, reading
from prefdyn.plots.house import MOVING

if TYPE_CHECKING:
    from prefdyn._stability import OrbitDiagram


def orbit_diagram(
    result: "OrbitDiagram", ax: Axes | None = None, *, of: Reading = 0, **dots: Any
) -> Axes:
    """Draw a dot for every round that was kept, one colour per direction of the sweep.

    Values where the two directions end on different attractors are shaded.

    Parameters
    ----------
    result
        From `prefdyn.orbit_diagram`.
    ax
        Axes to draw on; by default a new figure.
    of
        What of a policy is drawn: a response's number, ``"entropy"``, or a function from policies
        (..., K) to numbers (...,), whose name becomes the label.
    **dots
        Changes to the dots' style.

    Raises
    ------
    InputError
        If `of` is nothing that can be read off a policy.
    """
    ax = axes(ax)
    values = np.asarray(result.values, dtype=float)
    for index, name in enumerate(result.directions):
        policies = result.policies[name]
        value, label = reading(of, policies.shape[-1])
        across = np.repeat(values, policies.shape[1])
        # The second direction is drawn smaller, so that dots under dots remain visible.
        style = {
            "linestyle": "none",
            "marker": "o",
            "markersize": (2.2, 1.0)[index % 2],
            "markeredgewidth": 0,
            "color": colour(index),
            "label": {"up": "swept upwards", "down": "swept downwards"}[name],
            "rasterized": True,
            "zorder": 2 + 0.1 * index,
            **dots,
        }
        ax.plot(across, value(policies).ravel(), **style)
        ax.set(xlabel=result.parameter, ylabel=label)
    if result.hysteresis is not None:
        _shade(ax, values, np.asarray(result.hysteresis))
    if len(result.directions) > 1:
        ax.legend(markerscale=5)
    return ax


def _shade(ax: Axes, values: np.ndarray, apart: np.ndarray) -> None:
    """A background behind each stretch where the directions differ, half a step to either side."""
    middles = (values[1:] + values[:-1]) / 2
    bounds = np.concatenate([values[:1], middles, values[-1:]])
    edges = np.diff(np.concatenate([[0], apart.astype(int), [0]]))
    label = "the directions differ"
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        ax.axvspan(bounds[first], bounds[last], color=MOVING, zorder=0, linewidth=0, label=label)
        label = "_"
