"""``prefdyn predict``: which preference pairs will hurt, before any training."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from prefdyn.cli._objective import PairOptions, objective

Optional = arg(help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class Predict(PairOptions):
    """Rank preference pairs by what a training step on them will do: which chosen answers fall.

    A prediction costs a few passes per pair and no training.  A run that was interrupted goes on
    when the same command is given again.

    For example:
      prefdyn predict --data pairs.jsonl --out ranked
      prefdyn predict --data pairs.jsonl --objective simpo --keep 0.9 --out ranked
    """

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the predictions, the report, and the pairs worth keeping."""
    rate: Annotated[float | None, arg(metavar="RATE"), Optional] = None
    """Learning rate of plain gradient descent, to report changes in nats."""
    batch: Annotated[int, arg(metavar="N")] = 8
    """Pairs that are measured together, and that push each other."""
    gains: Annotated[int, arg(metavar="N")] = 5
    """Next tokens to name for each pair, those that gain most; 0 saves most of the time."""
    greedy: Annotated[int, arg(metavar="N")] = 0
    """Predict what happens to the model's own answer too, its N most likely tokens."""
    max_length: Annotated[int | None, arg(metavar="N"), Optional] = None
    """Most tokens of prompt and completion; by default what the model's context holds."""
    parameters: Annotated[str, arg(metavar="NAME,…")] = "all"
    """What would be trained: all, trainable, head, or names and patterns."""
    rank_by: Literal[
        "chosen_rate",
        "batch_chosen_rate",
        "ches",
        "ln_ches",
        "last_hidden",
        "edit_distance",
        "length_difference",
    ] = "chosen_rate"
    """Predicted rate of the chosen answer, alone or in its batch, or a cheaper score."""
    keep: Annotated[float | None, arg(metavar="SHARE"), Optional] = None
    """Write this share of the pairs, those with the least predicted displacement, to a file."""
    drop_falling: Annotated[bool, Optional] = False
    """Write the pairs whose chosen answer does not fall to a file; together with keep: both."""
    format: Literal["parquet", "jsonl"] = "parquet"
    """Of the predictions."""
    skip_bad: Annotated[bool, Optional] = False
    """Leave out records that cannot be used, and count them."""
    json: Annotated[bool, Optional] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Predict, rank, and write the files."""
        from prefdyn._files import exclusive
        from prefdyn._progress import working
        from prefdyn.llm.models import load
        from prefdyn.llm.ranking._data_set import rank_file

        chosen = objective(self.objective, self.beta, self.set)
        settings = self.model_settings()
        name = settings.pop("model")
        model, tokenizer = load(name, **settings)
        parameters = self.parameters.split(",")
        with exclusive(self.out), working("measuring pairs") as bar:
            found = rank_file(
                model,
                tokenizer,
                self.data,
                self.out,
                chosen,
                rate=self.rate,
                batch=self.batch,
                gains=self.gains,
                greedy=self.greedy,
                max_length=self.max_length,
                parameters=parameters[0] if len(parameters) == 1 else parameters,
                by=self.rank_by,
                keep=self.keep,
                drop_falling=self.drop_falling,
                form=self.format,
                skip_bad=self.skip_bad,
                tell=lambda sentence: print(sentence, file=sys.stderr),
                progress=bar.update,
            )
        return {"model": name} | found

    def interrupted(self) -> tuple[str, list[str] | None]:
        """What is kept, and what the command needs to go on."""
        return f"finished pieces are kept in {self.out / 'pieces'}", []

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """How many fall, the worst pairs, who gains, and where everything is."""
        from prefdyn.cli._output import facts, table

        together, step = answer["in_batches"], answer["step"]
        skipped = ", ".join(f"{number} {why}" for why, number in answer["skipped"].items())
        yield facts(
            pairs=f"{answer['pairs']} of {answer['data']}",
            skipped=skipped or None,
            objective=answer["objective"]["id"],
            chosen_falls=f"{answer['chosen_falls']:.1%} alone, {together['chosen_falls']:.1%} in "
            f"batches of {answer['batch']}",
            one_step=step
            and f"{step['median']:+.3g} nats in the median, {step['worst']:+.3g} at worst",
            kept=answer["kept"],
        )
        yield table(
            "line",
            "chosen",
            "rejected",
            "in its batch",
            "gains most",
            rows=(
                [
                    pair["line"],
                    pair["chosen_rate"],
                    pair["rejected_rate"],
                    pair["batch_chosen_rate"],
                    ", ".join(repr(gain["text"]) for gain in pair["gains"][:3]),
                ]
                for pair in answer["worst"]
            ),
            title="Worst pairs, in nats per unit of learning rate",
        )
        yield table(
            "score",
            "correlation with the predicted fall",
            rows=(
                (name.replace("_", " "), "does not vary" if rho is None else f"{rho:+.2f}")
                for name, rho in answer["correlations"].items()
            ),
        )
        yield f"Written: {', '.join(answer['files'].values())}"
