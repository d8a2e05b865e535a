"""What the sampler does to the ranking of the one-shot optimum: IPO-3 to IPO-5."""

from itertools import pairwise

import numpy as np

from analysis import Check
from analysis._draws import game, interior, responses
from analysis.how_sampling_shapes.one_shot_ipo import OneShot, one_shot, shipped_optimum
from prefdyn import PreferenceMatrix
from prefdyn.games import condorcet_winner, is_transitive, ranking_margin, smith_set

Array = np.ndarray


def shipped_ranks(game: PreferenceMatrix, mu: Array, reference: Array | None = None) -> Array:
    """Centred log-ratios log(pi*/ref) of the shipped optimum at beta = 1."""
    reference = np.full(game.K, 1 / game.K) if reference is None else reference
    return shipped_optimum(OneShot(game, mu, reference, 1.0)) - np.log(reference)


def ordered(rng: np.random.Generator, K: int) -> PreferenceMatrix:
    """A transitive game in which lower indices beat higher ones, margins independent."""
    A = np.triu(rng.uniform(0, 0.5, (K, K)), 1)
    return PreferenceMatrix(0.5 + A - A.T)


# ---------------------------------------------------------------------------------------- IPO-3


class FixedSamplerFails(Check):
    """The construction against a sampler that does not know it."""

    claim = "IPO-3"
    part = "the construction: a transitive game whose Condorcet winner is not ranked first"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        K = responses(rng)
        mu = interior(rng, K)
        winner, runner_up = rng.choice(K, size=2, replace=False)
        return self.construct(mu, int(winner), int(runner_up)), mu, interior(rng, K), int(winner)

    @staticmethod
    def construct(mu, winner, runner_up):
        K = len(mu)
        eps = 0.05 * (1 - mu[winner] - mu[runner_up])
        A = np.triu(np.full((K, K), eps), 1)
        A = A - A.T
        A[runner_up], A[:, runner_up], A[runner_up, runner_up] = 0.5, -0.5, 0
        A[winner], A[:, winner], A[winner, winner] = eps, -eps, 0
        return PreferenceMatrix(0.5 + A)

    def predict(self, instance):
        # transitive, a Condorcet winner who is the whole Smith set, and not ranked first
        return [True, instance[3], 1, False]

    def observe(self, instance):
        game, mu, reference, winner = instance
        first = int(np.argmax(shipped_ranks(game, mu, reference)))
        smith = smith_set(game)
        return [bool(is_transitive(game)), condorcet_winner(game), len(smith), first == winner]


class FixedSamplerMargin(FixedSamplerFails):
    """How far the runner-up is above the winner."""

    claim = "IPO-3"
    part = "the runner-up leads by (1/2 - eps)(1 - mu_c - mu_d) - eps(mu_c + mu_d)"
    comparison = "close"
    tolerance = 1e-9

    def draw(self, rng):
        K = responses(rng)
        mu = interior(rng, K)
        winner, runner_up = (int(i) for i in rng.choice(K, size=2, replace=False))
        return mu, winner, runner_up

    def predict(self, instance):
        mu, winner, runner_up = instance
        rest = 1 - mu[winner] - mu[runner_up]
        return (0.5 - 0.05 * rest) * rest - 0.05 * rest * (1 - rest)

    def observe(self, instance):
        ranks = shipped_ranks(self.construct(*instance), instance[0])
        return ranks[instance[2]] - ranks[instance[1]]


class TwoResponsesNeverFail(Check):
    """With two responses the winner is always ranked first."""

    claim = "IPO-3"
    part = "two responses: the winner is first under every sampler"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        return one_shot(rng, K=2)

    def predict(self, instance):
        return condorcet_winner(instance.game)

    def observe(self, instance):
        return int(np.argmax(shipped_ranks(instance.game, instance.mu, instance.reference)))


# ---------------------------------------------------------------------------------------- IPO-4


class SmithOnTop(Check):
    """The linear programme's sampler, moved inside, ranks the Smith set on top."""

    claim = "IPO-4"
    part = "some mu of full support ranks every Smith member above every other response"
    comparison = "at_least"
    tolerance = 0.0
    instances = 300

    def draw(self, rng):
        return game(rng, responses(rng))

    def skip(self, instance):
        return len(smith_set(instance)) == instance.K

    def predict(self, instance):
        return 1e-9

    def observe(self, instance):
        margin, mu = ranking_margin(instance, smith_pairs(instance))
        ranks = shipped_ranks(instance, 0.999 * mu + 0.001 / instance.K)
        inside = np.isin(np.arange(instance.K), smith_set(instance))
        return min(margin, ranks[inside].min() - ranks[~inside].max())


