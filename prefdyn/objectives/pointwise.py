"""Objectives that judge each response by itself: a chosen half plus a rejected half.

TRL averages over 2B samples, which is half of the mean over B pairs.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats, to_numpy
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, number_or_word, positive, weight
from prefdyn.objectives._primitives import primitives

Array = Any


class Pointwise(Objective):
    """Base: a loss for a chosen and one for a rejected response, each of its own log-ratio.

    ``chosen_half(a)`` and ``rejected_half(b)`` take log-ratios ``log pi - log ref`` in nats, so
    that data without pairs need only the half they have.
    """

    @abstractmethod
    def chosen_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """Loss of a chosen (desirable) response."""

    @abstractmethod
    def rejected_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """Loss of a rejected (undesirable) response."""

    def halves(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> tuple[Array, Array]:
        """Both halves; their sum is the loss."""
        xp = xp or self.primitives(pair)
        return (
            self.chosen_half(pair.chosen_log_ratio, xp, stats),
            self.rejected_half(pair.rejected_log_ratio, xp, stats),
        )

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Sum of both halves."""
        chosen, rejected = self.halves(pair, xp, stats)
        return chosen + rejected


@dataclass(frozen=True)
class KTO(Pointwise, id="kto"):
    """Kahneman-Tversky optimisation (arXiv 2402.01306).

    ``L = lambda_d sigmoid(-beta (a - z0)) + lambda_u sigmoid(beta (b - z0))`` with the log-ratios
    a, b; ``d_w = lambda_d beta sigmoid'(beta (a - z0))``, likewise ``d_l`` from b.  z0, in nats, is
    a constant for the gradient: the mean log-ratio over *mismatched* prompt-answer pairs, at
    least 0.  Give it as a number, or leave it None and pass ``stats = objective.update(stats,
    mismatched)`` with the pair of the same answers under other prompts.  Traps: z0 stands inside
    beta (some tables print beta KL); an older paired variant takes the z0 of each half from the
    other half; both pushes vanish far from z0, so badly misranked responses are ignored.
    """

    beta: float = positive(0.1)
    lambda_d: float = weight(1.0)
    lambda_u: float = weight(1.0)
    z0: float | None = number(None)

    @property
    def mismatched(self) -> bool:
        """Unless z0 is given as a number."""
        return self.z0 is None

    def initial_stats(self) -> Stats | None:
        """z0 = 0, which is exact while the policy is the reference."""
        return {"z0": 0.0} if self.z0 is None else None

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """z0 of a batch of at least two *mismatched* pairs; the last batch alone counts."""
        if self.z0 is not None:
            return stats
        log_ratios = _log_ratios(pair)
        if log_ratios.shape[1] < 2:
            raise InputError(
                "objective 'kto' takes z0 from mismatched prompts and answers, which a batch of "
                "one does not have: give two pairs or more, or z0 as a number."
            )
        return {"z0": max(0.0, float(log_ratios.mean()))}

    def chosen_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``lambda_d sigmoid(-beta (a - z0))``."""
        xp = xp or primitives(log_ratio)
        return self.lambda_d * xp.sigmoid(-self.beta * (log_ratio - self._z0(stats)))

    def rejected_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``lambda_u sigmoid(beta (b - z0))``."""
        xp = xp or primitives(log_ratio)
        return self.lambda_u * xp.sigmoid(self.beta * (log_ratio - self._z0(stats)))

    def _z0(self, stats: Stats | None) -> Any:
        return self.statistic(stats, "z0") if self.z0 is None else self.z0


