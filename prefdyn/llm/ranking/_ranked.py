"""Predictions of a whole file: ranked, written, and cut down to the pairs worth keeping."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn._inputs import choice
from prefdyn.llm.ranking._pieces import Row

FALLS = "chosen_rate", "batch_chosen_rate"
SCORES = "ches", "ln_ches", "last_hidden", "edit_distance", "length_difference"
CRITERIA = FALLS + SCORES
FORMATS = "parquet", "jsonl"
LINEAR = 0.5
"""Nats up to which a frozen first-order prediction is good to a few per cent (claim KER-6)."""
SHOWN = 10
"""Pairs, tokens and pushers that a summary names."""
_ROW_GROUP = 512
"""Rows of a Parquet file that are in memory at a time; a row with its gains takes 15 kB there."""
_WHOLE = (
    *("line", "rank", "prompt_length", "chosen_length", "rejected_length"),
    *("batch", "pushed_by", "parts_at"),
)
_FIRST = ("line", "rank", "percentile", "kind", "chosen_rate", "rejected_rate", "margin_rate")


class Scores:
    """The numbers of all pairs that ranks and statistics are made of; nothing else is kept.

    Attributes
    ----------
    lines : numpy.ndarray
        Where the pairs stand in the data, (N,).
    falls : numpy.ndarray
        Whether the chosen response falls under a step on its own pair, (N,).
    columns : dict
        (N,) each: what `CRITERIA` names, ``effect_on_others`` and ``greedy_rate``, NaN where there
        are none.
    kinds, gaining : collections.Counter
        How often each kind of movement occurs, and each next token as the one that gains most.
    """

    def __init__(self, rows: Iterable[Row]):
        values = array("d")  # eight bytes a number: a list of lists of floats takes five times that
        names = ("line", "falls", "effect_on_others", "greedy_rate", *CRITERIA)
        self.kinds: Counter[str] = Counter()
        self.gaining: Counter[str] = Counter()
        for row in rows:
            row["falls"] = row["kind"] in ("both down", "reversed")
            values.extend(np.nan if row[name] is None else row[name] for name in names)
            self.kinds[row["kind"]] += 1
            self.gaining.update(gain["text"] for gain in row["gains"][:1])
        table = np.frombuffer(values).reshape(-1, len(names))
        self.columns: dict[str, np.ndarray] = dict(zip(names, table.T, strict=True))
        self.lines = self.columns.pop("line").astype(int)
        self.falls = self.columns.pop("falls") > 0

    def __len__(self) -> int:
        return len(self.lines)

    def displacement(self, by: str) -> np.ndarray:
        """How much displacement a criterion foretells, (N,), larger for more."""
        choice(by, CRITERIA, "by")
        return self.columns[by] * (-1 if by in FALLS else 1)

    def ranks(self, by: str) -> np.ndarray:
        """Rank of every pair, (N,), 1 for most displacement; of equals the first comes first."""
        ranks = np.empty(len(self), dtype=int)
        order = np.argsort(-self.displacement(by), kind="stable")
        ranks[order] = np.arange(1, len(self) + 1)
        return ranks

    def correlations(self) -> dict[str, float | None]:
        """Spearman's rho of each score with the predicted fall; None where one does not vary."""
        from scipy.stats import rankdata

        fall = rankdata(self.displacement("chosen_rate"))
        found: dict[str, float | None] = {}
        for name in SCORES:
            score = rankdata(self.columns[name])
            varied = min(np.ptp(fall), np.ptp(score)) > 0
            found[name] = float(np.corrcoef(fall, score)[0, 1]) if varied else None
        return found


def summary(scores: Scores, ranked: Iterable[Row], rate: float | None) -> dict[str, Any]:
    """What there is to say of all pairs together, and the worst of them."""
    chosen, together = scores.columns["chosen_rate"], scores.columns["batch_chosen_rate"] < 0
    worst = sorted((row for row in ranked if row["rank"] <= SHOWN), key=lambda row: row["rank"])
    return {
        "pairs": len(scores),
        "kinds": {kind: n / len(scores) for kind, n in scores.kinds.most_common()},
        "chosen_falls": float(scores.falls.mean()),
        "chosen_rate": np.quantile(chosen, (0.05, 0.5, 0.95)).tolist(),
        "in_batches": {
            "chosen_falls": float(together.mean()),
            "although_rising_alone": float((together & ~scores.falls).mean()),
            "although_falling_alone": float((~together & scores.falls).mean()),
        },
        "step": None if rate is None else _step(rate * chosen),
        "correlations": scores.correlations(),
        "gaining_tokens": [
            {"text": text, "share": n / len(scores)}
            for text, n in scores.gaining.most_common(SHOWN)
        ],
        "greedy_rises": _share_rising(scores.columns["greedy_rate"]),
        "pushing": _pushing(scores),
        "worst": worst,
    }


def _share_rising(rates: np.ndarray) -> float | None:
    known = rates[~np.isnan(rates)]
    return float((known > 0).mean()) if len(known) else None


def _step(change: np.ndarray) -> dict[str, float]:
    """A step on each pair alone, in nats."""
    return {
        "median": float(np.median(change)),
        "worst": float(change.min()),
        "beyond_linear": float((np.abs(change) > LINEAR).mean()),
    }


def _pushing(scores: Scores) -> list[dict[str, Any]]:
    """The pairs that push the other chosen responses of their batches down most."""
    effect = scores.columns["effect_on_others"]
    order = np.argsort(effect, kind="stable")[:SHOWN]  # NaN comes last
    return [
        {"line": int(scores.lines[i]), "effect_on_others": float(effect[i])}
        for i in order
        if effect[i] < 0
    ]


def with_ranks(rows: Iterable[Row], ranks: np.ndarray) -> Iterator[Row]:
    """Rows with rank and percentile; 100 is the pair with most displacement."""
    N = len(ranks)
    for row, rank in zip(rows, map(int, ranks), strict=True):
        ranked = row | {"rank": rank, "percentile": 100 * (N - rank + 0.5) / N}
        yield {name: ranked[name] for name in dict.fromkeys((*_FIRST, *ranked))}


def write_rows(path: Path, rows: Iterable[Row], form: str) -> None:
    """Rows as JSON lines, or as Parquet in groups of a few thousand."""
    if form == "jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        return
    import pyarrow
    from pyarrow import parquet

    rows = iter(rows)
    group = list(islice(rows, _ROW_GROUP))
    schema = _schema(group[0])
    with parquet.ParquetWriter(path, schema) as writer:
        while group:
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
            group = list(islice(rows, _ROW_GROUP))


def _schema(row: Row) -> Any:
    import pyarrow as pa

    gain = {
        "token": pa.int64(),
        "text": pa.string(),
        "probability": pa.float64(),
        "rate": pa.float64(),
        "share": pa.float64(),
    }
    texts = dict.fromkeys(("kind", "greedy"), pa.string())
    known = texts | {"gains": pa.list_(pa.struct(list(gain.items())))}
    known |= dict.fromkeys(_WHOLE, pa.int64())
    return pa.schema([(name, known.get(name, pa.float64())) for name in row])
