"""Momentum, preconditioners, Adam and the natural gradient in the kernel view: KER-7."""

from functools import cache, partial
from typing import Any

import numpy as np

from analysis import Check
from analysis.kernel_view._policies import network, network_weights, random_pairs
from analysis.kernel_view.training import (
    OBJECTIVE,
    STEPS,
    agreement,
    predict,
    predict_in_function_space,
    train,
)
from analysis.kernel_view.trajectories import PAIR, SEEDS, toy
from prefdyn import DPO, orbit
from prefdyn.policies import Differentiable, KernelPolicy, Tabular, softmax
from prefdyn.rules import Adam, GradientStep, Momentum, RMSprop


def small_network(rng):
    """Six responses."""
    return network(rng.normal(size=(6, 3)), network_weights(rng, 3, 4), 4)


class ExactWhereLinear(Check):
    """Log-probs linear in the parameters; optimisers of torch's against ours in function space."""

    claim = "KER-7"
    part = "gradients that stay constant: 20 steps of Adam, RMSprop and momentum, exactly"
    instances = 6
    tolerance = 1e-9

    def draw(self, rng) -> Any:
        rows, start = rng.normal(size=(5, 7)), -5 - rng.exponential(size=5)

        def log_probs(theta):
            import torch

            return torch.tensor(start) + torch.tensor(rows) @ theta

        policy = Differentiable(log_probs, np.zeros(7), complete=False)
        return policy, random_pairs(rng, policy, 1)[0], rng.uniform(0.001, 0.01)

    def predict(self, instance):
        policy, pair, rate = instance
        adam, rmsprop = (
            predict_in_function_space(policy, pair, rate, optimiser)
            for optimiser in (Adam(), RMSprop())
        )
        kernel = KernelPolicy(policy.log_probs(), policy.gram())
        heavy = Momentum(GradientStep(OBJECTIVE, kernel, [pair], rate), 0.9)
        return np.stack([adam, rmsprop, orbit(heavy, rounds=STEPS).log_policies[-1]])

    def observe(self, instance):
        import torch

        policy, pair, rate = instance
        optimisers = (
            partial(torch.optim.AdamW, lr=rate, weight_decay=0),
            partial(torch.optim.RMSprop, lr=rate),
            partial(torch.optim.SGD, lr=rate, momentum=0.9),
        )
        return np.stack([policy.log_probs(train(policy, pair, o)[-1]) for o in optimisers])


class FirstStepOfAdam(Check):
    """On a network, with the first move divided by the rate; beta is large, to drown Adam's eps."""

    claim = "KER-7"
    part = "the first step of AdamW on one pair moves log pi_i by rate <g_i, sign(g_w - g_l)>"
    instances = 30
    tolerance = 1e-4
    rate = 1e-6
    objective = DPO(10.0)

    def draw(self, rng) -> Any:
        policy = small_network(rng)
        return policy, random_pairs(rng, policy, 1)[0]

    def skip(self, instance):
        policy, (chosen, rejected) = instance
        rows = policy.gradients()
        gradient = self.objective.beta / 2 * (rows[chosen] - rows[rejected])
        return np.abs(gradient).min() < 1e-3  # where Adam's eps of 1e-8 could be felt

    def predict(self, instance):
        policy, (chosen, rejected) = instance
        rows = policy.gradients()
        return rows @ np.sign(rows[chosen] - rows[rejected])

    def observe(self, instance):
        import torch

        policy, pair = instance
        make = partial(torch.optim.AdamW, lr=self.rate, weight_decay=0)
        path = train(policy, pair, make, 1, self.objective)
        return (policy.log_probs(path[1]) - policy.log_probs()) / self.rate


class SmallSteps(Check):
    """Momentum on a network: 20 steps at two rates, and the order of the error between them."""

    claim = "KER-7"
    part = "momentum on a network: the error of 20 steps falls as the square of the rate"
    instances = 12
    tolerance = 0.02
    rates = (1e-3, 1e-4)

    def draw(self, rng) -> Any:
        policy = small_network(rng)
        return policy, random_pairs(rng, policy, 1)[0], rng.uniform(0.2, 2, policy.params.size)

    def predict(self, instance):
        return 2.0

    def error(self, instance, rate):
        """Largest difference between prediction and a real run."""
        import torch

        policy, pair, _ = instance
        kernel = KernelPolicy(policy.log_probs(), policy.gram())
        heavy = Momentum(GradientStep(OBJECTIVE, kernel, [pair], rate), 0.9)
        path = train(policy, pair, partial(torch.optim.SGD, lr=rate, momentum=0.9))
        return np.abs(orbit(heavy, rounds=STEPS).log_policies[-1] - policy.log_probs(path[-1]))

    def observe(self, instance):
        errors = [self.error(instance, rate).max() for rate in self.rates]
        return np.log10(errors[0] / errors[1])


