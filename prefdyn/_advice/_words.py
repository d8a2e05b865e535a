"""What `advise` found, in sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from prefdyn._stability import LastIterate, Stability, StabilityIntervals, Verdict
from prefdyn.games.matrix import PreferenceMatrix

if TYPE_CHECKING:
    from prefdyn._advice.advise import Advice, Posterior
    from prefdyn._advice.cures import Cure

COLLAPSED = 0.99
"""Mass on one response at the fixed point from which a recipe counts as collapsing."""


def describe(game: PreferenceMatrix, advice: "Advice") -> Iterator[str]:
    """All that was found, most important first."""
    if advice.alpha == 1:
        yield from _at_alpha_one(game, advice.last_iterate)
        yield from _cured(advice.cures)
        return
    if advice.verdict is not None:
        yield from _judged(game, advice.verdict, f"beta = {advice.beta:g}", advice.entropy or 0.0)
        if advice.verdict.word in ("unstable", "bistable") and not advice.cures:
            yield "No cure is known that is stable at this fixed point."
        yield from _cured(advice.cures)
    if advice.beta_intervals is not None:
        yield _stable_beta(advice.beta_intervals)
    if advice.stable_share is not None:
        yield _stable_share(advice.stable_share, advice.beta)
    if advice.posterior is not None:
        yield _uncertainty(advice.posterior)


def _name(game: PreferenceMatrix, response: int | None) -> str:
    return game.names[response or 0] if game.names else f"response {response}"


def _judged(game: PreferenceMatrix, judged: Verdict, where: str, spread: float) -> Iterator[str]:
    linear = judged.stability
    yield f"At {where} the recipe is {judged.word} (spectral radius {_near_one(linear)})."
    if judged.word == "unstable":
        yield {
            "neimark_sacker": f"It oscillates, at first about {linear.period:.3g} rounds per turn.",
            "flip": "It alternates between two policies.",
            "fold": "It moves away from the fixed point in one direction.",
        }[str(linear.kind)]
    if judged.word == "bistable" and judged.far_starts is not None:
        far = judged.far_starts
        yield (
            f"{far.astray} of {far.number} far starts stay on another attractor, up to "
            f"{far.distance:.2g} away (root mean square) after {far.rounds} rounds."
        )
    if judged.far_starts is not None and judged.far_starts.slow:
        far = judged.far_starts
        yield (
            f"{far.slow} of {far.number} far starts were still away after {far.rounds} rounds, "
            "perhaps on their way: undecided."
        )
    for certificate in judged.certificates:
        if certificate.holds and certificate.proves in ("global", "collapse"):
            yield f"Proof ({certificate.claim}): {certificate.statement}."
    top = int(np.argmax(linear.point.policy))
    mass = float(linear.point.policy[top])
    state = "collapsed" if mass > COLLAPSED else "spread"
    yield (
        f"Its fixed point is {state}: {_name(game, top)} has {mass:.3g} of the mass "
        f"(entropy {spread:.3g} of {np.log(game.K):.3g} nats)."
    )


def _cured(cures: "tuple[Cure, ...]") -> Iterator[str]:
    """The best cure, and the others in brief."""
    if not cures:
        return
    best, *others = cures
    if best.passed:
        yield f"Best cure: {best.sentence}"
    else:
        yield f"No cure that was tried settles from every far start; the fastest: {best.sentence}"
    if others:
        brief = "; ".join(f"{cure.label} {cure.spectral_radius:.4g}" for cure in others)
        yield f"Other cures, with their spectral radius per round: {brief}."


def _near_one(linear: Stability) -> str:
    """The spectral radius, as its distance from 1 where four digits would hide that."""
    distance = 1 - linear.spectral_radius
    if 0 < abs(distance) < 1e-3:
        return f"1 {'-' if distance > 0 else '+'} {abs(distance):.2g}"
    return f"{linear.spectral_radius:.4g}"


def _stable_beta(found: StabilityIntervals) -> str:
    low, high = found.range
    if found.value is None:
        return f"Every beta from {low:g} to {high:g} is locally stable."
    if not found.intervals:
        return f"No beta from {low:g} to {high:g} is stable: unstable up to the end of the range."
    pieces = " and ".join(f"{a:.4g} to {b:.4g}" for a, b in found.intervals)
    text = f"Locally stable beta between {low:g} and {high:g}: {pieces}"
    return text + ("." if found.value < high else ", but unstable up to the end of the range.")


def _stable_share(largest: float, beta: float | None) -> str:
    share = "any on-policy share" if largest == 1 else f"an on-policy share up to {largest:.3g}"
    return f"At beta = {beta:g}, {share} is locally stable."


def _uncertainty(posterior: "Posterior") -> str:
    text = (
        f"Given the votes, some beta in the range is unstable with probability "
        f"{posterior.unstable:.2g} ({posterior.draws} posterior draws)"
    )
    if posterior.beta is None:
        return text + "."
    low, median, high = posterior.beta
    return (
        f"{text}; if so, the largest unstable beta is {median:.3g} "
        f"({low:.3g} to {high:.3g} in 90 % of the draws)."
    )


def _at_alpha_one(game: PreferenceMatrix, last: LastIterate | None) -> Iterator[str]:
    yield "alpha = 1: nothing pulls back to a fixed reference, so there is no threshold in beta."
    if last is None:
        yield "Give a beta to get the rate of collapse or the speed of cycling."
    elif last.kind == "collapse":
        reached = (
            f"99.9 % of the mass after {last.rounds_to_collapse} rounds from the reference"
            if last.rounds_to_collapse is not None
            else "99.9 % of the mass not reached in 20,000 rounds"
        )
        yield (
            f"The policy collapses onto {_name(game, last.top)}: its log-odds grow by "
            f"{last.rate:.3g} nats per round in the end; {reached}."
        )
    elif last.kind == "tie":
        yield f"{_name(game, last.top)} ties at the top: the mass stays on the tied responses."
    elif last.rounds_per_turn is None:
        yield "The policy cycles outward to the boundary; no interior equilibrium sets a speed."
    else:
        yield (
            f"The policy cycles outward to the boundary: at first {last.rounds_per_turn:.3g} "
            f"rounds per turn, the amplitude growing by {last.growth_per_round:.6g} per round."
        )
