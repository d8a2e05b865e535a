"""Rounds that see votes instead of win probabilities."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.rules._rule import Jacobian, Rule
from prefdyn.rules._votes import generator, voted
from prefdyn.rules._wrapper import Wrapper, get_parameter, set_parameter

Array = Any


@dataclass(eq=False)
class FiniteSample(Wrapper):
    """Every round sees `votes` Bernoulli votes instead of the game (MRS-17).

    A rule that plays the exact game plays one re-estimated from `votes` votes on each pair.  A rule
    with a ``votes`` parameter of its own draws them as its algorithm does, and gets the number:
    `EGPO` asks twice a round about each pair; the gradient rules (`OnlineIPO`, `IPOMD`, `NashMDPG`,
    `SampledDPO`) draw `votes` pairs from their sampler and put a vote on each, so that ``votes = n
    K (K - 1)/2`` costs what n votes on each pair do.

    Orbits of a batch draw their votes independently.  Stability analysis looks at the deterministic
    skeleton, the wrapped rule: the limit of many votes.

    Parameters
    ----------
    rule
        Any rule with a ``game``.
    votes
        Votes per pair and round, or what the rule's own ``votes`` counts, >= 1.

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
        self._asking = self._with_own_votes()

    @property
    def backends(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Votes are drawn with numpy."""
        return ("numpy",)

    def step(self, state: Array, t: int, rng: np.random.Generator | None) -> Array:
        """The wrapped rule's step on a game estimated from fresh votes."""
        rng = generator(rng)
        if self._asking is not None:
            return self._asking.step(state, t, rng)
        P = get_parameter(self.rule, "game").P
        shape = np.broadcast_shapes(P.shape[:-2], state.shape[:-1])
        estimate = voted(P, self.votes, rng, shape)
        noisy = set_parameter(self.rule, "game", PreferenceMatrix(estimate))
        return noisy.step(state, t, rng)

    def _with_own_votes(self) -> Rule | None:
        """The rule with its own votes set, if it has any."""
        try:
            get_parameter(self.rule, "votes")
        except InputError:
            return None
        return set_parameter(self.rule, "votes", self.votes)

    @property
    def skeleton(self) -> Rule:
        """The wrapped rule's: the limit of many votes."""
        return self.rule.skeleton

    def jacobian(self, state: Array) -> Jacobian:
        """Jacobian of the wrapped rule, the limit of many votes."""
        inner = self.rule.jacobian(state)
        return Jacobian(inner.matrix, f"{inner.by}, limit of many votes")
