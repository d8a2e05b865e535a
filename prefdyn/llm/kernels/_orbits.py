"""Many orbits of small tabular policies: what they do in plain torch, in double precision."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

MOST_RESPONSES = 64
"""Responses up to which the kernel holds an orbit on-chip; the twin takes any number."""
MAX_NEWTON_STEPS = 200
"""A win rate within 1e-16 of 1 costs about 40 steps; more than 200 means no optimum."""
NEWTON_TOLERANCE = 1e-10
"""Relative step of the scores after which Newton's method stops: the next error is its square."""


class Moved(NamedTuple):
    """Where n orbits are after some rounds, and what they passed.

    Attributes
    ----------
    theta : torch.Tensor
        Logits (n, K).
    mean, deviations : torch.Tensor
        Mean and summed squared deviations (n, K) of the policies after each round; 0 of no round.
    failed : torch.Tensor
        (n,), whether some round of the orbit had no solution; its other numbers mean nothing then.
    """

    theta: Tensor
    mean: Tensor
    deviations: Tensor
    failed: Tensor


def mixed_orbits(
    games: Tensor,
    which: Tensor,
    theta: Tensor,
    rounds: int,
    *,
    gain: Tensor,
    alpha: Tensor,
    lam: Tensor,
    drift: Tensor,
    offline: Tensor,
    fitted: bool,
) -> Moved:
    """Plain-torch twin of `prefdyn.llm.kernels.mixed_orbits`."""
    own = games[which]
    scores, failed = torch.zeros_like(theta), torch.zeros_like(which, dtype=torch.bool)

    def advance(x: Tensor, policy: Tensor) -> Tensor:
        nonlocal scores, failed
        mu = lam[:, None] * policy + offline
        if fitted:
            scores, unsolved = _fit(own, mu, scores)
            failed = failed | unsolved
            drive = scores
        else:
            drive = (own @ mu[..., None])[..., 0]
        x = alpha[:, None] * x + drift + gain[:, None] * drive
        return x - x.mean(-1, keepdim=True)

    moved = _run(advance, theta, rounds)
    return moved._replace(failed=failed)


def pair_orbits(
    weights: Tensor, theta: Tensor, rounds: int, *, rate: Tensor, reference: Tensor, push: Tensor
) -> Moved:
    """Plain-torch twin of `prefdyn.llm.kernels.pair_orbits`."""
    constant, slope, height, steepness = push[:, :, None, None]

    def advance(x: Tensor, policy: Tensor) -> Tensor:
        z = x - reference
        gap = z[:, :, None] - z[:, None, :]
        pushes = constant - slope * gap + height * torch.sigmoid(-steepness * gap)
        flow = weights * pushes
        return x + rate[:, None] * (flow.sum(2) - flow.sum(1))

    return _run(advance, theta, rounds)


def _run(advance: Callable[[Tensor, Tensor], Tensor], theta: Tensor, rounds: int) -> Moved:
    """Advance from logits and policy to logits, again and again."""
    mean, deviations = torch.zeros_like(theta), torch.zeros_like(theta)
    policy = theta.softmax(-1)
    for t in range(rounds):
        theta = advance(theta, policy)
        policy = theta.softmax(-1)
        delta = policy - mean
        mean = mean + delta / (t + 1)
        deviations = deviations + delta.square() * (t / (t + 1))
    return Moved(theta, mean, deviations, theta.new_zeros(len(theta), dtype=torch.bool))


def _fit(games: Tensor, mu: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores with ``sum_j mu_j (P_ij - sigmoid(r_i - r_j)) = 0``, and where there are none.

    Newton's method from the scores given, with the step shortened to what is safe from anywhere:
    ``2 / (2 + d)``, d the largest change of a difference, is just below ``log(1 + d) / d``.
    """
    # In order of frequency, see `_solve`.
    order = mu.argsort(-1)
    mu, scores = mu.gather(-1, order), scores.gather(-1, order)
    games = games.gather(-2, order[:, :, None].expand_as(games))
    games = games.gather(-1, order[:, None, :].expand_as(games))
    moving = torch.ones_like(mu[:, :1], dtype=torch.bool)
    failed = torch.zeros_like(moving)
    for _ in range(MAX_NEWTON_STEPS):
        gap = scores[:, :, None] - scores[:, None, :]
        tail = torch.exp(-gap.abs())
        smaller = tail / (1 + tail)
        # The smaller of sigmoid(x), sigmoid(-x) beside the matching entry: win rates near 0 and 1
        # keep their relative accuracy.
        excess = torch.where(gap < 0, games - smaller, smaller - games.mT)
        step = _solve(smaller * (1 - smaller), mu, (excess * mu[:, None, :]).sum(-1))
        spread = step.amax(-1, keepdim=True) - step.amin(-1, keepdim=True)
        scale = scores.abs().amax(-1, keepdim=True).clamp(min=1)
        scores = torch.where(moving, scores + step * (2 / (2 + spread)), scores)
        failed = failed | (moving & ~(spread < torch.inf))
        moving = moving & (spread > NEWTON_TOLERANCE * scale) & (spread < torch.inf)
        if not moving.any():
            break
    scores = torch.empty_like(scores).scatter_(-1, order, scores)
    return scores - scores.mean(-1, keepdim=True), (failed | moving)[:, 0]


def _solve(links: Tensor, mu: Tensor, right: Tensor) -> Tensor:
    """Solution x of ``sum_j links_ij mu_j (x_i - x_j) = right_i``, mu rising, with the last x at 0.

    Links are symmetric.  Eliminating response c ties the others to each other by what tied them to
    c: links are only ever added, so none cancels, and no pivoting is needed as long as the rarest
    response goes first: the equation of the most frequent one, which is left, is the sum of the
    others'.
    """
    K = mu.shape[-1]
    links, right = links.clone(), right.clone()
    totals = torch.ones_like(mu)
    for c in range(K - 1):
        rest = slice(c + 1, K)
        own = links[:, c, rest]
        totals[:, c] = (own * mu[:, rest]).sum(-1)
        share = own / totals[:, c, None]
        links[:, rest, rest] += mu[:, c, None, None] * own[:, :, None] * share[:, None, :]
        right[:, rest] += mu[:, c, None] * right[:, c, None] * share
    x = torch.zeros_like(mu)
    for c in range(K - 2, -1, -1):
        rest = slice(c + 1, K)
        known = (links[:, c, rest] * mu[:, rest] * x[:, rest]).sum(-1)
        x[:, c] = (right[:, c] + known) / totals[:, c]
    return x
