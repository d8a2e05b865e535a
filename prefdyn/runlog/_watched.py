"""Which of a log's series tell how likely responses are, and what a unit of them is."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from prefdyn._errors import InsufficientData
from prefdyn.runlog._log import RunLog, Series
from prefdyn.runlog._severity import limit
from prefdyn.runlog._trend import FEWEST, Peak, Trend, peak, since, trend


@dataclass(frozen=True, eq=False)
class Watched:
    """A series that says how likely some responses are.

    Attributes
    ----------
    series : Series
        In the unit.
    trend : Trend
        All of it.
    unit : str
        ``"nats"``, ``"nats per token"`` or ``"units of reward"``.
    source : str
        Where the numbers come from, in words.
    """

    series: Series
    trend: Trend
    unit: str
    source: str

    @property
    def in_nats(self) -> bool:
        """Whether its size can be judged."""
        return self.unit != "units of reward"

    @cached_property
    def peak(self) -> Peak:
        """When it was highest."""
        return peak(self.series, self.trend)

    def down(self) -> bool:
        """Whether it is surely below its start, by more than a noticeable amount."""
        return self.trend.moves(-1, limit("chance"), self._least("noticeable"))

    def far_down(self) -> bool:
        """Whether it is surely below its start, by a large amount."""
        return self.trend.moves(-1, limit("chance"), self._least("large"))

    def past_its_peak(self) -> bool:
        """Whether it surely rose, and has surely fallen since, by a noticeable amount.

        The fall is judged by the readings after the last step at which the peak may lie: those at
        the peak were picked for being high.
        """
        later = since(self.series, self.peak.latest)
        if self.peak.earliest == self.series.steps[0] or len(later.values) < FEWEST:
            return False
        return trend(later).moves(-1, limit("chance"), self._least("noticeable"))

    def _least(self, name: str) -> float:
        return limit(name) if self.in_nats else 0.0


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
    candidates = [
        watched for split in ("eval", "train") for watched in _candidates(log, split, name)
    ]
    if not candidates:
        raise InsufficientData(
            f"the log has neither log-probabilities nor rewards of {name} responses: log "
            f"logps/{name} of the same responses at every evaluation."
        )
    short = ""
    for series, unit, source in candidates:
        try:
            return Watched(series, trend(series), unit, source)
        except InsufficientData as error:
            short = short or str(error)
    raise InsufficientData(short)


def _candidates(log: RunLog, split: str, name: str) -> list[tuple[Series, str, str]]:
    """Series, unit and source, the most telling first."""
    found = []
    if direct := log.series.get(f"{split}/{name}"):
        found.append((direct, "nats", direct.column))
    if reward := log.series.get(f"{split}/reward_{name}"):
        against = "log-probability" if log.settings.get("reference_free") else "log-ratio"
        if beta := log.settings.get("beta"):
            ratio = replace(reward, values=reward.values / beta)
            source = f"{reward.column}/beta, the {against}, with beta = {beta:g}"
            steady = split == "train" and against == "log-ratio"
            found.insert(0 if steady else len(found), (ratio, "nats", source))
        else:
            source = f"{reward.column}, which is beta times the {against}; nats need beta"
            found.append((reward, "units of reward", source))
    if mean := log.series.get(f"{split}/{name}_per_token"):
        found.append((mean, "nats per token", mean.column))
    return found


def path(log: RunLog, name: str) -> Trend | None:
    """Trend of a series that may be missing, or too short."""
    found = log.get(name)
    try:
        return None if found is None else trend(found)
    except InsufficientData:
        return None


def margin(log: RunLog) -> Trend | None:
    """Trend of the margin: of rewards, or of log-probabilities read at the same steps."""
    found = path(log, "reward_margin")
    chosen, rejected = log.get("chosen"), log.get("rejected")
    if found is not None or chosen is None or rejected is None:
        return found
    same = chosen.split == rejected.split and np.array_equal(chosen.steps, rejected.steps)
    if not same or len(chosen.values) < FEWEST:
        return None
    return trend(replace(chosen, values=chosen.values - rejected.values))
