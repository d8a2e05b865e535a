"""What pairwise votes prove about who beats whom, whenever one looks and whatever one asked."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn._inputs import between, finite, nonnegative, single
from prefdyn.games.matrix import Array
from prefdyn.games.sampling import MaxMarginSampler, robust_sampler
from prefdyn.games.structure import strongly_connected, top_component

Flags = np.ndarray

HALVINGS = 50
"""Bisections of an interval of win rates: to 1e-15."""

SUPPORT = 1e-9
"""A linear programme's probability below this counts as 0."""


def log_evidence(wins: ArrayLike, p: ArrayLike) -> Array:
    r"""Log of the evidence of votes against the win probability `p`.

    .. math:: \log \frac{B(w + \frac12,\, l + \frac12)}{B(\frac12, \frac12)\, p^w (1-p)^l}

    the likelihood ratio of the Jeffreys (Krichevsky-Trofimov) mixture to p. Under p it is a
    nonnegative martingale that starts at 1, so the chance that it *ever* reaches 1/delta is at most
    delta (Ville's inequality), however the pairs to be asked and the time to stop are chosen. Half
    a vote each way for a tie makes it a supermartingale: the guarantee stays (claim VOTE-1; arXiv
    1810.08240).

    Parameters
    ----------
    wins : array_like, shape (..., K, K)
        ``wins[i, j]`` votes for i over j; no single vote may count more than 1.
    p : array_like
        Win probability of i over j, broadcast against `wins`.
    """
    from scipy.special import betaln, xlog1py, xlogy

    w = np.asarray(wins, dtype=float)
    losses = np.swapaxes(w, -1, -2)
    return (
        betaln(w + 0.5, losses + 0.5)
        - np.log(np.pi)
        - xlogy(w, p)
        - xlog1py(losses, -np.asarray(p))
    )


def confidence_bounds(wins: ArrayLike, delta: float) -> tuple[Array, Array]:
    """Bounds L <= P <= U on all win probabilities that hold at all times at once.

    With probability at least 1 - delta every P_ij is between its bounds after every vote: `delta`
    is split evenly over the K (K - 1) / 2 pairs (union bound), and each pair's bounds are where
    `log_evidence` reaches the log of its share's inverse (anytime-valid).

    Parameters
    ----------
    wins : array_like, shape (K, K)
        ``wins[i, j]`` votes for i over j.
    delta : float
        Chance of an error, in (0, 1).

    Returns
    -------
    lower, upper : ndarray, shape (K, K)
        With 1/2 on both diagonals and ``upper = 1 - lower.T``.

    Raises
    ------
    InputError
        For what are no wins, or a delta outside (0, 1).
    """
    w = checked_wins(wins)
    level = pair_level(len(w), checked_error(delta)[0])
    total = w + w.T
    rate = np.where(total > 0, w / np.maximum(total, 1), 0.5)
    # The evidence falls from 0 to the observed rate: the bound is the point where it is `level`.
    low, high = np.zeros_like(rate), rate.copy()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        refuted = log_evidence(w, middle) >= level
        low, high = np.where(refuted, middle, low), np.where(refuted, high, middle)
    np.fill_diagonal(low, 0.5)
    return low, 1 - low.T


def checked_wins(wins: ArrayLike, K: int | None = None) -> Array:
    """Wins (K, K) as float64, or an error that says what they must be; any K >= 2 if not given."""
    array = finite(wins, "wins")
    K = max(len(array), 2) if K is None and array.ndim else K
    if array.shape != (K, K) or np.any(array < 0) or np.any(np.diagonal(array)):
        raise InputError(
            f"an array of votes must hold wins >= 0 of shape {(K, K)} with a diagonal of 0; "
            f"this one has shape {array.shape}."
        )
    return array


def checked_error(delta: float, tolerance: float = 0.0) -> tuple[float, float]:
    """The chance of an error in (0, 1), and the tolerance of ties in [0, 1/2)."""
    tied = single(nonnegative(tolerance, "tolerance"), "tolerance")
    return between(delta, 0, 1, "delta"), tied and between(tied, 0, 0.5, "tolerance")


