"""Objectives that regress each log-ratio on a target of its own.

The targets are about ``+-1/(2 beta)``, so losses are of the size ``1/beta^2``: 2.5e5 at the
published beta of 0.001.
"""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import positive, weight

Array = Any


def _targets(pair: Pair, beta: Any) -> Array:
    """``(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2``."""
    target = 1 / (2 * beta)
    return (pair.chosen_log_ratio - target) ** 2 + (pair.rejected_log_ratio + target) ** 2


@dataclass(frozen=True)
class CalDPO(Objective, id="cal_dpo"):
    """Calibrated DPO (arXiv 2412.14516), with the weights of the authors' code.

    ``L = -log sigmoid(h) + cal_weight [(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2]``;
    ``d_w = sigmoid(-h) + 2 cal_weight (1/(2 beta) - a)``,
    ``d_l = sigmoid(-h) + 2 cal_weight (b + 1/(2 beta))``.  Trap: beta is *not* inside the sigmoid.
    That the paper's own display has the same weights is reconstructed here.
    """

    beta: float = positive(0.001)
    cal_weight: float = weight(0.5)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Logistic loss plus calibration."""
        xp = xp or self.primitives(pair)
        return self.cal_weight * _targets(pair, self.beta) - xp.log_sigmoid(pair.log_ratio_gap)


@dataclass(frozen=True)
class SPPOHard(Objective, id="sppo_hard"):
    """Self-play preference optimisation with win rates 1 and 0 (arXiv 2405.00675), in TRL's form.

    ``L = (a - 1/(2 beta))^2 + (b + 1/(2 beta))^2``; ``d_w = 2 (1/(2 beta) - a)``,
    ``d_l = 2 (b + 1/(2 beta))``.  `beta` is 1/eta.  Trap: twice the loss of `SPPO` at win rates 1
    and 0, for want of its factor 1/2.
    """

    beta: float = positive(0.001)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Squared distance of the log-ratios from their targets."""
        return _targets(pair, self.beta)


@dataclass(frozen=True)
class SPPO(Objective, id="sppo"):
    """Self-play preference optimisation with estimated win rates (arXiv 2405.00675).

    ``L = [(a - (P_w - 1/2)/beta)^2 + (b - (P_l - 1/2)/beta)^2] / 2``;
    ``d_w = (P_w - 1/2)/beta - a``, ``d_l = b - (P_l - 1/2)/beta``.  `beta` is 1/eta; the win rates
    `Pair.chosen_win_rate`, `Pair.rejected_win_rate` are against samples of the current policy.
    Trap: the reference is the previous iterate, not the first.
    """

    beta: float = positive(0.001)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Squared distance of the log-ratios from their win rates, scaled."""
        win_w, win_l = self.require(pair, "chosen_win_rate", "rejected_win_rate")
        chosen = pair.chosen_log_ratio - (win_w - 0.5) / self.beta
        rejected = pair.rejected_log_ratio - (win_l - 0.5) / self.beta
        return (chosen**2 + rejected**2) / 2
