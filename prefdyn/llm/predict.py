"""A training run foretold from one measurement of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn._simulate import orbit
from prefdyn.policies import KernelPolicy
from prefdyn.rules import Adam, GradientStep, Momentum, Optimiser, RMSprop, Wrapper
from prefdyn.rules._training import flatten, unflatten

OPTIMISERS: dict[str, Optimiser | None] = {
    "sgd": None,
    "adam": Adam(),
    "adamw": Adam(),
    "rmsprop": RMSprop(),
}
_MOMENTS = (("exp_avg", "exp_avg_sq"), ("square_avg",), ("momentum_buffer",))


@dataclass(frozen=True, eq=False)
class Memory:
    """What optimiser and objective carry from one step to the next.

    Attributes
    ----------
    step : int
        Steps taken so far, on which Adam's bias correction depends.
    moments : numpy.ndarray or None
        Adam's first and second moment (2, P), or RMSprop's second (1, P), of the direction of
        descent and in the order of the geometry's gradients; with momentum the last move of the
        log-probabilities, (R,), or of the tokens', (R, T).  None for plain gradient descent.
    stats : dict or None
        The objective's running statistics, where it has any.
    """

    step: int = 0
    moments: np.ndarray | None = None
    stats: dict[str, Any] | None = None

    @classmethod
    def of(
        cls, optimiser: Any, model: Any, geometry: Any, stats: dict[str, Any] | None = None
    ) -> "Memory":
        """What a torch optimiser remembers, in the order of a geometry of the same model.

        Parameters
        ----------
        optimiser
            ``torch.optim.SGD``, ``Adam``, ``AdamW`` or ``RMSprop`` over parameters of the model.
        model
            The model that it trains.
        geometry
            Measured from the model as it is now; momentum of SGD needs its gradients.
        stats
            The objective's running statistics.

        Raises
        ------
        InputError
            For another optimiser, or momentum without gradients.
        """
        named = dict(model.named_parameters())
        parameters = [named[name] for name in geometry.parameter_names]
        states = [optimiser.state.get(parameter, {}) for parameter in parameters]
        step = max((int(state.get("step", 0)) for state in states), default=0)
        present = {key for state in states for key, value in state.items() if value is not None}
        known = [names for names in _MOMENTS if names[0] in present]
        if not known:
            return cls(step, None, stats)
        moments = np.stack([_flat(parameters, states, name) for name in known[0]])
        if known[0] != ("momentum_buffer",):
            if len(moments) == 2:
                moments[0] *= -1  # torch keeps the first moment of the gradient, which ascends
            return cls(step, moments, stats)
        if geometry.gradients is None:
            raise InputError(
                "The momentum of sgd is a vector of parameters, and this geometry holds no "
                'gradients to see it with: measure it with method="gradients".'
            )
        rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
        scale = np.concatenate([np.full(p.numel(), rates.get(id(p), 0.0)) for p in parameters])
        return cls(step, -np.asarray(geometry.gradients) @ (scale * moments[0]), stats)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A predicted run.

    Attributes
    ----------
    log_probs : numpy.ndarray
        Log-probabilities (steps + 1, R) of all responses, the start included, in nats; with a
        batch of rates (steps + 1, ..., R).
    change : numpy.ndarray
        What they have moved by since the start, of the same shape.
    excess : numpy.ndarray
        How far the responses' total probability exceeds 1, (steps + 1, prompts): above 0 the frozen
        geometry has been followed too far.
    reason : str
        Why the run stopped, as a sentence.
    memory : Memory
        What optimiser and objective remember at the end.
    """

    log_probs: np.ndarray
    change: np.ndarray = field(repr=False)
    excess: np.ndarray = field(repr=False)
    reason: str
    memory: Memory = field(repr=False)


