"""A start and a Gram matrix in place of a model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.policies._policy import Policy, checked_mask, numbers

Array = Any


@dataclass(frozen=True, eq=False)
class KernelPolicy(Policy):
    r"""Log-probabilities as state, moved by ``d log pi_i = sum_j K_ij push_j`` (claim KER-1).

    It stands for any differentiable policy while its Gram matrix keeps: measure log-probabilities
    and Gram of candidate responses once, and simulate training on them.  Probabilities of a
    candidate subset are not renormalised; `excess` says whether they have outgrown 1.

    Parameters
    ----------
    log_probs0
        Start log-probabilities (K,), or of tokens (K, T).
    gram0
        Gram matrix (K, K) of the gradients of the summed log-probabilities, or (K, T, K, T) of the
        tokens'; symmetric and positive semidefinite; what it holds for padding is ignored.  Or a
        function of the summed log-probabilities (K,) that returns one.
    mask
        (K, T), 1 where a response has a token; all have by default.
    lengths
        Lengths (K,) in tokens where the log-probabilities are sums; 1 by default.
    prompts
        Number of the prompt of each response; 0 by default.

    Raises
    ------
    InputError
        For shapes that do not fit, NaN, a positive log-probability, or a matrix that is not
        symmetric and positive semidefinite.
    """

    log_probs0: ArrayLike
    gram0: ArrayLike | Callable[[np.ndarray], ArrayLike]
    mask: Any = field(default=None, kw_only=True)
    lengths: Any = field(default=None, kw_only=True)
    prompts: Any = field(default=None, kw_only=True)
    complete = False
    has_coordinates = False

    def __post_init__(self):
        tokens = numbers(self.log_probs0, "log_probs", "log-probabilities (K,) or (K, T)", 1, 2)
        if np.any(tokens > 1e-6):
            where = [int(i) for i in np.argwhere(tokens > 1e-6)[0]]
            raise InputError(
                f"log_probs{where} is {tokens[tuple(where)]:g}: a log-probability is at most 0."
            )
        tokens = tokens.reshape(len(tokens), -1)
        set_ = object.__setattr__
        mask = checked_mask(self.mask, tokens.shape)
        set_(self, "mask", mask)
        K = len(tokens)
        for name, default in (("lengths", mask.sum(-1)), ("prompts", np.zeros(K, int))):
            value = default if getattr(self, name) is None else np.asarray(getattr(self, name))
            least, kinds = (1, "iuf") if name == "lengths" else (0, "iu")
            if value.shape != (K,) or value.dtype.kind not in kinds or np.any(value < least):
                raise InputError(
                    f"{name} is {value}: give one number of at least {least} per response, {K} in "
                    "all."
                )
            set_(self, name, value)
        set_(self, "params", (tokens * mask).reshape(-1))
        set_(self, "_matrix", None if callable(self.gram0) else self._checked(self.gram0))

    @classmethod
    def from_gradients(
        cls,
        log_probs: ArrayLike,
        gradients: ArrayLike,
        *,
        preconditioner: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        prompts: ArrayLike | None = None,
    ) -> "LinearisedPolicy":
        """The policy linearised in its parameters, so that any optimiser can run on it.

        Parameters
        ----------
        log_probs
            Start log-probabilities (K,), or of tokens (K, T).
        gradients
            Their gradients (K, P), or (K, T, P).
        preconditioner
            M of a fixed preconditioner: (P,) for a diagonal one, (P, P) for a full one; the kernel
            is then ``<g_i, M g_j>``.
        mask, lengths, prompts
            As of the class.
        """
        gradients = numbers(gradients, "gradients", "gradients (K, P) or (K, T, P)", 2, 3)
        log_probs = numbers(log_probs, "log_probs", "log-probabilities (K,) or (K, T)", 1, 2)
        shape = log_probs.shape
        if gradients.shape[:-1] != shape:
            raise InputError(
                f"gradients has shape {gradients.shape}: give one row for each of the log_probs, "
                f"{shape}."
            )
        rows = gradients.reshape(-1, gradients.shape[-1])
        if mask is not None:
            rows = rows * checked_mask(mask, (shape[0], len(rows) // shape[0])).reshape(-1, 1)
        scaled = _precondition(rows, preconditioner)
        own = (shape[0], rows.shape[0] // shape[0])
        gram = (rows @ scaled.T).reshape(own + own) if len(shape) == 2 else rows @ scaled.T
        full = preconditioner is not None and np.ndim(preconditioner) == 2
        return LinearisedPolicy(
            log_probs,
            gram,
            mask=mask,
            lengths=lengths,
            prompts=prompts,
            rows=rows,
            scaled=scaled,
            multipliers=1.0 if full or preconditioner is None else np.asarray(preconditioner),
            has_coordinates=not full,
        )

    @property
    def backends(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone for a Gram matrix that a function gives: autodiff does not see through it."""
        return ("numpy",) if self._constant is None else ("numpy", "torch")

    @property
    def neutral(self) -> np.ndarray:
        """Null space of a constant Gram matrix: no step leads there."""
        if self._constant is None:
            return super().neutral
        values, vectors = np.linalg.eigh(self._constant)
        return vectors[:, values <= 1e-12 * values.max(initial=0.0)]

    def token_log_probs(self, params: Array | None = None) -> Array:
        """The state itself, (..., K, T)."""
        x = self.start(params)
        return x.reshape(*x.shape[:-1], *self.mask.shape) * self._like(self.mask, x)

    def direction(self, params: Array, pushes: Array) -> Array:
        """``sum_j K_ij push_j``, (..., P)."""
        flat = pushes.reshape(*pushes.shape[:-2], self.mask.size)
        return (self._gram_of(params) @ flat[..., None])[..., 0]

    def token_gram(self, params: Array | None = None) -> np.ndarray:
        """The Gram matrix of the tokens, (..., K, T, K, T)."""
        params = np.asarray(self.start(params))
        shape = (*params.shape[:-1], *self.mask.shape, *self.mask.shape)
        matrix = self._gram_of(params)
        return np.broadcast_to(matrix.reshape(*matrix.shape[:-2], *shape[-4:]), shape)

    def token_gradients(self, params: Array | None = None) -> np.ndarray:
        """A square root of the Gram matrix: rows whose inner products it holds."""
        params = np.asarray(self.start(params))
        values, vectors = np.linalg.eigh(self._gram_of(params))
        rows = vectors * np.sqrt(values.clip(min=0))[..., None, :]
        shape = (*params.shape[:-1], *self.mask.shape, rows.shape[-1])
        return np.broadcast_to(rows.reshape(*rows.shape[:-2], *shape[-3:]), shape)

    def params_of(self, log_probs: Array) -> np.ndarray:
        """The log-probabilities themselves; token by token they are not known from their sums."""
        if self.mask.shape[1] > 1:
            return super().params_of(log_probs)
        return np.asarray(log_probs, dtype=float)

    def excess(self, log_probs: Array) -> Array:
        """How far the candidates' total probability per prompt exceeds 1, (..., prompts).

        Above 0 the frozen kernel has been followed too far: measure it again.
        """
        probabilities = np.exp(np.asarray(log_probs))
        of = [probabilities[..., self.prompts == p].sum(-1) for p in np.unique(self.prompts)]
        return np.maximum(np.stack(of, axis=-1) - 1, 0)

    @property
    def _constant(self) -> np.ndarray | None:
        return self._matrix  # pyright: ignore[reportAttributeAccessIssue]

    def _gram_of(self, params: Array) -> Any:
        if self._constant is None:
            known = params if isinstance(params, np.ndarray) else params.detach().numpy()
            log_probs = self.token_log_probs(known).sum(-1)
            # One member at a time: a function written for one would mix those of a batch.
            members = [
                self._shaped(self.gram0(member))  # pyright: ignore[reportCallIssue]
                for member in log_probs.reshape(-1, self.K)
            ]
            size = self.mask.size
            matrix = np.reshape(members, (*log_probs.shape[:-1], size, size))
        else:
            matrix = self._constant
        return matrix if isinstance(params, np.ndarray) else params.new_tensor(matrix)

    def _shaped(self, gram: Any) -> np.ndarray:
        size = self.mask.size
        token_shape = (*self.mask.shape, *self.mask.shape)
        wanted = (size, size) if self.mask.shape[1] == 1 else token_shape
        try:
            gram = np.asarray(gram, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"gram is not an array of numbers: give a matrix {wanted}.") from None
        if gram.shape not in ((size, size), token_shape):
            raise InputError(
                f"gram has shape {gram.shape}: give a matrix over the log_probs, {wanted}."
            )
        kept = self.mask.reshape(-1) > 0
        return np.where(kept[:, None] & kept, gram.reshape(size, size), 0.0)

    def _checked(self, gram: Any) -> np.ndarray:
        matrix = self._shaped(gram)
        if not np.all(np.isfinite(matrix)):
            raise InputError("gram has an entry that is not finite: measure it again.")
        scale = max(np.abs(matrix).max(), 1e-300)
        if np.abs(matrix - matrix.T).max() > 1e-6 * scale:
            i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
            raise InputError(
                f"gram[{i}, {j}] is {matrix[i, j]:g} but gram[{j}, {i}] is {matrix[j, i]:g}: a "
                "Gram matrix is symmetric."
            )
        lowest = float(np.linalg.eigvalsh(matrix)[0])
        if lowest < -1e-6 * scale * len(matrix):
            raise InputError(
                f"gram has the eigenvalue {lowest:g}: inner products of gradients have none below "
                "0, so check how it was computed."
            )
        return (matrix + matrix.T) / 2

    @staticmethod
    def _like(constant: np.ndarray, x: Array) -> Array:
        return constant if isinstance(x, np.ndarray) else x.new_tensor(constant)


