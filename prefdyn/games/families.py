"""Families of games: the standard cycles, reward models and random draws.

Fixed families take arrays for their strengths and return a batch of games; random families take
a `size`, the batch shape of independent draws.
"""

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.games.matrix import Array, PreferenceMatrix, Seed

Size = int | tuple[int, ...] | None


def rock_paper_scissors(a: ArrayLike) -> PreferenceMatrix:
    r"""Three responses, each beating the next with probability 1/2 + a.

    .. math::
        A = a \begin{pmatrix} 0 & 1 & -1 \\ -1 & 0 & 1 \\ 1 & -1 & 0 \end{pmatrix}

    The game of the threshold MRS-5 (arXiv 2602.12180).

    Parameters
    ----------
    a : float or array_like, shape (...)
        Strength of each win, in [0, 1/2].

    Raises
    ------
    InputError
        If a strength lies outside [0, 1/2].
    """
    strength = _strength(a, "a")
    A = strength[..., None, None] * _circulant(3)
    return PreferenceMatrix(0.5 + A, ["rock", "scissors", "paper"], f"rock-paper-scissors, a={a}")


def cycle(K: int, a: ArrayLike) -> PreferenceMatrix:
    """K responses in a ring: each beats the next with probability 1/2 + a and ties the rest.

    ``cycle(3, a)`` is rock-paper-scissors.

    Parameters
    ----------
    K : int
        Number of responses, at least 3.
    a : float or array_like, shape (...)
        Strength of each win, in [0, 1/2].

    Raises
    ------
    InputError
        If K < 3 or a strength lies outside [0, 1/2].
    """
    ring = _circulant(count(K, "K", least=3))
    return PreferenceMatrix(
        0.5 + _strength(a, "a")[..., None, None] * ring, source=f"cycle of {K}, a={a}"
    )


def bradley_terry(rewards: ArrayLike) -> PreferenceMatrix:
    r"""Win probabilities of a reward model, :math:`P_{ij} = \sigma(r_i - r_j)`.

    Parameters
    ----------
    rewards : array_like, shape (..., K)
        One finite reward per response, in nats.

    Raises
    ------
    InputError
        If a reward is not finite or there are fewer than two.
    """
    r = np.asarray(rewards, dtype=np.float64)
    if r.ndim == 0 or r.shape[-1] < 2 or not np.isfinite(r).all():
        raise InputError("rewards must be finite numbers, at least two, in the last axis.")
    # tanh is odd to the last bit, so that the two win rates of a pair add up to 1
    A = 0.5 * np.tanh(0.5 * (r[..., :, None] - r[..., None, :]))
    return PreferenceMatrix(0.5 + A, source="Bradley-Terry")


def strongly_transitive(
    K: int, rng: Seed, strict: bool = False, size: Size = None
) -> PreferenceMatrix:
    r"""Random games in which response 0 is best and every row dominates the next.

    .. math::
        M_{ij} = \max(M_{i,j-1}, M_{i+1,j}) + W_{ij} \quad (j > i), \qquad
        P = \tfrac12 + M - M^\top

    with W exponential of mean 1, scaled so that the largest entry of M is 0.49 times a uniform
    draw from [0.3, 1]. Rows then decrease with the index, the class that IPO-6 is about.

    Parameters
    ----------
    K : int
        Number of responses, at least 2.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed for one.
    strict : bool
        Add 0.05 to every W, which keeps the gaps between rows away from 0.
    size : int or tuple of int, optional
        Batch shape; one game by default.
    """
    K = count(K, "K", least=2)
    rng = np.random.default_rng(rng)
    shape = _shape(size)
    W = rng.exponential(size=(*shape, K, K)) + (0.05 if strict else 0.0)
    M = np.zeros((*shape, K, K))
    for gap in range(1, K):
        i = np.arange(K - gap)
        j = i + gap
        # the entry to the left and the entry below, both one step nearer the diagonal
        M[..., i, j] = np.maximum(M[..., i, j - 1], M[..., i + 1, j]) + W[..., i, j]
    top = 0.49 * rng.uniform(0.3, 1.0, size=shape)
    M *= (top / M[..., 0, K - 1])[..., None, None]
    return PreferenceMatrix(0.5 + M - M.swapaxes(-1, -2), source="random, strongly transitive")


def condorcet_over_cycle(margin: ArrayLike, a: ArrayLike) -> PreferenceMatrix:
    """Four responses: number 0 beats all others narrowly, the others form rock-paper-scissors.

    The game whose instability fills only a window of beta (MRS-14).

    Parameters
    ----------
    margin : float or array_like
        Response 0 wins with probability 1/2 + margin, margin in [0, 1/2].
    a : float or array_like
        Strength of the cycle among the other three, in [0, 1/2]; broadcast with `margin`.
    """
    top, strength = np.broadcast_arrays(_strength(margin, "margin"), _strength(a, "a"))
    A = np.zeros((*top.shape, 4, 4))
    A[..., 0, 1:] = top[..., None]
    A[..., 1:, 0] = -top[..., None]
    A[..., 1:, 1:] = strength[..., None, None] * _circulant(3)
    return PreferenceMatrix(
        0.5 + A, source=f"Condorcet winner over a cycle, margin={margin}, a={a}"
    )


def random(K: int, rng: Seed, size: Size = None, strength: float = 0.5) -> PreferenceMatrix:
    """Games with independent entries, A_ij uniform in [-strength, strength] for i < j.

    Parameters
    ----------
    K : int
        Number of responses, at least 2.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed for one.
    size : int or tuple of int, optional
        Batch shape; one game by default.
    strength : float
        Largest strength, in [0, 1/2]; below 1/2 all win rates stay inside (0, 1), as DPO needs.
    """
    K = count(K, "K", least=2)
    half = float(_strength(strength, "strength"))
    draws = np.random.default_rng(rng).uniform(-half, half, size=(*_shape(size), K, K))
    upper = np.triu(draws, 1)
    return PreferenceMatrix(0.5 + upper - upper.swapaxes(-1, -2), source="random")


def _circulant(K: int) -> Array:
    """+1 where the column is the next response, -1 where it is the previous one."""
    ahead = np.roll(np.eye(K), 1, axis=1)
    return ahead - ahead.T


def _strength(value: ArrayLike, label: str) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if not np.all((array >= 0) & (array <= 0.5)):
        bad = array[~((array >= 0) & (array <= 0.5))].flat[0]
        raise InputError(
            f"{label} = {bad:g} must lie in [0, 0.5], since wins have probability 0.5 + {label}."
        )
    return array


def _shape(size: Size) -> tuple[int, ...]:
    if size is None:
        return ()
    return tuple(size) if isinstance(size, tuple) else (size,)
