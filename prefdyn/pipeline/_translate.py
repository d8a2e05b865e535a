"""From a trainer's settings to a recipe, every step of it shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from prefdyn._advice import recipe
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count, optional_count, positive, share
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.objectives import Objective
from prefdyn.pipeline._config import Config
from prefdyn.pipeline._names import ROUNDS
from prefdyn.pipeline._objective import translated_objective
from prefdyn.pipeline._rows import (
    TEMPERATURE,
    Row,
    executed,
    periods_of,
    reference_of,
    sampled_from,
)
from prefdyn.pipeline._values import number, whole, yes
from prefdyn.rules import TRDPO, BestResponse, Inexact, Rule

Kind = Literal["one round", "drift", "rounds", "tracking"]
ONLINE = ("online_dpo", "nash_md", "xpo")
"""Trainers that draw new pairs from the policy for every step."""


@dataclass(frozen=True)
class Translation:
    """A pipeline as a recipe, with the way there.

    Attributes
    ----------
    config : Config
        What was translated.
    kind : str
        ``"one round"``: reference and data stay, so nothing goes round.  ``"drift"``: the reference
        follows the policy and the data stay, so that both move on without end.  ``"rounds"``: the
        recipe of `prefdyn.MRSIPO` and its kin.  ``"tracking"``: the reference follows the policy
        and pairs come from it, as in `prefdyn.rules.TRDPO`.
    objective : Objective
        What the trainer minimises, on token log-probabilities.
    on_table : str or Objective
        The same on a table of responses: per-token means at equal length are sums at another beta.
    beta : float or None
        On that table; None where it waits for the length of a response, or for an objective
        without one.
    alpha, lam : float
        Share of the policy in the next reference and in the next sampler; alpha is 1 where the
        reference follows the policy, which keeps nothing of the first one.
    kappa : float or None
        Fraction of the way to a round's optimum that is executed; None where unknown.
    mixture : float or None
        Share of the reference in the opponent, of Nash-MD.
    temperature : float
        Of sampling; what is said for every game allows for it, a verdict on one game takes 1.
    mixing : float or None
        Share of the policy in an update of a moving reference.
    periods : float or None
        Periods between updates of a moving reference in the whole run, the last perhaps begun
        only, where its steps are known.
    rounds : int or None
        Where known.
    rows : tuple of Row
        Setting, what it means, why, and on which assumption.
    notes : tuple of str
        What else should be known.
    """

    config: Config
    kind: Kind
    objective: Objective
    on_table: str | Objective
    beta: float | None
    alpha: float
    lam: float
    kappa: float | None
    mixture: float | None
    temperature: float
    mixing: float | None
    periods: float | None
    rounds: int | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Those of all rows."""
        return tuple(row.assumption for row in self.rows if row.assumption)

    @property
    def needs_tokens(self) -> bool:
        """Whether beta waits for the mean length of a response."""
        return self.beta is None and (isinstance(self.on_table, str) or self.on_table.takes("beta"))

    def rule(self, game: PreferenceMatrix, *, exact: bool = False) -> Rule:
        """What the pipeline does every round, as a rule on this game.

        Parameters
        ----------
        game
            Who beats whom.
        exact
            With rounds that reach their optimum, whatever kappa is.

        Raises
        ------
        InputError
            Where beta is not known yet, or the objective has no loss on a game.
        """
        if self.needs_tokens:
            raise InputError(
                "beta is per token: give the mean number of tokens of a response (tokens)."
            )
        if self.mixture is not None:
            rule: Rule = BestResponse(game, _known(self.beta), self.mixture)
        else:
            alpha = self.alpha if self.mixing is None else 0.0  # the reference moves by itself
            rule = recipe(game, self.on_table, self.beta, alpha, self.lam)  # pyright: ignore
        if self.kappa is not None and self.kappa < 1 and not exact:
            rule = Inexact(rule, self.kappa)
        return rule if self.kind != "tracking" else TRDPO(rule, _known(self.mixing), every=1)


