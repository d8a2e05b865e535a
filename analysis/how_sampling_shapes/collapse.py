"""Collapse onto one response, near or complete, and the regime alpha = 1: MRS-10, 11 and 12."""

from typing import NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import interior, responses
from analysis.how_sampling_shapes._recipes import Recipe, recipe, rotations, rps
from prefdyn import MRSIPO, PreferenceMatrix, fixed_point, games, orbit, stability
from prefdyn.policies import entropy, softmax

Array = np.ndarray

# --------------------------------------------------------------------------------------- MRS-10


def cyclic_game(rng: np.random.Generator) -> tuple[PreferenceMatrix, Array]:
    """Three responses in a cycle of random strengths, and the interior Nash policy.

    Response 0 beats 1 by a, 1 beats 2 by b, 2 beats 0 by c: A p = 0 for p like (b, c, a).
    """
    a, b, c = rng.uniform(0.1, 0.5, 3)
    A = np.array([[0, a, -c], [-a, 0, b], [c, -b, 0]])
    return PreferenceMatrix(0.5 + A), np.array([b, c, a]) / (a + b + c)


def divergences(nash: Array, log_policies: Array) -> Array:
    """KL(nash, pi_t), with which nothing underflows: only log pi enters."""
    return np.sum(nash * (np.log(nash) - log_policies), axis=-1)


class DivergenceGrows(Check):
    """Hedge self-play on rock-paper-scissors, round by round."""

    claim = "MRS-10"
    part = "rps(1/2), beta = 2, alpha = lam = 1: KL(uniform, pi_t) grows in each of 4000 rounds"
    comparison = "at_least"
    tolerance = 0.0
    cases = (4000,)

    def predict(self, instance):
        return 1e-9

    def observe(self, instance):
        run = orbit(rps(0.5, 2.0, 1.0, 1.0), rounds=instance, tolerance=0)
        return np.diff(divergences(np.full(3, 1 / 3), run.log_policies)).min()


class DivergenceGrowsAnywhere(Check):
    """The same for random cyclic games and starts, while increments are above rounding."""

    claim = "MRS-10"
    part = "random cycles and starts: KL(Nash, pi_t) grows in each of the first 40 rounds"
    comparison = "at_least"
    tolerance = 0.0

    def draw(self, rng):
        return *cyclic_game(rng), rng.uniform(0.5, 3), interior(rng, 3)

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        game, nash, beta, start = instance
        run = orbit(MRSIPO(game, beta, 1.0, 1.0), start, 40, tolerance=0)
        growth = np.diff(divergences(nash, run.log_policies))
        return growth.min() if growth.min() != 0 else -np.inf  # strictly


class MultipliersOutside(Check):
    """Multipliers at the interior Nash policy, which is a fixed point at alpha = 1."""

    claim = "MRS-10"
    part = "multipliers at the Nash policy are 1 +- i s/beta"

    def draw(self, rng):
        return *cyclic_game(rng), rng.uniform(0.1, 3)

    def predict(self, instance):
        game, nash, beta = instance
        s = rotations(game.skew, nash)[0]
        return np.array([1, 1, s / beta, -s / beta])

    def observe(self, instance):
        game, nash, beta = instance
        found = stability(MRSIPO(game, beta, 1.0, 1.0), nash).multipliers
        return np.concatenate([np.real(found), np.imag(found)])


class BoundedBelowOne(Check):
    """Log-odds of long orbits with alpha < 1, unstable or not."""

    claim = "MRS-10"
    part = "alpha < 1: log-odds of 300 rounds stay within the bound around the reference's"
    comparison = "at_most"
    instances = 20
    batch = 10

    def draw(self, rng):
        K = responses(rng)
        r = recipe(rng, K, self.batch)
        alpha = rng.uniform(0.5, 0.99, self.batch)
        return r._replace(alpha=alpha, lam=np.ones(self.batch))

    def predict(self, instance):
        r = instance
        rows = r.game.skew[:, :, None, :] - r.game.skew[:, None, :, :]
        return np.abs(rows).max(-1) / ((1 - r.alpha) * r.beta)[:, None, None]

    def observe(self, instance):
        r = instance
        # From the reference itself, so that the bound holds in every round.
        run = orbit(r.rule(), r.reference, 300, tolerance=0)
        gap = run.log_policies - np.log(r.reference)
        return np.abs(gap[..., :, None] - gap[..., None, :]).max(0)


# --------------------------------------------------------------------------------------- MRS-11


def leads(P: Array) -> Array:
    """``delta_j = min_k (P_0k - P_jk)`` for j = 1, 2, ..."""
    return (P[..., :1, :] - P[..., 1:, :]).min(-1)


def log_odds(log_policies: Array) -> Array:
    """``log(pi_0/pi_j)`` for j = 1, 2, ..."""
    return log_policies[..., :1] - log_policies[..., 1:]


def dominated(rng: np.random.Generator, size: int) -> Recipe:
    """Recipes on strictly strongly transitive games, response 0 on top; lam = 0 in a third."""
    K = responses(rng)
    lam = rng.uniform(0, 1, size) * rng.integers(0, 3, size).clip(max=1)
    ranked = games.strongly_transitive(K, rng, strict=True, size=size)
    return recipe(rng, K, size, least_beta=0.02)._replace(game=ranked, lam=lam)


