"""What rules that play a game near a reference policy have in common."""

from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import common_shape, distribution, log_distribution
from prefdyn.games.matrix import PreferenceMatrix, checked_game
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules._rule import LogitRule, like

Array = Any


class GameRule(LogitRule):
    """A rule on logits with a `game` and a fixed `reference`; the rules declare these fields.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    reference
        Probabilities (..., K), all positive; uniform by default.
    log_reference
        The reference as log-probabilities, for what underflows; instead of `reference`.

    Raises
    ------
    InputError
        For what is no game or no policy, or shapes that do not broadcast.
    """

    game: PreferenceMatrix
    reference: ArrayLike | None
    log_reference: ArrayLike | None

    backends: ClassVar[tuple[str, ...]] = ("numpy", "torch")

    def _check_game(self) -> None:
        """Check the game and the reference."""
        checked_game(self.game)
        if self.reference is not None and self.log_reference is not None:
            raise InputError("reference and log_reference are both given: give one of them.")
        if self.reference is not None:
            self.reference = distribution(self.reference, self.K, "reference", interior=True)
        if self.log_reference is not None:
            self.log_reference = log_distribution(self.log_reference, self.K, "log_reference")

    def _set_batch(self, **shapes: tuple[int, ...]) -> None:
        """Broadcast the games, the rule's own parameters, and the reference."""
        self._batch_shape = common_shape(
            games=self.game.batch_shape, **shapes, reference=self.log_ref.shape[:-1]
        )

    @property
    def K(self) -> int:
        """Number of responses."""
        return self.game.K

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of the games, the references and the rule's own parameters."""
        return self._batch_shape

    @cached_property
    def log_ref(self) -> np.ndarray:
        """Log-probabilities (..., K) of the reference."""
        if self.log_reference is not None:
            return np.asarray(self.log_reference)
        if self.reference is not None:
            return np.log(self.reference)
        return np.full(self.K, -np.log(self.K))

    def log_ratio(self, theta: Array) -> Array:
        """``u = log pi - log ref`` (..., K) of logits."""
        return log_softmax(theta) - like(self.log_ref, theta)

    def towards_reference(self, theta: Array, share: Any) -> Array:
        """Logits ``(1 - share) log pi + share log ref`` (..., K) of the geometric mixture."""
        share = like(np.asarray(share)[..., None], theta)
        return (1 - share) * log_softmax(theta) + share * like(self.log_ref, theta)

    def easier(self, strength: float) -> Self:
        """The same rule on the game ``1/2 + strength (P - 1/2)``, for continuation."""
        return self.replace(game=PreferenceMatrix(0.5 + strength * self.game.skew))


class VotingRule(GameRule):
    """A game rule that draws votes as its algorithm does: it declares `votes`, too.

    Parameters
    ----------
    votes
        Number of votes, None for the limit of many; what is counted is the rule's to say.
    """

    votes: int | None

    @property
    def backends(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Votes are drawn with numpy."""
        return ("numpy", "torch") if self.votes is None else ("numpy",)

    @property
    def stochastic(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it sees votes."""
        return self.votes is not None

    @property
    def skeleton(self) -> Self:
        """The limit of many votes."""
        return self if self.votes is None else self.replace(votes=None)