class SmithDuality(SmithOnTop):
    """The two linear programmes, solved one by one."""

    claim = "IPO-4"
    part = "the margin equals min over x on Smith, y off of max_k (x^T P - y^T P)_k"
    comparison = "close"
    tolerance = 1e-9
    instances = 100

    def predict(self, instance):
        from scipy.optimize import linprog

        K, top = instance.K, list(smith_set(instance))
        rest = [i for i in range(K) if i not in top]
        # Variables (x, y, bound): minimise the bound on every column of x^T P - y^T P.
        columns = np.c_[instance.P[top].T, -instance.P[rest].T, -np.ones(K)]
        totals = np.zeros((2, K + 1))
        totals[0, : len(top)] = totals[1, len(top) : K] = 1
        solution = linprog(
            np.r_[np.zeros(K), 1.0],
            A_ub=columns,
            b_ub=np.zeros(K),
            A_eq=totals,
            b_eq=[1.0, 1.0],
            bounds=[(0, None)] * K + [(None, None)],
        )
        return solution.fun

    def observe(self, instance):
        return ranking_margin(instance, smith_pairs(instance))[0]


class CondorcetOnTop(Check):
    """A sampler close to the point mass on the winner."""

    claim = "IPO-4"
    part = "mu within half the smallest winning margin of the winner's point mass ranks it first"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        return game(rng, responses(rng)), rng.uniform(0.01, 1)

    def skip(self, instance):
        return condorcet_winner(instance[0]) is None

    def predict(self, instance):
        return condorcet_winner(instance[0])

    def observe(self, instance):
        game, share = instance
        winner = condorcet_winner(game)
        smallest = game.skew[winner, np.arange(game.K) != winner].min()
        away = share * smallest / 2
        mu = (1 - away) * (np.arange(game.K) == winner) + away / game.K
        return int(np.argmax(shipped_ranks(game, mu)))


def smith_pairs(game: PreferenceMatrix) -> list[tuple[int, int]]:
    """All pairs (member of the Smith set, non-member)."""
    top = smith_set(game)
    return [(i, j) for i in top for j in range(game.K) if j not in top]


# ---------------------------------------------------------------------------------------- IPO-5


class OrderOutOfReach(Check):
    """The example of four responses."""

    claim = "IPO-5"
    part = "the example: the best margin over all samplers is -0.05"
    cases = ({"01": 0.05, "02": 0.2, "03": 0.05, "12": 0.4, "13": 0.2, "23": 0.05},)

    @staticmethod
    def example(entries):
        A = np.zeros((4, 4))
        for pair, value in entries.items():
            A[int(pair[0]), int(pair[1])] = value
        return PreferenceMatrix(0.5 + A - A.T)

    def predict(self, instance):
        return -0.05

    def observe(self, instance):
        return ranking_margin(self.example(instance), list(pairwise(range(4))))[0]


class OrderOutOfReachProof(OrderOutOfReach):
    """Why no sampler works in the example: two gaps never add up to anything positive."""

    claim = "IPO-5"
    part = "the example is transitive, and (row 1 - row 2) + (row 3 - row 4) <= 0 everywhere"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        return [True, True]

    def observe(self, instance):
        game = self.example(instance)
        sums = np.array([1.0, -1, 1, -1]) @ game.P
        return [bool(is_transitive(game)), bool((sums <= 1e-12).all())]


class ThreeAlwaysWork(Check):
    """Transitive games of three responses: the linear programme's margin."""

    claim = "IPO-5"
    part = "three responses: a sampler that preserves the order always exists"
    comparison = "at_least"
    tolerance = 0.0
    instances = 300

    def draw(self, rng):
        return ordered(rng, 3)

    def skip(self, instance):
        return np.abs(instance.skew[np.triu_indices(3, 1)]).min() < 1e-6  # a tie

    def predict(self, instance):
        return 1e-12

    def observe(self, instance):
        _, mu = ranking_margin(instance, [(0, 1), (1, 2)])
        return (-np.diff(shipped_ranks(instance, mu))).min()
