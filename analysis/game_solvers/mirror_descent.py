"""One map under many names, the duality gap, mirror descent and its runaway: GAME-1, 2, 3, 7."""

import numpy as np

from analysis import Check
from analysis._draws import game, responses
from analysis.game_solvers._problems import (
    centred,
    characteristic,
    divergence,
    equilibrium,
    logits,
    observed,
    problem,
    times,
    turns,
)
from analysis.how_sampling_shapes._recipes import growth_rates
from prefdyn import (
    fixed_point,
    games,
    inpo,
    online_mirror_descent,
    orbit,
    self_play_ipo,
    sppo,
)
from prefdyn.games import best_response, duality_gap
from prefdyn.policies import log_softmax, softmax

# --------------------------------------------------------------------------------------- GAME-1


class OneStep(Check):
    """The published updates, against the constructors."""

    claim = "GAME-1"
    part = "one round of OMD, INPO, self-play IPO and SPPO is that of their published formulas"
    tolerance = 1e-12
    instances = 20

    def draw(self, rng):
        p = problem(rng, 10)
        return p, logits(rng, p)

    def predict(self, instance):
        p, theta = instance
        ref, eta, tau = np.log(p.reference), p.eta[:, None], p.tau[:, None]
        lead = times(p.game.P, softmax(theta))
        omd = theta + eta * (lead - tau * (theta - ref))
        regression = (tau * eta) * ref + (1 - tau * eta) * theta + lead * eta
        return np.stack(
            [centred(x) for x in (omd, regression, ref + lead / tau, theta + eta * lead)]
        )

    def observe(self, instance):
        p, theta = instance
        rules = (
            online_mirror_descent(p.game, p.eta, p.tau, p.reference),
            inpo(p.game, 1 / p.eta, p.tau, p.reference),
            self_play_ipo(p.game, p.tau, p.reference),
            sppo(p.game, p.eta),
        )
        return np.stack([rule.step(theta, 0, None) for rule in rules])


# --------------------------------------------------------------------------------------- GAME-2


def payoff(p, policy, opponent):
    """V(pi, pi') of every problem."""
    return (
        np.sum(policy * times(p.game.P, opponent), -1)
        - p.tau * divergence(policy, p.reference)
        + p.tau * divergence(opponent, p.reference)
    )


class Gap(Check):
    """The gap as a distance, and as what two players gain."""

    claim = "GAME-2"
    part = "V(BR, pi) - V(pi, BR) is 2 tau KL(pi || BR)"
    tolerance = 1e-10
    instances = 50

    def draw(self, rng):
        p = problem(rng, 4)
        return p, softmax(logits(rng, p))

    def predict(self, instance):
        p, pi = instance
        return duality_gap(p.game, pi, p.tau, p.reference)

    def observe(self, instance):
        p, pi = instance
        lead = np.log(p.reference) + times(p.game.P, pi) / p.tau[:, None]
        response = softmax(lead)
        return payoff(p, response, pi) - payoff(p, pi, response)


class NothingBeatsTheBestResponse(Check):
    """A hundred other responses, of either player."""

    claim = "GAME-2"
    part = "no other response gains either player as much as BR"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 30

    def draw(self, rng):
        p = problem(rng, 4)
        return p, softmax(logits(rng, p)), rng.normal(size=(100, *p.reference.shape))

    def predict(self, instance):
        p, pi, noise = instance
        response = best_response(p.game, pi, p.tau, p.reference)
        both = payoff(p, response, pi), -payoff(p, pi, response)
        return np.broadcast_to(np.stack(both)[:, None], (2, len(noise), len(p.tau)))

    def observe(self, instance):
        p, pi, noise = instance
        response = best_response(p.game, pi, p.tau, p.reference)
        others = softmax(np.log(response) + 0.3 * noise)
        return np.stack([payoff(p, others, pi), -payoff(p, pi, others)])


class NoGapAtTheEquilibrium(Check):
    """pi* by plain damped iteration, and what the package says of it."""

    claim = "GAME-2"
    part = "gap(pi*) is 0, and the package's fixed point is that equilibrium"
    tolerance = 1e-10
    instances = 10

    def draw(self, rng):
        return problem(rng, 4, least_tau=0.2)

    def predict(self, instance):
        return np.concatenate([np.zeros((len(instance.tau), 1)), instance.reference * 0], -1)

    def observe(self, instance):
        p = instance
        pi = equilibrium(p.game, p.tau, p.reference)
        found = fixed_point(online_mirror_descent(p.game, p.eta, p.tau, p.reference)).policy
        gap = duality_gap(p.game, pi, p.tau, p.reference)
        return np.concatenate([gap[:, None], found - pi], -1)


# --------------------------------------------------------------------------------------- GAME-3


class MirrorDescentMultipliers(Check):
    """Multipliers from pi*, against those of the simulated step."""

    claim = "GAME-3"
    part = "multipliers 1 - eta tau +- i eta s_k"
    tolerance = 1e-6
    instances = 20

    def draw(self, rng):
        return problem(rng, 4)

    def rule(self, p):
        return online_mirror_descent(p.game, p.eta, p.tau, p.reference)

    def predict(self, instance):
        p = instance
        pi = fixed_point(self.rule(p)).policy
        y = p.eta[:, None] * turns(p.game.skew, pi)
        return characteristic(p.keep[:, None] + 1j * y)

    def observe(self, instance):
        return observed(self.rule(instance))


