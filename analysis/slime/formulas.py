"""The forces of SLIME by formula, and what its checks have in common."""

import numpy as np

from analysis._draws import log_uniform
from prefdyn import Pair
from prefdyn.objectives import SLIME

RELEASED = 5e-4
"""Weight of the floor in the released code; the paper's is the default, 0.1."""


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return np.exp(-softplus(-x))


def margin_force(m, v):
    """F: what the margin term pushes with at the margin m."""
    gate = sigmoid(-v.kappa * (m - v.m_s))
    inside = v.lambda_d * (gate + v.kappa * (v.m_h - m) * gate * (1 - gate))
    return np.where(m < v.m_h, inside, 0.0)


def pull(log_prob, v):
    """By how much the floor pulls a rejected token up."""
    z = -log_prob - v.delta
    return v.p * v.lambda_l * softplus(z) ** (v.p - 1) * sigmoid(z)


def draw_parameters(rng):
    """Random parameters of the loss, around those of the paper."""
    return SLIME(
        lambda_w=float(log_uniform(rng, 0.02, 1)),
        lambda_l=float(log_uniform(rng, 0.02, 1)),
        lambda_d=float(log_uniform(rng, 0.3, 3)),
        delta=float(rng.uniform(0.3, 2)),
        m_h=float(rng.uniform(0.5, 3)),
        m_s=float(rng.uniform(0, 2)),
        kappa=float(log_uniform(rng, 0.5, 5)),
        p=float(rng.uniform(1.2, 3)),
    )


def one_token(chosen, rejected):
    """A pair, or many, of one token each."""
    chosen, rejected = np.broadcast_arrays(np.asarray(chosen, float), np.asarray(rejected, float))
    tokens = {"chosen_tokens": chosen[..., None], "rejected_tokens": rejected[..., None]}
    return Pair(chosen=chosen, rejected=rejected, **tokens)