def pair_level(K: int, delta: float) -> float:
    """Log-evidence that settles one of the K (K - 1) / 2 pairs when all share `delta`."""
    return float(np.log(K * (K - 1) / 2 / delta))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What votes say about the top of a game.

    Attributes
    ----------
    wins : ndarray, shape (K, K)
        ``wins[i, j]`` votes for i over j.
    delta : float
        Chance of an error that is accepted, in (0, 1).
    tolerance : float
        Two responses whose win rate is within `tolerance` of 1/2 may be called tied.

    Raises
    ------
    InputError
        For what are no wins, or a parameter out of its range.
    """

    wins: Array
    delta: float
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        checked_error(self.delta, self.tolerance)
        object.__setattr__(self, "wins", checked_wins(self.wins))

    @property
    def K(self) -> int:
        """Number of responses."""
        return len(self.wins)

    @cached_property
    def level(self) -> float:
        """Log-evidence that settles a pair at confidence 1 - delta."""
        return pair_level(self.K, self.delta)

    @cached_property
    def beats(self) -> Array:
        """Log-evidence (K, K) that i beats j; minus infinity where i is not ahead."""
        return np.where(self.wins > self.wins.T, log_evidence(self.wins, 0.5), -np.inf)

    @cached_property
    def ties(self) -> Array:
        """Log-evidence (K, K) of a tie to within the tolerance; else minus infinity."""
        if self.tolerance == 0:
            return np.full_like(self.wins, -np.inf)
        total = self.wins + self.wins.T
        inside = np.abs(self.wins - total / 2) < self.tolerance * total
        edges = [log_evidence(self.wins, 0.5 + side * self.tolerance) for side in (-1, 1)]
        return np.where(inside, np.minimum(*edges), -np.inf)

    @cached_property
    def top(self) -> tuple[int, ...]:
        """The Smith set of the observed win rates; a pair settled as a tie counts as one."""
        return top_component((self.wins >= self.wins.T) | (self.ties >= self.level))

    @cached_property
    def confidence(self) -> float:
        """Confidence that `top` is the Smith set, in [0, 1]; see `AdaptiveSampler`."""
        return float(max(0.0, 1 - self.K * (self.K - 1) / 2 * np.exp(-self.weakest)))

    @cached_property
    def weakest(self) -> float:
        """Log-evidence of the weakest link: a win over an outsider, or what ties `top` together."""
        inside = self._inside
        wins = self.beats[np.ix_(inside, ~inside)]
        return float(min(wins.min(initial=np.inf), bottleneck(self._links)))

    @cached_property
    def _inside(self) -> Flags:
        """Which responses are in `top`."""
        inside = np.zeros(self.K, dtype=bool)
        inside[list(self.top)] = True
        return inside

    @cached_property
    def _links(self) -> Array:
        """Log-evidence among the members of `top` that one beats or ties the other."""
        return np.maximum(self.beats, self.ties)[np.ix_(self._inside, self._inside)]

    @property
    def settled(self) -> Flags:
        """Pairs (K, K) of which it is known who beats whom, or that they are tied."""
        known = np.maximum(self.beats, self.ties) >= self.level
        return known | known.T | np.eye(self.K, dtype=bool)

    @property
    def decided(self) -> bool:
        """Whether `top` is known to be the Smith set, at confidence 1 - delta."""
        return self.weakest >= self.level

    @property
    def certified(self) -> bool:
        """Whether `top` is decided and the sampler known to rank it on top (or nothing is below).

        With probability at least 1 - delta this is never said wrongly (claims VOTE-2, VOTE-3).
        """
        return self.decided and (len(self.top) == self.K or self.sampler.margin > 0)

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """`confidence_bounds` of the win probabilities."""
        return confidence_bounds(self.wins, self.delta)

    @cached_property
    def sampler(self) -> MaxMarginSampler:
        """`robust_sampler` of `top` over all games within the bounds; uniform if nothing is below.

        Its margin is what the worst game within the bounds leaves, negative while votes are few.
        """
        if len(self.top) == self.K:
            return MaxMarginSampler(np.full(self.K, 1 / self.K), 0.0, self.top)
        return robust_sampler(*self.bounds, self.top)

    def decisive(self) -> Flags:
        """Pairs (K, K) whose votes decide what the top is, or else how clearly it can be ranked.

        As long as some response may be a Condorcet winner, those of the response against which
        there is least evidence (the index of RMED, arXiv 1506.02550); after that those
        between `top` and the rest and, until its members are known to beat or tie one another in a
        ring, those within it. Only unsettled pairs are asked, so every one is settled in the end.

        Once the top is decided, the pairs that the margin of the best game within the bounds rests
        on, and that the votes leave most uncertain: asking them drives the certified margin up to
        the true one (claim VOTE-3). None if all are in the top.
        """
        asked = np.zeros((self.K, self.K), dtype=bool)
        inside = self._inside
        if self.decided:
            return asked if inside.all() else self._margin_pairs()
        refuted = np.any(np.maximum(self.beats, self.ties) >= self.level, axis=0)
        if refuted.all():
            asked[np.ix_(inside, ~inside)] = True
            if bottleneck(self._links) < self.level:
                asked[np.ix_(inside, inside)] = True
        else:
            asked[self._likeliest_winner(refuted)] = True
        return (asked | asked.T) & ~self.settled

    def _margin_pairs(self) -> Flags:
        lower, upper = self.bounds
        mu = robust_sampler(upper, lower, self.top, keep=1.0).policy  # the best case
        doubt = (upper - lower) @ mu  # of every response's win rate against that sampler
        rows = [
            int(np.argmax(np.where(side, doubt, -np.inf))) for side in (self._inside, ~self._inside)
        ]
        asked = np.zeros((self.K, self.K), dtype=bool)
        asked[rows] = mu > SUPPORT
        np.fill_diagonal(asked, False)
        return asked | asked.T

    def _likeliest_winner(self, refuted: Flags) -> int:
        against = np.where(self.wins < self.wins.T, _excess(self.wins), 0).sum(axis=1)
        ahead = (self.wins > self.wins.T).sum(axis=1)
        # Least evidence against it; among equals the one that is ahead of most.
        return int(np.lexsort((-ahead, np.where(refuted, np.inf, against)))[0])


def bottleneck(links: Array) -> float:
    """Largest level at which links (n, n) of at least it connect all n strongly; one needs none."""
    if len(links) == 1:
        return np.inf
    levels = np.unique(links[np.isfinite(links)])
    low, high = -1, len(levels) - 1  # strongly connected at levels[low]; -1 stands for -infinity
    while low < high:
        middle = (low + high + 1) // 2
        if strongly_connected(links >= levels[middle]):
            low = middle
        else:
            high = middle - 1
    return float(levels[low]) if low >= 0 else -np.inf


def _excess(wins: Array) -> Array:
    """Log-likelihood ratio (K, K) of the observed win rates to 1/2: ``n kl(rate, 1/2)``."""
    from scipy.special import entr

    total = np.maximum(wins + wins.T, 1)
    rate = wins / total
    return total * (np.log(2) - entr(rate) - entr(1 - rate))
