"""Objectives that fit a Bradley-Terry model to the log-ratios."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, smoothing, weight, word
from prefdyn.objectives.likelihood import nll

Array = Any


class Logistic(Objective):
    """Base of all objectives of the form ``L = -log sigmoid(x)``: a subclass gives x."""

    @abstractmethod
    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """The argument ``x`` of ``log sigmoid``."""

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """``-log sigmoid(x)`` per pair."""
        xp = xp or self.primitives(pair)
        return -xp.log_sigmoid(self.margin(pair, xp, stats))


def smoothed(x: Array, label_smoothing: Any, xp: Any) -> Array:
    """``-(1-eps) log sigmoid(x) - eps log sigmoid(-x)``; at rest at ``x = log((1-eps)/eps)``."""
    return -(1 - label_smoothing) * xp.log_sigmoid(x) - label_smoothing * xp.log_sigmoid(-x)


@dataclass(frozen=True)
class DPO(Logistic, id="dpo"):
    """Direct preference optimisation, ``L = -log sigmoid(beta h)`` (arXiv 2305.18290, eq. 7).

    ``h`` is the log-ratio gap of summed log-probabilities in nats, ``beta`` the strength of the
    pull to the reference.  Both pushes are ``beta sigmoid(-beta h)``, never zero: on a finite data
    set the margin grows without bound.  beta 0.1 is the paper's; tuned baselines use 0.01 with a
    smaller learning rate.
    """

    beta: float = positive(0.1)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta h``."""
        return self.beta * pair.log_ratio_gap


@dataclass(frozen=True)
class ConservativeDPO(Objective, id="cdpo"):
    """DPO with smoothed labels, ``L = -(1-eps) log sigmoid(x) - eps log sigmoid(-x)``, x = beta h.

    E. Mitchell, "A note on DPO with noisy preferences and relationship to IPO" (2023, no arXiv
    number).  Both pushes are ``beta ((1-eps) - sigmoid(x))``.  Trap: they change sign at the rest
    point ``x = log((1-eps)/eps)``, 2.197 at eps = 0.1.  TRL reached it through ``label_smoothing``
    of its ``sigmoid`` loss up to 0.27; later versions ignore that setting there.
    """

    beta: float = positive(0.1)
    label_smoothing: float = smoothing(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """The cross-entropy with smoothed labels."""
        xp = xp or self.primitives(pair)
        return smoothed(self.beta * pair.log_ratio_gap, self.label_smoothing, xp)


@dataclass(frozen=True)
class RobustDPO(Objective, id="robust_dpo"):
    """Provably robust DPO (arXiv 2403.00409): an unbiased estimate of DPO's loss under label flips.

    ``L = [-(1-eps) log sigmoid(x) + eps log sigmoid(-x)] / (1 - 2 eps)``, x = beta h; both pushes
    are ``beta [(1-eps) sigmoid(-x) + eps sigmoid(x)] / (1 - 2 eps)``.  Trap: the same eps as in
    conservative DPO does the opposite: there is no rest point, and for large x the loss falls like
    ``-eps x / (1 - 2 eps)`` without bound.
    """

    beta: float = positive(0.1)
    label_smoothing: float = smoothing(0.1)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """The unbiased estimate."""
        xp = xp or self.primitives(pair)
        x, eps = self.beta * pair.log_ratio_gap, self.label_smoothing
        return (-(1 - eps) * xp.log_sigmoid(x) + eps * xp.log_sigmoid(-x)) / (1 - 2 * eps)


@dataclass(frozen=True)
class EXOPair(Objective, id="exo_pair"):
    """Efficient exact optimisation on pairs (arXiv 2402.00856): the reverse KL to smoothed labels.

    With q = sigmoid(x), x = beta h: ``L = q (log q - log(1-eps)) + (1-q) (log(1-q) - log eps)``.
    Both pushes are ``beta sigmoid'(x) (log((1-eps)/eps) - x)``, which rest where they are 0.
    Traps: eps must be above 0 (TRL 0.27 silently replaced 0 by 0.001, for other losses too); and
    the push vanishes for x to minus infinity as well, so badly misranked pairs are ignored.
    """

    beta: float = positive(0.1)
    label_smoothing: float = number(1e-3, above=0, below=0.5)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """``KL(Bernoulli(q) || Bernoulli(1 - eps))``."""
        xp = xp or self.primitives(pair)
        x = self.beta * pair.log_ratio_gap
        log_eps, log_rest = xp.log(self.label_smoothing), xp.log(1 - self.label_smoothing)
        won = xp.sigmoid(x) * (xp.log_sigmoid(x) - log_rest)
        return won + xp.sigmoid(-x) * (xp.log_sigmoid(-x) - log_eps)


@dataclass(frozen=True)
class DiscoPOP(Objective, id="discopop"):
    """Discovered preference optimisation (arXiv 2406.08414): logistic and exponential loss, gated.

    ``L = (1-g) (-log sigmoid(x)) + g e^{-x}``, ``g = sigmoid(x/tau)``, x = beta h; both pushes are
    ``beta {(1-g) sigmoid(-x) + g e^{-x} - (g(1-g)/tau) (e^{-x} + log sigmoid(x))}``.  Trap: at
    tau = 0.05 the push is *reversed* for x in (-0.1186, 0.0720), -0.784 beta at x = 0: from policy
    = reference exact gradient flow moves the margin down and stops at x = -0.1186.  The window
    closes for tau > 0.1098.
    """

    beta: float = positive(0.05)
    tau: float = positive(0.05)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """The gated sum."""
        xp = xp or self.primitives(pair)
        x = self.beta * pair.log_ratio_gap
        # g e^{-x} as one exponential: the product of its factors is 0 times infinity in the tail.
        exponential = xp.safe_exp(xp.log_sigmoid(x / self.tau) - x)
        return exponential - xp.sigmoid(-x / self.tau) * xp.log_sigmoid(x)


@dataclass(frozen=True)
class CPO(Objective, id="cpo"):
    """Contrastive preference optimisation (arXiv 2401.08417): DPO without reference, plus an NLL.

    ``L = -log sigmoid(beta (log pi_w - log pi_l)) + nll_weight NLL(y_w)``; with s = sigmoid of the
    negative argument ``d_w = beta s + nll_weight/n_w``, ``d_l = beta s``.  Trap: the paper's NLL
    is per sequence (``nll_norm="sum"``), TRL's the mean over all tokens of the batch
    (``"batch_tokens"``); the default here is the mean over the response.  With `Pair.gold` the NLL
    is that of a third, gold response: triple preference optimisation (arXiv 2405.16681).
    """

    beta: float = positive(0.1)
    nll_weight: float = weight(1.0)
    nll_norm: str = word("mean", "sum", "batch_tokens")

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Contrast plus likelihood."""
        xp = xp or self.primitives(pair)
        contrast = -xp.log_sigmoid(self.beta * pair.gap)
        return contrast + self.nll_weight * nll(pair, self.nll_norm, xp, gold=True)
