"""Gram matrices, their identities and their closed forms: KER-2 and KER-3."""

from functools import cache
from typing import Any

import numpy as np

from analysis import Check
from analysis.kernel_view._policies import KINDS, random_pairs, random_policy, shared_prefixes
from prefdyn.policies import LogLinear, Tabular, UnconstrainedFeatures, softmax
from prefdyn.rules import GradientStep

STEP = 1e-4
"""Central differences of third-order error, in nats of the largest change."""


# --- KER-2 ----------------------------------------------------------------------------------------


class Symmetric(Check):
    """Of every kind of policy."""

    claim = "KER-2"
    part = "K = K^T, and no eigenvalue is below 0"
    comparison = "at_most"
    instances = 60
    tolerance = 1e-10

    def draw(self, rng) -> Any:
        return random_policy(KINDS[rng.integers(len(KINDS))], rng)

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        gram = instance.gram()
        return np.abs(gram - gram.T).max(), -np.linalg.eigvalsh((gram + gram.T) / 2).min()


class CompleteSetsCancel(Symmetric):
    """Each prompt's responses, weighted by probability."""

    claim = "KER-2"
    part = "complete set: sum_i pi_i K_ij = 0 for every j"
    comparison = "close"

    def skip(self, instance):
        return not instance.complete

    def observe(self, instance):
        pi, gram = np.exp(instance.log_probs()), instance.gram()
        own = [instance.prompts == prompt for prompt in np.unique(instance.prompts)]
        return np.stack([pi[k] @ gram[k] for k in own])


class CandidatesDoNotCancel(CompleteSetsCancel):
    """The first prompt's responses without their first."""

    claim = "KER-2"
    part = "candidate subset: the sum is not 0"
    comparison = "at_least"
    tolerance = 0.0

    def predict(self, instance):
        return 1e-6

    def observe(self, instance):
        subset = np.flatnonzero(instance.prompts == 0)[1:]
        pi, gram = np.exp(instance.log_probs()), instance.gram()
        return np.abs(pi[subset] @ gram[subset]).max()


class FirstOrder(Check):
    """One pair under pushes of one's choice: derivatives by differences along the step.

    Left out are pairs that the policy cannot tell apart: sequences of the same tokens in another
    order, without context.
    """

    claim = "KER-2"
    part = "equal pushes: the margin changes by eta d (K_ww - 2 K_wl + K_ll) >= 0"
    instances = 100
    tolerance = 1e-6

    def draw(self, rng) -> Any:
        policy = random_policy(KINDS[rng.integers(len(KINDS))], rng)
        d = rng.exponential()
        return policy, random_pairs(rng, policy, 1)[0], (d, d)

    def skip(self, instance):
        ww, wl, ll = self.entries(instance)
        return ww - 2 * wl + ll < 1e-9

    def entries(self, instance):
        """K_ww, K_wl, K_ll."""
        policy, (w, l), _ = instance  # noqa: E741
        gram = policy.gram()
        return gram[w, w], gram[w, l], gram[l, l]

    def predict(self, instance):
        ww, wl, ll = self.entries(instance)
        change = instance[2][0] * (ww - 2 * wl + ll)
        return change, change >= 0

    def rates(self, instance):
        """Derivatives by eta of log pi of chosen and rejected."""
        policy, pair, (d_w, d_l) = instance
        pushes = np.zeros((policy.K, 1))
        pushes[pair, 0] = d_w, -d_l
        v = policy.direction(policy.params, pushes * np.ones(policy.mask.shape))
        eps = STEP / np.abs(v).max()
        up, down = (policy.log_probs(policy.params + sign * eps * v) for sign in (1, -1))
        return ((up - down) / (2 * eps))[pair]

    def observe(self, instance):
        chosen, rejected = self.rates(instance)
        return chosen - rejected, chosen - rejected >= -self.tolerance


class WhoFalls(FirstOrder):
    """Signs, with pushes that differ; ties aside."""

    claim = "KER-2"
    part = "chosen falls iff d_l K_wl > d_w K_ww, rejected rises iff d_w K_wl > d_l K_ll"
    comparison = "agree"
    instances = 300
    tolerance = 0.0

    def draw(self, rng):
        policy, pair, _ = super().draw(rng)
        return policy, pair, rng.exponential(size=2)

    def skip(self, instance):
        if super().skip(instance):
            return True
        ww, wl, ll = self.entries(instance)
        d_w, d_l = instance[2]
        scale = max(d_w, d_l) * max(ww, ll)
        return min(abs(d_l * wl - d_w * ww), abs(d_w * wl - d_l * ll)) < 1e-5 * scale

    def predict(self, instance):
        ww, wl, ll = self.entries(instance)
        d_w, d_l = instance[2]
        return d_l * wl > d_w * ww, d_w * wl > d_l * ll

    def observe(self, instance):
        chosen, rejected = self.rates(instance)
        return chosen < 0, rejected > 0


class LossFalls(Symmetric):
    """A small step of DPO, whatever becomes of the chosen response."""

    claim = "KER-2"
    part = "equal pushes: the loss of a small step falls"
    tolerance = 0.0

    def draw(self, rng):
        policy = super().draw(rng)
        return policy, random_pairs(rng, policy, 1)

    def observe(self, instance):
        policy, pairs = instance
        rule = GradientStep("dpo", policy, pairs, 1e-4 / np.abs(policy.gram()).max())
        return rule.loss(rule.step(rule.own_start, 0, None)) - rule.loss(rule.own_start)


# --- KER-3 ----------------------------------------------------------------------------------------


