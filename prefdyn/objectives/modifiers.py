"""Terms and margins that are added to DPO or SimPO."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats, to_numpy
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, weight, word
from prefdyn.objectives.bradley_terry import Logistic

Array = Any


@dataclass(frozen=True)
class RDPO(Logistic, id="r_dpo"):
    """DPO with a penalty on length (arXiv 2403.19159).

    ``L = -log sigmoid(beta h + alpha (n_w - n_l))``; both pushes ``beta s``.  Traps: alpha stands
    outside beta; and the *sign*: the reward ``r - alpha |y|`` gives a longer chosen response part
    of its margin free, hence plus, while some public code has minus.  There is no one published
    value: alpha 0.05 to 1 with beta 0.01 to 0.1 has been tuned over.  The formula is second-hand,
    not read in the paper.
    """

    beta: float = positive(0.1)
    alpha: float = number(0.05)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta h + alpha (n_w - n_l)``."""
        lengths = pair.chosen_length - pair.rejected_length
        return self.beta * pair.log_ratio_gap + self.alpha * lengths


@dataclass(frozen=True)
class AlphaDPO(Logistic, id="alpha_dpo"):
    """Alpha-DPO (arXiv 2410.10148): SimPO with an adaptive margin, after the authors' code.

    ``L = -log sigmoid(beta (m - M))``, ``M = gamma_beta_ratio + alpha (rho - mu)/s``, M a constant
    for the gradient; with ``g = beta sigmoid(-beta (m - M))``: ``d_w = g/n_w``, ``d_l = g/n_l``.
    mu and s are running averages (`decay`) of mean and standard deviation of
    ``rho = a/n_w - b/n_l`` over the batch, updated *before* use; they start at `ema_mean`,
    `ema_std`.  Trap: both start at 0 in the authors' code, so the first z-scores are about ten
    times too large.  Their (beta, gamma_beta_ratio, alpha): Mistral (2.5, 0.15, 0.05), the default;
    Llama-3 (2.5, 0.6, 0.2), Gemma-2 (10, 0.4, 0.05).  The paper's exact margin is reconstructed
    here from that code.
    """

    beta: float = positive(2.5)
    gamma_beta_ratio: float = number(0.15)
    alpha: float = number(0.05)
    ema_mean: float = number(0.0)
    ema_std: float = weight(0.0)
    decay: float = number(0.9, least=0, below=1)

    def initial_stats(self) -> Stats | None:
        """The averages before any batch."""
        return {"mean": self.ema_mean, "std": self.ema_std}

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """The running averages with one more batch of at least two pairs."""
        stats = stats or self.initial_stats() or {}
        rho = np.atleast_1d(to_numpy(pair.mean_log_ratio_gap))
        if rho.size < 2:
            raise InputError(
                "objective 'alpha_dpo' takes a standard deviation over the batch, which a batch of "
                "one does not have: give two pairs or more."
            )
        batch = {"mean": float(rho.mean()), "std": float(rho.std(ddof=1))}
        return {
            name: self.decay * stats[name] + (1 - self.decay) * value
            for name, value in batch.items()
        }

    @property
    def detaches(self) -> bool:
        """The margin's own target."""
        return True

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (m - M)``."""
        return self.beta * (pair.mean_gap - xp.stop_gradient(self._target(pair, stats)))

    def _target(self, pair: Pair, stats: Stats | None) -> Array:
        rho = pair.mean_log_ratio_gap
        if isinstance(self.alpha, int | float) and self.alpha == 0:
            return self.gamma_beta_ratio + 0 * rho
        stats = stats or self.initial_stats()
        std = self.statistic(stats, "std")
        if isinstance(std, int | float) and std <= 0:
            raise InputError(
                "objective 'alpha_dpo' divides by a running standard deviation that is still 0: "
                "pass stats=objective.update(stats, pair), or start from ema_std above 0."
            )
        return self.gamma_beta_ratio + self.alpha * (rho - self.statistic(stats, "mean")) / std


@dataclass(frozen=True)
class XPO(Objective, id="xpo"):
    """Exploratory preference optimisation (arXiv 2405.21046), for pairs sampled online.

    ``L = -log sigmoid(beta h) + alpha log pi(y_ref)`` where y_ref is the member of the pair that
    was sampled from the reference, the chosen or the rejected one (`ref_sample`): its push changes
    by -alpha or +alpha.  Trap: which member that is differs from pair to pair; give each kind its
    own batch.
    """

    beta: float = positive(0.1)
    alpha: float = weight(1e-5)
    ref_sample: str = word("rejected", "chosen")

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """DPO plus optimism."""
        xp = xp or self.primitives(pair)
        explored = getattr(pair, self.ref_sample)
        return self.alpha * explored - xp.log_sigmoid(self.beta * pair.log_ratio_gap)
