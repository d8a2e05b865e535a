"""What shared suffixes and prefixes do to the gradients of a pair: ENT-5 and ENT-6.

The language models are tables of next-token logits: one row per whole prefix, where responses share
parameters through common prefixes only, or one row per last token, where they also meet later on.
"""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from prefdyn import objectives
from prefdyn.policies import Autoregressive, softmax
from prefdyn.rules import GradientStep

RATE = 1e-6
"""Of a small step: what is left of second order is a millionth."""


@cache
def table(vocabulary, length, order, end=None) -> Any:
    """Every sequence under a table of next-token logits."""
    return Autoregressive(vocabulary, length, order=order, eos=end)


def filled(empty, rows):
    """The table with logits by context, and those of its contexts; the prompt is called None."""
    contexts = [
        tuple(None if isinstance(token, tuple) else token for token in context)
        for context in empty.contexts
    ]
    return empty.at(np.concatenate([rows[context] for context in contexts]))


def context_of(prefix, order):
    """The last tokens of prompt (None) and prefix."""
    whole = (None, *prefix)
    return whole if order is None else whole[-order:]


def score(response, rows, order):
    """``d log pi/d logits`` of a sequence by context: token counts less what was expected."""
    gradient = {context: np.zeros_like(row) for context, row in rows.items()}
    for t, token in enumerate(response):
        context = context_of(response[:t], order)
        gradient[context] -= softmax(rows[context])
        gradient[context][token] += 1
    return np.concatenate(list(gradient.values()))


def cosine(up, down):
    return up @ down / np.sqrt((up @ up) * (down @ down))


class CosineBySuffix(Check):
    """Pairs that differ in their first token and share a suffix, of every length up to 4."""

    claim = "ENT-5"
    part = "cosine of g_w and g_l by suffix length, from token counts"
    instances = 60
    tolerance = 1e-10
    orders = (1, 2, None)
    VOCABULARY, SUFFIX = 4, 4

    def draw(self, rng):
        order = self.orders[int(rng.integers(len(self.orders)))]
        tokens = [int(v) for v in rng.integers(self.VOCABULARY, size=self.SUFFIX)]
        longest = table(self.VOCABULARY, self.SUFFIX + 1, order)
        rows = {
            tuple(None if isinstance(token, tuple) else token for token in context): row
            for context, row in zip(
                longest.contexts,
                rng.normal(size=(longest.n_contexts, self.VOCABULARY)),
                strict=True,
            )
        }
        return {"order": order, "rows": rows, "suffix": tokens}

    def pair(self, instance, n):
        """Chosen and rejected with n shared tokens after the first, which differs."""
        return [(first, *instance["suffix"][:n]) for first in (0, 1)]

    def predict(self, instance):
        return np.array(
            [
                cosine(*(score(y, instance["rows"], instance["order"]) for y in pair))
                for pair in (self.pair(instance, n) for n in range(self.SUFFIX + 1))
            ]
        )

    def observe(self, instance):
        cosines = []
        for n in range(self.SUFFIX + 1):
            policy = filled(table(self.VOCABULARY, n + 1, instance["order"]), instance["rows"])
            pushes = np.zeros((2, *policy.mask.shape))
            for k, response in enumerate(self.pair(instance, n)):
                pushes[k, policy.index(response)] = 1  # a push of 1 moves along the gradient
            cosines.append(cosine(*policy.direction(policy.params, pushes)))
        return np.array(cosines)


class OneTokenDiffers(CosineBySuffix):
    """The same without a suffix, in a table: the sign is that of ENT-3's ``K_wl``."""

    claim = "ENT-5"
    part = "one differing token: <g_w,g_l> < 0 iff S < p_w + p_l at that token"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        policy = softmax(instance["rows"][(None,)])
        return np.sum(policy**2) - policy[0] - policy[1] < 0

    def observe(self, instance):
        return super().observe(instance)[0] < 0


class SharedParametersEntangle(CosineBySuffix):
    """Median cosines where the suffix is predicted from the last token."""

    claim = "ENT-5"
    part = "median cosine at 0 to 4 shared tokens, logits by the last token"
    comparison = "report"
    orders = (1,)

    def summary(self, observations):
        medians = ", ".join(f"{median:.2f}" for median in np.median(observations, axis=0))
        negative = np.mean(np.array(observations)[:, 0] < 0)
        return f"{medians}; with one differing token alone, {negative:.0%} are negative"


class WholePrefixesDoNot(SharedParametersEntangle):
    """Where every prefix has parameters of its own, suffixes share none."""

    claim = "ENT-5"
    part = "median cosine at 0 to 4 shared tokens, logits by the whole prefix"
    comparison = "report"
    orders = (None,)


class SuffixOnlyDilutes(CosineBySuffix):
    """The same cosines, in size."""

    claim = "ENT-5"
    part = "by the whole prefix: a longer suffix keeps the sign and lowers the size of the cosine"
    comparison = "at_most"
    tolerance = 1e-12
    orders = (None,)

    def predict(self, instance):
        return np.zeros(self.SUFFIX)

    def observe(self, instance):
        first, *_ = cosines = super().observe(instance)
        return np.diff(cosines * np.sign(first))


