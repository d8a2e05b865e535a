"""Small random policies of every kind, and a network such as a user would bring."""

from itertools import product

import numpy as np

from prefdyn.policies import (
    Autoregressive,
    Differentiable,
    LogLinear,
    Tabular,
    UnconstrainedFeatures,
)

KINDS = (
    "tabular",
    "log-linear",
    "unconstrained features",
    "shared prefixes",
    "autoregressive",
    "network",
)


def network(inputs, params, hidden, candidates=None):
    """Softmax over responses of a tanh network with two hidden layers, one output each.

    Parameters
    ----------
    inputs
        (K, d) features of the responses.
    params
        ``d hidden + hidden^2 + hidden`` weights in one row.
    hidden
        Width of both hidden layers.
    candidates
        Numbers of the responses that are seen; all by default.
    """
    import torch

    inputs = torch.tensor(inputs)
    sizes = [inputs.shape[1] * hidden, hidden * hidden, hidden]

    def log_probs(theta):
        first, second, last = theta.split(sizes)
        state = torch.tanh(inputs.to(theta) @ first.reshape(-1, hidden))
        state = torch.tanh(state @ second.reshape(hidden, hidden))
        everyone = torch.log_softmax(state @ last, 0)
        return everyone if candidates is None else everyone[candidates]

    return Differentiable(log_probs, params, complete=candidates is None)


def network_weights(rng, d, hidden):
    """Random weights that keep the size of what they are given."""
    shapes = [(d, hidden), (hidden, hidden), (hidden, 1)]
    return np.concatenate([rng.normal(size=s).ravel() / np.sqrt(s[0]) for s in shapes])


def random_policy(kind, rng):
    """A policy of one of `KINDS`, at random parameters."""
    if kind == "tabular":
        return Tabular(rng.normal(size=(2, 4)))
    if kind == "log-linear":
        return LogLinear(rng.normal(size=(2, 4, 3)), rng.normal(size=3))
    if kind == "unconstrained features":
        kappa_W, kappa_h = rng.uniform(0.2, 2, size=2)
        W, h = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
        return UnconstrainedFeatures(W, h, kappa_W=kappa_W, kappa_h=kappa_h)
    if kind == "shared prefixes":
        return shared_prefixes(rng)
    if kind == "autoregressive":
        order = (None, 1, 0)[rng.integers(3)]
        logits = Autoregressive(3, 3, order, eos=0)
        return logits.at(rng.normal(size=logits.params.shape))
    return network(rng.normal(size=(6, 3)), network_weights(rng, 3, 4), 4)


def shared_prefixes(rng):
    """Six of the sequences of one to three tokens, two prompts, unconstrained features."""
    sequences = [s for length in (1, 2, 3) for s in product(range(3), repeat=length)]
    chosen = [sequences[i] for i in rng.choice(len(sequences), 6, replace=False)]
    prompts = [0, 0, 0, 0, 1, 1]
    n = len(UnconstrainedFeatures.contexts(chosen, prompts))
    W, h = rng.normal(size=(3, 4)), rng.normal(size=(n, 4))
    kappa_W, kappa_h = rng.uniform(0.2, 2, size=2)
    return UnconstrainedFeatures(W, h, chosen, prompts, kappa_W=kappa_W, kappa_h=kappa_h)


def random_pairs(rng, policy, n):
    """``n`` chosen/rejected pairs (n, 2), each of one prompt."""
    pairs = []
    for prompt in rng.choice(np.unique(policy.prompts), n):
        pairs.append(rng.choice(np.flatnonzero(policy.prompts == prompt), 2, replace=False))
    return np.array(pairs)
