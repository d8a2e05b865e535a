"""The best response to a mixture with the reference, every round."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._inputs import positive, share
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.policies.softmax import softmax
from prefdyn.rules._game_rule import GameRule
from prefdyn.rules._mixed_reference_sampling import matvec
from prefdyn.rules._rule import like

Array = Any


@dataclass(eq=False)
class BestResponse(GameRule):
    r"""The best response at tau to the mixture: the exact rounds of IPO-MD (arXiv 2403.08635).

    .. math:: \theta' = \log\mathrm{ref} + A\,\mathrm{mix}/\tau,\qquad
              \mathrm{mix} \propto \pi^{1-m}\,\mathrm{ref}^{m}

    At rest the mixture is the equilibrium at temperature ``tau/(1 - m)``.  With m = 0 it is
    `self_play_ipo`.  `OnlineIPO`, `IPOMD` and `NashMDPG` rest where it does.

    Parameters
    ----------
    game
        Who beats whom; a batch of games gives a batch of orbits.
    tau
        KL strength, > 0; may be an array, which broadcasts.
    mixture
        m, the geometric share of the reference in the opponent, in [0, 1].
    reference, log_reference
        As in `prefdyn.rules.GameRule`.
    """

    game: PreferenceMatrix
    tau: ArrayLike
    mixture: ArrayLike = 0.0
    reference: ArrayLike | None = None
    log_reference: ArrayLike | None = field(default=None, kw_only=True)

    def __post_init__(self):
        self._check_game()
        self.tau, self.mixture = positive(self.tau, "tau"), share(self.mixture, "mixture")
        self._set_batch(tau=self.tau.shape, mixture=self.mixture.shape)

    def update(self, theta: Array) -> Array:
        """The response's logits."""
        mixture = softmax(self.towards_reference(theta, self.mixture))
        drive = matvec(like(self.game.skew, theta), mixture)
        return like(self.log_ref, theta) + drive / like(np.asarray(self.tau)[..., None], theta)
