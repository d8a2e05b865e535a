"""Simplex portraits: flow, paths, fixed points and attractor on one triangle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn._inputs import choice
from prefdyn._simulate import Orbit
from prefdyn._simulate import orbit as simulate
from prefdyn._stability import stability
from prefdyn.plots._arrows import flow, vector_field
from prefdyn.plots._axes import colour
from prefdyn.plots._flow import displacement, lattice, streamlines
from prefdyn.plots._marks import cycle, fixed_point, fixed_points, path
from prefdyn.plots._planes import plane_of
from prefdyn.plots._simplex import simplex_axes
from prefdyn.rules import Rule

if TYPE_CHECKING:
    from prefdyn._stability import FixedPoints

SETTLING, KEPT = 2_000, 1_000
"""Rounds that a portrait runs before it draws the attractor, and rounds of it that it draws."""
ARROWS = 18
"""Arrows along each side of the simplex."""


def portrait(
    rule: Rule,
    runs: Sequence[Orbit] = (),
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    attractor: bool = True,
    field: str = "streamlines",
    points: "FixedPoints | None" = None,
) -> Axes:
    """Draw how a rule moves policies over the simplex.

    The displacement of one round (three responses), the fixed points (filled if stable, hollow if
    not), what the default start ends on, and the given orbits.

    Parameters
    ----------
    rule
        A single `Rule`.
    runs
        Orbits to draw as paths, each from a square.
    ax
        Axes to draw on, see `prefdyn.plots.simplex_axes` and `prefdyn.plots.plane_axes`; by default
        a new simplex.
    names
        One name per response.
    attractor
        Whether to run the rule on and draw where it stays.
    field
        ``"streamlines"``, ``"arrows"`` or ``"none"``: how the displacement is drawn.
    points
        From `prefdyn.fixed_points`; by default the one that Newton's method finds from uniform.

    Raises
    ------
    InputError
        For a batched rule, or an unknown field.
    """
    choice(field, ("streamlines", "arrows", "none"), "field")
    if rule.batch_shape:
        raise InputError(
            f"a portrait shows one rule, not a batch of {rule.batch_shape}: give one of them."
        )
    if ax is None or plane_of(ax) is None:
        ax = simplex_axes(rule.K, names, ax)
        if rule.K == 3:
            _draw_field(rule, field, ax)
    if attractor:
        run = simulate(rule, rounds=SETTLING + KEPT, tolerance=0, progress=False)
        cycle(run.policies[-KEPT:], ax)
    for index, run in enumerate(runs):
        path(run.policies, ax, color=colour(index))
    if points is None:
        result = stability(rule)
        return fixed_point(result.point.policy, bool(np.less(result.spectral_radius, 1)), ax)
    return fixed_points(points, ax)


def _draw_field(rule: Rule, field: str, ax: Axes) -> None:
    if field == "streamlines":
        flow(streamlines(rule), ax)
    elif field == "arrows":
        grid = lattice(ARROWS)
        vector_field(grid, displacement(rule, grid), ax)
