"""Who beats whom: a checked, immutable preference matrix, with the votes behind it if any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefdyn._errors import InputError
from prefdyn._inputs import count

Array = NDArray[np.float64]
Seed = int | np.random.Generator | None

SUM_TOLERANCE = 1e-9
"""How far ``P[i, j] + P[j, i]`` may be from 1 before the matrix is refused."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class PreferenceMatrix:
    r"""Win probabilities of every response against every other, :math:`P_{ij} = \Pr(i \succ j)`.

    Checked when made and never repaired: :math:`P + P^\top = 1` to 1e-9 (so the diagonal is
    1/2) and every entry in [0, 1]. No Bradley-Terry or transitivity assumption is made.

    Parameters
    ----------
    P : array_like, shape (..., K, K)
        Win probabilities; leading axes are a batch of games over the same K responses, K >= 2.
    names : sequence of str, optional
        One distinct name per response.
    source : str
        Where the numbers come from.

    Attributes
    ----------
    P, skew : ndarray, shape (..., K, K), read-only float64
        The win probabilities and :math:`A = P - 1/2`, which is skew-symmetric.
    counts : ndarray, shape (..., K, K), read-only float64, or None
        ``counts[i, j]`` votes for i over j, where the game was made by `from_wins`.
    prior : float or None
        The pseudo-count given to `from_wins`.

    Raises
    ------
    InputError
        Naming the entry that is not a win probability.

    Examples
    --------
    >>> game = PreferenceMatrix([[0.5, 0.7], [0.3, 0.5]], names=["a", "b"])
    >>> game.K, game.batch_shape, float(game.skew[0, 1].round(3))
    (2, (), 0.2)
    """

    P: Array
    names: tuple[str, ...] | None = None
    source: str = ""
    skew: Array = field(init=False)
    counts: Array | None = field(init=False, default=None)
    prior: float | None = field(init=False, default=None)

    def __init__(self, P: ArrayLike, names: Sequence[str] | None = None, source: str = "") -> None:
        matrix = _square(P, "P")
        _check_probabilities(matrix)
        self._set(
            P=_frozen(matrix),
            names=_check_names(names, matrix.shape[-1]),
            source=source,
            skew=_frozen(matrix - 0.5),
        )

    @classmethod
    def from_wins(
        cls,
        counts: ArrayLike,
        prior: float = 0.5,
        names: Sequence[str] | None = None,
        source: str = "",
    ) -> Self:
        r"""Posterior-mean win probabilities from vote counts, keeping the counts.

        .. math:: P_{ij} = \frac{w_{ij} + c}{w_{ij} + w_{ji} + 2c}

        is the mean of the Beta(w_ij + c, w_ji + c) posterior; ``prior=0.5`` is Jeffreys' prior
        and ``prior=0`` the observed frequency. A pair that was never compared gets 1/2 from the
        prior, which is honest only while the comparisons link all responses.

        Parameters
        ----------
        counts : array_like, shape (..., K, K)
            ``counts[i, j]`` = votes for i over j, >= 0, a tie counting half a vote each way.
        prior : float
            Pseudo-count c >= 0 in each direction of each pair.
        names, source
            As for `PreferenceMatrix`.

        Raises
        ------
        InputError
            On a negative or missing count, a self-comparison, responses that no chain of
            comparisons links, or (with ``prior=0``) a pair that was never compared.
        """
        wins = _square(counts, "counts")
        prior = _check_prior(prior)
        labels = _check_names(names, wins.shape[-1])
        _check_counts(wins, prior, labels)
        totals = wins + wins.swapaxes(-1, -2) + 2 * prior
        with np.errstate(invalid="ignore"):  # 0/0 on the diagonal when prior=0
            P = (wins + prior) / totals
        diagonal = np.arange(wins.shape[-1])
        P[..., diagonal, diagonal] = 0.5
        game = cls(P, labels, source)
        game._set(counts=_frozen(wins), prior=prior)
        return game

    @property
    def K(self) -> int:
        """Number of responses."""
        return self.P.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch of games; ``()`` for one game."""
        return self.P.shape[:-2]

    def draw(self, n: int, rng: Seed) -> Self:
        """Draw games from the posterior of the votes.

        Independently per pair, ``P[i, j] ~ Beta(w_ij + prior, w_ji + prior)`` for i < j.

        Parameters
        ----------
        n : int
            Number of draws.
        rng : numpy.random.Generator or int
            Source of randomness, or a seed for one.

        Returns
        -------
        PreferenceMatrix, batch shape (n, ...)

        Raises
        ------
        InputError
            If the game has no counts, or a count is 0 and the prior is 0 too (no posterior).
        """
        wins, prior = self._votes("draw")
        n = count(n, "n")
        rows, columns = np.triu_indices(self.K, 1)
        up, down = wins[..., rows, columns] + prior, wins[..., columns, rows] + prior
        if np.any(np.minimum(up, down) <= 0):
            where = _first(np.minimum(wins, wins.swapaxes(-1, -2)) + np.eye(self.K) <= 0)
            raise InputError(
                f"counts{_at(where)} or its opposite is 0 and the prior is 0, so the posterior of "
                "this pair does not exist; build the game with from_wins(counts, prior=0.5)."
            )
        share = np.random.default_rng(rng).beta(up, down, size=(n, *up.shape))
        return type(self)(self._from_pairs(share), self.names, self.source)

    def bootstrap(self, n: int, rng: Seed) -> Self:
        """Resample the votes of every pair and rebuild the game, `n` times.

        For i < j the new wins of i are Binomial(w_ij + w_ji, w_ij / (w_ij + w_ji)); a tie, kept
        only as half a vote each way, is resampled as a vote, which widens the spread slightly.

        Parameters
        ----------
        n : int
            Number of resamples.
        rng : numpy.random.Generator or int
            Source of randomness, or a seed for one.

        Returns
        -------
        PreferenceMatrix, batch shape (n, ...)
            With the resampled ``counts`` and the same prior.

        Raises
        ------
        InputError
            If the game has no counts, or a pair's votes do not add up to a whole number.
        """
        wins, prior = self._votes("bootstrap")
        n = count(n, "n")
        totals = wins + wins.swapaxes(-1, -2)
        trials = np.rint(totals)
        if np.any(np.abs(totals - trials) > SUM_TOLERANCE):
            where = _first(np.abs(totals - trials) > SUM_TOLERANCE)
            raise InputError(
                f"counts{_at(where)} and its opposite add up to {totals[where]:g}, which is not a "
                "whole number of votes to resample; use draw() for weighted votes."
            )
        frequency = wins / np.where(totals > 0, totals, 1)
        rows, columns = np.triu_indices(self.K, 1)
        whole = trials[..., rows, columns].astype(np.int64)
        generator = np.random.default_rng(rng)
        won = generator.binomial(whole, frequency[..., rows, columns], size=(n, *whole.shape))
        resampled = np.zeros((n, *wins.shape))
        resampled[..., rows, columns] = won
        resampled[..., columns, rows] = whole - won
        return self.from_wins(resampled, prior, self.names, self.source)

    def restrict(self, responses: Sequence[int]) -> Self:
        """Return the game among some of the responses, in the given order.

        Parameters
        ----------
        responses : sequence of int
            At least two distinct response indices; a permutation of all of them relabels.
        """
        chosen = np.asarray(responses)
        if chosen.ndim != 1 or len(set(chosen.tolist())) != chosen.size:
            raise InputError(f"responses must be a list of distinct indices, not {responses!r}.")
        names = self.names and tuple(self.names[i] for i in chosen)
        return self._like(lambda matrix: matrix[..., chosen[:, None], chosen], names)

    def __getitem__(self, index: Any) -> Self:
        """Index the batch axes; the two response axes always stay."""
        size = int(np.prod(self.batch_shape))
        picked = np.arange(size).reshape(self.batch_shape)[index]
        return self._like(lambda m: m.reshape(-1, self.K, self.K)[picked], self.names)

    def __iter__(self) -> Iterator[Self]:
        if not self.batch_shape:
            raise TypeError("this is one game, not a batch of games to iterate over")
        return (self[i] for i in range(self.batch_shape[0]))

    def __repr__(self) -> str:
        batch = f", batch_shape={self.batch_shape}" if self.batch_shape else ""
        names = f", names={self.names}" if self.names else ""
        votes = f", votes={self.counts.sum():g}" if self.counts is not None else ""
        source = f", source={self.source!r}" if self.source else ""
        return f"PreferenceMatrix(K={self.K}{batch}{names}{votes}{source})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        # pickled arrays come back writable
        arrays = {k: _frozen(v) for k, v in state.items() if isinstance(v, np.ndarray)}
        self._set(**(state | arrays))

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _like(self, select: Any, names: tuple[str, ...] | None) -> Self:
        game = type(self)(select(self.P), names, self.source)
        if self.counts is not None:
            game._set(counts=_frozen(select(self.counts)), prior=self.prior)
        return game

    def _from_pairs(self, share: Array) -> Array:
        """Spread win shares of the pairs i < j, shape (..., K(K-1)/2), over full matrices."""
        rows, columns = np.triu_indices(self.K, 1)
        P = np.full((*share.shape[:-1], self.K, self.K), 0.5)
        P[..., rows, columns] = share
        P[..., columns, rows] = 1 - share
        return P

    def _votes(self, asked: str) -> tuple[Array, float]:
        if self.counts is None or self.prior is None:
            raise InputError(
                f"{asked}() needs votes, but this game has none; "
                "build it with PreferenceMatrix.from_wins(counts)."
            )
        return self.counts, self.prior


def checked_game(game: Any) -> PreferenceMatrix:
    """The game, or an error if it is none."""
    if not isinstance(game, PreferenceMatrix):
        raise InputError(
            f"game is a {type(game).__name__}, not a PreferenceMatrix: "
            "wrap the matrix of win probabilities, PreferenceMatrix(P)."
        )
    return game


def _frozen(array: Array) -> Array:
    array = np.array(array, dtype=np.float64)
    array.setflags(write=False)
    return array


def _first(bad: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True entry."""
    return tuple(int(i) for i in np.argwhere(bad)[0])


