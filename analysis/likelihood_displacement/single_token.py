"""One prompt, one token: DISP-1, DISP-2, DISP-3 and DISP-4."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.likelihood_displacement._features import (
    CHOSEN,
    REJECTED,
    features_of,
    rates,
    single_tokens,
    slope,
)
from prefdyn import DPO
from prefdyn.policies import Tabular
from prefdyn.rules import GradientStep

BATCH = 100


class _SingleToken(Check):
    """A batch of instances under DPO, and the rule that trains on the pair."""

    instances = 4
    batch = BATCH
    tolerance = 1e-7

    def draw(self, rng):
        return single_tokens(rng, BATCH)

    def rule(self, instance, **kappa):
        policy = features_of(instance, **kappa)
        pairs = [(CHOSEN, REJECTED)]
        reference = instance.reference
        return GradientStep(DPO(instance.beta), policy, pairs, 1.0, reference=reference)

    def observe(self, instance):
        return rates(self.rule(instance))


class EveryResponse(_SingleToken):
    """Inner products of gradients written out: ``e_i - pi`` for W, rows less their mean for h."""

    claim = "DISP-1"
    part = "d ln pi(y)/dt = c <grad ln pi(y), grad ln pi(y+) - grad ln pi(y-)> for every y"

    def predict(self, instance):
        V = instance.W.shape[1]
        residual = np.eye(V) - instance.pi[:, None]
        by_h = residual @ instance.W
        by_W = residual[..., None] * instance.h[:, None, None]
        gradients = np.concatenate([by_W.reshape(len(by_W), V, -1), by_h], axis=-1)
        difference = gradients[:, CHOSEN] - gradients[:, REJECTED]
        return slope(instance)[:, None] * np.einsum("byp,bp->by", gradients, difference)


class BothParts(_SingleToken):
    """The definition: the loss falls in every draw, ln pi_+ where the inequality says."""

    claim = "DISP-1"
    part = "a small step lowers the loss always, ln pi_+ exactly where <g_+, g_-> > |g_+|^2"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        every = EveryResponse().predict(instance)[:, CHOSEN]
        return np.stack([np.ones(BATCH, dtype=bool), every < 0])

    def observe(self, instance):
        rule = self.rule(instance)
        params = rule.policy.params
        after = params + 1e-6 * rule.policy.direction(params, rule.pushes(params))
        loss = np.squeeze(rule.loss(after) - rule.loss(params))
        chosen = (rule.policy.log_probs(after) - rule.policy.log_probs())[:, CHOSEN]
        return np.stack([loss < 0, chosen < 0])


class ExactRate(_SingleToken):
    """The paper's form of the bracket."""

    claim = "DISP-2"
    part = "c [m - (1 - pi_+ + pi_-) <W_+, W_-> - sum_z pi_z <W_z, W_+ - W_->], a finite step"

    def predict(self, instance):
        W, h, pi = instance.W, instance.h, instance.pi
        up, down, others = W[:, CHOSEN], W[:, REJECTED], W[:, 2:]
        p, q = pi[:, CHOSEN], pi[:, REJECTED]
        spread = 1 - p + q
        m = (1 - p) * (up**2).sum(-1) + q * (down**2).sum(-1) + spread * (h**2).sum(-1)
        rest = np.einsum("bz,bzd,bd->b", pi[:, 2:], others, up - down)
        return slope(instance) * (m - spread * (up * down).sum(-1) - rest)

    def observe(self, instance):
        return super().observe(instance)[:, CHOSEN]


class ShortBracket(ExactRate):
    """The short form, against gradients by automatic differentiation."""

    claim = "DISP-2"
    part = "the same as c [<W_+ - Wbar, W_+ - W_-> + (1 - pi_+ + pi_-) |h|^2], by autodiff"
    tolerance = 1e-9

    def predict(self, instance):
        return slope(instance) * one_step(instance)[:, CHOSEN]

    def observe(self, instance):
        rule = self.rule(instance)
        params = rule.policy.params
        move = rule.policy.direction(params, rule.pushes(params))
        return np.einsum("bp,bp->b", rule.policy.gradients()[:, CHOSEN], move)