class FixedPreconditioner(SmallSteps):
    """A diagonal M, as separate learning rates of the weights in the real run."""

    claim = "KER-7"
    part = "a fixed preconditioner M: one step with <g_i, M g_j>, error as the square of the rate"

    def error(self, instance, rate):
        policy, pair, M = instance
        kernel = KernelPolicy.from_gradients(
            policy.log_probs(), policy.gradients(), preconditioner=M
        )
        rule = GradientStep(OBJECTIVE, kernel, [pair], rate)
        move = train(policy, pair, self.plain, steps=1)[1] - policy.params
        return np.abs(
            orbit(rule, rounds=1).log_policies[-1]
            - policy.log_probs(policy.params + rate * M * move)
        )

    @staticmethod
    def plain(params):
        """Plain gradient descent at rate 1."""
        import torch

        return torch.optim.SGD(params, lr=1.0)


class NaturalGradient(Check):
    """A table of logits, its Fisher matrix F = diag(pi) - pi pi^T, and a step of size 1e-6."""

    claim = "KER-7"
    part = "natural gradient of a table: Delta pi_w = eta d, Delta pi_l = -eta d, others 0"
    tolerance = 1e-4
    eta = 1e-6

    def draw(self, rng) -> Any:
        logits = rng.normal(size=int(rng.integers(3, 9)))
        return logits, rng.choice(len(logits), 2, replace=False)

    def predict(self, instance):
        """Changes of pi over eta d, of the table and of the kernel delta_ij/pi_i - 1."""
        logits, (chosen, rejected) = instance
        unit = np.eye(len(logits))
        return np.stack([unit[chosen] - unit[rejected]] * 2)

    def observe(self, instance):
        logits, pair = instance
        table, pi, d = Tabular(logits), softmax(logits), OBJECTIVE.beta / 2
        euclidean = GradientStep(OBJECTIVE, table, [pair], 1.0)
        move = euclidean.step(euclidean.own_start, 0, None) - logits
        fisher = np.diag(pi) - np.outer(pi, pi)
        stepped = softmax(logits + self.eta * np.linalg.pinv(fisher) @ move)
        kernel = KernelPolicy(table.log_probs(), np.diag(1 / pi) - 1)
        rule = GradientStep(OBJECTIVE, kernel, [pair], self.eta)
        by_kernel = np.exp(orbit(rule, rounds=1).log_policies[-1])
        return (np.stack([stepped, by_kernel]) - pi) / (self.eta * d)


@cache
def adam_runs(rate):
    """Agreement of real AdamW runs on the toy of KER-5, (seeds, 2, 5).

    Predicted in function space, and by the Euclidean Gram matrix at the rate that fits best.
    """
    import torch

    rows = []
    for seed in range(SEEDS):
        policy = toy(seed)
        path = train(policy, PAIR, partial(torch.optim.AdamW, lr=rate, weight_decay=0))
        start = policy.log_probs()
        actual = policy.log_probs(path[-1]) - start
        by_adam = predict_in_function_space(policy, PAIR, rate, Adam()) - start
        by_gram = predict(policy, PAIR, path, 1e-3, STEPS) - start
        by_gram = by_gram * (by_gram @ actual) / (by_gram @ by_gram)
        rows.append([agreement(by_adam, actual), agreement(by_gram, actual)])
    return np.array(rows)


class AdamOnANetwork(Check):
    """Medians over 8 seeds at largest changes of about 0.1, 1 and 4 nats."""

    claim = "KER-7"
    part = "frozen gradients on the toy of KER-5, 20 steps of AdamW: median r and R^2, at least"
    comparison = "at_least"
    cases = (1e-4, 1e-3, 2.5e-3)
    tolerance = 0.0

    def predict(self, instance):
        """The two in function space, and the largest change."""
        return {1e-4: (0.99, 0.99, 0.09), 1e-3: (0.99, 0.85, 1.0), 2.5e-3: (0.98, 0.5, 3.5)}[
            instance
        ]

    def observe(self, instance):
        in_function_space, _ = np.median(adam_runs(instance), axis=0)
        return in_function_space[[0, 1, 4]]


class DirectionOfTheGram(AdamOnANetwork):
    """The same runs by the Euclidean Gram matrix, even at the rate that fits each of them best."""

    claim = "KER-7"
    part = "the Euclidean Gram matrix misses AdamW's direction: its median r, at most"
    comparison = "at_most"

    def predict(self, instance):
        return 0.985

    def observe(self, instance):
        return np.median(adam_runs(instance), axis=0)[1, 0]
