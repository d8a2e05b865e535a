"""Optimisers: from a descent direction to a move, with memory carried in the state."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn._errors import InputError

Array = Any


class Optimiser(ABC):
    """How a direction becomes a move; plain gradient descent is no optimiser at all.

    To add one, say how many numbers it remembers per parameter and write `move`.
    """

    memory: ClassVar[int]
    """Numbers remembered per parameter; all start at 0."""

    @abstractmethod
    def move(self, direction: Array, memory: Array, t: int) -> tuple[Array, Array]:
        """Move (..., P) per unit rate and the new memory (..., memory, P), in step t = 0, 1, ..."""


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam with bias correction (arXiv 1412.6980, algorithm 1), as ``torch.optim.Adam``.

    Parameters
    ----------
    beta1, beta2
        Decay rates of the first and second moments, in [0, 1).
    eps
        Added to the root of the second moment.

    Raises
    ------
    InputError
        For a decay rate outside [0, 1) or an eps that is not positive.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    memory: ClassVar[int] = 2

    def __post_init__(self):
        _check(self.eps, beta1=self.beta1, beta2=self.beta2)

    def move(self, direction: Array, memory: Array, t: int) -> tuple[Array, Array]:
        """``m / (sqrt v + eps)`` of the bias-corrected moments."""
        m = self.beta1 * memory[..., 0, :] + (1 - self.beta1) * direction
        v = self.beta2 * memory[..., 1, :] + (1 - self.beta2) * direction**2
        m_hat, v_hat = m / (1 - self.beta1 ** (t + 1)), v / (1 - self.beta2 ** (t + 1))
        return m_hat / (np.sqrt(v_hat) + self.eps), np.stack([m, v], axis=-2)


@dataclass(frozen=True)
class RMSprop(Optimiser):
    """RMSprop (Tieleman and Hinton, 2012), as ``torch.optim.RMSprop`` without momentum.

    Parameters
    ----------
    alpha
        Decay rate of the second moment, in [0, 1).
    eps
        Added to its root.

    Raises
    ------
    InputError
        For a decay rate outside [0, 1) or an eps that is not positive.
    """

    alpha: float = 0.99
    eps: float = 1e-8
    memory: ClassVar[int] = 1

    def __post_init__(self):
        _check(self.eps, alpha=self.alpha)

    def move(self, direction: Array, memory: Array, t: int) -> tuple[Array, Array]:
        """``direction / (sqrt v + eps)``."""
        v = self.alpha * memory[..., 0, :] + (1 - self.alpha) * direction**2
        return direction / (np.sqrt(v) + self.eps), v[..., None, :]


def _check(eps: float, **decays: float) -> None:
    for name, value in decays.items():
        if not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
            raise InputError(f"{name} is {value}: a decay rate lies in [0, 1).")
    if not isinstance(eps, (int, float, np.number)) or not 0 < eps < np.inf:
        raise InputError(f"eps is {eps}: give a small number above 0.")
