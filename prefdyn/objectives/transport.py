"""Objectives that compare distributions over a batch instead of pairs, through sorting.

The batch is the last axis.  The loss has one value per rank, not per row; pushes go back through
the sorting permutation to the rows.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import positive, smoothing
from prefdyn.objectives.bradley_terry import smoothed

Array = Any


class _Sorted(Objective):
    couples_rows: ClassVar[bool] = True

    beta: Any
    label_smoothing: Any

    @abstractmethod
    def distributions(self, pair: Pair) -> tuple[Array, Array]:
        """The two samples whose quantiles are compared."""

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Logistic loss of the quantile gaps, with smoothed labels."""
        xp = xp or self.primitives(pair)
        better, worse = (xp.stable_sort(part)[0] for part in self.distributions(pair))
        return smoothed(self.beta * (better - worse), self.label_smoothing, xp)


@dataclass(frozen=True)
class AOT(_Sorted, id="aot"):
    """Alignment via optimal transport, paired (arXiv 2406.05882).

    With ``delta_i = sort(log pi_w - log pi_l)_i - sort(log ref_w - log ref_l)_i`` the loss of rank
    i is ``-(1-eps) log sigmoid(beta delta_i) - eps log sigmoid(-beta delta_i)``; the row that holds
    rank i gets ``d_w = d_l = beta ((1-eps) - sigmoid(beta delta_i))``.  A batch of one is DPO.
    Traps: weights per pair do not combine with it, there is no symbolic form, and TRL 0.27's
    ``aot_pair`` is the *unpaired* formula.
    """

    beta: float = positive(0.01)
    label_smoothing: float = smoothing(0.0)

    def distributions(self, pair: Pair) -> tuple[Array, Array]:
        """Gaps under the policy and under the reference."""
        return pair.gap, pair.ref_chosen - pair.ref_rejected


@dataclass(frozen=True)
class AOTUnpaired(_Sorted, id="aot_unpaired"):
    """Alignment via optimal transport, unpaired (arXiv 2406.05882).

    As `AOT` with ``delta_i = sort(a)_i - sort(b)_i`` of the log-ratios: the chosen response of rank
    i in a is pushed up, the rejected one of rank i in b, usually of another row, is pushed down.
    Trap: called ``aot_pair`` in TRL 0.27.
    """

    beta: float = positive(0.01)
    label_smoothing: float = smoothing(0.0)

    def distributions(self, pair: Pair) -> tuple[Array, Array]:
        """Log-ratios of the chosen and of the rejected responses."""
        return pair.chosen_log_ratio, pair.rejected_log_ratio
