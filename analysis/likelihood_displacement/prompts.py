"""Several prompts that share the unembedding: DISP-7."""

from typing import NamedTuple

import numpy as np

from analysis import Check
from analysis.likelihood_displacement._features import rates
from prefdyn import DPO
from prefdyn.policies import UnconstrainedFeatures, log_softmax
from prefdyn.rules import GradientStep

N, V, D = 4, 12, 6


class Prompts(NamedTuple):
    """One pair of tokens per prompt: pairs (N, 2), rows W (V, d), states h (N, d).

    The reference (N, V) is another policy, so that every prompt has a slope of its own.
    """

    W: np.ndarray
    h: np.ndarray
    pairs: np.ndarray
    beta: float
    reference: np.ndarray

    @property
    def pi(self) -> np.ndarray:
        return np.exp(log_softmax(self.h @ self.W.T))

    @property
    def slopes(self) -> np.ndarray:
        """``c = -l'(margin)`` of every prompt, (N,)."""
        ratio = self.h @ self.W.T - self.reference
        u = np.take_along_axis(ratio, self.pairs, axis=1)
        return self.beta / (1 + np.exp(self.beta * (u[:, 0] - u[:, 1])))


class OtherPrompts(Check):
    """The mean loss over the prompts."""

    claim = "DISP-7"
    part = "rate of every chosen token: its own bracket and (c~/|D|) a <h, h~> of each other prompt"
    tolerance = 1e-7

    def draw(self, rng):
        pairs = np.stack([rng.permutation(V)[:2] for _ in range(N)])
        pairs[1] = pairs[0, ::-1]  # a contradiction
        W, h = rng.normal(size=(V, D)), rng.normal(size=(N, D))
        reference = log_softmax(rng.normal(size=(N, V)))
        return Prompts(W, h, pairs, float(rng.uniform(0.05, 1)), reference)

    @staticmethod
    def contribution(instance, x, other, token):
        """What prompt `other` adds for a token at prompt x: ``a <h_x, h_x~>``."""
        plus, minus = instance.pairs[other]
        pi = instance.pi[x]
        a = float(token == plus) - float(token == minus) + pi[minus] - pi[plus]
        return a * instance.h[x] @ instance.h[other]

    def predict(self, instance):
        W, pi, c = instance.W, instance.pi, instance.slopes
        total = np.zeros(N)
        for x, (plus, minus) in enumerate(instance.pairs):
            total[x] = c[x] * (W[plus] - pi[x] @ W) @ (W[plus] - W[minus])
            total[x] += c @ [self.contribution(instance, x, other, plus) for other in range(N)]
        return total / N

    def all_rates(self, instance, prompts=tuple(range(N))):
        """(N, V) with only these prompts' losses on, each still weighing 1/N."""
        policy = UnconstrainedFeatures(instance.W, instance.h)
        pairs = [(x * V + plus, x * V + minus) for x, (plus, minus) in enumerate(instance.pairs)]
        weights = np.isin(np.arange(N), prompts) / N
        reference = instance.reference.ravel()
        loss = DPO(instance.beta)
        rule = GradientStep(loss, policy, pairs, 1.0, weights=weights, reference=reference)
        return rates(rule).reshape(N, V)

    def observe(self, instance):
        return self.all_rates(instance)[np.arange(N), instance.pairs[:, 0]]


class FromOnePrompt(OtherPrompts):
    """What prompt 1 does at prompt 0, whose pair it contradicts."""

    claim = "DISP-7"
    part = "a contradicting prompt lowers the chosen token where <h, h~> > 0, and raises it else"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        return instance.h[0] @ instance.h[1] < 0

    def observe(self, instance):
        return self.all_rates(instance, (1,))[0, instance.pairs[0, 0]] > 0


class FromUnrelatedPrompt(OtherPrompts):
    """What prompt 2 does at prompt 0 when their pairs share no token."""

    claim = "DISP-7"
    part = "an unrelated prompt with <h, h~> > 0 lowers it iff pi(y~-|x) < pi(y~+|x)"
    comparison = "agree"
    tolerance = 0.0

    def skip(self, instance):
        shared = np.isin(instance.pairs[0], instance.pairs[2]).any()
        return bool(shared or instance.h[0] @ instance.h[2] <= 0)

    def predict(self, instance):
        plus, minus = instance.pairs[2]
        return instance.pi[0, minus] < instance.pi[0, plus]

    def observe(self, instance):
        return self.all_rates(instance, (2,))[0, instance.pairs[0, 0]] < 0


class ToOtherChosenTokens(OtherPrompts):
    """y~+ of prompt 2 at prompt 0: the factor 1 + pi(y~-|x) - pi(y~+|x) is positive."""

    claim = "DISP-7"
    part = "the other prompt's chosen token gains at x iff <h, h~> > 0"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        return instance.h[0] @ instance.h[2] > 0

    def observe(self, instance):
        return self.all_rates(instance, (2,))[0, instance.pairs[2, 0]] > 0
