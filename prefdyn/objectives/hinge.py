"""Objectives with a margin beyond which a pair is left alone."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, weight

Array = Any


@dataclass(frozen=True)
class RSOHinge(Objective, id="rso_hinge"):
    """Hinge loss of statistical rejection sampling, ``L = max(0, 1 - beta h)`` (arXiv 2309.06657).

    Both pushes are beta while ``beta h < 1`` and 0 after that: 1/beta is the margin in nats.
    Trap: TRL calls this ``hinge`` and SLiC-HF; it is not the loss of `SLiCHF`.
    """

    beta: float = positive(0.05)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """``max(0, 1 - beta h)`` per pair."""
        xp = xp or self.primitives(pair)
        return xp.relu(1 - self.beta * pair.log_ratio_gap)


@dataclass(frozen=True)
class SLiCHF(Objective, id="slic_hf"):
    """Sequence likelihood calibration (arXiv 2305.10425): a hinge without reference, plus an NLL.

    ``L = max(0, delta - log pi_w + log pi_l) - nll_weight log pi_w``; while the hinge is active
    ``d_w = 1 + nll_weight`` and ``d_l = 1``, after that ``nll_weight`` and 0.  Traps: all sums, no
    means; and in the paper the regulariser is on the fine-tuning target or a sample of the
    reference, which need not be the chosen response.
    """

    delta: float = number(1.0)
    nll_weight: float = weight(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Hinge plus likelihood."""
        xp = xp or self.primitives(pair)
        return xp.relu(self.delta - pair.gap) - self.nll_weight * pair.chosen


@dataclass(frozen=True)
class RRHF(Objective, id="rrhf"):
    """Rank responses to align (arXiv 2304.05302), pair form, plus the likelihood of the chosen one.

    ``L = max(0, c_l - c_w) - nll_weight log pi_w`` with c the log-probability per token; while
    ``c_w < c_l`` the pushes are ``d_w = 1/n_w + nll_weight``, ``d_l = 1/n_l``.  The paper ranks k
    responses; this pair form is reconstructed here.  Trap: the kink is at equal means.
    """

    nll_weight: float = weight(1.0)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Ranking hinge plus likelihood."""
        xp = xp or self.primitives(pair)
        return xp.relu(-pair.mean_gap) - self.nll_weight * pair.chosen
