"""Real training runs by torch, their prediction from gradients, and how well the two agree."""

from typing import NamedTuple

import numpy as np

from prefdyn import DPO, Pair, orbit
from prefdyn.policies import KernelPolicy
from prefdyn.rules import GradientStep

OBJECTIVE = DPO(0.1)
STEPS = 20


class Agreement(NamedTuple):
    """Predicted against actual changes of the candidates' log-probs."""

    r: float
    r2: float
    slope: float
    shift: float
    largest: float


def agreement(predicted, actual):
    """Correlation, R^2, slope of actual on predicted, mean error, and largest actual change."""
    error, spread = actual - predicted, actual - actual.mean()
    centred = predicted - predicted.mean()
    return Agreement(
        np.corrcoef(predicted, actual)[0, 1],
        1 - (error @ error) / (spread @ spread),
        (centred @ spread) / (centred @ centred),
        error.mean(),
        np.abs(actual).max(),
    )


def train(policy, pair, make_optimiser, steps=STEPS, objective=OBJECTIVE):
    """Parameters (steps + 1, P) of a run on one pair by an optimiser of torch's.

    Parameters
    ----------
    policy
        A policy that takes torch parameters.
    pair
        Numbers of the chosen and the rejected response.
    make_optimiser
        From a list of parameters to the optimiser.
    """
    import torch

    theta = torch.tensor(policy.params, requires_grad=True)
    optimiser = make_optimiser([theta])
    chosen, rejected = pair
    start = policy.log_probs()
    path = [policy.params]
    for _ in range(steps):
        log_probs = policy.log_probs(theta)
        sides = Pair(
            chosen=log_probs[chosen],
            rejected=log_probs[rejected],
            ref_chosen=torch.tensor(start[chosen]),
            ref_rejected=torch.tensor(start[rejected]),
        )
        optimiser.zero_grad()
        objective.loss(sides).backward()
        optimiser.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def predict(policy, pair, path, rate, every=STEPS):
    """Log-probs after gradient descent, by the Gram matrix.

    Parameters
    ----------
    policy, path
        Where the Gram matrix is measured: the policy at the parameters of every `every`-th step.
    pair
        Numbers of the chosen and the rejected response.
    """
    start = state = policy.log_probs()
    for first in range(0, len(path) - 1, every):
        kernel = KernelPolicy(start, policy.gram(path[first])).at(state)
        rule = GradientStep(OBJECTIVE, kernel, [pair], rate, reference=start)
        state = orbit(rule, rounds=every).log_policies[-1]
    return state


def predict_in_function_space(policy, pair, rate, optimiser):
    """Log-probs after a run of an optimiser of ours on the policy linearised at its start."""
    linearised = KernelPolicy.from_gradients(policy.log_probs(), policy.gradients())
    rule = GradientStep(OBJECTIVE, linearised, [pair], rate, optimiser=optimiser)
    return orbit(rule, rounds=STEPS).log_policies[-1]
