"""What was found about a pipeline, in sentences."""

from collections.abc import Iterator
from math import inf, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from prefdyn._stability import LastIterate, Stability
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.pipeline._objective import DRIVEN
from prefdyn.pipeline.moving_reference import least_kappa, speed, strength

if TYPE_CHECKING:
    from prefdyn.pipeline._translate import Translation


def everywhere(made: "Translation") -> Iterator[str]:
    """For every game."""
    if made.kind == "one round":
        yield (
            "One round on fixed data against a fixed reference: nothing goes round, so neither "
            "oscillation nor collapse by rounds is possible, on any game. What can go wrong is "
            "inside the round: pairs that push their chosen answers down (prefdyn predict). If the "
            "trainer is run again on new data, say how often (rounds) and against which reference."
        )
    elif made.on_table not in DRIVEN:
        yield (
            "What happens on every game is known for rounds of IPO and DPO, not for this "
            "objective: judge it on games."
        )
    elif made.kind == "drift":
        yield from _drifting(made)
    elif made.kind == "tracking":
        yield (
            "Pairs from the policy and a reference that follows it: nothing anchors the policy. "
            "On games with a dominant response it collapses onto that one; on cycles:"
        )
        yield from lagging(made.mixing or 0.0, made.kappa, least_kappa(made.mixing or 0.0))
    elif made.lam == 0:
        yield (
            "The sampler never moves, so every round pushes the same way and nothing can turn: "
            + ("the policy drifts without end." if made.alpha == 1 else "every start converges.")
        )
    elif made.alpha == 1:
        yield (
            "Every round starts from the last policy and draws pairs from it: nothing anchors it. "
            "Whatever beta and kappa are, it collapses where a response dominates and cycles "
            "outward where preferences go in a circle (MRS-10, MRS-12); only averages settle. A "
            "reference that keeps a share of the first one (alpha < 1) has a stable beta."
        )
    elif made.on_table == "ipo":
        yield from _every_ipo(made)
    else:
        yield (
            "For DPO no beta is known that is stable on every game: rock-paper-scissors takes four "
            "times IPO's (DPO-8), and games with wins that are nearly certain more. Judge it on "
            "games."
        )


def _every_ipo(made: "Translation") -> Iterator[str]:
    """PIPE-3: LAB-1 and MRS-9 with max|A| = 1/2, solved for the fraction of a round."""
    turn = (made.lam if made.mixture is None else 1 - made.mixture) / made.temperature
    room, alpha = 1 - made.alpha, made.alpha
    if made.beta is None:
        yield (
            f"Exact rounds are locally stable on every game for beta above "
            f"{turn / (pi * sqrt(1 - alpha**2)):.3g} (LAB-1); beta waits for the number of tokens "
            "per response."
        )
        return
    local = 2 * room / (room**2 + (turn / (pi * made.beta)) ** 2)
    least = turn / (pi * sqrt(1 - alpha**2))
    if local > 1:
        yield (
            f"Locally stable on every game, however large a fraction of a round is executed: "
            f"beta = {made.beta:.3g} is above {least:.3g} (LAB-1)."
        )
    elif made.kappa is None:
        yield (
            f"Locally stable on every game if rounds go less than kappa = {local:.3g} of the way "
            f"to their optimum (PIPE-3); exact rounds need beta above {least:.3g}."
        )
    else:
        state = "is" if made.kappa < local else "is not proved to be"
        yield (
            f"With kappa = {made.kappa:.3g} it {state} locally stable on every game: that takes "
            f"kappa below {local:.3g} (PIPE-3), or beta above "
            f"{_least_beta(made.kappa, room, turn):.3g}."
        )
    if made.mixture is None and made.temperature == 1:
        whole = room / (room**2 + (made.lam / (2 * made.beta)) ** 2)
        state = (
            ""
            if made.kappa is None
            else (", which it does" if made.kappa <= whole else ", which it does not")
        )
        limit = min(whole, 1.0)
        yield (
            f"Every start converges, proved for every game, if rounds go at most kappa = "
            f"{limit:.3g} of the way{state} (PIPE-3)."
        )


def _least_beta(kappa: float, room: float, turn: float) -> float:
    """Beta of LAB-1 for a fraction of a round, by the exact round that it is."""
    kept = 1 - kappa * room
    return kappa * turn / (pi * sqrt(1 - kept**2))


def _drifting(made: "Translation") -> Iterator[str]:
    mixing = made.mixing or 0.0
    yield (
        "The reference follows the policy and the data stay: both drift the same way without end, "
        "on any game, and nothing can oscillate (PIPE-1). The pull of beta fades with every "
        "update of the reference."
    )
    per = speed(mixing, made.kappa or 1.0)
    most = "" if made.kappa is not None else "at most "
    if made.periods is None:
        yield f"Each update adds {most}{per:.3g} of what one round with this beta would do."
        return
    moved = strength(mixing, made.kappa or 1.0, made.periods)
    end = "" if made.beta is None else f", here {made.beta / moved:.3g}"
    yield (
        f"In the whole run, {made.periods:.3g} times the steps between two updates, the policy "
        f"moves {most}{moved:.3g} times as far as one round would move it: as far as one round "
        f"against the first reference at beta / {moved:.3g}{end}."
    )


