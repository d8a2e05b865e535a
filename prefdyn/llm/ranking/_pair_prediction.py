"""What is predicted of one preference pair."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from prefdyn.displacement.diagnosis import Entanglement


class Gain(NamedTuple):
    """A next token that gains probability where chosen and rejected part.

    Attributes
    ----------
    token : int
        Its id.
    text : str
        What it stands for.
    probability : float
        Before the step.
    rate : float
        ``d log p``, nats per unit of learning rate.
    share : float
        Of all probability that is gained there.
    """

    token: int
    text: str
    probability: float
    rate: float
    share: float


@dataclass(frozen=True)
class PairPrediction:
    """What a step on a preference pair will do; by `rank_pairs`.

    Rates are changes of summed log-probabilities in nats per unit of learning rate, under gradient
    descent from the model as it is (claim KER-1); a step of size eta changes them by eta times
    this, up to O(eta^2).

    Attributes
    ----------
    line : int
        Where the pair stands in the data, counted from 1.
    prompt_length, chosen_length, rejected_length : int
        In tokens.
    chosen_log_prob, rejected_log_prob : float
        Before the step, in nats.
    d_w, d_l : float
        Pushes of the objective, the mean over the tokens.
    chosen_rate, rejected_rate : float
        Under a step on this pair alone.
    entanglement : Entanglement
        The inner products behind these rates.
    ches, ln_ches, last_hidden, edit_distance, length_difference : float
        Scores of `prefdyn.displacement`, larger where more displacement is expected.
    batch : int
        Number of the batch it was measured in, from 0.
    batch_chosen_rate, batch_rejected_rate : float
        Under a step on the mean loss of that batch.
    pushed_by : int or None
        Line of the other pair of the batch that pushes this chosen response down most, or up
        least; None without another pair.
    pushed_rate : float or None
        What a step on that pair alone does to this chosen response.
    effect_on_others : float or None
        What a step on this pair alone does to the other chosen responses of the batch, on average.
    parts_at : int
        Number of tokens that chosen and rejected have in common at their beginning.
    gains : tuple of Gain
        Next tokens there that gain most probability by a step on this pair alone.
    greedy : str or None
        The model's own most likely continuation of the prompt, where it was asked for.
    greedy_rate : float or None
        What a step on this pair alone does to it: where a rejected response is pushed down from
        far below, this is what rises (squeezing, arXiv 2407.10490).
    """

    line: int
    prompt_length: int
    chosen_length: int
    rejected_length: int
    chosen_log_prob: float
    rejected_log_prob: float
    d_w: float
    d_l: float
    chosen_rate: float
    rejected_rate: float
    entanglement: Entanglement
    ches: float
    ln_ches: float
    last_hidden: float
    edit_distance: float
    length_difference: float
    batch: int
    batch_chosen_rate: float
    batch_rejected_rate: float
    pushed_by: int | None
    pushed_rate: float | None
    effect_on_others: float | None
    parts_at: int
    gains: tuple[Gain, ...] = ()
    greedy: str | None = None
    greedy_rate: float | None = None

    @property
    def margin_rate(self) -> float:
        """``d (log pi_w - log pi_l)`` under a step on this pair alone."""
        return self.chosen_rate - self.rejected_rate

    @property
    def chosen_falls(self) -> bool:
        """Whether a step on this pair alone lowers its chosen response."""
        return self.entanglement.chosen_sign < 0

    @property
    def kind(self) -> str:
        """``"ideal"``, ``"both down"``, ``"both up"``, ``"reversed"`` or ``"still"``."""
        return self.entanglement.kind

    def row(self) -> dict[str, Any]:
        """Everything as one flat row of plain data."""
        row = asdict(self)
        row |= row.pop("entanglement")
        row["gains"] = [gain._asdict() for gain in self.gains]
        return row | {
            "cosine": self.entanglement.cosine,
            "margin_rate": self.margin_rate,
            "kind": self.kind,
        }
