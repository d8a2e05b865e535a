"""The adaptive sampler: asks for the votes that matter until it knows how to sample."""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count, nonnegative, single
from prefdyn.games.evidence import Evidence, checked_error, checked_wins
from prefdyn.games.matrix import Array, PreferenceMatrix, Seed
from prefdyn.games.sampling import MaxMarginSampler, Response
from prefdyn.games.structure import one_game
from prefdyn.games.votes import Vote, read_votes


class Question(NamedTuple):
    """A pair of responses to be labelled, `votes` times."""

    first: Response
    second: Response
    votes: int


class AdaptiveSampler:
    r"""Learns from votes how to draw pairs so that the optimum ranks the best responses on top.

    Every sampler fixed in advance fails in some game (claim IPO-3). This one estimates the win
    probabilities from votes, with bounds that hold at all times at once, asks for the pairs that
    decide which responses are the Smith set (the Condorcet winner, where there is one), and gives
    the sampler that ranks them on top most clearly in the worst game within the bounds.

    With probability at least 1 - delta it is right whenever it says so, for any votes that are
    independent given the pair with fixed win probabilities: if `decided`, `top` is the Smith set;
    if `certified`, the IPO and DPO optima under `sampler` from a uniform reference rank it above
    all others (claims VOTE-1 to VOTE-3). Looking often, stopping at any time and asking any pairs
    cost nothing: the bounds are anytime-valid for each pair, and the pairs share delta evenly.

    Parameters
    ----------
    responses : int or sequence of str
        How many responses there are, or their names.
    delta : float
        Chance of an error that is accepted, in (0, 1).
    tolerance : float
        Responses whose win rate against each other is within `tolerance` of 1/2 may be called
        tied; with 0, exactly tied responses are asked about for ever. In [0, 1/2).

    Attributes
    ----------
    wins : ndarray, shape (K, K)
        ``wins[i, j]`` votes told for i over j, a tie counting one half each way.

    Raises
    ------
    InputError
        For fewer than two responses, repeated names, or a parameter out of its range.

    Examples
    --------
    >>> sampler = AdaptiveSampler(["a", "b", "c"])
    >>> [tuple(question) for question in sampler.ask(4)]
    [('a', 'b', 2), ('a', 'c', 2)]
    >>> sampler.tell([("a", "b", 30), ("a", "c", 35), ("c", "a", 5)])
    >>> sampler.top, round(sampler.confidence, 4), sampler.certified
    (('a',), 0.9999, True)
    """

    def __init__(
        self, responses: int | Sequence[str], *, delta: float = 0.05, tolerance: float = 0.0
    ) -> None:
        if not isinstance(responses, Sized):
            K, self.names = count(responses, "responses", least=2), None
        else:
            K, self.names = len(responses), tuple(responses)
            # A matrix of ties, for its checks of the names.
            PreferenceMatrix(np.full((K, K), 0.5), self.names)
        self.delta, self.tolerance = checked_error(delta, tolerance)
        self.wins = np.zeros((K, K))

    @classmethod
    def from_votes(
        cls, path: str | Path, *, delta: float = 0.05, tolerance: float = 0.0
    ) -> "AdaptiveSampler":
        """Start from a vote file over the responses it names; see `load_votes` for its columns."""
        votes = _one_prompt(path)
        names = dict.fromkeys(name for vote in votes for name in (vote.winner, vote.loser))
        sampler = cls(tuple(names), delta=delta, tolerance=tolerance)
        sampler.tell(votes)
        return sampler

    @property
    def evidence(self) -> Evidence:
        """What the votes told so far say."""
        return Evidence(self.wins.copy(), self.delta, self.tolerance)

    def ask(self, votes: int) -> tuple[Question, ...]:
        """Pairs to be labelled next, so many times each: those of `Evidence.decisive`.

        Parameters
        ----------
        votes : int
            Votes to spend on them, in all, shared evenly.

        Returns
        -------
        tuple of Question
            Empty when nothing is left to learn: the top is decided and holds every response.
        """
        i, j, n = allocate(self.evidence.decisive(), self.wins, count(votes, "votes"))
        return tuple(
            Question(self._name(a), self._name(b), int(c))
            for a, b, c in zip(i, j, n, strict=True)
            if c
        )

    def tell(self, votes: str | Path | Array | Iterable[Sequence[Any]]) -> None:
        """Add votes.

        Parameters
        ----------
        votes
            Tuples ``(winner, loser)`` or ``(winner, loser, count)`` of names or indices, a count
            of half a vote each way standing for a tie; a path to a file that `load_votes` reads;
            or an array (K, K) of wins.

        Raises
        ------
        InputError
            For a response that is not known, a self-comparison, a count that is not a number >= 0,
            or a file of several prompts; then no vote is added.
        """
        if isinstance(votes, str | Path):
            votes = _one_prompt(votes)
        if not isinstance(votes, Iterable):
            raise InputError(f"votes is {votes!r}: give (winner, loser) tuples, a file or wins.")
        known = len(self.wins)
        self.wins = self.wins + (
            checked_wins(votes, known) if isinstance(votes, np.ndarray) else self._count(votes)
        )

    def _count(self, votes: Any) -> Array:
        known = {name: i for i, name in enumerate(self.names or ())}
        known |= {i: i for i in range(len(self.wins))}
        wins = np.zeros_like(self.wins)
        for row, vote in enumerate(votes):
            winner, loser, number, tie = _parts(vote, row)
            for response in (winner, loser):
                if not isinstance(response, Hashable) or response not in known:
                    raise InputError(
                        f"vote {row} names the unknown response {response!r}: known are "
                        f"{', '.join(map(str, self.names or range(len(self.wins))))}."
                    )
            i, j = known[winner], known[loser]
            if i == j:
                raise InputError(f"vote {row} compares {winner!r} with itself: leave it out.")
            wins[i, j] += number / 2 if tie else number
            wins[j, i] += number / 2 if tie else 0
        return wins

    @property
    def top(self) -> tuple[Response, ...]:
        """The Smith set of the win rates observed so far: the responses to be ranked on top."""
        return tuple(self._name(i) for i in self.evidence.top)

    @property
    def confidence(self) -> float:
        """Confidence that `top` is the Smith set, in [0, 1].

        For every delta the chance that it is ever 1 - delta or more for a wrong set is at most
        delta: one minus the largest p-value among the facts that make `top` the Smith set, times
        the number of pairs.
        """
        return self.evidence.confidence

    @property
    def decided(self) -> bool:
        """Whether `confidence` has reached 1 - delta."""
        return self.evidence.decided

    @property
    def certified(self) -> bool:
        """Whether also the sampler is known to rank `top` above all others."""
        return self.evidence.certified

    @property
    def sampler(self) -> MaxMarginSampler:
        """The sampler to train with: best in the worst game that the votes allow."""
        return self.evidence.sampler

    @property
    def game(self) -> PreferenceMatrix:
        """The estimated game, ``PreferenceMatrix.from_wins(wins)``."""
        return PreferenceMatrix.from_wins(self.wins, names=self.names)

    def _name(self, i: int) -> Response:
        return self.names[i] if self.names else int(i)

    def __repr__(self) -> str:
        top = ", ".join(map(str, self.top))
        return (
            f"AdaptiveSampler({len(self.wins)} responses, {self.wins.sum():g} votes, "
            f"top {{{top}}} at confidence {self.confidence:.3g})"
        )


