"""The sampler that ranks what it should on top, and by how much: a linear programme."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError, InsufficientData, NoOptimum
from prefdyn._inputs import finite, share, single
from prefdyn.games.matrix import Array, PreferenceMatrix
from prefdyn.games.structure import TOLERANCE, one_game, smith_set

Response = int | str


@dataclass(frozen=True, eq=False)
class MaxMarginSampler:
    """A sampler and the margin by which it ranks some responses above all others.

    Attributes
    ----------
    policy : ndarray, shape (K,)
        Probabilities mu with which the responses of a pair are to be drawn, independently.
    margin : float
        Smallest ``(P mu)_i - (P mu)_j`` over i on top and j below, in win rate. The log-odds of the
        IPO optimum exceed those of the reference by at least ``margin / beta``, those of the DPO
        optimum by at least ``4 margin / beta`` (claims IPO-7, DPO-4).
    top : tuple of int
        The responses ranked on top.
    """

    policy: Array
    margin: float
    top: tuple[int, ...]


def max_margin_sampler(
    game: PreferenceMatrix, top: Sequence[Response] | None = None, *, keep: float = 0.9
) -> MaxMarginSampler:
    r"""Sampler under which the IPO and DPO optima rank `top` above all others, most clearly.

    .. math:: \max_\mu \min_{i \in \mathrm{top},\, j \notin \mathrm{top}} (P\mu)_i - (P\mu)_j

    For the Smith set (so for a Condorcet winner) the maximum is positive in every game (claim
    IPO-4; arXiv 2602.12180), while no sampler chosen before the game can be right in all of them
    (IPO-3). The game must be known; `AdaptiveSampler` learns it from votes.

    Parameters
    ----------
    game : PreferenceMatrix
        One game, not a batch.
    top : sequence of int or str, optional
        Responses to be ranked on top, by index or name; by default the Smith set, which is the
        Condorcet winner alone where there is one.
    keep : float
        Share of the best margin to keep, in [0, 1]: the rest is given up so that every response is
        sampled, which a loss needs to have one minimum. 1 returns the linear programme's own
        solution, which leaves some responses out.

    Raises
    ------
    InputError
        For a batch, an unknown or repeated response, or a share outside [0, 1].
    NoOptimum
        If `top` is every response, or no sampler ranks it on top.

    Examples
    --------
    >>> from prefdyn.games import condorcet_over_cycle
    >>> best = max_margin_sampler(condorcet_over_cycle(0.1, 0.4), keep=1.0)
    >>> best.top, round(best.margin, 3)
    ((0,), 0.1)
    """
    chosen = smith_set(game) if top is None else _indices(one_game(game), top)
    below = [j for j in range(game.K) if j not in chosen]
    if not below:
        raise NoOptimum(
            "every response is in the Smith set, so none is to be ranked below: use any sampler."
            if top is None
            else f"top holds all {game.K} responses: leave out those to be ranked below."
        )
    found = robust_sampler(game.P, game.P, chosen, keep=keep)
    if found.margin <= TOLERANCE:
        raise NoOptimum(
            f"no sampler ranks {_named(game, chosen)} above {_named(game, below)}: the best margin "
            f"is {found.margin:.3g}; ask for the Smith set, {_named(game, smith_set(game))}."
        )
    return found


def robust_sampler(
    lower: Array, upper: Array, top: Sequence[int], *, keep: float = 0.9
) -> MaxMarginSampler:
    r"""Sampler with the largest margin that holds for every game between two matrices.

    .. math:: \max_\mu \min_{i \in \mathrm{top},\, j \notin \mathrm{top}}
              \sum_k (L_{ik} - U_{jk})\, \mu_k

    For games with :math:`L \le P \le U` entry by entry, ``U = 1 - L^T``, this is exactly the
    largest margin that the worst of them leaves (claim VOTE-3): no pair of responses enters a row
    twice with opposite signs. The margin may be negative: then no sampler is right in all games.

    Parameters
    ----------
    lower, upper : ndarray, shape (K, K)
        Bounds of the win probabilities, with 1/2 on both diagonals.
    top : sequence of int
        Responses to be ranked on top, some but not all.
    keep : float
        As for `max_margin_sampler`; of a margin that is not positive nothing is kept.
    """
    keep = single(share(keep, "keep"), "keep")
    inside = np.isin(np.arange(len(lower)), top)
    rows = (lower[inside][:, None] - upper[~inside]).reshape(-1, len(lower))
    margin, mu = best_margin(rows)
    # Entries of rows are at least -1, so that mixing in a share e of the uniform sampler leaves
    # (1 - e) margin - e; of a margin that is not positive there is nothing to lose.
    given = (1 - keep) * (margin / (1 + margin) if margin > 0 else 1)
    mu = (1 - given) * mu + given / len(mu)
    return MaxMarginSampler(mu, float((rows @ mu).min()), tuple(int(i) for i in top))


def ranking_margin(game: PreferenceMatrix, pairs: Sequence[tuple[int, int]]) -> tuple[float, Array]:
    """Largest margin by which one sampler ranks every pair (upper, lower) rightly, and the sampler.

    Negative or zero where no sampler does, as for the whole order of some games (claim IPO-5).

    Parameters
    ----------
    game : PreferenceMatrix
        One game.
    pairs : sequence of (int, int)
        Which response is to be above which.
    """
    if not len(pairs):
        raise InputError("pairs is empty: name at least one pair (upper, lower).")
    for pair in pairs:
        if len(pair) != 2 or not all(i in range(one_game(game).K) for i in pair):
            raise InputError(f"pairs holds {pair!r}: give (upper, lower), indices below {game.K}.")
    upper, lower = np.array(pairs, dtype=int).T
    return best_margin(game.P[upper] - game.P[lower])


def best_margin(rows: ArrayLike) -> tuple[float, Array]:
    """``max_mu min_r (rows mu)_r`` over distributions mu, and the mu (K,) that reaches it.

    Parameters
    ----------
    rows : array_like, shape (count, K)
        Any numbers.

    Raises
    ------
    InputError
        For rows of another shape, or numbers that are not finite.
    InsufficientData
        If the solver reports anything but an optimum, which a simplex always has.
    """
    from scipy.optimize import linprog

    rows = finite(rows, "rows")
    if rows.ndim != 2 or not rows.size:
        raise InputError(f"rows has shape {rows.shape}: give (count, K), at least one of each.")
    count, K = rows.shape
    # Variables (mu, margin): maximise the margin under margin - rows mu <= 0. On the scale of the
    # rows and to the least tolerance there is: tolerances are absolute.
    solution = linprog(
        np.append(np.zeros(K), -1.0),
        A_ub=np.column_stack([-rows / (np.abs(rows).max() or 1.0), np.ones(count)]),
        b_ub=np.zeros(count),
        A_eq=np.append(np.ones(K), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * K + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise InsufficientData(
            f"the linear programme was not solved ({solution.message}): check the win rates."
        )
    # Rounding is put right here.
    mu = np.maximum(solution.x[:K], 0)
    mu /= mu.sum()
    return float((rows @ mu).min()), mu


def _indices(game: PreferenceMatrix, top: Sequence[Response]) -> tuple[int, ...]:
    known = dict(zip(game.names or (), range(game.K), strict=False)) | {i: i for i in range(game.K)}
    try:
        found = tuple(sorted(known[response] for response in top))
    except (KeyError, TypeError):
        raise InputError(
            f"top = {top!r} names an unknown response: give a list of indices below {game.K}"
            f"{' or of names' if game.names else ''}."
        ) from None
    if not found or len(set(found)) != len(found):
        raise InputError(f"top = {top!r} must name at least one response, each once.")
    return found


def _named(game: PreferenceMatrix, responses: Sequence[int]) -> str:
    return f"{{{', '.join(game.names[i] if game.names else str(i) for i in responses)}}}"
