"""Marks on a simplex: paths, what a run keeps visiting, fixed points and periodic orbits."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn.plots._axes import INK, axes, colour
from prefdyn.plots._simplex import as_policies, axes_for, draw

if TYPE_CHECKING:
    from prefdyn._stability import FixedPoints, PeriodicOrbits


def path(policies: Any, ax: Axes | None = None, **line: Any) -> Axes:
    """Draw an orbit (T, K) round by round: a dot each, a thin line between, a square at the start.

    Nothing is smoothed: the line joins consecutive rounds, however far they are apart.
    """
    policies = as_policies(policies, "(T, K)")
    ax = axes_for(policies.shape[-1], ax)
    style = {"color": colour(0), "linewidth": 0.8, "marker": ".", "markersize": 4, "zorder": 3}
    style |= line
    draw(ax, policies, **style)
    start = {**style, "marker": "s", "markersize": 6, "markeredgecolor": "white"}
    draw(ax, policies[:1], **{**start, "zorder": 4})
    return ax


def cycle(policies: Any, ax: Axes | None = None, **marks: Any) -> Axes:
    """Draw the policies (n, K) that a long run keeps visiting, as dots that no line joins."""
    policies = as_policies(policies, "(n, K)")
    ax = axes_for(policies.shape[-1], ax)
    style = {"linestyle": "none", "marker": ".", "markersize": 2.5, "color": INK, "zorder": 2.5}
    draw(ax, policies, **{**style, **marks})
    return ax


def fixed_point(policy: Any, stable: bool, ax: Axes | None = None, **mark: Any) -> Axes:
    """Mark a fixed point (K,): a filled circle if it is stable, a hollow one if not."""
    policy = as_policies(policy, "(K,)")
    ax = axes_for(policy.shape[-1], ax)
    style = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 7,
        "markeredgecolor": INK,
        "clip_on": False,  # whole in a corner, too
        "zorder": 5,
    }
    fill = INK if stable else "white"
    draw(ax, policy[None], **{**style, "markerfacecolor": fill, **mark})
    return ax


def fixed_points(result: "FixedPoints", ax: Axes | None = None, **mark: Any) -> Axes:
    """Mark every fixed point that was found: filled circles are stable, hollow ones are not.

    Parameters
    ----------
    result
        From `prefdyn.fixed_points`.
    ax
        Axes from `simplex_axes` or `plane_axes`; by default a new simplex.
    **mark
        Changes to the markers' style.
    """
    ax = axes_for(result.points[0].policy.shape[-1], ax) if result.points else axes(ax)
    for point, linear in zip(result.points, result.stabilities, strict=True):
        fixed_point(point.policy, bool(linear.spectral_radius < 1), ax, **mark)
    return ax


def periodic_orbits(result: "PeriodicOrbits", ax: Axes | None = None, **mark: Any) -> Axes:
    """Draw every periodic orbit that was found as diamonds, filled where it is stable.

    Dotted lines join consecutive rounds of an orbit.

    Parameters
    ----------
    result
        From `prefdyn.periodic_orbits`.
    ax
        Axes from `simplex_axes` or `plane_axes`; by default a new simplex.
    **mark
        Changes to the style of lines and markers.
    """
    ax = axes_for(result.orbits[0].policies.shape[-1], ax) if result.orbits else axes(ax)
    for index, found in enumerate(result.orbits):
        own = colour(index)
        stable = found.spectral_radius < 1
        style = {
            "linestyle": ":",
            "linewidth": 0.9,
            "color": own,
            "marker": "D",
            "markersize": 5,
            "markerfacecolor": own if stable else "white",
            "clip_on": False,  # whole at an edge, too
            "label": f"period {found.period}, {'stable' if stable else 'unstable'}",
            "zorder": 4,
            **mark,
        }
        draw(ax, np.concatenate([found.policies, found.policies[:1]]), **style)
    return ax
