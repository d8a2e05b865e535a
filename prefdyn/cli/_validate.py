"""``prefdyn validate``: whether the predictions are true of a language model."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from prefdyn.cli._model import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Validate(ModelOptions):
    """Predict, train, compare: six experiments on a language model, each with a verdict.

    The predictions are written down before the model is trained.  Experiments that are already in
    the folder, for the same model and settings, are not run again.

    For example:
      prefdyn validate --size quick
      prefdyn validate --model my-model --out my-validation
    """

    out: Annotated[Path, arg(metavar="DIR")] = Path("validation")
    """Folder for validation.json, the predictions, the data and the figures."""
    size: Literal["quick", "default"] = "default"
    """quick: two minutes on two cores; default: ten (for the model that ships)."""
    only: Annotated[str | None, arg(metavar="NAME,…", help_behavior_hint="")] = None
    """Experiments to run, with commas between them; all by default."""
    workers: Annotated[int, arg(metavar="N")] = 2
    """Experiments that run at once, one thread each; take 1 for a large model."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of all randomness."""
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Run what is missing, and collect all records."""
        from dataclasses import asdict

        from prefdyn.llm import validate

        names = validate.ORDER if self.only is None else tuple(self.only.split(","))
        records = validate.run(
            **self.model_settings(),
            out=self.out,
            size=self.size,
            experiments=names,
            processes=self.workers,
            seed=self.seed,
            report=_tell,
        )
        return {
            "out": str(self.out),
            "size": self.size,
            "seed": self.seed,
            "verdicts": {
                verdict: sum(record.verdict == verdict for record in records)
                for verdict in validate.VERDICTS
            },
            "records": [asdict(record) for record in records],
        }

    def interrupted(self) -> tuple[str, list[str] | None]:
        """What is kept, and what the command needs to go on."""
        return f"finished experiments are kept in {self.out}", []

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """A table for each experiment, notes on what failed, and how many have which verdict."""
        from prefdyn.cli._output import table

        records = answer["records"]
        for experiment in dict.fromkeys(record["experiment"] for record in records):
            own = [record for record in records if record["experiment"] == experiment]
            yield table(
                "quantity",
                "predicted",
                "measured",
                "tolerance",
                "verdict",
                rows=map(_row, own),
                title=experiment.replace("_", " "),
            )
            for record in own:
                if record["verdict"] in ("fails", "not_run") and record["note"]:
                    yield f"{record['quantity']}: {record['note']}"
        counts = answer["verdicts"].items()
        words = ", ".join(f"{n} {verdict.replace('_', ' ')}" for verdict, n in counts if n)
        yield f"\n{words}; everything is in {answer['out']}"


def _row(record: dict[str, Any]) -> list[str]:
    from prefdyn.cli._output import number

    def shown(value: Any) -> str:
        return "" if value is None else value if isinstance(value, str) else number(value)

    numbers = shown(record["predicted"]), shown(record["measured"])
    return [record["quantity"], *numbers, record["tolerance"], record["verdict"].replace("_", " ")]


def _tell(name: str, result: dict[str, Any]) -> None:
    """One line on standard error as an experiment is done."""
    verdicts = [record["verdict"] for record in result["records"]]
    failed = verdicts.count("fails")
    words = f"{failed} of {len(verdicts)} fail" if failed else f"{len(verdicts)} records"
    print(f"{name}: {words} ({result['seconds']:.0f} s)", file=sys.stderr)