def translate(
    config: Config,
    *,
    alpha: float | None = None,
    lam: float | None = None,
    kappa: float | None = None,
    tokens: float | None = None,
    rounds: int | None = None,
    rounds_from: str | None = None,
    steps: int | None = None,
) -> Translation:
    """Translate the settings of a trainer into a recipe.

    What the settings do not say is asked for or left open, never guessed.

    Parameters
    ----------
    config
        From `read_config`.
    alpha, lam, kappa
        Share of the policy in the next reference, in the next sampler, and fraction of a round
        that is executed, where you know better or the settings cannot say.
    tokens
        Mean number of tokens of a response, for losses on means per token.
    rounds
        How often the trainer is run on new data.
    rounds_from
        What a round's reference is: ``"current"``, the policy it starts from, or ``"fixed"``, that
        of the first round.
    steps
        Optimiser steps of a run; ``max_steps`` by default.

    Raises
    ------
    InputError
        For values out of range, settings that contradict each other, and losses without a
        counterpart here.

    Examples
    --------
    >>> from prefdyn.pipeline import Config
    >>> config = Config("dpo.yaml", "dpo", {"beta": 0.1, "sync_ref_model": True}, {})
    >>> translate(config).kind
    'drift'
    """
    settings = config.settings
    given = _checked(alpha=alpha, lam=lam, kappa=kappa)
    rounds = optional_count(rounds, "rounds") or _rounds(settings)
    steps = optional_count(steps, "steps") or _positive(whole(settings, "max_steps"))
    if number(settings, "learning_rate", 1.0) <= 0:
        raise InputError("learning_rate is not above 0: nothing is trained.")
    if rounds_from is not None:
        choice(rounds_from, ("current", "fixed"), "rounds_from")
        if alpha is not None:
            raise InputError("alpha and rounds_from both say what the reference is: give one.")
    found = translated_objective(config, None if tokens is None else _above(tokens, "tokens"))
    mixing, every = _moving(config)
    if mixing is not None and steps is not None and steps < every:
        mixing, late = None, (f"The run ends before step {every}: its reference never moves.",)
    else:
        late = ()
    kind = _kind(config, mixing, rounds, rounds_from, given)
    alpha, lam = _shares(config, kind, rounds, rounds_from, given)
    if not found.reference:
        alpha = 0.0  # nothing depends on it
    periods = None if mixing is None or steps is None else steps / every
    rows = (
        *found.rows,
        reference_of(config, kind, found.reference, alpha, rounds_from, mixing, every),
        sampled_from(config, kind, lam, given["lam"] is not None),
        executed(config, kind, given["kappa"], steps),
        *periods_of(kind, rounds, periods, every),
    )
    return Translation(
        config,
        kind,
        found.objective,
        found.on_table,
        found.beta,
        alpha,
        lam,
        given["kappa"],
        found.mixture,
        _temperature(config),
        mixing if kind in ("drift", "tracking") else None,
        periods,
        rounds,
        rows,
        (*found.notes, *late),
    )


def _checked(**shares: float | None) -> dict[str, float | None]:
    found = {
        name: None if value is None else float(share(value, name)) for name, value in shares.items()
    }
    if found["kappa"] == 0:
        raise InputError("kappa is 0: a round that moves nothing has no dynamics; give kappa > 0.")
    return found


def _kind(
    config: Config,
    mixing: float | None,
    rounds: int | None,
    rounds_from: str | None,
    given: Mapping[str, float | None],
) -> Kind:
    """What moves from round to round: nothing, the reference, the data, or both."""
    if config.trainer in ONLINE:
        if rounds is not None or rounds_from is not None:
            raise InputError(
                f"rounds of TRL's {config.trainer} trainer are its steps, against one reference: "
                "leave rounds and rounds_from out."
            )
        if config.trainer == "nash_md" and (given["alpha"], given["lam"]) != (None, None):
            raise InputError(
                "the Nash-MD trainer has a fixed reference and takes pairs from the policy and the "
                "mixture: leave alpha and lam out."
            )
        return "rounds"
    if mixing is not None:
        if given["alpha"] is not None or rounds_from is not None or (rounds or 1) > 1:
            raise InputError(
                "sync_ref_model moves the reference by itself: leave alpha, rounds and rounds_from "
                "out, or set sync_ref_model to false."
            )
        return "tracking" if given["lam"] else "drift"
    told = (rounds_from, given["alpha"], given["lam"])
    return "rounds" if (rounds or 1) > 1 or any(word is not None for word in told) else "one round"


def _shares(
    config: Config,
    kind: Kind,
    rounds: int | None,
    rounds_from: str | None,
    given: Mapping[str, float | None],
) -> tuple[float, float]:
    """Alpha and lam."""
    alpha, lam = given["alpha"], given["lam"]
    if kind == "one round":
        return 0.0, 0.0
    if kind in ("drift", "tracking"):
        return 1.0, lam or 0.0
    if config.trainer in ONLINE:
        return alpha or 0.0, 1.0 if lam is None else lam
    if alpha is None and rounds_from is None:
        many = "several" if rounds is None else rounds
        raise InputError(
            f"{many} rounds, and no setting says what a round's reference is: give rounds_from "
            "(current: the policy it starts from; fixed: that of the first round) or alpha."
        )
    if alpha is None:
        alpha = float(rounds_from == "current")
    return alpha, 1.0 if lam is None else lam


def _moving(config: Config) -> tuple[float | None, int]:
    """Share of the policy in an update of the reference, and steps from one to the next."""
    settings = config.settings
    if not yes(settings, "sync_ref_model"):
        return None, 0
    for name, why in (
        ("precompute_ref_log_probs", "log-probabilities of a reference that moves grow stale"),
        ("use_peft", "TRL has no reference of its own to move beside an adapter"),
    ):
        if yes(settings, name):
            raise InputError(f"sync_ref_model and {name} contradict each other: {why}.")
    mixing = float(share(number(settings, "ref_model_mixup_alpha", 0.6), "ref_model_mixup_alpha"))
    every = count(whole(settings, "ref_model_sync_steps", 512), "ref_model_sync_steps")
    return mixing or None, every


def _temperature(config: Config) -> float:
    if config.trainer not in ONLINE:
        return 1.0
    return _above(number(config.settings, "temperature", TEMPERATURE), "temperature")


def _rounds(settings: Mapping[str, Any]) -> int | None:
    found = {name: count(whole(settings, name), name) for name in ROUNDS if settings.get(name)}
    if len(set(found.values())) > 1:
        raise InputError(f"{' and '.join(found)} differ: keep one of them.")
    return next(iter(found.values()), None)


def _positive(value: int | None) -> int | None:
    return value if value is not None and value > 0 else None


def _above(value: float, name: str) -> float:
    return float(np.asarray(positive(value, name)))


def _known(value: float | None) -> float:
    if value is None:
        raise AssertionError("checked before")
    return value
