"""A data set of preference pairs from end to end: predicted in pieces, ranked, cut down."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn import __version__, objectives
from prefdyn._errors import InputError
from prefdyn._files import write_atomically
from prefdyn._inputs import choice, count, positive, share
from prefdyn.llm._memory import enough_memory
from prefdyn.llm._parameters import Selection
from prefdyn.llm._usable import usable_pairs
from prefdyn.llm.data import read_pairs
from prefdyn.llm.ranking._kept import kept_name, write_kept
from prefdyn.llm.ranking._pieces import Pieces, Row
from prefdyn.llm.ranking._rank import rank_pairs
from prefdyn.llm.ranking._ranked import CRITERIA, FORMATS, Scores, summary, with_ranks, write_rows
from prefdyn.llm.ranking._report import report
from prefdyn.llm.reference import fingerprint

PIECE = 4
"""Batches between two visits to the disk: what a killed job loses at most."""


def rank_file(
    model: Any,
    tokenizer: Any,
    data: str,
    out: Path,
    objective: Any = "dpo",
    *,
    rate: float | None = None,
    batch: int = 8,
    gains: int = 5,
    greedy: int = 0,
    max_length: int | None = None,
    parameters: Selection = "all",
    method: str = "auto",
    by: str = "chosen_rate",
    keep: float | None = None,
    drop_falling: bool = False,
    form: str = "parquet",
    skip_bad: bool = False,
    tell: Callable[[str], Any] = print,
    progress: Callable[[int, int], Any] = lambda done, total: None,
) -> dict[str, Any]:
    """Predict what a step on each pair of a data set does, and write it down.

    The data are read as a stream; of each pair only a few numbers stay in memory.  Finished pieces
    stay in ``out/pieces``, and a job that was killed goes on from there.

    Parameters
    ----------
    model, tokenizer, objective, batch, gains, greedy, parameters, method
        As of `rank_pairs`.
    data
        What `read_pairs` reads.
    out
        Folder for ``predictions.parquet`` (or ``.jsonl``), ``report.md`` and ``kept.jsonl`` (or
        ``.parquet``, if `data` is that); the caller sees to it that no other run writes there.
    rate
        Learning rate, for a report in nats.
    max_length
        As of `encode_pairs`.
    by
        What pairs are ranked by: ``"chosen_rate"``, ``"batch_chosen_rate"`` or a score.
    keep
        Share of the pairs, those with least displacement by `by`, that the kept data set has.
    drop_falling
        Whether the kept data set lacks the pairs whose chosen response is predicted to fall.
    form
        ``"parquet"`` or ``"jsonl"``.
    skip_bad
        Whether a pair that cannot be used is left out and counted; else the first one is an error.
    tell
        Called with a sentence when finished pieces cannot be used.
    progress
        Called with the numbers of pairs done and in all.

    Returns
    -------
    dict
        The summary that ``prefdyn predict --json`` prints; see `prefdyn.cli`.

    Raises
    ------
    InputError
        For options out of range, a data set without a pair, too little memory, and as of
        `usable_pairs` and `rank_pairs`.
    """
    choice(by, CRITERIA, "by")
    choice(form, FORMATS, "format")
    count(batch, "batch")
    if rate is not None:
        positive(rate, "rate")
    if keep is not None:
        share(keep, "keep")
    if isinstance(objective, str):
        objective = objectives.get(objective)
    out.mkdir(parents=True, exist_ok=True)
    source = _Source(data, skip_bad)
    measuring: dict[str, Any] = {
        "batch": batch,
        "gains": gains,
        "greedy": greedy,
        "parameters": parameters,
        "method": method,
    }
    job = measuring | {
        "version": __version__,
        "model": fingerprint(model, tokenizer),
        "data": source.digest,
        "objective": repr(objective),
        "max_length": max_length,
    }
    pieces = Pieces.of(out / "pieces", job, tell)
    unread = read_pairs(data, skip_bad=skip_bad)
    size = PIECE * batch
    for number in range(-(-source.total // size)):
        part = list(islice(unread, size))
        # A piece that once left pairs out does not excuse them now.
        if not (pieces.has(number) and (skip_bad or not pieces.header(number)["skipped"])):
            usable = usable_pairs(model, tokenizer, iter(part), max_length, skip_bad=skip_bad)
            with enough_memory("lower --batch, or measure fewer --parameters"):
                found = rank_pairs(model, tokenizer, usable, objective, **measuring)
                rows = [replace(p, batch=p.batch + number * PIECE).row() for p in found]
            pieces.save(number, {"skipped": usable.skipped}, rows)
        progress(min(size * (number + 1), source.total), source.total)
    skipped = Counter(source.skipped)
    for header in pieces.headers():
        skipped.update(header["skipped"])
    scores = Scores(pieces.rows())
    if not len(scores):
        raise InputError(f"{data} has no pair that can be used{_reasons(skipped)}.")

    ranks = scores.ranks(by)
    files = {"predictions": out / f"predictions.{form}", "report": out / "report.md"}

    def ranked() -> Iterator[Row]:
        return with_ranks(pieces.rows(), ranks)

    write_atomically(files["predictions"], lambda path: write_rows(path, ranked(), form))
    kept = None
    if keep is not None or drop_falling:
        lines = scores.lines[_kept(scores, ranks, keep, drop_falling)]
        kept, files["kept"] = len(lines), out / kept_name(data)
        write_atomically(files["kept"], lambda path: write_kept(path, data, lines))
    found = {
        "data": data,
        "objective": {"id": objective.id, "parameters": objective.numbers()},
        "batch": batch,
        "by": by,
        "rate": rate,
        "skipped": dict(skipped),
        "kept": kept,
        "files": {name: str(path) for name, path in files.items()},
    } | summary(scores, ranked(), rate)
    text = report(found, _texts(data, tokenizer, {pair["line"] for pair in found["worst"]}))
    write_atomically(files["report"], lambda path: path.write_text(text, encoding="utf-8"))
    return found


def _kept(scores: Scores, ranks: np.ndarray, keep: float | None, drop_falling: bool) -> np.ndarray:
    """Which pairs stay, (N,)."""
    N = len(ranks)
    kept = ranks > N - round((1.0 if keep is None else keep) * N)
    return kept & ~scores.falls if drop_falling else kept


def _reasons(skipped: Counter[str]) -> str:
    words = ", ".join(f"{number} {reason}" for reason, number in skipped.items())
    return f" (left out: {words})" if words else ""


def _texts(data: str, tokenizer: Any, lines: Set[int]) -> dict[int, tuple[str, ...]]:
    """Prompt, chosen and rejected of a few lines."""

    def text(part: Any) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, tuple):
            return tokenizer.decode(part)
        return " ".join(str(message.get("content") or "") for message in part)

    pairs = read_pairs(data, skip_bad=True)
    return {pair.line: tuple(map(text, pair)) for pair in pairs if pair.line in lines}


class _Source:
    """A data set read through once: how many pairs, which ones, and what is wrong with others."""

    def __init__(self, data: str, skip_bad: bool):
        digest, self.total = hashlib.sha256(), 0
        pairs = read_pairs(data, skip_bad=skip_bad)
        for pair in pairs:
            content = (pair.line, *pair, dict(pair.template))
            digest.update(json.dumps(content, sort_keys=True, default=str).encode())
            self.total += 1
        self.digest, self.skipped = digest.hexdigest(), pairs.skipped
