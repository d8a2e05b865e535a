"""What happens where stability is lost: the coefficient that decides, and its sign."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._stability._many import home, one_recipe, refuse_moving, roots
from prefdyn._stability._reduced import ReducedMap
from prefdyn._stability.fixed_points import TOLERANCE, FixedPoint, fixed_point
from prefdyn._stability.multipliers import REAL
from prefdyn._stability.periodic import PeriodicOrbit
from prefdyn.rules._rule import Rule

NEAR = 1e-3
"""Largest distance from the unit circle of a multiplier that counts as critical."""
CROWDED = 1e-6
"""Another multiplier this close to the unit circle makes the bifurcation one of two parameters."""
RESONANT = 0.01
"""Angle in radians within which ``k theta`` counts as a whole number of turns."""
REACH, RATIO, LEVELS = 0.3, 1.5, 12
"""Longest step of the differences (nats), quotient of neighbouring ones, and how many there are."""


@dataclass(frozen=True)
class NormalForm:
    r"""The lowest terms that matter on the critical directions, and what follows from them.

    With critical vectors ``M q = mu q``, ``M^H p = conj(mu) p``, ``|q| = 1``, ``p^H q = 1``:

    - fold: :math:`x' = x + b x^2`.  At b = 0 it is no fold but a transcritical point or a
      pitchfork.
    - flip: :math:`x' = -x + c x^3`; c > 0 is supercritical.
    - neimark_sacker: :math:`|z|' = |\mu|\,|z| + l_1 |z|^3`; l1 < 0 is supercritical.

    Supercritical: a small stable cycle exists where the fixed point is unstable.  Subcritical: an
    unstable one surrounds the stable point, which orbits leave abruptly, with hysteresis.

    Attributes
    ----------
    kind
        ``"fold"``, ``"flip"`` or ``"neimark_sacker"``.
    coefficient
        b (its sign turns with q, whose largest entry is positive), c, or l1, for ``|q| = 1``;
        scaling q by k multiplies b by k, c and l1 by k^2.  Free of scale is the cycle itself:
        ``state + 2 Re(z q)``, with ``|z|^2 = -(|mu| - 1) / l1``; for a flip ``state +- x q`` with
        ``x^2 = (|mu| - 1) / c``.
    error
        Of the coefficient: what the extrapolated differences leave open, plus a first-order
        allowance for not being exactly at the bifurcation.
    criticality
        ``"supercritical"``, ``"subcritical"``, or ``"undecided"`` where the error or a resonance
        leaves the sign open; None for a fold.
    angle
        Of the multiplier, in radians: 0, pi, or theta in (0, pi).
    resonance
        None, or a sentence on the strong resonance (``theta = 2 pi/k``, k = 1, 2, 3, 4) at hand.
    multiplier
        The critical one.
    distance
        ``| |multiplier| - 1 |``, how far the point is from the bifurcation.
    direction
        The critical vector q in the rule's states, (n,), complex for Neimark-Sacker.
    """

    kind: str
    coefficient: float
    error: float
    criticality: str | None
    angle: float
    resonance: str | None
    multiplier: complex
    distance: float
    direction: np.ndarray


def normal_form(
    rule: Rule, point: Any = None, *, period: int = 1, near: float = NEAR
) -> NormalForm:
    r"""Normal form at a fixed point or cycle that is about to lose stability (claim NS-1).

    With B and C the second and third derivatives of the map and M its Jacobian (Kuznetsov, Elements
    of Applied Bifurcation Theory, chapter 5):

    .. math::
       b &= \tfrac12\langle p, B(q,q)\rangle\qquad
       c = \tfrac16\langle p, C(q,q,q)\rangle + \tfrac12\langle p, B(q,(I-M)^{-1}B(q,q))\rangle\\
       l_1 &= \tfrac12\mathrm{Re}\,e^{-i\theta}\big[\langle p,C(q,q,\bar q)\rangle
       + 2\langle p,B(q,(I-M)^{-1}B(q,\bar q))\rangle
       + \langle p,B(\bar q,(e^{2i\theta}I-M)^{-1}B(q,q))\rangle\big]

    Which side of the bifurcation a cycle lives on also depends on the way the multiplier crosses
    as the parameter turns.

    Parameters
    ----------
    rule
        Any `Rule` without batch, with its parameters at, or within `near` of, the bifurcation.
    point
        A `FixedPoint`, a `PeriodicOrbit`, or probabilities (K,) to search from; by default the
        fixed point that `fixed_point` finds.
    period
        Rounds of the cycle; that of a `PeriodicOrbit` is its own.
    near
        Largest distance from the unit circle of a multiplier that counts as critical.

    Raises
    ------
    InputError
        If no multiplier is within `near` of the unit circle (the error says how far it is), or
        several are at once, so that no one coefficient decides; or if the point given is none of
        this rule's.
    NoOptimum
        If no fixed point or cycle is found.

    Examples
    --------
    >>> from prefdyn import MRSDPO
    >>> from prefdyn.games import rock_paper_scissors
    >>> rule = MRSDPO(rock_paper_scissors(0.48), 4 * 0.48 / 1.5, 0.5, 1.0)  # at the threshold
    >>> normal_form(rule).criticality
    'subcritical'
    """
    rule = one_recipe(rule)
    period = count(period, "period")
    if isinstance(point, PeriodicOrbit):
        state, period = point.states[0], point.period
    elif isinstance(point, FixedPoint):
        state = point.state
    elif period == 1:
        state = fixed_point(rule, point).state
    else:
        state = home(rule) if point is None else rule.init(point)
    reduced = ReducedMap(rule, state, period)
    y = reduced.coordinates(state)
    if period > 1 and not isinstance(point, PeriodicOrbit):
        (y,), (residual,) = roots(reduced, y[None])
        if not np.isfinite(residual):
            raise NoOptimum(
                f"Newton's method finds no cycle of period {period} from here: give a point of "
                "one, or an orbit that periodic_orbits finds."
            )
    refuse_moving(reduced, y, reduced.jacobian(y))
    return normal_form_at(reduced, y, near=near)


def normal_form_at(reduced: ReducedMap, y: np.ndarray, *, near: float = NEAR) -> NormalForm:
    """Normal form of a reduced map at its fixed point y (m,); see `normal_form`."""
    jacobian = reduced.jacobian(y)
    mu, q, p = _critical(jacobian, near)
    angle = float(abs(np.angle(mu)))
    if angle < REAL or angle > np.pi - REAL:
        kind = "fold" if angle < 1 else "flip"
        q, p = np.real(q), np.real(p)
    else:
        kind = "neimark_sacker"
    terms = _Terms(reduced, y, jacobian, mu, q, p)
    value, error, size = terms.coefficient(kind)
    distance = float(abs(abs(mu) - 1))
    error += (distance + TOLERANCE) * size  # TOLERANCE: what is left of the point's own error
    resonance, harmless = (None, True)
    if kind == "neimark_sacker":
        resonance, harmless = _resonance(angle, terms, value, error)
    criticality = None
    if kind != "fold":
        positive = "supercritical" if kind == "flip" else "subcritical"
        negative = "subcritical" if kind == "flip" else "supercritical"
        criticality = positive if value > 0 else negative
        if not (abs(value) > error and harmless):
            criticality = "undecided"
    direction = reduced.basis @ q
    return NormalForm(
        kind, value, error, criticality, angle, resonance, complex(mu), distance, direction
    )


def _critical(jacobian: np.ndarray, near: float) -> tuple[complex, np.ndarray, np.ndarray]:
    """The multiplier nearest the unit circle and its vectors q, p with |q| = 1, p^H q = 1."""
    from scipy.linalg import eig

    found: Any = eig(jacobian, left=True, right=True)
    values, left, right = found
    distance = np.abs(np.abs(values) - 1)
    index = int(np.argmin(distance - 1e-15 * np.sign(values.imag)))
    mu = complex(values[index])
    if not distance[index] <= near:
        raise InputError(
            f"no bifurcation here: the multiplier nearest the unit circle has modulus {abs(mu):.6g}"
            f", {distance[index]:.2g} away from 1 (near = {near:g}): turn a parameter to where it "
            "is 1 (critical and continuation find that), or allow a larger near."
        )
    others = np.abs(values - mu) > 1e-12
    others &= np.abs(values - mu.conjugate()) > 1e-12
    if np.any(distance[others] < CROWDED) or np.sum(~others) > (1 if mu.imag == 0 else 2):
        raise InputError(
            f"several multipliers are critical at once ({values[distance < CROWDED + near]}): the "
            "point is a bifurcation of two parameters or of a symmetric map, which no coefficient "
            "of one direction decides; break the tie with a second parameter."
        )
    q, p = right[:, index], left[:, index]
    q = q * np.exp(-1j * np.angle(q[np.argmax(np.abs(q))])) / np.linalg.norm(q)
    overlap = np.vdot(p, q)
    if abs(overlap) < 1e-8:
        raise InputError(
            f"the critical multiplier {mu:.6g} has no left vector of its own, as at a strong "
            "resonance 1:1 or 1:2: move along a second parameter."
        )
    return mu, q, p / overlap.conjugate()


class _Terms:
    """Taylor terms along the critical directions, by central differences of the Jacobian.

    Only q and its conjugate ever stand first in ``B(q, .)`` and ``C(q, conj q, .)``, so derivatives
    of the Jacobian along the real lines of Re q and Im q are all that is needed.  The Jacobian
    rather than nested autodiff of the step: rules that solve inside carry their derivative by one
    Newton step, which is right to first order only.
    """

    def __init__(self, reduced, y, jacobian, mu, q, p):
        self.jacobian, self.mu, self.q, self.p = jacobian, mu, q, p
        steps = REACH / RATIO ** np.arange(LEVELS)
        lines = np.stack([q.real, q.imag, q.real + q.imag] if np.iscomplexobj(q) else [q])
        moves = steps[:, None, None, None] * np.array([1.0, -1])[:, None] * lines[:, None]
        slopes = reduced.jacobian(y + moves)  # (levels, lines, 2, m, m)
        scale = steps[:, None, None, None]
        self.first = (slopes[:, :, 0] - slopes[:, :, 1]) / (2 * scale)
        self.second = (slopes[:, :, 0] - 2 * jacobian + slopes[:, :, 1]) / scale**2

    def coefficient(self, kind: str) -> tuple[float, float, float]:
        """The coefficient, its error, and the sum of its terms' moduli."""
        terms = {"fold": self._fold, "flip": self._flip, "neimark_sacker": self._turn}[kind]()
        value, error = extrapolated(np.sum(terms, axis=0))
        return float(value), error, float(np.abs(terms)[:, LEVELS // 2].sum())

    def _fold(self):
        return [self._project(self.first[:, 0] @ self.q) / 2]

    def _flip(self):
        b = self.first[:, 0]
        bent = self._solve(1.0, b @ self.q)
        return [
            self._project(self.second[:, 0] @ self.q) / 6,
            self._project(_apply(b, bent)) / 2,
        ]

    def _turn(self):
        b = self.first[:, 0] + 1j * self.first[:, 1]
        unit = self.mu / abs(self.mu)
        bent = self._solve(1.0, b @ self.q.conj())
        double = self._solve(unit**2, b @ self.q)
        terms = [
            self._project((self.second[:, 0] + self.second[:, 1]) @ self.q),
            2 * self._project(_apply(b, bent)),
            self._project(_apply(b.conj(), double)),
        ]
        return [(term / unit).real / 2 for term in terms]

    def resonant(self, k: int) -> tuple[complex, float]:
        """Coefficient of ``conj(z)^(k - 1)``, k = 3 or 4, which only this resonance keeps."""
        back = (self.first[:, 0] + 1j * self.first[:, 1]).conj()  # B(conj q, .)
        pair = back @ self.q.conj()
        if k == 3:
            return extrapolated(self._project(pair) / 2)
        along, across, diagonal = np.moveaxis(self.second, 1, 0)
        mixed = (diagonal - along - across) / 2
        cubic = (along - across - 2j * mixed) @ self.q.conj()
        bent = self._solve((self.mu / abs(self.mu)) ** -2, pair)
        return extrapolated((self._project(cubic) + 3 * self._project(_apply(back, bent))) / 6)

    def _project(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self.p.conj()

    def _solve(self, at: complex, right: np.ndarray) -> np.ndarray:
        """``(at I - M)^+ right``: at an exact resonance the singular part is the resonant term."""
        system = at * np.eye(len(self.jacobian)) - self.jacobian
        return right @ np.linalg.pinv(system, rcond=1e-10).T


def _apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return (matrices @ vectors[..., None])[..., 0]


def _resonance(angle: float, terms: _Terms, value: float, error: float) -> tuple[str | None, bool]:
    """The strong resonance near an angle in words, and whether the sign of l1 still decides."""
    for k in (1, 2, 3, 4):
        if abs(k * angle - 2 * np.pi * round(k * angle / (2 * np.pi))) > RESONANT:
            continue
        name = f"1:{k} resonance"
        if k < 3:
            return f"{name}: the pair is about to meet on the real axis.", False
        size, doubt = terms.resonant(k)
        if abs(size) <= doubt:
            return f"{name}, whose resonant term is 0 within {doubt:.1e}.", True
        # |z| changes by |z|^3 (l1 + Re(resonant term turned by the phase)).
        harmless = k == 4 and abs(size) + doubt < abs(value) - error
        outcome = "less than |l1|, so its sign decides" if harmless else "which the sign cannot see"
        return f"{name}, with a resonant term of size {abs(size):.3g}, {outcome}.", harmless
    return None, True


def extrapolated(values: np.ndarray) -> tuple[Any, float]:
    """Limit of central differences (levels,) for steps that shrink by `RATIO`, and its error.

    Richardson's table in the square of the step; Ridders' choice of its steadiest entry (Adv. Eng.
    Software 4, 75, 1982) weighs truncation against rounding.  Levels that are not finite, where a
    long step has left the domain, drop out.
    """
    best, least = values[-1], np.inf
    column = values
    for order in range(1, len(values) - 2):
        following = column[1:] + (column[1:] - column[:-1]) / (RATIO ** (2 * order) - 1)
        change = np.maximum(np.abs(following - column[1:]), np.abs(following - column[:-1]))
        # One small change may be luck, three in a row are not.
        change = np.maximum(np.maximum(change[:-2], change[1:-1]), change[2:])
        change = np.where(np.isfinite(change), change, np.inf)
        steadiest = int(np.argmin(change))
        if change[steadiest] < least:
            best, least = following[steadiest], float(change[steadiest])
        column = following
    return best, least