def _at(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]"


def _square(values: ArrayLike, label: str) -> Array:
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{label} must be a (..., K, K) array of numbers with rows of equal length."
        ) from error
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise InputError(
            f"{label} has shape {matrix.shape}; give a square matrix, or a batch (..., K, K)."
        )
    if matrix.shape[-1] < 2:
        raise InputError(
            f"{label} has K = {matrix.shape[-1]} response(s); a game needs at least two."
        )
    return matrix


def _check_names(names: Sequence[str] | None, K: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    labels = tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in labels):
        raise InputError(f"names must be a list of {K} strings, not {names!r}.")
    if len(labels) != K:
        raise InputError(f"there are {len(labels)} names for {K} responses; give one name each.")
    repeated = [name for name in labels if labels.count(name) > 1]
    if repeated:
        raise InputError(f"the name {repeated[0]!r} is given twice; names must be distinct.")
    return labels


def _check_probabilities(P: Array) -> None:
    if np.isnan(P).any():
        raise InputError(f"P{_at(_first(np.isnan(P)))} is NaN; give a win probability in [0, 1].")
    if P.size and (P.min() < 0 or P.max() > 1):
        where = _first((P < 0) | (P > 1))
        raise InputError(
            f"P{_at(where)} = {P[where]:.12g} is not a probability; win rates lie in [0, 1] "
            "(use PreferenceMatrix.from_wins for win counts)."
        )
    gap = np.abs(P + P.swapaxes(-1, -2) - 1)
    if P.size and gap.max() > SUM_TOLERANCE:
        where = _first(gap > SUM_TOLERANCE)
        *batch, i, j = where
        mirror = (*batch, j, i)
        if i == j:
            raise InputError(f"P{_at(where)} = {P[where]:.12g}, but a diagonal entry must be 0.5.")
        raise InputError(
            f"P{_at(where)} + P{_at(mirror)} = {P[where] + P[mirror]:.12g}, "
            "but the two win rates of a pair must add up to 1."
        )


