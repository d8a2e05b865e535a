"""Steps for or against one response, and what to read off the policies before and after."""

import numpy as np


def after(policy, params, responses, rates):
    """Log-probs (n, K) after steps of size `rates` (n,), below 0 against the responses (n,)."""
    pushes = np.eye(policy.K)[responses][..., None]
    move = policy.direction(params, pushes)
    return policy.log_probs(params + np.asarray(rates)[..., None] * move)


def log_odds(log_p, i):
    """``log(p_i / (1 - p_i))`` for responses i (n,) of policies (n, K), exact near p_i = 1."""
    own = np.arange(log_p.shape[-1]) == np.asarray(i)[..., None]
    rest = np.where(own, -np.inf, log_p)
    top = rest.max(-1)
    return (log_p * own).sum(-1) - top - np.log(np.exp(rest - top[..., None]).sum(-1))


def likeliest_other(log_p, y):
    """y*, the likeliest response but y, (n,)."""
    return np.where(np.arange(log_p.shape[-1]) == y[..., None], -np.inf, log_p).argmax(-1)


def others_log_mass(log_p, y, star):
    """``log sum p_i`` over the responses that are neither y nor y*."""
    index = np.arange(log_p.shape[-1])
    left_out = (index == y[..., None]) | (index == star[..., None])
    return np.log(np.where(left_out, 0, np.exp(log_p)).sum(-1))
