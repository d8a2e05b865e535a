"""A constraint on the likelihood of chosen responses, around any objective."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats, to_numpy
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, weight, word
from prefdyn.objectives._wrapper import Wrapper
from prefdyn.objectives.likelihood import SFT, nll

Array = Any


@dataclass(frozen=True)
class SPO(Wrapper, id="spo"):
    """Stable preference optimisation (arXiv 2507.07723): stay near the best SFT loss v*.

    Around a base loss B, with F the mean negative log-likelihood of the chosen responses:

    - ``"linear"``: ``B + lam (F - v*)``, whose gradient for a constant v* is that of `DPONLL`;
    - ``"hinge"``: ``B + lam max(0, F - v* - eps)``, of the mean F over the batch, which comes as
      the statistic ``"sft_loss"``; without statistics each row is a batch of one;
    - ``"dual"``: linear in the multiplier, which ascends: ``lam <- max(0, lam + eta (F - v* -
      eps))`` from `lam0`, kept as the statistic ``"lam"``;
    - ``"barrier"``: linear, with ``lam = max(0, rho - <g_p, g_s>/|g_s|^2)`` of the gradients of B
      and F, so that a step always lowers F; see `update`.

    ``d_w = d_w(B) + lam/n_w`` (hinge: while F is above v* + eps), ``d_l = d_l(B)``.  Use for
    `v_star`, a constant, the loss of the fine-tuned model on held-out data.  The structure is
    second-hand; these formulas and the defaults of `lam`, `eps`, `eta`, `rho` are reconstructed
    here.  The regulariser of the paper's first version is not known and is not part of this.
    """

    base: Any = "dpo"
    mode: str = word("linear", "hinge", "dual", "barrier")
    lam: float = weight(0.1)
    v_star: float | None = number(None)
    eps: float = weight(0.02)
    nll_norm: str = word("mean", "sum", "batch_tokens")
    lam0: float = weight(0.0)
    eta: float = positive(0.5)
    rho: float = positive(0.1)

    def __post_init__(self):
        super().__post_init__()
        if self.v_star is None and self.mode in ("hinge", "dual"):
            raise InputError(
                f"objective 'spo' in mode {self.mode!r} needs v_star: the SFT loss of the "
                "fine-tuned model on held-out data, in nats."
            )

    @property
    def gradient_parts(self) -> tuple[Objective, Objective] | None:
        """For the barrier the base and the SFT loss."""
        return (self.base, SFT(self.nll_norm)) if self.mode == "barrier" else None

    def initial_stats(self) -> Stats | None:
        """The base's, and the mode's own: no loss seen yet, or the first multiplier."""
        own = {
            "hinge": {"sft_loss": 0.0},
            "dual": {"lam": self.lam0},
            "barrier": {"lam": 0.0},
        }.get(self.mode, {})
        base = super().initial_stats()
        return ({} if base is None else {"base": base}) | own or None

    def update(
        self,
        stats: Stats | None,
        pair: Pair,
        gradients: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Stats | None:
        """Statistics after a batch.

        Parameters
        ----------
        stats
            Statistics so far, or None at the start.
        pair
            The batch.
        gradients
            For ``"barrier"``: gradients of the mean base loss and of F in the parameters of the
            model.  By default those in the log-probabilities of the batch.
        """
        stats = dict(stats or self.initial_stats() or {})
        if (base := self.base.update(stats.get("base"), pair)) is not None:
            stats["base"] = base
        stats |= _UPDATES[self.mode](self, stats, pair, gradients)
        return stats or None

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Base loss plus penalty."""
        xp = xp or self.primitives(pair)
        base = self.base.loss(pair, xp, (stats or {}).get("base"))
        return base + _PENALTIES[self.mode](self, nll(pair, self.nll_norm, xp), xp, stats)

    def _sft_loss(self, pair: Pair) -> float:
        return float(to_numpy(nll(pair, self.nll_norm, self.primitives(pair))).mean())

    def _gradients(self, pair: Pair, stats: Stats) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of base loss and F in all log-probabilities, chosen rows first."""
        likelihood = SFT(self.nll_norm).pushes(pair)
        preference = self.base.pushes(pair, stats.get("base"))
        both = [[-to_numpy(d_w), to_numpy(d_l)] for d_w, d_l in (preference, likelihood)]
        return np.stack(both[0]), np.stack(both[1])


def _linear(self: SPO, sft_loss: Array, xp: Any, stats: Stats | None) -> Array:
    return self.lam * (sft_loss - (self.v_star or 0.0))


def _hinge(self: Any, sft_loss: Array, xp: Any, stats: Stats | None) -> Array:
    gap = sft_loss - self.v_star - self.eps
    if not stats or "sft_loss" not in stats:
        return self.lam * xp.relu(gap)
    # Linear in the rows with the batch's own switch: the mean over the rows is the batch's hinge.
    return self.lam * xp.step(stats["sft_loss"] - self.v_star - self.eps) * gap


def _multiplied(self: SPO, sft_loss: Array, xp: Any, stats: Stats | None) -> Array:
    return self.statistic(stats, "lam") * (sft_loss - (self.v_star or 0.0))


def _batch_loss(self: SPO, stats: Stats, pair: Pair, gradients: Any) -> Stats:
    return {"sft_loss": self._sft_loss(pair)}


def _ascend(self: Any, stats: Stats, pair: Pair, gradients: Any) -> Stats:
    excess = self._sft_loss(pair) - self.v_star - self.eps
    return {"lam": max(0.0, float(stats["lam"] + self.eta * excess))}


def _descend_both(self: SPO, stats: Stats, pair: Pair, gradients: Any) -> Stats:
    preference, likelihood = gradients or self._gradients(pair, stats)
    inner, square = np.vdot(preference, likelihood), np.vdot(likelihood, likelihood)
    # Without a gradient of F no step changes F, and no multiplier is called for.
    return {"lam": max(0.0, float(self.rho - inner / square)) if square > 0 else 0.0}


_PENALTIES = {"linear": _linear, "hinge": _hinge, "dual": _multiplied, "barrier": _multiplied}
_UPDATES = {
    "linear": lambda *_: {},
    "hinge": _batch_loss,
    "dual": _ascend,
    "barrier": _descend_both,
}
