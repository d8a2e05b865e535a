"""Sums over the tokens of a response, with prompt and padding masked out."""

from typing import Any, NamedTuple

Array = Any


class Tokens(NamedTuple):
    """Token log-probabilities (..., T) with 0 where masked, the mask, and the number of tokens."""

    values: Array
    mask: Array
    count: Array

    def mean(self, values: Array, xp: Any) -> Array:
        """Mean of `values` (..., T) over the tokens of the response."""
        return self.sum(values, xp) / self.count

    def sum(self, values: Array, xp: Any) -> Array:
        """Sum of `values` (..., T) over the tokens of the response."""
        return xp.where(self.mask, values, 0.0).sum(-1)

    def positions(self) -> Array:
        """1 for the first token of the response, 2 for the second, ...; (..., T)."""
        return (1 * self.mask).cumsum(-1)


def tokens(values: Array, mask: Array | None, xp: Any) -> Tokens:
    """Masked tokens; what lies under the mask may be anything, even NaN."""
    kept: Any = xp.everywhere(values) if mask is None else mask != 0
    return Tokens(xp.where(kept, values, 0.0), kept, kept.sum(-1))
