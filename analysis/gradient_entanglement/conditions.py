"""When a step on a pair raises the chosen and lowers the rejected response: ENT-1 and ENT-2.

Predictions work out the gradients of the policies by themselves: ``phi_i - sum_k pi_k phi_k`` of a
log-linear one, and of a table of next-token logits the token counts less what was expected.
"""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import log_uniform, responses
from prefdyn import DPO, objectives, orbit
from prefdyn.policies import Autoregressive, LogLinear, softmax
from prefdyn.rules import GradientStep

NEAR = 1e-3
"""Relative distance from equality within which the sign of a finite step is not judged."""
MOST = 8.0
"""Largest ratio of unequal pushes."""
STARTS = 25
"""Starts of one policy in an instance."""


class EqualPushes(Check):
    """One step of DPO on a log-linear policy; which of the two conditions hold."""

    claim = "ENT-1"
    part = "DPO: chosen rises iff <g_w,g_l> <= |g_w|^2, rejected falls iff <g_w,g_l> <= |g_l|^2"
    instances = 80
    batch = STARTS
    comparison = "agree"
    tolerance = 0.0
    rate = 1e-6

    def draw(self, rng):
        K, d = responses(rng), int(rng.integers(1, 5))
        scale = log_uniform(rng, 0.3, 3, size=(K, 1))
        instance = {
            "features": scale * (rng.normal(size=(K, d)) + rng.normal(size=d)),
            "theta": rng.normal(size=(3 * STARTS, d)) / 2,
            "pair": [int(i) for i in rng.choice(K, size=2, replace=False)],
            "reference": np.full(K, -np.log(K)),
        }
        return self.clear(instance | self.draw_loss(rng, instance), "theta")

    def draw_loss(self, rng, instance):
        """Objective, its parameters, and the ratio ``d_w/d_l`` of its pushes."""
        return {"id": "dpo", "parameters": {"beta": float(log_uniform(rng, 0.05, 2))}, "ratio": 1.0}

    def clear(self, instance, parameters):
        """The instance with the first starts that are not near a tie."""
        size = [(g * g).sum(-1) for g in self.gradients(instance)]
        scale = np.maximum(instance["ratio"] * size[0], size[1] / instance["ratio"])
        judged = np.flatnonzero(np.all(np.abs(self.slack(instance)) > NEAR * scale, axis=0))
        return instance | {parameters: instance[parameters][judged[:STARTS]]}

    def gradients(self, instance):
        """``g_w`` and ``g_l`` at every start, (2, starts, parameters)."""
        phi, policy = instance["features"], softmax(instance["theta"] @ instance["features"].T)
        return phi[instance["pair"]][:, None] - policy @ phi

    def policy(self, instance):
        """The instance's policy, at all starts."""
        return LogLinear(instance["features"]).at(instance["theta"])

    def slack(self, instance):
        """How far the conditions are from failing: ``r K_ww - K_wl`` and ``K_ll/r - K_wl``."""
        up, down = self.gradients(instance)
        size = instance["ratio"] * (up * up).sum(-1), (down * down).sum(-1) / instance["ratio"]
        return np.array(size) - (up * down).sum(-1)

    def predict(self, instance):
        return self.slack(instance) >= 0

    def observe(self, instance):
        chosen, rejected = self.changes(instance)
        return np.array([chosen >= 0, rejected <= 0])

    def changes(self, instance):
        """Changes of ``log pi_w`` and ``log pi_l`` in one step, per unit of the rate."""
        policy, pair = self.policy(instance), instance["pair"]
        objective = objectives.get(instance["id"], **instance["parameters"])
        reference = policy.mask * instance["reference"][:, None]
        rule = GradientStep(objective, policy, [pair], self.rate, reference=reference)
        before, after = orbit(rule, rounds=1).log_policies
        return (after - before)[:, pair].T / self.rate


class UnequalPushes(EqualPushes):
    """Losses that push the chosen response harder: a likelihood term, DPO-Positive after a fall."""

    claim = "ENT-1"
    part = "the chosen pushed up to 8 times harder (SLiC-HF, DPOP): the conditions with d_w/d_l"
    instances = 40

    def draw_loss(self, rng, instance):
        ratio = float(log_uniform(rng, 1.01, MOST))
        if rng.random() < 0.5:  # within the hinge d_w = 1 + nu, d_l = 1
            parameters = {"delta": 1e6, "nll_weight": ratio - 1}
            return {"id": "slic_hf", "parameters": parameters, "ratio": ratio}
        fallen = instance["reference"].copy()
        fallen[instance["pair"][0]] = 0.0  # no policy is above a reference that is certain
        parameters = {"beta": 0.1, "lam": ratio - 1}
        return {"id": "dpop", "parameters": parameters, "ratio": ratio, "reference": fallen}


