"""Super- or subcritical: the first Lyapunov coefficient of MRS-IPO in closed form. NS-1 to NS-3.

Everything here is on uncentred logits and from closed-form derivatives; the package works on the
simplex's tangent space and differentiates Jacobians numerically.
"""

from typing import NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import Recipe, rotations
from prefdyn import (
    MRSIPO,
    PreferenceMatrix,
    ensemble,
    fixed_point,
    games,
    normal_form,
    orbit,
    stability,
)
from prefdyn.policies import centre, log_softmax, softmax_jacobian

Array = np.ndarray

# ------------------------------------------------------------------- closed-form derivatives (NS-2)


def second(pi: Array, x: Array, y: Array) -> Array:
    """Second derivative of softmax at the policy pi along x and y, (..., K)."""
    x, y = (_less_mean(pi, v) for v in (x, y))
    return pi * _less_mean(pi, x * y)


def third(pi: Array, x: Array, y: Array, z: Array) -> Array:
    """Third derivative of softmax at the policy pi along x, y and z, (..., K)."""
    x, y, z = (_less_mean(pi, v) for v in (x, y, z))
    pairs = sum(
        one * _mean(pi, two * three) for one, two, three in ((x, y, z), (y, x, z), (z, x, y))
    )
    return pi * (_less_mean(pi, x * y * z) - pairs)


def _mean(pi: Array, x: Array) -> Array:
    return np.sum(pi * x, axis=-1, keepdims=True)


def _less_mean(pi: Array, x: Array) -> Array:
    return x - _mean(pi, x)


class Critical(NamedTuple):
    """Of batched recipes: critical multiplier, its vectors q, |q| = 1, and p, and l1."""

    mu: Array
    q: Array
    p: Array
    l1: Array


def lyapunov(A: Array, pi: Array, alpha: Array, gain: Array) -> Critical:
    """First Lyapunov coefficients (...,) of ``theta' = alpha theta + gain A softmax(theta)``.

    ``gain = lam / beta``; |q| is that of the centred vector.
    """
    identity = np.eye(pi.shape[-1])
    gain = np.asarray(gain)[..., None]
    M = np.asarray(alpha)[..., None, None] * identity + gain[..., None] * (A @ softmax_jacobian(pi))
    mu, q = _leading(M)
    # Not a row of the inverse of all right vectors: the multiplier alpha is double and defective.
    _, p = _leading(M.mT)
    p = p / np.sum(p * q, axis=-1, keepdims=True)
    size = np.linalg.norm(centre(q), axis=-1, keepdims=True)
    q, p = q / size, p * size

    def B(x, y):
        return gain * (A @ second(pi, x, y)[..., None])[..., 0]

    def along_p(x):
        return np.sum(p * x, axis=-1)

    def solve(at, right):
        return np.linalg.solve(at[..., None, None] * identity - M, right[..., None])[..., 0]

    unit = mu / np.abs(mu)
    cubic = along_p(gain * (A @ third(pi, q, q, q.conj())[..., None])[..., 0])
    bent = 2 * along_p(B(q, solve(np.ones_like(unit), B(q, q.conj()))))
    double = along_p(B(q.conj(), solve(unit**2, B(q, q))))
    return Critical(mu, q, p, ((cubic + bent + double) / unit).real / 2)


def _leading(M: Array) -> tuple[Array, Array]:
    """The multiplier of largest modulus and angle in (0, pi), (...,), and its vector (..., K)."""
    values, vectors = np.linalg.eig(M)
    index = np.argmax(np.abs(values) + 1e-9 * (np.imag(values) > 0), axis=-1)[..., None]
    mu = np.take_along_axis(values, index, -1)[..., 0]
    return mu, np.take_along_axis(vectors, index[..., None], -1)[..., 0]


class Crossing(NamedTuple):
    """A batch of recipes exactly at a Neimark-Sacker point, with their fixed points."""

    recipe: Recipe
    pi: Array

    def critical(self) -> Critical:
        """Their critical pairs, in closed form."""
        r = self.recipe
        return lyapunov(r.game.skew, self.pi, r.alpha, r.lam / r.beta)


