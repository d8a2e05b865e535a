"""Basins of attraction: which starts end where, what share of them, and how soon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon

from prefdyn.plots._axes import INK, colour
from prefdyn.plots._simplex import on_paper, simplex_axes

if TYPE_CHECKING:
    from prefdyn._stability import Attractor, Basins

LOST = "#8C8C8C"
"""Starts that reached no attractor in time."""
PALE, FULL = 0.25, 0.9
"""Share of an attractor's colour in its soonest and its latest starts."""


def basins(
    result: "Basins",
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    colorbar: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw each start in the colour of the attractor that it ends on, darker the later it arrives.

    A triangular grid over three responses is drawn as cells without gaps, other starts as dots.
    Attractors are black: a disc is a fixed point, dots are the policies of anything else.

    Parameters
    ----------
    result
        From `prefdyn.basins`.
    ax
        Axes from `simplex_axes` or `plane_axes`; by default a new simplex.
    names
        One name per response, for a new simplex.
    colorbar
        Whether to explain the shading beside the axes.
    legend
        Whether to name attractors below the axes, with the share of starts that end on each.
    """
    K = result.starts.shape[-1]
    ax = simplex_axes(K, names) if ax is None else ax
    norm = _times(result.rounds)
    colours = _colours(result, norm)
    where = on_paper(ax, result.starts)
    cells = _hexagons(where) if K == 3 else None
    if cells is None:
        # Points on paper, on ternary axes too, whose own scatter takes three coordinates.
        Axes.scatter(ax, *where.T, c=colours, s=9, linewidths=0, zorder=1.2)
    else:
        drawn = PolyCollection(list(cells), facecolors=colours, linewidths=0)
        # Blended edges of neighbours would draw a honeycomb.
        drawn.set(zorder=1.2, rasterized=True, antialiased=False)
        ax.add_collection(drawn)
        drawn.set_clip_path(Polygon(on_paper(ax, np.eye(3)), transform=ax.transData))
    for attractor in result.attractors:
        point = len(attractor.policies) == 1
        ax.add_line(_dots(on_paper(ax, attractor.policies), 8 if point else 2))
    if legend:
        handles = _handles(result)
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=2)
    if colorbar and norm is not None:
        ends = [(1 - strength,) * 3 for strength in (PALE, FULL)]
        grey = LinearSegmentedColormap.from_list("shade", ends)
        label = f"rounds until it stays within {result.tolerance:g}"
        ax.figure.colorbar(ScalarMappable(norm, grey), ax=ax, shrink=0.7, label=label)
    return ax


def _times(rounds: np.ndarray) -> LogNorm | None:
    """Scale of the convergence times; None where there is nothing to tell apart."""
    known = np.maximum(rounds[np.isfinite(rounds)], 1)
    if not known.size or known.min() == known.max():
        return None
    return LogNorm(known.min(), known.max())


def _colours(result: "Basins", norm: LogNorm | None) -> np.ndarray:
    """One colour (m, 3) per start."""
    late = np.full(len(result.labels), 0.5)
    if norm is not None:
        known = np.isfinite(result.rounds)
        late[known] = norm(np.maximum(result.rounds[known], 1))
    strength = PALE + (FULL - PALE) * late
    own = np.array([to_rgb(colour(k)) for k in range(len(result.attractors))] + [to_rgb(LOST)])
    base = own[result.labels]  # label -1 is the last
    strength = np.where(result.labels < 0, 1.0, strength)[:, None]
    return strength * base + (1 - strength)


def _hexagons(points: np.ndarray) -> np.ndarray | None:
    """Cells (m, 6, 2) of a triangular lattice around its points (m, 2); None for other points."""
    from scipy.spatial import KDTree

    if len(points) < 6:
        return None
    nearest, at = KDTree(points).query(points, k=3)
    spacing = np.median(nearest[:, 1])
    if np.ptp(nearest[:, 1:]) > 1e-6 * spacing:
        return None
    along = points[int(np.asarray(at)[0, 1])] - points[0]
    angle = np.arctan2(along[1], along[0]) + np.pi / 6 + np.pi / 3 * np.arange(6)
    ring = spacing / np.sqrt(3) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return points[:, None] + ring


def _dots(points: np.ndarray, size: float) -> Line2D:
    rim = {"markeredgecolor": "white", "markeredgewidth": 0.6 if size > 4 else 0}
    style = {"linestyle": "none", "marker": "o", "color": INK, "clip_on": False, "zorder": 5}
    return Line2D(*points.T, markersize=size, **style, **rim)


def _handles(result: "Basins") -> list[Patch]:
    shares = zip(result.attractors, result.fractions, result.fraction_errors, strict=True)
    handles = [
        Patch(color=colour(k), label=f"{_name(attractor)}: {_percent(share, error)}")
        for k, (attractor, share, error) in enumerate(shares)
    ]
    if result.undecided > 0:
        handles.append(Patch(color=LOST, label=f"undecided: {100 * result.undecided:.2g} %"))
    return handles


def _name(attractor: "Attractor") -> str:
    if attractor.kind == "cycle":
        return f"cycle of {attractor.period} rounds"
    return "run to the boundary" if attractor.kind == "boundary" else attractor.kind


def _percent(share: float, error: float) -> str:
    """A share with its standard error, to the error's first digit."""
    digits = max(0, -int(np.floor(np.log10(max(100 * error, 1e-3)))))
    return f"{100 * share:.{digits}f} ± {100 * error:.{digits}f} %"
