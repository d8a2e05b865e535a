"""One recipe on many prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefdyn._advice._recipe import recipe
from prefdyn._advice._words import COLLAPSED
from prefdyn._errors import InputError, NoOptimum
from prefdyn._stability import fixed_point, stability
from prefdyn.games.matrix import PreferenceMatrix


@dataclass(frozen=True)
class Survey:
    """One recipe on many prompts.

    Attributes
    ----------
    prompts
        Prompt names.
    outcome
        Per prompt ``"oscillates"`` (unstable), ``"collapses"`` (locally stable, over 99 % on one
        response) or ``"converges"`` (locally stable, mass spread).
    spectral_radius, top_mass
        Per prompt, at the fixed point.
    shares
        Share of prompts per outcome.
    worst
        Prompts with the largest spectral radius, worst first.
    skipped
        Prompts on which the objective has no optimum, with the reason.
    """

    prompts: tuple[str, ...]
    outcome: tuple[str, ...]
    spectral_radius: np.ndarray
    top_mass: np.ndarray
    shares: dict[str, float]
    worst: tuple[str, ...]
    skipped: dict[str, str]


def survey(
    games: Mapping[str, PreferenceMatrix],
    objective: str = "ipo",
    *,
    alpha: float,
    lam: float,
    beta: float,
    worst: int = 10,
) -> Survey:
    """Which of many prompts oscillate, collapse or converge under one recipe.

    The outcome is local: for the global word on a single prompt use `advise`.

    Parameters
    ----------
    games
        One game per prompt; numbers of responses may differ.
    objective, alpha, lam, beta
        The recipe, alpha < 1.
    worst
        How many of the worst prompts to name.

    Raises
    ------
    InputError
        For no games at all, or alpha = 1.
    """
    if not games:
        raise InputError("there are no games to survey: give at least one prompt.")
    if alpha == 1:
        raise InputError("alpha = 1 has no fixed point to survey: use advise on single prompts.")
    radius: dict[str, float] = {}
    top: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for group in _by_size(games):
        _survey_group(group, games, (objective, beta, alpha, lam), radius, top, skipped)
    prompts = tuple(name for name in games if name in radius)
    outcome = tuple(_outcome(radius[name], top[name]) for name in prompts)
    kinds = ("oscillates", "collapses", "converges")
    return Survey(
        prompts,
        outcome,
        np.array([radius[name] for name in prompts]),
        np.array([top[name] for name in prompts]),
        {kind: outcome.count(kind) / max(len(outcome), 1) for kind in kinds},
        tuple(sorted(prompts, key=lambda name: -radius[name])[:worst]),
        skipped,
    )


def _by_size(games: Mapping[str, PreferenceMatrix]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for name, game in games.items():
        groups.setdefault(game.K, []).append(name)
    return list(groups.values())


def _survey_group(names: Sequence[str], games, parameters, radius, top, skipped) -> None:
    """Evaluate prompts of one size together; where that fails, one by one to say which and why."""
    objective, beta, alpha, lam = parameters
    try:
        batch = PreferenceMatrix(np.stack([games[name].P for name in names]))
        rule = recipe(batch, objective, beta, alpha, lam)
        point = fixed_point(rule)
    except NoOptimum as error:
        if len(names) == 1:
            skipped[names[0]] = str(error)
            return
        for name in names:
            _survey_group([name], games, parameters, radius, top, skipped)
        return
    linear = stability(rule, point)
    radius.update(zip(names, linear.spectral_radius.tolist(), strict=True))
    top.update(zip(names, point.policy.max(axis=-1).tolist(), strict=True))


def _outcome(radius: float, top: float) -> str:
    if radius >= 1:
        return "oscillates"
    return "collapses" if top > COLLAPSED else "converges"