class MirrorDescentThreshold(Check):
    """Growth of a small perturbation on either side of the threshold, and at the best step."""

    claim = "GAME-3"
    part = "decay below eta = 2 tau/(tau^2 + s^2), growth above; s/sqrt(tau^2 + s^2) at half of it"
    tolerance = 1e-5
    instances = 10
    ratios = np.array([0.5, 0.97, 1.03])

    def draw(self, rng):
        p = problem(rng, 1)
        # eta tau = 2/(1 + (s/tau)^2) must not exceed 1: s at least tau, so a strong cycle
        tau = rng.uniform(0.02, 0.1)
        a = rng.uniform(0.3, 0.5)
        return p._replace(game=games.rock_paper_scissors(a), tau=tau), a / np.sqrt(3)

    def predict(self, instance):
        p, s = instance
        eta = self.ratios * 2 * p.tau / (p.tau**2 + s**2)
        growth = np.log(np.hypot(1 - eta * p.tau, eta * s))
        growth[0] = np.log(s / np.hypot(p.tau, s))
        return growth

    def observe(self, instance):
        p, s = instance
        eta = self.ratios * 2 * p.tau / (p.tau**2 + s**2)
        return growth_rates(online_mirror_descent(p.game, eta, p.tau), 40, 1e-6)


class MirrorDescentContracts(Check):
    """Far starts, at the largest step that the condition allows."""

    claim = "GAME-3"
    part = "KL(pi* || pi) shrinks by 1 - eta tau a round under the global condition"
    comparison = "at_most"
    tolerance = 1e-9
    instances = 20
    rounds = 40

    def draw(self, rng):
        p = problem(rng, 10)
        largest = np.abs(p.game.skew).max((-1, -2))
        return p._replace(eta=p.tau / (p.tau**2 + largest**2)), logits(rng, p, 3.0)

    def rule(self, p):
        return online_mirror_descent(p.game, p.eta, p.tau, p.reference)

    def distances(self, instance):
        p, theta = instance
        run = orbit(self.rule(p), log_start=log_softmax(theta), rounds=self.rounds, tolerance=0)
        star = fixed_point(self.rule(p)).log_policy
        return np.sum(np.exp(star) * (star - run.log_policies), axis=-1)

    def predict(self, instance):
        return instance[0].keep * self.distances(instance)[:-1]

    def observe(self, instance):
        return self.distances(instance)[1:]


# --------------------------------------------------------------------------------------- GAME-7


def runaway():
    """The orbit of the claim."""
    start = log_softmax(np.array([0.5, 0.0, -0.3]))
    return orbit(sppo(games.rock_paper_scissors(0.5), 0.3), log_start=start, rounds=2000)


class AverageAgainstLast(Check):
    """The numbers of the claim."""

    claim = "GAME-7"
    part = "rps(1/2): the average is within 0.02 of 1/3 while one response has 0.98"
    tolerance = 0.02
    cases = (None,)

    def predict(self, instance):
        return np.array([1 / 3, 1 / 3, 1 / 3, 0.98])

    def observe(self, instance):
        policies = runaway().policies
        return np.append(policies.mean(0), policies[-1].max())


class MovesAway(Check):
    """Random games with an interior equilibrium: the skew matrix of a circulant tournament."""

    claim = "GAME-7"
    part = "KL(pi* || pi_t) grows in every round"
    comparison = "at_least"
    tolerance = 0.0
    instances = 20

    def draw(self, rng):
        K = 2 * int(rng.integers(1, 4)) + 1
        ring = rng.uniform(0.05, 0.5, K // 2)
        A = sum(
            a * (np.roll(np.eye(K), k, 1) - np.roll(np.eye(K), -k, 1))
            for k, a in enumerate(ring, start=1)
        )
        return games.PreferenceMatrix(0.5 + A), rng.uniform(0.1, 1), rng.normal(size=K)

    def predict(self, instance):
        return np.zeros(50)

    def observe(self, instance):
        rule, theta = sppo(instance[0], instance[1]), instance[2]
        run = orbit(rule, log_start=log_softmax(theta), rounds=50)
        return np.diff(-run.log_policies.mean(-1))


class MovesAwayFromAnyEquilibrium(MovesAway):
    """Games made to have a drawn interior equilibrium."""

    claim = "GAME-7"
    part = "KL(pi* || pi_t) grows in every round, pi* not uniform"
    comparison = "at_least"
    tolerance = 0.0
    instances = 20

    def draw(self, rng):
        K = responses(rng)
        star = 0.9 * rng.dirichlet(np.ones(K)) + 0.1 / K
        A = game(rng, K).skew
        # The skew part orthogonal to star: x -> x - star (x^T A), on both sides.
        project = np.eye(K) - np.outer(star, star) / (star @ star)
        A = project @ A @ project
        A = A * min(1.0, 0.5 / np.abs(A).max())
        return games.PreferenceMatrix(0.5 + (A - A.T) / 2), 0.5, rng.normal(size=K), star

    def observe(self, instance):
        star = instance[3]
        run = orbit(sppo(*instance[:2]), log_start=log_softmax(instance[2]), rounds=50)
        return np.diff(-run.log_policies @ star)
