"""``prefdyn train``: train a language model, and log what the theory speaks about."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from prefdyn.cli._objective import PairOptions, objective

Optional = arg(help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class Train(PairOptions):
    """Train a language model on preference pairs with any objective, and log its dynamics.

    A run that was interrupted goes on when the same command is given again.  Several GPUs:
    accelerate launch -m prefdyn train ...

    For example:
      prefdyn train --data pairs.jsonl --objective dpo --beta 0.1 --rate 1e-5 --out run
      prefdyn train --data pairs.jsonl --objective spo --set base=ipo lam=1 --rate 1e-5 --out run
    """

    rate: Annotated[float, arg(metavar="RATE")]
    """Learning rate."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the model, the log (log.jsonl) and the checkpoint."""
    reference: Annotated[str | None, arg(metavar="NAME"), Optional] = None
    """Reference model; by default the model itself, before training."""
    cache: Annotated[Path | None, arg(metavar="DIR"), Optional] = None
    """Folder of the reference's log-probabilities, to share between runs; by default in --out."""
    epochs: Annotated[float, arg(metavar="N")] = 1.0
    """Passes over the data."""
    steps: Annotated[int | None, arg(metavar="N"), Optional] = None
    """Steps to take, instead of epochs."""
    batch: Annotated[int, arg(metavar="N")] = 8
    """Pairs per step, over all pieces and processes."""
    accumulate: Annotated[int, arg(metavar="N")] = 1
    """Pieces that a step is run in: the same result with less memory."""
    optimiser: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """How a gradient becomes a step."""
    weight_decay: Annotated[float, arg(metavar="X")] = 0.0
    """Of the optimiser."""
    momentum: Annotated[float, arg(metavar="X")] = 0.0
    """Of sgd."""
    warmup: Annotated[int, arg(metavar="N")] = 0
    """Steps in which the rate rises."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What the rate does after that."""
    clip: Annotated[float | None, arg(metavar="X"), Optional] = None
    """Largest norm of a gradient."""
    max_length: Annotated[int | None, arg(metavar="N"), Optional] = None
    """Most tokens of prompt and completion; by default what the model's context holds."""
    probes: Annotated[int, arg(metavar="N")] = 8
    """Pairs that are measured at every line of the log: the first of the data."""
    log_every: Annotated[int, arg(metavar="N")] = 10
    """Steps from one line of the log to the next."""
    save_every: Annotated[int, arg(metavar="N")] = 100
    """Steps from one checkpoint to the next."""
    skip_bad: Annotated[bool, Optional] = False
    """Leave out records that cannot be used, and count them."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of the order of the data."""
    json: Annotated[bool, Optional] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Read, train, save."""
        from prefdyn.llm.models import load
        from prefdyn.llm.training import Plan, read_data, train

        chosen = objective(self.objective, self.beta, self.set)
        names = ("rate", "steps", "epochs", "batch", "accumulate", "optimiser", "weight_decay")
        names += ("momentum", "warmup", "schedule", "clip", "seed", "log_every", "save_every")
        plan = Plan(objective=chosen, probes=self.probes, **{n: getattr(self, n) for n in names})
        settings = self.model_settings()
        name = settings.pop("model")
        model, tokenizer = load(name, **settings)
        reference = None
        if self.reference is not None:
            reference = load(self.reference, device=self.device, dtype=self.dtype).model
        data = read_data(
            self.data, model, tokenizer, max_length=self.max_length, skip_bad=self.skip_bad
        )
        more: dict[str, Any] = {"reference": reference, "cache": self.cache}
        done = train(model, tokenizer, data.responses, plan, self.out, **more)
        return {
            "model": name,
            "data": {"source": self.data, "pairs": data.pairs, "skipped": data.skipped},
            "objective": {"id": chosen.id, "parameters": chosen.numbers()},
            "steps": done.steps,
            "resumed_at": done.resumed_at,
            "loss": done.loss,
            "first": done.first,
            "last": done.last,
            "warnings": list(done.warnings),
            "out": str(self.out),
        }

    def interrupted(self) -> tuple[str, list[str] | None]:
        """What is kept, and what the command needs to go on."""
        if not (self.out / "checkpoint.pt").exists():
            return "no step was finished", []
        return f"the steps taken are kept in {self.out}", []

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """What was done, the probe before and after, and what to be warned of."""
        from prefdyn.cli._output import facts, table

        data, begun = answer["data"], answer["resumed_at"]
        skipped = ", ".join(f"{number} {why}" for why, number in data["skipped"].items())
        yield facts(
            data=f"{data['pairs']} pairs of {data['source']}",
            skipped=skipped or None,
            objective=answer["objective"]["id"],
            steps=f"{answer['steps']} (from {begun} on)" if begun else answer["steps"],
            loss=answer["loss"],
        )
        first, last = answer["first"], answer["last"]
        rows = [
            [name.removeprefix("probe/").replace("_", " "), first[name], last[name]]
            for name in first
        ]
        yield table("probe", "before", "after", rows=rows)
        yield from answer["warnings"]
        yield f"Written: model, log.jsonl and checkpoint.pt in {answer['out']}"
