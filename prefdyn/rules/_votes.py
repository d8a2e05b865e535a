"""Bernoulli votes: on every pair of responses, or on pairs that a sampler draws."""

from typing import Any, NamedTuple

import numpy as np

from prefdyn._errors import InputError

Array = Any


class Votes(NamedTuple):
    """What a round learns about pairs: how often each was asked, and how it went.

    Attributes
    ----------
    asked
        Share of the round's votes on the ordered pair (i, j), (..., K, K).
    lead
        Share of the votes for i among them, less half of `asked`, (..., K, K); in the limit of
        many votes ``asked (P - 1/2)``.
    """

    asked: Array
    lead: Array


def generator(rng: np.random.Generator | None) -> np.random.Generator:
    """The generator that votes need, or an error that asks for one."""
    if rng is None:
        raise InputError("This rule draws votes: pass a numpy Generator as rng.")
    return rng


def voted(
    P: np.ndarray, votes: int, rng: np.random.Generator, shape: tuple[int, ...] = ()
) -> np.ndarray:
    """Win rates (*shape, K, K) in `votes` Bernoulli votes on each pair of games P (..., K, K)."""
    K = P.shape[-1]
    wins = np.triu(rng.binomial(votes, np.broadcast_to(P, (*shape, K, K))), 1)
    estimate = np.triu(wins / votes, 1)
    return estimate + np.tril(1 - np.swapaxes(estimate, -1, -2), -1) + np.eye(K) / 2


def drawn(sampler: np.ndarray, votes: int, rng: np.random.Generator) -> np.ndarray:
    """How often each cell of distributions (..., cells) comes up in `votes` draws."""
    return rng.multinomial(votes, sampler / sampler.sum(-1, keepdims=True))


def ask(P: np.ndarray, sampler: np.ndarray, votes: int, rng: np.random.Generator) -> Votes:
    """One vote on each of `votes` ordered pairs from samplers (..., K, K) in games P."""
    K = sampler.shape[-1]
    asked = drawn(sampler.reshape(*sampler.shape[:-2], K * K), votes, rng).reshape(sampler.shape)
    wins = rng.binomial(asked, np.broadcast_to(P, asked.shape))
    return Votes(asked / votes, (wins - asked / 2) / votes)
