"""SLIME: likelihood, a floor under rejected tokens, and a margin; token level, no reference."""

from dataclasses import dataclass
from typing import Any, ClassVar

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, weight, word
from prefdyn.objectives._tokens import tokens

Array = Any


@dataclass(frozen=True)
class SLIME(Objective, id="slime"):
    """SLIME (arXiv 2602.02383), with the defaults of the paper.

    ``L = -lambda_w c_w + lambda_l mean_t softplus(-log pi(l_t) - delta)^p
    + lambda_d max(0, m_h - m) sigmoid(-kappa (m - m_s))`` with c the log-probability per token and
    ``m = c_w - c_l``.  With ``v = sigmoid(-kappa (m - m_s))``, ``u = m_h - m`` and
    ``F = lambda_d (v + kappa u v (1-v)) 1[m < m_h]`` every chosen token is pushed up by
    ``(lambda_w + F)/n_w`` and rejected token t down by
    ``(F - lambda_l p softplus(z)^{p-1} sigmoid(z))/n_l``, ``z = -log pi(l_t) - delta``: negative,
    that is pulled *up*, far below -delta.

    Traps: the released code's default ``lambda_l = 5e-4`` puts the floor near -87 nats, which is
    none at all; F jumps from 0.23 to 0 at ``m = m_h``; one display of the paper has sums in m,
    its appendix and code have means; the code averages the rejected penalty over all rejected
    tokens of the batch (``token_reduction="batch"``) and masks tokens whose log-probability is
    exactly 0.
    """

    lambda_w: float = weight(0.1)
    lambda_l: float = weight(0.1)
    lambda_d: float = weight(1.0)
    delta: float = number(1.25)
    m_h: float = number(1.5)
    m_s: float = number(1.0)
    kappa: float = positive(2.5)
    p: float = number(2.5, least=1)
    token_reduction: str = word("response", "batch")
    token_level: ClassVar[bool] = True

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Likelihood, floor and margin of each pair."""
        xp = xp or self.primitives(pair)
        chosen, rejected = self.require(pair, "chosen_tokens", "rejected_tokens")
        chosen = tokens(chosen, pair.chosen_mask, xp)
        rejected = tokens(rejected, pair.rejected_mask, xp)
        c_w = chosen.mean(chosen.values, xp)
        m = c_w - rejected.mean(rejected.values, xp)
        depth = xp.softplus(-rejected.values - self.delta) ** self.p
        per = rejected.count if self.token_reduction == "response" else xp.mean(rejected.count)
        floor = rejected.sum(depth, xp) / per
        margin = xp.relu(self.m_h - m) * xp.sigmoid(-self.kappa * (m - self.m_s))
        return -self.lambda_w * c_w + self.lambda_l * floor + self.lambda_d * margin
