"""Ranked games that oscillate all the same: MRS-13."""

from typing import Any

import numpy as np

from analysis import Check
from analysis.how_sampling_shapes._recipes import Array, rotations
from prefdyn import MRSIPO, PreferenceMatrix, fixed_point, games, orbit, stability
from prefdyn.policies import log_softmax


def many_responses(K: int, nearest: float = 0.48) -> PreferenceMatrix:
    """A long ranking: A grows from almost `nearest` between neighbours to 1/2 between the ends."""
    gap = np.subtract.outer(np.arange(K), np.arange(K))
    return PreferenceMatrix(
        0.5 - np.sign(gap) * (nearest + (0.5 - nearest) * np.abs(gap) / (K - 1))
    )


def share_of_margin(game: PreferenceMatrix, beta) -> Array:
    """``(s/beta)^2`` at the fixed point for alpha = 0, lam = 1, all else uniform; unstable above 1.

    It is the squared spectral radius; for alpha > 0 the same game uses less of its margin.
    """
    policy = fixed_point(MRSIPO(game, beta, 0.0, 1.0)).policy
    return (rotations(game.skew, policy)[..., 0] / beta) ** 2


class ManyResponsesRadius(Check):
    """Spectral radius of the long ranking."""

    claim = "MRS-13"
    part = "(a) is strictly strongly transitive; spectral radius 1.049 at K = 150, 1.103 at 200"
    tolerance = 1e-3
    cases = ((150, 1.049), (200, 1.103))

    def predict(self, instance):
        return np.array([True, instance[1]])

    def observe(self, instance):
        game = many_responses(instance[0])
        radius = stability(MRSIPO(game, 0.117, 0.0, 1.0)).spectral_radius
        return np.array([games.is_strongly_transitive(game, strict=True), radius])


class ManyResponsesOscillate(Check):
    """Largest standard deviation over time of a response's probability."""

    claim = "MRS-13"
    part = "(a) orbits keep oscillating: largest std of a coordinate .115 at K = 150, .155 at 200"
    tolerance = 2e-3
    cases = ((150, 0.115), (200, 0.155))

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        rule = MRSIPO(many_responses(instance[0]), 0.117, 0.0, 1.0)
        return orbit(rule, rounds=2000).policies[1000:].std(0).max()


class AntiRankedReference(Check):
    """Three ranked responses whose reference undoes the ranking."""

    claim = "MRS-13"
    part = "(b) pi* uniform; squared radius 1.40 and coordinates of std .33, at lam = .5 stable"
    tolerance = 5e-3
    cases = ((1.0, 0.33), (0.5, 0.0))
    A = 0.5 * np.array([[0, 0.6, 1], [-0.6, 0, 0.6], [-1, -0.6, 0]])

    def predict(self, instance):
        lam, spread = instance
        s = abs(self.A[0, 1] + self.A[1, 2] + self.A[2, 0]) / np.sqrt(27)
        return np.array([0.9**2 + (lam * s / 0.025) ** 2, spread, 1 / 3])

    def observe(self, instance):
        uniform = np.full(3, 1 / 3)
        log_reference = log_softmax(-self.A @ uniform / (0.1 * 0.025))
        game = PreferenceMatrix(0.5 + self.A)
        rule = MRSIPO(game, 0.025, 0.9, instance[0], log_reference=log_reference)
        found = stability(rule)
        spread = orbit(rule, rounds=4000, tolerance=0).policies[2000:].std(0).max()
        return np.array([found.spectral_radius**2, spread, found.point.policy.max()])


class MarginShare(Check):
    """How near the ranking comes to oscillating at the worst beta."""

    claim = "MRS-13"
    part = "(a) largest (s/beta)^2 over beta, K = 30, 50, 100, 200; the same for certain wins"
    tolerance = 5e-3
    cases = (
        *((K, 0.48, share) for K, share in ((30, 0.525), (50, 0.688), (100, 0.939), (200, 1.223))),
        *((K, 0.5, share) for K, share in ((30, 0.544), (50, 0.712), (100, 0.970), (200, 1.262))),
    )

    def predict(self, instance):
        return instance[-1]

    def observe(self, instance):
        from scipy.optimize import minimize_scalar

        game = many_responses(*instance[:2])
        best: Any = minimize_scalar(
            lambda x: -share_of_margin(game, np.exp(x)),
            bounds=np.log((0.08, 0.25)),
            method="bounded",
            options={"xatol": 1e-3},
        )
        return -best.fun


class FewResponses(Check):
    """A search for a counter-example with few responses; none is claimed to be impossible."""

    claim = "MRS-13"
    part = "largest (s/beta)^2 found for K <= 6, all else uniform"
    comparison = "report"
    instances = 4
    batch = 400

    def instance(self, seed, index):
        return np.random.default_rng((seed, index)), 3 + index

    def observe(self, instance):
        """K, the largest share among 400 draws, and after climbing from the 8 best of them."""
        rng, K = instance
        drawn = games.strongly_transitive(K, rng, size=400)
        betas = np.geomspace(0.01, 1, 24)[:, None]
        shares = share_of_margin(drawn, betas)
        first = np.argsort(shares.max(0))[-8:]
        best, climbers = shares.max(0)[first], np.arange(8)
        beta, rises = betas[shares.argmax(0)[first], 0], increments(drawn[first].skew)
        for _ in range(80):
            trial = rises * np.exp(0.3 * rng.normal(size=(8, *rises.shape)))
            trial_beta = beta * np.exp(0.2 * rng.normal(size=(8, 8)))
            found = share_of_margin(from_increments(trial), trial_beta)
            chosen = found.argmax(0), climbers
            better = found[chosen] > best
            best = np.where(better, found[chosen], best)
            beta = np.where(better, trial_beta[chosen], beta)
            rises = np.where(better[:, None, None], trial[chosen], rises)
        return K, shares.max(), best.max()

    def summary(self, observations):
        shares = ", ".join(
            f"{drawn:.2f} and {climbed:.2f} at K = {K}" for K, drawn, climbed in observations
        )
        oscillates = any(climbed > 1 for *_, climbed in observations)
        verdict = "a counter-example" if oscillates else "no counter-example (1 would be one)"
        return f"400 draws each and hill climbing reach {shares}: {verdict}"


def increments(A: Array) -> Array:
    """What each entry of a ranking adds to the larger of its two neighbours nearer the diagonal."""
    upper = np.triu(A)
    left, below = np.zeros_like(upper), np.zeros_like(upper)
    left[..., :, 1:], below[..., :-1, :] = upper[..., :, :-1], upper[..., 1:, :]
    return np.triu(upper - np.maximum(left, below), 1)


def from_increments(rises: Array) -> PreferenceMatrix:
    """The ranking with these increments, scaled to a certain win between its ends.

    The scale does not matter where beta is free.
    """
    K = rises.shape[-1]
    M = np.zeros_like(rises)
    for gap in range(1, K):
        i, j = np.arange(K - gap), np.arange(gap, K)
        M[..., i, j] = np.maximum(M[..., i, j - 1], M[..., i + 1, j]) + rises[..., i, j]
    M *= 0.5 / M[..., :1, -1:]
    return PreferenceMatrix(np.clip(0.5 + M - M.mT, 0, 1))