def _check_prior(prior: float) -> float:
    prior = float(prior)
    if not 0 <= prior < np.inf:
        raise InputError(f"prior = {prior:g} must be a finite pseudo-count >= 0.")
    return prior


def _check_counts(wins: Array, prior: float, names: tuple[str, ...] | None) -> None:
    valid = np.isfinite(wins) & (wins >= 0)
    if not valid.all():
        where = _first(~valid)
        raise InputError(f"counts{_at(where)} = {wins[where]:g} is not a number of votes >= 0.")
    K = wins.shape[-1]
    self_votes = wins * np.eye(K)
    if self_votes.any():
        where = _first(self_votes > 0)
        raise InputError(
            f"counts{_at(where)} = {wins[where]:g} is a comparison of a response with itself; "
            "set the diagonal to 0."
        )
    compared = wins + wins.swapaxes(-1, -2) > 0
    missing = ~compared & ~np.eye(K, dtype=bool)
    if not missing.any():
        return
    linked = _linked(compared)
    if not linked.all():
        game = _first(~linked)
        where = f" in game {_at(game)}" if game else ""
        raise InputError(
            f"no comparison links the groups {_groups(compared[game], names)}{where}; "
            "add votes between them or analyse each group as a game of its own."
        )
    if prior == 0:
        where = _first(missing)
        *_, i, j = where
        raise InputError(
            f"{_name(i, names)} and {_name(j, names)} were never compared and prior=0 leaves "
            f"P{_at(where)} undefined; give a prior > 0 or leave one of them out."
        )


def _linked(compared: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a chain of comparisons leads from response 0 to every other, shape (...)."""
    reached = np.zeros(compared.shape[:-1], dtype=bool)
    reached[..., 0] = True
    while True:
        further = reached | (reached[..., :, None] & compared).any(axis=-2)
        if np.array_equal(further, reached):
            return np.asarray(reached.all(axis=-1))
        reached = further


def _groups(compared: NDArray[np.bool_], names: tuple[str, ...] | None) -> str:
    from scipy.sparse.csgraph import connected_components

    n, group = connected_components(compared, directed=False)
    members = (
        ", ".join(_name(int(i), names) for i in np.flatnonzero(group == g)) for g in range(n)
    )
    return " and ".join(f"{{{one}}}" for one in members)


def _name(i: int, names: tuple[str, ...] | None) -> str:
    return names[i] if names else f"response {i}"
