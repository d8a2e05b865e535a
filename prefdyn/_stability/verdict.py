"""Local and global stability in one word, with the evidence behind it."""

from dataclasses import dataclass

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._simulate import ensemble
from prefdyn._stability.certificates import certificates
from prefdyn._stability.multipliers import Stability, stability
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._rule import Rule, a_rule

ROUNDS = (500, 20_000)
"""Fewest and most rounds that a far start is followed, per window."""
ASTRAY = 1e-3
"""Largest distance of a probability from the fixed point that counts as having come home."""


@dataclass(frozen=True)
class FarStarts:
    """What became of starts far from the fixed point.

    Attributes
    ----------
    number
        Starts followed.
    astray
        How many of them stayed away: on another attractor, not merely slow.
    slow
        How many were away, but may have been on their way: undecided.
    distance
        Largest root-mean-square distance of a probability from the fixed point among the astray.
    rounds
        Rounds each was followed.
    """

    number: int
    astray: int
    slow: int
    distance: float
    rounds: int


@dataclass(frozen=True)
class Verdict:
    """One word on a recipe, and why.

    Attributes
    ----------
    word
        ``"certified"`` (a global certificate holds), ``"locally stable, not refuted by N far
        starts"`` (N came home, none stayed away), ``"bistable"`` (locally stable, but some far
        start stays away), ``"unstable"``.
    stability, certificates, far_starts
        The evidence; far starts are tried only where they can change the word.
    """

    word: str
    stability: Stability
    certificates: tuple[Certificate, ...]
    far_starts: FarStarts | None


@working("judging the recipe")
def verdict(rule: Rule, far_starts: int = 64, seed: int = 0) -> Verdict:
    """Whether a rule converges, from everywhere as far as one can tell.

    Linear analysis alone never says "safe": MRS-DPO on strong preferences and, rarely, MRS-IPO
    have a large cycle beside the stable fixed point (NS-4, NS-5).

    Parameters
    ----------
    rule
        A rule without batch.
    far_starts
        Starts tried where no global certificate holds: near every vertex, the rest at random.
    seed
        Seed of the random ones.

    Raises
    ------
    NoOptimum
        If there is no fixed point to be stable (alpha = 1), or a whole line of them, on which every
        start ends elsewhere (more parameters than the pairs pin down).
    """
    # A rule without noise is followed as it is, even if its analysis looks at another map.
    followed = rule.skeleton if a_rule(rule).stochastic else rule
    rule = rule.skeleton
    if rule.batch_shape:
        raise InputError("a verdict is about one recipe on one game: pass a rule without batch.")
    linear = stability(rule)
    if linear.kind == "marginal":
        raise NoOptimum(
            "no verdict: a multiplier at the fixed point is 1, as on a line of fixed points, where "
            "every start ends elsewhere; look at stability(rule).multipliers and at orbits."
        )
    known = certificates(rule, linear)
    if linear.spectral_radius >= 1:
        return Verdict("unstable", linear, known, None)
    if any(c.proves == "global" and c.holds for c in known):
        return Verdict("certified", linear, known, None)
    number = count(far_starts, "far_starts")
    first, second, rounds = follow_far_starts(followed, linear, number, seed)
    lost = astray(linear, first, second, rounds)
    slow = int(((second > ASTRAY) & ~lost).sum())
    far = FarStarts(number, int(lost.sum()), slow, float(second[lost].max(initial=0.0)), rounds)
    word = f"locally stable, not refuted by {number - slow} far starts"
    return Verdict("bistable" if far.astray else word, linear, known, far)


def far_policies(K: int, number: int, seed: int) -> np.ndarray:
    """Log-probabilities (number, K): near each vertex first, then Dirichlet(1/2) draws."""
    rng = np.random.default_rng(seed)
    tops = np.arange(K) if number >= 2 * K else rng.permutation(K)[: -(-number // 2)]
    vertices = np.full((len(tops), K), np.log(0.02 / (K - 1)))
    vertices[np.arange(len(tops)), tops] = np.log(0.98)
    gamma = rng.gamma(0.5, size=(number - len(tops), K))
    weights = np.log(np.maximum(gamma, 1e-12))  # a draw of 0 has no logarithm
    drawn = weights - np.logaddexp.reduce(weights, axis=-1)[:, None]
    return np.concatenate([vertices, drawn])


def follow_far_starts(
    rule: Rule, linear: Stability, number: int, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Root-mean-square distance of far starts from the fixed point in two windows of rounds.

    Each window is long enough for linear decay by e^-40 where the cap allows.  A start that runs
    off to the boundary, where DPO's optimum ceases to exist, stays as far away as a vertex.

    Returns
    -------
    first, second
        Distances (number, ...) in the second half of either window.
    rounds
        Rounds followed in all.
    """
    slowest = np.max(np.asarray(linear.spectral_radius), initial=1e-300, where=_stable(linear))
    rounds = int(np.clip(-40 / np.log(slowest), *ROUNDS))
    home = linear.point.policy
    starts = far_policies(rule.K, number, seed)
    starts = starts.reshape(number, *(1,) * (home.ndim - 1), rule.K)
    try:
        first, second = _two_windows(rule, starts, rounds, home)
    except NoOptimum:
        if np.size(linear.spectral_radius) > 1:
            raise
        alone = [_two_windows_or_lost(rule, start[None], rounds, home) for start in starts]
        first, second = (np.concatenate(windows) for windows in zip(*alone, strict=True))
    return first, second, 2 * rounds


def _two_windows(rule: Rule, starts: np.ndarray, rounds: int, home: np.ndarray) -> list[np.ndarray]:
    distances = []
    for _ in range(2):
        run = ensemble(
            rule,
            log_starts=starts,
            rounds=rounds,
            burn_in=0.5,
            reducers=("last_log_policy", "mean_policy", "cycle_strength"),
        )
        starts = run["last_log_policy"]
        bias = ((run["mean_policy"] - home) ** 2).mean(axis=-1)
        distances.append(np.sqrt(bias + run["cycle_strength"]))
    return distances


def _two_windows_or_lost(rule, start, rounds, home) -> list[np.ndarray]:
    """As `_two_windows`; a start that runs off until no optimum exists is as far as a vertex."""
    try:
        return _two_windows(rule, start, rounds, home)
    except NoOptimum:
        vertices = np.eye(rule.K).reshape(rule.K, *(1,) * (home.ndim - 1), rule.K)
        away = np.sqrt(((vertices - home) ** 2).mean(axis=-1)).max(axis=0, keepdims=True)
        return [away, away]


def astray(linear: Stability, first: np.ndarray, second: np.ndarray, rounds: int) -> np.ndarray:
    """Which far starts are on another attractor, from the results of `follow_far_starts`.

    Those that are away and no nearer in the second window than in the first.  Where even a small
    perturbation would not have halved in between, nothing can be told, and none is.
    """
    telling = np.minimum(linear.spectral_radius, 1.0) ** (rounds / 2) < 0.5
    return (second > ASTRAY) & (second > 0.9 * first) & telling


def _stable(linear: Stability) -> np.ndarray:
    return np.asarray(linear.spectral_radius) < 1
