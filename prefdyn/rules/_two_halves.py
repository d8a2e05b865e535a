"""What rules with a memory of one round have in common."""

from typing import Any

import numpy as np

from prefdyn.rules._rule import Jacobian
from prefdyn.rules._wrapper import Wrapper

Array = Any


class TwoHalves(Wrapper):
    """A wrapper that holds two states of the wrapped rule, the present and a remembered one.

    A run starts at rest, with both halves equal.
    """

    @property
    def neutral(self) -> np.ndarray:
        """The wrapped rule's directions, in either half."""
        return np.kron(np.eye(2), self.rule.neutral)

    @property
    def own_start(self) -> Array | None:
        """At rest at the wrapped rule's own start, if it has one."""
        own = self.rule.own_start
        return None if own is None else self._at_rest(own)

    def init_log(self, log_policy: Array) -> Array:
        """At rest: both halves are the start."""
        return self._at_rest(self.rule.init_log(log_policy))

    def log_policy(self, state: Array) -> Array:
        """That of the present half."""
        return self.rule.log_policy(halves(state)[0])

    def _at_rest(self, inner: Array) -> Array:
        inner = self.spread(inner)
        return joined(inner, inner)


def halves(state: Array) -> tuple[Array, Array]:
    """The present and the remembered half of a state."""
    half = state.shape[-1] // 2
    return state[..., :half], state[..., half:]


def joined(present: Array, remembered: Array) -> Array:
    """The state of two halves."""
    if isinstance(present, np.ndarray):
        return np.concatenate([present, remembered], axis=-1)
    import torch

    return torch.cat([present, remembered], dim=-1)


def block_jacobian(blocks: list[list[Array]], by: str) -> Jacobian:
    """A Jacobian of four blocks (..., n, n), which broadcast."""
    flat = np.broadcast_arrays(*(block for row in blocks for block in row))
    rows = [np.concatenate(flat[:2], axis=-1), np.concatenate(flat[2:], axis=-1)]
    return Jacobian(np.concatenate(rows, axis=-2), by)
