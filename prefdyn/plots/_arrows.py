"""The displacement of one round over the simplex, drawn as streamlines or as arrows."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from prefdyn._errors import InputError
from prefdyn.plots._axes import FAINT
from prefdyn.plots._simplex import axes_for, draw, on_paper
from prefdyn.plots.house import SEQUENTIAL


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
    ax = axes_for(3, ax)
    style = {"color": FAINT, "linewidth": 0.8, "zorder": 1.5, **line}
    if not len(lines):
        return ax
    gap = np.full((len(lines), 1, 3), np.nan)
    draw(ax, np.concatenate([lines, gap], axis=1).reshape(-1, 3), **style)
    head = {"arrowstyle": "-|>", "color": style["color"], "lw": 0, "mutation_scale": 9}
    for policies in lines:
        middle = np.isfinite(policies[:, 0]).sum() // 2
        behind, ahead = on_paper(ax, policies[middle - 1 : middle + 1])
        arrow = FancyArrowPatch(behind, ahead, shrinkA=0, shrinkB=0, zorder=style["zorder"], **head)
        ax.add_patch(arrow)
    return ax


def vector_field(
    policies: Any, moves: Any, ax: Any = None, *, colorbar: bool = True, **arrows: Any
) -> Axes:
    """Draw the move of one round at each policy: an arrow for its direction, a colour for its size.

    All arrows have the same length, because moves differ by orders of magnitude over a simplex; a
    policy that does not move gets none.

    Parameters
    ----------
    policies, moves
        Shape (n, K), as from `lattice` and `displacement`.
    ax
        Axes from `simplex_axes` or `plane_axes`; by default a new simplex.
    colorbar
        Whether to say beside the axes how far a round moves (Euclidean norm of the change of
        probabilities).
    **arrows
        Changes to the style of matplotlib's ``quiver``.

    Raises
    ------
    InputError
        If policies and moves differ in shape.
    """
    policies, moves = np.asarray(policies, dtype=float), np.asarray(moves, dtype=float)
    if policies.shape != moves.shape or policies.ndim != 2:
        raise InputError(
            f"policies of shape {policies.shape} and moves of shape {moves.shape}: "
            "give one move (K,) for each of n policies."
        )
    ax = axes_for(policies.shape[-1], ax)
    where = on_paper(ax, policies)
    arrow = on_paper(ax, policies + moves) - where
    length = np.linalg.norm(arrow, axis=-1, keepdims=True)
    moving = length[:, 0] > 0
    arrow = np.divide(arrow, length, out=np.zeros_like(arrow), where=length > 0)
    style = {"cmap": SEQUENTIAL, "pivot": "mid", "width": 0.005, "zorder": 1.5, **arrows}
    style |= {"angles": "xy", "scale_units": "xy", "scale": 1 / (0.75 * _spacing(where))}
    size = np.linalg.norm(moves, axis=-1)
    # Points on paper, on ternary axes too, whose own quiver takes three coordinates.
    drawn = Axes.quiver(ax, *where[moving].T, *arrow[moving].T, size[moving], **style)
    drawn.set_clim(0, size.max(initial=0))
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, shrink=0.7, label="distance moved in one round")
    return ax


def _spacing(points: np.ndarray) -> float:
    """Typical distance of points (n, 2) to their nearest neighbours."""
    from scipy.spatial import KDTree

    if len(points) < 2:
        return 0.1
    return float(np.median(KDTree(points).query(points, k=2)[0][:, 1]))
