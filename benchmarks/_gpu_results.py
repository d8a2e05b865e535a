"""What was measured: entries, their tables, and which goals hold."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS, PEER, FLOOR = "ours", "peer", "floor"


@dataclass(frozen=True)
class Entry:
    """One line of a table.

    Attributes
    ----------
    table, case, variant
        Where it stands.
    kind
        "ours", "peer", or "floor" for what bounds both.
    values
        Numbers by name: ``ms`` and its quartiles ``low`` and ``high``; ``flop`` or ``bytes`` that
        cannot be done without; what else the table shows.
    note
        Why there are no numbers, or what they have to be read with.
    """

    table: str
    case: str
    variant: str
    kind: str = OURS
    values: dict[str, float] = field(default_factory=dict)
    note: str = ""


TABLES = {
    "ceilings": "Ceilings",
    "head": "An objective on pairs at the head: forward and backward",
    "forward": "The same: forward only",
    "statistics": "What the statistics cost",
    "reference": "With a reference model",
    "sweep": "By number of tokens",
    "buffer": "By rows of the buffer",
    "cross_entropy": "Mean cross-entropy, which the peers are made for",
    "rows": "Row kernels",
    "gram": "Gram matrices of a layer's gradients by response",
    "orbits": "Ensembles of tabular orbits",
    "cases": "Cases that did not end",
}
COLUMNS = {
    "tflops": ("TFLOP/s", "{:.0f}"),
    "gbs": ("GB/s", "{:.0f}"),
    "ms": ("ms", "{:.4g}"),
    "spread": ("quartiles, %", "{:.1f}"),
    "ratio": ("× first", "{:.2f}"),
    "of_floor": ("floor / time, %", "{:.0f}"),
    "peak_gb": ("peak, GB", "{:.2f}"),
    "sequence_max": ("worst sequence, nats", "{:.1e}"),
    "sequence_rms": ("sequence rms, nats", "{:.1e}"),
    "by_hidden": ("error of dH", "{:.1e}"),
    "by_weight": ("error of dW", "{:.1e}"),
    "error": ("error", "{:.1e}"),
    "percent": ("cost, %", "{:.1f}"),
    "rounds_per_second": ("orbit-rounds/s", "{:.3g}"),
}


@dataclass(frozen=True)
class Goal:
    """A goal, what was measured of it, and whether it holds: holds, fails or not measured."""

    goal: str
    measured: str
    verdict: str


@dataclass(frozen=True)
class Results:
    """Everything that one call measured."""

    setting: dict[str, Any]
    entries: Sequence[Entry]
    left_out: Sequence[str] = ()

    def find(self, table: str, case: str | None = None) -> list[Entry]:
        """Entries of a table, of one case on request."""
        return [e for e in self.entries if e.table == table and case in (None, e.case)]

    def value(self, table: str, case: str, variant: str, name: str) -> float | None:
        """One number; None if it is not there."""
        found = [e.values.get(name) for e in self.find(table, case) if e.variant == variant]
        return found[0] if found else None

    def write(self, folder: Path, name: str) -> None:
        """As ``name.json`` and ``name.md``."""
        folder.mkdir(parents=True, exist_ok=True)
        record = self.setting | {
            "goals": [asdict(goal) for goal in self.goals()],
            "left_out": list(self.left_out),
            "entries": [asdict(entry) for entry in self.entries],
        }
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
        (folder / f"{name}.md").write_text(self.markdown())

    def markdown(self) -> str:
        """The page: setting, goals, tables, and what was left out."""
        versions = ", ".join(
            f"{name} {number}" for name, number in self.setting["versions"].items()
        )
        shown = ("device", "driver", "cuda", "system", "python", "commit")
        facts = ", ".join(f"{key} {self.setting[key]}" for key in shown if key in self.setting)
        lines = [
            f"# {self.setting['title']}",
            "",
            f"{self.setting['date']}, `{self.setting['command']}`; {facts}; {versions}.",
            "Medians of interleaved runs; quartiles apart as a share of the median.",
            "",
            "## Goals",
            "",
            "| goal | measured | |",
            "|---|---|---|",
            *(f"| {goal.goal} | {goal.measured} | {goal.verdict} |" for goal in self.goals()),
        ]
        for key, title in TABLES.items():
            if self.find(key):
                lines += ["", f"## {title}", "", *self._table(self.find(key))]
        if self.left_out:
            lines += ["", "## Left out", "", *(f"- {line}" for line in self.left_out)]
        return "\n".join(lines) + "\n"

    def goals(self) -> list[Goal]:
        """Which of the goals for an H200 hold; none is judged by a rehearsal."""
        goals = [self._near_floor(), self._ahead(), self._statistics(), self._precision()]
        return goals if self.setting["counts"] else [Goal(g.goal, "–", _verdict()) for g in goals]

    def derived(self, entry: Entry) -> dict[str, float]:
        """The entry's values, with what follows from them and from those of its case."""
        values, ms = dict(entry.values), entry.values.get("ms")
        if not ms:
            return values
        values["spread"] = 100 * (values["high"] - values["low"]) / ms
        case = self.find(entry.table, entry.case)
        first = next((_per_work(e) for e in case if e.values.get("ms")), None)
        values["ratio"] = _per_work(entry) / first if first else 1.0
        if "orbit_rounds" in values:
            values["rounds_per_second"] = 1e3 / _per_work(entry)
        floor = self._floor_ms(entry)
        return values if floor is None else values | {"of_floor": 100 * floor / ms}

    def _floor_ms(self, entry: Entry) -> float | None:
        """Milliseconds that the entry's operations or bytes take at the measured ceilings."""
        parts = []
        for name, ceiling, unit in (("flop", "tflops", 1e9), ("bytes", "gbs", 1e6)):
            rates = [e.values[ceiling] for e in self.find("ceilings") if ceiling in e.values]
            if entry.values.get(name) and rates:
                parts.append(entry.values[name] / (max(rates) * unit))
        return max(parts) if parts else None

    def _table(self, entries: Sequence[Entry]) -> list[str]:
        rows = [self.derived(entry) for entry in entries]
        columns = [name for name in COLUMNS if any(name in row for row in rows)]
        headings = "".join(f" {COLUMNS[name][0]} |" for name in columns)
        lines = [f"| case | |{headings} |", "|---|---|" + "---:|" * len(columns) + "---|"]
        named = ""
        for entry, row in zip(entries, rows, strict=True):
            cells = "".join(
                f" {COLUMNS[name][1].format(row[name]) if name in row else '–'} |"
                for name in columns
            )
            case, named = "" if entry.case == named else entry.case, entry.case
            lines.append(f"| {case} | {entry.variant} |{cells} {_plain(entry.note)} |")
        return lines

    def _near_floor(self) -> Goal:
        goal = "forward and backward in at most 1.3 times the floor at d = 4096, V = 128256"
        cases = [e for e in self.find("head") if _shape(e) == (4096, 128256)]
        entry = next((e for e in cases if e.variant == "pair_head" and e.values.get("ms")), None)
        floor = None if entry is None else self._floor_ms(entry)
        if entry is None or floor is None:
            return Goal(goal, "–", "not measured")
        times = entry.values["ms"] / floor
        return Goal(goal, f"{times:.2f} times", _verdict(times <= 1.3))

    def _ahead(self) -> Goal:
        goal = "ahead of every peer on forward and backward"
        parts, ahead = [], []
        for case in dict.fromkeys(e.case for e in self.find("head")):
            ours = self.value("head", case, "pair_head", "ms")
            peers = [e for e in self.find("head", case) if e.kind == PEER and e.values.get("ms")]
            if ours is None or not peers:
                continue
            best = min(peers, key=lambda e: e.values["ms"])
            ahead.append(ours < best.values["ms"])
            parts.append(f"{case}: {best.variant} takes {best.values['ms'] / ours:.2f} times ours")
        return Goal(goal, "; ".join(parts) or "–", _verdict(all(ahead)) if ahead else _verdict())

    def _statistics(self) -> Goal:
        goal = "statistics cost at most 3 %"
        costs = {
            e.case: e.values["percent"] for e in self.find("statistics") if "percent" in e.values
        }
        measured = "; ".join(f"{case}: {cost:.1f} %" for case, cost in costs.items())
        return Goal(goal, measured or "–", _verdict(max(costs.values()) <= 3 if costs else None))

    def _precision(self) -> Goal:
        goal = "sequence log-probabilities 100 times closer to float64 than Liger's chunked DPO"
        parts, better = [], []
        for case in dict.fromkeys(e.case for e in self.find("head")):
            ours, theirs = (
                self.value("head", case, variant, "sequence_max")
                for variant in ("pair_head", "Liger chunked DPO")
            )
            if ours and theirs:
                better.append(theirs / ours >= 100)
                parts.append(f"{case}: {theirs / ours:.0f} times")
        return Goal(goal, "; ".join(parts) or "–", _verdict(all(better) if better else None))


def read(lines: Iterable[str]) -> tuple[list[Entry], str]:
    """Entries of the lines that a case wrote, and what it was at when it wrote the last one."""
    entries, trying = [], ""
    for line in lines:
        if not line.endswith("\n"):  # cut off in the middle
            continue
        record = json.loads(line)
        if "trying" in record:
            trying = record["trying"]
        else:
            entries.append(Entry(**record))
    return entries, trying


def _per_work(entry: Entry) -> float:
    """Milliseconds, by orbit and round where the work of variants differs."""
    return entry.values["ms"] / entry.values.get("orbit_rounds", 1.0)


def _shape(entry: Entry) -> tuple[float | None, float | None]:
    return entry.values.get("d"), entry.values.get("V")


def _verdict(holds: bool | None = None) -> str:
    return {True: "holds", False: "fails", None: "not measured"}[holds]


def _plain(note: str) -> str:
    return note.replace("|", "\\|")
