"""Several pairs on one prompt of a table of logits: SPO-5."""

import numpy as np

from analysis import Check
from analysis._draws import interior, log_uniform
from prefdyn import DPO
from prefdyn.policies import Tabular
from prefdyn.rules import GradientStep


def change(policy, reference, pairs, beta):
    """First-order change of all log-probabilities per unit rate, from the formula."""
    ratio = np.log(policy / reference)
    total = np.zeros_like(policy)
    for w, l in pairs:  # noqa: E741
        g = beta / (1 + np.exp(beta * (ratio[w] - ratio[l])))
        total += g * (policy[l] - policy[w])
        total[w] += g
        total[l] -= g
    return total


def rule_of(policy, reference, pairs, beta, rate=1.0):
    """The shipped rule for the sum of the pairs' losses."""
    return GradientStep(
        DPO(beta),
        Tabular(np.log(policy)),
        [tuple(map(int, pair)) for pair in pairs],
        rate,
        weights=np.ones(len(pairs)),
        reference=Tabular(np.log(reference)),
    )


class SeveralPairs(Check):
    """The law against gradients by autodiff along the rule's own direction."""

    claim = "SPO-5"
    part = "d log pi_i = eta sum_r g_r (1[i=w_r] - 1[i=l_r] - pi_(w_r) + pi_(l_r))"
    tolerance = 1e-12
    instances = 80

    def draw(self, rng):
        K = int(rng.integers(3, 8))
        policy, reference = interior(rng, K, 2)
        pairs = [rng.choice(K, 2, replace=False) for _ in range(rng.integers(1, 6))]
        return policy, reference, pairs, float(log_uniform(rng, 0.05, 2))

    def predict(self, instance):
        return change(*instance)

    def observe(self, instance):
        rule = rule_of(*instance)
        params = rule.policy.params
        return rule.policy.gradients() @ rule.policy.direction(params, rule.pushes(params))


class AlwaysChosenFalls(Check):
    """Response 0 wins its only pair, response 1, likely already, wins three."""

    claim = "SPO-5"
    part = "a constructed fall of a response that is chosen in all its pairs, and its size"
    tolerance = 1e-4
    cases = (((0.05, 0.8, 0.05, 0.05, 0.05), ((0, 2), (1, 2), (1, 3), (1, 4))),)
    RATE = 1e-3

    def predict(self, instance):
        """With beta = 2 every push is 1 at the reference: 1 + 3 (0.05 - 0.8)."""
        return -1.25

    def observe(self, instance):
        policy, pairs = np.array(instance[0]), instance[1]
        rule = rule_of(policy, policy, pairs, 2.0, self.RATE)
        params = rule.policy.params
        ahead, behind = (
            rule.policy.log_probs(params + sign * self.RATE * move)
            for move in [rule.policy.direction(params, rule.pushes(params))]
            for sign in (1, -1)
        )
        return (ahead - behind)[0] / (2 * self.RATE)


class AlwaysChosenRises(SeveralPairs):
    """From the uniform policy the shares of chosen and rejected cancel."""

    claim = "SPO-5"
    part = "from the uniform policy a response chosen in all its pairs rises"
    comparison = "at_least"
    tolerance = 0.0
    instances = 80

    def draw(self, rng):
        K = int(rng.integers(3, 8))
        pairs = [(0, 1)] + [rng.choice(np.arange(1, K), 2, replace=False) for _ in range(4)]
        return np.full(K, 1 / K), np.full(K, 1 / K), pairs, float(log_uniform(rng, 0.05, 2))

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        return super().observe(instance)[0]


class ShareOfFalls(SeveralPairs):
    """How rare it is."""

    claim = "SPO-5"
    part = "share of random tables and pairs in which a response that always wins falls"
    comparison = "report"
    instances = 150

    def draw(self, rng):
        K = 5
        policy = np.exp(2 * rng.normal(size=K))
        policy /= policy.sum()
        pairs = [rng.choice(K, 2, replace=False) for _ in range(4)]
        return policy, policy, pairs, 1.0

    def skip(self, instance):
        return not self.always_chosen(instance[2])

    @staticmethod
    def always_chosen(pairs):
        """Responses that win every pair they are in."""
        return sorted({int(w) for w, _ in pairs} - {int(l) for _, l in pairs})  # noqa: E741

    def observe(self, instance):
        return float(super().observe(instance)[self.always_chosen(instance[2])].min() < 0)

    def summary(self, observations):
        return f"falls in {np.mean(observations):.1%} of {len(observations)} tables"