class SharedPrefix(Check):
    """One step on two responses of different lengths with common first tokens."""

    claim = "ENT-6"
    part = "a shared prefix token moves by (d_w - d_l) |e - pi|^2: SimPO, TRL's IPO, DPO, IPO"
    instances = 100
    tolerance = 1e-4
    lengths = ((6, 3), (3, 6), (5, 4), (2, 5), (4, 4))
    ids = ("simpo", "ipo_mean", "dpo_norm", "dpo", "ipo")
    VOCABULARY, LENGTH, END = 3, 6, 2

    def draw(self, rng):
        lengths = self.lengths[int(rng.integers(len(self.lengths)))]
        prefix = [int(v) for v in rng.integers(self.END, size=min(*lengths, 3) - 1)]
        empty = table(self.VOCABULARY, self.LENGTH, None, self.END)
        return {
            "id": self.ids[int(rng.integers(len(self.ids)))],
            "beta": float(log_uniform(rng, 0.1, 2)),
            "prefix": prefix,
            "pair": [self.response(rng, [*prefix, k], n) for k, n in enumerate(lengths)],
            "logits": rng.normal(size=(empty.n_contexts, self.VOCABULARY)),
        }

    def response(self, rng, first, length):
        """Given first tokens and random ones after them, up to the end token if there is one."""
        tokens = [*first, *(int(v) for v in rng.integers(self.END, size=length))][:length]
        return tuple(tokens if length == self.LENGTH else [*tokens[:-1], self.END])

    def predict(self, instance):
        n_w, n_l = (len(response) for response in instance["pair"])
        net = self.slope(instance) * (1 / n_w - 1 / n_l)
        if instance["id"] in ("dpo", "ipo"):
            net = 0.0
        return np.array(
            [
                net * np.sum((np.eye(self.VOCABULARY)[token] - policy) ** 2)
                for token, policy in self.predictions(instance, instance["prefix"])
            ]
        )

    def slope(self, instance):
        """``-dL/d margin`` of a length-normalised loss at the start, the reference."""
        beta = instance["beta"]
        if instance["id"] == "ipo_mean":
            return 1 / beta
        if instance["id"] == "dpo_norm":
            return beta / 2
        mean = [
            np.mean([np.log(policy[token]) for token, policy in self.predictions(instance, y)])
            for y in instance["pair"]
        ]
        return beta / (1 + np.exp(beta * (mean[0] - mean[1]) - objectives.get("simpo").gamma))

    def predictions(self, instance, response):
        """Each token with the distribution that predicts it."""
        contexts = table(self.VOCABULARY, self.LENGTH, None, self.END).contexts
        rows = {context[1:]: row for context, row in zip(contexts, instance["logits"], strict=True)}
        return [(v, softmax(rows[tuple(response[:t])])) for t, v in enumerate(response)]

    def moved(self, instance, rate, steps):
        """Change of the prefix tokens' log-probabilities."""
        policy = table(self.VOCABULARY, self.LENGTH, None, self.END)
        policy = policy.at(instance["logits"].reshape(-1))
        pair = [policy.index(response) for response in instance["pair"]]
        objective = objectives.get(instance["id"], beta=instance["beta"])
        rule = GradientStep(objective, policy, [pair], rate)
        state = rule.own_start
        for t in range(steps):
            state = rule.step(state, t, None)
        change = policy.token_log_probs(rule.params(state)) - policy.token_log_probs()
        return change[pair[0], : len(instance["prefix"])]

    def observe(self, instance):
        return self.moved(instance, RATE, 1) / RATE


class SummedLossesCancel(SharedPrefix):
    """DPO and IPO: not only to first order."""

    claim = "ENT-6"
    part = "DPO and IPO leave a shared prefix exactly where it is, also after 100 large steps"
    instances = 20
    tolerance = 1e-12
    ids = ("dpo", "ipo")

    def predict(self, instance):
        return np.zeros(len(instance["prefix"]))

    def observe(self, instance):
        return self.moved(instance, 0.02, 100)


class LongerIsPushedDown(SharedPrefix):
    """The direction of the length-normalised losses."""

    claim = "ENT-6"
    part = "SimPO and TRL's IPO push the prefix down if the chosen response is longer, else up"
    comparison = "agree"
    tolerance = 0.0
    lengths = ((6, 3), (3, 6), (5, 4), (2, 5))
    ids = ("simpo", "ipo_mean")

    def predict(self, instance):
        n_w, n_l = (len(response) for response in instance["pair"])
        return np.full(len(instance["prefix"]), n_w < n_l)

    def observe(self, instance):
        return super().observe(instance) > 0


class NetPushDerived(Check):
    """``d_w - d_l`` of the shared losses as formulas."""

    claim = "ENT-6"
    part = "symbolically: d_w = d_l for DPO and IPO, n_w d_w = n_l d_l for the normalised losses"
    cases = (("dpo", 0), ("ipo", 0), ("simpo", 1), ("ipo_mean", 1), ("dpo_norm", 1))
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        return True

    def observe(self, instance):
        import sympy

        id, power = instance
        form = objectives.get(id).symbolic()
        n_w, n_l = form.pair.chosen_length**power, form.pair.rejected_length**power
        return sympy.simplify(form.chosen_push * n_w - form.rejected_push * n_l) == 0
