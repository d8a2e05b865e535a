"""Objectives that divide log-probabilities by length, or weigh the tail of the longer response.

In the first group ``d_l / d_w = n_w / n_l``, so that even a prefix that both responses share is
pushed, by ``1/n_w - 1/n_l``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, smoothing
from prefdyn.objectives._tokens import Tokens, tokens
from prefdyn.objectives.bradley_terry import Logistic, smoothed

Array = Any


def power_gap(x: Array, y: Array, alpha: Any, xp: Any) -> Array:
    """``r(x) - r(y)`` with ``r(x) = (1 - e^{-alpha x}) / alpha``; the identity at alpha = 0."""
    flat = alpha == 0  # False for a symbol, an array for an array
    if isinstance(flat, bool | np.bool_):
        return x - y if flat else xp.exp_difference(-alpha * y, -alpha * x) / alpha
    curved = xp.where(flat, 1.0, alpha)
    return xp.where(flat, x - y, xp.exp_difference(-curved * y, -curved * x) / curved)


@dataclass(frozen=True)
class LengthNormDPO(Logistic, id="dpo_norm"):
    """DPO on log-ratios per token, ``L = -log sigmoid(beta rho)`` (Tulu 3, arXiv 2411.15124).

    ``rho = a/n_w - b/n_l``; with ``g = beta sigmoid(-beta rho)``: ``d_w = g/n_w``, ``d_l = g/n_l``.
    Trap: beta multiplies nats per token here, so useful values (about 5 in Tulu 3) are larger than
    DPO's; the default 0.1 is TRL's.
    """

    beta: float = positive(0.1)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta rho``."""
        return self.beta * pair.mean_log_ratio_gap


@dataclass(frozen=True)
class SimPO(Objective, id="simpo"):
    """Simple preference optimisation (arXiv 2405.14734): length-normalised, without reference.

    ``x = beta m - gamma`` with ``m = c_w - c_l`` in nats per token, and the logistic loss of x with
    smoothed labels; ``g = beta ((1-eps) - sigmoid(x))``, ``d_w = g/n_w``, ``d_l = g/n_l``.  Trap:
    `gamma` is the margin itself, as in TRL; the authors' code sets gamma/beta.  Their (beta,
    gamma/beta): code default (2, 0.25), Mistral-Instruct (2.5, 0.1), Llama-3-Instruct (2.5, 0.55),
    Gemma-2 (10, 0.5).
    """

    beta: float = positive(2.0)
    gamma: float = number(0.5)
    label_smoothing: float = smoothing(0.0)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Logistic loss of ``beta m - gamma``."""
        xp = xp or self.primitives(pair)
        return smoothed(self.beta * pair.mean_gap - self.gamma, self.label_smoothing, xp)


@dataclass(frozen=True)
class AlphaPO(Logistic, id="alphapo"):
    """AlphaPO (arXiv 2501.03884): SimPO with the reward ``r(c) = (1 - e^{-alpha c}) / alpha``.

    ``L = -log sigmoid(x)``, ``x = beta (r(c_w) - r(c_l)) - gamma``; with ``g = beta sigmoid(-x)``
    the pushes are ``d_w = g e^{-alpha c_w}/n_w``, ``d_l = g e^{-alpha c_l}/n_l``.  alpha = 0 is
    SimPO; alpha may be negative.  Trap: TRL reaches this loss through ``simpo`` with alpha != 0.
    Defaults are those for Mistral-Instruct.
    """

    beta: float = positive(2.5)
    gamma: float = number(0.1)
    alpha: float = number(0.25)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (r(c_w) - r(c_l)) - gamma``."""
        gap = power_gap(pair.chosen_mean, pair.rejected_mean, self.alpha, xp)
        return self.beta * gap - self.gamma


@dataclass(frozen=True)
class LDDPO(Logistic, id="ld_dpo"):
    """Length-desensitised DPO (arXiv 2409.06411): tokens beyond the common length count `alpha`.

    Each response is summed as ``sum_{t<=k} log pi_t + alpha sum_{t>k} log pi_t`` with
    ``k = min(n_w, n_l)``, under policy and reference alike, and DPO is applied to these sums: a
    token is pushed by ``beta sigmoid(-x)`` up to k and alpha times that after it.  alpha = 1 is
    DPO, alpha = 0 drops the tail.  Needs token log-probabilities.  Trap: TRL 0.27 weighed the
    policy only.
    """

    beta: float = positive(0.1)
    alpha: float = number(0.5, least=0, most=1)
    token_level: ClassVar[bool] = True

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta`` times the gap of the weighted log-ratios."""
        chosen, rejected, ref_chosen, ref_rejected = self.require(
            pair, "chosen_tokens", "rejected_tokens", "ref_chosen_tokens", "ref_rejected_tokens"
        )
        won = tokens(chosen - ref_chosen, pair.chosen_mask, xp)
        lost = tokens(rejected - ref_rejected, pair.rejected_mask, xp)
        common = xp.where(won.count < lost.count, won.count, lost.count)
        return self.beta * (self._sum(won, common, xp) - self._sum(lost, common, xp))

    def _sum(self, log_ratios: Tokens, common: Array, xp: Any) -> Array:
        inside = log_ratios.positions() <= common[..., None]
        return log_ratios.sum(log_ratios.values * xp.where(inside, 1.0, self.alpha), xp)
