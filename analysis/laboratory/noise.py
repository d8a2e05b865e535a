"""How finite samples blur the boundary: LAB-3."""

from functools import cache

import numpy as np

from analysis import Check
from prefdyn import MRSIPO, FiniteSample, ensemble, games
from prefdyn.policies import softmax_jacobian

RUNS, ROUNDS = 64, 4000


def noisy_strength(a: float, alpha: float, ratio: float, votes: int) -> float:
    """Mean cycle strength of MRS-IPO on rps(a) at `ratio` times its beta_c, by simulation."""
    beta = ratio * a / np.sqrt(3 * (1 - alpha**2))
    rule = FiniteSample(MRSIPO(games.rock_paper_scissors(a), beta, alpha, 1.0), votes)
    start = np.tile([0.36, 0.33, 0.31], (RUNS, 1))
    run = ensemble(rule, start, ROUNDS, reducers=["cycle_strength"], burn_in=0.5, seed=1)
    return float(run["cycle_strength"].mean())


class AtTheBoundary(Check):
    """At beta_c, where the deterministic orbit just stops decaying."""

    claim = "LAB-3"
    part = "rps(a) at beta_c: cycle strength (4/27) sqrt((1/4 - a^2)/(pi a^2 n)), for every alpha"
    comparison = "relative"
    tolerance = 0.06
    cases = (
        (0.3, 0.5, 200),
        (0.3, 0.5, 2000),
        (0.3, 0.9, 1000),
        (0.45, 0.0, 1000),
        (0.1, 0.5, 2000),
    )

    def predict(self, instance):
        a, _, votes = instance
        return amplitude_law()(a, votes)

    def observe(self, instance):
        a, alpha, votes = instance
        return noisy_strength(a, alpha, 1.0, votes)


class OnTheStableSide(Check):
    """Above beta_c: the stationary variance of the linearised round."""

    claim = "LAB-3"
    part = "rps(a) at 1.2 and 1.5 beta_c: cycle strength of the linear theory, proportional to 1/n"
    comparison = "relative"
    tolerance = 0.06
    cases = ((0.3, 0.5, 1.2, 400), (0.3, 0.5, 1.5, 4000), (0.45, 0.8, 1.2, 4000))

    def predict(self, instance):
        return stationary_strength(*instance)

    def observe(self, instance):
        return noisy_strength(*instance)


def stationary_strength(a: float, alpha: float, ratio: float, votes: int) -> float:
    """Cycle strength of the linearised round with the noise of votes, from Lyapunov's equation."""
    from scipy.linalg import solve_discrete_lyapunov

    beta = ratio * a / np.sqrt(3 * (1 - alpha**2))
    J = softmax_jacobian(np.full(3, 1 / 3))
    A = games.rock_paper_scissors(a).skew
    centring = np.eye(3) - 1 / 3
    M = centring @ (alpha * np.eye(3) + A @ J / beta) @ centring
    # Noise of a win rate enters its two responses with opposite signs.
    one = (0.25 - a**2) / (9 * beta**2 * votes)
    noise = centring @ (one * (3 * np.eye(3) - np.ones((3, 3)))) @ centring
    return float(np.trace(J @ solve_discrete_lyapunov(M, noise) @ J) / 3)


@cache
def amplitude_law():
    """Cycle strength at the boundary, by sympy, from the normal form with noise.

    With ``z`` the amplitude along ``q = (1, w, w^2)``, ``|z|^2 = u``: the stationary density of
    ``z' = e^(i theta)(1 + l1 u) z + noise``, ``E|noise|^2 = v/(9 beta^2 n)``, is
    ``exp(l1 u^2/E|noise|^2)`` in u for weak noise (the averaged Fokker-Planck equation), with
    ``l1 = -(3/4)(1 - alpha^2)`` (NS-3); a policy moves by J theta = theta/3.
    """
    import sympy

    a, n, u, alpha = sympy.symbols("a n u alpha", positive=True)
    beta_squared = a**2 / (3 * (1 - alpha**2))
    noise = (sympy.Rational(1, 4) - a**2) / (9 * beta_squared * n)
    rate = sympy.symbols("rate", positive=True)
    weight = sympy.exp(-rate * u**2)
    mean = sympy.integrate(u * weight, (u, 0, sympy.oo)) / sympy.integrate(weight, (u, 0, sympy.oo))
    slope = sympy.Rational(3, 4) * (1 - alpha**2) / noise
    strength = sympy.simplify(2 * mean.subs(rate, slope) / 9)
    stated = sympy.Rational(4, 27) * sympy.sqrt(
        (sympy.Rational(1, 4) - a**2) / (sympy.pi * a**2 * n)
    )
    # alpha drops out: the ratio to the printed formula is 1 whatever the symbols are.
    ratio = sympy.powdenest((strength / stated) ** 2, force=True)
    if not sympy.simplify(ratio - 1).is_zero:
        raise ValueError(f"the derivation gives {ratio} times the stated law")
    return sympy.lambdify((a, n), stated)
