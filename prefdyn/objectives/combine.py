"""Wrappers: a weight on each pair, and weighted sums of objectives."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number
from prefdyn.objectives._tokens import tokens
from prefdyn.objectives._wrapper import Wrapper, as_objective
from prefdyn.objectives.bradley_terry import DPO

Array = Any


@dataclass(frozen=True)
class WPO(Wrapper, id="wpo", wrapper=True):
    """Weighted preference optimisation (arXiv 2406.11827): off-policy pairs count less.

    ``L = w L_base`` with ``w = omega(y_w) omega(y_l)``, a constant for the gradient, and
    ``omega(y) = exp(mean_t [log pi(y_t) - log sum_v pi(v)^2])``; the pushes are w times the base's.
    Needs token log-probabilities and `Pair.chosen_log_sum_p2`, `Pair.rejected_log_sum_p2`.
    Traps: omega exceeds 1 on modal tokens, TRL 0.27 caps w at 1 (``clamp=1``) and scales an NLL
    term too, 1.10 has no cap; it does not combine with objectives that sort the batch.
    """

    base: Any = field(default=DPO(beta=0.01))
    clamp: float | None = number(None, above=0)
    token_level: ClassVar[bool] = True  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self):
        super().__post_init__()
        if self.couples_rows:
            raise InputError(
                f"objective 'wpo' weighs pairs, which {self.base.id!r} does not keep together: "
                "choose a base that does not sort the batch."
            )

    @property
    def detaches(self) -> bool:
        """The weight."""
        return True

    def weight(self, pair: Pair, xp: Any = None) -> Array:
        """``w`` per pair."""
        xp = xp or self.primitives(pair)
        exponent = 0.0
        for side in ("chosen", "rejected"):
            values, log_sum_p2 = self.require(pair, f"{side}_tokens", f"{side}_log_sum_p2")
            relative = tokens(values - log_sum_p2, getattr(pair, f"{side}_mask"), xp)
            exponent = exponent + relative.mean(relative.values, xp)
        w = xp.safe_exp(exponent)
        return w if self.clamp is None else xp.clip(w, 0.0, self.clamp)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """Base loss, weighted."""
        xp = xp or self.primitives(pair)
        return xp.stop_gradient(self.weight(pair, xp)) * self.base.loss(pair, xp, stats)


@dataclass(frozen=True)
class WeightedSum(Objective, id="weighted_sum", wrapper=True):
    """A sum of objectives, ``L = sum_i weights_i L_i``.

    The statistics of term i are kept under the name ``str(i)``.

    Parameters
    ----------
    terms
        Objectives or ids.
    weights
        One number for each.

    Examples
    --------
    Mixed preference optimisation (arXiv 2411.10442):

    >>> from prefdyn import objectives
    >>> bco = objectives.get("bco", beta=0.1, delta=0.0)
    >>> mpo = objectives.WeightedSum(("dpo", bco, "sft"), (0.8, 0.2, 1.0))
    """

    terms: tuple[Objective | str, ...]
    weights: tuple[float, ...]

    def __post_init__(self):
        super().__post_init__()
        for name in ("terms", "weights"):
            if not isinstance(getattr(self, name), tuple | list):
                raise InputError(
                    f"objective 'weighted_sum': {name} is no tuple or list: give one of each."
                )
        terms = tuple(as_objective(term, self.id) for term in self.terms)
        object.__setattr__(self, "terms", terms)
        object.__setattr__(self, "weights", tuple(self.weights))
        if not terms or len(terms) != len(self.weights):
            raise InputError(
                f"objective 'weighted_sum' has {len(terms)} terms and {len(self.weights)} weights: "
                "give at least one term, and one weight for each."
            )
        for i, w in enumerate(self.weights):
            if isinstance(w, str) or (isinstance(w, float | int) and not np.isfinite(w)):
                raise InputError(
                    f"objective 'weighted_sum': weights[{i}] is {w!r}: it must be a finite number."
                )

    @property
    def couples_rows(self) -> bool:
        """Whether any term does."""
        return any(term.couples_rows for term in self._terms)

    @property
    def token_level(self) -> bool:
        """Whether any term is."""
        return any(term.token_level for term in self._terms)

    @property
    def detaches(self) -> bool:
        """Whether any term does."""
        return any(term.detaches for term in self._terms)

    @property
    def mismatched(self) -> bool:
        """Whether any term does."""
        return any(term.mismatched for term in self._terms)

    @property
    def _terms(self) -> tuple[Objective, ...]:
        return self.terms  # pyright: ignore[reportReturnType]

    def initial_stats(self) -> Stats | None:
        """Those of the terms that keep any, by index."""
        return self._collect([term.initial_stats() for term in self._terms])

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """Every term sees the batch."""
        stats = stats or {}
        return self._collect(
            [term.update(stats.get(str(i)), pair) for i, term in enumerate(self._terms)]
        )

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """The weighted sum."""
        xp, stats = xp or self.primitives(pair), stats or {}
        losses = [term.loss(pair, xp, stats.get(str(i))) for i, term in enumerate(self._terms)]
        return sum(weight * loss for weight, loss in zip(self.weights, losses, strict=True))

    @staticmethod
    def _collect(stats: list[Stats | None]) -> Stats | None:
        return {str(i): part for i, part in enumerate(stats) if part is not None} or None
