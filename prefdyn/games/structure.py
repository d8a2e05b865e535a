"""What kind of game it is: winners, dominating sets, transitivity classes, cyclic share.

A response *beats* another when its win probability exceeds 1/2 by more than `tolerance`; anything
nearer is a tie, because real win rates tie often and weak and strict classes differ there.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prefdyn._errors import InputError
from prefdyn.games.matrix import Array, PreferenceMatrix, checked_game

Flags = np.bool_ | NDArray[np.bool_]
Relation = NDArray[np.bool_]

TOLERANCE = 1e-9
"""Win rates nearer than this to each other count as equal."""


def condorcet_winner(game: PreferenceMatrix, tolerance: float = TOLERANCE) -> int | None:
    """Index of the response that beats every other one, or None.

    Parameters
    ----------
    game : PreferenceMatrix
        One game, not a batch.
    """
    beats = one_game(game).skew > tolerance
    winners = np.flatnonzero(beats.sum(axis=1) == game.K - 1)
    return int(winners[0]) if winners.size else None


def smith_set(game: PreferenceMatrix, tolerance: float = TOLERANCE) -> tuple[int, ...]:
    """Smallest set of responses whose every member beats every response outside it.

    It is the top strongly connected component of "beats or ties".

    Parameters
    ----------
    game : PreferenceMatrix
        One game, not a batch.

    Returns
    -------
    tuple of int, in increasing order
    """
    return top_component(one_game(game).skew >= -tolerance)


def top_component(at_least: Relation) -> tuple[int, ...]:
    """Top strongly connected component of a relation that holds one way or both for every pair.

    Its members are those from whom every response can be reached.
    """
    return tuple(int(i) for i in np.flatnonzero(_reach(at_least).all(axis=-1)))


def strongly_connected(links: Relation) -> bool:
    """Whether every response reaches every other along links (K, K)."""
    return bool(_reach(links).all())


def copeland(game: PreferenceMatrix, tolerance: float = TOLERANCE) -> Array:
    """Number of responses that each one beats, a tie counting one half.

    Returns
    -------
    ndarray, shape (..., K)
    """
    wins = (game.skew > tolerance).sum(axis=-1)
    losses = (game.skew < -tolerance).sum(axis=-1)
    return 0.5 * (game.K - 1 + wins - losses)


def is_transitive(game: PreferenceMatrix, tolerance: float = TOLERANCE) -> Flags:
    """Whether "at least as good" is transitive: P_ij, P_jk >= 1/2 imply P_ik >= 1/2.

    Returns
    -------
    bool array, shape of the batch
    """
    at_least = (game.skew >= -tolerance).astype(np.float64)
    two_steps = at_least @ at_least > 0
    return ~np.any(two_steps & (at_least == 0), axis=(-1, -2))


def is_strongly_transitive(
    game: PreferenceMatrix, strict: bool = False, tolerance: float = TOLERANCE
) -> Flags:
    """Whether the rows dominate one another: i above j implies P_ik >= P_jk for every k.

    The class in which every sampler of full support preserves the order (IPO-6).

    Parameters
    ----------
    game : PreferenceMatrix
        One game or a batch.
    strict : bool
        Ask for P_ik > P_jk for every k.

    Returns
    -------
    bool array, shape of the batch
    """
    # If any order works, the order of the row means does.
    order = np.argsort(-game.P.mean(axis=-1), axis=-1, kind="stable")
    rows = np.take_along_axis(game.P, order[..., None], axis=-2)
    drops = rows[..., :-1, :] - rows[..., 1:, :]
    return np.all(drops > tolerance if strict else drops >= -tolerance, axis=(-1, -2))


def contains_cycle(
    game: PreferenceMatrix, length: Literal[3] | None = None, tolerance: float = TOLERANCE
) -> Flags:
    """Whether some responses beat one another in a ring.

    Parameters
    ----------
    game : PreferenceMatrix
        One game or a batch.
    length : 3, optional
        Count only rings of three; by default any length. They differ only where there are ties.

    Returns
    -------
    bool array, shape of the batch
    """
    beats = (game.skew > tolerance).astype(np.float64)
    if length == 3:
        return np.trace(beats @ beats @ beats, axis1=-2, axis2=-1) > 0
    if length is not None:
        raise InputError(f"length = {length!r} must be 3, or None for a cycle of any length.")
    return np.any(np.diagonal(_paths(beats), axis1=-2, axis2=-1) > 0, axis=-1)


def cyclic_share(game: PreferenceMatrix) -> np.float64 | Array:
    r"""Share of the game that no scoring of the responses explains (Hodge decomposition).

    .. math:: \frac{\sum_{ij} (A_{ij} - v_i + v_j)^2}{\sum_{ij} A_{ij}^2},
              \qquad v_i = \tfrac1K \textstyle\sum_j A_{ij}

    where :math:`v_i - v_j` is the least-squares gradient part of A: 0 for additive preferences,
    1 for a pure cycle such as rock-paper-scissors. Of a game of ties it is 0.

    Returns
    -------
    float array, shape of the batch, in [0, 1]
    """
    v = game.skew.mean(axis=-1)
    rest = game.skew - (v[..., :, None] - v[..., None, :])
    total = np.square(game.skew).sum(axis=(-1, -2))
    share = np.square(rest).sum(axis=(-1, -2)) / np.where(total > 0, total, 1)
    return np.minimum(share, 1.0)


def _paths(links: Array) -> Array:
    """1 where some path of one or more links (..., K, K) leads, else 0."""
    for _ in range(max(1, int(np.ceil(np.log2(links.shape[-1]))))):  # each doubles the length
        links = ((links + links @ links) > 0).astype(np.float64)
    return links


def _reach(links: Relation) -> Relation:
    """Who reaches whom along links (K, K), oneself included."""
    return _paths(np.maximum(links, np.eye(len(links)))) > 0


def one_game(game: PreferenceMatrix) -> PreferenceMatrix:
    """The game, or an error if it is a batch, or none."""
    if checked_game(game).batch_shape:
        raise InputError(
            f"this needs one game, not a batch of shape {game.batch_shape}; index the batch first."
        )
    return game
