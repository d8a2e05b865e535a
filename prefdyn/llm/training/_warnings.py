"""What measurements during training say, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

NOTICEABLE = 0.1
"""Changes of a mean log-probability below this many nats are not spoken of."""
COLLAPSED = 0.5
"""Share of its first value under which the entropy has collapsed."""
ROUNDS = 4
"""Rounds that a statement about oscillation needs at least."""


def warnings_of(first: Mapping[str, float], now: Mapping[str, float], gain: float) -> dict:
    """Sentences about a run, by name: ``displacement``, ``squeezing``, ``entropy``.

    Parameters
    ----------
    first, now
        Readings of a `Probe` before training and now.
    gain
        How far the training loss has fallen.
    """
    moved = {name: now[name] - first[name] for name in now}
    chosen, rejected = moved["probe/logps_chosen"], moved["probe/logps_rejected"]
    top = moved["probe/logps_greedy"]
    found = {}
    if chosen < -NOTICEABLE and gain > 0:
        found["displacement"] = (
            f"displacement: chosen responses of the probe have lost {-chosen:.2f} nats on average "
            f"while the loss fell by {gain:.3g}; lower the learning rate, leave out pairs that "
            "look alike (prefdyn predict ranks them), or take an objective that holds chosen "
            "responses (dpo_nll, dpop, spo)."
        )
    if top > NOTICEABLE and max(chosen, rejected) < -NOTICEABLE:
        found["squeezing"] = (
            f"squeezing: the first model's greedy continuations have gained {top:.2f} nats while "
            f"chosen ({chosen:+.2f}) and rejected ({rejected:+.2f}) responses lose; train on "
            "responses that the model itself would write, or train on both responses first."
        )
    entropy = now["probe/entropy"]
    if entropy < COLLAPSED * first["probe/entropy"]:
        found["entropy"] = (
            f"entropy: it has fallen from {first['probe/entropy']:.3g} to {entropy:.3g} nats per "
            "token; raise beta or stop earlier."
        )
    return found


def oscillation(rounds: Sequence[np.ndarray]) -> str | None:
    """A sentence if log-probabilities at the ends of rounds go back and forth, else None.

    Along the direction in which they vary most, they must turn at least twice by a noticeable
    amount, and the last swing must be at least half the largest.

    Parameters
    ----------
    rounds
        Log-probabilities (R,) of the same responses after each round.
    """
    if len(rounds) < ROUNDS:
        return None
    moved = np.asarray(rounds) - np.mean(rounds, axis=0)
    along = moved @ np.linalg.svd(moved, full_matrices=False)[2][0]
    steps = np.diff(along)
    turns = np.flatnonzero(steps[1:] * steps[:-1] < 0) + 1
    if len(turns) < 2:
        return None
    ends = along[[0, *turns, len(along) - 1]]
    swings = np.abs(np.diff(ends))
    # The swing under way is not over: the one before it is the last whole one.
    last = max(swings[-2:])
    if last < NOTICEABLE or last < 0.5 * swings.max():
        return None
    return (
        f"oscillation: over {len(rounds)} rounds the probe's responses have turned {len(turns)} "
        f"times, by {last:.2f} nats last; raise beta, or mix the sampler and the reference with "
        "older ones (prefdyn stability says how much is enough)."
    )
