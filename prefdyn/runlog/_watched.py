"""Which of a log's series tell how likely the chosen and the rejected responses are."""

from dataclasses import dataclass, replace

from prefdyn._errors import InsufficientData
from prefdyn.runlog._log import RunLog, Series
from prefdyn.runlog._trend import Trend, trend


@dataclass(frozen=True, eq=False)
class Watched:
    """A series, its trend, and what a unit of it is.

    Attributes
    ----------
    series : Series
    trend : Trend
    nats : bool
        Whether it is in nats per response, so that sizes can be judged.
    ratio : bool
        Whether it is measured against the reference.
    how : str
        Where the figures come from, in words.
    """

    series: Series
    trend: Trend
    nats: bool
    ratio: bool
    how: str

    @property
    def unit(self) -> str:
        """What its numbers are."""
        return "nats" if self.nats else "units of reward"

    @property
    def when(self) -> str:
        """What a step of it is called."""
        return "evaluation at step" if self.series.split == "eval" else "step"


def side(log: RunLog, name: str) -> Watched:
    """What the log says about ``"chosen"`` or ``"rejected"`` responses.

    Evaluations come first, because they are of the same responses every time.  In training every
    batch is another: there the log-ratio, reward over beta, is steadier than the log-probability,
    because what makes a response likely or not stands in both models.

    Raises
    ------
    InsufficientData
        If the log has nothing, or too few readings.
    """
    beta = log.settings.get("beta")
    reference = not log.settings.get("reference_free")
    for split in ("eval", "train"):
        direct = log.series.get(f"{split}/{name}")
        reward = log.series.get(f"{split}/reward_{name}")
        if split == "train" and reward is not None and reference and beta:
            return _ratio(reward, beta)
        if direct is not None:
            return Watched(direct, trend(direct), True, False, f"({direct.column})")
        if reward is not None and beta:
            return _ratio(reward, beta)
        if reward is not None:
            how = f"(from {reward.column}: to say it in nats, beta must be known)"
            return Watched(reward, trend(reward), False, reference, how)
    raise InsufficientData(
        f"the log has neither the log-probability nor the reward of {name} responses: log "
        f"logps/{name} of the same responses at every evaluation."
    )


def _ratio(reward: Series, beta: float) -> Watched:
    nats = replace(reward, values=reward.values / beta)
    return Watched(nats, trend(nats), True, True, f"({reward.column} over beta = {beta:g})")


def optional(log: RunLog, name: str) -> Trend | None:
    """Trend of a series that may be missing or too short."""
    found = log.get(name)
    try:
        return None if found is None else trend(found)
    except InsufficientData:
        return None
