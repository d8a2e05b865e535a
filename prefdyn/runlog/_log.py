"""What a training log holds, in this package's words and units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Split = Literal["eval", "train"]


@dataclass(frozen=True, eq=False)
class Series:
    """One quantity over a run.

    Attributes
    ----------
    name : str
        What it is, see `RunLog`.
    column : str
        What the file calls it.
    split : str
        ``"eval"`` (the same responses every time) or ``"train"`` (each batch its own).
    steps : numpy.ndarray
        (n,) optimiser steps, or rows where the file has no steps; strictly increasing.
    values : numpy.ndarray
        (n,) finite numbers.
    """

    name: str
    column: str
    split: Split
    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class RunLog:
    """A training log.

    Names of series, all means over responses, log-probabilities in nats and summed over tokens:
    ``chosen``, ``rejected``, ``greedy`` (what the model itself would say: its continuation before
    training, or the likeliest token at every place of a response), ``chosen_rephrased``,
    ``rejected_rephrased``, ``unrelated``; ``chosen_per_token``, ``rejected_per_token`` where the
    trainer logs means over tokens instead; ``top_token``, ``chosen_floor``, ``rejected_floor`` (the
    log-probability of single tokens: the likeliest at each place, the least likely of a response);
    ``reward_chosen``, ``reward_rejected``, ``reward_margin`` (beta times log-ratios; beta times
    log-probabilities if ``settings["reference_free"]``), ``accuracy``, ``loss``, ``nll`` (nats per
    token), ``kl``, ``entropy`` (nats per token), ``response_entropy`` (nats), ``mass_inside``,
    ``gradient_cosine``, ``gradient_norm``, ``rate``, ``length``.

    Attributes
    ----------
    source : str
        The file.
    format : str
        What kind of file it was taken for.
    series : mapping
        `Series` by ``"eval/NAME"`` and ``"train/NAME"``.
    rounds : numpy.ndarray or None
        (T, d) log-probabilities at the start and at the end of each round, where the log has
        rounds.
    round_names : tuple of str
        What the d columns of ``rounds`` are.
    settings : mapping
        ``beta``, ``loss_type``, ``learning_rate``, ... where the file, or the caller, says so.
    unknown : tuple of str
        Columns of numbers whose names are not known; nothing is guessed of them.
    notes : tuple of str
        Sentences on what was assumed in reading it, and what was left out.
    lost : mapping
        Columns whose last readings are not finite numbers, and the step of the first of these.
    """

    source: str
    format: str
    series: Mapping[str, Series]
    rounds: np.ndarray | None
    settings: Mapping[str, Any]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    round_names: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)

    def get(self, name: str) -> Series | None:
        """The series of this name: of the evaluations if there is one, else of training."""
        return self.series.get(f"eval/{name}") or self.series.get(f"train/{name}")
