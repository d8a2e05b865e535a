"""A preference data set as token ids, its reference, and the batches of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses
from prefdyn.llm._pair_loss import PairLoss, with_mismatched
from prefdyn.llm._usable import usable_pairs
from prefdyn.llm.data import paired_responses, read_pairs
from prefdyn.objectives import Objective


class Data(NamedTuple):
    """Pairs that fit a model: chosen and rejected in turn, and how many were left out, why."""

    responses: Responses
    skipped: dict[str, int]

    @property
    def pairs(self) -> int:
        """How many there are."""
        return len(self.responses) // 2


def read_data(
    source: str | Path,
    model: Any,
    tokenizer: Any,
    *,
    max_length: int | None = None,
    skip_bad: bool = False,
) -> Data:
    """Read and encode preference pairs for a model.

    Parameters
    ----------
    source
        As of `prefdyn.llm.read_pairs`.
    model, tokenizer
        What they are for.
    max_length
        Most tokens of prompt and completion; by default what the model's context holds.
    skip_bad
        Whether to leave out pairs that cannot be used.

    Raises
    ------
    InputError
        For a pair that cannot be used, or if none is left.
    """
    raw = read_pairs(source, skip_bad=skip_bad)
    reader = usable_pairs(model, tokenizer, raw, max_length, skip_bad=skip_bad)
    kept = list(reader)
    if not kept:
        raise InputError(f"{source} has no pair that can be used ({dict(reader.skipped)}).")
    return Data(paired_responses(kept)[0], dict(reader.skipped))


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of a data set, drawn in an order that seed and step alone decide.

    Parameters
    ----------
    objective
        What is minimised.
    responses
        Chosen and rejected of every pair in turn; behind them, for an objective that wants them,
        those of `with_mismatched`.
    reference
        Token log-probabilities (R, T) of all responses under the reference.
    size
        Pairs in a batch.
    seed
        Of the order.
    extra
        Further fields of `Pair`, (M,) each.
    """

    objective: Objective
    responses: Responses
    reference: Tensor
    size: int
    seed: int
    extra: Mapping[str, np.ndarray]

    @property
    def M(self) -> int:
        """Number of pairs."""
        return len(self.responses) // (4 if self.objective.mismatched else 2)

    def picks(self, step: int) -> np.ndarray:
        """Numbers of the pairs in the batch of a step; epochs follow each other without a seam."""
        places = np.arange(step * self.size, (step + 1) * self.size)
        epochs = {
            int(epoch): np.random.default_rng([self.seed, int(epoch)]).permutation(self.M)
            for epoch in np.unique(places // self.M)
        }
        return np.array([epochs[place // self.M][place % self.M] for place in places.tolist()])

    def loss(self, step: int) -> PairLoss:
        """The batch of a step."""
        picks = self.picks(step)
        rows = (2 * picks[:, None] + np.arange(2)).reshape(-1)
        pairs = np.arange(len(rows)).reshape(-1, 2)
        mismatched = None
        if self.objective.mismatched:
            rows = np.concatenate([rows, rows + 2 * self.M])
            mismatched = pairs + pairs.size
        responses = self.responses[rows]
        reference = self.reference[torch.as_tensor(rows), : responses.mask.shape[1]]
        extra = {name: values[picks] for name, values in self.extra.items()}
        return PairLoss(
            self.objective,
            responses,
            pairs,
            reference,
            extra=extra,
            mismatched=mismatched,
        )


def with_what_it_needs(objective: Objective, responses: Responses) -> Responses:
    """The pairs' responses, and mismatched ones behind them for an objective that wants them."""
    if not objective.mismatched:
        return responses
    return with_mismatched(responses, np.arange(len(responses)).reshape(-1, 2))[0]
