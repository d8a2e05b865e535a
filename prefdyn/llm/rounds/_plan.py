"""A recipe for rounds on a language model, and the orbit that comes of it."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn import games, objectives
from prefdyn._advice import recipe
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn._simulate import Orbit
from prefdyn.games import PreferenceMatrix
from prefdyn.llm._encoding import Responses
from prefdyn.llm._parameters import Selection, at_rest, select_parameters
from prefdyn.llm.reference import fingerprint
from prefdyn.llm.rounds._candidates import Candidates
from prefdyn.llm.rounds._inner import Inner, measured
from prefdyn.llm.rounds._loop import Poll, run_rounds
from prefdyn.llm.rounds._store import RoundStore, digest
from prefdyn.policies.softmax import log_softmax
from prefdyn.rules import Inexact


@dataclass(frozen=True, kw_only=True)
class LanguageModelOrbit(Orbit):
    """Rounds that a language model was trained through; every function of an `Orbit` takes it.

    With several prompts every array has an axis for them after the rounds.

    Attributes
    ----------
    policies, log_policies
        Probabilities of the candidates, renormalised among them, (T + 1, [prompts,] K).
    log_probs
        What the model itself says of them, summed over tokens, (T + 1, [prompts,] K), in nats.
    residuals
        Nats that Newton's step of each round's loss would still have moved a log-odds,
        (T, [prompts]).
    steps
        Steps of the inner loop, (T,).
    kappa, cosine
        Share of the exact round that each trained one went, and the cosine between the two in
        centred logits (claim RND-4), (T, [prompts]); NaN where the exact round does not exist or
        goes nowhere.
    win_rates
        The game each round was trained on, (T, [prompts,] K, K).
    counts, standard_errors
        Votes behind it and the standard errors of the win rates, of the same shape; None where the
        game was given.
    rule
        The rule whose rounds these are; with `orbit` it gives the tabular prediction.  Where the
        game was not given, on the win rates of all votes together.
    responses
        The candidates as tokens.
    """

    log_probs: np.ndarray
    residuals: np.ndarray
    steps: np.ndarray
    kappa: np.ndarray
    cosine: np.ndarray
    win_rates: np.ndarray
    counts: np.ndarray | None = None
    standard_errors: np.ndarray | None = None
    rule: Any
    responses: Responses

    @property
    def mass(self) -> np.ndarray:
        """Probability of all candidates together as complete responses, (T + 1, [prompts])."""
        return np.exp(self.log_probs).sum(-1)

    def inexact(self) -> Inexact:
        """The rule with rounds executed as far as the measured ones were, by the median kappa.

        Raises
        ------
        InputError
            If kappa was measured in no round.
        """
        known = self.kappa[np.isfinite(self.kappa)]
        if not len(known):
            raise InputError("No round has a measured kappa: no exact round to compare it with.")
        return Inexact(self.rule, float(np.clip(np.median(known), 1e-6, 1.0)))


@dataclass(frozen=True)
class RoundPlan:
    """A recipe for rounds, however the win rates come about; fields as of `mrs_rounds`."""

    objective: Any
    beta: float | None
    alpha: float
    lam: float
    reference: Any
    offline: Any
    inner: Inner | str | None
    parameters: Selection

    def run(
        self,
        model: Any,
        found: Candidates,
        game: PreferenceMatrix,
        poll: Poll | None,
        rounds: int,
        settings: dict[str, Any],
        checkpoint: str | Path | None,
        progress: bool | None,
    ) -> LanguageModelOrbit:
        """Train the model in place; `settings` tell one run's checkpoint from another's."""
        rounds = count(rounds, "rounds", least=0)
        inner = self._inner()
        chosen = select_parameters(model, self.parameters)
        with at_rest(model, chosen):
            now = measured(model, found.responses, found.prompts)
        start = log_softmax(found.outward(now))
        rule = self._rule(game, start)
        store = None
        if checkpoint is not None:
            settings = settings | {
                "plan": repr(self),
                "parameters": list(chosen),
                "candidates": [found.responses.prompt_tokens, found.responses.tokens],
                "model": fingerprint(model),
            }
            store = RoundStore(Path(checkpoint), digest(settings))
        with nullcontext() if store is None else store.alone():
            history = run_rounds(
                model, found, rule, self._objective(), poll, rounds, inner, chosen, store, progress
            )
        tables: dict[str, Any] = {
            name: found.outward(x, 1) for name, x in history.items() if name != "steps"
        }
        log_policies = log_softmax(tables["log_probs"])
        return LanguageModelOrbit(
            np.exp(log_policies),
            log_policies,
            np.arange(len(log_policies)),
            _reason(rounds, history["residuals"], inner),
            None,
            state=log_policies[-1],
            steps=history["steps"],
            rule=rule,
            responses=found.responses,
            **tables,
        )

    def _inner(self) -> Inner:
        if self.inner is None:
            return Inner()
        return Inner(self.inner) if isinstance(self.inner, str) else self.inner

    def _objective(self) -> Any:
        core = self.objective
        core = objectives.get(core) if isinstance(core, str) else core
        return core if self.beta is None else core.replace(beta=float(self.beta))

    def _rule(self, game: PreferenceMatrix, start: np.ndarray) -> Any:
        """The tabular rule, whose mixtures the model's rounds use."""
        fixed: dict[str, Any] = {}
        if self.reference is None or isinstance(self.reference, str):
            if choice(self.reference or "initial", WORDS, "reference") == "initial":
                fixed["log_reference"] = start
        else:
            fixed["reference"] = self.reference
        if isinstance(self.offline, str):
            initial = choice(self.offline, WORDS, "offline") == "initial"
            fixed["offline"] = np.exp(start) if initial else None
        else:
            fixed["offline"] = self.offline
        return recipe(game, self.objective, self.beta, self.alpha, self.lam, **fixed)


WORDS = ("initial", "uniform")
"""What a reference or an offline sampler may be called instead of given."""


def checked_game(game: Any, found: Candidates) -> PreferenceMatrix:
    """A game among the candidates, from whatever names or holds one.

    Raises
    ------
    InputError
        If it has another number of responses, or is a batch that does not fit the prompts.
    """
    if isinstance(game, str | Path):
        game = games.load(str(game))
    matrix = game if isinstance(game, PreferenceMatrix) else PreferenceMatrix(game)
    if matrix.K != found.K:
        raise InputError(
            f"The game has {matrix.K} responses but there are {found.K} candidates: give one for "
            "each."
        )
    if matrix.batch_shape not in ((), found.shape[:-1]):
        raise InputError(
            f"The game is a batch of shape {matrix.batch_shape} for {found.prompts} prompt(s): "
            "give one game, or one per prompt."
        )
    return matrix


def _reason(rounds: int, residuals: np.ndarray, inner: Inner) -> str:
    short = int((residuals > inner.residual).any(-1).sum())
    if not short or not inner.residual:
        return f"ran all {rounds} rounds"
    return (
        f"ran all {rounds} rounds; {short} of them stopped after {inner.steps} steps with a "
        f"residual above {inner.residual:g} nats, up to {residuals.max():.2g}"
    )
