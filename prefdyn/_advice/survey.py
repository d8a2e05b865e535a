"""One recipe on many prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from prefdyn._advice._recipe import recipe
from prefdyn._advice._words import COLLAPSED
from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability import last_iterate, stability
from prefdyn._stability.verdict import astray, follow_far_starts
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.rules import Rule

OUTCOMES = ("oscillates", "bistable", "collapses", "converges")


@dataclass(frozen=True)
class Survey:
    """One recipe on many prompts.

    Attributes
    ----------
    prompts
        Prompt names.
    outcome
        Per prompt ``"oscillates"`` (unstable), ``"bistable"`` (locally stable, but a far start
        stays away), ``"collapses"`` (over 99 % on one response) or ``"converges"`` (mass spread).
    spectral_radius, top_mass
        Per prompt, at the fixed point; at alpha = 1 the growth per round of a cycle, and 1 for a
        collapse, NaN otherwise.
    shares
        Share of prompts per outcome.
    worst
        Prompts by outcome, then by spectral radius, worst first.
    skipped
        Prompts whose votes make no game, or on which the objective has no optimum, with the
        reason.
    """

    prompts: tuple[str, ...]
    outcome: tuple[str, ...]
    spectral_radius: np.ndarray
    top_mass: np.ndarray
    shares: dict[str, float]
    worst: tuple[str, ...]
    skipped: dict[str, str]


@working("judging every prompt")
def survey(
    games: Mapping[str, PreferenceMatrix],
    objective: str = "ipo",
    *,
    alpha: float,
    lam: float,
    beta: float,
    worst: int = 10,
    far_starts: int = 16,
    seed: int = 0,
) -> Survey:
    """Say which of many prompts oscillate, collapse or converge under one recipe.

    At alpha = 1 the words mean: cycling outward oscillates, a response that takes all collapses,
    mass staying on tied responses converges.

    Parameters
    ----------
    games
        One game per prompt; numbers of responses may differ.
    objective, alpha, lam, beta
        The recipe.
    worst
        How many of the worst prompts to name.
    far_starts, seed
        Starts far from the fixed point that must come home on every prompt, and their seed.

    Raises
    ------
    InputError
        For no games at all.
    """
    if not games:
        raise InputError("there are no games to survey: give at least one prompt.")
    for name, game in games.items():
        if game.batch_shape:
            raise InputError(f"prompt {name!r} has a batch of games: give one game per prompt.")
    for name, value in (("alpha", alpha), ("lam", lam), ("beta", beta)):
        if np.asarray(value).ndim:
            raise InputError(f"{name} is an array: survey takes one recipe, so give one number.")
    judge = _judge_last_iterates if alpha == 1 else _judge_fixed_points
    number = count(far_starts, "far_starts")

    def judged(names: Sequence[str]) -> dict[str, _Prompt | str]:
        """Prompts of one size together; where that fails, one by one to say which and why."""
        batch = PreferenceMatrix(np.stack([games[name].P for name in names]))
        try:
            found = judge(recipe(batch, objective, beta, alpha, lam), number, seed)
        except NoOptimum as error:
            if len(names) == 1:
                return {names[0]: str(error)}
            return {name: result for one in names for name, result in judged([one]).items()}
        return dict(zip(names, found, strict=True))

    results = {name: result for group in _by_size(games) for name, result in judged(group).items()}
    ordered = {name: results[name] for name in games}
    good = {name: found for name, found in ordered.items() if not isinstance(found, str)}
    outcomes = [result.outcome for result in good.values()]
    return Survey(
        tuple(good),
        tuple(outcomes),
        np.array([result.spectral_radius for result in good.values()]),
        np.array([result.top_mass for result in good.values()]),
        {kind: outcomes.count(kind) / max(len(outcomes), 1) for kind in OUTCOMES},
        tuple(sorted(good, key=lambda name: good[name].severity, reverse=True)[:worst]),
        {
            **getattr(games, "left_out", {}),
            **{name: result for name, result in results.items() if isinstance(result, str)},
        },
    )


class _Prompt(NamedTuple):
    outcome: str
    spectral_radius: float
    top_mass: float

    @property
    def severity(self) -> tuple[float, float, float]:
        order = -OUTCOMES.index(self.outcome)
        return order, np.nan_to_num(self.spectral_radius), self.top_mass


def _by_size(games: Mapping[str, PreferenceMatrix]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for name, game in games.items():
        groups.setdefault(game.K, []).append(name)
    return list(groups.values())


def _judge_fixed_points(rule: Rule, far_starts: int, seed: int) -> list[_Prompt]:
    linear = stability(rule)
    lost = astray(linear, *follow_far_starts(rule, linear, far_starts, seed)).any(axis=0)
    top = linear.point.policy.max(axis=-1)
    outcome = np.select(
        [linear.spectral_radius >= 1, lost, top > COLLAPSED], OUTCOMES[:3], OUTCOMES[3]
    )
    columns = (outcome.tolist(), linear.spectral_radius.tolist(), top.tolist())
    return [_Prompt(*row) for row in zip(*columns, strict=True)]


def _judge_last_iterates(rule: Any, far_starts: int, seed: int) -> list[_Prompt]:
    found = [
        last_iterate(rule.replace(game=rule.game[b]), patience=0) for b in range(len(rule.game.P))
    ]
    words = {"cycling": "oscillates", "collapse": "collapses", "tie": "converges"}
    return [
        _Prompt(
            words[last.kind],
            np.nan if last.growth_per_round is None else last.growth_per_round,
            1.0 if last.kind == "collapse" else np.nan,
        )
        for last in found
    ]
