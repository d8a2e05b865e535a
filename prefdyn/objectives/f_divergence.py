"""DPO under other divergences: ``L = -log sigmoid(beta (phi(a) - phi(b)))``.

``a, b`` are the log-ratios of the two responses; with s = sigmoid of the negative argument the
pushes are ``d_w = beta s phi'(a)``, ``d_l = beta s phi'(b)``.  ``phi(a) = a`` is the reverse KL,
that is DPO.
"""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Stats, get
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive
from prefdyn.objectives.bradley_terry import Logistic
from prefdyn.objectives.length_normalised import power_gap

Array = Any


@dataclass(frozen=True)
class FDPOJensenShannon(Logistic, id="f_dpo_js"):
    """f-DPO with the Jensen-Shannon divergence (arXiv 2309.16240).

    ``phi(a) = log sigmoid(a)`` up to a constant, ``phi'(a) = sigmoid(-a)``.  Trap: the chosen
    response saturates once a is well above 0, while the rejected one is still pushed.
    """

    beta: float = positive(0.1)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (log sigmoid(a) - log sigmoid(b))``."""
        chosen, rejected = pair.chosen_log_ratio, pair.rejected_log_ratio
        return self.beta * (xp.log_sigmoid(chosen) - xp.log_sigmoid(rejected))


@dataclass(frozen=True)
class FDPOForwardKL(Logistic, id="f_dpo_forward_kl"):
    """f-DPO with the forward KL divergence (arXiv 2309.16240).

    ``phi(a) = -e^{-a}``, ``phi'(a) = e^{-a}``.  Trap: the pushes explode for a well below 0; the
    exponent is guarded (and counted) only against overflow, and beyond that bound the push is 0
    just where it should be largest.  TRL has no guard here.
    """

    beta: float = positive(0.1)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (e^{-b} - e^{-a})``."""
        gap = xp.exp_difference(-pair.rejected_log_ratio, -pair.chosen_log_ratio)
        return self.beta * gap


@dataclass(frozen=True)
class FDPOAlpha(Logistic, id="f_dpo_alpha"):
    """f-DPO with an alpha-divergence (arXiv 2309.16240).

    ``phi(a) = (1 - e^{-alpha a}) / alpha``, ``phi'(a) = e^{-alpha a}``; alpha = 0 is the reverse KL
    (DPO), alpha = 1 the forward KL.  Trap: TRL 0.27 has this alpha with default 1; TRL 1.10 has
    ``c = 1 - alpha`` with default 0.5, which is the default here too.
    """

    beta: float = positive(0.1)
    alpha: float = number(0.5, least=0, most=1)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (phi(a) - phi(b))``."""
        gap = power_gap(pair.chosen_log_ratio, pair.rejected_log_ratio, self.alpha, xp)
        return self.beta * gap


def FDPO(link: str, **parameters: Any) -> Any:
    """f-DPO by the name of its divergence: ``"js"``, ``"forward_kl"`` or ``"alpha"``."""
    return get(f"f_dpo_{link}", **parameters)


@dataclass(frozen=True)
class ChiPO(Logistic, id="chipo"):
    """Chi-squared preference optimisation (arXiv 2407.13399).

    ``phi(a) = e^a + a``, ``phi'(a) = 1 + e^a``, and the *difference* ``x = beta (phi(a) - phi(b))``
    is clipped to ``+-2 r_max``, where both pushes are 0.  Traps: one public implementation clips
    each side by itself, the paper the difference; ``e^a - e^b`` is taken without cancellation and
    guarded against overflow.  The formula is second-hand, not read in the paper.
    """

    beta: float = positive(0.05)
    r_max: float = positive(1.0)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (phi(a) - phi(b))``, clipped."""
        excess = xp.exp_difference(pair.chosen_log_ratio, pair.rejected_log_ratio)
        x = self.beta * (pair.log_ratio_gap + excess)
        return xp.clip(x, -2 * self.r_max, 2 * self.r_max)
