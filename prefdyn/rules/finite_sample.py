"""Rounds that see votes instead of win probabilities."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.rules._rule import Jacobian, Rule
from prefdyn.rules._wrapper import Wrapper, get_parameter, set_parameter

Array = Any


@dataclass(eq=False)
class FiniteSample(Wrapper):
    """Every round re-estimates the game from `votes` Bernoulli votes on each pair (MRS-17).

    Orbits of a batch draw their votes independently.  Stability analysis looks at the deterministic
    skeleton, the wrapped rule: the limit of many votes.

    Parameters
    ----------
    rule
        Any rule with a ``game``.
    votes
        Votes per pair and round, >= 1.

    Raises
    ------
    InputError
        If the wrapped rule has no ``game``.
    """

    rule: Rule
    votes: int
    stochastic: ClassVar[bool] = True

    def __post_init__(self):
        self.votes = count(self.votes, "votes")
        if not isinstance(get_parameter(self.rule, "game"), PreferenceMatrix):
            raise InputError(
                f"{type(self.rule).__name__} has no PreferenceMatrix to draw votes from."
            )

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Votes are drawn with numpy."""
        return ("numpy",)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step on a game estimated from fresh votes."""
        if rng is None:
            raise InputError("FiniteSample draws votes: pass a numpy Generator as rng.")
        P = get_parameter(self.rule, "game").P
        shape = np.broadcast_shapes(P.shape[:-2], state.shape[:-1])
        estimate = voted(P, self.votes, rng, shape)
        noisy = set_parameter(self.rule, "game", PreferenceMatrix(estimate))
        return noisy.step(state, t, rng)

    @property
    def skeleton(self) -> Rule:
        """The wrapped rule's: the limit of many votes."""
        return self.rule.skeleton

    def jacobian(self, state: Array) -> Jacobian:
        """Jacobian of the wrapped rule, the limit of many votes."""
        inner = self.rule.jacobian(state)
        return Jacobian(inner.matrix, f"{inner.by}, limit of many votes")


def voted(
    P: np.ndarray, votes: int, rng: np.random.Generator, shape: tuple[int, ...] = ()
) -> np.ndarray:
    """Win rates (*shape, K, K) in `votes` Bernoulli votes on each pair of games P (..., K, K)."""
    K = P.shape[-1]
    wins = np.triu(rng.binomial(votes, np.broadcast_to(P, (*shape, K, K))), 1)
    estimate = np.triu(wins / votes, 1)
    return estimate + np.tril(1 - np.swapaxes(estimate, -1, -2), -1) + np.eye(K) / 2
