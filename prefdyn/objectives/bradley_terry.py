"""Objectives that fit a Bradley-Terry model to the log-ratios."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective
from prefdyn.objectives._pair import Pair


@dataclass(frozen=True)
class DPO(Objective, id="dpo"):
    """Direct preference optimisation, ``L = -log sigmoid(beta h)`` (arXiv 2305.18290, eq. 7).

    ``h`` is the log-ratio gap of summed log-probabilities in nats, ``beta`` the strength of the
    pull to the reference.  Both pushes are ``beta sigmoid(-beta h)``, never zero: on a finite data
    set the margin grows without bound.
    """

    beta: float = 0.1

    def loss(self, pair: Pair, xp: Any = None, stats: Any = None) -> Any:
        """``-log sigmoid(beta h)`` per pair."""
        xp = xp or self.primitives(pair)
        return -xp.log_sigmoid(self.beta * pair.log_ratio_gap)
