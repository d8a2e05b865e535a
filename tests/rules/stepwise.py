"""Rounds one by one: what every kernel is held to."""

import numpy as np


def stepped(rule, theta, rounds):
    """Logits after `rounds` rounds of `rule.step`, and the policies on the way."""
    policies = []
    for t in range(rounds):
        theta = rule.step(theta, t, None)
        policies.append(np.exp(rule.log_policy(theta)))
    return theta, np.array(policies)
