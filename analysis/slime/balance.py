"""Where the forces of SLIME balance, and its place among the cures: SLIME-3 and SLIME-4."""

import numpy as np
from scipy.optimize import brentq

from analysis import Check
from analysis._draws import log_uniform
from analysis.slime.formulas import (
    RELEASED,
    draw_parameters,
    margin_force,
    one_token,
    pull,
    softplus,
)
from analysis.slime.loss import LossTokenByToken
from prefdyn import objectives
from prefdyn.objectives import SLIME
from prefdyn.policies import Autoregressive, KernelPolicy, Tabular, softmax
from prefdyn.rules import GradientFlow, GradientStep


class FloorInClosedForm(Check):
    """Where a constant force and the pull of the floor balance."""

    claim = "SLIME-3"
    part = "the floor is within 0.1 nat of -delta - (F/(lambda_l p))^(1/(p-1)) at p = 2.5"
    instances = 20
    batch = 50
    tolerance = 0.1

    def draw(self, rng):
        return {
            "depth": log_uniform(rng, 1, 100, self.batch),
            "lambda_l": float(log_uniform(rng, 1e-4, 1)),
            "delta": float(rng.uniform(0, 3)),
        }

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        weights = {"lambda_w": 0.0, "lambda_d": 0.0, "lambda_l": instance["lambda_l"]}
        objective = SLIME(**weights, delta=instance["delta"])
        force = 2.5 * instance["lambda_l"] * instance["depth"] ** 1.5
        closed = -instance["delta"] - instance["depth"]
        low, high = closed - 5, closed + 5
        for _ in range(40):  # the pull grows downwards
            middle = (low + high) / 2
            pulled = -objective.pushes(one_token(-1.0, middle))[1]
            low, high = (
                np.where(pulled > force, middle, low),
                np.where(pulled > force, high, middle),
            )
        return low - closed


class FloorSettles(Check):
    """Three rejected tokens that start apart, while the margin pushes with F = lambda_d = 1."""

    claim = "SLIME-3"
    part = "every rejected token settles at the root of F = pull: gradient flow, F = 1"
    cases = ((0.1, 0.03, 0.01, RELEASED),)
    tolerance = 1e-4

    def predict(self, instance):
        def root(lambda_l):
            v = SLIME(lambda_l=lambda_l)
            return brentq(lambda log_prob: pull(log_prob, v) - 1, -200, 0, xtol=1e-12)

        return np.array([[root(lambda_l)] * 3 for lambda_l in instance])

    def observe(self, instance):
        start = np.array([[-1e4] * 3, [-0.2, -1.0, -4.0]])  # so unlikely that F is lambda_d
        slime = objectives.get("slime", lambda_l=np.array(instance))
        flow = GradientFlow(slime, held(start), [(0, 1)], 3e3, rtol=1e-6, atol=1e-8)
        return flow.step(flow.own_start, 0, None)[:, 3:]


def held(log_probs):
    """Tokens of two responses; those of the first, the chosen one, stay where they are."""
    free = np.repeat([0.0, 1.0], log_probs.shape[1])
    return KernelPolicy(log_probs, np.diag(free).reshape(*log_probs.shape, *log_probs.shape))


class WhereTheRejectedRests(Check):
    """One token each, the chosen one held: floor or hard margin, whichever comes first."""

    claim = "SLIME-3"
    part = "chosen held at -.3, -1, -2: rests at -1.80, -2.40, -3.14; lambda_l = 5e-4: -2.50, -3.50"
    cases = (((-0.3, -1.0, -2.0), (0.1, RELEASED)),)
    tolerance = 1e-2 / 3.5  # within a hundredth: errors are relative, the lowest point is -3.5

    def predict(self, instance):
        return np.array([[-1.80, -2.40, -3.14], [-1.80, -2.50, -3.50]])

    def observe(self, instance):
        chosen, lambda_l = (np.array(values) for values in instance)
        policy = held(np.array([[-1.0], [-1.0]])).at(np.stack([chosen, chosen - 0.5], axis=-1))
        rule = GradientStep(
            objectives.get("slime", lambda_l=lambda_l[:, None]),
            policy,
            [(0, 1)],
            0.01,
            reference=policy.mask * 0,
        )
        return settled(rule, {0.01: 750})[..., 1]


def settled(rule, plan):
    """Parameters after so many steps of each rate."""
    state = rule.own_start
    for rate, steps in plan.items():
        rule = rule.replace(rate=rate)
        for t in range(steps):
            state = rule.step(state, t, None)
    return rule.params(state)