class DifferentLengths(EqualPushes):
    """SimPO on a table of next-token logits: pushes in the inverse ratio of the lengths."""

    claim = "ENT-1"
    part = "SimPO on responses of different lengths, d_w/d_l = n_l/n_w from 1/4 to 4"
    instances = 40
    VOCABULARY, LENGTH, END = 3, 4, 0

    def draw(self, rng):
        sequences = [self.sequence(rng, int(n)) for n in rng.integers(1, self.LENGTH + 1, size=2)]
        while sequences[0] == sequences[1]:
            sequences[1] = self.sequence(rng, int(rng.integers(1, self.LENGTH + 1)))
        empty = every_sequence(self.VOCABULARY, self.LENGTH, self.END)
        instance = {
            "table": rng.normal(size=(3 * STARTS, self.VOCABULARY, self.VOCABULARY)),
            "sequences": sequences,
            "pair": [empty.index(sequence) for sequence in sequences],
            "reference": np.zeros(empty.K),
            "id": "simpo",
            "parameters": {"beta": float(log_uniform(rng, 0.3, 3))},
            "ratio": len(sequences[1]) / len(sequences[0]),
        }
        return self.clear(instance, "table")

    def sequence(self, rng, length):
        """A sequence of this length: it ends with the end token or has full length."""
        tokens = tuple(int(v) for v in rng.integers(1, self.VOCABULARY, size=length))
        return tokens if length == self.LENGTH else (*tokens[:-1], self.END)

    def gradients(self, instance):
        """Row 0 of the table predicts the first token, row v the token after v."""
        policy = softmax(instance["table"])
        found = np.zeros((2, *policy.shape))
        for k, sequence in enumerate(instance["sequences"]):
            for row, token in zip((0, *sequence), sequence, strict=False):
                found[k, :, row] -= policy[:, row]
                found[k, :, row, token] += 1
        return found.reshape(2, len(policy), -1)

    def policy(self, instance):
        empty = every_sequence(self.VOCABULARY, self.LENGTH, self.END)
        rows = [0 if isinstance(context[-1], tuple) else context[-1] for context in empty.contexts]
        table = instance["table"][:, rows]
        return empty.at(table.reshape(len(table), -1))


class AtMostOneFails(DifferentLengths):
    """Chosen down and rejected up at once would take ``<g_w, g_l> > |g_w| |g_l|``."""

    claim = "ENT-1"
    part = "no step lowers the chosen and raises the rejected response"

    def predict(self, instance):
        return np.zeros(STARTS, dtype=bool)

    def observe(self, instance):
        return ~super().observe(instance).any(0)


@cache
def every_sequence(vocabulary, length, end) -> Any:
    """A table of next-token logits by the token before."""
    return Autoregressive(vocabulary, length, order=1, eos=end)


class ChangesOfDPO(EqualPushes):
    """By how much the two log-probabilities and their difference move."""

    claim = "ENT-1"
    part = "DPO moves log pi_w by eta d (K_ww - K_wl), log pi_l, and the margin by d |g_w - g_l|^2"
    instances = 20
    comparison = "close"
    tolerance = 1e-4
    rate = 1e-7  # second order is the rate times a third power of the features' size

    def predict(self, instance):
        up, down = self.gradients(instance)
        phi, beta = instance["features"], instance["parameters"]["beta"]
        margin = instance["theta"] @ (phi[instance["pair"][0]] - phi[instance["pair"][1]])
        push = beta / (1 + np.exp(beta * margin))
        return push * np.array([(g * (up - down)).sum(-1) for g in (up, down, up - down)])

    def observe(self, instance):
        chosen, rejected = self.changes(instance)
        return np.array([chosen, rejected, chosen - rejected])


class ChangesDerived(ChangesOfDPO):
    """The rate of change under gradient flow, by sympy from the shared loss."""

    claim = "ENT-1"
    part = "the same change derived symbolically, three responses with two features"
    instances = 4

    def draw(self, rng):
        features, theta = rng.normal(size=(3, 2)), rng.normal(size=(STARTS, 2))
        return {
            **super().draw(rng),
            "features": features,
            "theta": theta,
            "pair": [0, 1],
            "reference": np.full(3, -np.log(3)),
        }

    def predict(self, instance):
        beta, derived = instance["parameters"]["beta"], derived_change()
        chosen, rejected = np.transpose(
            [derived(instance["features"], theta, beta) for theta in instance["theta"]]
        )
        return np.array([chosen, rejected, chosen - rejected])


