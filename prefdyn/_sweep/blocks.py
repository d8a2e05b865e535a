"""A grid cut into blocks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """The points of an outer product, in blocks of one shape (smaller at the far ends).

    Attributes
    ----------
    shape
        Number of values on each axis.
    block
        Number of values of each axis in a block.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def points(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return math.prod(self.blocks)

    def where(self, index: int) -> tuple[slice, ...]:
        """The stretch of each axis that is in a block."""
        place = np.unravel_index(index, self.blocks)
        return tuple(
            slice(int(i) * b, min((int(i) + 1) * b, n))
            for i, b, n in zip(place, self.block, self.shape, strict=True)
        )


def cut(shape: tuple[int, ...], most: int, order: Iterable[int]) -> Grid:
    """Blocks of at most `most` points; the axes that come first in `order` are cut last.

    The blocks of an axis are made equal, or nearly so.
    """
    block = [1] * len(shape)
    for axis in order:
        room = max(1, most // math.prod(block))
        pieces = -(-shape[axis] // min(room, shape[axis]))
        block[axis] = -(-shape[axis] // pieces)
    return Grid(shape, tuple(block))