class WhereTheMassGoes(_SingleToken):
    """The order of the gains of all tokens outside the pair."""

    claim = "DISP-3"
    part = "tokens outside the pair gain in the order of <W_z, W_+ - W_->"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        W = instance.W
        return np.einsum("bzd,bd->bz", W[:, 2:], W[:, CHOSEN] - W[:, REJECTED]).argsort(-1)

    def observe(self, instance):
        return super().observe(instance)[:, 2:].argsort(-1)


class SameConstant(_SingleToken):
    """Gains less their mean."""

    claim = "DISP-3"
    part = "d ln pi_z/dt less its mean over z is c <W_z, W_+ - W_-> less its mean"

    def predict(self, instance):
        W = instance.W
        aligned = np.einsum("bzd,bd->bz", W[:, 2:], W[:, CHOSEN] - W[:, REJECTED])
        return slope(instance)[:, None] * (aligned - aligned.mean(-1, keepdims=True))

    def observe(self, instance):
        gains = super().observe(instance)[:, 2:]
        return gains - gains.mean(-1, keepdims=True)


def one_step(instance, kappa_W=1.0, kappa_h=1.0):
    """The braces of DISP-4 for every token, (B, V)."""
    W, pi = instance.W, instance.pi
    difference = W[:, CHOSEN] - W[:, REJECTED]
    mean = np.einsum("bv,bvd->bd", pi, W)
    by_h = np.einsum("bvd,bd->bv", W - mean[:, None], difference)
    sign = np.zeros(W.shape[1])
    sign[[CHOSEN, REJECTED]] = 1, -1
    norm = (instance.h**2).sum(-1)[:, None]
    shift = (pi[:, REJECTED] - pi[:, CHOSEN])[:, None]
    return kappa_h * by_h + kappa_W * (sign + shift) * norm


def threshold(instance):
    """kappa_W/kappa_h below which the chosen token falls, (B,); negative where it never does."""
    by_h = one_step(instance, 0.0)[:, CHOSEN]
    return -by_h / one_step(instance, 1.0, 0.0)[:, CHOSEN]


class WithMultipliers(_SingleToken):
    """All tokens, with random multipliers."""

    claim = "DISP-4"
    part = "the step of every token with multipliers kappa_W, kappa_h"
    instances = 4

    def draw(self, rng):
        kappa_W, kappa_h = log_uniform(rng, 1e-2, 3, 2)
        return single_tokens(rng, BATCH), {"kappa_W": kappa_W, "kappa_h": kappa_h}

    def predict(self, instance):
        instance, kappa = instance
        return slope(instance)[:, None] * one_step(instance, **kappa)

    def observe(self, instance):
        instance, kappa = instance
        return rates(self.rule(instance, **kappa))


class Threshold(_SingleToken):
    """Sign of the chosen token's rate at a ratio of multipliers drawn about the threshold's."""

    claim = "DISP-4"
    part = "it displaces iff kappa_W/kappa_h is below the threshold, h = .5, .3, .2 times normal"
    instances = 6
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        scale = (0.5, 0.3, 0.2)[rng.integers(3)]
        kappa_W, kappa_h = log_uniform(rng, 1e-2, 1), log_uniform(rng, 0.3, 3)
        return single_tokens(rng, BATCH, scale=scale), {"kappa_W": kappa_W, "kappa_h": kappa_h}

    def predict(self, instance):
        instance, kappa = instance
        return kappa["kappa_W"] / kappa["kappa_h"] < threshold(instance)

    def observe(self, instance):
        instance, kappa = instance
        return rates(self.rule(instance, **kappa))[:, CHOSEN] < 0


class Extremes(Threshold):
    """Only W, or only h, learns."""

    claim = "DISP-4"
    part = "h fixed: never; W fixed: iff <W_+ - Wbar, W_+ - W_-> < 0"

    def draw(self, rng):
        scale = (1.0, 0.5, 0.3, 0.2)[rng.integers(4)]
        fixed = int(rng.integers(2))
        kappa = {"kappa_W": float(fixed), "kappa_h": 1.0 - fixed}
        return single_tokens(rng, BATCH, scale=scale), kappa

    def predict(self, instance):
        instance, kappa = instance
        if kappa["kappa_h"] == 0:
            return np.zeros(BATCH, dtype=bool)
        difference = instance.W[:, CHOSEN] - instance.W[:, REJECTED]
        mean = np.einsum("bv,bvd->bd", instance.pi, instance.W)
        return ((instance.W[:, CHOSEN] - mean) * difference).sum(-1) < 0


