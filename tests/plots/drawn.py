"""What the artists on axes hold."""

from typing import Any

import numpy as np


def vertices(line: Any) -> np.ndarray:
    """Points (n, 2) of a line."""
    return np.asarray(line.get_xydata(), dtype=float)


def finite(line: Any) -> np.ndarray:
    """Points of a line without its interruptions."""
    points = vertices(line)
    return points[np.isfinite(points).all(axis=-1)]


def labels(ax: Any) -> list[str]:
    """Words of the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()]
