"""A window of beta under a narrow Condorcet winner: MRS-14."""

from functools import cache
from itertools import pairwise

import numpy as np

from analysis import Check
from analysis.how_sampling_shapes._recipes import growth_rates
from prefdyn import MRSIPO, critical, games, stability

CYCLE, ALPHA = 0.482, 0.5
"""Strength of the cycle under the Condorcet winner, and alpha, of MRS-14's examples."""


@cache
def derived_window():
    """Squared radius along beta of a Condorcet winner of margin m over an rps cycle, by sympy.

    With q the probability of each member of the cycle and 1 - 3q the winner's, the logit
    equilibrium is one equation, and the map differentiated there has its rotating pair in the plane
    of the cycle.
    """
    import sympy

    m, a, beta, alpha, q = sympy.symbols("m a beta alpha q", positive=True)
    pi = sympy.Matrix([1 - 3 * q, q, q, q])
    A = sympy.Matrix([[0, m, m, m], [-m, 0, a, -a], [-m, -a, 0, a], [-m, a, -a, 0]])
    drive = A * pi
    odds = sympy.exp((drive[0] - drive[1]) / ((1 - alpha) * beta))
    (share,) = sympy.solve(sympy.Eq((1 - 3 * q), q * sympy.simplify(odds)), q)
    jacobian = alpha * sympy.eye(4) + A * (sympy.diag(*pi) - pi * pi.T) / beta
    turn = sympy.exp(2 * sympy.pi * sympy.I / 3)
    wave = sympy.Matrix([0, 1, turn, turn**2])  # an eigenvector, by the cycle's symmetry
    multiplier = sympy.simplify((jacobian * wave)[1])
    radius = sympy.simplify(sympy.re(multiplier) ** 2 + sympy.im(multiplier) ** 2)
    return sympy.lambdify((m, a, beta, alpha), radius.subs(q, share))


def unstable_windows(m: float) -> list[float]:
    """Ends of the unstable intervals of beta in (1e-3, 1), from the derived radius."""
    from scipy.optimize import brentq

    def excess(beta):
        return derived_window()(m, CYCLE, beta, ALPHA) - 1

    grid = np.geomspace(2e-3, 1, 2000)
    signs = [excess(beta) > 0 for beta in grid]
    return [
        float(brentq(excess, low, high, xtol=1e-15))  # pyright: ignore
        for (low, high), (one, other) in zip(pairwise(grid), pairwise(signs), strict=True)
        if one != other
    ]


class UnstableWindow(Check):
    """Ends of the window: roots of the derived radius against the shipped search."""

    claim = "MRS-14"
    part = "ends of the unstable window of beta, m = .02, .05, .08, .095; none at m = .1"
    cases = (0.02, 0.05, 0.08, 0.095, 0.1)

    def predict(self, instance):
        ends = unstable_windows(instance)
        return np.array([len(ends), *ends])

    def observe(self, instance):
        found = critical(window_rule(instance, 1.0), "beta", range=(2e-3, 1))
        ends = sorted({end for interval in found.intervals for end in interval} - {*found.range})
        return np.array([len(ends), *ends])


class WindowAsStated(Check):
    """The printed numbers."""

    claim = "MRS-14"
    part = "the window of m = .02 is [.00850, .2301], that of m = .05 [.02949, .2089]"
    comparison = "relative"
    tolerance = 1e-3
    cases = ((0.02, (0.0085, 0.2301)), (0.05, (0.02949, 0.2089)))

    def predict(self, instance):
        return np.array(instance[1])

    def observe(self, instance):
        (_, low), (high, _) = critical(window_rule(instance[0], 1.0), "beta").intervals
        return np.array([low, high])


class WindowCloses(Check):
    """Largest radius over beta on both sides of the closing."""

    claim = "MRS-14"
    part = "largest spectral radius over beta: 1.016 at m = .095, .977 at m = .1"
    tolerance = 1e-3
    cases = ((0.095, 1.016), (0.1, 0.977))

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        betas = np.geomspace(0.05, 0.3, 400)
        return np.max(stability(window_rule(instance[0], betas)).spectral_radius)


class WindowSimulated(Check):
    """Growth of a small perturbation 1 % inside and outside both ends of the window."""

    claim = "MRS-14"
    part = "1 % inside (outside) each end a perturbation grows (decays) at the derived rate"
    comparison = "relative"
    tolerance = 5e-3
    cases = ((0.02, (0.99, 1.01)), (0.05, (0.99, 1.01)))

    def predict(self, instance):
        m, _ = instance
        return np.array(
            [np.log(derived_window()(m, CYCLE, b, ALPHA)) / 2 for b in self.betas(instance)]
        )

    def observe(self, instance):
        rule = window_rule(instance[0], self.betas(instance))
        return growth_rates(rule, rounds=100, size=1e-6)

    @staticmethod
    def betas(instance):
        m, sides = instance
        return np.array([end * side for end in unstable_windows(m) for side in sides])


def window_rule(m: float, beta) -> MRSIPO:
    """MRS-IPO on the game of MRS-14."""
    shape = np.shape(beta)
    game = games.condorcet_over_cycle(np.full(shape, m), np.full(shape, CYCLE))
    return MRSIPO(game, beta, ALPHA, 1.0)
