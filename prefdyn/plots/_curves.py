"""Curves whose parts look different."""

import numpy as np


def part(points: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The part of a curve (n, 2) near its own points, half-way to their neighbours.

    Parameters
    ----------
    points
        Vertices in order.
    own
        Which of them belong to the part, (n,).

    Returns
    -------
    ndarray, shape (3 n, 2)
        Vertices with NaN between stretches.
    """
    middles = (points[:-1] + points[1:]) / 2
    before = np.concatenate([points[:1], middles])
    after = np.concatenate([middles, points[-1:]])
    vertices = np.stack([before, points, after], axis=1)
    vertices[~np.asarray(own, dtype=bool)] = np.nan
    return vertices.reshape(-1, 2)
