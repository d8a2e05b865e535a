"""Plain likelihood of the chosen response, alone and as a term of other objectives."""

from dataclasses import dataclass
from typing import Any

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import word

Array = Any

_DIVISORS = {
    "mean": lambda length, xp: length,
    "sum": lambda length, xp: 1,
    "batch_tokens": lambda length, xp: xp.mean(length),
}


def nll(pair: Pair, norm: str, xp: Any, *, gold: bool = False) -> Array:
    """Negative log-likelihood of the chosen response (or of the gold one, where there is one).

    Parameters
    ----------
    norm
        ``"mean"`` over the tokens of the response, ``"sum"``, or ``"batch_tokens"``: scaled so
        that its mean over the rows is the mean over all tokens of the batch.
    """
    if gold and pair.gold is not None:
        return -pair.gold / _DIVISORS[norm](pair.gold_length, xp)
    return -pair.chosen / _DIVISORS[norm](pair.chosen_length, xp)


@dataclass(frozen=True)
class SFT(Objective, id="sft"):
    """Supervised fine-tuning on the chosen response, ``L = -log pi_w / n_w``.

    ``d_w = 1/n_w``, ``d_l = 0``.  Trap: TRL takes one mean over all tokens of the batch
    (``nll_norm="batch_tokens"``), in which long responses weigh more; ``"sum"`` does not divide.
    """

    nll_norm: str = word("mean", "sum", "batch_tokens")

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Negative log-likelihood per pair."""
        return nll(pair, self.nll_norm, xp or self.primitives(pair))
