"""Gradient descent on pairs, one step a round."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import positive
from prefdyn.rules._optimisers import Optimiser
from prefdyn.rules._pair_training import PairTraining
from prefdyn.rules._rule import Jacobian
from prefdyn.rules._training import flatten

Array = Any


@dataclass(eq=False)
class GradientStep(PairTraining):
    r"""One step of gradient descent a round (claim KER-1).

    .. math:: x_{t+1} = x_t - \eta\, M \nabla_x \sum_r w_r L_r(x_t),
              \qquad \Delta\log\pi_i = \eta \sum_j K_{ij}\, p_j + O(\eta^2)

    with the pushes :math:`p_j = -\partial L/\partial\log\pi_j` and the policy's step multipliers M.

    Parameters
    ----------
    objective
        An `Objective`, or the id of one.
    policy
        Any of `prefdyn.policies`.
    pairs
        (R, 2) numbers of the chosen and the rejected response; prompts may differ between pairs.
    rate
        Learning rate; an array is a batch.
    weights
        (R,) weights of the pairs, of any sign; 1/R by default.
    reference
        A policy, or log-probabilities (K,) or of tokens (K, T); by default the policy's start.
    optimiser
        `Adam`, `RMSprop` or your own `Optimiser`; none by default.  For heavy-ball momentum wrap
        the rule in `Momentum`.
    mismatched, extra
        As of `prefdyn.rules.Training`.

    Raises
    ------
    InputError
        For an unknown objective, a response that does not exist, a pair across prompts, a rate that
        is not positive, or shapes that do not fit.

    Examples
    --------
    >>> from prefdyn import orbit
    >>> from prefdyn.policies import Tabular
    >>> run = orbit(GradientStep("dpo", Tabular([0.0, 0.0, 0.0]), [(0, 1)], rate=1.0), rounds=100)
    """

    rate: ArrayLike
    weights: ArrayLike | None = None
    reference: Any = None
    optimiser: Optimiser | None = None
    mismatched: ArrayLike | None = field(default=None, kw_only=True)
    extra: Mapping[str, ArrayLike] = field(default_factory=dict, kw_only=True)

    def __post_init__(self):
        self.rate = positive(self.rate, "rate")
        if self.optimiser is not None and not isinstance(self.optimiser, Optimiser):
            raise InputError(
                f"optimiser is a {type(self.optimiser).__name__}: give Adam(), RMSprop() or None."
            )
        self._set_training(self.weights, self.reference, self.mismatched, self.extra)
        if self.optimiser is not None and not self.policy.has_coordinates:
            raise InputError(
                f"{type(self.optimiser).__name__} treats each parameter by itself, which a Gram "
                "matrix does not know: use KernelPolicy.from_gradients without a full "
                "preconditioner, or no optimiser."
            )
        self._check_batch(rate=np.shape(self.rate))

    @property
    def memory(self) -> int:
        """What the optimiser remembers."""
        return self.size * (0 if self.optimiser is None else self.optimiser.memory)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the rate, the policy's batch and the objective's hyper-parameters."""
        return np.broadcast_shapes(np.shape(self.rate), self.training.batch_shape)

    @property
    def backends(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Numpy alone where the state holds more than parameters, else as the policy."""
        alone = self.optimiser is None and not self.training.one_at_a_time
        # A weight that the loss holds constant still moves with the state: autodiff misses that.
        alone = alone and not self.objective.detaches
        return self.policy.backends if alone else ("numpy",)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Statistics of the batch, then the pushes they give, then the move."""
        if self.training.one_at_a_time and state.ndim > 1:
            rates = np.broadcast_to(self.rate, state.shape[:-1])
            members = zip(state, rates, strict=True)
            return np.stack([self._with_rate(rate).step(x, t, rng) for x, rate in members])
        params, memory, values = self._split(state)
        if self.training.one_at_a_time:
            stats = self.training.updated(self._stats(values), params)
            values = flatten(stats)
            pushes = self.training.pushes(params, stats)
        else:
            pushes = self.training.pushes(params)
        move = self.policy.direction(params, pushes)
        if self.optimiser is not None:
            move, memory = self._optimised(move, memory, t)
        if not isinstance(state, np.ndarray):
            return params + state.new_tensor(self.rate)[..., None] * move
        params = params + np.asarray(self.rate)[..., None] * move
        return np.concatenate([params, memory, values], axis=-1)

    def _optimised(self, move: Array, memory: Array, t: int) -> tuple[Array, Array]:
        """The optimiser's move of the plain gradient, times the multipliers, and its memory.

        Multipliers are learning rates of their own: before the optimiser it would cancel them.
        """
        assert self.optimiser is not None
        scale = np.broadcast_to(self.policy.multipliers, move.shape)
        gradient = np.divide(move, scale, out=np.zeros(move.shape), where=scale > 0)
        kept = memory.reshape(*memory.shape[:-1], -1, self.size)
        move, kept = self.optimiser.move(gradient, kept, t)
        return move * scale, kept.reshape(memory.shape)

    def jacobian(self, state: Array) -> Jacobian:
        """Derivative of one step.

        Raises
        ------
        InputError
            With an optimiser: its step depends on t and is not smooth where the gradient is 0.
        """
        if self.optimiser is not None:
            raise InputError(
                f"{type(self.optimiser).__name__}'s step has no derivative where the gradient "
                "vanishes: simulate it with orbit, or analyse the rule without optimiser."
            )
        return super().jacobian(state)

    def compiled(self, K: int, device: str = "cpu") -> Any:
        """Kernel for a GPU, see `prefdyn.rules._on_gpu`; None on a processor or for a subclass.

        Raises
        ------
        InputError
            For a policy, an objective, or an optimiser that the kernel does not take.
        """
        if device == "cpu" or type(self) is not GradientStep:
            return None
        from prefdyn.rules import _on_gpu

        return _on_gpu.gradient_kernel(self, K, device)

    def _with_rate(self, rate: np.ndarray) -> "GradientStep":
        return self if np.ndim(self.rate) == 0 else self.replace(rate=rate)
