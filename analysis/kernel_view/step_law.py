"""The step law and its cheap form: KER-1 and KER-4."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.kernel_view._policies import KINDS, network, random_pairs, random_policy
from prefdyn import Pair, orbit
from prefdyn.objectives import get
from prefdyn.policies import Differentiable
from prefdyn.rules import GradientStep

OBJECTIVES = ("dpo", "ipo", "cdpo", "simpo", "dpop", "orpo")
RATES = np.array([1e-2, 1e-3])
"""Sizes of the two steps whose errors are compared, in nats of the largest change."""


def pair_of(log_probs, reference, lengths, chosen, rejected):
    """What an objective sees of two responses, given as a number each or an array of numbers."""
    return Pair(
        chosen=log_probs[chosen],
        rejected=log_probs[rejected],
        ref_chosen=reference[chosen],
        ref_rejected=reference[rejected],
        chosen_length=lengths[chosen],
        rejected_length=lengths[rejected],
    )


class StepLaw(Check):
    """Any policy, several pairs on one or two prompts, any pairwise objective, off its reference.

    The largest error of all responses counts.  Pairs of sequences that differ in the order of their
    tokens alone, which the shortest contexts cannot tell apart, move nothing and are left out.
    """

    claim = "KER-1"
    part = "the error of eta sum_r (d_w K_iw - d_l K_il) falls 100-fold when eta falls 10-fold"
    instances = 120
    tolerance = 0.01

    def draw(self, rng):
        policy = random_policy(KINDS[rng.integers(len(KINDS))], rng)
        reference = policy.at(policy.params + 0.5 * rng.normal(size=policy.params.shape))
        objective = OBJECTIVES[rng.integers(len(OBJECTIVES))]
        return policy, reference, objective, random_pairs(rng, policy, int(rng.integers(1, 4)))

    def skip(self, instance):
        return np.abs(self.law(instance)).max() < 1e-6

    def law(self, instance):
        """Change of every log-prob per unit of eta."""
        policy, reference, objective, pairs = instance
        chosen, rejected = pairs.T
        log_probs = policy.log_probs(), reference.log_probs()
        d_w, d_l = get(objective).pushes(pair_of(*log_probs, policy.lengths, chosen, rejected))
        gram = policy.gram()
        return (gram[:, chosen] @ d_w - gram[:, rejected] @ d_l) / len(pairs)

    def predict(self, instance):
        return 2.0

    def observe(self, instance):
        policy, reference, objective, pairs = instance
        slope = self.law(instance)
        eta = RATES / np.abs(slope).max()
        run = orbit(GradientStep(objective, policy, pairs, eta, reference=reference), rounds=1)
        error = np.abs(run.log_policies[1] - run.log_policies[0] - eta[:, None] * slope).max(-1)
        return np.log10(error[0] / error[1])


@cache
def derived_law():
    """Rates of change by sympy: IPO on a network of one tanh unit per layer, three responses."""
    import sympy

    theta = sympy.symbols("a:3", real=True)
    inputs = sympy.symbols("x:3", real=True)
    reference = sympy.symbols("r:2", real=True)
    hidden = [sympy.tanh(theta[1] * sympy.tanh(theta[0] * x)) for x in inputs]
    normaliser = sympy.log(sum(sympy.exp(theta[2] * h) for h in hidden))
    log_p = [theta[2] * h - normaliser for h in hidden]
    form = get("ipo").symbolic()
    pair = form.pair
    sides = (pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected)
    loss = form.loss.subs(dict(zip(sides, (*log_p[:2], *reference), strict=True)))
    rates = [-sum(sympy.diff(y, t) * sympy.diff(loss, t) for t in theta) for y in log_p]
    return sympy.lambdify((theta, inputs, reference, form.parameters["beta"]), rates, cse=True)


class StepLawDerived(Check):
    """The loss of a network differentiated by its weights, against pushes and Gram matrix."""

    claim = "KER-1"
    part = "d log pi_i / d eta symbolically, against the shipped pushes and Gram matrix"
    instances = 50
    tolerance = 1e-9

    def draw(self, rng):
        reference = -rng.exponential(size=2)
        return rng.normal(size=3), rng.normal(size=3), reference, log_uniform(rng, 0.1, 2)

    def predict(self, instance):
        return np.array(derived_law()(*instance))

    def observe(self, instance):
        theta, inputs, reference, beta = instance
        policy = network(inputs[:, None], theta, 1)
        pair = pair_of(policy.log_probs(), reference, np.ones(3), 0, 1)
        d_w, d_l = get("ipo", beta=beta).pushes(pair)
        gram = policy.gram()
        return d_w * gram[:, 0] - d_l * gram[:, 1]


class TwoForwardPasses(StepLaw):
    """Differences along v = d_w g_w - d_l g_l, for all responses at once and two values of eps."""

    claim = "KER-4"
    part = "two forward passes give the column difference, at eps of 1e-3 and 1e-4 nats"
    instances = 60
    tolerance = 1e-4

    def draw(self, rng):
        policy, reference, objective, pairs = super().draw(rng)
        return policy, reference, objective, pairs[:1]

    def predict(self, instance):
        slope = self.law(instance)
        return np.tile(slope / np.abs(slope).max(), (2, 1))

    def observe(self, instance):
        policy, reference, objective, pairs = instance
        rule = GradientStep(objective, policy, pairs, 1.0, reference=reference)
        v = policy.direction(policy.params, rule.pushes(policy.params))
        size = np.abs(self.law(instance)).max()
        eps = np.array([[1e-3], [1e-4]]) / size
        up, down = (
            policy.log_probs(policy.params + eps * v),
            policy.log_probs(policy.params - eps * v),
        )
        return (up - down) / (2 * eps * size)


class SinglePrecision(Check):
    """The network in float32, where eps must not be too small: rounding is 1e-7 / eps."""

    claim = "KER-4"
    part = "two forward passes in float32, eps of 3e-3 and 1e-3 nats"
    instances = 30
    tolerance = 1e-3

    def draw(self, rng):
        policy = random_policy("network", rng)
        return policy, random_pairs(rng, policy, 1)[0]

    def predict(self, instance):
        policy, (chosen, rejected) = instance
        gram = policy.gram()
        slope = gram[:, chosen] - gram[:, rejected]
        return np.tile(slope / np.abs(slope).max(), (2, 1))

    def observe(self, instance):
        import torch

        policy, (chosen, rejected) = instance
        assert isinstance(policy, Differentiable)
        gradients = policy.gradients()
        v = gradients[chosen] - gradients[rejected]
        size = np.abs(gradients @ v).max()
        eps = np.array([[3e-3], [1e-3]]) / size

        def single(params):
            given = torch.tensor(params, dtype=torch.float32)
            return np.stack([policy.function(row).double().numpy() for row in given])

        up, down = single(policy.params + eps * v), single(policy.params - eps * v)
        return (up - down) / (2 * eps * size)
