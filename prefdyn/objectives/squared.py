"""Objectives that regress the log-ratio gap on a target."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import positive

Array = Any


@dataclass(frozen=True)
class IPO(Objective, id="ipo"):
    """Identity preference optimisation, ``L = (h - 1/(2 beta))^2`` (arXiv 2310.12036, eq. 17).

    ``h`` is the log-ratio gap of summed log-probabilities in nats; ``beta`` is the paper's tau.
    Both pushes are ``2 (1/(2 beta) - h)``: past the target the pair is pulled back.  TRL divides
    log-ratios by response length first (`IPOMean`), which multiplies the meaning of beta by the
    length.
    """

    beta: float = positive(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """``(h - 1/(2 beta))^2`` per pair."""
        return (pair.log_ratio_gap - 1 / (2 * self.beta)) ** 2


@dataclass(frozen=True)
class IPOMean(Objective, id="ipo_mean"):
    """IPO on log-ratios per token, ``L = (rho - 1/(2 beta))^2`` (arXiv 2310.12036, as in TRL).

    ``rho = a/n_w - b/n_l`` with the log-ratios a, b of the two responses.  With
    ``k = 2 (1/(2 beta) - rho)`` the pushes are ``d_w = k/n_w``, ``d_l = k/n_l``.  Trap: the target
    is per token here, so beta means something else than in `IPO`; they agree for responses of one
    token only, and TRL's logged reward margins stay those of the sums.
    """

    beta: float = positive(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """``(rho - 1/(2 beta))^2`` per pair."""
        return (pair.mean_log_ratio_gap - 1 / (2 * self.beta)) ** 2