@cache
def derived_change():
    """``d log pi/dt`` of responses 0 and 1 under ``d theta/dt = -dL/d theta``, by sympy."""
    import sympy

    phi = [sympy.symbols(f"phi{i}_:2", real=True) for i in range(3)]
    theta = sympy.symbols("theta:2", real=True)
    logits = [sum(f * t for f, t in zip(row, theta, strict=True)) for row in phi]
    log_policy = [x - sympy.log(sum(sympy.exp(y) for y in logits)) for x in logits[:2]]
    form = DPO().symbolic()
    pair = form.pair
    slopes = []
    for t in theta:
        moves = [sympy.diff(x, t) for x in log_policy]
        pushed = form.chosen_push * moves[0] + form.rejected_push * -moves[1]
        slopes.append((moves, pushed))
    changes = [sympy.Add(*(moves[i] * pushed for moves, pushed in slopes)) for i in range(2)]
    values = {pair.chosen: logits[0], pair.rejected: logits[1]}
    uniform = {pair.ref_chosen: 0, pair.ref_rejected: 0}  # log Z and log K cancel in the margin
    changes = [change.subs(values | uniform) for change in changes]
    return sympy.lambdify([phi, theta, form.parameters["beta"]], changes)


class MarginCanFall(UnequalPushes):
    """``d_w |g_w|^2 + d_l |g_l|^2 < (d_w + d_l) <g_w, g_l>`` is possible with unequal pushes."""

    claim = "ENT-1"
    part = "with unequal pushes the margin of log-probabilities can fall: an example"
    comparison = "close"
    tolerance = 1e-4
    batch = 1
    cases = (
        {
            "features": np.array([[1.0], [2.0], [-3.0]]),
            "theta": np.zeros((1, 1)),
            "pair": [0, 1],
            "reference": np.zeros(3),
            "id": "slic_hf",
            "parameters": {"delta": 1e6, "nll_weight": 3.0},
        },
    )

    def predict(self, instance):
        return -2.0  # g = phi here, d_w K_ww + d_l K_ll - (d_w + d_l) K_wl = 4 + 4 - 10

    def observe(self, instance):
        chosen, rejected = self.changes(instance)
        return chosen - rejected


class TheTrap(EqualPushes):
    """What a condition with ``|g_w|^2`` in both places gets wrong."""

    claim = "ENT-1"
    part = "share of steps whose rejected response |g_w|^2 in place of |g_l|^2 gets wrong"
    instances = 20
    comparison = "report"

    def observe(self, instance):
        up, down = self.gradients(instance)
        mistaken = (up * down).sum(-1) <= (up * up).sum(-1)
        return np.mean(mistaken != (self.changes(instance)[1] <= 0))

    def summary(self, observations):
        return f"wrong in {np.mean(observations):.1%} of the steps"


class NormalisedGradients(EqualPushes):
    """A step along ``g_w/|g_w| - g_l/|g_l|``."""

    claim = "ENT-2"
    part = "log pi_w changes by |g_w| (1 - c), log pi_l by -|g_l| (1 - c)"
    instances = 80
    comparison = "close"
    tolerance = 1e-7
    STEP = 1e-5

    def predict(self, instance):
        up, down = self.gradients(instance)
        sizes = np.linalg.norm([up, down], axis=-1)
        cosine = (up * down).sum(-1) / sizes.prod(0)
        return sizes * (1 - cosine) * [[1], [-1]]

    def observe(self, instance):
        policy, pair = self.policy(instance), instance["pair"]
        squares = np.diagonal(policy.gram(), axis1=-2, axis2=-1)[:, pair]
        pushes = np.zeros((*policy.log_probs().shape, 1))
        pushes[:, pair, 0] = np.array([1, -1]) / np.sqrt(squares)
        step = self.STEP * policy.direction(policy.params, pushes)
        up, down = (policy.log_probs(policy.params + move) for move in (step, -step))
        return (up - down)[:, pair].T / (2 * self.STEP)


class AlwaysIdeal(NormalisedGradients):
    """The signs of that step."""

    claim = "ENT-2"
    part = "the normalised step never lowers the chosen nor raises the rejected response"
    comparison = "at_least"
    tolerance = 1e-9

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        return super().observe(instance) * [[1], [-1]]
