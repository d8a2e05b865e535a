"""Whole runs predicted from start log-probs and a Gram matrix: KER-5."""

from functools import cache, partial

import numpy as np

from analysis import Check
from analysis.kernel_view._policies import network, network_weights
from analysis.kernel_view.training import STEPS, agreement, predict, train
from prefdyn import orbit
from prefdyn.policies import KernelPolicy, LogLinear, Tabular
from prefdyn.rules import GradientStep

SEEDS = 8
INTERVALS = (STEPS, 5, 1)
PAIR = (4, 3)
"""The fifth against the fourth most likely of the candidates."""


def toy(seed, peak=1.0):
    """The ten most likely of a network's 60 responses; `peak` scales the logits."""
    rng = np.random.default_rng(seed)
    inputs, weights = rng.normal(size=(60, 8)), network_weights(rng, 8, 32)
    weights[-32:] *= peak
    everyone = network(inputs, weights, 32)
    likeliest = np.argsort(-everyone.log_probs())[:10]
    return network(inputs, weights, 32, likeliest.tolist())


@cache
def medians(rate, peak=1.0):
    """Median `Agreement` (intervals, 5) over the seeds, for each interval of re-measuring."""
    import torch

    rows = []
    for seed in range(SEEDS):
        policy = toy(seed, peak)
        path = train(policy, PAIR, partial(torch.optim.SGD, lr=rate))
        start = policy.log_probs()
        actual = policy.log_probs(path[-1]) - start
        moved = [predict(policy, PAIR, path, rate, every) - start for every in INTERVALS]
        rows.append([agreement(change, actual) for change in moved])
    return np.median(rows, axis=0)


class Far(Check):
    """At two rates, for changes of 4 to 5 and of 13 to 18 nats: the bounds the claim names."""

    claim = "KER-5"
    part = "r of the frozen K, R^2 of K measured every 5 steps and every step, at least"
    comparison = "at_least"
    cases = (0.3, 0.7)
    tolerance = 0.0

    def predict(self, instance):
        """Of the frozen K r, R^2 every 5, R^2 every step, largest change, and minus the largest."""
        return {0.3: (0.98, 0.94, 0.99, 4, -5), 0.7: (0.95, 0.85, 0.99, 13, -18)}[instance]

    def observe(self, instance):
        frozen, five, one = medians(instance)
        return frozen[0], five[1], one[1], frozen[4], -frozen[4]


class FrozenMissesTheSize(Far):
    """The same runs from above."""

    claim = "KER-5"
    part = "R^2 of the frozen K, at most"
    comparison = "at_most"

    def predict(self, instance):
        return {0.3: 0.75, 0.7: 0.0}[instance]

    def observe(self, instance):
        return medians(instance)[0][1]


class CommonShift(Check):
    """A peaky policy, whose normaliser moves all candidates alike: r and slope see nothing."""

    claim = "KER-5"
    part = "logits 8 times as large, frozen K: r > 0.99, slope within 2 % of 1, but R^2 < 0"
    comparison = "at_most"
    cases = (0.05,)
    tolerance = 0.0

    def predict(self, instance):
        return -0.99, 0.02, 0.0

    def observe(self, instance):
        frozen, *_ = medians(instance, peak=8.0)
        return -frozen[0], abs(frozen[2] - 1), frozen[1]


class TableFromItsGram(Check):
    """A complete set whose Gram matrix is recomputed from the predicted policy in each step."""

    claim = "KER-5"
    part = "table of logits, K recomputed from pi: the error of 20 steps falls as eta^2"
    instances = 40
    tolerance = 0.05
    rates = np.array([1e-4, 1e-5])

    def draw(self, rng):
        K = int(rng.integers(3, 9))
        return rng.normal(size=K), rng.choice(K, 2, replace=False)

    def predict(self, instance):
        return 2.0

    def policy_and_gram(self, logits):
        """The policy itself, and its Gram matrix as a function of the log-probs alone."""

        def gram(log_probs):
            pi = np.exp(log_probs)
            square = (pi**2).sum(-1)[..., None, None]
            return np.eye(pi.shape[-1]) - pi[..., :, None] - pi[..., None, :] + square

        return Tabular(logits), gram

    def observe(self, instance):
        start, pair = instance
        policy, gram = self.policy_and_gram(start)
        ends = [
            orbit(GradientStep("ipo", moved, [pair], self.rates), rounds=STEPS).log_policies[-1]
            for moved in (policy, KernelPolicy(policy.log_probs(), gram))
        ]
        error = np.abs(ends[0] - ends[1]).max(-1)
        return np.log10(error[0] / error[1])


class LogLinearFromItsGram(TableFromItsGram):
    """The same for features that the responses share."""

    claim = "KER-5"
    part = "log-linear policy, K recomputed from pi: the error of 20 steps falls as eta^2"

    def draw(self, rng):
        K = int(rng.integers(3, 9))
        return rng.normal(size=(K, 3)), rng.choice(K, 2, replace=False)

    def policy_and_gram(self, features):
        def gram(log_probs):
            pi = np.exp(log_probs)[..., None, :]
            centred = features - pi @ features
            return centred @ np.swapaxes(centred, -1, -2)

        return LogLinear(features), gram
