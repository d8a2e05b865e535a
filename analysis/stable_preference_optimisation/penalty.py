"""The constraint on the likelihood, its solvers and its stationary point: SPO-6, SPO-7."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import interior, log_uniform
from analysis.stable_preference_optimisation.problems import descent, tables
from prefdyn import DPO, Pair, objectives
from prefdyn.policies import LogLinear
from prefdyn.rules import GradientStep

STEP = 1e-6


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def a_batch(rng, rows=4):
    """Log-probabilities (4, rows) of chosen, rejected and both references; lengths of chosen."""
    return -rng.uniform(0.5, 8, size=(4, rows)), rng.integers(1, 6, size=rows).astype(float)


class PenaltyPushes(Check):
    """Differences of a loss written out here: v* = 1/4, eps = .02, eta_nu = .5."""

    claim = "SPO-6"
    part = "pushes of the linear penalty and of dual ascent, against finite differences"
    tolerance = 1e-6
    instances = 100

    def draw(self, rng):
        logs, lengths = a_batch(rng)
        mode = str(rng.choice(("linear", "dual")))
        return logs, lengths, mode, float(log_uniform(rng, 0.05, 2)), float(rng.uniform(0.05, 2))

    def predict(self, instance):
        logs, lengths, mode, beta, nu = instance
        excess = np.mean(-logs[0] / lengths) - 0.25 - 0.02
        multiplier = max(0.0, nu + 0.5 * excess) if mode == "dual" else nu  # held constant

        def loss(logs):
            chosen, rejected, ref_chosen, ref_rejected = logs
            margin = chosen - ref_chosen - rejected + ref_rejected
            return -log_sigmoid(beta * margin) + multiplier * (-chosen / lengths - 0.25)

        moves = np.zeros((2, *logs.shape))
        moves[[0, 1], [0, 1]] = STEP
        return np.stack(
            [
                sign * (loss(logs + move) - loss(logs - move)) / (2 * STEP)
                for sign, move in zip((-1, 1), moves, strict=True)
            ]
        )

    def observe(self, instance):
        logs, lengths, mode, beta, nu = instance
        objective = objectives.get("spo", mode=mode, lam=nu, lam0=nu, v_star=0.25, beta=beta)
        pair = pair_of(logs, lengths)
        return np.stack(objective.pushes(pair, objective.update(None, pair)))


def pair_of(logs, lengths):
    chosen, rejected, ref_chosen, ref_rejected = logs
    return Pair(
        chosen=chosen,
        rejected=rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
        chosen_length=lengths,
    )


class Hinge(Check):
    """One switch for the batch, thrown by its mean loss."""

    claim = "SPO-6"
    part = "the hinge adds nu/n to the chosen push outside the constraint and nothing inside"
    instances = 100

    def draw(self, rng):
        logs, lengths = a_batch(rng)
        return logs, lengths, float(rng.uniform(0, 4)), float(rng.uniform(0.1, 2))

    def predict(self, instance):
        (chosen, rejected, ref_chosen, ref_rejected), lengths, v_star, nu = instance
        outside = np.mean(-chosen / lengths) > v_star + 0.02
        margin = chosen - ref_chosen - rejected + ref_rejected
        push = 0.1 / (1 + np.exp(0.1 * margin))
        return np.stack([push + nu * outside / lengths, push])

    def observe(self, instance):
        logs, lengths, v_star, nu = instance
        objective = objectives.get("spo", mode="hinge", lam=nu, v_star=v_star)
        pair = pair_of(logs, lengths)
        return np.stack(objective.pushes(pair, objective.update(None, pair)))


class PenaltyDerived(Check):
    """The shipped loss, differentiated symbolically, against the pushes that it gives."""

    claim = "SPO-6"
    part = "L + nu (L_SFT - v*) by sympy has the gradient of L + nu NLL: against the pushes"
    tolerance = 1e-9

    def draw(self, rng):
        logs, lengths = a_batch(rng)
        return logs, lengths, float(log_uniform(rng, 0.05, 2)), float(rng.uniform(0.05, 2))

    def predict(self, instance):
        logs, lengths, beta, nu = instance
        return np.stack(derived_pushes()(*logs, lengths, beta, nu))

    def observe(self, instance):
        logs, lengths, beta, nu = instance
        objective = objectives.get("spo", mode="linear", lam=nu, v_star=0.25, beta=beta)
        return np.stack(objective.pushes(pair_of(logs, lengths)))


@cache
def derived_pushes():
    """Pushes of DPO + nu NLL/n, from the shared DPO loss in symbols."""
    import sympy

    form = DPO().symbolic()
    pair, beta = form.pair, form.parameters["beta"]
    nu, length = sympy.symbols("nu n", positive=True)
    loss = form.loss + nu * (-pair.chosen / length)
    pushes = [-sympy.diff(loss, pair.chosen), sympy.diff(loss, pair.rejected)]
    names = (pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected)
    return sympy.lambdify((*names, length, beta, nu), pushes)


class Barrier(Check):
    """Several pairs of a log-linear policy, away from the reference."""

    claim = "SPO-6"
    part = "the barrier: a step of the rule lowers L_SFT by rho |g_s|^2 per unit rate or more"
    comparison = "at_least"
    tolerance = 1e-9
    instances = 100

    def draw(self, rng):
        features = rng.normal(size=(8, int(rng.integers(2, 7))))
        pairs = [tuple(int(i) for i in rng.choice(8, 2, replace=False)) for _ in range(3)]
        theta, rho = rng.normal(size=features.shape[1]), float(log_uniform(rng, 0.01, 1))
        return features, theta, pairs, rho, float(log_uniform(rng, 0.1, 5))

    def likelihood_gradient(self, instance):
        """``phibar - mean phi_w``."""
        features, theta, pairs, *_ = instance
        weights = np.exp(features @ theta)
        centre = weights @ features / weights.sum()
        return centre - np.mean([features[w] for w, _ in pairs], axis=0)

    def rule(self, instance, objective):
        features, theta, pairs, *_ = instance
        policy = LogLinear(features, theta)
        return GradientStep(objective, policy, pairs, 1.0, reference=LogLinear(features))

    def predict(self, instance):
        gradient = self.likelihood_gradient(instance)
        return instance[3] * gradient @ gradient

    def observe(self, instance):
        *_, rho, beta = instance
        rule = self.rule(instance, objectives.get("spo", mode="barrier", rho=rho, beta=beta))
        state = rule.own_start
        move = rule.params(rule.step(state, 0, None)) - rule.params(state)
        return -move @ self.likelihood_gradient(instance)


class BarrierMultiplier(Barrier):
    """Both gradients by finite differences of the shipped losses, given to the update."""

    claim = "SPO-6"
    part = "the barrier's multiplier is max(0, rho - <g_p, g_s>/|g_s|^2)"
    comparison = "close"
    tolerance = 1e-6

    def predict(self, instance):
        """With DPO's gradient by hand; the reference is uniform."""
        features, theta, pairs, rho, beta = instance
        gaps = np.array([features[w] - features[l] for w, l in pairs])  # noqa: E741
        preference = -np.mean(beta / (1 + np.exp(beta * gaps @ theta))[:, None] * gaps, axis=0)
        likelihood = self.likelihood_gradient(instance)
        return max(0.0, rho - preference @ likelihood / (likelihood @ likelihood))

    def observe(self, instance):
        _, theta, _, rho, beta = instance
        gradients = []
        for objective in (DPO(beta), objectives.get("sft")):
            loss = self.rule(instance, objective).loss
            moves = STEP * np.eye(len(theta))
            gradients.append(
                np.array([(loss(theta + m) - loss(theta - m)) / (2 * STEP) for m in moves])
            )
        barrier = objectives.get("spo", mode="barrier", rho=rho, beta=beta)
        zero = Pair(chosen=np.zeros(1), rejected=np.zeros(1))
        return barrier.update(None, zero, gradients=tuple(gradients))["lam"]


