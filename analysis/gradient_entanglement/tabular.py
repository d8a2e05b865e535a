"""Tabular logits do not entangle until the pushes are a factor of two apart: ENT-3."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform, responses
from prefdyn.policies import Tabular, softmax

STEP = 1e-6
"""Central differences: 1e-12 times a third derivative of order one, over rounding of 1e-10."""
MOST = 50.0
"""Largest ratio of the pushes."""
DRAWS = 1000


class Changes(Check):
    """Random tables and pushes; what a small step changes."""

    claim = "ENT-3"
    part = "Delta log pi_w = eta [d_w (1 - 2 pi_w + S) + d_l (pi_w + pi_l - S)], and log pi_l"
    instances = 20
    batch = DRAWS
    tolerance = 1e-7

    def draw(self, rng):
        logits = rng.normal(size=(DRAWS, responses(rng))) * log_uniform(rng, 0.3, 4, (DRAWS, 1))
        ratio = log_uniform(rng, 1 / MOST, MOST, DRAWS)
        return {"logits": logits, "d_w": np.minimum(1, 1 / ratio), "d_l": np.minimum(1, ratio)}

    def predict(self, instance):
        policy, d_w, d_l = softmax(instance["logits"]), instance["d_w"], instance["d_l"]
        up, down, S = policy[:, 0], policy[:, 1], (policy**2).sum(-1)
        rejected = -d_l * (1 - 2 * down + S) - d_w * (up + down - S)
        return np.array([d_w * (1 - 2 * up + S) + d_l * (up + down - S), rejected])

    def observe(self, instance):
        table = Tabular(instance["logits"][0])
        pushes = np.zeros((*instance["logits"].shape, 1))
        pushes[:, 0, 0], pushes[:, 1, 0] = instance["d_w"], -instance["d_l"]
        step = STEP * table.direction(instance["logits"], pushes)
        up, down = (table.log_probs(instance["logits"] + move) for move in (step, -step))
        return ((up - down) / (2 * STEP))[:, :2].T


class FactorOfTwo(Changes):
    """The least ratio of the pushes among steps in which chosen fell, or rejected rose."""

    claim = "ENT-3"
    part = "chosen falls only if d_l > 2 d_w, rejected rises only if d_w > 2 d_l"
    comparison = "at_least"
    tolerance = 0.0

    def predict(self, instance):
        return np.full(2, 2.0)

    def observe(self, instance):
        chosen, rejected = super().observe(instance)
        ratio = instance["d_l"] / instance["d_w"]
        fell, rose = chosen < 0, rejected > 0
        return np.array([ratio[fell].min(), (1 / ratio[rose]).min()])  # raises if none ever fell


class ThirdResponseDominates(Changes):
    """``S - pi_w - pi_l`` in the steps that go wrong."""

    claim = "ENT-3"
    part = "and only if S > pi_w + pi_l"
    comparison = "at_least"
    tolerance = 0.0

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        chosen, rejected = super().observe(instance)
        policy = softmax(instance["logits"])
        excess = (policy**2).sum(-1) - policy[:, 0] - policy[:, 1]
        return excess[(chosen < 0) | (rejected > 0)].min()


class SmallestRatio(Changes):
    """``K_ww/K_wl``, the ratio of pushes from which the chosen response falls."""

    claim = "ENT-3"
    part = "the smallest ratio d_l/d_w from which the chosen response would fall is above 2"
    comparison = "at_least"
    tolerance = 1e-12

    def predict(self, instance):
        return 2.0

    def observe(self, instance):
        gram = Tabular(instance["logits"][0]).gram(instance["logits"])
        entangled = gram[:, 0, 1] > 0
        return (gram[entangled, 0, 0] / gram[entangled, 0, 1]).min()


class WhyTwo(Changes):
    """``K_ww - 2 K_wl`` by sympy, from the gradient of the log of a softmax."""

    claim = "ENT-3"
    part = "K_ww - 2 K_wl = 1 - S + 2 pi_l, derived symbolically, on the shipped Gram matrix"
    instances = 10
    tolerance = 1e-12

    def predict(self, instance):
        logits = instance["logits"][:, :4]
        missing = np.full((DRAWS, 4 - logits.shape[1]), -np.inf)
        return derived_excess()(*np.concatenate([logits, missing], axis=-1).T)

    def observe(self, instance):
        logits = instance["logits"][:, :4]
        gram = Tabular(logits[0]).gram(logits)
        return gram[:, 0, 0] - 2 * gram[:, 0, 1]


@cache
def derived_excess():
    """``K_ww - 2 K_wl`` of four logits, after sympy has confirmed that it is 1 - S + 2 pi_l."""
    import sympy

    logits = sympy.symbols("theta:4", real=True)
    total = sum(sympy.exp(x) for x in logits)
    policy = [sympy.exp(x) / total for x in logits]
    chosen, rejected = ([sympy.diff(sympy.log(policy[i]), x) for x in logits] for i in (0, 1))
    excess = sum(g * (g - 2 * h) for g, h in zip(chosen, rejected, strict=True))
    stated = 1 - sum(p**2 for p in policy) + 2 * policy[1]
    if sympy.simplify(excess - stated) != 0:
        raise ArithmeticError(f"K_ww - 2 K_wl is {excess}, not 1 - S + 2 pi_l")
    return sympy.lambdify(logits, stated)


class TwoIsSharp(Check):
    """Both responses of the pair unlikely, one third response nearly certain."""

    claim = "ENT-3"
    part = "the ratio from which chosen falls tends to 2 as a third response takes all mass"
    cases = (1e-3, 1e-5, 1e-7)
    tolerance = 1e-2

    def predict(self, instance):
        return 2.0

    def observe(self, instance):
        gram = Tabular(np.log([instance, instance, 1 - 2 * instance])).gram()
        return gram[0, 0] / gram[0, 1]
