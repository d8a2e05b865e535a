"""Whether rounds, or evaluations at equal spacing, go in circles."""

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn._modes import DynamicModes, dynamic_modes
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._severity import limit
from prefdyn.runlog._words import measured, sentence

FOLLOWED = ("chosen", "rejected", "greedy", "reward_margin")
SURELY = 4.0
"""Standard errors between 0 and the multiplier of a mode worth a word: a mode without memory has
multiplier 0, and noise is that far off less than once in a thousand."""
CALM = (
    "let references keep a share of the first one (alpha < 1) and take fewer steps per round: with "
    "such an anchor, rounds that go only part of the way are rounds with a larger beta and more of "
    "the old policy, and stable from a smaller beta on; prefdyn stability says how far"
)


def modes_of(log: RunLog) -> DynamicModes:
    """Linear modes of the rounds, or of the evaluations.

    Raises
    ------
    InsufficientData
        If there are too few, they are not at equal spacing, or have no modes.
    """
    if log.rounds is not None:
        return dynamic_modes(log.rounds)
    found = [log.series[f"eval/{name}"] for name in FOLLOWED if f"eval/{name}" in log.series]
    if not found:
        raise InsufficientData(
            "the log has no rounds and no evaluations: oscillation shows in log-probabilities of "
            "the same responses at the end of every round."
        )
    steps = found[0].steps
    together = [one.values for one in found if np.array_equal(one.steps, steps)]
    if len(np.unique(np.diff(steps))) > 1:
        raise InsufficientData(
            "the evaluations are not at equal spacing: evaluate every so many steps."
        )
    return dynamic_modes(np.stack(together, axis=1))


def oscillation(log: RunLog, modes: DynamicModes) -> list[Finding]:
    """The largest mode that turns, if one swings by a noticeable amount."""
    there = (modes.swing > limit("noticeable")) & (modes.growth > SURELY * modes.errors)
    turning = np.flatnonzero(modes.turning & there)
    if not len(turning):
        return []
    k = turning[0]
    unit = "rounds" if log.rounds is not None else "evaluations"
    low, high = modes.period_interval[k]
    growth_low, growth_high = modes.growth_interval[k]
    evidence = (
        f"{modes.share[k]:.0%} of what moves goes round once in {modes.period[k]:.3g} {unit} "
        f"({low:.3g} to {high:.3g} with {modes.confidence:.0%} confidence), by up to "
        f"{modes.swing[k]:.2g} nats to either side, and grows by the factor "
        f"{measured(float(modes.growth[k]), float(modes.growth_error[k]))} per {unit[:-1]}"
    )
    lasting = np.exp(-1 / modes.rounds)
    if growth_high < lasting:
        return [Finding("oscillation", "info", sentence(f"{evidence}: it dies out"), None, "", "")]
    severity = "alarm" if growth_low > lasting else "warning"
    words = "it does not die out" if severity == "alarm" else "whether it dies out is not sure"
    if log.rounds is None:
        words += "; does the data repeat at that distance"
        return [Finding("oscillation", "info", sentence(f"{evidence}: {words}?"), None, "", "")]
    told, advice = sentence(f"{evidence}: {words}"), sentence(CALM)
    return [Finding("oscillation", severity, told, 0, advice, "RND-2")]
