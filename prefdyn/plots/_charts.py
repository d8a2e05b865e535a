"""Charts over two parameters: boundaries as curves, measured quantities as cells."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from prefdyn._errors import InputError
from prefdyn.plots._axes import axes
from prefdyn.plots._bifurcations import NAMES
from prefdyn.plots._curves import part
from prefdyn.plots.house import BLACK, BLUE, GREY, PALETTE, SEQUENTIAL, VERMILION

if TYPE_CHECKING:
    import xarray

    from prefdyn._stability import Boundary, ModeLocking

COLOURS = {"supercritical": BLUE, "subcritical": VERMILION}
UNDECIDED = GREY
DARK, MISSING = "#4D4D4D", "#E8E8E8"


def boundary(
    result: "Boundary", ax: Axes | None = None, *, legend: bool = True, **line: Any
) -> Axes:
    """Draw a curve of bifurcations over two parameters, coloured by criticality.

    Points of codimension two are marked, as far as the computed points show them: a cross where
    the criticality changes, half-way between two points; a diamond with its order where the
    multipliers of a Neimark-Sacker curve pass a third or a fourth root of unity (strong resonance).

    Parameters
    ----------
    result
        From `prefdyn.boundary`.
    ax
        Axes to draw on, such as those of a `chart`; by default a new figure.
    legend
        Whether to explain colours and marks.
    **line
        Changes to the line's style.
    """
    ax = axes(ax)
    values = np.asarray(result.values, dtype=float)
    words = np.asarray(result.criticality, dtype=str)
    name = NAMES.get(result.kind, result.kind)
    rim = [withStroke(linewidth=4, foreground="white")]  # seen on any colour of a chart
    style = {"linewidth": 1.8, "zorder": 3, "solid_capstyle": "butt", "path_effects": rim, **line}
    for word in dict.fromkeys(words):
        label = f"{name}, {word}" if word not in ("", "None") else name
        own = {"color": COLOURS.get(word, UNDECIDED), "label": label, **style}
        ax.plot(*part(values, words == word).T, **own)
    turning = np.flatnonzero(words[1:] != words[:-1])
    if len(turning):
        where = (values[turning] + values[turning + 1]) / 2
        cross = {"marker": "X", "linestyle": "none", "markersize": 8, "markeredgecolor": "white"}
        ax.plot(*where.T, **cross, color=BLACK, zorder=5, label="criticality changes")
    if result.kind == "neimark_sacker":
        _mark_resonances(ax, values, np.asarray(result.angles, dtype=float), rim)
    ax.set(xlabel=result.parameters[0], ylabel=result.parameters[1])
    if legend:
        ax.legend(frameon=True)
    return ax


def _mark_resonances(ax: Axes, values: np.ndarray, angles: np.ndarray, rim: list) -> None:
    """Diamonds where the angle passes 2 pi/3 or 2 pi/4, interpolated between two points."""
    label = "strong resonance"
    for order in (3, 4):
        excess = angles - 2 * np.pi / order
        for k in np.flatnonzero(excess[1:] * excess[:-1] < 0):
            share = excess[k] / (excess[k] - excess[k + 1])
            where = values[k] + share * (values[k + 1] - values[k])
            mark = {"marker": "D", "markeredgecolor": "white", "linestyle": "none", "zorder": 5}
            ax.plot(*where[:, None], **mark, color=BLACK, label=label)
            ax.annotate(
                f"1:{order}",
                tuple(where),
                xytext=(6, 4),
                textcoords="offset points",
                path_effects=rim,
                zorder=5,
            )
            label = "_"


def chart(
    data: "xarray.Dataset",
    variable: str,
    ax: Axes | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    colorbar: bool = True,
    **mesh: Any,
) -> Axes:
    """Draw a variable of a sweep over two of its axes, one cell of colour per recipe.

    Cells are centred on their values, and nothing is interpolated.  Axes whose values are evenly
    spaced in their logarithm are logarithmic.

    Parameters
    ----------
    data
        From `prefdyn.sweep`; select or average over other axes first, e.g. ``data.isel(start=0)``.
    variable
        Name of a numeric variable with exactly two dimensions.
    ax
        Axes to draw on; by default a new figure.
    x, y
        Names of the dimensions that run across and up; by default the first and the second.
    colorbar
        Whether to explain the colours beside the axes.
    **mesh
        Changes to the style of matplotlib's ``pcolormesh``, such as ``norm``.

    Raises
    ------
    InputError
        For an unknown variable or dimension, or a variable that has not two dimensions.
    """
    if variable not in data:
        known = ", ".join(map(str, data.data_vars))
        raise InputError(f"the sweep has no variable {variable!r}: choose one of {known}.")
    cells = data[variable]
    first, second = _dimensions(cells, x, y)
    cells = cells.transpose(second, first)
    ax = axes(ax)
    grids = _grid(ax, {name: data[name].values for name in (first, second)})
    style = {"cmap": SEQUENTIAL, "shading": "flat", "rasterized": True, "zorder": 0.5, **mesh}
    drawn = ax.pcolormesh(*grids, np.asarray(cells.values, dtype=float), **style)
    ax.set_facecolor(MISSING)  # NaN: refused, or not there
    ax.set(xlabel=first, ylabel=second)
    if colorbar:
        label = cells.attrs.get("long_name", variable.replace("_", " "))
        units = cells.attrs.get("units", "")
        ax.figure.colorbar(drawn, ax=ax, label=f"{label} ({units})" if units else label)
    return ax


def tongues(result: "ModeLocking", ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw where over two parameters the rotation number is locked (Arnold tongues).

    One colour for each of the seven rationals that hold on most cells, dark grey for the others,
    light grey where runs have no rotation number; nothing where it is not locked.

    Parameters
    ----------
    result
        From `prefdyn.mode_locking`, of two parameters.
    ax
        Axes to draw on; by default a new figure.
    legend
        Whether to explain the colours.

    Raises
    ------
    InputError
        For mode locking over one parameter.
    """
    if len(result.parameters) != 2:
        raise InputError(
            f"tongues lie over two parameters, but only {result.parameters[0]} was varied: "
            "draw its staircase with the rotation function instead."
        )
    ax = axes(ax)
    found, sizes = np.unique(
        np.stack([result.turns, result.periods], axis=-1)[result.locked], axis=0, return_counts=True
    )
    largest = [tuple(map(int, found[k])) for k in np.argsort(-sizes, kind="stable")[: len(PALETTE)]]
    regions = [
        (f"{turns}/{period}", result.tongue(turns, period), PALETTE[k])
        for k, (turns, period) in enumerate(largest)
    ]
    named = np.any([cells for _, cells, _ in regions], axis=0) if regions else result.locked
    regions += [
        ("other rationals", result.locked & ~named, DARK),
        ("no rotation number", np.isnan(result.rotation), MISSING),
    ]
    grids = _grid(ax, dict(zip(result.parameters, result.values, strict=True)))
    handles = []
    for label, cells, colour in regions:
        if cells.any():
            shown = np.where(cells.T, 0.0, np.nan)
            ax.pcolormesh(*grids, shown, cmap=ListedColormap([colour]), rasterized=True)
            handles.append(Patch(facecolor=colour, label=label))
    ax.set(xlabel=result.parameters[0], ylabel=result.parameters[1])
    if legend and handles:
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def _dimensions(cells: Any, x: str | None, y: str | None) -> tuple[str, str]:
    names = [str(name) for name in cells.dims]
    if len(names) != 2:
        raise InputError(
            f"{cells.name!r} runs over {', '.join(names) or 'nothing'}, and a chart has two axes: "
            "select or average over the others first, e.g. data.isel(name=0)."
        )
    for name in (x, y):
        if name is not None and name not in names:
            raise InputError(f"{cells.name!r} has no axis {name!r}: it has {' and '.join(names)}.")
    if x is not None and x == y:
        raise InputError(f"x and y are both {x!r}: name two different axes, or one of them.")
    if x is None:
        x = names[0] if y != names[0] else names[1]
    return x, names[1 - names.index(x)]


def _grid(ax: Axes, values: dict[str, Any]) -> list[np.ndarray]:
    """Edges of the cells across and up; scales of the axes are set to match."""
    grids = []
    for (name, centres), scale in zip(values.items(), (ax.set_xscale, ax.set_yscale), strict=True):
        edges, logarithmic = _edges(np.asarray(centres, dtype=float), name)
        scale("log" if logarithmic else "linear")
        grids.append(edges)
    return grids


def _edges(values: np.ndarray, name: str) -> tuple[np.ndarray, bool]:
    """Edges (n + 1,) of cells around ascending values, and whether they are on a log scale."""
    if values.ndim != 1 or len(values) < 2 or not np.all(np.diff(values) > 0):
        raise InputError(f"the values of {name!r} must be at least two numbers in ascending order.")
    logarithmic = bool(values[0] > 0) and _even(np.log(values)) and not _even(values)
    at = np.log(values) if logarithmic else values
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return (np.exp(edges) if logarithmic else edges), logarithmic


def _even(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool(np.allclose(steps, steps.mean(), rtol=1e-6, atol=0))
