"""Simplex portraits: flow, paths, fixed point and cycle on one triangle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from prefdyn._errors import InputError
from prefdyn._simulate import Orbit
from prefdyn._simulate import orbit as simulate
from prefdyn._stability import stability
from prefdyn.plots._axes import FAINT, INK, colour
from prefdyn.plots._flow import streamlines
from prefdyn.plots._simplex import corners, draw, is_ternary, simplex_axes
from prefdyn.rules import Rule

SETTLING, KEPT = 2_000, 1_000
"""Rounds that a portrait runs before it draws the attractor, and rounds of it that it draws."""


def portrait(
    rule: Rule,
    runs: Sequence[Orbit] = (),
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    attractor: bool = True,
) -> Axes:
    """Draw how a rule moves policies over the simplex.

    Streamlines of the one-round displacement (three responses), the fixed point (filled if it is
    stable, hollow if not), the cycle that the default start ends on, and the given orbits.

    Parameters
    ----------
    rule
        A single `Rule`.
    runs
        Orbits to draw as paths, each from a square.
    ax
        Axes to draw on, see `prefdyn.plots.simplex_axes`; by default a new figure.
    names
        One name per response.
    attractor
        Whether to run the rule on and draw where it stays.

    Raises
    ------
    InputError
        For a batched rule.
    """
    if rule.batch_shape:
        raise InputError(
            f"a portrait shows one rule, not a batch of {rule.batch_shape}: give one of them."
        )
    ax = simplex_axes(rule.K, names, ax)
    if rule.K == 3:
        flow(streamlines(rule), ax)
    if attractor:
        run = simulate(rule, rounds=SETTLING + KEPT, tolerance=0, progress=False)
        cycle(run.policies[-KEPT:], ax)
    for index, run in enumerate(runs):
        path(run.policies, ax, color=colour(index))
    result = stability(rule)
    fixed_point(result.point.policy, result.spectral_radius < 1, ax)
    return ax


def flow(lines: np.ndarray, ax: Any = None, **line: Any) -> Axes:
    """Draw streamlines (lines, n, 3), each with an arrow head at its middle.

    Parameters
    ----------
    lines
        From `prefdyn.plots.streamlines`: policies, filled up with NaN.
    ax
        Axes from `simplex_axes`; by default a new figure.
    **line
        Changes to the line's style.
    """
    ax = simplex_axes(3, ax=ax) if ax is None else ax
    style = {"color": FAINT, "linewidth": 0.8, "zorder": 1.5, **line}
    if not len(lines):
        return ax
    gap = np.full((len(lines), 1, 3), np.nan)
    draw(ax, np.concatenate([lines, gap], axis=1).reshape(-1, 3), **style)
    ring = ax.corners_data if is_ternary(ax) else corners(3)
    head = {"arrowstyle": "-|>", "color": style["color"], "lw": 0, "mutation_scale": 9}
    for policies in lines:
        middle = np.isfinite(policies[:, 0]).sum() // 2
        behind, ahead = policies[middle - 1 : middle + 1] @ ring
        arrow = FancyArrowPatch(behind, ahead, shrinkA=0, shrinkB=0, zorder=style["zorder"], **head)
        ax.add_patch(arrow)
    return ax


def path(policies: Any, ax: Axes | None = None, **line: Any) -> Axes:
    """Draw an orbit (T, K) round by round: a dot each, a thin line between, a square at the start.

    Nothing is smoothed: the line joins consecutive rounds, however far they are apart.
    """
    policies = np.asarray(policies, dtype=float)
    ax = simplex_axes(policies.shape[-1], ax=ax) if ax is None else ax
    style = {"color": colour(0), "linewidth": 0.8, "marker": ".", "markersize": 4, "zorder": 3}
    style |= line
    draw(ax, policies, **style)
    start = {**style, "marker": "s", "markersize": 6, "markeredgecolor": "white"}
    draw(ax, policies[:1], **{**start, "zorder": 4})
    return ax


def cycle(policies: Any, ax: Axes | None = None, **marks: Any) -> Axes:
    """Draw the policies (n, K) that a long run keeps visiting, as dots that no line joins."""
    policies = np.asarray(policies, dtype=float)
    ax = simplex_axes(policies.shape[-1], ax=ax) if ax is None else ax
    style = {"linestyle": "none", "marker": ".", "markersize": 2.5, "color": INK, "zorder": 2.5}
    draw(ax, policies, **{**style, **marks})
    return ax


def fixed_point(policy: Any, stable: bool, ax: Axes | None = None, **mark: Any) -> Axes:
    """Mark a fixed point (K,): a filled circle if it is stable, a hollow one if not."""
    policy = np.asarray(policy, dtype=float)
    ax = simplex_axes(policy.shape[-1], ax=ax) if ax is None else ax
    style = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 7,
        "markeredgecolor": INK,
        "zorder": 5,
    }
    fill = INK if stable else "white"
    draw(ax, policy[None], **{**style, "markerfacecolor": fill, **mark})
    return ax
