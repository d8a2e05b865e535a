"""The gradient of a batch, in as many pieces as memory or machines ask for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prefdyn.llm._pair_loss import Measured, PairLoss, measure

Stats = dict[str, Any]


class Team(NamedTuple):
    """The processes that share a batch.

    Attributes
    ----------
    number, size : int
        Which of how many processes this one is.
    add : callable
        Sum of a tensor over all of them.
    """

    number: int = 0
    size: int = 1
    add: Callable[[Tensor], Tensor] = lambda values: values


ALONE = Team()


class Batch(NamedTuple):
    """What a backward pass has seen: the loss, the statistics with this batch, all responses."""

    loss: Tensor
    stats: Stats | None
    measured: Measured


def backward(
    model: Any, loss: PairLoss, stats: Stats | None = None, *, pieces: int = 1, team: Team = ALONE
) -> Batch:
    """Leave the gradient of a batch's loss in the parameters' ``grad``, replacing what is there.

    The loss is that of the whole batch, sorts and running statistics included, however many pieces
    its responses are run in: log-probabilities first, then the pushes ``dL/dlog pi`` of the whole
    batch, then each piece's share of the gradient, which is linear in them.  More than one piece
    costs a second forward pass.

    Parameters
    ----------
    model
        A causal language model.
    loss
        The batch.
    stats
        The objective's statistics before it.
    pieces
        Number of pieces, in each process.
    team
        The processes; each runs its share of the responses and has the whole gradient in the end.

    Returns
    -------
    Batch
        With log-probabilities of the responses in ``loss.rows`` and ``loss.unpaired``, 0 elsewhere.
    """
    mine = loss.rows[team.number :: team.size]
    shares = [share for share in np.array_split(mine, pieces) if len(share)]
    runs = _Runs(model, loss, shares, keep=len(shares) == 1)
    others = loss.unpaired[team.number :: team.size]
    measured = _gathered(loss, [*runs.seen, *_constants(model, loss, others)], team)
    parts = loss.objective.gradient_parts
    gradients = None
    if parts is not None and stats is not None:
        inner = stats.get("base")
        one, two = (
            runs.gradient(_pushes(loss.with_objective(part), measured, known)[1], team)
            for part, known in zip(parts, (inner, None), strict=True)
        )
        gradients = _inner_products(one, two)
    stats = loss.updated(stats, measured, gradients)
    value, pushes = _pushes(loss, measured, stats)
    gradient = runs.gradient(pushes, team)
    for parameter, part in zip(trainable(model), gradient, strict=True):
        parameter.grad = part
    return Batch(value, stats, measured)


def assess(model: Any, loss: PairLoss, stats: Stats | None = None) -> Batch:
    """What `backward` returns, without a backward pass where the statistics need none."""
    if loss.objective.gradient_parts is not None:
        return backward(model, loss, stats)
    runs = _Runs(model, loss, [loss.rows], keep=False)
    measured = _gathered(loss, [*runs.seen, *_constants(model, loss, loss.unpaired)], ALONE)
    stats = loss.updated(stats, measured)
    return Batch(loss.of_tokens(measured.tokens, stats, measured.log_sum_p2), stats, measured)


def trainable(model: Any) -> list[Tensor]:
    """The model's parameters that require a gradient, in its own order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


class _Runs:
    """Forward passes of the pieces; of a single one the graph is kept."""

    def __init__(self, model: Any, loss: PairLoss, shares: list[np.ndarray], *, keep: bool):
        self.model, self.loss, self.shares, self.keep = model, loss, shares, keep
        with torch.set_grad_enabled(keep):
            self.seen = [(share, self._measure(share)) for share in shares]

    def _measure(self, share: np.ndarray) -> Measured:
        squares = self.loss.objective.token_level
        return measure(self.model, self.loss.responses[share], squares=squares)

    def gradient(self, pushes: Tensor, team: Team) -> list[Tensor]:
        """``sum pushes * dlog pi`` in every parameter, over all pieces and processes."""
        parameters = trainable(self.model)
        total = [torch.zeros_like(parameter) for parameter in parameters]
        for share, measured in self.seen:
            tokens = measured.tokens if self.keep else self._measure(share).tokens
            rows = torch.as_tensor(share, device=pushes.device)
            own = pushes[rows, : tokens.shape[1]].to(tokens.device)
            found = torch.autograd.grad(
                tokens, parameters, own, retain_graph=self.keep, allow_unused=True
            )
            for sum_, part in zip(total, found, strict=True):
                if part is not None:
                    sum_ += part
        return [team.add(sum_) for sum_ in total]


def _constants(model: Any, loss: PairLoss, rows: np.ndarray) -> list[tuple[np.ndarray, Measured]]:
    if not len(rows):
        return []
    with torch.no_grad():
        return [(rows, measure(model, loss.responses[rows], squares=loss.objective.token_level))]


def _gathered(loss: PairLoss, seen: list[tuple[np.ndarray, Measured]], team: Team) -> Measured:
    """One table (R, T) of all responses, on every process."""
    any_ = seen[0][1].tokens

    def table(name: str) -> Tensor:
        whole = any_.new_zeros(loss.responses.mask.shape)
        for rows, measured in seen:
            values = getattr(measured, name).detach()
            whole[torch.as_tensor(rows, device=whole.device), : values.shape[1]] = values
        return team.add(whole)

    return Measured(table("tokens"), table("log_sum_p2") if loss.objective.token_level else None)


def _pushes(loss: PairLoss, measured: Measured, stats: Stats | None) -> tuple[Tensor, Tensor]:
    leaf = measured.tokens.detach().requires_grad_()
    value = loss.of_tokens(leaf, stats, measured.log_sum_p2)
    if not value.requires_grad:
        return value, torch.zeros_like(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def _inner_products(one: list[Tensor], two: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors with the inner products of two gradients, which may be long."""

    def dot(x: list[Tensor], y: list[Tensor]) -> float:
        return sum(float((a.double() * b.double()).sum()) for a, b in zip(x, y, strict=True))

    size = np.sqrt(dot(two, two))
    return np.array([dot(one, two) / size if size else 0.0]), np.array([size])
