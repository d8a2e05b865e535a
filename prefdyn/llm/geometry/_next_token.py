"""What a training step does to every next token, to first order: who gains, who is squeezed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import completion_states
from prefdyn.llm._parameters import Selection
from prefdyn.llm.geometry._forward_mode import Direction, along, as_direction
from prefdyn.llm.head._head import Head


class Mover(NamedTuple):
    """A token, its rate in nats per unit of step, and its log-probability before."""

    token: int
    rate: float
    log_prob: float


@dataclass(frozen=True, eq=False)
class NextTokenRates:
    """How fast the log-probability of every next token moves; made by `next_token_rates`.

    Attributes
    ----------
    log_probs : numpy.ndarray
        (C, V), before the step.
    rates : numpy.ndarray
        (C, V), their first-order change per unit of the step.
    """

    log_probs: np.ndarray
    rates: np.ndarray

    @property
    def mass_rates(self) -> np.ndarray:
        """First-order change of the probabilities themselves, (C, V); each row sums to 0."""
        return np.exp(self.log_probs) * self.rates

    def gainers(self, context: int = 0, n: int = 5, *, by_mass: bool = True) -> tuple[Mover, ...]:
        """The n tokens that gain most, fastest first; only those that rise.

        By probability, which tells where the mass goes, or by log-probability, which favours
        tokens that hardly occur.
        """
        return self._movers(context, n, by_mass, 1)

    def losers(self, context: int = 0, n: int = 5, *, by_mass: bool = True) -> tuple[Mover, ...]:
        """The n tokens that lose most, fastest first; only those that fall."""
        return self._movers(context, n, by_mass, -1)

    def _movers(self, context: int, n: int, by_mass: bool, sign: int) -> tuple[Mover, ...]:
        rates = sign * (self.mass_rates if by_mass else self.rates)[context]
        order = np.argsort(-rates, kind="stable")[: count(n, "n")]
        own, before = self.rates[context], self.log_probs[context]
        return tuple(Mover(int(i), float(own[i]), float(before[i])) for i in order if rates[i] > 0)


def next_token_rates(
    model: Any,
    contexts: Sequence[Sequence[int]],
    direction: Direction | Any,
    *,
    parameters: Selection = "all",
    method: str = "auto",
    batch: int = 8,
) -> NextTokenRates:
    r"""First-order change of ``log p(v | context)`` for all tokens v at once (claim SQZ-1).

    .. math:: \frac{d}{d\eta} \log p(v \mid x) = \langle \nabla_\theta \log p(v \mid x), d \rangle

    by one forward-mode pass along the direction d of the parameters, which `step_direction` gives
    for a training step and `weighted_gradient` for any pushes.

    Parameters
    ----------
    model
        A causal language model, in single precision or better.
    contexts
        C lists of token ids, e.g. a prompt, or a prompt and what its responses have in common.
    direction, parameters, method, batch
        As of `gradient_products`.

    Raises
    ------
    InputError
        For an empty context, and as of `gradient_products`.
    """
    rows = [tuple(int(token) for token in context) for context in contexts]
    if not rows or not all(rows):
        raise InputError("contexts is empty or has an empty one: give lists of token ids.")
    v = as_direction(model, direction, parameters)
    # A token that is to be predicted marks the state that predicts it; which one plays no part.
    marked = Responses(tuple(rows), ((0,),) * len(rows))
    parts = [marked[k : k + batch] for k in range(0, len(rows), batch)]
    found = [along(model, lambda m, p=p: _next_log_probs(m, p), v, method) for p in parts]
    log_probs, rates = zip(*found, strict=True)
    return NextTokenRates(_joined(log_probs), _joined(rates))


def _next_log_probs(model: Any, responses: Responses) -> Tensor:
    return Head.of(model).logits(completion_states(model, responses).hidden).log_softmax(-1)


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    return np.concatenate([part.double().cpu().numpy() for part in parts])
