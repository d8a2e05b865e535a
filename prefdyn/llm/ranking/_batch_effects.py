"""What steps on the pairs of a batch do to all of its responses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn.llm._encoding import Responses
from prefdyn.llm._pair_loss import Measured, PairLoss, Stats, measure, with_mismatched
from prefdyn.llm._parameters import Selection, at_rest
from prefdyn.llm.geometry._forward_mode import gradient_products, weighted_gradient
from prefdyn.llm.geometry._geometry import Geometry, response_geometry
from prefdyn.objectives import Objective


@dataclass(frozen=True, eq=False)
class BatchEffects:
    """A batch of B pairs, measured once and pushed by an objective; by `batch_effects`.

    Attributes
    ----------
    geometry : Geometry
        Of the 2B responses, chosen and rejected in turn.
    pushes : numpy.ndarray
        ``-dL/dlog pi`` of every token under the loss of its own pair, (2B, T).
    rates : numpy.ndarray
        (2B, 2B): ``rates[i, j]`` is what the push on response j does to ``log pi_i``, in nats per
        unit of learning rate.
    """

    geometry: Geometry
    pushes: np.ndarray
    rates: np.ndarray

    @property
    def of_pairs(self) -> np.ndarray:
        """What a step on each pair alone does to every response, (2B, B)."""
        return self.rates[:, 0::2] + self.rates[:, 1::2]

    def direction(self, model: Any, pair: int) -> dict[str, Tensor]:
        """The step on a pair alone: minus the gradient of its loss."""
        return _pushed(model, self.geometry, self.pushes, [2 * pair, 2 * pair + 1])


def batch_effects(
    model: Any,
    responses: Responses,
    objective: Objective,
    *,
    reference: Any = None,
    parameters: Selection = "all",
    method: str = "auto",
) -> BatchEffects:
    """Measure a batch of pairs, and push it as the objective does.

    Statistics of an objective that keeps some are those of its first batch, this one.
    """
    geometry = response_geometry(model, None, None, responses, parameters=parameters, method=method)
    R = len(responses)
    loss, measured = _loss(model, geometry, objective, reference)
    stats, gradients = loss.initial_stats, None
    if (parts := objective.gradient_parts) is not None:
        known = (stats or {}).get("base"), None
        preference, likelihood = (
            _pushes(loss.with_objective(part), measured, held)[:R]
            for part, held in zip(parts, known, strict=True)
        )
        gradients = _two_gradients(model, geometry, preference, likelihood)
    pushes = _pushes(loss, measured, loss.updated(stats, measured, gradients))[:R]
    return BatchEffects(geometry, pushes, _rates(model, geometry, pushes))


def _loss(
    model: Any, geometry: Geometry, objective: Objective, reference: Any
) -> tuple[PairLoss, Measured]:
    """The sum of the pairs' losses, and what it wants to know of the responses."""
    responses = whole = geometry.responses
    pairs, moved = np.arange(len(responses)).reshape(-1, 2), None
    if objective.mismatched:
        whole, moved = with_mismatched(responses, pairs)
    if objective.mismatched or objective.token_level:
        measured = _measured(model, whole, squares=objective.token_level)
    else:
        measured = Measured(torch.tensor(geometry.token_log_probs))
    before = measured if reference is None else _measured(reference, whole)
    ones = np.ones(len(pairs))
    return PairLoss(objective, whole, pairs, before.tokens, ones, mismatched=moved), measured


def _measured(model: Any, responses: Responses, squares: bool = False) -> Measured:
    with at_rest(model, {}), torch.no_grad():
        found = measure(model, responses, squares=squares)
    log_sum_p2 = found.log_sum_p2
    return Measured(
        found.tokens.double().cpu(), None if log_sum_p2 is None else log_sum_p2.double().cpu()
    )


def _pushes(loss: PairLoss, measured: Measured, stats: Stats | None) -> np.ndarray:
    """``-dL/dlog pi`` of every token, (R, T)."""
    tokens = measured.tokens.detach().requires_grad_()
    with torch.enable_grad():
        total = loss.of_tokens(tokens, stats, measured.log_sum_p2)
        (slope,) = torch.autograd.grad(total, tokens)
    # What stands in the padding is no log-probability, whatever the loss makes of it.
    return -slope.numpy() * loss.responses.mask


def _rates(model: Any, geometry: Geometry, pushes: np.ndarray) -> np.ndarray:
    """What pushes (R, T) on the tokens of response j do to ``log pi_i``, (R, R)."""
    if np.array_equal(pushes, geometry.responses.mask * pushes[:, :1]):
        return geometry.gram * pushes[:, 0]
    columns = []
    for j in range(len(pushes)):
        direction = _pushed(model, geometry, pushes, [j])
        if geometry.gradients is None:
            columns.append(gradient_products(model, geometry.responses, direction))
        else:
            flat = torch.cat([part.reshape(-1) for part in direction.values()])
            columns.append(geometry.gradients @ flat.double().cpu().numpy())
    return np.stack(columns, axis=1).astype(float)


def _pushed(
    model: Any, geometry: Geometry, pushes: np.ndarray, rows: list[int]
) -> dict[str, Tensor]:
    """Where pushes on the tokens of these responses move the parameters."""
    part = geometry.responses[rows]
    own = pushes[rows, : part.mask.shape[1]]
    return weighted_gradient(model, part, own, parameters=geometry.parameter_names)


def _two_gradients(
    model: Any, geometry: Geometry, preference: np.ndarray, likelihood: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors with the inner products of the gradients behind two kinds of pushes.

    The second, those of a likelihood, push all tokens of a response alike.
    """
    across, square = (
        float(likelihood[:, 0] @ _rates(model, geometry, pushes).sum(1))
        for pushes in (preference, likelihood)
    )
    size = np.sqrt(max(square, 0.0))
    return np.array([across / size if size else 0.0]), np.array([size])
