"""Iterated IPO with mixed reference and sampler, in closed form."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prefdyn.rules import _certificates
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._mixed_reference_sampling import DrivenRule, matvec
from prefdyn.rules._rule import like

Array = Any


@dataclass(eq=False)
class MRSIPO(DrivenRule):
    r"""MRS-IPO: the IPO optimum, exactly, in every round (arXiv 2602.12180; claims IPO-1, MRS-1).

    .. math:: \theta' = \alpha\theta + (1-\alpha)\log\mathrm{ref}
              + \tfrac1\beta A(\lambda\,\mathrm{softmax}(\theta) + (1-\lambda)\mu_0)

    with :math:`A = P - 1/2`.  The paper's beta is 1/beta here.  Parameters are those of
    `prefdyn.rules.MixedReferenceSampling`.

    Examples
    --------
    >>> from prefdyn.games import rock_paper_scissors
    >>> rule = MRSIPO(rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
    """

    jacobian_claim: ClassVar[str] = "MRS-4"

    def drive(self, mu: Array) -> Array:
        """``A mu``: the win rate against mu, less 1/2."""
        return matvec(like(self.game.skew, mu), mu)

    def drive_along(self, mu: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """``A`` times directions."""
        return self.game.skew @ directions

    def certificates(self) -> tuple[Certificate, ...]:
        """Global convergence (MRS-2, MRS-9) and, for a single game, the collapse bound (MRS-11)."""
        if type(self) is not MRSIPO:  # a subclass may be another map
            return ()
        recipe = (np.asarray(self.beta), np.asarray(self.alpha), np.asarray(self.lam))
        skew = self.game.skew
        return (
            _certificates.contraction(skew, *recipe),
            _certificates.mirror_descent(skew, *recipe),
            *self.collapse_bound(gain=1.0, claim="MRS-11"),
        )

    def compiled(self, K: int, device: str = "cpu") -> Any:
        """Kernel that advances many orbits, see `prefdyn.rules._lanes`; None for a subclass."""
        if type(self) is not MRSIPO:
            return None
        if device != "cpu":
            from prefdyn.rules import _on_gpu

            return _on_gpu.kernel(_on_gpu.advance_ipo, K, device)
        from prefdyn.rules import _lanes

        return _lanes.advance_ipo