def predict_training(
    geometry: Any,
    objective: Any,
    pairs: ArrayLike,
    rate: ArrayLike,
    steps: int,
    *,
    optimiser: str | Optimiser = "sgd",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    parameters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    reference: Any = None,
    extra: Mapping[str, ArrayLike] | None = None,
    mismatched: ArrayLike | None = None,
    memory: Memory | None = None,
) -> Prediction:
    r"""Predict full-batch training from the geometry of a model's responses.

    The gradients :math:`g_i` of the log-probabilities are held as measured; log-probabilities,
    pushes :math:`p_j = -\partial L/\partial\log\pi_j` and the optimiser's moments evolve:

    .. math:: \log\pi_i \leftarrow \log\pi_i + \langle g_i, \Delta x\rangle, \qquad
              \Delta x = \mathrm{optimiser}\Big(\sum_j p_j g_j\Big)

    Gradient descent needs only the Gram matrix :math:`\langle g_i, g_j\rangle`; Adam and RMSprop
    see single parameters and need the gradients themselves (claims KER-5, KER-7).  To go further
    than the gradients keep, measure the geometry again on the way and go on with ``memory`` and
    the first ``reference``.

    Parameters
    ----------
    geometry
        Of `response_geometry`.
    objective
        An `Objective`, or the id of one.
    pairs
        (M, 2) numbers of chosen and rejected.
    rate
        Learning rate; with gradient descent an array is a batch of runs.
    steps
        How many steps.
    optimiser
        "sgd", "adam", "adamw" or "rmsprop" with torch's default settings, or an `Optimiser`.
    momentum
        Heavy-ball momentum of "sgd".
    weight_decay
        Of "adamw": every step also moves :math:`\log\pi_i` by
        :math:`-\mathrm{rate}\cdot\mathrm{decay}\,\langle g_i, \theta\rangle`.
    parameters
        The weights :math:`\theta` (P,) at the geometry, in its order, as `parameter_vector` gives
        them; needed for a weight decay.
    weights
        (M,) weights of the pairs; 1/M by default.
    reference
        Log-probabilities (R,), or of tokens (R, T), of the reference model; by default those of
        the geometry.
    extra, mismatched
        As of `prefdyn.rules.GradientStep`.
    memory
        Of a run that this one continues; a new run remembers nothing.

    Raises
    ------
    InputError
        For an objective that sees single tokens and a geometry of sums, an optimiser that needs
        gradients and a geometry without, or whatever `prefdyn.rules.GradientStep` refuses.
    """
    if isinstance(objective, str):
        objective = objectives.get(objective)
    by_name = not isinstance(optimiser, Optimiser)
    name = choice(optimiser, OPTIMISERS, "optimiser") if by_name else type(optimiser).__name__
    moments = OPTIMISERS[name] if by_name else optimiser
    if momentum and moments is not None:
        raise InputError(f"momentum is {momentum:g}, but {name} takes none: leave it, or use sgd.")
    policy = _policy(geometry, objective, name, exact=moments is not None)
    step = GradientStep(
        objective,
        policy,
        pairs,
        rate,
        weights,
        _reference(reference, policy),
        moments,
        mismatched=mismatched,
        extra=extra or {},
    )
    memory = memory or Memory()
    run = _Resumed(
        Momentum(step, momentum) if momentum else step,
        _state(step, momentum, memory),
        memory.step,
        *_decay(name, weight_decay, parameters, step),
    )
    with np.errstate(over="ignore"):  # followed absurdly far, which the excess then says
        end = orbit(run, rounds=count(steps, "steps"), tolerance=0)
        excess = policy.excess(end.log_policies)
    return Prediction(
        end.log_policies,
        end.log_policies - end.log_policies[0],
        excess,
        end.reason,
        _memory(step, momentum, end.state, memory.step + int(end.rounds[-1])),
    )


def parameter_vector(model: Any, names: Sequence[str]) -> np.ndarray:
    """The parameters of these names in one vector (P,), in the order of a geometry's gradients."""
    named = dict(model.named_parameters())
    return np.concatenate([_numpy(named[name]).reshape(-1) for name in names])


@dataclass(eq=False)
class _Resumed(Wrapper):
    """Training picked up after `first` steps, with AdamW's decoupled decay of the weights."""

    rule: Any
    state: np.ndarray
    first: int
    decay: Any = None
    weights: Any = None

    @property
    def own_start(self) -> np.ndarray:
        return self.state

    def step(self, state: Any, t: int, rng: Any) -> Any:
        moved = self.rule.step(state, t + self.first, rng)
        if self.decay is not None:
            size = len(self.weights)
            moved[..., :size] -= self.decay * (self.weights + state[..., :size])
        return moved


