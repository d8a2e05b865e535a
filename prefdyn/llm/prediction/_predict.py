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
from prefdyn.llm.prediction._memory import Memory, as_numpy
from prefdyn.llm.prediction._tilted import tilted
from prefdyn.policies import KernelPolicy
from prefdyn.rules import Adam, GradientStep, Momentum, Optimiser, RMSprop, Wrapper
from prefdyn.rules._training import flatten, unflatten

OPTIMISERS: dict[str, Optimiser | None] = {
    "sgd": None,
    "adam": Adam(),
    "adamw": Adam(),
    "rmsprop": RMSprop(),
}


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
    model: Any = None,
    normalised: bool = False,
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
    model
        The model as it was measured, for an optimiser that needs gradients and a geometry that
        holds none: every step is then one backward pass and one in forward mode (claim KER-4).
    normalised
        Whether to hold the sum of all probabilities at 1, with the responses that were not measured
        as one more.  Better where the measured ones have much of the probability, or come to have
        it; under an objective of margins alone, all responses to a prompt move by a common amount
        more.  Only for responses none of which is the beginning of another; without momentum.

    Raises
    ------
    InputError
        For an objective that sees single tokens and a geometry of sums, an optimiser that needs
        gradients and neither these nor a model, or whatever `prefdyn.rules.GradientStep` refuses.
    """
    if isinstance(objective, str):
        objective = objectives.get(objective)
    by_name = not isinstance(optimiser, Optimiser)
    name = choice(optimiser, OPTIMISERS, "optimiser") if by_name else type(optimiser).__name__
    moments = OPTIMISERS[name] if by_name else optimiser
    if momentum and moments is not None:
        raise InputError(f"momentum is {momentum:g}, but {name} takes none: leave it, or use sgd.")
    if momentum and normalised:
        raise InputError("momentum is not predicted with normalised=True: leave out one of them.")
    exact = moments is not None
    policy = _policy(geometry, objective, name, model, exact=exact, normalised=normalised)
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
    return np.concatenate([as_numpy(named[name]).reshape(-1) for name in names])


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


def _policy(
    geometry: Any, objective: Any, name: str, model: Any, *, exact: bool, normalised: bool
) -> KernelPolicy:
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
    if normalised:
        if tokens or (exact and rows is None):
            missing = "An objective of single tokens" if tokens else f"{name} without gradients"
            raise InputError(f"{missing} is not predicted with normalised=True: leave it out.")
        _check_exclusive(responses)
        return tilted(log_probs, gram, rows if exact else None, **common)
    if not exact:
        return KernelPolicy(log_probs, gram, **common)
    if rows is None and (model is None or tokens):
        raise InputError(
            f"{name} treats each parameter by itself, but this geometry holds a Gram matrix and no "
            'gradients: measure it with method="gradients", give the model, or predict sgd.'
        )
    if rows is None:
        from prefdyn.llm.prediction._products import ProductsPolicy

        names = geometry.parameter_names
        return ProductsPolicy(
            log_probs, gram, model=model, responses=responses, names=names, **common
        )
    return KernelPolicy.from_gradients(log_probs, rows, **common)


def _check_exclusive(responses: Any) -> None:
    """Refuse a response that begins another one to the same prompt, or equals it."""
    rows = list(zip(responses.prompts.tolist(), responses.tokens, strict=True))
    for i, (prompt, tokens) in enumerate(rows):
        for j, (other, longer) in enumerate(rows):
            if i != j and prompt == other and longer[: len(tokens)] == tokens:
                raise InputError(
                    f"Response {i} is the beginning of response {j}, so that their probabilities "
                    "do not add up: predict with normalised=False, or end both with the "
                    "end-of-sequence token."
                )


def _reference(reference: Any, policy: KernelPolicy) -> np.ndarray | None:
    """Log-probabilities of the reference, summed where the policy knows only sums."""
    if reference is None:
        return None
    values = as_numpy(reference)
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
    values = None if parameters is None else as_numpy(parameters)
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