class LogOddsBound(Check):
    """The lower bound on the log-odds of the top response, in every round."""

    claim = "MRS-11"
    part = "log-odds of the top response stay above the bound for 60 rounds"
    comparison = "at_least"
    tolerance = 1e-8
    instances = 20
    batch = 10

    def draw(self, rng):
        r = dominated(rng, self.batch)
        return r, softmax(3 * rng.normal(size=(self.batch, r.game.K)))

    def predict(self, instance):
        r, start = instance
        limit = log_odds(np.log(r.reference)) + leads(r.game.P) / ((1 - r.alpha) * r.beta)[:, None]
        share = r.alpha[:, None] ** np.arange(61)[:, None, None]
        return share * log_odds(np.log(start)) + (1 - share) * limit

    def observe(self, instance):
        r, start = instance
        return log_odds(orbit(r.rule(), start, 60, tolerance=0).log_policies)


class LimitBound(Check):
    """The same bound at the fixed point."""

    claim = "MRS-11"
    part = "log-odds at the fixed point are at least log-odds of ref + delta/((1 - alpha) beta)"
    comparison = "at_least"
    tolerance = 1e-8
    instances = 20
    batch = 10

    def draw(self, rng):
        return dominated(rng, self.batch)

    def predict(self, instance):
        r = instance
        return log_odds(np.log(r.reference)) + leads(r.game.P) / ((1 - r.alpha) * r.beta)[:, None]

    def observe(self, instance):
        return log_odds(fixed_point(instance.rule()).log_policy)


class OfflineLimit(Check):
    """At lam = 0 the limit is known in closed form."""

    claim = "MRS-11"
    part = "lam = 0: the limit is softmax(log ref + P mu0/((1 - alpha) beta))"
    tolerance = 1e-10
    instances = 20
    batch = 10

    def draw(self, rng):
        return dominated(rng, self.batch)._replace(lam=0.0)

    def predict(self, instance):
        r = instance
        drive = np.einsum("nij,nj->ni", r.game.P, r.offline)
        return softmax(np.log(r.reference) + drive / ((1 - r.alpha) * r.beta)[:, None])

    def observe(self, instance):
        return fixed_point(instance.rule()).policy


class EntropyFalls(Check):
    """Entropy of the limit along the controlling ratio; numbers depend on the game."""

    claim = "MRS-11"
    part = "1/((1 - alpha) beta) = 1, 5, 20, 100, 400: entropy falls below .02, lam = 0 and 1"
    comparison = "at_most"
    tolerance = 0.0
    instances = 20

    def draw(self, rng):
        return games.strongly_transitive(4, rng, strict=True)

    def skip(self, instance):
        return leads(instance.P).min() < 0.02  # a top this narrow needs a larger ratio

    def predict(self, instance):
        return np.array([0.0, 0.0, 0.0, 0.0, 0.02])

    def observe(self, instance):
        ratios = np.array([1, 5, 20, 100, 400.0])
        rule = MRSIPO(instance, 1 / (0.5 * ratios), 0.5, np.array([[0.0], [1.0]]))
        H = entropy(fixed_point(rule).log_policy)
        return np.append(np.diff(H).max(0), H[:, -1].max())


# --------------------------------------------------------------------------------------- MRS-12


class Collapse(NamedTuple):
    """A strictly strongly transitive game at alpha = 1, lam = 0, 1/2 and 1, and a start."""

    game: PreferenceMatrix
    beta: float
    offline: Array
    start: Array
    lam: Array = np.array([0.0, 0.5, 1.0])

    def rule(self) -> MRSIPO:
        """The shipped rule."""
        return MRSIPO(self.game, self.beta, 1.0, self.lam, offline=self.offline)

    def slopes(self) -> Array:
        """Limit of the growth of ``log(pi_0/pi_j)`` per round, (3, K - 1)."""
        P, lam = self.game.P, self.lam[:, None]
        on, off = 0.5 - P[1:, 0], (P[0] - P[1:]) @ self.offline
        return (lam * on + (1 - lam) * off) / self.beta


class CollapseToTheTop(Check):
    """Entropy and log-odds of orbits long enough for the slowest log-odds to reach 20."""

    claim = "MRS-12"
    part = (
        "after 20/(smallest slope) rounds: entropy < 1e-6, never rising in the second half; "
        "slopes to 1e-3; log-odds above x_0 + t delta/beta"
    )
    comparison = "at_most"
    tolerance = 0.0
    instances = 40
    batch = 3

    def draw(self, rng):
        K = responses(rng)
        ranked = games.strongly_transitive(K, rng, strict=True)
        return Collapse(ranked, rng.uniform(0.5, 3), interior(rng, K), interior(rng, K))

    def predict(self, instance):
        return np.array([1e-6, 0.0, 1e-3, 1e-8])

    def observe(self, instance):
        slopes = instance.slopes()
        rounds = int(np.ceil(20 / slopes.min()))
        run = orbit(instance.rule(), instance.start, rounds, tolerance=0)
        x, H = log_odds(run.log_policies), entropy(run.log_policies)
        late = np.diff(H[rounds // 2 :], axis=0)
        floor = x[0] + run.rounds[:, None, None] * leads(instance.game.P) / instance.beta
        slope_error = np.abs(x[-1] - x[-2] - slopes)
        return np.array([H[-1].max(), late.max(), slope_error.max(), np.max(floor - x)])


class TieAtTheTop(Check):
    """Two responses tied at the top of three."""

    claim = "MRS-12"
    part = "a tie at the top shares the mass at lam = 1 and breaks at lam = 1/2"
    tolerance = 5e-3
    cases = ((1.0, (0.6, 0.4, 0.0)), (0.5, (1.0, 0.0, 0.0)))

    def predict(self, instance):
        return np.array(instance[1])

    def observe(self, instance):
        A = np.array([[0, 0, 0.3], [0, 0, 0.1], [-0.3, -0.1, 0]])
        rule = MRSIPO(PreferenceMatrix(0.5 + A), 1.0, 1.0, instance[0])
        return orbit(rule, np.full(3, 1 / 3), 2000).policies[-1]
