"""Charts over two parameters: what a sweep has recorded, and Arnold tongues, as cells of colour."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from prefdyn._errors import InputError
from prefdyn.plots._axes import axes, colour
from prefdyn.plots.house import PALETTE, SEQUENTIAL

if TYPE_CHECKING:
    import xarray

    from prefdyn._stability import ModeLocking

DARK, MISSING = "#4D4D4D", "#E8E8E8"


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

    Cells are centred on their values, and nothing is interpolated; light grey cells hold no value.
    Axes whose values are evenly spaced in their logarithm are logarithmic.  A variable of words has
    a colour for each word that occurs.

    Parameters
    ----------
    data
        From `prefdyn.sweep`; select or average over other axes first, e.g. ``data.isel(start=0)``.
    variable
        Name of a variable with exactly two dimensions.
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
    first, second = _dimensions(data[variable], x, y)
    cells = data[variable].transpose(second, first)
    ax = axes(ax)
    grids = _grid(ax, {name: data[name].values for name in (first, second)})
    ax.set_facecolor(MISSING)
    ax.set(xlabel=_label(data[first], first), ylabel=_label(data[second], second))
    values = np.asarray(cells.values, dtype=float)
    if "flag_meanings" in cells.attrs:
        _draw_words(ax, grids, values, cells.attrs, colorbar, mesh)
        return ax
    drawn = ax.pcolormesh(*grids, values, **{"cmap": SEQUENTIAL, **CELLS, **mesh})
    if colorbar:
        words = str(cells.attrs.get("long_name", variable.replace("_", " ")))
        ax.figure.colorbar(drawn, ax=ax, label=_label(cells, words))
    return ax


CELLS: dict[str, Any] = {"shading": "flat", "rasterized": True, "zorder": 0.5}


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
    locked = np.asarray(result.locked)
    rationals = np.stack([result.turns, result.periods], axis=-1)[locked]
    found, sizes = np.unique(rationals, axis=0, return_counts=True)
    largest = found[np.argsort(-sizes, kind="stable")[: len(PALETTE)]]
    regions = [
        (f"{turns}/{period}", result.tongue(turns, period), PALETTE[k])
        for k, (turns, period) in enumerate(largest)
    ]
    named = np.any([cells for _, cells, _ in regions], axis=0)
    regions += [
        ("other rationals", locked & ~named, DARK),
        ("no rotation number", np.isnan(result.rotation) & ~locked, MISSING),
    ]
    grids = _grid(ax, dict(zip(result.parameters, result.values, strict=True)))
    handles = []
    for label, cells, paint in regions:
        if np.any(cells):
            shown = np.where(cells.T, 0.0, np.nan)
            ax.pcolormesh(*grids, shown, cmap=ListedColormap([paint]), **CELLS)
            handles.append(Patch(facecolor=paint, label=label))
    ax.set(xlabel=result.parameters[0], ylabel=result.parameters[1])
    if legend and handles:
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def _draw_words(
    ax: Axes,
    grids: list[np.ndarray],
    values: np.ndarray,
    attributes: Mapping[str, Any],
    legend: bool,
    mesh: dict[str, Any],
) -> None:
    """Cells that hold the number of a word, -1 for none."""
    words = dict(
        zip(attributes["flag_values"], str(attributes["flag_meanings"]).split(), strict=True)
    )
    present = [(number, word) for number, word in words.items() if np.any(values == number)]
    index = np.full(values.shape, np.nan)
    for k, (number, _) in enumerate(present):
        index[values == number] = k
    paints = [colour(k) for k in range(len(present))]
    norm = BoundaryNorm(np.arange(len(present) + 1) - 0.5, max(len(present), 1))
    ax.pcolormesh(*grids, index, **{"cmap": ListedColormap(paints), "norm": norm, **CELLS, **mesh})
    if legend:
        handles = [
            Patch(facecolor=paint, label=word.replace("_", " "))
            for paint, (_, word) in zip(paints, present, strict=True)
        ]
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))


def _label(array: Any, words: str) -> str:
    units = array.attrs.get("units", "1")
    return words if units == "1" else f"{words} ({units})"


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
    """Edges of the cells across and up; scales and ticks of the axes are set to match."""
    grids = []
    sides = ((ax.set_xscale, ax.set_xticks), (ax.set_yscale, ax.set_yticks))
    for (name, given), (scale, ticks) in zip(values.items(), sides, strict=True):
        centres = np.asarray(given)
        if centres.dtype.kind in "iuf":
            edges, logarithmic = _edges(centres.astype(float), name)
            scale("log" if logarithmic else "linear")
        else:
            edges = np.arange(len(centres) + 1) - 0.5
            ticks(np.arange(len(centres)), labels=[str(word) for word in centres])
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
