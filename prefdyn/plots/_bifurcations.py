"""Bifurcation diagrams: branches of fixed points and cycles, and the points where they change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from prefdyn._errors import InputError
from prefdyn.plots._axes import FAINT, INK, axes, colour
from prefdyn.plots._curves import part
from prefdyn.plots._reading import Reading, reading

if TYPE_CHECKING:
    from prefdyn._stability import Branch

MARKERS = {"fold": "s", "flip": "D", "neimark_sacker": "o", "branch_point": "P"}
NAMES = {
    "fold": "fold",
    "flip": "flip",
    "neimark_sacker": "Neimark-Sacker",
    "branch_point": "branch point",
}
FACES = {None: INK, "supercritical": INK, "subcritical": "white"}
DASHED = (0, (4, 2))


def bifurcations(
    branches: "Branch | Sequence[Branch]",
    ax: Axes | None = None,
    *,
    of: Reading = 0,
    legend: bool = True,
    **line: Any,
) -> Axes:
    """Draw branches over their parameter: solid where stable, dashed where not.

    A cycle has a line for each of its rounds.  Bifurcations are marked by their kind, filled where
    supercritical, hollow where subcritical, grey where that is undecided; folds and branch points,
    which are neither, are filled.

    Parameters
    ----------
    branches
        From `prefdyn.continuation`, one or several in the same parameter.
    ax
        Axes to draw on; by default a new figure.
    of
        What of a policy is drawn: a response's number, ``"entropy"``, or a function from policies
        (..., K) to numbers (...,), whose name becomes the label.
    legend
        Whether to explain lines and marks.
    **line
        Changes to the lines' style.

    Raises
    ------
    InputError
        For branches in different parameters, or if `of` is nothing that can be read off a policy.
    """
    every = list(branches) if isinstance(branches, Sequence) else [branches]
    names = sorted({branch.parameter for branch in every})
    if len(names) != 1:
        raise InputError(
            f"branches over {' and '.join(names) or 'no parameter'} share no axis: "
            "draw those of one parameter at a time."
        )
    ax = axes(ax)
    for index, branch in enumerate(every):
        value, label = reading(of, branch.policies.shape[-1])
        style = {"color": colour(index), "linewidth": 1.4, "zorder": 2, **line}
        for heights in value(branch.policies).T:
            curve = np.stack([branch.values, heights], axis=-1)
            for own, dash in ((branch.stable, "-"), (~branch.stable, DASHED)):
                if np.any(own):
                    ax.plot(*part(curve, own).T, linestyle=dash, **style)
        for found in branch.bifurcations:
            _mark(ax, found, value)
        ax.set(xlabel=names[0], ylabel=label)
    if legend:
        ax.legend(handles=_handles(every))
    return ax


def _look(kind: str, criticality: str | None) -> dict[str, Any]:
    face = FACES.get(criticality, FAINT)  # of undecided criticality
    return {
        "linestyle": "none",
        "marker": MARKERS[kind],
        "markersize": 6.5,
        "markeredgecolor": INK,
        "markerfacecolor": face,
    }


def _mark(ax: Axes, found: Any, value: Any) -> None:
    heights = np.atleast_1d(value(found.policies))
    across = np.full(heights.shape, found.value)
    ax.plot(across, heights, zorder=4, **_look(found.kind, found.criticality))


def _handles(branches: Sequence["Branch"]) -> list[Line2D]:
    """One entry per look that is on the axes: of lines, then of marks."""
    handles = []
    kinds: list[tuple[bool, Any, str]] = [(True, "-", "stable"), (False, DASHED, "unstable")]
    for stable, dash, word in kinds:
        if any(np.any(np.asarray(branch.stable) == stable) for branch in branches):
            handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=dash, label=word))
    if len(branches) > 1:
        for index, branch in enumerate(branches):
            word = "fixed points" if branch.period == 1 else f"cycles of {branch.period} rounds"
            handles.append(Line2D([], [], color=colour(index), label=word))
    looks = dict.fromkeys(
        (found.kind, found.criticality) for branch in branches for found in branch.bifurcations
    )
    for kind, criticality in looks:
        words = ", ".join(filter(None, (NAMES[kind], criticality)))
        handles.append(Line2D([], [], label=words, **_look(kind, criticality)))
    return handles