@dataclass(frozen=True, eq=False)
class LinearisedPolicy(KernelPolicy):
    """``log pi_i = log pi_i(start) + <g_i, x>`` with the displacement x as parameters.

    Made by `KernelPolicy.from_gradients`.  It moves as the kernel does under gradient descent, and
    because it knows the gradients it also moves as an optimiser that treats coordinates
    differently does (claim KER-7).
    """

    rows: Any = field(kw_only=True)
    scaled: Any = field(kw_only=True)
    multipliers: Any = field(default=1.0, kw_only=True)
    has_coordinates: bool = field(default=True, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "start_tokens", self.params)
        object.__setattr__(self, "params", np.zeros(self.rows.shape[-1]))

    @property
    def neutral(self) -> np.ndarray:
        """Displacements that change no log-probability, to first order."""
        _, scales, rows = np.linalg.svd(self.rows, full_matrices=True)
        rank = int((scales > 1e-12 * scales.max(initial=0.0)).sum())
        return rows[rank:].T

    def token_log_probs(self, params: Array | None = None) -> Array:
        """Start plus gradients times displacement, (..., K, T)."""
        x = self.start(params)
        start = self._like(self.start_tokens, x)  # pyright: ignore[reportAttributeAccessIssue]
        tokens = start + (self._like(self.rows, x) @ x[..., None]).squeeze(-1)
        return tokens.reshape(*x.shape[:-1], *self.mask.shape)

    def direction(self, params: Array, pushes: Array) -> Array:
        """``sum_i push_i M g_i``, (..., P)."""
        flat = pushes.reshape(*pushes.shape[:-2], self.mask.size)
        return flat @ self._like(self.scaled, params)

    def token_gradients(self, params: Array | None = None) -> np.ndarray:
        """The gradients it was made from, (..., K, T, P)."""
        params = np.asarray(self.start(params))
        shape = (*self.mask.shape, self.rows.shape[-1])
        return np.broadcast_to(self.rows.reshape(shape), (*params.shape[:-1], *shape))

    def params_of(self, log_probs: Array) -> np.ndarray:
        """No displacement is known for given log-probabilities."""
        return Policy.params_of(self, log_probs)


def _precondition(rows: np.ndarray, preconditioner: Any) -> np.ndarray:
    """``M g`` for every row g."""
    if preconditioner is None:
        return rows
    M = numbers(preconditioner, "preconditioner", "a diagonal (P,) or a matrix (P, P)", 1, 2)
    if M.shape[-1] != rows.shape[1] or M.shape[0] != rows.shape[1]:
        raise InputError(
            f"preconditioner has shape {M.shape}: there are {rows.shape[1]} parameters."
        )
    if M.ndim == 1:
        if np.any(M < 0):
            raise InputError("preconditioner has an entry below 0: it would climb, give >= 0.")
        return rows * M
    return rows @ M.T
