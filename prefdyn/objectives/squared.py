"""Objectives that regress the log-ratio gap on a target."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective
from prefdyn.objectives._pair import Pair


@dataclass(frozen=True)
class IPO(Objective, id="ipo"):
    """Identity preference optimisation, ``L = (h - 1/(2 beta))^2`` (arXiv 2310.12036, eq. 17).

    ``h`` is the log-ratio gap of summed log-probabilities in nats; ``beta`` is the paper's tau.
    Both pushes are ``2 (1/(2 beta) - h)``: past the target the pair is pulled back.  TRL divides
    log-ratios by response length first, which multiplies the meaning of beta by the length.
    """

    beta: float = 0.1

    def loss(self, pair: Pair, xp: Any = None, stats: Any = None) -> Any:
        """``(h - 1/(2 beta))^2`` per pair."""
        return (pair.log_ratio_gap - 1 / (2 * self.beta)) ** 2
