"""Planes on which policies over many responses are seen, and axes that say which plane it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import nonnegative
from prefdyn.plots._axes import axes

SETTLED = 1e-12
"""An orbit that spreads over less than this has no principal components."""


@dataclass(frozen=True, eq=False)
class Plane:
    r"""A projection of policies (..., K) onto two coordinates.

    .. math:: x = (\pi - \text{origin})\,\text{directions}

    Attributes
    ----------
    origin
        The policy (K,) that is drawn at (0, 0).
    directions
        Shape (K, 2).
    labels
        What the two coordinates are, in words, for the axes.
    """

    origin: np.ndarray
    directions: np.ndarray
    labels: tuple[str, str]

    def __call__(self, policies: Any) -> np.ndarray:
        """Coordinates (..., 2) of policies (..., K)."""
        return (np.asarray(policies, dtype=float) - self.origin) @ self.directions


def principal_plane(policies: Any) -> Plane:
    """The plane in which policies (..., K) vary most, with the share of the variance it shows.

    Each direction points to where its largest entry, the first of several, is positive, so that the
    same orbit always gives the same picture.

    Parameters
    ----------
    policies
        Usually what a run keeps visiting, its transient cut off.

    Raises
    ------
    InputError
        For what is no array of probabilities.
    InsufficientData
        If the policies do not differ.
    """
    policies = nonnegative(policies, "the array of policies")
    points = policies.reshape(-1, policies.shape[-1])
    origin = points.mean(axis=0)
    _, spread, directions = np.linalg.svd(points - origin, full_matrices=False)
    if np.ptp(points, axis=0).max() < SETTLED:
        raise InsufficientData(
            "these policies are all the same, so they have no principal components: "
            "give an orbit that moves, or look at two responses with response_plane."
        )
    share = spread**2 / (spread**2).sum()
    two = directions[:2].T
    # Entries that tie but for rounding count as equal, and the first of them decides.
    among_largest = np.abs(two) > (1 - 1e-6) * np.abs(two).max(axis=0)
    largest = np.take_along_axis(two, among_largest.argmax(axis=0)[None], axis=0)
    labels = [
        f"{rank} principal component ({100 * part:.3g} % of variance)"
        for rank, part in zip(("first", "second"), share, strict=False)
    ]
    return Plane(origin, two * np.sign(largest), (labels[0], labels[1]))


def response_plane(
    K: int, first: int = 0, second: int = 1, names: Sequence[str] | None = None
) -> Plane:
    """The probabilities of two of K responses.

    Raises
    ------
    InputError
        For a response that does not exist, the same one twice, or a wrong number of names.
    """
    if names is not None and len(names) != K:
        raise InputError(f"{len(names)} names for {K} responses: give one each.")
    for response in (first, second):
        if not 0 <= response < K:
            raise InputError(f"there is no response {response}: choose from 0 to {K - 1}.")
    if first == second:
        raise InputError(f"both axes show response {first}: choose two different ones.")
    labels = [
        f"probability of {f'response {k}' if names is None else names[k]}" for k in (first, second)
    ]
    return Plane(np.zeros(K), np.eye(K)[:, [first, second]], (labels[0], labels[1]))


def plane_axes(plane: Plane, ax: Axes | None = None) -> Axes:
    """Axes on which policies are seen in a plane; its labels say in which.

    `path`, `cycle`, `fixed_point`, `fixed_points`, `periodic_orbits`, `basins`, `vector_field` and
    `portrait` draw on such axes as they do on a simplex.

    Parameters
    ----------
    plane
        From `principal_plane` or `response_plane`, or one of your own.
    ax
        Plain axes to prepare; by default a new figure.
    """
    ax = axes(ax)
    ax.set(xlabel=plane.labels[0], ylabel=plane.labels[1], aspect="equal", adjustable="datalim")
    _PLANES[ax] = plane
    return ax


def plane_of(ax: Axes) -> Plane | None:
    """The plane that axes were prepared for."""
    return _PLANES.get(ax)


_PLANES: WeakKeyDictionary[Axes, Plane] = WeakKeyDictionary()
"""Axes from `plane_axes`: what is drawn on them later is projected alike."""
