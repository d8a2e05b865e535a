"""One pair on a table of logits: SPO-1, SPO-2, SPO-3."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import interior, log_uniform, responses
from analysis.stable_preference_optimisation.problems import (
    by_problem,
    descent,
    first_pairs,
    log_linear,
    speed,
    tables,
)
from prefdyn import DPO, objectives, orbit
from prefdyn.policies import Tabular
from prefdyn.rules import GradientFlow

BATCH = 100


def after_push(policy, x):
    """Probabilities (..., k) after accumulated pushes x on response 0 and -x on response 1."""
    x = np.asarray(x)[..., None]
    up, down = policy[..., :1], policy[..., 1:2]
    Z = 1 + up * np.expm1(x) + down * np.expm1(-x)
    return np.concatenate([up * np.exp(x), down * np.exp(-x), policy[..., 2:] + 0 * x], -1) / Z


class OneStep(Check):
    """One step of DPO that may be long, from a start that is not the reference."""

    claim = "SPO-1"
    part = "probabilities after one step of any length, equal pushes, table of logits"
    tolerance = 1e-12
    instances = 30
    batch = BATCH

    def draw(self, rng):
        K = responses(rng)
        start, reference = interior(rng, K, (2, BATCH))
        return start, reference, float(log_uniform(rng, 0.05, 2)), float(log_uniform(rng, 0.01, 10))

    def predict(self, instance):
        start, reference, beta, rate = instance
        ratio = np.log(start / reference)
        push = beta / (1 + np.exp(beta * (ratio[:, 0] - ratio[:, 1])))
        return after_push(start, rate * push)

    def observe(self, instance):
        start, reference, beta, rate = instance
        rule = descent(tables(start), DPO(beta), rate, reference=tables(reference))
        moved = rule.step(rule.policy.params, 0, None)
        return np.exp(by_problem(rule, rule.policy.log_probs(moved)))


class Signs(OneStep):
    """Who rises and who falls."""

    claim = "SPO-1"
    part = "chosen rises, rejected falls, the others rise where pi_l > pi_w"
    comparison = "agree"
    tolerance = 0.0
    RATE = 1e-4

    def draw(self, rng):
        return (*super().draw(rng)[:3], self.RATE)

    def skip(self, instance):
        start, _, beta, rate = instance
        # The exact condition of the others is pi_l > pi_w e^x, x < beta rate.
        return np.abs(np.log(start[:, 0] / start[:, 1])).min() < 2 * beta * rate

    def predict(self, instance):
        start = instance[0]
        signs = np.sign(start[:, 1] - start[:, 0])[:, None] * np.ones(start.shape)
        signs[:, :2] = 1, -1
        return signs

    def observe(self, instance):
        return np.sign(super().observe(instance) - instance[0])


class AnyModel(Check):
    """Features, unequal pushes: centred features by hand against a small step of the rule."""

    claim = "SPO-1"
    part = "d pi_k = eta pi_k (d_w K_kw - d_l K_kl), log-linear policy, unequal pushes"
    tolerance = 1e-6
    instances = 30
    batch = 20
    NLL = 0.7

    def draw(self, rng):
        K, d = responses(rng, 3, 8), int(rng.integers(2, 6))
        return rng.normal(size=(self.batch, K, d)), float(log_uniform(rng, 0.05, 2))

    def predict(self, instance):
        features, beta = instance
        centred = features - features.mean(axis=1, keepdims=True)  # theta = 0: uniform
        gram = centred @ np.swapaxes(centred, -1, -2)
        change = (beta / 2 + self.NLL) * gram[..., 0] - beta / 2 * gram[..., 1]
        return change / features.shape[1]

    def observe(self, instance):
        features, beta = instance
        objective = objectives.get("dpo_nll", beta=beta, nll_weight=self.NLL)
        return speed(descent(log_linear(features), objective)) / features.shape[1]


@cache
def derived_change():
    """D log pi/d rate of three logits under the shared DPO loss, by sympy."""
    import sympy

    logits = sympy.symbols("z:3", real=True)
    log_Z = sympy.log(sum(sympy.exp(z) for z in logits))
    logs = [z - log_Z for z in logits]
    form = DPO().symbolic()
    pair, beta = form.pair, form.parameters["beta"]
    at = {pair.chosen: logs[0], pair.rejected: logs[1], pair.ref_chosen: 0, pair.ref_rejected: 0}
    loss = form.loss.subs(at, simultaneous=True)
    move = [-sympy.diff(loss, z) for z in logits]
    change = [
        sum(sympy.diff(log, z) * m for z, m in zip(logits, move, strict=True)) for log in logs
    ]
    return sympy.lambdify((*logits, beta), change)


class ChangeDerived(Check):
    """The law for a table, derived from loss and softmax alone, against a small step."""

    claim = "SPO-1"
    part = "the first-order law by differentiating the shared loss, against a small step"
    tolerance = 1e-6
    instances = 30
    batch = BATCH

    def draw(self, rng):
        return rng.normal(size=(BATCH, 3)), float(log_uniform(rng, 0.05, 2))

    def predict(self, instance):
        logits, beta = instance
        return np.stack(derived_change()(*logits.T, beta), axis=-1)

    def observe(self, instance):
        logits, beta = instance
        uniform = Tabular(np.zeros_like(logits))
        return speed(descent(Tabular(logits), DPO(beta), reference=uniform))


def leak(chosen, rejected):
    """Share of the rejected response's lost mass that leaves the pair in a small step."""
    return (1 - chosen - rejected) * (rejected - chosen) / (rejected * (1 + chosen - rejected))