def gained(chosen, rejected, beta, nu):
    """The mass m that the chosen response gains at the stationary point.

    By bisection on ``log((q_l - m)/q_l)``, because m may come within 1e-13 of q_l.
    """
    from scipy.optimize import brentq

    def excess(log_left):
        m = -rejected * np.expm1(log_left)
        return (
            np.log(m) - np.log(beta / nu) - log_sigmoid(-beta * (np.log1p(m / chosen) - log_left))
        )

    log_left: Any = brentq(excess, -700 / beta, -1e-15, xtol=1e-14)
    return -rejected * np.expm1(log_left), log_left


def moved_at(chosen, rejected, eps):
    """The mass m at which ``L_SFT - v* = eps``."""
    from scipy.optimize import brentq

    def excess(m):
        return -chosen * np.log1p(m / chosen) - rejected * np.log1p(-m / rejected) - eps

    return brentq(excess, 0, rejected * (1 - 1e-12), xtol=1e-14)


class Penalised:
    """DPO on the first pair of each table, beside nu times the likelihood of the start."""

    def __init__(self, start, beta):
        self.start, self.beta = start, beta
        self.policy = tables(start)
        self.rule = descent(self.policy, DPO(beta))

    def velocity(self, params, nu):
        """Minus the gradient of ``L + nu L_SFT`` by the logits, (n, k); one nu per table."""
        likelihood = (np.asarray(nu)[..., None] * self.start).reshape(-1, 1)
        move = self.policy.direction(params, self.rule.pushes(params) + likelihood)
        return self.policy.by_prompt(move)

    def step(self, params, nu):
        """A descent step (n k); each logit's is divided by a bound on its curvature."""
        nu = np.asarray(nu)[..., None]
        curvature = nu * self.start
        curvature[:, :1] += nu * self.start[:, 1:2] + self.beta**2 / 2
        curvature[:, 1:2] += self.beta**2 / 2
        return params + (self.velocity(params, nu[..., 0]) / curvature).reshape(-1)

    def log_probs(self, params):
        return self.policy.by_prompt(self.policy.log_probs(params))