class TableNeverDisplaces(Check):
    """A table of logits: the rate is ``c (1 - pi_+ + pi_-) > 0``."""

    claim = "DISP-4"
    part = "a plain table moves ln pi_+ at the rate c (1 - pi_+ + pi_-), never down"
    tolerance = 1e-8
    instances = 4
    batch = BATCH

    def draw(self, rng):
        return rng.normal(scale=2, size=(BATCH, 8)), float(rng.uniform(0.05, 1))

    def predict(self, instance):
        logits, beta = instance
        pi = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        c = beta / (1 + np.exp(beta * (logits[:, CHOSEN] - logits[:, REJECTED])))
        return c * (1 - pi[:, CHOSEN] + pi[:, REJECTED])

    def observe(self, instance):
        logits, beta = instance
        policy = Tabular(logits[0]).at(logits)
        pairs, equal = [(CHOSEN, REJECTED)], np.full(8, -np.log(8))
        return rates(GradientStep(DPO(beta), policy, pairs, 1.0, reference=equal))[:, CHOSEN]


class ShareDisplaced(_SingleToken):
    """How often it happens in these draws, by what is trained and how large h is."""

    claim = "DISP-4"
    part = "how many of 1,000 draws displace"
    comparison = "report"
    instances = 10

    def observe(self, instance):
        chosen = {
            what: self._displaced(instance, **kappa)
            for what, kappa in (
                ("W fixed", {"kappa_W": 0.0}),
                ("both", {}),
                ("h fixed", {"kappa_h": 0.0}),
            )
        }
        for scale in (1.0, 0.3, 0.2):
            scaled = instance._replace(h=instance.h * scale / 0.5)
            chosen[f"both at h of scale {scale:g}"] = self._displaced(scaled)
        return chosen

    def _displaced(self, instance, **kappa):
        rule = self.rule(instance, **kappa)
        return int((rates(rule)[:, CHOSEN] < 0).sum())

    def summary(self, observations):
        total = len(observations) * BATCH
        counts = [
            f"{sum(each[what] for each in observations)} ({what})" for what in observations[0]
        ]
        return f"of {total} draws displaced: " + ", ".join(counts)


@cache
def derived_rates():
    """Rates d ln pi_z/dt for three tokens in two dimensions by sympy, from the shared loss."""
    import sympy

    W = sympy.symbols("w:6", real=True)
    h = sympy.symbols("h:2", real=True)
    reference = sympy.symbols("r:2", real=True)
    kappa = sympy.symbols("k:2", nonnegative=True)
    logits = [W[2 * v] * h[0] + W[2 * v + 1] * h[1] for v in range(3)]
    log_pi = [x - sympy.log(sum(sympy.exp(y) for y in logits)) for x in logits]
    form = DPO().symbolic()
    pair, beta = form.pair, form.parameters["beta"]
    values = {
        pair.chosen: log_pi[0],
        pair.rejected: log_pi[1],
        pair.ref_chosen: reference[0],
        pair.ref_rejected: reference[1],
    }
    loss = form.loss.subs(values, simultaneous=True)
    move = [(x, -k * sympy.diff(loss, x)) for xs, k in ((W, kappa[0]), (h, kappa[1])) for x in xs]
    derived = [sum(sympy.diff(log, x) * step for x, step in move) for log in log_pi]
    return sympy.lambdify((W, h, reference, kappa, beta), derived, cse=True)


class Derived(Check):
    """The derivation from the loss itself, multipliers included, against the shipped step."""

    claim = "DISP-4"
    part = "rates derived symbolically from the loss, three tokens in two dimensions, V = 3"
    instances = 100
    tolerance = 1e-7

    def draw(self, rng):
        kappa_W, kappa_h = rng.uniform(0, 2, 2)
        return single_tokens(rng, 1, V=3, d=2, scale=1), {"kappa_W": kappa_W, "kappa_h": kappa_h}

    def predict(self, instance):
        instance, kappa = instance
        W, h, reference = instance.W[0].ravel(), instance.h[0], instance.reference[:2]
        return np.array(derived_rates()(W, h, reference, tuple(kappa.values()), instance.beta))

    def observe(self, instance):
        instance, kappa = instance
        policy = features_of(instance, **kappa)
        rule = GradientStep(
            DPO(instance.beta), policy, [(CHOSEN, REJECTED)], 1.0, reference=instance.reference
        )
        return rates(rule)[0]
