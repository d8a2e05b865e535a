"""Learning rules at equal progress per round, on many games and on real ones: LAB-6, LAB-7.

Every rule is tuned to one equilibrium, that of temperature tau (Nash-MD with a constant step has
its own), and to one factor m by which a round shrinks the distance to it where preferences are
curl-free: ``eta = (1 - m)/tau``.  What is left to compare is how much rotation s/tau each bears.
"""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.how_sampling_shapes._recipes import rotations
from analysis.laboratory._games import cyclic_games
from prefdyn import MRSIPO, PreferenceMatrix, fixed_point, games, orbit, stability
from prefdyn.rules import EGPO, NashMD, Optimistic, online_mirror_descent

RULES = ("mirror descent", "extragradient", "Nash-MD", "optimism")
NEAR = 1e-6
"""Relative distance from the limit within which stability is not told apart."""


def limit(rule: str, m: float) -> float:
    """Largest s/tau at which the rule's fixed point is stable, at progress m per round.

    From the multipliers at ``y = eta s``: ``m + iy`` for mirror descent, ``m - y^2 + imy`` for
    extragradient, ``m (1 + iy)`` for Nash-MD, where s is that of its mixture, and the roots of
    ``z^2 - (m + 2iy) z + iy`` for optimism.
    """
    if rule == "mirror descent":
        y = np.sqrt(1 - m**2)
    elif rule == "extragradient":
        b = 2 * m - m**2
        y = np.sqrt((b + np.sqrt(b**2 + 4 * (1 - m**2))) / 2)
    elif rule == "Nash-MD":
        y = np.sqrt(1 - m**2) / m
    else:
        y = _optimistic_limit(m)
    return float(y / (1 - m))


def _optimistic_limit(m: float) -> float:
    """The smallest y at which a root reaches the unit circle, by bisection on the roots."""
    from scipy.optimize import brentq

    def excess(y):
        return np.abs(np.roots([1, -(m + 2j * y), 1j * y])).max() - 1

    grid = np.linspace(1e-6, 2, 400)
    above = next(k for k, y in enumerate(grid) if excess(y) > 0)
    return float(brentq(excess, grid[above - 1], grid[above], xtol=1e-15))  # pyright: ignore


def tuned(rule: str, game: PreferenceMatrix, tau, m):
    """The shipped rule at temperature tau and progress m."""
    eta = (1 - np.asarray(m)) / tau
    if rule == "extragradient":
        return EGPO(game, eta, tau)
    if rule == "Nash-MD":
        return NashMD(game, eta, tau)
    plain = online_mirror_descent(game, eta, tau)
    return plain if rule == "mirror descent" else Optimistic(plain)


def strength_of_rotation(rule: str, game: PreferenceMatrix, tau, m) -> np.ndarray:
    """s/tau at the equilibrium that decides, (...,)."""
    deciding = tau / m if rule == "Nash-MD" else tau
    policy = fixed_point(MRSIPO(game, deciding, 0.0, 1.0)).policy
    return rotations(game.skew, policy)[..., 0] / tau


class EqualProgress(Check):
    """Which games each rule is stable on."""

    claim = "LAB-6"
    part = "random cyclic games: the spectral radius is below 1 where s/tau is below the limit"
    comparison = "agree"
    tolerance = 0.0
    instances = 100
    batch = 10

    def draw(self, rng):
        K = int(rng.integers(3, 7))
        return (
            str(rng.choice(RULES)),
            cyclic_games(rng, K, self.batch),
            log_uniform(rng, 0.005, 0.3, self.batch),
            float(rng.uniform(0.05, 0.97)),
        )

    def skip(self, instance):
        rule, _, _, m = instance
        return bool(np.any(np.abs(strength_of_rotation(*instance) / limit(rule, m) - 1) < NEAR))

    def predict(self, instance):
        rule, _, _, m = instance
        return strength_of_rotation(*instance) < limit(rule, m)

    def observe(self, instance):
        return stability(tuned(*instance)).spectral_radius < 1


class Crossings(Check):
    """Where one rule overtakes another."""

    claim = "LAB-6"
    part = "extragradient bears more than two smaller steps of mirror descent above m = .570, "
    part += "optimism more than mirror descent above m = 2 sqrt 2 - 2 = .828"
    tolerance = 5e-6
    cases = (("extragradient", 2, 0.56984), ("optimism", 1, 2 * np.sqrt(2) - 2))

    def predict(self, instance):
        return instance[2]

    def observe(self, instance):
        from scipy.optimize import brentq

        rule, steps, _ = instance

        def lead(m):
            return limit(rule, m) - limit("mirror descent", m ** (1 / steps))

        return brentq(lead, 0.3, 0.95)


class SharesOfGames(Check):
    """What that means for a thousand games."""

    claim = "LAB-6"
    part = "a thousand cyclic games, tau = .03: share on which each rule is stable, m = .5 and .9"
    comparison = "report"
    cases = tuple((rule, m) for m in (0.5, 0.9) for rule in RULES)

    def observe(self, instance):
        rule, m = instance
        stable = [
            stability(tuned(rule, _drawn(K), 0.03, m)).spectral_radius < 1 for K in (3, 4, 5, 6)
        ]
        return rule, m, float(np.mean(np.concatenate(stable)))

    def summary(self, observations):
        return "; ".join(f"{rule} at m = {m:g}: {share:.0%}" for rule, m, share in observations)


@cache
def _drawn(K: int) -> PreferenceMatrix:
    return cyclic_games(np.random.default_rng(K), K, 250)


# ------------------------------------------------------------------------------------------ LAB-7

REAL = ("pandalm", "arxiv", "arithmetic", "minneapolis", "cyclic")
TAUS = np.geomspace(1e-3, 1, 61)


class RealRotation(Check):
    """How much rotation the matrices that ship with the package offer at most."""

    claim = "LAB-7"
    part = "largest s/tau over tau in [.001, 1]: .083, .321, 0, 1.86, 1.39"
    tolerance = 5e-4
    cases = (
        ("pandalm", 0.0828),
        ("arxiv", 0.321),
        ("arithmetic", 0.0),
        ("minneapolis", 1.856),
        ("cyclic", 1.394),
    )

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        return rotation_by_tau(instance[0]).max()


class RealRuns(Check):
    """Every rule, started a thousandth away from its fixed point."""

    claim = "LAB-7"
    part = (
        "every rule settles on the equilibrium just where its limit says, at the least stable tau"
    )
    comparison = "agree"
    tolerance = 0.0
    cases = tuple((name, rule, m) for name in REAL for rule in RULES for m in (0.5, 0.9))

    def predict(self, instance):
        name, rule, m = instance
        game = games.load(name)
        return strength_of_rotation(rule, game, least_stable(name), m) < limit(rule, m)

    def observe(self, instance):
        name, rule, m = instance
        tuned_rule = tuned(rule, games.load(name), least_stable(name), m)
        near = fixed_point(tuned_rule).policy * np.exp(1e-3 * np.cos(np.arange(tuned_rule.K)))
        run = orbit(tuned_rule, near / near.sum(), rounds=6000)
        return run.settled


@cache
def rotation_by_tau(name: str) -> np.ndarray:
    """s/tau of a game of the package at every tau of the range."""
    game = games.load(name)
    sizes = [strength_of_rotation("mirror descent", game, tau, 0.5).item() for tau in TAUS]
    return np.array(sizes)


def least_stable(name: str) -> float:
    """The tau in the range at which s/tau is largest."""
    return float(TAUS[np.argmax(rotation_by_tau(name))])