def _policy(geometry: Any, objective: Any, name: str, exact: bool) -> KernelPolicy:
    """The geometry as a policy: single tokens and gradients only where they are needed."""
    responses, common = geometry.responses, {"prompts": geometry.responses.prompts}
    tokens = bool(getattr(objective, "token_level", False)) and int(responses.lengths.max()) > 1
    if tokens and geometry.token_gram is None:
        raise InputError(
            f"objective {objective.id!r} sees single tokens, but this geometry holds sums over "
            "each response: measure it with tokens=True."
        )
    if tokens:
        common["mask"] = responses.mask
        log_probs, gram, rows = (
            geometry.token_log_probs,
            geometry.token_gram,
            geometry.token_gradients,
        )
    else:
        common["lengths"] = responses.lengths
        log_probs, gram, rows = geometry.log_probs, geometry.gram, geometry.gradients
    if not exact:
        return KernelPolicy(log_probs, gram, **common)
    if rows is None:
        raise InputError(
            f"{name} treats each parameter by itself, but this geometry holds a Gram matrix and no "
            'gradients: measure it with method="gradients", or predict sgd.'
        )
    return KernelPolicy.from_gradients(log_probs, rows, **common)


def _reference(reference: Any, policy: KernelPolicy) -> np.ndarray | None:
    """Log-probabilities of the reference, summed where the policy knows only sums."""
    if reference is None:
        return None
    values = _numpy(reference)
    sums = policy.mask.shape[1] == 1 and values.ndim == 2
    return values.sum(-1) if sums else values


def _decay(name: str, decay: float, parameters: Any, step: GradientStep) -> tuple[Any, ...]:
    """Rate of the decay, and the weights that decay."""
    if not decay:
        return ()
    if name != "adamw":
        raise InputError(
            f"weight_decay is {decay:g}, but {name} is predicted without: use adamw, or leave it."
        )
    values = None if parameters is None else _numpy(parameters)
    if values is None or values.shape != (step.size,):
        found = "missing" if values is None else f"of shape {values.shape}"
        raise InputError(
            f"A weight decay pulls on the weights themselves, and parameters is {found}: give "
            f"parameter_vector(model, geometry.parameter_names), {step.size} numbers."
        )
    return np.asarray(step.rate)[..., None] * decay, values


def _state(step: GradientStep, momentum: float, memory: Memory) -> np.ndarray:
    """The simulator's state of a run that remembers something."""
    state, size = np.array(step.own_start), step.size
    if memory.moments is not None:
        moments = np.asarray(memory.moments, dtype=float).reshape(-1)
        wanted = size if momentum else step.memory
        if moments.size != wanted:
            raise InputError(
                f"memory.moments has shape {np.shape(memory.moments)}, but this run remembers "
                f"{wanted} numbers: continue with the same optimiser and the same parameters."
            )
        state[..., size : size + step.memory] = moments[: step.memory]
    if memory.stats is not None:
        state[..., size + step.memory :] = flatten(memory.stats)
    if not momentum:
        return state
    last = 0.0 if memory.moments is None else moments
    return np.concatenate([state, state - last], axis=-1)


def _memory(step: GradientStep, momentum: float, state: Any, number: int) -> Memory:
    """What a simulator's state remembers."""
    size = step.size
    if momentum:
        return Memory(number, state[..., :size] - state[..., size:])
    kept = state[..., size : size + step.memory]
    stats = unflatten(step.training.initial_stats, state[..., size + step.memory :])
    return Memory(number, kept.reshape(*kept.shape[:-1], -1, size) if step.memory else None, stats)


def _flat(parameters: list[Any], states: list[dict], name: str) -> np.ndarray:
    """One of the optimiser's moments for all parameters, 0 where it has none yet."""
    parts = []
    for parameter, state in zip(parameters, states, strict=True):
        value = state.get(name)
        parts.append(np.zeros(parameter.numel()) if value is None else _numpy(value).reshape(-1))
    return np.concatenate(parts)


def _numpy(values: Any) -> np.ndarray:
    values = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=float)
