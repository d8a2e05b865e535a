"""Bounds on what a constraint on the likelihood leaves possible: SPO-8."""

import numpy as np

from analysis import Check
from analysis._draws import interior, log_uniform
from analysis.stable_preference_optimisation.penalty import Penalised
from analysis.stable_preference_optimisation.problems import descent, log_linear, speed
from prefdyn import DPO, objectives
from prefdyn.policies import LogLinear


class GapAtMinimiser(Check):
    """Tables of logits, started at the data's distribution, where descent rests."""

    claim = "SPO-8"
    part = "(i) L_SFT - v* <= log(2)/nu at the minimiser"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 3
    batch = 100

    def draw(self, rng):
        start = interior(rng, int(rng.integers(3, 7)), self.batch)
        return start, float(log_uniform(rng, 0.02, 1)), log_uniform(rng, 1, 10, self.batch)

    def predict(self, instance):
        """Inf L = 0: the gap of two logits has no bound."""
        return np.log(2) / instance[2]

    def observe(self, instance):
        return self.rest(instance)[0]

    @staticmethod
    def rest(instance):
        """``L_SFT - v*`` and the preference loss where descent rests."""
        start, beta, nu = instance
        problem = Penalised(start, beta)
        params = problem.policy.params
        for _ in range(150):
            params = problem.step(params, nu)
        logs = problem.log_probs(params)
        ratio = logs - np.log(start)
        loss = np.logaddexp(0, -beta * (ratio[:, 0] - ratio[:, 1]))
        return -(start * ratio).sum(axis=-1), loss


class GapWithinGain(GapAtMinimiser):
    """The gap costs at most what the preference loss gains on the start's, log 2."""

    claim = "SPO-8"
    part = "(i) nu (L_SFT - v*) at the minimiser is at most the fall of the preference loss"

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        gap, loss = self.rest(instance)
        return instance[2] * gap - (np.log(2) - loss)


class GapOfFeatures(Check):
    """The same for policies that cannot fit the data: minima by quasi-Newton steps.

    Values and gradients are those of the shipped rule; data of full support keep minima finite.
    """

    claim = "SPO-8"
    part = "(i) log-linear policies: L_SFT - v* <= log(2)/nu, and nu times it <= the gain in L"
    comparison = "at_most"
    tolerance = 1e-9
    instances = 30

    def draw(self, rng):
        features = rng.normal(size=(int(rng.integers(4, 9)), int(rng.integers(1, 4))))
        q = interior(rng, len(features))
        return features, q, float(log_uniform(rng, 0.05, 3)), float(log_uniform(rng, 0.1, 10))

    def predict(self, instance):
        return np.array([np.log(2) / instance[3], 0.0])

    def observe(self, instance):
        features, q, beta, nu = instance
        start = LogLinear(features).at(self.minimum(instance, LogLinear(features), 0.0))
        rule = descent(start, DPO(beta))
        end = self.minimum(instance, start, 1.0)
        gap = q @ (start.log_probs() - start.log_probs(end))
        return np.array([gap, nu * gap - float(rule.loss(start.params) - rule.loss(end))])

    @staticmethod
    def minimum(instance, policy, weight):
        """Parameters at the minimum of ``weight L + nu L_SFT``, the reference being `policy`."""
        from scipy.optimize import minimize

        _, q, beta, nu = instance
        rule, likelihood = descent(policy, DPO(beta)), nu * q[:, None]

        def value(params):
            loss = weight * float(rule.loss(params)) - likelihood[:, 0] @ policy.log_probs(params)
            return loss, -policy.direction(params, weight * rule.pushes(params) + likelihood)

        return minimize(value, policy.params, jac=True, tol=1e-12).x


class MassOutside(Check):
    """Log-linear policies of random parameters; the data leave out some responses."""

    claim = "SPO-8"
    part = "(ii) mass where q = 0 is at most 1 - exp(-(L_SFT - H(q)))"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 1000

    def draw(self, rng):
        K, d = int(rng.integers(3, 9)), int(rng.integers(1, 5))
        q = interior(rng, K)
        q[rng.integers(1, K) :] = 0
        return rng.normal(size=(K, d)), rng.normal(size=d) * rng.uniform(0, 3), q / q.sum()

    def predict(self, instance):
        features, theta, q = instance
        logits = features @ theta
        logs = logits - np.log(np.exp(logits).sum())
        inside = q > 0
        return 1 - np.exp(np.sum(q[inside] * (logs[inside] - np.log(q[inside]))))

    def observe(self, instance):
        features, theta, q = instance
        return np.exp(LogLinear(features, theta).log_probs())[q == 0].sum()


