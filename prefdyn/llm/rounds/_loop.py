"""The loop over rounds: mixtures, votes, inner loop, and what is measured of each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn._progress import track
from prefdyn.games import PreferenceMatrix
from prefdyn.llm._parameters import at_rest
from prefdyn.llm.rounds._ballots import Ballot
from prefdyn.llm.rounds._candidates import Candidates
from prefdyn.llm.rounds._inner import Inner, fit, measured
from prefdyn.llm.rounds._population import PopulationLoss
from prefdyn.llm.rounds._store import Arrays, RoundStore
from prefdyn.objectives import Objective
from prefdyn.policies.softmax import centre, log_softmax
from prefdyn.rules._mixed_reference_sampling import MixedReferenceSampling

Poll = Callable[[int, np.ndarray, Sequence[np.ndarray]], Ballot]
STILL = 1e-6
"""Nats: an exact round that is shorter has no direction in which progress could be measured."""


def run_rounds(
    model: Any,
    found: Candidates,
    rule: MixedReferenceSampling,
    objective: Objective,
    poll: Poll | None,
    rounds: int,
    inner: Inner,
    chosen: dict[str, Any],
    store: RoundStore | None,
    progress: bool | None,
) -> Arrays:
    """Train the model through rounds.

    Parameters
    ----------
    model
        Changed in place.
    found
        The candidates.
    rule
        Says how reference and sampler are mixed, and holds the game.
    objective
        What a round minimises, with its beta set.
    poll
        ``poll(t, mu, counts so far)``: win rates and votes of a round; None for the rule's game.
    rounds, inner, chosen
        How many, how, and the parameters that move, by name.
    store
        Where to go on from and what to keep after every round.
    progress
        As of `prefdyn.orbit`.

    Returns
    -------
    dict of numpy.ndarray
        ``log_probs`` (T + 1, prompts, K); ``residuals``, ``kappa``, ``cosine`` (T, prompts);
        ``steps`` (T,); ``win_rates`` (T, prompts, K, K); after votes ``counts`` and
        ``standard_errors`` of that shape.
    """
    with at_rest(model, chosen):
        history = None if store is None else store.load(chosen)
        if history is None:
            now = measured(model, found.responses, found.prompts)
            history = _beginning(now, voted=poll is not None)
        done = len(history["log_probs"]) - 1
        if done > rounds:
            raise InputError(
                f"The checkpoint holds {done} rounds already and {rounds} were asked for: ask for "
                "at least as many, or name another folder."
            )
        for t in track(range(done, rounds), "rounds", total=rounds, done=done, progress=progress):
            log_policy = log_softmax(history["log_probs"][t])
            mu = np.asarray(rule.sampler(log_policy))
            ballot = None if poll is None else poll(t, mu, list(history["counts"]))
            P = np.broadcast_to(
                rule.game.P if ballot is None else ballot.win_rates,
                (found.prompts, found.K, found.K),
            )
            log_reference = log_softmax(np.asarray(rule.mixed_reference(log_policy)))
            loss = PopulationLoss(objective, P, mu, log_reference)
            fitted = fit(model, found.responses, loss.newton, inner, chosen, found.prompts)
            kappa, cosine = progress_of(rule, P, log_policy, fitted.log_probs)
            row = {
                "log_probs": fitted.log_probs,
                "residuals": fitted.residual,
                "steps": np.array(fitted.steps),
                "kappa": kappa,
                "cosine": cosine,
                "win_rates": P,
            }
            if ballot is not None:
                row |= {"counts": ballot.counts, "standard_errors": ballot.standard_errors}
            history = {name: np.append(history[name], row[name][None], 0) for name in history}
            if store is not None:
                store.save(chosen, history)
    return history


def progress_of(
    rule: MixedReferenceSampling, P: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Share of the exact round that was gone, and the cosine with it (claim RND-4).

    .. math:: \hat\kappa = \frac{\langle\theta'-\theta, F(\theta)-\theta\rangle}
              {|F(\theta)-\theta|^2}

    in centred logits, prompt by prompt; NaN where the exact round F does not exist or stands still.
    The exact round is computed after training and only to be compared with.
    """
    theta = centre(before)
    try:
        goal = centre(rule.replace(game=PreferenceMatrix(P)).update(theta)) - theta
    except NoOptimum:
        goal = np.full_like(theta, np.nan)
    gone = centre(after) - theta
    length, distance = np.linalg.norm(goal, axis=-1), np.linalg.norm(gone, axis=-1)
    along = (gone * goal).sum(-1)
    moves = length > STILL
    kappa = np.where(moves, along / np.where(moves, length, 1) ** 2, np.nan)
    both = moves & (distance > 0)
    cosine = np.where(both, along / np.where(both, length * distance, 1), np.nan)
    return kappa, cosine


def _beginning(log_probs: np.ndarray, voted: bool) -> Arrays:
    """The history before the first round."""
    prompts, K = log_probs.shape
    tables = ("win_rates", "counts", "standard_errors") if voted else ("win_rates",)
    return {
        "log_probs": log_probs[None],
        **{name: np.zeros((0, prompts)) for name in ("residuals", "kappa", "cosine")},
        "steps": np.zeros(0, int),
        **{name: np.zeros((0, prompts, K, K)) for name in tables},
    }
