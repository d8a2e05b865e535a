"""Where the onset of cycles turns from soft to abrupt: BIF-1 and BIF-2."""

from functools import cache

import numpy as np
from scipy.optimize import brentq

from analysis import Check
from analysis.how_sampling_shapes.bistable import SETTLED, amplitudes
from analysis.how_sampling_shapes.normal_forms import lyapunov
from analysis.how_sampling_shapes.windows import ALPHA, CYCLE, derived_window, unstable_windows
from prefdyn import MRSDPO, MRSIPO, Boundary, boundary, fixed_point, games
from prefdyn.policies import log_softmax

Array = np.ndarray

STEP = 0.15
"""Longest step of the curves: their points are exact whatever the step."""


class TurnsAbrupt(Check):
    """The Chenciner point on a line of the plane of beta and lam."""

    claim = "BIF-1"
    part = "the Chenciner point of the boundary in beta and lam, at two strengths and alphas"
    comparison = "relative"
    tolerance = 1e-9
    cases = ((0.45, 0.0), (0.482, 0.9))

    def predict(self, instance):
        a, alpha = instance
        return np.array([1 / np.sqrt(1 - alpha**2), np.sqrt(3) / (4 * a)])

    def observe(self, instance):
        a, alpha = instance
        rule = MRSDPO(games.rock_paper_scissors(a), 1.0, alpha, 1.0)
        curve = boundary(rule, ("beta", "lam"), ((0.8, 4.0), (0.8, 1.0)), step=0.5)
        return np.array(curve.event("Chenciner").values)


# ------------------------------------------------------------------------------------ BIF-2: arches


@cache
def arch(m: float) -> Boundary:
    """The boundary as the package follows it, from one end at alpha = 0 to the other."""
    rule = MRSIPO(games.condorcet_over_cycle(m, CYCLE), 0.1, 0.1, 1.0)
    return boundary(rule, ("beta", "alpha"), ((1e-3, 1.0), (0.0, 0.99)), step=STEP)


def critical_alpha(m: float, tau: float) -> float:
    """The alpha at which a recipe with (1 - alpha) beta = tau is critical.

    All recipes of one tau have the same fixed point; with c their radius at alpha = 0, that at
    another alpha is sqrt(alpha^2 + c^2 (1 - alpha)^2).
    """
    c_squared = float(derived_window()(m, CYCLE, tau, 0))
    return (c_squared - 1) / (c_squared + 1)


def coefficient(m: float, tau: float) -> float:
    """l1 at the critical alpha of a tau, from closed-form derivatives (NS-2)."""
    A = games.condorcet_over_cycle(m, CYCLE).skew
    alpha = critical_alpha(m, tau)
    share: float = brentq(  # pyright: ignore
        lambda q: np.log((1 - 3 * q) / q) - (3 * q * m + m * (1 - 3 * q)) / tau,
        1e-300,
        (1 - 1e-9) / 3,
    )
    pi = np.array([1 - 3 * share, share, share, share])
    return float(lyapunov(A, pi, np.array(alpha), np.array((1 - alpha) / tau)).l1)


class ArchIsCritical(Check):
    """Every point of the arch against the derived radius."""

    claim = "BIF-2"
    part = "m = .05, .08: the derived radius is 1 at all points of the arch, ends at alpha = 0"
    tolerance = 1e-8
    cases = (0.05, 0.08)

    def predict(self, instance):
        return np.append(np.ones(len(arch(instance).values)), [0.0, 0.0])

    def observe(self, instance):
        beta, alpha = arch(instance).values.T
        radius = [derived_window()(instance, CYCLE, b, a) for b, a in zip(beta, alpha, strict=True)]
        return np.append(radius, alpha[[0, -1]])


class TopOfArch(Check):
    """The smallest alpha that is stable at every beta."""

    claim = "BIF-2"
    part = "top of the arch: the printed alphas, and the largest critical alpha over tau"
    tolerance = 6e-4
    cases = ((0.05, 0.837), (0.08, 0.630))

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        m, _ = instance
        beta, alpha = arch(m).values.T
        k = int(np.argmax(alpha))
        around = slice(k - 2, k + 3)  # through the five highest points: no point is at the top
        top = np.polynomial.Polynomial.fit(np.log(beta[around]), alpha[around], 4)
        followed = top(top.linspace(1000)[0]).max()
        derived = max(critical_alpha(m, tau) for tau in np.geomspace(1e-3, 0.1, 2000))
        return np.array([followed, derived])


class SignChanges(Check):
    """The Chenciner point against a root of the closed-form coefficient."""

    claim = "BIF-2"
    part = "where l1 changes sign: followed, against a root of l1 from closed-form derivatives"
    comparison = "relative"
    tolerance = 1e-6
    cases = ((0.05, 0.022, 0.0235), (0.08, 0.036, 0.037))

    def predict(self, instance):
        m, low, high = instance
        tau: float = brentq(lambda t: coefficient(m, t), low, high, xtol=1e-13)  # pyright: ignore
        alpha = critical_alpha(m, tau)
        return np.array([tau / (1 - alpha), alpha])

    def observe(self, instance):
        return np.array(arch(instance[0]).event("Chenciner").values)


class SignChangesAsStated(Check):
    """The printed points, and the side on which l1 is positive."""

    claim = "BIF-2"
    part = "the printed points; subcritical before, where beta is smaller, and nowhere after"
    tolerance = 6e-5
    cases = (
        (0.05, (0.1177, 0.8067)),
        (0.08, (0.0847, 0.5700)),
        ("cyclic", (0.0594, 0.2335)),
    )

    def predict(self, instance):
        return np.array([*instance[1], 0.0])

    def observe(self, instance):
        name, _ = instance
        curve = island() if name == "cyclic" else arch(name)
        point = curve.event("Chenciner").values
        # Along the curve from the small-beta end: the share of words that are not in this order.
        words = curve.criticality if curve.values[0, 0] < curve.values[-1, 0] else None
        assert words is not None
        before = np.arange(len(words)) < np.sum(words == "subcritical")
        return np.array([*point, np.mean((words == "subcritical") != before)])


@cache
def island() -> Boundary:
    """The boundary of the cyclic dueling matrix."""
    rule = MRSIPO(games.load("cyclic"), 0.05, 0.1, 1.0)
    return boundary(rule, ("beta", "alpha"), ((1e-3, 1.0), (0.0, 0.9)), step=STEP)


class BistableBelow(Check):
    """Near and far starts on either side of the window."""

    claim = "BIF-2"
    part = "alpha = 1/2: below the window near starts decay and far ones cycle; above all decay"
    comparison = "at_least"
    tolerance = 0.0
    cases = (0.02, 0.05)

    def predict(self, instance):
        return np.array([*[-SETTLED] * 5, *[0.95] * 4, -SETTLED])

    def observe(self, instance):
        low, high = unstable_windows(instance)
        beta = np.append(np.array([0.5, 0.8, 0.95, 0.99]) * low, 1.01 * high)
        rule = MRSIPO(games.condorcet_over_cycle(instance, CYCLE), beta, ALPHA, 1.0)
        near = fixed_point(rule).log_policy + 1e-3 * np.array([1, -1, 0.5, -0.5])
        far = log_softmax(np.array([0, 3.0, 0, -3]))
        starts = np.stack([log_softmax(near), np.broadcast_to(far, near.shape)])
        close, away = amplitudes(rule, starts, settle=20_000)
        return np.array([*-close, *away[:4], -away[4]])
