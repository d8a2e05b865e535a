"""Likelihood plus a contrast of odds."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import positive

Array = Any


@dataclass(frozen=True)
class ORPO(Objective, id="orpo"):
    """Odds-ratio preference optimisation, without reference (arXiv 2403.07691).

    ``L = -c_w - beta log sigmoid(o(c_w) - o(c_l))`` with c the log-probability per token and
    ``o(c) = c - log(1 - e^c)`` the log-odds; `beta` is the paper's lambda.  With s the sigmoid of
    ``o_l - o_w`` and ``p = e^c``: ``d_w = 1/n_w + beta s/(n_w (1-p_w))``,
    ``d_l = beta s/(n_l (1-p_l))``.  Traps: 1/(1-p) diverges as c tends to 0, so a nearly certain
    *rejected* response is pushed down harder than the chosen one is pushed up; c is kept below 0
    by the counted guard of ``log1mexp``; TRL's likelihood runs over prompt and response.
    """

    beta: float = positive(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Likelihood plus odds-ratio term."""
        xp = xp or self.primitives(pair)
        chosen, rejected = pair.chosen_mean, pair.rejected_mean
        log_odds_ratio = chosen - rejected - xp.log1mexp(chosen) + xp.log1mexp(rejected)
        return -chosen - self.beta * xp.log_sigmoid(log_odds_ratio)
