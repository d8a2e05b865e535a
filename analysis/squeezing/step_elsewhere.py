"""What a step on one prompt does to another: SQZ-1."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from prefdyn import DPO, Pair, orbit
from prefdyn.objectives import get
from prefdyn.policies import LogLinear, log_softmax
from prefdyn.rules import GradientStep


class StepElsewhereSFT(Check):
    """Two prompts, seven responses: a step on prompt 1, seen at prompt 0 by its order of error."""

    claim = "SQZ-1"
    part = "SFT: the error of -eta A K G falls as eta^2"
    instances = 100
    tolerance = 0.01
    sizes = np.array([1e-2, 1e-3])
    """Largest change in each of the two steps, in nats."""
    objective = get("sft")

    def draw(self, rng):
        return rng.normal(size=(2, 7, 5)), rng.normal(size=5), rng.choice(7, 2, replace=False)

    def by_logits(self, instance, p):
        """G, the derivative of the loss by the logits of prompt 1."""
        chosen, _ = instance[2]
        return p - np.eye(7)[chosen]

    def predict(self, instance):
        return 2.0

    def observe(self, instance):
        features, theta, pair = instance
        p_o, p_u = np.exp(log_softmax(features @ theta))
        A = np.eye(7) - p_o
        slope = -A @ features[0] @ features[1].T @ self.by_logits(instance, p_u)
        etas = self.sizes / np.abs(slope).max()
        rule = GradientStep(self.objective, LogLinear(features, theta), [7 + pair], etas)
        run = orbit(rule, rounds=1).log_policies
        error = np.abs((run[1] - run[0])[..., :7] - etas[:, None] * slope).max(-1)
        return np.log10(error[0] / error[1])


class StepElsewhereDPO(StepElsewhereSFT):
    """As above for DPO, from its reference."""

    claim = "SQZ-1"
    part = "DPO: the error of -eta A K (G_+ - G_-) falls as eta^2"
    beta = 0.5
    objective = DPO(0.5)

    def by_logits(self, instance, p):
        weight = self.beta / 2  # 1 - sigmoid(0): the start is the reference
        chosen, rejected = (weight * (p - np.eye(7)[y]) for y in instance[2])
        return chosen - rejected


@cache
def derived_step_elsewhere():
    """The change of log p(x_o) per unit of eta by sympy: three responses, two features, DPO."""
    import sympy

    theta = sympy.symbols("t:2", real=True)
    phi = [[sympy.symbols(f"f{x}{i}_:2", real=True) for i in range(3)] for x in range(2)]
    reference = sympy.symbols("r:2", real=True)

    def log_p(x):
        z = [sum(f * t for f, t in zip(row, theta, strict=True)) for row in phi[x]]
        return [entry - sympy.log(sum(map(sympy.exp, z))) for entry in z]

    form = DPO().symbolic()
    pair, beta = form.pair, form.parameters["beta"]
    sides = (pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected)
    loss = form.loss.subs(dict(zip(sides, (*log_p(1)[:2], *reference), strict=True)))
    rates = [-sum(sympy.diff(y, t) * sympy.diff(loss, t) for t in theta) for y in log_p(0)]
    return sympy.lambdify((theta, phi, reference, beta), rates, cse=True)


class StepElsewhereDerived(Check):
    """The same rate symbolically, against pushes and Gram matrix of the package."""

    claim = "SQZ-1"
    part = "the rate of change elsewhere, symbolically, against pushes times Gram matrix"
    instances = 50
    tolerance = 1e-10

    def draw(self, rng):
        reference = -rng.exponential(size=2)
        return rng.normal(size=(2, 3, 2)), rng.normal(size=2), reference, log_uniform(rng, 0.05, 3)

    def predict(self, instance):
        features, theta, reference, beta = instance
        return np.array(derived_step_elsewhere()(theta, features.tolist(), reference, beta))

    def observe(self, instance):
        features, theta, (ref_w, ref_l), beta = instance
        policy = LogLinear(features, theta)
        log_p = policy.log_probs()
        pair = Pair(chosen=log_p[3], rejected=log_p[4], ref_chosen=ref_w, ref_rejected=ref_l)
        d_w, d_l = DPO(beta).pushes(pair)
        gram = policy.gram()
        return d_w * gram[:3, 3] - d_l * gram[:3, 4]
