"""What rules that train a policy on pairs have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.policies import Policy
from prefdyn.rules._rule import Rule
from prefdyn.rules._training import Training, check_start, flatten, unflatten

Array = Any


@dataclass(eq=False)
class PairTraining(Rule):
    """Rules whose state is the parameters of a `Policy` that is trained on pairs.

    Behind the parameters the state holds what the optimiser remembers and the objective's running
    statistics.  Without a named start a run begins at the policy's own parameters; of a policy over
    several prompts, ``log_policy`` holds the log-probabilities of all of them in one row.
    """

    objective: Any
    policy: Policy
    pairs: Any

    @property
    def training(self) -> Training:
        """The loss that is descended."""
        return self._training  # pyright: ignore[reportAttributeAccessIssue]

    def _set_training(self, weights, reference, mismatched, extra) -> None:
        self._training = Training(
            self.objective,
            self.policy,
            self.pairs,
            weights,
            reference,
            mismatched=mismatched,
            extra=extra,
        )
        self.objective, self.pairs = self._training.objective, self._training.pairs

    def _check_batch(self, **own: tuple[int, ...]) -> None:
        shapes = self._training.batch_shapes | own
        try:
            np.broadcast_shapes(*shapes.values())
        except ValueError:
            known = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
            raise InputError(
                f"the batches do not broadcast ({known}): give equal shapes, or further axes."
            ) from None

    @property
    def K(self) -> int:
        """Number of responses, over all prompts."""
        return self.policy.K

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.policy.params.shape[-1]

    @property
    @abstractmethod
    def memory(self) -> int:
        """Numbers in the state between the parameters and the statistics."""

    @property
    def own_start(self) -> Array:
        """The policy's start, with nothing remembered and the first statistics."""
        return self._state(self.policy.params)

    def log_start(self, policy: Array) -> Array:
        """Log-probabilities of a start that sums to 1 over each prompt."""
        try:
            policy = np.asarray(policy, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"start is no array of {self.K} probabilities: give one.") from None
        inside = np.all((policy > 0) & (policy <= 1 + 1e-9))
        if policy.ndim == 0 or policy.shape[-1] != self.K or not inside:
            raise InputError(
                f"start has shape {policy.shape} and entries from {policy.min(initial=1):g} to "
                f"{policy.max(initial=0):g}: give {self.K} probabilities above 0, at most 1, in "
                "the last axis."
            )
        return np.log(policy)

    def init_log(self, log_policy: Array) -> Array:
        """State that starts from log-probabilities (..., K)."""
        log_policy = np.asarray(log_policy, dtype=float)
        params = self.policy.params_of(log_policy)
        check_start(log_policy, self.policy)
        return self._state(params)

    def log_policy(self, state: Array) -> Array:
        """Log-probabilities (..., K) of all responses."""
        return self.policy.log_probs(self.params(state))

    def params(self, state: Array) -> Array:
        """The parameters (..., P) in a state."""
        return state[..., : self.size]

    def loss(self, state: Array) -> Array:
        """The weighted loss of the pairs, (...,)."""
        return self._per_member(self.training.loss, state)

    def pushes(self, state: Array) -> Array:
        """``-dL/dlog pi`` of every token of every response, (..., K, T)."""
        return self._per_member(self.training.pushes, state)

    @property
    def neutral(self) -> np.ndarray:
        """Those of the policy, and what the state holds beside the parameters."""
        own = self.policy.neutral
        rest = self.memory + len(flatten(self.training.initial_stats))
        return np.block(
            [
                [own, np.zeros((self.size, rest))],
                [np.zeros((rest, own.shape[1])), np.zeros((rest, rest))],
            ]
        )[:, : own.shape[1]]

    def _state(self, params: Array) -> np.ndarray:
        stats = flatten(self.training.initial_stats)
        rest = np.concatenate([np.zeros(self.memory), stats])
        params = self.spread(np.asarray(params, dtype=float))
        return np.concatenate([params, np.broadcast_to(rest, (*params.shape[:-1], len(rest)))], -1)

    def _split(self, state: Array) -> tuple[Array, Array, Array]:
        """Parameters, the optimiser's memory, statistics."""
        end = self.size + self.memory
        return state[..., : self.size], state[..., self.size : end], state[..., end:]

    def _stats(self, values: np.ndarray):
        return unflatten(self.training.initial_stats, values)

    def _per_member(self, function, state: Array) -> Array:
        """A function of parameters and statistics, one batch member at a time where they mix.

        The statistics include the batch at hand, as they do in a step.
        """
        params, _, values = self._split(state)
        if not self.training.one_at_a_time:
            return function(params)
        if params.ndim > 1:
            return np.stack([self._per_member(function, member) for member in state])
        return function(params, self.training.updated(self._stats(values), params))