class RestsByBalance(WhereTheRejectedRests):
    """The same at other log-probabilities, from the forces."""

    claim = "SLIME-3"
    part = "chosen held anywhere: the rejected rests where F = pull, or m_h below the chosen"
    cases = (((-0.1, -0.7, -1.5, -3.0), (0.3, 0.1, 0.01, RELEASED)),)
    tolerance = 0.01 * 0.2227  # a step overshoots m_h by rate times F, and little pulls it back

    def predict(self, instance):
        def rest(chosen, v):
            def net(log_prob):
                return margin_force(chosen - log_prob, v) - pull(log_prob, v)

            edge = chosen - v.m_h + 1e-9
            return edge if net(edge) > 0 else brentq(net, edge, 0)

        chosen, weights = instance
        return np.array([[rest(c, SLIME(lambda_l=weight)) for c in chosen] for weight in weights])


class PushesTokenByToken(LossTokenByToken):
    """Autodiff against the formula, on padded pairs."""

    claim = "SLIME-4"
    part = "pushes (lambda_w + F)/n_w and (F - pull)/n_l of every token, against autodiff"
    instances = 50

    def predict(self, instance):
        v, pushes = instance["objective"], np.zeros((2, self.ROWS, self.LONGEST))
        lengths = [len(row) for row in instance["sides"][1]]
        for i, (chosen, rejected) in enumerate(zip(*instance["sides"], strict=True)):
            force = margin_force(chosen.mean() - rejected.mean(), v)
            per = np.mean(lengths) if v.token_reduction == "batch" else len(rejected)
            pushes[0, i, : len(chosen)] = (v.lambda_w + force) / len(chosen)
            pushes[1, i, : len(rejected)] = force / len(rejected) - pull(rejected, v) / per
        return pushes

    def observe(self, instance):
        pair = self.pair(instance, self.LONGEST)
        return np.array(instance["objective"].token_pushes(pair))


class AnchorIsAPenalty(LossTokenByToken):
    """The loss without anchor, under the likelihood penalty of stable preference optimisation."""

    claim = "SLIME-4"
    part = "the anchor is SPO's linear penalty with weight lambda_w"
    instances = 50

    def predict(self, instance):
        v = instance["objective"]
        spo = objectives.get("spo", base=v.replace(lambda_w=0.0), lam=v.lambda_w, nll_norm="mean")
        return np.array(spo.token_pushes(self.pair(instance, self.LONGEST)))

    def observe(self, instance):
        pair = self.pair(instance, self.LONGEST)
        return np.array(instance["objective"].token_pushes(pair))


class SharedPrefixRises(Check):
    """One step on two responses of three tokens that share the first."""

    claim = "SLIME-4"
    part = "equal lengths: a shared token moves by (lambda_w + pull)/n |e - pi|^2, upwards"
    instances = 50
    tolerance = 1e-4
    RATE = 1e-6

    def draw(self, rng):
        return {"logits": rng.normal(size=(13, 3)), "objective": draw_parameters(rng)}

    def predict(self, instance):
        first, v = softmax(instance["logits"][0]), instance["objective"]
        size = np.sum((np.eye(3)[1] - first) ** 2)
        return (v.lambda_w + pull(np.log(first[1]), v)) / 3 * size

    def observe(self, instance):
        policy = Autoregressive(3, 3, logits=instance["logits"])
        pair = [policy.index(response) for response in ((1, 0, 2), (1, 2, 0))]
        rule = GradientStep(instance["objective"], policy, [pair], self.RATE)
        moved = policy.token_log_probs(settled(rule, {self.RATE: 1})) - policy.token_log_probs()
        return moved[pair[0], 0] / self.RATE


class AnchorPassesTheHardMargin(Check):
    """Two responses in a table, where raising one lowers the other."""

    claim = "SLIME-4"
    part = "in a table of two the margin ends at m_h, or where pull = lambda_w pi_l/pi_w beyond it"
    cases = ((0.1, 0.01, 2e-3, RELEASED),)
    tolerance = 1e-3

    def predict(self, instance):
        def end(v):
            def net(margin):  # beyond m_h, of two probabilities that sum to 1
                return v.lambda_w * np.exp(-margin) - pull(-softplus(margin), v)

            return v.m_h if net(v.m_h) < 0 else brentq(net, v.m_h, 30)

        return np.array([end(SLIME(lambda_l=weight)) for weight in instance])

    def observe(self, instance):
        rule = GradientStep(
            objectives.get("slime", lambda_l=np.array(instance)), Tabular([0.0, 0.0]), [(0, 1)], 2.0
        )
        return -np.diff(settled(rule, {2.0: 500, 0.02: 400, 0.001: 200}))[:, 0]
