"""The same measurements inside somebody else's trainer (transformers, TRL)."""

import json
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.llm._encoding import Responses
from prefdyn.llm.data import encode_pairs, paired_responses, read_pairs
from prefdyn.llm.training._probe import Probe, Reading
from prefdyn.llm.training._warnings import oscillation, warnings_of

logger = logging.getLogger(__name__)


class DynamicsCallback(TrainerCallback):
    """Watch a preference run: displacement, squeezing, entropy, oscillation across rounds.

    Every `every` steps a few pairs, the probe, are measured; the numbers (``probe/...``, explained
    in `prefdyn.llm.training`) go into the trainer's own log and, with `path`, into a file of JSON
    lines.  What becomes true is said once per run, in words, through `logging` and in
    ``warnings``.  Kept over several trainers, one after the other, it takes each of them for a
    round and also looks for oscillation.

    Parameters
    ----------
    every
        Steps between measurements.
    pairs
        How many pairs the probe takes from the trainer's data set.
    probe
        The pairs themselves: records with ``prompt``, ``chosen`` and ``rejected``, or `Responses`
        of chosen and rejected in turn.
    path
        A file for the readings; it is written anew, with null for what is not finite.

    Attributes
    ----------
    readings : list of dict
        All readings so far, each with ``round`` and ``step``.
    warnings : list of str
        All sentences so far.

    Notes
    -----
    The trainer hands a reading only to the reporters that stand behind this callback.  `attach`
    puts it before all of them.  The first process measures; the whole model must be in its memory,
    so sharded models (FSDP, ZeRO-3) are not measured right.

    Examples
    --------
    With any TRL trainer of pairs::

        from trl import DPOConfig, DPOTrainer
        from prefdyn.llm import DynamicsCallback, load

        model, tokenizer = load()
        watch = DynamicsCallback(every=5, path="dynamics.jsonl")
        trainer = DPOTrainer(
            model,
            args=DPOConfig("run", bf16=False, logging_steps=5),
            train_dataset=dataset,
            processing_class=tokenizer,
            callbacks=[watch],
        )
        trainer.train()
        print(watch.warnings)
    """

    def __init__(
        self,
        *,
        every: int = 10,
        pairs: int = 8,
        probe: Responses | Iterable[dict] | None = None,
        path: Path | str | None = None,
    ):
        self.every, self.pairs = count(every, "every"), count(pairs, "pairs")
        self.readings: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.rounds: list[np.ndarray] = []
        self._given = probe if isinstance(probe, Responses) or probe is None else list(probe)
        self._probe: Probe | None = None
        self._path = None if path is None else Path(path)
        self._begun = 0
        if self._path is not None:
            self._path.write_text("", encoding="utf-8")
        self._forget()

    def attach(self, trainer: Any) -> "DynamicsCallback":
        """Join a trainer before its reporters, so that all of them get the readings."""
        trainer.callback_handler.callbacks.insert(0, self)
        return self

    def on_train_begin(self, args, state, control, **kwargs):
        """Choose the probe, once, and measure the round's start."""
        if not state.is_world_process_zero:
            return
        self._forget()
        model, tokenizer = kwargs["model"], kwargs["processing_class"]
        if self._probe is None:
            self._probe = Probe.of(model, tokenizer, self._responses(tokenizer, kwargs))
        self._begun += 1
        self._read(model, state.global_step)

    def on_step_end(self, args, state, control, model, **kwargs):
        """Measure, and ask the trainer to log."""
        if state.is_world_process_zero and state.global_step % self.every == 0:
            self._read(model, state.global_step)
        if state.global_step % self.every == 0:
            control.should_log = True

    def on_log(self, args, state, control, logs, **kwargs):
        """Add the last reading to what is logged, and speak up."""
        if not self._new:
            return
        logs.update(self._new)
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1].update(self._new)
        if "loss" in logs:
            self._first_loss = logs["loss"] if self._first_loss is None else self._first_loss
            gain = self._first_loss - logs["loss"]
            for name, text in warnings_of(self._first, self._new, gain).items():
                if name not in self._said:
                    self._said.add(name)
                    self._say(text, state.global_step)
        self._new = {}

    def on_train_end(self, args, state, control, model, **kwargs):
        """Remember where the round ended."""
        if not state.is_world_process_zero:
            return
        assert self._probe is not None
        self.rounds.append(self._probe.log_probs(model))
        text = oscillation(self.rounds)
        if text is not None:
            self._say(text, state.global_step)

    def _forget(self) -> None:
        """What is said once per run can be said again."""
        self._first: Reading = {}
        self._new: Reading = {}
        self._first_loss: float | None = None
        self._said: set[str] = set()

    def _read(self, model: Any, step: int) -> None:
        assert self._probe is not None
        self._new = self._probe.read(model)
        self._first = self._first or self._new
        line = {"round": self._begun, "step": step} | self._new
        self.readings.append(line)
        self._write(line)

    def _say(self, text: str, step: int) -> None:
        self.warnings.append(text)
        self._write({"round": self._begun, "step": step, "warning": text})
        logger.warning(text)

    def _write(self, line: dict[str, Any]) -> None:
        if self._path is not None:
            # A run that breaks down is the trainer's to stop; JSON has no NaN.
            finite = {
                name: None if isinstance(x, float) and not math.isfinite(x) else x
                for name, x in line.items()
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite, allow_nan=False) + "\n")

    def _responses(self, tokenizer: Any, kwargs: dict[str, Any]) -> Responses:
        if isinstance(self._given, Responses):
            return self._given
        rows = self._given
        if rows is None:
            loader = kwargs.get("eval_dataloader") or kwargs.get("train_dataloader")
            rows = _first_rows(loader, self.pairs)
        return paired_responses(list(encode_pairs(tokenizer, read_pairs(rows))))[0]


def _first_rows(loader: Any, number: int) -> list[dict]:
    """The first records of a trainer's data set, with token ids as this package names them."""
    rows = []
    for row in getattr(loader, "dataset", None) or ():
        if "chosen_labels" in row:  # TRL's trainers without a reference model
            row = _by_labels(row)
        if "chosen_ids" not in row and "chosen" not in row:
            raise InputError(
                f"The trainer's data set has the columns {sorted(row)}, not pairs: give the "
                "callback a probe= of records with prompt, chosen and rejected."
            )
        rows.append(dict(row))
        if len(rows) == number:
            break
    if not rows:
        raise InputError("The trainer's data set is empty: give the callback a probe= of pairs.")
    return rows


def _by_labels(row: dict) -> dict:
    """Token ids split where the labels begin to count."""
    split: dict[str, list[int]] = {}
    for side in ("chosen", "rejected"):
        begin = next(n for n, label in enumerate(row[f"{side}_labels"]) if label != -100)
        split["prompt_ids"] = row[f"{side}_input_ids"][:begin]
        split[f"{side}_ids"] = row[f"{side}_input_ids"][begin:]
    return split