@dataclass(frozen=True)
class BCO(Pointwise, id="bco"):
    """Binary classifier optimisation (arXiv 2404.04656).

    ``L = -log sigmoid(beta a - delta) - log sigmoid(-(beta b - delta))``;
    ``d_w = beta sigmoid(delta - beta a)``, ``d_l = beta sigmoid(beta b - delta)``.  delta, a
    constant for the gradient, is the running mean of all rewards beta a, beta b seen, the current
    batch included: by sample (``"samples"``), as the mean of batch means (``"batch_means"``), or a
    number.  Traps: TRL 1.10's ``bco_pair`` has delta = 0, 0.27 the mean of batch means, its BCO
    trainer the mean by samples; TRL's page prints DPO's formula.  beta 0.01 is the paper's.
    """

    beta: float = positive(0.01)
    delta: float | str = number_or_word("samples", "samples", "batch_means")

    def initial_stats(self) -> Stats | None:
        """The mean 0 of nothing counted."""
        return {"delta": 0.0, "count": 0} if isinstance(self.delta, str) else None

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """The running mean with one more batch."""
        if not isinstance(self.delta, str):
            return stats
        stats = stats or self.initial_stats() or {}
        rewards = to_numpy(self.beta) * _log_ratios(pair)
        weight = rewards.size if self.delta == "samples" else 1
        count = stats["count"] + weight
        step = (float(rewards.mean()) - stats["delta"]) * weight / count
        return {"delta": stats["delta"] + step, "count": count}

    def chosen_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``-log sigmoid(beta a - delta)``."""
        xp = xp or primitives(log_ratio)
        return -xp.log_sigmoid(self.beta * log_ratio - self._delta(stats))

    def rejected_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``-log sigmoid(-(beta b - delta))``."""
        xp = xp or primitives(log_ratio)
        return -xp.log_sigmoid(self._delta(stats) - self.beta * log_ratio)

    def _delta(self, stats: Stats | None) -> Any:
        return self.statistic(stats, "delta") if isinstance(self.delta, str) else self.delta


@dataclass(frozen=True)
class NCAPair(Pointwise, id="nca_pair"):
    """Noise contrastive alignment on pairs (arXiv 2402.05369).

    ``L = -log sigmoid(beta a) - log sigmoid(-beta a)/2 - log sigmoid(-beta b)/2``;
    ``d_w = beta (sigmoid(-beta a) - sigmoid(beta a)/2)``, ``d_l = beta sigmoid(beta b)/2``.  Trap:
    the chosen response rests at ``beta a = log 2`` and is pushed *down* beyond it, while the
    rejected one falls without bound.
    """

    beta: float = positive(0.01)

    def chosen_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``-log sigmoid(beta a) - log sigmoid(-beta a)/2``."""
        xp, x = xp or primitives(log_ratio), self.beta * log_ratio
        return -xp.log_sigmoid(x) - xp.log_sigmoid(-x) / 2

    def rejected_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``-log sigmoid(-beta b)/2``."""
        xp = xp or primitives(log_ratio)
        return -xp.log_sigmoid(-self.beta * log_ratio) / 2


@dataclass(frozen=True)
class APOZero(Pointwise, id="apo_zero"):
    """Anchored preference optimisation, "zero" (arXiv 2408.06266): KTO with z0 = 0.

    ``L = sigmoid(-beta a) + sigmoid(beta b)``; ``d_w = beta sigmoid'(beta a)``,
    ``d_l = beta sigmoid'(beta b)``: chosen up and rejected down, for a model worse than the data.
    Trap: both pushes vanish far from the reference.
    """

    beta: float = positive(0.1)

    def chosen_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``sigmoid(-beta a)``."""
        xp = xp or primitives(log_ratio)
        return xp.sigmoid(-self.beta * log_ratio)

    def rejected_half(self, log_ratio: Array, xp: Any = None, stats: Stats | None = None) -> Array:
        """``sigmoid(beta b)``."""
        xp = xp or primitives(log_ratio)
        return xp.sigmoid(self.beta * log_ratio)


@dataclass(frozen=True)
class APODown(Objective, id="apo_down"):
    """Anchored preference optimisation, "down" (arXiv 2408.06266), for models better than the data.

    ``L = sigmoid(beta a) + sigmoid(-beta h)``;
    ``d_w = beta (sigmoid'(beta h) - sigmoid'(beta a))``, ``d_l = beta sigmoid'(beta h)``.
    Trap: the chosen response is pushed *down* wherever
    ``|h| > |a|``, by design; at policy = reference its push is exactly 0.  The second half is of
    the pair, so responses without a partner have only the first.
    """

    beta: float = positive(0.1)

    def halves(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> tuple[Array, Array]:
        """The chosen half and the half of the pair; their sum is the loss."""
        xp = xp or self.primitives(pair)
        return (
            xp.sigmoid(self.beta * pair.chosen_log_ratio),
            xp.sigmoid(-self.beta * pair.log_ratio_gap),
        )

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Sum of both halves."""
        chosen, rejected = self.halves(pair, xp, stats)
        return chosen + rejected


def _log_ratios(pair: Pair) -> np.ndarray:
    """Log-ratios of chosen and rejected responses, (2, rows)."""
    sides = np.broadcast_arrays(to_numpy(pair.chosen_log_ratio), to_numpy(pair.rejected_log_ratio))
    return np.stack([side.ravel() for side in sides])