def crossings(rng: np.random.Generator, K: int, size: int, uniform: bool = False) -> Crossing:
    """Those of `size` random recipes that can be critical, made so by their alpha.

    The fixed point, and s with it, depends on alpha and beta through tau = (1 - alpha) beta only.
    So tau is drawn, ``alpha^2 + (lam s/beta)^2 = 1`` gives ``alpha = (c - 1)/(c + 1)`` with
    ``c = (lam s/tau)^2``, and no search is needed; c > 1 for alpha > 0.
    """
    players = game(rng, K, size)
    tau, lam = log_uniform(rng, 0.005, 0.5, size), rng.uniform(0.3, 1, size)
    reference, offline = (None, None) if uniform else (interior(rng, K, size) for _ in range(2))
    if uniform:
        lam = np.ones(size)
    pi = fixed_point(MRSIPO(players, tau, 0.0, lam, reference, offline)).policy
    c = (lam * rotations(players.skew, pi)[..., 0] / tau) ** 2
    alpha = (c - 1) / (c + 1)
    kept = (alpha > 0.02) & (alpha < 0.97)
    r = Recipe(
        PreferenceMatrix(players.P[kept]),
        tau[kept] / (1 - alpha[kept]),
        alpha[kept],
        lam[kept],
        None if reference is None else reference[kept],
        None if offline is None else offline[kept],
    )
    return Crossing(r, pi[kept])


def one(recipe: Recipe, k: int, ratio: float = 1.0) -> MRSIPO:
    """Recipe k of a batch, at a multiple of its beta."""
    start, offline = (None if x is None else x[k] for x in recipe[4:])
    players = PreferenceMatrix(recipe.game.P[k])
    return MRSIPO(players, ratio * recipe.beta[k], recipe.alpha[k], recipe.lam[k], start, offline)


# ----------------------------------------------------------------------------------------- NS-1


class Coefficient(Check):
    """The formula on closed-form derivatives against the package's general tool."""

    claim = "NS-1"
    part = "random games at their threshold: the formula against the package's normal form"
    instances = 10
    batch = 4

    def draw(self, rng):
        return crossings(rng, responses(rng), 60, uniform=rng.random() < 0.5)

    def skip(self, instance):
        return len(instance.pi) < self.batch

    def predict(self, instance):
        return instance.critical().l1[: self.batch]

    def observe(self, instance):
        found = [normal_form(one(instance.recipe, k)) for k in range(self.batch)]
        return np.array([form.coefficient for form in found])


class CycleBorn(Check):
    """The size of simulated cycles close to the thresholds of random games."""

    claim = "NS-1"
    part = "random games: size max|pi - pi*| of the cycle born, where |multiplier| - 1 ~ .001"
    comparison = "relative"
    tolerance = 0.1
    instances = 2
    rounds = 15_000

    def draw(self, rng):
        found = crossings(rng, 4, 80, uniform=True)
        l1 = found.critical().l1
        good = np.flatnonzero((l1 < -0.05) & (found.recipe.alpha < 0.8))[:6]
        r = found.recipe
        players = PreferenceMatrix(r.game.P[good])
        return Crossing(Recipe(players, r.beta[good], r.alpha[good], r.lam[good]), found.pi[good])

    def beyond(self, instance):
        """The recipes with beta turned by what takes the multiplier across by about .001."""
        r = instance.recipe
        probe = 1e-6
        radius = stability(r._replace(beta=r.beta * (1 + probe)).rule()).spectral_radius
        return r._replace(beta=r.beta * (1 + probe * 1e-3 / (radius - 1)))

    def predict(self, instance):
        critical = instance.critical()
        excess = stability(self.beyond(instance).rule()).spectral_radius - 1
        size = 2 * np.sqrt(excess / -critical.l1)
        moves = np.abs((softmax_jacobian(instance.pi) @ critical.q[..., None])[..., 0])
        return size * moves.max(axis=-1)

    def observe(self, instance):
        rule = self.beyond(instance).rule()
        home = fixed_point(rule)
        near = log_softmax(home.log_policy + 0.05 * np.array([1, -1, 0.5, -0.5]))
        last = ensemble(rule, log_starts=near, rounds=self.rounds, reducers=["last_log_policy"])
        run = orbit(rule, log_start=last["last_log_policy"], rounds=2000, tolerance=0)
        return np.abs(run.policies - home.policy).max((0, -1))


