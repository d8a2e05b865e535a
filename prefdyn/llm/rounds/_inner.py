"""The inner loop of a round: train a model until a loss of its log-probabilities is minimal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prefdyn._errors import InputError
from prefdyn._inputs import choice, count, positive
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import log_probs
from prefdyn.llm.geometry._gradients import row_gradients
from prefdyn.llm.rounds._population import Newton
from prefdyn.llm.training._fit import OPTIMISERS

Chosen = dict[str, nn.Parameter]

STALE = 3.0
"""Gradients of the responses are taken anew when a step leaves more than 1/3 of the residual."""
DEPENDENT = 1e-7
"""Directions of the Gram matrix below this share of the largest cannot be steered."""


@dataclass(frozen=True)
class Inner:
    """How a round is trained.

    Parameters
    ----------
    optimiser
        ``"gauss_newton"`` takes Newton's step of the loss in the candidates' log-probabilities and
        finds the shortest change of the parameters that makes it, from the gradients of all
        responses; it reaches 1e-3 nats in a few steps, and holds one copy of the parameters per
        response.  ``"sgd"``, ``"rmsprop"``, ``"adam"``, ``"adamw"`` are torch's, begun afresh in
        every round.
    rate
        Learning rate; Gauss-Newton has none.
    steps
        Most steps per round.
    residual
        A round ends once Newton's step of its loss would move no candidate's log-odds by more than
        this, in nats; 0 takes all steps.

    Raises
    ------
    InputError
        For an unknown optimiser or a number outside its range.
    """

    optimiser: str = "gauss_newton"
    rate: float = 5e-4
    steps: int = 80
    residual: float = 1e-3

    def __post_init__(self):
        choice(self.optimiser, ("gauss_newton", *OPTIMISERS), "optimiser")
        positive(self.rate, "rate")
        count(self.steps, "steps")
        if not self.residual >= 0:
            raise InputError(f"residual is {self.residual:g}: give nats, 0 or more.")


class Fitted(NamedTuple):
    """What an inner loop reached: summed log-probabilities (prompts, K), residuals, and steps."""

    log_probs: np.ndarray
    residual: np.ndarray
    steps: int


def fit(
    model: Any,
    responses: Responses,
    newton: Callable[[np.ndarray], Newton],
    inner: Inner,
    chosen: Chosen,
    prompts: int = 1,
) -> Fitted:
    """Train a model in place.

    Parameters
    ----------
    model
        A causal language model `at_rest`.
    responses
        ``prompts * K`` candidates, those of the first prompt first.
    newton
        Value, gradient and Newton step of the loss at log-probabilities (prompts, K).
    inner
        How.
    chosen
        The parameters that move, by name.
    prompts
        Number of prompts.
    """
    loop = _gauss_newton if inner.optimiser == "gauss_newton" else _descend
    steps, now = loop(model, responses, newton, inner, chosen, prompts)
    return Fitted(now, newton(now).residual, steps)


def measured(model: Any, responses: Responses, prompts: int) -> np.ndarray:
    """Summed log-probabilities (prompts, K) of the candidates, as float64."""
    with torch.no_grad():
        return _table(log_probs(model, responses), prompts)


def _table(values: Tensor, prompts: int) -> np.ndarray:
    return values.detach().double().cpu().numpy().reshape(prompts, -1)


def _descend(model, responses, newton, inner, chosen, prompts) -> tuple[int, np.ndarray]:
    """A torch optimiser on the loss itself."""
    parameters = list(chosen.values())
    optimiser = OPTIMISERS[inner.optimiser](parameters, lr=inner.rate)
    for step in range(inner.steps):
        values = log_probs(model, responses)
        now = _table(values, prompts)
        state = newton(now)
        if state.residual.max() <= inner.residual:
            return step, now
        slope = torch.as_tensor(state.gradient.reshape(-1)).to(values)
        gradients = torch.autograd.grad(values, parameters, slope, materialize_grads=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return inner.steps, measured(model, responses, prompts)


def _gauss_newton(model, responses, newton, inner, chosen, prompts) -> tuple[int, np.ndarray]:
    """Newton's step on the loss in function space, through the pseudo-inverse of the gradients."""
    now = measured(model, responses, prompts)
    state, levers = newton(now), None
    for step in range(inner.steps):
        if state.residual.max() <= inner.residual:
            return step, now
        fresh = levers is None
        levers = _Levers.of(model, responses, chosen, prompts) if levers is None else levers
        levers.pull(chosen, state.step)
        now = measured(model, responses, prompts)
        after = newton(now)
        better = after.loss.sum() < state.loss.sum() or after.residual.max() < state.residual.max()
        share = 1.0
        while not better and share > 1e-3:  # too long a step for a model that is not linear
            share /= 2
            levers.pull(chosen, -share * state.step)
            now = measured(model, responses, prompts)
            after = newton(now)
            better = after.loss.sum() < state.loss.sum()
        if not better and fresh:
            return step + 1, now  # no step along the gradients helps: rounding is reached
        if after.residual.max() > state.residual.max() / STALE:
            levers = None
        state = after
    return inner.steps, now


class _Levers(NamedTuple):
    """Gradients (R, P) of the candidates' log-odds, and the inverse of their Gram matrix."""

    gradients: Tensor
    inverse: np.ndarray

    @classmethod
    def of(cls, model: Any, responses: Responses, chosen: Chosen, prompts: int) -> "_Levers":
        """Gradients of all responses here, each prompt's mean taken off."""
        K = len(responses) // prompts
        rows = row_gradients(model, responses, chosen, K).view(prompts, K, -1)
        rows = (rows - rows.mean(1, keepdim=True)).flatten(0, 1)
        gram = (rows @ rows.T).double().numpy()
        return cls(rows, np.linalg.pinv(gram, rcond=DEPENDENT, hermitian=True))

    def pull(self, chosen: Chosen, change: np.ndarray) -> None:
        """Move the parameters, by as little as possible, so that log-odds change like this."""
        weights = torch.as_tensor(self.inverse @ change.reshape(-1)).to(self.gradients)
        moves = (weights @ self.gradients).split([p.numel() for p in chosen.values()])
        with torch.no_grad():
            for parameter, move in zip(chosen.values(), moves, strict=True):
                parameter.add_(move.view_as(parameter).to(parameter))