class Leak(Check):
    """Mass that leaves the pair, over the mass that the rejected response loses."""

    claim = "SPO-2"
    part = "share of the rejected response's lost mass that others gain in a small step"
    tolerance = 1e-4
    instances = 30
    batch = BATCH
    RATE = 1e-6

    def draw(self, rng):
        return interior(rng, responses(rng), BATCH)

    def predict(self, instance):
        return leak(instance[:, 0], instance[:, 1])

    def observe(self, instance):
        rule = descent(tables(instance), DPO(1.0), self.RATE)
        moved = rule.policy.log_probs(rule.step(rule.policy.params, 0, None))
        change = np.exp(by_problem(rule, moved)) - instance
        return change[:, 2:].sum(axis=-1) / -change[:, 1]


class NamedLeaks(Leak):
    """The examples of the statement, rounded as there."""

    claim = "SPO-2"
    part = "50 % at (0.1, 0.3), 99.4 % at (0.001, 0.3), 0 at equality, negative beyond"
    tolerance = 5e-4
    cases = (np.array([(0.1, 0.3, 0.6), (0.001, 0.3, 0.699), (0.2, 0.2, 0.6), (0.5, 0.25, 0.25)]),)
    batch = 4

    def predict(self, instance):
        return np.array([0.5, 0.994, 0.0, -0.2])


class LeakIsSharedInProportion(Leak):
    """All others grow by one factor, whatever their probability."""

    claim = "SPO-2"
    part = "the others gain in proportion to their probabilities"
    tolerance = 1e-6

    def predict(self, instance):
        return np.repeat((instance[:, 1] - instance[:, 0])[:, None] / 2, instance.shape[1] - 2, 1)

    def observe(self, instance):
        return speed(descent(tables(instance), DPO(1.0)))[:, 2:]


class LeakDerived(Leak):
    """The exact form of SPO-1, differentiated at no push."""

    claim = "SPO-2"
    part = "the share as a ratio of derivatives of the exact one-pair form, against small steps"

    def predict(self, instance):
        return derived_leak()(instance[:, 0], instance[:, 1])


@cache
def derived_leak():
    import sympy

    x, chosen, rejected = sympy.symbols("x w l", positive=True)
    Z = 1 + chosen * (sympy.exp(x) - 1) - rejected * (1 - sympy.exp(-x))
    lost, won = rejected * sympy.exp(-x) / Z, (1 - chosen - rejected) / Z
    share: Any = sympy.diff(won, x) / sympy.diff(lost, x)
    share = -share.subs(x, 0)
    return sympy.lambdify((chosen, rejected), sympy.simplify(share))


def push_at(t, beta):
    """Accumulated push x of DPO's flow, which solves ``2 beta^2 t = 2 beta x + e^(2 beta x) - 1``.

    With the Wright omega function W: ``y = c - W(c)`` solves ``y + e^y = c``.
    """
    from scipy.special import wrightomega

    c = 2 * beta**2 * np.asarray(t) + 1
    return (c - wrightomega(c)) / (2 * beta)