class TabularGram(Check):
    """Formula against the package's Gram matrix, and against gradients by autodiff."""

    claim = "KER-3"
    part = "table of logits: delta_ij - pi_i - pi_j + S"
    instances = 50
    tolerance = 1e-10

    def draw(self, rng) -> Any:
        return Tabular(rng.normal(size=int(rng.integers(2, 9))) * 2)

    def formula(self, policy):
        pi = softmax(policy.params)
        return np.eye(policy.K) - pi[:, None] - pi + pi @ pi

    def metric(self, policy):
        """The multiplier of every parameter's step."""
        return 1.0

    def predict(self, instance):
        return np.stack([self.formula(instance)] * 2)

    def observe(self, instance):
        rows = instance.gradients()
        return np.stack([instance.gram(), rows * self.metric(instance) @ rows.T])


class LogLinearGram(TabularGram):
    """Two prompts, so that there are entries between them."""

    claim = "KER-3"
    part = "log-linear: <phi_i - phibar, phi_j - phibar>, each from the mean of its own prompt"

    def draw(self, rng):
        return LogLinear(rng.normal(size=(2, 5, 3)), rng.normal(size=3))

    def formula(self, policy):
        pi = softmax(policy.features @ policy.params)
        rows = [phi - p @ phi for phi, p in zip(policy.features, pi, strict=True)]
        return np.concatenate(rows) @ np.concatenate(rows).T


class OneTokenGram(TabularGram):
    """Unembeddings and hidden state free, each with its multiplier."""

    claim = "KER-3"
    part = "unconstrained features, one token"

    def draw(self, rng):
        W, h = rng.normal(size=(6, 3)), rng.normal(size=3)
        kappa_W, kappa_h = rng.uniform(0.1, 2, size=2)
        return UnconstrainedFeatures(W, h, kappa_W=kappa_W, kappa_h=kappa_h)

    def formula(self, policy):
        W, (h,) = policy.split()
        pi = softmax(W @ h)
        table = np.eye(len(pi)) - pi[:, None] - pi + pi @ pi
        centred = W - pi @ W
        return policy.kappa_h * centred @ centred.T + policy.kappa_W * table * (h @ h)

    def metric(self, policy):
        W, h = policy.split()
        return np.repeat([policy.kappa_W, policy.kappa_h], [W.size, h.size])


@cache
def derived_one_token_gram():
    """Inner products of the gradients by sympy: three tokens, two dimensions, multipliers."""
    import sympy

    w, h = sympy.symbols("w:6", real=True), sympy.symbols("h:2", real=True)
    kappa_W, kappa_h = sympy.symbols("kW kh", positive=True)
    z = [w[2 * i] * h[0] + w[2 * i + 1] * h[1] for i in range(3)]
    log_p = [entry - sympy.log(sum(map(sympy.exp, z))) for entry in z]

    def product(i, j, variables):
        return sum(sympy.diff(log_p[i], x) * sympy.diff(log_p[j], x) for x in variables)

    rows = [
        [kappa_W * product(i, j, w) + kappa_h * product(i, j, h) for j in range(3)]
        for i in range(3)
    ]
    return sympy.lambdify((w, h, kappa_W, kappa_h), rows, cse=True)


class OneTokenGramDerived(Check):
    """The log-probs differentiated symbolically, against the package's Gram matrix."""

    claim = "KER-3"
    part = "unconstrained features, one token, symbolically, against the shipped Gram matrix"
    instances = 50
    tolerance = 1e-10

    def draw(self, rng):
        return rng.normal(size=(3, 2)), rng.normal(size=2), rng.uniform(0.1, 2, size=2)

    def predict(self, instance):
        W, h, kappas = instance
        return np.array(derived_one_token_gram()(W.ravel(), h, *kappas))

    def observe(self, instance):
        W, h, (kappa_W, kappa_h) = instance
        return UnconstrainedFeatures(W, h, kappa_W=kappa_W, kappa_h=kappa_h).gram()


class SeveralTokensGram(OneTokenGram):
    """Sequences that share prefixes, over two prompts, term by term."""

    claim = "KER-3"
    part = "unconstrained features, several tokens with shared prefixes"

    def draw(self, rng):
        return shared_prefixes(rng)

    def formula(self, policy):
        W, h = policy.split()
        contexts = UnconstrainedFeatures.contexts(policy.responses, policy.prompts)
        state = dict(zip(contexts, h, strict=True))

        def tokens(i):
            """Context, hidden state and residual of every token of response i."""
            response = policy.responses[i]
            for t, token in enumerate(response):
                context = (int(policy.prompts[i]), response[:t])
                residual = np.eye(len(W))[token] - softmax(W @ state[context])
                yield context, state[context], residual

        gram = np.zeros((policy.K, policy.K))
        for i in range(policy.K):
            for j in range(policy.K):
                for at, h_i, r_i in tokens(i):
                    for other, h_j, r_j in tokens(j):
                        gram[i, j] += policy.kappa_W * (r_i @ r_j) * (h_i @ h_j)
                        gram[i, j] += policy.kappa_h * (at == other) * (W.T @ r_i) @ (W.T @ r_j)
        return gram


class StepWithMultipliers(SeveralTokensGram):
    """The change that one push makes to every response, by differences along the step."""

    claim = "KER-3"
    part = "a step with multipliers kappa_W and kappa_h moves log pi_i by eta K_ij"
    instances = 30
    tolerance = 1e-6

    def predict(self, instance):
        return self.formula(instance)[:, 0]

    def observe(self, instance):
        pushes = np.zeros(instance.mask.shape)
        pushes[0] = 1
        v = instance.direction(instance.params, pushes)
        eps = STEP / np.abs(v).max()
        up, down = (instance.log_probs(instance.params + s * eps * v) for s in (1, -1))
        return (up - down) / (2 * eps)
