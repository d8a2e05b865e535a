"""A small full batch, trained step by step and watched: what predictions are compared with."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn.llm._pair_loss import PairLoss, measure
from prefdyn.llm.training._gradient import Batch, assess, backward, trainable

OPTIMISERS: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
_MEMORY = {
    "sgd": ("momentum_buffer",),
    "rmsprop": ("square_avg",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}


@dataclass(frozen=True, eq=False)
class Path:
    """A run of `train_on`, at the steps that were kept.

    Attributes
    ----------
    steps : numpy.ndarray
        (S,) numbers of steps taken before each measurement, beginning with 0.
    log_probs : numpy.ndarray
        Summed log-probabilities of all responses, (S, R), in nats.
    token_log_probs : numpy.ndarray
        Those of their tokens, (S, R, T), 0 in the padding.
    losses : numpy.ndarray
        (S,) loss of the batch.
    observed : list
        What `observe` returned, S entries; empty without it.
    optimiser : torch.optim.Optimizer
        With the memory it ended with.
    name : str
        Which one it is: ``"sgd"``, ``"rmsprop"``, ``"adam"`` or ``"adamw"``.
    taken : int
        Steps the optimiser has taken in all, those of earlier runs included.
    stats : dict or None
        The objective's statistics at the end.
    """

    steps: np.ndarray
    log_probs: np.ndarray
    token_log_probs: np.ndarray
    losses: np.ndarray
    observed: list
    optimiser: torch.optim.Optimizer
    name: str
    taken: int
    stats: dict[str, Any] | None

    @property
    def change(self) -> np.ndarray:
        """How far every log-probability has moved since the start, (S, R)."""
        return self.log_probs - self.log_probs[0]

    @property
    def memory(self) -> np.ndarray:
        """What the optimiser remembers, (k, P), flat in the order of the model's parameters.

        Adam: first and second moment; RMSprop: the second; SGD: the momentum buffer, if any.
        """
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        plain = self.name == "sgd" and not self.optimiser.param_groups[0]["momentum"]
        names = () if plain else _MEMORY[self.name]
        size = sum(parameter.numel() for parameter in parameters)
        rows = [
            np.concatenate([_remembered(self.optimiser, p, name) for p in parameters])
            for name in names
        ]
        return np.stack(rows) if rows else np.zeros((0, size))


def train_on(
    model: Any,
    loss: PairLoss,
    rate: float,
    steps: int,
    *,
    optimiser: str = "sgd",
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    every: int = 1,
    observe: Callable[[int, Any], Any] | None = None,
    start: Path | None = None,
    **settings: Any,
) -> Path:
    """Train a model in place on all pairs at once, and keep what its responses do.

    Only parameters that require a gradient move, without dropout, at the precision they have.
    All R responses are measured, also those that no pair names.

    Parameters
    ----------
    model
        A causal language model; copy it first (``copy.deepcopy``) to keep it.  It is left in
        evaluation mode.
    loss
        Objective, responses, pairs and reference.
    rate
        Learning rate.
    steps
        Steps to take.
    optimiser
        ``"sgd"``, ``"rmsprop"``, ``"adam"`` or ``"adamw"``, as torch defines them.
    weight_decay
        Of the optimiser.
    momentum
        Of ``"sgd"``.
    every
        Steps from one measurement to the next; the last step is always measured.
    observe
        Called as ``observe(step, model)`` at every measurement; what it returns is kept.
    start
        An earlier run of the same model, whose optimiser and statistics go on.
    **settings
        Further settings of torch's optimiser (``betas``, ``eps``, ``alpha``).

    Returns
    -------
    Path

    Raises
    ------
    InputError
        For an unknown optimiser, a rate that is not positive, or a loss that is no longer finite,
        naming the step.
    """
    count(steps, "steps", least=0)
    count(every, "every")
    model.eval()
    if start is None:
        settings = {"weight_decay": weight_decay, "momentum": momentum} | settings
        descent = make_optimiser(optimiser, trainable(model), rate, **settings)
        stats, taken = loss.initial_stats, 0
    else:
        optimiser, descent, taken, stats = start.name, start.optimiser, start.taken, start.stats
        _check_same(descent, model)
        for group in descent.param_groups:
            group["lr"] = _rate(rate)
    kept: list[tuple[int, Tensor, float, Any]] = []
    for step in range(steps + 1):
        batch = backward(model, loss, stats) if step < steps else assess(model, loss, stats)
        check_finite(float(batch.loss), step, rate)
        if step % every == 0 or step == steps:
            seen = None if observe is None else observe(step, model)
            kept.append((step, _everything(model, loss, batch), float(batch.loss), seen))
        if step < steps:
            stats = batch.stats
            descent.step()
    for parameter in trainable(model):
        parameter.grad = None
    tokens = np.stack([tokens.double().cpu().numpy() for _, tokens, _, _ in kept])
    return Path(
        steps=np.array([step for step, *_ in kept]),
        log_probs=tokens.sum(-1),
        token_log_probs=tokens,
        losses=np.array([value for _, _, value, _ in kept]),
        observed=[] if observe is None else [seen for *_, seen in kept],
        optimiser=descent,
        name=optimiser,
        taken=taken + steps,
        stats=stats,
    )


def make_optimiser(
    name: str, parameters: list[Tensor], rate: float, *, momentum: float = 0.0, **settings: Any
) -> torch.optim.Optimizer:
    """One of torch's optimisers by its name in `OPTIMISERS`.

    Raises
    ------
    InputError
        For an unknown name or setting, no parameters, or a rate that is not positive.
    """
    choice(name, OPTIMISERS, "optimiser")
    if not parameters:
        raise InputError("The model has no parameter that requires a gradient: unfreeze some.")
    if momentum:
        settings["momentum"] = momentum
    try:
        return OPTIMISERS[name](parameters, lr=_rate(rate), **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"optimiser {name!r} cannot be made: {error}.") from None


def check_finite(value: float, step: int, rate: float, what: str = "loss") -> None:
    """Refuse to go on from a loss, or what else is meant, that is NaN or infinite."""
    if math.isfinite(value):
        return
    if step == 0:
        raise InputError(
            f"The {what} is {value} before the first step: check the model for weights that are "
            "not finite, or lower the objective's beta."
        )
    raise InputError(
        f"The {what} is {value} after {step} steps: lower the learning rate, which is {rate:g}."
    )


def _rate(rate: float) -> float:
    if not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
        raise InputError(f"rate is {rate!r}: a learning rate is a finite number above 0.")
    return float(rate)


def _everything(model: Any, loss: PairLoss, batch: Batch) -> Tensor:
    """Token log-probabilities (R, T) of all responses, those that the batch did not need too."""
    tokens = batch.measured.tokens
    rest = np.setdiff1d(np.arange(len(loss.responses)), [*loss.rows, *loss.unpaired])
    if len(rest):
        with torch.no_grad():
            values = measure(model, loss.responses[rest]).tokens
        tokens[torch.as_tensor(rest, device=tokens.device), : values.shape[1]] = values
    return tokens


def _check_same(optimiser: torch.optim.Optimizer, model: Any) -> None:
    known = [id(p) for group in optimiser.param_groups for p in group["params"]]
    if known != [id(p) for p in trainable(model)]:
        raise InputError(
            "start is the run of another model: give the one it trained, or leave start out."
        )


def _remembered(optimiser: torch.optim.Optimizer, parameter: Tensor, name: str) -> np.ndarray:
    state = optimiser.state.get(parameter, {}).get(name)
    if state is None:
        return np.zeros(parameter.numel())
    return state.detach().double().cpu().numpy().reshape(-1)
