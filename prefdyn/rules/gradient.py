"""Gradient descent on pairs: one step a round, or the flow for a while."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import positive
from prefdyn.policies import Policy
from prefdyn.rules._optimisers import Optimiser
from prefdyn.rules._rule import Jacobian, Rule
from prefdyn.rules._training import Training, check_start, flatten, unflatten

Array = Any

MOST_STEPS = 10_000
"""Steps of the solver in one flow; smooth flows take some hundreds."""


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

    def _with_rate(self, rate: np.ndarray) -> "GradientStep":
        return self if np.ndim(self.rate) == 0 else self.replace(rate=rate)


@dataclass(eq=False)
class GradientFlow(PairTraining):
    r"""Gradient flow for a fixed time a round.

    .. math:: \dot x = -M \nabla_x \sum_r w_r L_r(x), \qquad
              \frac{d}{dt}\log\pi_i = \sum_j K_{ij}\, p_j

    The limit of `GradientStep` at small rate; a round of duration T is T/rate steps.  Solved with
    error control by LSODA, which also follows stiff flows.  An objective with a kink (`DPOP`, the
    hinges) may hold the flow at it, where no solver of this kind gets on: it is refused then.

    Parameters
    ----------
    objective, policy, pairs, weights, reference, extra
        As of `GradientStep`.  Objectives that keep running statistics have no flow.
    duration
        Time of one round.
    rtol, atol
        Tolerances of the solver, on the parameters.

    Raises
    ------
    InputError
        As `GradientStep`, and for an objective with running statistics.
    NoOptimum
        If the solver gets stuck, as it does where the pushes jump.
    """

    duration: float = 1.0
    weights: ArrayLike | None = None
    reference: Any = None
    rtol: float = field(default=1e-9, kw_only=True)
    atol: float = field(default=1e-11, kw_only=True)
    extra: Mapping[str, ArrayLike] = field(default_factory=dict, kw_only=True)

    def __post_init__(self):
        duration = positive(self.duration, "duration")
        if duration.ndim:
            raise InputError(
                f"duration has shape {duration.shape}: a batch is solved for one time, give one."
            )
        self.duration = float(duration)
        self._set_training(self.weights, self.reference, None, self.extra)
        self._check_batch()
        if self.training.initial_stats is not None:
            raise InputError(
                f"objective {self.objective.id!r} keeps statistics from batch to batch, which a "
                "flow has none of: use GradientStep, or fix them as numbers."
            )

    @property
    def memory(self) -> int:
        """Nothing."""
        return 0

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the policy's batch and the objective's hyper-parameters."""
        return self.training.batch_shape

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The state after `duration`; a batch is solved as one system."""
        return self._solved(lambda x: self.policy.direction(x, self.pushes(x)), state)

    def jacobian(self, state: Array) -> Jacobian:
        """Derivative of the flow, from the linear equation it obeys along the solution.

        Differences of two solutions would carry the solver's tolerance, magnified.
        """
        state = np.asarray(state, dtype=float)
        unit = GradientStep(
            self.objective,
            self.policy,
            self.pairs,
            1.0,
            self.weights,
            self.training.reference,
            extra=self.extra,
        )
        identity = np.eye(state.shape[-1])

        def velocity(joint):
            x, tangent = joint[..., 0], joint[..., 1:]
            slope = unit.jacobian(x).matrix - identity
            return np.concatenate([(unit.step(x, 0, None) - x)[..., None], slope @ tangent], -1)

        tangent = np.broadcast_to(identity, (*state.shape, len(identity)))
        solved = self._solved(velocity, np.concatenate([state[..., None], tangent], -1))
        return Jacobian(solved[..., 1:], unit.jacobian(state).by)

    def _solved(self, velocity, start: np.ndarray) -> np.ndarray:
        from scipy.integrate import LSODA

        solver = LSODA(
            lambda _, flat: velocity(flat.reshape(start.shape)).reshape(-1),
            0.0,
            start.reshape(-1),
            self.duration,
            rtol=self.rtol,
            atol=self.atol,
        )
        for _ in range(MOST_STEPS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the solver's complaint is said below
                solver.step()
            if solver.status == "finished":
                return solver.y.reshape(start.shape)
            if solver.status == "failed":
                break
        raise NoOptimum(
            f"the flow came no further than {solver.t:g} of {self.duration:g}, as it does where "
            "the pushes jump (SLIME at m_h, DPOP, hinges): use GradientStep, or a larger rtol and "
            "atol."
        )