class ChosenRises(Check):
    """A small step of the shipped linear penalty on log-linear policies."""

    claim = "SPO-8"
    part = "(iii) chosen rises iff nu >= g (K_wl/K_ww - 1)"
    comparison = "agree"
    tolerance = 0.0
    instances = 150
    batch = 20

    def draw(self, rng):
        """Pairs with like features, so that the limit on nu is often positive."""
        K, d = int(rng.integers(3, 12)), int(rng.integers(2, 6))
        features = rng.normal(size=(self.batch, K, d))
        cosine = rng.uniform(0.5, 1, size=(self.batch, 1))
        stretch = rng.uniform(0.5, 3, size=(self.batch, 1))
        features[:, 1] = stretch * (cosine * features[:, 0] + (1 - cosine) * features[:, 1])
        theta = rng.normal(size=(self.batch, d))
        return features, theta, float(log_uniform(rng, 0.05, 2)), float(log_uniform(rng, 0.01, 2))

    def limit(self, instance):
        """G and the ratio ``K_wl/K_ww - 1`` (n,), from centred features."""
        features, theta, beta, _ = instance
        logits = np.einsum("nkd,nd->nk", features, theta)
        policy = np.exp(logits - logits.max(axis=-1, keepdims=True))
        policy /= policy.sum(axis=-1, keepdims=True)
        centred = features - np.einsum("nk,nkd->nd", policy, features)[:, None]
        square = (centred[:, 0] ** 2).sum(axis=-1)
        ratio = np.einsum("nd,nd->n", centred[:, 0], centred[:, 1]) / square - 1
        return beta / (1 + np.exp(beta * (logits[:, 0] - logits[:, 1]))), ratio

    def predict(self, instance):
        g, ratio = self.limit(instance)
        return instance[3] >= g * ratio

    def skip(self, instance):
        g, ratio = self.limit(instance)
        return np.abs(instance[3] - g * ratio).min() < 1e-6

    def observe(self, instance):
        features, theta, beta, nu = instance
        objective = objectives.get("spo", mode="linear", lam=nu, beta=beta)
        start = log_linear(features)
        rule = descent(start.at(theta.reshape(-1)), objective, reference=start)
        return speed(rule)[:, 0] >= 0


class Sufficient(ChosenRises):
    """A constant nu that no later push outgrows."""

    claim = "SPO-8"
    part = "(iii) nu = beta max(K_wl/K_ww - 1, 0) makes the chosen response rise"
    instances = 20

    def skip(self, instance):
        return False

    def predict(self, instance):
        return np.ones(self.batch, bool)

    def observe(self, instance):
        features, theta, beta, _ = instance
        _, ratio = self.limit(instance)
        kept = []
        for i in range(self.batch):
            nu = float(beta * max(ratio[i], 0))
            one = (features[i : i + 1], theta[i : i + 1], beta, nu)
            kept.append(super().observe(one)[0])
        return np.array(kept)


class Convergence(Check):
    """Descent on DPO + nu times the likelihood of the chosen, with the largest step allowed."""

    claim = "SPO-8"
    part = "(iv) descent: loss after t steps less the least loss, and the decrease of every step"
    comparison = "at_most"
    tolerance = 1e-12
    instances = 20
    STEPS = 30

    def draw(self, rng):
        """Features, start, beta, nu: one pair, the reference at 0."""
        features = rng.normal(size=(int(rng.integers(4, 9)), int(rng.integers(2, 4))))
        theta = 3 * rng.normal(size=features.shape[1])
        return features, theta, float(log_uniform(rng, 0.1, 3)), float(log_uniform(rng, 0.1, 2))

    def step_size(self, instance):
        """With ``C <= max_ij |phi_i - phi_j|^2/4``, the largest variance along any direction."""
        features, _, beta, nu = instance
        gap = features[0] - features[1]
        width = ((features[:, None] - features[None]) ** 2).sum(axis=-1).max()
        return 1 / (beta**2 * gap @ gap / 4 + nu * width / 4)

    def objective(self, instance):
        """``L + nu L_SFT`` by hand, with its gradient; q is spread over all responses."""
        features, _, beta, nu = instance
        gap, mean = features[0] - features[1], features.mean(axis=0)

        def value(theta):
            logits = features @ theta
            top = logits.max()
            weights = np.exp(logits - top)
            loss = np.logaddexp(0, -beta * gap @ theta)
            loss += nu * (top + np.log(weights.sum()) - mean @ theta)
            centre = weights @ features / weights.sum()
            push = beta / (1 + np.exp(beta * gap @ theta))
            return loss, nu * (centre - mean) - push * gap

        return value

    def predict(self, instance):
        """``|theta_0 - theta*|^2/(2 eta t)`` for t = 1, 2, ..., then 0 for the excess decreases."""
        from scipy.optimize import minimize

        start = instance[1]
        best = minimize(self.objective(instance), start, jac=True, tol=1e-14)
        eta, steps = self.step_size(instance), np.arange(1, self.STEPS + 1)
        bound = np.sum((start - best.x) ** 2) / (2 * eta * steps)
        return np.concatenate([bound + best.fun, np.zeros(self.STEPS)])

    def observe(self, instance):
        features, theta, beta, nu = instance
        policy, eta = LogLinear(features, theta), self.step_size(instance)
        rule = descent(policy, DPO(beta), reference=LogLinear(features))
        uniform = np.full((policy.K, 1), nu / policy.K)

        def loss(params):
            return float(rule.loss(params) - uniform[:, 0] @ policy.log_probs(params))

        losses, excess, params = [loss(theta)], [], theta
        for _ in range(self.STEPS):
            move = policy.direction(params, rule.pushes(params) + uniform)
            params = params + eta * move
            losses.append(loss(params))
            excess.append(losses[-1] - losses[-2] + eta * move @ move / 2)
        return np.array([*losses[1:], *excess])