@dataclass(frozen=True, eq=False)
class Learning:
    """How an adaptive sampler came to know a game.

    Attributes
    ----------
    history : tuple of Evidence
        After every batch of votes, from none to the last.
    certified : bool
        Whether it stopped because it was certain; else because the votes had been spent.
    """

    history: tuple[Evidence, ...]
    certified: bool

    @property
    def votes(self) -> Array:
        """Votes spent by each point of `history`."""
        return np.array([evidence.wins.sum() for evidence in self.history])

    @property
    def last(self) -> Evidence:
        """The evidence at the end."""
        return self.history[-1]


def learn_sampler(
    game: PreferenceMatrix,
    *,
    seed: Seed,
    delta: float = 0.05,
    tolerance: float = 0.0,
    votes: int = 100_000,
    growth: float = 0.1,
    pairs: Callable[[Evidence], np.ndarray] = Evidence.decisive,
) -> Learning:
    """Run an adaptive sampler on Bernoulli votes from a known game until it is certain.

    Parameters
    ----------
    game : PreferenceMatrix
        One game.
    seed : numpy.random.Generator or int
        Source of randomness.
    delta, tolerance : float
        As for `AdaptiveSampler`.
    votes : int
        Votes after which to stop in any case.
    growth : float
        Size of a batch, as a share of the votes so far; at least one vote for each pair asked.
    pairs : callable
        Which pairs (K, K) to ask given the evidence; for comparison with other rules.

    Returns
    -------
    Learning
    """
    most, rng = count(votes, "votes"), np.random.default_rng(seed)
    growth = single(nonnegative(growth, "growth"), "growth")
    sampler = AdaptiveSampler(one_game(game).K, delta=delta, tolerance=tolerance)
    history = [sampler.evidence]
    while not history[-1].certified and (left := most - int(sampler.wins.sum())) > 0:
        asked = pairs(history[-1])
        if not asked.any():
            break
        batch = max(int(asked.sum()) // 2, int(growth * (most - left)))
        sampler.tell(vote(game.P, asked, sampler.wins, min(batch, left), rng))
        history.append(sampler.evidence)
    return Learning(tuple(history), history[-1].certified)


def vote(P: Array, asked: np.ndarray, wins: Array, votes: int, rng: np.random.Generator) -> Array:
    """New wins (K, K) in `votes` Bernoulli votes on the pairs asked, given the wins so far."""
    i, j, n = allocate(asked, wins, votes)
    new = np.zeros_like(wins)
    new[i, j] = rng.binomial(n, P[i, j])
    new[j, i] = n - new[i, j]
    return new


def allocate(asked: np.ndarray, wins: Array, votes: int) -> tuple[np.ndarray, ...]:
    """Pairs ``i < j`` and the votes of each: even shares, what remains to those asked least."""
    i, j = np.nonzero(np.triu(asked, 1))
    n = np.full(len(i), votes // max(len(i), 1))
    fewest = np.argsort((wins + wins.T)[i, j], kind="stable")
    n[fewest[: votes % max(len(i), 1)]] += 1
    return i, j, n


def _one_prompt(path: str | Path) -> list[Vote]:
    path = Path(path)
    votes = list(read_votes(path))
    prompts = {vote.prompt for vote in votes}
    if len(prompts) > 1:
        raise InputError(
            f"{path.name} has votes on {len(prompts)} prompts, but a sampler belongs to one: "
            "write one file per prompt."
        )
    return votes


def _parts(vote: Any, row: int) -> tuple[Any, Any, float, bool]:
    """Winner, loser, count and whether it is a tie."""
    if isinstance(vote, Vote):
        return vote.winner, vote.loser, vote.count, vote.tie
    if isinstance(vote, str) or not isinstance(vote, Collection) or len(vote) not in (2, 3):
        raise InputError(f"vote {row} is {vote!r}: give (winner, loser) or (winner, loser, count).")
    winner, loser, number = vote if len(vote) == 3 else (*vote, 1)
    try:
        times = float(number)
    except (TypeError, ValueError):
        times = np.nan
    if not 0 <= times < np.inf:
        raise InputError(f"vote {row} has the count {number!r}: give a number of votes >= 0.")
    return winner, loser, times, False
