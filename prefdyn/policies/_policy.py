"""The contract of a policy: how log-probabilities move when parameters move."""

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from prefdyn._errors import InputError

Array = Any


class Policy(ABC):
    """Candidate responses, and their log-probabilities as a function of flat parameters.

    Responses are numbered 0 .. K-1 over all prompts, prompt by prompt; T is the length in tokens of
    the longest.  Methods take parameters (..., P) as numpy arrays or torch tensors and return the
    same kind; without parameters they describe the start, `params`.

    To add one, set `params` and `mask` and write `token_log_probs` for numpy arrays and torch
    tensors; gradients, Gram matrix and direction follow by automatic differentiation, and a closed
    form may replace any of them.  A function of torch tensors alone is `Differentiable`.

    Attributes
    ----------
    params : numpy.ndarray
        Start parameters (P,); with a batch (..., P).
    mask : numpy.ndarray
        (K, T), 1 where a response has a token and 0 where it is padded.
    prompts : numpy.ndarray
        (K,) number of the prompt that each response answers.
    responses : tuple of tuples of int, or None
        The tokens of each response, where there are tokens.
    complete : bool
        Whether the responses to each prompt are all there are, so that their probabilities sum
        to 1.
    multipliers : float or numpy.ndarray
        Factors (..., P) on the step of each parameter.
    has_coordinates : bool
        Whether the parameters are a model's own, coordinate by coordinate, as Adam needs them.
    backends : tuple of str
        Kinds of arrays that it takes; with "torch" a Jacobian is by automatic differentiation.
    """

    params: np.ndarray
    mask: np.ndarray
    prompts: Any
    responses: Any = None
    complete: bool = True
    multipliers: Any = 1.0
    has_coordinates: bool = True
    backends: tuple[str, ...] = ("numpy", "torch")

    @abstractmethod
    def token_log_probs(self, params: Array | None = None) -> Array:
        """Log-probability of each token, (..., K, T); 0 where `mask` is 0."""

    @property
    def K(self) -> int:
        """Number of responses, over all prompts."""
        return len(self.mask)

    @property
    def lengths(self) -> np.ndarray:
        """Lengths (K,) of the responses in tokens."""
        return self.mask.sum(-1)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common batch shape of start parameters and multipliers."""
        return np.broadcast_shapes(self.params.shape[:-1], np.shape(self.multipliers)[:-1])

    @property
    def neutral(self) -> np.ndarray:
        """Directions (P, m) of the parameters that no log-probability depends on, anywhere."""
        return np.zeros((self.params.shape[-1], 0))

    def log_probs(self, params: Array | None = None) -> Array:
        """Summed log-probability of each response, (..., K), in nats."""
        return self.token_log_probs(params).sum(-1)

    def gradients(self, params: Array | None = None) -> np.ndarray:
        """``d log pi_i / d params``, (..., K, P), by automatic differentiation."""
        return self.token_gradients(params).sum(-2)

    def token_gradients(self, params: Array | None = None) -> np.ndarray:
        """``d log pi_it / d params``, (..., K, T, P), by automatic differentiation."""
        import torch

        x = torch.tensor(self.start(params), requires_grad=True)
        tokens = self.token_log_probs(x)
        size = self.mask.size
        flat = tokens.reshape(*tokens.shape[:-2], size)
        rows = [
            torch.autograd.grad(flat[..., k].sum(), x, retain_graph=True)[0] for k in range(size)
        ]
        rows = torch.stack(rows, dim=-2).numpy()
        return rows.reshape(*rows.shape[:-2], *self.mask.shape, rows.shape[-1])

    def token_gram(self, params: Array | None = None) -> np.ndarray:
        """``<d log pi_it, d log pi_js>`` with the step multipliers, (..., K, T, K, T)."""
        rows = self.token_gradients(params)
        flat = rows.reshape(*rows.shape[:-3], self.mask.size, rows.shape[-1])
        scaled = flat * np.asarray(self.multipliers)[..., None, :] if self._scaled else flat
        gram = scaled @ np.swapaxes(flat, -1, -2)
        return gram.reshape(*gram.shape[:-2], *self.mask.shape, *self.mask.shape)

    def gram(self, params: Array | None = None) -> np.ndarray:
        """``<d log pi_i, d log pi_j>`` with the step multipliers, (..., K, K); claim KER-1."""
        return self.token_gram(params).sum((-1, -3))

    def direction(self, params: Array, pushes: Array) -> Array:
        """The parameters' move per unit step under pushes on the log-probabilities.

        ``sum_it pushes_it multipliers * d log pi_it / d params``, (..., P), of pushes (..., K, T).
        With ``pushes = -dL/dlog pi`` it is the step of gradient descent on L.
        """
        import torch

        is_torch = isinstance(params, torch.Tensor)
        leaf = params if is_torch else torch.tensor(np.asarray(params, dtype=float))
        with torch.enable_grad():
            leaf = leaf if leaf.requires_grad else leaf.requires_grad_()
            tokens = self.token_log_probs(leaf)
            weighted = (tokens * torch.as_tensor(pushes)).sum()
            (gradient,) = torch.autograd.grad(weighted, leaf, create_graph=is_torch)
        move = gradient * torch.as_tensor(self.multipliers)
        return move if is_torch else move.numpy()

    def rates(self, params: Array | None, pushes: Array) -> np.ndarray:
        """First-order change of every token's log-probability per unit step, (..., K, T).

        ``sum_js K_(it)(js) pushes_js`` (claim KER-1), as the derivative along `direction`, without
        the Gram matrix (claim KER-4).
        """
        import torch

        params = np.asarray(self.start(params), dtype=float)
        move = np.broadcast_to(self.direction(params, np.asarray(pushes)), params.shape)
        # Two reverse passes: forward mode's own machinery is not needed for one direction.
        change: Any = torch.autograd.functional.jvp(
            self.token_log_probs, torch.tensor(params), torch.tensor(move)
        )[1]
        return change.numpy()

    def log_sum_p2(self, params: Array | None = None) -> Array | None:
        """``log sum_v pi(v)^2`` over all tokens v at each token, (..., K, T), for `WPO`.

        None where the policy does not know the tokens it did not choose.
        """
        return None

    def params_of(self, log_probs: Array) -> np.ndarray:
        """Parameters (..., P) at which the policy has these log-probabilities (..., K).

        Raises
        ------
        InputError
            For a policy that cannot take every value.
        """
        raise InputError(
            f"{type(self).__name__} cannot start from given probabilities: give it the start as "
            "parameters, policy.at(params), and run without start=."
        )

    def hidden_states(self, response: int, params: Array | None = None) -> np.ndarray:
        """States (n, d) that predict the n tokens of a response, first token first.

        Raises
        ------
        InputError
            For a policy without hidden states.
        """
        raise InputError(f"{type(self).__name__} has no hidden states: use UnconstrainedFeatures.")

    def at(self, params: Array) -> Self:
        """The same policy with other start parameters (..., P).

        ``dataclasses.replace`` makes a policy from its fields and so goes back to the first start:
        replace first, then move.

        Raises
        ------
        InputError
            For a wrong number of parameters, or one that is not finite.
        """
        params = finite(np.array(self.start(params), dtype=float), "params")
        clone = copy.copy(self)
        object.__setattr__(clone, "params", _read_only(params))
        return clone

    def start(self, params: Array | None) -> Array:
        """The parameters given, checked, or those of the start."""
        if params is None:
            return self.params
        if not hasattr(params, "detach"):
            try:
                params = np.asarray(params, dtype=float)
            except (TypeError, ValueError):
                raise InputError("params is not an array of numbers: give (..., P).") from None
        if params.shape[-1:] != self.params.shape[-1:]:
            raise InputError(
                f"params has shape {tuple(params.shape)}: {type(self).__name__} has "
                f"{self.params.shape[-1]} parameters, in the last axis."
            )
        return params

    @property
    def _scaled(self) -> bool:
        return np.ndim(self.multipliers) > 0


def finite(array: np.ndarray, what: str) -> np.ndarray:
    """The array, if every entry is finite."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = [int(i) for i in np.argwhere(bad)[0]]
        raise InputError(f"{what}{where} is {array[tuple(where)]}: give finite numbers.")
    return array


def numbers(values: Any, what: str, axes: str, *ndims: int) -> np.ndarray:
    """A read-only float64 array of one of these numbers of axes, all finite, none empty."""
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} is not an array of numbers: give {axes}.") from None
    if array.ndim not in ndims or array.size == 0:
        raise InputError(f"{what} has shape {array.shape}: give {axes}.")
    return _read_only(finite(array, what))


def checked_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A mask (K, T) of zeros and ones; all ones where none is given."""
    if mask is None:
        return np.ones(shape)
    try:
        array = np.array(mask, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"mask is not an array of numbers: give 0 or 1, shape {shape}.") from None
    if array.shape != shape or not np.all((array == 0) | (array == 1)):
        raise InputError(
            f"mask has shape {array.shape}: give 0 or 1 for each of the log-probabilities, {shape}."
        )
    return array


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
