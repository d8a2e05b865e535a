"""The curve on which a multiplier stays on the unit circle while two parameters vary."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from prefdyn._stability._arclength import End
from prefdyn._stability._periodic_curve import SHIFT, PeriodicCurve
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.multipliers import eigenvalues

Array = np.ndarray


@dataclass(frozen=True)
class CriticalCurve:
    r"""``step(y; u) - y = 0`` and ``log |mu_k| = 0`` for ``x = (y, u)`` with two parameters u.

    The critical multiplier is the one nearest `near`.  For a complex pair the last equation is
    ``log |mu_1 mu_2| = 0``, which is smooth also where the pair meets on the real axis: the
    half-sum of the pair then leaves [-1, 1], and the Neimark-Sacker curve ends.

    Parameters
    ----------
    cycles
        The periodic points, with two axes.
    kind
        ``"neimark_sacker"``, ``"flip"`` or ``"fold"``.
    near
        The critical multiplier at the last point.
    """

    cycles: PeriodicCurve
    kind: str
    near: complex

    @property
    def parameters(self) -> int:
        """Two."""
        return 2

    def critical(self, multipliers: Array) -> Array:
        """Places (..., 1 or 2) of the critical multiplier, or pair, among multipliers (..., m)."""
        first = np.abs(multipliers - self.near)
        if self.kind != "neimark_sacker":
            return np.argmin(first, axis=-1)[..., None]
        one = np.argmin(first, axis=-1)[..., None]
        rest = np.abs(multipliers - np.conj(self.near))
        np.put_along_axis(rest, one, np.inf, axis=-1)
        return np.concatenate([one, np.argmin(rest, axis=-1)[..., None]], axis=-1)

    def pair(self, x: Array) -> Array:
        """The critical multiplier (1,) or pair (2,) at a point."""
        multipliers = self.cycles.multipliers(x)
        return multipliers[self.critical(multipliers)]

    def others(self, x: Array) -> Array:
        """The remaining multipliers, largest modulus first."""
        multipliers = self.cycles.multipliers(x)
        return np.delete(multipliers, self.critical(multipliers))

    def cosine(self, x: Array) -> float:
        """Half the sum of the pair: the cosine of its angle on the curve."""
        return float(self.pair(x).mean().real)

    def linear(self, x: Array) -> tuple[Array, Array]:
        """The equations (m + 1,), and their derivative (m + 1, m + 2)."""
        y, u = self.cycles.split(x)
        here = self.cycles.map_at(u)
        shift = SHIFT * max(1.0, np.abs(y).max())
        shifts = shift * np.eye(len(y))
        jacobians = here.jacobian(np.concatenate([y[None], y + shifts, y - shifts]))
        excess, *around = self._excess(jacobians)
        above, below = np.reshape(around, (2, len(y)))
        in_y = np.vstack([jacobians[0] - np.eye(len(y)), (above - below) / (2 * shift)])
        in_u = self.cycles.differences(u, lambda v: self._both(self.cycles.map_at(v), y))
        return np.append(here.step(y) - y, excess), np.column_stack([in_y, *in_u])

    def _both(self, reduced: ReducedMap, y: Array) -> Array:
        return np.append(reduced.step(y), self._excess(reduced.jacobian(y)))

    def _excess(self, jacobian: Array) -> Any:
        """``log |mu|`` of the critical multiplier, the mean of a pair's."""
        values = eigenvalues(jacobian)
        chosen = np.take_along_axis(values, self.critical(values), axis=-1)
        return np.log(np.abs(chosen)).mean(axis=-1)

    def resolved(self, before: Array, after: Array) -> bool:
        """As of the cycles."""
        return self.cycles.resolved(before, after)

    def passed(self, x: Array) -> Self:
        """With the critical multiplier at x to stay near."""
        if self.kind != "neimark_sacker":
            return self
        return replace(self, near=complex(self.pair(x)[0]))

    def end(self, x: Array) -> End | None:
        """A Neimark-Sacker curve ends where its pair meets on the real axis."""
        if self.kind != "neimark_sacker" or abs(self.cosine(x)) < 1:
            return None
        side = float(np.sign(self.cosine(x)))
        name = "1:1" if side > 0 else "1:2"
        return End(
            f"the pair meets at {side:+.0f}, a {name} resonance,", lambda z: self.cosine(z) - side
        )

    def where(self, x: Array) -> str:
        """The parameters in words."""
        return self.cycles.where(x)
