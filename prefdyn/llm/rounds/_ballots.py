"""Where a round's win rates come from, if the game is not simply given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from prefdyn._errors import InputError
from prefdyn._inputs import count, positive
from prefdyn.llm.rounds._candidates import Candidates
from prefdyn.rules._votes import voted


class Ballot(NamedTuple):
    """The game of a round, (prompts, K, K) each.

    Attributes
    ----------
    win_rates
        What the round is trained on.
    counts
        Wins of row over column in this round.
    standard_errors
        Of the win rates.
    """

    win_rates: np.ndarray
    counts: np.ndarray
    standard_errors: np.ndarray


@dataclass(eq=False)
class Votes:
    """Bernoulli votes on a known game, in the order in which `FiniteSample` draws them."""

    P: np.ndarray
    votes: int
    found: Candidates
    seed: int
    _drawn: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self):
        count(self.votes, "votes")
        self._rng = np.random.default_rng(self.seed)

    def __call__(self, t: int, mu: np.ndarray, counts: Sequence[np.ndarray]) -> Ballot:
        """Votes of round t; those of rounds that were not asked for are drawn too."""
        while len(self._drawn) <= t:
            self._drawn.append(voted(self.P, self.votes, self._rng, self.found.shape[:-1]))
        K = self.found.K
        rates = np.broadcast_to(self._drawn[t], (self.found.prompts, K, K))
        off = 1 - np.eye(K)
        return Ballot(
            rates, rates * self.votes * off, np.sqrt(rates * (1 - rates) / self.votes) * off
        )


@dataclass(eq=False)
class Polling:
    """A judge asked about pairs that the sampler draws; wins have a Beta posterior."""

    found: Candidates
    judge: Callable[[str, str, str], float | bool] | None
    reward: Callable[[str, str], float] | None
    votes: int
    pool: bool
    prior: float
    seed: int

    def __post_init__(self):
        if (self.judge is None) == (self.reward is None):
            raise InputError("Give either a judge or a reward: exactly one of them has to vote.")
        count(self.votes, "votes")
        positive(self.prior, "prior")
        self._rewards: np.ndarray | None = None

    def __call__(self, t: int, mu: np.ndarray, counts: Sequence[np.ndarray]) -> Ballot:
        """Draw pairs from mu (prompts, K), have them judged, and count."""
        rng = np.random.default_rng([self.seed, t])
        wins = np.zeros((*mu.shape, mu.shape[-1]))
        for number, sampler in enumerate(mu):
            pairs = rng.choice(len(sampler), size=(self.votes, 2), p=sampler / sampler.sum())
            for one, other in pairs[pairs[:, 0] != pairs[:, 1]]:
                won = rng.random() < self._preference(number, one, other)
                wins[(number, one, other) if won else (number, other, one)] += 1
        return self.estimate(wins, sum(counts, wins) if self.pool else wins)

    def estimate(self, counts: np.ndarray, behind: np.ndarray) -> Ballot:
        """Mean and standard deviation of the posteriors that the votes `behind` leave."""
        off = 1 - np.eye(counts.shape[-1])
        up, down = behind + self.prior, behind.mT + self.prior
        total = up + down
        return Ballot(up / total, counts, np.sqrt(up * down / (total + 1)) / total * off)

    def _preference(self, number: int, one: int, other: int) -> float:
        if self.judge is None:
            rewards = self._scores()
            return float(1 / (1 + np.exp(rewards[number, other] - rewards[number, one])))
        texts = self.found.texts[number]
        answer = self.judge(self.found.prompt_texts[number], texts[one], texts[other])
        try:
            share = float(answer)
        except (TypeError, ValueError):
            share = np.nan
        if not 0 <= share <= 1:
            raise InputError(
                f"The judge answered {answer!r}: let it return whether the first response is "
                "preferred, or a probability in [0, 1]."
            )
        return share

    def _scores(self) -> np.ndarray:
        """Rewards (prompts, K), each response asked about once."""
        if self._rewards is None:
            assert self.reward is not None
            rewards = np.array(
                [[float(self.reward(prompt, text)) for text in texts]
                 for prompt, texts in zip(self.found.prompt_texts, self.found.texts, strict=True)]
            )  # fmt: skip
            if not np.all(np.isfinite(rewards)):
                number, k = np.argwhere(~np.isfinite(rewards))[0]
                raise InputError(
                    f"The reward of response {k} to prompt {number} is not a finite number."
                )
            self._rewards = rewards
        return self._rewards
