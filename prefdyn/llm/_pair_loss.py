"""An objective of the shared core on pairs of a language model's responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn import objectives
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import token_log_probs
from prefdyn.objectives import Objective, Pair

Stats = dict[str, Any]


@dataclass(frozen=True, eq=False)
class PairLoss:
    """``sum_r weights_r L(pair r)`` with the reference's log-probabilities held fixed.

    Parameters
    ----------
    objective
        An `Objective` of `prefdyn.objectives`, or the id of one.
    responses
        The R responses.
    pairs
        (M, 2) numbers of chosen and rejected.
    reference
        Token log-probabilities (R, T) of the reference model.
    weights
        (M,); 1/M by default.
    extra
        Further fields of `Pair`, one entry per pair.
    """

    objective: Any
    responses: Responses
    pairs: Any
    reference: Tensor
    weights: Sequence[float] | np.ndarray | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.objective, str):
            object.__setattr__(self, "objective", objectives.get(self.objective))
        assert isinstance(self.objective, Objective)

    def pair(self, tokens: Tensor) -> Pair:
        """What the objective sees, of token log-probabilities (R, T)."""
        fields: dict[str, Any] = {}
        mask = tokens.new_tensor(self.responses.mask)
        lengths = tokens.new_tensor(self.responses.lengths)
        reference = self.reference.to(tokens)
        for side, column in (("chosen", 0), ("rejected", 1)):
            rows = torch.as_tensor(np.asarray(self.pairs)[:, column], device=tokens.device)
            fields[side] = tokens[rows].sum(-1)
            fields[f"ref_{side}"] = reference[rows].sum(-1)
            fields[f"{side}_length"] = lengths[rows]
            if self.objective.token_level:
                fields[f"{side}_tokens"] = tokens[rows]
                fields[f"ref_{side}_tokens"] = reference[rows]
                fields[f"{side}_mask"] = mask[rows]
        return Pair(**fields | dict(self.extra))

    def of_tokens(self, tokens: Tensor, stats: Stats | None = None) -> Tensor:
        """The loss of token log-probabilities (R, T)."""
        losses = self.objective.loss(self.pair(tokens), stats=stats)
        if self.weights is None:
            return losses.mean()
        return (losses * losses.new_tensor(self.weights)).sum()

    def __call__(self, model: Any, stats: Stats | None = None) -> Tensor:
        """The loss of a model; differentiable in its parameters."""
        return self.of_tokens(token_log_probs(model, self.responses), stats)