def of_kappa(
    made: "Translation", limit: float, radius: float, above: float | None
) -> Iterator[str]:
    """What the fraction of a round changes."""
    if made.kappa is None and radius < 1:
        yield (
            "Rounds that go only part of the way to their optimum have the same fixed point and "
            "are locally stable, too (RND-2)."
        )
    elif made.kappa is None:
        yield (
            f"That is for rounds that reach their optimum. Rounds that go less than kappa = "
            f"{limit:.3g} of the way settle, at the same fixed point (RND-2): take fewer steps "
            "or a lower learning rate per round, and measure kappa (prefdyn iterate)."
        )
    elif made.kappa >= limit:
        more = "" if above is None else f", or beta above {above:.3g} (RND-1)"
        yield f"It settles with kappa below {limit:.3g} (RND-2){more}."
    elif radius >= 1:
        yield (
            f"Rounds that reached their optimum would not settle here (spectral radius "
            f"{radius:.4g}): it is stable because they go less than {limit:.3g} of the way (RND-2)."
        )


def in_so_many_rounds(made: "Translation", radius: float) -> Iterator[str]:
    """What can become of a small deviation before the rounds are over."""
    if made.rounds is not None:
        yield (
            f"In {made.rounds} rounds a small deviation from the fixed point is multiplied by "
            f"about {radius**made.rounds:.3g}."
        )


def judged(word: str, linear: Stability) -> Iterator[str]:
    """The word, and how it moves."""
    yield f"On this game the pipeline is {word} (spectral radius {linear.spectral_radius:.4g})."
    if word == "unstable" and np.isfinite(linear.period):
        yield f"It oscillates, at first about {float(linear.period):.3g} rounds per turn."


def one_round(
    made: "Translation", game: PreferenceMatrix, policy: np.ndarray, spread: float
) -> Iterator[str]:
    """Where a single round ends."""
    end = "its optimum" if made.kappa in (None, 1.0) else f"{made.kappa:.3g} of the way"
    yield (
        f"One round from a uniform reference, {end}: {_top(game, policy)} "
        f"(entropy {spread:.3g} of {np.log(game.K):.3g} nats)."
    )


def drifted(
    made: "Translation", game: PreferenceMatrix, moved: float, policy: np.ndarray, spread: float
) -> Iterator[str]:
    """Where a moving reference takes the policy."""
    start = "The run" if made.kappa is not None else "A run that goes as far as it can"
    yield (
        f"{start} ends at the one-round optimum at beta / {moved:.3g}: {_top(game, policy)} "
        f"(entropy {spread:.3g} of {np.log(game.K):.3g} nats)."
    )


def lagging(mixing: float, kappa: float | None, least: float) -> Iterator[str]:
    """The lag of a moving reference damps weak cycles, or does not."""
    if least == inf:
        yield (
            f"A reference that moves {mixing:.3g} of the way follows too closely: cycles grow, "
            "however weak. It takes less than 2/3 (PIPE-2)."
        )
        return
    state = (
        ""
        if kappa is None
        else (", which it does here" if kappa > least else ", which it does not here")
    )
    yield (
        f"The reference lags, which damps: with a mixing of {mixing:.3g} a weak cycle settles if "
        f"the steps between two updates go more than kappa = {least:.3g} of the way{state} "
        "(PIPE-2); a strong one can grow all the same."
    )


def without_anchor(
    made: "Translation", game: PreferenceMatrix, found: LastIterate
) -> Iterator[str]:
    """Collapse or cycling at alpha = 1."""
    unit = "round" if made.kind == "rounds" else "update of the reference"
    most = " at most" if made.kappa is None else ""
    if found.kind == "collapse":
        yield (
            f"The policy collapses onto {_name(game, found.top)}: its log-odds grow by{most} "
            f"{found.rate:.3g} nats per {unit} in the end."
        )
    elif found.kind == "tie":
        yield f"{_name(game, found.top)} ties at the top: the mass stays on the tied responses."
    elif found.rounds_per_turn is not None:
        yield (
            f"The policy cycles outward to the boundary: at first {found.rounds_per_turn:.3g} "
            f"{unit}s per turn, the amplitude growing by {found.growth_per_round:.6g} per {unit}."
        )
    else:
        yield "The policy cycles outward to the boundary."
    if made.kind == "rounds" and found.kind == "cycling":
        claim = " (LAB-1)" if made.on_table == "ipo" else ""
        yield f"Keep a share of the first reference (alpha < 1), which has a stable beta{claim}."


def _top(game: PreferenceMatrix, policy: Any) -> str:
    top = int(np.argmax(policy))
    return f"{_name(game, top)} has {policy[top]:.3g} of the mass"


def _name(game: PreferenceMatrix, response: int | None) -> str:
    return game.names[response or 0] if game.names else f"response {response}"
