"""Responses of several tokens: DISP-6, and the likelihood terms of DISP-8."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.likelihood_displacement._features import rates
from prefdyn import DPO, Objective, Pair
from prefdyn.objectives import DPONLL
from prefdyn.policies import UnconstrainedFeatures, log_softmax
from prefdyn.rules import GradientStep

CHOSEN, REJECTED, THIRD = 0, 1, 2


class Sequences(NamedTuple):
    """Chosen, rejected and third response; `states` holds h by prefix, beta is DPO's."""

    W: np.ndarray
    responses: list[tuple[int, ...]]
    states: dict[tuple[int, ...], np.ndarray]
    beta: float

    def policy(self, **kappa) -> UnconstrainedFeatures:
        contexts = UnconstrainedFeatures.contexts(self.responses)
        h = np.stack([self.states[prefix] for _, prefix in contexts])
        return UnconstrainedFeatures(self.W, h, self.responses, **kappa)

    def along(self, response: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, states (n, d) and next-token policies (n, V) of a response."""
        tokens = self.responses[response]
        h = np.stack([self.states[tokens[:k]] for k in range(len(tokens))])
        return np.array(tokens), h, np.exp(log_softmax(h @ self.W.T))


def sequences(rng: np.random.Generator, shared: int = 0) -> Sequences:
    """Three responses of up to four tokens more than the `shared` first ones."""
    V, d = (int(n) for n in rng.integers((5, 2), (12, 8)))
    first = rng.permutation(V)[:3]
    prefix = tuple(int(v) for v in rng.integers(V, size=shared))
    tails = [tuple(int(v) for v in rng.integers(V, size=rng.integers(4))) for _ in first]
    responses = [(*prefix, int(v), *tail) for v, tail in zip(first, tails, strict=True)]
    contexts = UnconstrainedFeatures.contexts(responses)
    states = {before: rng.normal(size=d) for _, before in contexts}
    return Sequences(rng.normal(size=(V, d)), responses, states, float(rng.uniform(0.05, 1)))


def coefficients(instance: Sequences, left: int, right: int) -> np.ndarray:
    """``<e_{y_k} - p_k, e_{y'_k'} - p'_k'>`` of two responses, (n, n')."""
    residual = []
    for response in (left, right):
        tokens, _, pi = instance.along(response)
        residual.append(np.eye(len(instance.W))[tokens] - pi)
    return residual[0] @ residual[1].T


def from_states(
    instance: Sequences, response: int, weights: Callable[..., Any] = coefficients
) -> float:
    """The terms in inner products of hidden states, those that W contributes."""
    _, h, _ = instance.along(response)
    total = 0.0
    for other, sign in ((CHOSEN, 1), (REJECTED, -1)):
        _, h_other, _ = instance.along(other)
        total += sign * (weights(instance, response, other) * (h @ h_other.T)).sum()
    return total


class _Sequences(Check):
    """One pair under DPO at the start, where c = beta/2."""

    instances = 100
    tolerance = 1e-7
    response = CHOSEN

    def draw(self, rng):
        return sequences(rng)

    def observe(self, instance):
        rule = GradientStep(DPO(instance.beta), instance.policy(), [(CHOSEN, REJECTED)], 1.0)
        return rates(rule)[self.response]


class ChosenRate(_Sequences):
    """The paper's bracket, term by term."""

    claim = "DISP-6"
    part = "rate of the chosen response, m + S1 - sum c- <h+, h-> + sum c+ <h+, h+>"

    @staticmethod
    def from_rows(instance, k=0):
        """The terms in rows of W, m + S1; k is the first position that differs."""
        W = instance.W
        tokens, _, pi = instance.along(CHOSEN)
        (up, down), p = W[[tokens[k], instance.responses[REJECTED][k]]], pi[k]
        first, other = p[tokens[k]], p[instance.responses[REJECTED][k]]
        m = (1 - first) * up @ up + other * down @ down
        m += ((W[tokens] - pi @ W)[k + 1 :] ** 2).sum()
        rest = np.delete(np.arange(len(W)), [tokens[k], instance.responses[REJECTED][k]])
        return m - (1 - first + other) * up @ down - p[rest] @ W[rest] @ (up - down)

    def predict(self, instance):
        return instance.beta / 2 * (self.from_rows(instance) + from_states(instance, CHOSEN))


class SharedPrefix(ChosenRate):
    """Positions before the first that differs add to the terms in hidden states only."""

    claim = "DISP-6"
    part = "the same with a shared prefix, the first position that differs in the place of 1"

    def draw(self, rng):
        return sequences(rng, shared=int(rng.integers(1, 4)))

    def predict(self, instance):
        tokens, rejected = instance.responses[CHOSEN], instance.responses[REJECTED]
        k = next(
            k for k, pair in enumerate(zip(tokens, rejected, strict=False)) if pair[0] != pair[1]
        )
        return instance.beta / 2 * (self.from_rows(instance, k) + from_states(instance, CHOSEN))


class ThirdRate(_Sequences):
    """Any other response."""

    claim = "DISP-6"
    part = "rate of a third response with another first token"
    response = THIRD

    def predict(self, instance):
        W = instance.W
        first = [tokens[0] for tokens in instance.responses]
        _, _, pi = instance.along(THIRD)
        by_rows = (W[first[THIRD]] - pi[0] @ W) @ (W[first[CHOSEN]] - W[first[REJECTED]])
        return instance.beta / 2 * (by_rows + from_states(instance, THIRD))


class SequencesWithMultipliers(ChosenRate):
    """kappa_h on the terms in rows, kappa_W on those in states."""

    claim = "DISP-6"
    part = "the same with multipliers kappa_W and kappa_h"

    def draw(self, rng):
        kappa_W, kappa_h = log_uniform(rng, 0.05, 3, 2)
        return sequences(rng), {"kappa_W": kappa_W, "kappa_h": kappa_h}

    def predict(self, instance):
        instance, kappa = instance
        by_rows = kappa["kappa_h"] * self.from_rows(instance)
        by_states = kappa["kappa_W"] * from_states(instance, CHOSEN)
        return instance.beta / 2 * (by_rows + by_states)

    def observe(self, instance):
        instance, kappa = instance
        policy = instance.policy(**kappa)
        return rates(GradientStep(DPO(instance.beta), policy, [(CHOSEN, REJECTED)], 1.0))[CHOSEN]


class CoefficientsAreBounded(_Sequences):
    """Both kinds of coefficients."""

    claim = "DISP-6"
    part = "coefficients lie in [-2, 2]"
    comparison = "at_most"
    tolerance = 0.0

    def predict(self, instance):
        return 2.0

    def observe(self, instance):
        both = [coefficients(instance, CHOSEN, other) for other in (CHOSEN, REJECTED)]
        return max(np.abs(c).max() for c in both)


class LikelihoodTerm(_Sequences):
    """DPO + nu NLL against the Gram matrix; the shipped objective takes the sum or the mean."""

    claim = "DISP-8"
    part = "adding nu NLL(y+) gives E + nu |grad ln pi(y+)|^2, nu over the length for a mean"

    def draw(self, rng):
        return sequences(rng), float(log_uniform(rng, 0.01, 3)), str(rng.choice(["sum", "mean"]))

    def predict(self, instance):
        instance, nu, norm = instance
        E, square = undisturbed(instance)
        return E + square * (nu / len(instance.responses[CHOSEN]) if norm == "mean" else nu)

    def observe(self, instance):
        instance, nu, norm = instance
        objective = DPONLL(beta=instance.beta, nll_weight=nu, nll_norm=norm)
        return rates(GradientStep(objective, instance.policy(), [(CHOSEN, REJECTED)], 1.0))[CHOSEN]


@dataclass(frozen=True)
class WeightedMargin(Objective):
    """``-ln sigmoid(beta (c1 a - c2 b))`` of the log-ratios a, b: an objective made on the spot."""

    c1: float = 1.0
    c2: float = 1.0
    beta: float = 0.1

    def loss(self, pair, xp=None, stats=None):
        xp = xp or self.primitives(pair)
        margin = self.c1 * pair.chosen_log_ratio - self.c2 * pair.rejected_log_ratio
        return -xp.log_sigmoid(self.beta * margin)


class Weighted(_Sequences):
    """The weighted margin, away from the reference so that l' differs between the two losses."""

    claim = "DISP-8"
    part = "the margin c1 ln pi(y+) - c2 ln pi(y-) gives rho E + gamma |grad ln pi(y+)|^2"

    def draw(self, rng):
        weights = tuple(float(c) for c in log_uniform(rng, 0.2, 5, 2))
        return sequences(rng), weights, log_softmax(rng.normal(size=3))

    def predict(self, instance):
        instance, (c1, c2), reference = instance
        plus, minus = (
            np.log(pi[np.arange(len(tokens)), tokens]).sum() - reference[i]
            for i in (CHOSEN, REJECTED)
            for tokens, _, pi in [instance.along(i)]
        )
        slopes = [
            -instance.beta / (1 + np.exp(instance.beta * margin))
            for margin in (plus - minus, c1 * plus - c2 * minus)
        ]
        E, square = undisturbed(instance, slope=-slopes[0])
        rho, gamma = c2 * slopes[1] / slopes[0], -(c1 - c2) * slopes[1]
        return rho * E + gamma * square

    def observe(self, instance):
        instance, (c1, c2), reference = instance
        objective = WeightedMargin(c1, c2, instance.beta)
        pairs = [(CHOSEN, REJECTED)]
        policy = instance.policy()
        tokens = np.zeros(policy.mask.shape)
        tokens[:, 0] = reference  # only the sums enter the loss
        return rates(GradientStep(objective, policy, pairs, 1.0, reference=tokens))[CHOSEN]


def undisturbed(instance, slope=None):
    """E of DISP-6 under the margin alone, and ``|grad ln pi(y+)|^2``, from the same terms."""
    tokens, h, pi = instance.along(CHOSEN)
    slope = instance.beta / 2 if slope is None else slope
    E = slope * (ChosenRate.from_rows(instance) + from_states(instance, CHOSEN))
    by_h = ((instance.W[tokens] - pi @ instance.W) ** 2).sum()
    by_W = (coefficients(instance, CHOSEN, CHOSEN) * (h @ h.T)).sum()
    return E, by_h + by_W


@cache
def derived_weights():
    """The weights rho and gamma by sympy, from what the weighted loss does to ln pi(y+)."""
    import sympy

    plus, minus, c1, c2, beta = sympy.symbols("a b c1 c2 beta", real=True)
    square, cross = sympy.symbols("gg gl", real=True)  # |g_+|^2 and <g_+, g_->
    form = DPO().symbolic()
    pair = form.pair
    start = {pair.ref_chosen: 0, pair.ref_rejected: 0, form.parameters["beta"]: beta}
    weighted = form.loss.subs(start).subs(
        {pair.chosen: c1 * plus, pair.rejected: c2 * minus}, simultaneous=True
    )
    plain = weighted.subs({c1: 1, c2: 1})
    rate = -sympy.diff(weighted, plus) * square - sympy.diff(weighted, minus) * cross
    base = -sympy.diff(plain, plus) * square - sympy.diff(plain, minus) * cross
    rho = sympy.diff(rate, cross) / sympy.diff(base, cross)
    gamma = sympy.diff(rate - rho * base, square)
    return sympy.lambdify((plus, minus, c1, c2, beta), [rho, gamma])


class WeightsDerived(Check):
    """rho and gamma derived from the shared loss, against the pushes of the weighted margin."""

    claim = "DISP-8"
    part = "rho and gamma derived symbolically: d_w = rho c + gamma, d_l = rho c"
    tolerance = 1e-9

    def draw(self, rng):
        weights = log_uniform(rng, 0.2, 5, 2)
        return *-rng.exponential(size=2), *weights, float(rng.uniform(0.05, 1))

    def predict(self, instance):
        plus, minus, _, _, beta = instance
        rho, gamma = derived_weights()(*instance)
        c = beta / (1 + np.exp(beta * (plus - minus)))
        return np.array([rho * c + gamma, rho * c])

    def observe(self, instance):
        plus, minus, c1, c2, beta = instance
        return np.array(WeightedMargin(c1, c2, beta).pushes(Pair(chosen=plus, rejected=minus)))