class Stationary(Check):
    """Descent until it rests, a hundred tables at once."""

    claim = "SPO-7"
    part = "the policy that descent on DPO + nu L_SFT comes to rest at"
    tolerance = 1e-9
    instances = 5
    batch = 100
    STEPS = 200

    def draw(self, rng):
        """Start, beta, nu; beta/nu, which bounds 2 m or so, is at most half of q_l."""
        start = interior(rng, int(rng.integers(3, 7)), self.batch)
        beta = float(log_uniform(rng, 0.02, 1))
        return start, beta, 2 * beta / start[:, 1] * np.exp(rng.exponential(size=self.batch))

    def predict(self, instance):
        start, beta, nu = instance
        m = [gained(q[0], q[1], beta, n)[0] for q, n in zip(start, nu, strict=True)]
        result = start.copy()
        result[:, 0] += m
        result[:, 1] -= m
        return result

    def observe(self, instance):
        start, beta, nu = instance
        problem = Penalised(start, beta)
        params = problem.policy.params
        for _ in range(self.STEPS):
            params = problem.step(params, nu)
        return np.exp(problem.log_probs(params))


class NamedPoint(Stationary):
    """An example, by its digits."""

    claim = "SPO-7"
    part = "m = .0486 at q = (.10, .30, .25, .20, .15), beta = .1, nu = 1"
    tolerance = 5e-5
    cases = ((np.array([[0.10, 0.30, 0.25, 0.20, 0.15]]), 0.1, np.ones(1)),)
    batch = 1

    def predict(self, instance):
        return instance[0] + np.array([0.0486, -0.0486, 0, 0, 0])


class NoForceThere(Stationary):
    """The whole range of strengths: the shipped gradient vanishes at the formula's point."""

    claim = "SPO-7"
    part = "the gradient at the predicted point, m down to 1e-13 from q_l, over beta"
    tolerance = 1e-9

    def draw(self, rng):
        start = interior(rng, int(rng.integers(3, 7)), self.batch)
        return start, float(log_uniform(rng, 0.02, 1)), log_uniform(rng, 0.01, 10, self.batch)

    def predict(self, instance):
        return np.zeros(instance[0].shape)

    def observe(self, instance):
        start, beta, nu = instance
        logs = np.log(start)
        for row, q, n in zip(logs, start, nu, strict=True):
            m, log_left = gained(q[0], q[1], beta, n)
            row[0] += np.log1p(m / q[0])
            row[1] += log_left
        return Penalised(start, beta).velocity(logs.reshape(-1), nu) / beta


class DualAscent(Stationary):
    """The multiplier moves until the constraint binds."""

    claim = "SPO-7"
    part = "under L_SFT - v* <= eps dual ascent rests at q_w log(q_w/(q_w+m)) + ... = eps"
    tolerance = 1e-9
    instances = 2
    batch = 50
    STEPS = 400

    def draw(self, rng):
        start = interior(rng, int(rng.integers(3, 7)), self.batch)
        eps = start[:, 1] * rng.uniform(0.02, 0.2, size=self.batch)
        return start, float(log_uniform(rng, 0.1, 1)), eps

    def predict(self, instance):
        start, _, eps = instance
        m = np.array([moved_at(q[0], q[1], e) for q, e in zip(start, eps, strict=True)])
        result = start.copy()
        result[:, 0] += m
        result[:, 1] -= m
        return result

    def observe(self, instance):
        """Ascent of log nu by the relative excess, which keeps nu positive."""
        start, beta, eps = instance
        problem = Penalised(start, beta)
        params, nu = problem.policy.params, 2 * beta / start[:, 1]
        for _ in range(self.STEPS):
            params = problem.step(params, nu)
            excess = (start * (np.log(start) - problem.log_probs(params))).sum(axis=-1)
            nu = nu * np.exp(0.1 * np.clip(excess / eps - 1, -1, 1))
        return np.exp(problem.log_probs(params))


class NoRest(Check):
    """A rejected response that the data lack: its logit falls wherever the policy is."""

    claim = "SPO-7"
    part = "if q_l = 0 its logit falls at every policy: no stationary point"
    comparison = "at_most"
    tolerance = -1e-12
    instances = 5
    batch = 100

    def draw(self, rng):
        K = int(rng.integers(3, 7))
        data, policy = interior(rng, K, (2, self.batch))
        data[:, 1] = 0
        return data / data.sum(axis=-1, keepdims=True), policy, float(log_uniform(rng, 0.05, 1))

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        data, policy, beta = instance
        problem = Penalised(policy, beta)
        problem.start = data
        return problem.velocity(problem.policy.params, np.ones(self.batch))[:, 1]
