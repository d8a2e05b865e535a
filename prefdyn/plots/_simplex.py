"""The simplex on paper: a ternary diagram for three responses, a polygon for more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError
from prefdyn.plots._axes import SOFT, axes
from prefdyn.plots._planes import plane_of


def corners(K: int) -> np.ndarray:
    """Corners (K, 2) of the regular polygon on which policies over K responses are drawn.

    Corner 0 is at the top and the others follow anticlockwise.
    """
    angle = np.pi / 2 + 2 * np.pi * np.arange(K) / K
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def project(policies: Any) -> np.ndarray:
    r"""Policies (..., K) as points (..., 2) of the regular polygon.

    .. math:: x = \sum_k \pi_k c_k

    with corners c.  For K = 3 this is the ternary diagram, where nothing is lost; for larger K it
    is a projection, in which different policies can meet.
    """
    policies = np.asarray(policies, dtype=float)
    return policies @ corners(policies.shape[-1])


def simplex_axes(K: int, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Axes for policies over K responses, each corner labelled.

    Parameters
    ----------
    K
        Number of responses, at least 3.
    names
        One name per response; numbers by default.
    ax
        Axes to prepare: a ternary projection is used as such (K = 3 only), plain axes get the
        polygon of `corners`.  By default a new figure, ternary for K = 3.

    Raises
    ------
    InputError
        For fewer than three responses, a wrong number of names, or ternary axes with K > 3.
    """
    if K < 3:
        raise InputError(
            f"a portrait of {K} responses is a line: draw the orbit over rounds instead."
        )
    labels = [str(k) for k in range(K)] if names is None else list(names)
    if len(labels) != K:
        raise InputError(f"{len(labels)} names for {K} responses: give one each.")
    if ax is None and K == 3:
        import mpltern  # noqa: F401  registers the projection

        ax = axes(None, projection="ternary")
    ax = axes(ax)
    if is_ternary(ax):
        if K != 3:
            raise InputError(f"ternary axes show 3 responses, not {K}: pass plain axes.")
        _ternary(ax, labels)
    else:
        _polygon(ax, labels)
    return ax


def axes_for(K: int, ax: Axes | None) -> Axes:
    """Axes that the caller has prepared, or a new simplex."""
    return simplex_axes(K, ax=ax) if ax is None else ax


def as_policies(given: Any, shape: str) -> np.ndarray:
    """Policies of a shape such as "(T, K)", or an error; rows may be NaN."""
    try:
        policies = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise InputError(
            f"a {type(given).__name__} is no array of policies {shape}: give one, such as the "
            "policies of an orbit."
        ) from None
    if policies.ndim != shape.count(" ") + 1:
        raise InputError(f"policies have shape {policies.shape}: give them as {shape}.")
    return policies


def is_ternary(ax: Axes) -> bool:
    """Whether axes take three barycentric coordinates."""
    return getattr(ax, "name", "") == "ternary"


def on_paper(ax: Any, policies: Any) -> np.ndarray:
    """Where policies (..., K) lie (..., 2) on axes from `simplex_axes` or `plane_axes`."""
    policies = np.asarray(policies, dtype=float)
    plane = plane_of(ax)
    if plane is not None:
        return plane(policies)
    return policies @ ax.corners_data if is_ternary(ax) else project(policies)


def draw(ax: Axes, policies: Any, **line: Any) -> None:
    """Plot policies (n, K) on axes from `simplex_axes` or `plane_axes`; NaN rows interrupt."""
    coordinates = np.asarray(policies, dtype=float) if is_ternary(ax) else on_paper(ax, policies)
    ax.plot(*coordinates.T, **line)


def _ternary(ax: Any, labels: list[str]) -> None:
    for axis, label in zip((ax.taxis, ax.laxis, ax.raxis), labels, strict=True):
        axis.set_ticks([])
        axis.set_label_text(label)
        axis.set_label_rotation_mode("horizontal")
    for spine in ax.spines.values():
        spine.set(color=SOFT, linewidth=0.8)


def _polygon(ax: Axes, labels: list[str]) -> None:
    ring = corners(len(labels))
    ax.fill(*ring.T, facecolor="none", edgecolor=SOFT, linewidth=0.8, zorder=1)
    ax.set_aspect("equal")
    ax.set_axis_off()
    for label, corner in zip(labels, ring, strict=True):
        ax.annotate(
            label, corner, xytext=9 * corner, textcoords="offset points", ha="center", va="center"
        )
    if len(labels) > 3:
        ax.annotate(
            "each policy at the mean of the corners, weighted by its probabilities",
            (0.5, 0),
            xycoords="axes fraction",
            xytext=(0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            color=SOFT,
            fontsize="x-small",
        )