# ----------------------------------------------------------------------------------------- NS-2


class Derivatives(Check):
    """Second and third derivatives along random directions, by differences of the Jacobian."""

    claim = "NS-2"
    part = "B(x, y) and C(x, x, y) against extrapolated differences of the shipped Jacobian"
    instances = 50
    tolerance = 1e-8

    def draw(self, rng):
        K = responses(rng)
        r = Recipe(game(rng, K), log_uniform(rng, 0.1, 3), rng.uniform(0, 0.95), rng.uniform(0, 1))
        return r, centre(rng.normal(size=K)), *centre(rng.normal(size=(2, K)))

    def predict(self, instance):
        r, theta, x, y = instance
        pi = np.exp(log_softmax(theta))
        both = np.stack([second(pi, x, y), third(pi, x, x, y)])
        return centre(r.lam / r.beta * both @ r.game.skew.T)

    def observe(self, instance):
        r, theta, x, y = instance
        steps = 0.05 / 2.0 ** np.arange(5)
        t = np.concatenate([steps, -steps, [0]])
        slopes = r.rule().jacobian(theta + t[:, None] * x).matrix @ y
        ahead, back, here = slopes[:5], slopes[5:10], slopes[10]
        first = (ahead - back) / (2 * steps[:, None])
        curve = (ahead - 2 * here + back) / steps[:, None] ** 2
        return centre(np.stack([_limit(first), _limit(curve)]))


def _limit(column: Array) -> Array:
    """Richardson's limit of central differences whose steps are halved."""
    for order in range(1, len(column)):
        column = column[1:] + (column[1:] - column[:-1]) / (4**order - 1)
    return column[0]


# ----------------------------------------------------------------------------------------- NS-3

ALPHAS = np.array([0.0, 0.3, 0.5, 0.9, 0.97])


class AlwaysSupercritical(Check):
    """Rock-paper-scissors: by the package, and by the closed-form derivatives."""

    claim = "NS-3"
    part = "l1 = -(3/4)(1 - alpha^2) for |q|^2 = 3, random a and lam, two ways"
    instances = 5

    def draw(self, rng):
        return rng.uniform(0.02, 0.5), rng.uniform(0.1, 1)

    def predict(self, instance):
        return np.broadcast_to(-0.75 * (1 - ALPHAS**2), (2, len(ALPHAS)))

    def observe(self, instance):
        a, lam = instance
        beta = lam * a / np.sqrt(3 * (1 - ALPHAS**2))
        players = games.rock_paper_scissors(a)
        rules = [MRSIPO(players, b, alpha, lam) for b, alpha in zip(beta, ALPHAS, strict=True)]
        uniform = np.full((len(ALPHAS), 3), 1 / 3)
        closed = lyapunov(players.skew, uniform, ALPHAS, lam / beta).l1
        return 3 * np.stack([[normal_form(rule).coefficient for rule in rules], closed])


class ResonanceIsHarmless(Check):
    """At alpha = 0 the angle is a quarter turn, and conj(z)^3 would be resonant."""

    claim = "NS-3"
    part = "alpha = 0: 1:4 resonance, resonant term 0, supercritical"
    comparison = "agree"
    tolerance = 0.0
    cases = (0.1, 0.3, 0.5)

    def predict(self, instance):
        return ["supercritical", True, True]

    def observe(self, instance):
        rule = MRSIPO(games.rock_paper_scissors(instance), instance / np.sqrt(3), 0.0, 1.0)
        found = normal_form(rule)
        words = found.resonance or ""
        return [found.criticality, words.startswith("1:4"), "is 0 within" in words]
