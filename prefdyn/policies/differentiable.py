"""Any differentiable function of parameters as a policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.policies._policy import Policy, checked_mask, numbers

Array = Any


@dataclass(frozen=True, eq=False)
class Differentiable(Policy):
    """A policy given as a torch function; all else follows by automatic differentiation.

    Parameters
    ----------
    function
        Torch parameters (P,) to log-probabilities (K,), or (K, T) of tokens.
    theta
        Start parameters (P,).
    complete
        Whether the responses are all there are.
    mask
        (K, T), 1 where a response has a token; all have by default.

    Raises
    ------
    InputError
        If the function does not give finite log-probabilities of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(5, 3))
    >>> def log_probs(theta):
    ...     import torch
    ...     return torch.log_softmax(torch.tanh(torch.tensor(features) @ theta), 0)
    >>> policy = Differentiable(log_probs, np.zeros(3))
    >>> policy.gram().shape
    (5, 5)
    """

    function: Callable[[Any], Any]
    theta: ArrayLike
    complete: bool = True
    mask: Any = None
    responses: Sequence[tuple[int, ...]] | None = None

    def __post_init__(self):
        import torch

        set_ = object.__setattr__
        set_(self, "params", numbers(self.theta, "theta", "parameters (P,)", 1))
        if not callable(self.function):
            raise InputError(
                f"function is a {type(self.function).__name__}: give a function of torch tensors."
            )
        start: Any = self.function(torch.tensor(self.params, requires_grad=True))
        if not isinstance(start, torch.Tensor) or not start.requires_grad:
            raise InputError(
                f"the function gives a {type(start).__name__} that torch cannot differentiate: "
                "compute the log-probabilities from the parameters by torch operations alone."
            )
        shape = tuple(start.shape)
        if len(shape) not in (1, 2) or not torch.isfinite(start).all() or (start > 1e-6).any():
            raise InputError(
                f"the function gives {'values of shape ' + str(shape)} at the start: it must give "
                "finite log-probabilities (K,) or (K, T), none above 0."
            )
        tokens = start.reshape(len(start), -1)
        mask = checked_mask(self.mask, tuple(tokens.shape))
        set_(self, "mask", mask)
        set_(self, "prompts", np.zeros(len(mask), dtype=int))

    def token_log_probs(self, params: Array | None = None) -> Array:
        """The function's value at each member of a batch of parameters, (..., K, T)."""
        import torch

        params = self.start(params)
        is_torch = isinstance(params, torch.Tensor)
        given = params if is_torch else torch.tensor(np.asarray(params, dtype=float))
        flat = given.reshape(-1, given.shape[-1])
        rows = torch.stack([self.function(row).reshape(self.mask.shape) for row in flat])
        tokens = (rows * torch.tensor(self.mask)).reshape(*given.shape[:-1], *self.mask.shape)
        return tokens if is_torch else tokens.detach().numpy()