def peak(chosen, rejected, beta):
    """Time, push and mass of the others where they peak."""
    ratio = rejected / chosen
    others = 1 - chosen - rejected
    time = (beta * np.log(ratio) + ratio**beta - 1) / (2 * beta**2)
    return time, np.log(ratio) / 2, others / (others + 2 * np.sqrt(chosen * rejected))


class Trajectory(Check):
    """Masses of chosen, rejected and others along the flow."""

    claim = "SPO-3"
    part = "all probabilities of the flow at eight times"
    tolerance = 1e-6
    instances = 4
    batch = 20
    ROUNDS = 8

    def draw(self, rng):
        """Starts, beta, and the time between two looks."""
        starts = interior(rng, responses(rng), self.batch)
        return starts, float(log_uniform(rng, 0.05, 1)), float(log_uniform(rng, 0.3, 10))

    def predict(self, instance):
        starts, beta, every = instance
        push = push_at(every * np.arange(self.ROUNDS + 1), beta)
        return after_push(starts[None], push[:, None])

    def observe(self, instance):
        starts, beta, every = instance
        policy = tables(starts)
        rule = GradientFlow(
            DPO(beta), policy, first_pairs(policy), every, weights=np.ones(self.batch)
        )
        return policy.by_prompt(orbit(rule, rounds=self.ROUNDS, progress=False).policies)


class Peak(Check):
    """Where the record of a flow is highest, refined by a parabola."""

    claim = "SPO-3"
    part = "push, time (in units of 100) and mass at the others' peak"
    tolerance = 2e-3
    cases = ((0.05, 0.6, 0.5), (1e-4, 0.2, 0.05))
    ROUNDS = 30

    def predict(self, instance):
        time, push, mass = peak(*instance)
        return np.array([push, time / 100, mass])

    def observe(self, instance):
        chosen, rejected, beta = instance
        start = np.array([chosen, rejected, 1 - chosen - rejected])
        every = 2 * peak(*instance)[0] / self.ROUNDS
        rule = GradientFlow(DPO(beta), Tabular(np.log(start)), [(0, 1)], duration=every)
        logs = orbit(rule, rounds=self.ROUNDS, progress=False).log_policies
        mass = np.exp(logs[:, 2])
        top = int(mass.argmax())
        before, at, after = mass[top - 1 : top + 2]
        shift = (before - after) / (before - 2 * at + after) / 2
        gap = (logs[:, 0] - logs[:, 1] - logs[0, 0] + logs[0, 1]) / 2
        push = np.interp(top + shift, np.arange(len(gap)), gap)
        return np.array([push, (top + shift) * every / 100, at + (after - before) * shift / 4])


class NamedPeaks(Peak):
    """The numbers that the closed form gives, rounded."""

    claim = "SPO-3"
    part = "peaks .863 at x = 1.701, t = 37 from (.01, .3), and .953 from (.001, .3), beta = .1"
    tolerance = 2e-3
    cases = ((0.01, 0.3, 0.1), (0.001, 0.3, 0.1))

    def predict(self, instance):
        return np.array({0.01: (1.701, 0.373, 0.863), 0.001: (2.852, 0.670, 0.953)}[instance[0]])


class TimeToHalf(Check):
    """A flow for the predicted time to pi_w = 1/2."""

    claim = "SPO-3"
    part = "time until the chosen has half of the mass over e^(2 beta M)/(2 beta^2): its limit"
    comparison = "relative"
    tolerance = 0.02
    cases = ((40.0, 0.3, 0.1), (30.0, 0.5, 0.2), (8.0, 0.05, 1.0))
    """(M, pi_l, beta) with beta M of 4 to 8: the next term is 2 beta M e^(-2 beta M), below 1 %."""

    def predict(self, instance):
        return (1 - instance[1]) ** (2 * instance[2])

    def observe(self, instance):
        M, rejected, beta = instance
        unit = np.exp(2 * beta * M) / (2 * beta**2)
        chosen = np.exp(-M)
        start = Tabular(np.log([chosen, rejected, 1 - chosen - rejected]))
        rule = GradientFlow(DPO(beta), start, [(0, 1)], duration=unit / 10)
        logs = orbit(rule, rounds=12, progress=False).log_policies[1:, 0]
        odds = logs - np.log1p(-np.exp(logs))
        # The accumulated push, and with it the odds, are nearly linear in log t.
        return float(np.exp(np.interp(0.0, odds, np.log(np.arange(1, 13) / 10))))
