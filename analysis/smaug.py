"""Smaug, or DPO-Positive (arXiv 2402.13228): two completions that differ in one token, DPO-10.

The language model here is the smallest with the structure the claim is about: the logits of each
position are its own constant plus a bias per token that all positions share.
"""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from prefdyn import DPO, Pair
from prefdyn.policies import log_softmax, softmax

STEP = 1e-4
"""Central differences of third-order error: 1e-8 times a third derivative of order one tenth."""


class OneDifferingToken(Check):
    """A pair of completions; the gradient of their log-probability gap by the shared bias."""

    claim = "DPO-10"
    part = "d[log pi_w - log pi_l]/d bias = s(rejected context) - s(chosen context), summed"
    tolerance = 1e-8

    def draw(self, rng):
        """Logits of the contexts (before, after | chosen, after | rejected), bias, tokens, beta."""
        vocabulary, before, after = (int(n) for n in rng.integers((3, 0, 1), (8, 4, 6)))
        length = before + 1 + after
        prefix = rng.normal(size=(before + 1, vocabulary))
        contexts = [np.vstack([prefix, rng.normal(size=(after, vocabulary))]) for _ in range(2)]
        chosen = rng.integers(vocabulary, size=length)
        rejected = chosen.copy()
        rejected[before] = (chosen[before] + rng.integers(1, vocabulary)) % vocabulary
        bias = rng.normal(size=vocabulary)
        return contexts, (chosen, rejected), before, bias, float(log_uniform(rng, 0.05, 3))

    @staticmethod
    def log_probability(context, tokens, bias, first=0):
        """Summed log-probability of the tokens from position `first` on."""
        rows = log_softmax(context + bias)
        return rows[np.arange(first, len(tokens)), tokens[first:]].sum()

    def gap(self, instance, bias, first=0):
        contexts, completions, *_ = instance
        up, down = (
            self.log_probability(context, tokens, bias, first)
            for context, tokens in zip(contexts, completions, strict=True)
        )
        return up - down

    def predict(self, instance):
        contexts, _, before, bias, _ = instance
        chosen, rejected = (softmax(context + bias)[before + 1 :] for context in contexts)
        return (rejected - chosen).sum(0)

    def observe(self, instance):
        bias, first = instance[3], instance[2] + 1
        return np.array(
            [
                (self.gap(instance, bias + h, first) - self.gap(instance, bias - h, first))
                / (2 * STEP)
                for h in STEP * np.eye(len(bias))
            ]
        )


class PositionsBeforeCancel(OneDifferingToken):
    """Positions up to the difference contribute nothing but the differing token itself."""

    claim = "DPO-10"
    part = "positions before the difference cancel, the differing position gives +1 and -1"

    def predict(self, instance):
        _, (chosen, rejected), before, bias, _ = instance
        unit = np.eye(len(bias))
        return super().predict(instance) + unit[chosen[before]] - unit[rejected[before]]

    def observe(self, instance):
        bias = instance[3]
        return np.array(
            [
                (self.gap(instance, bias + h) - self.gap(instance, bias - h)) / (2 * STEP)
                for h in STEP * np.eye(len(bias))
            ]
        )


@cache
def derived_step():
    """-dL/d bias by sympy: the shared loss, one later position, three tokens, token 0 next."""
    import sympy

    bias = sympy.symbols("b:3", real=True)
    contexts = sympy.symbols("w:3", real=True), sympy.symbols("l:3", real=True)
    form = DPO().symbolic()
    pair, beta = form.pair, form.parameters["beta"]

    def log_probability(context):
        logits = [x + b for x, b in zip(context, bias, strict=True)]
        return logits[0] - sympy.log(sum(sympy.exp(x) for x in logits))

    chosen, rejected = map(log_probability, contexts)
    values = {pair.chosen: chosen, pair.rejected: rejected}
    loss = form.loss.subs({**values, pair.ref_chosen: 0, pair.ref_rejected: 0})
    return sympy.lambdify((bias, *contexts, beta), [-sympy.diff(loss, b) for b in bias])


class StepDerived(Check):
    """The symbolic step against central differences of the shipped loss."""

    claim = "DPO-10"
    part = "the step of DPO at one later position, symbolically, against finite differences"
    tolerance = 1e-8

    def draw(self, rng):
        return (*rng.normal(size=(3, 3)), float(log_uniform(rng, 0.05, 3)))

    def predict(self, instance):
        return np.array(derived_step()(*instance))

    def observe(self, instance):
        bias, chosen, rejected, beta = instance

        def loss(b):
            pair = Pair(chosen=log_softmax(chosen + b)[0], rejected=log_softmax(rejected + b)[0])
            return DPO(beta).loss(pair)

        return np.array(
            [(loss(bias - h) - loss(bias + h)) / (2 * STEP) for h in STEP * np.eye(len(bias))]
        )


class LikelierTokenIsPushedDown(StepDerived):
    """The direction of that step, token by token."""

    claim = "DPO-10"
    part = "the step lowers exactly the tokens that are likelier after the chosen one"
    comparison = "agree"
    tolerance = 0.0

    def skip(self, instance):
        bias, chosen, rejected, _ = instance
        return np.abs(softmax(chosen + bias) - softmax(rejected + bias)).min() < 1e-6

    def predict(self, instance):
        bias, chosen, rejected, _ = instance
        return softmax(chosen + bias) > softmax(rejected + bias)

    def observe(self, instance):
        return super().observe(instance) < 0
