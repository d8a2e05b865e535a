"""Interleaved timing, and the page of tables that it ends in."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks import THREADS

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("prefdyn", "numpy", "scipy", "numba", "torch")
PAGE = (
    "one thread each unless a table says otherwise. Seconds of processor time, medians of "
    "interleaved runs. Floor: what no method can do without, measured in the same run."
)


@dataclass(frozen=True)
class Row:
    """One comparison: seconds per run of ours and of the alternative, measured in turn."""

    case: str
    ours: str
    alternative: str
    ours_seconds: float
    alternative_seconds: float
    floor_seconds: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.alternative_seconds / self.ours_seconds

    def record(self) -> dict:
        """The row as plain data, with its ratio."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class Table:
    """A further table of a page, such as a curve or the memory of each variant.

    Attributes
    ----------
    title : str
        What it shows.
    header : tuple of str
        Names of the columns, with units; the first column is text, the others are numbers.
    rows : sequence of sequences
        Numbers, or text such as "not installed".
    note : str
        How it was measured, where that differs from the page.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    note: str = ""

    def markdown(self) -> str:
        """The table under its title."""
        lines = [f"## {self.title}", ""] + ([self.note, ""] if self.note else [])
        lines += [_line(self.header), _line(["---"] + ["---:"] * (len(self.header) - 1))]
        return "\n".join(lines + [_line(map(_short, row)) for row in self.rows]) + "\n"


def interleaved(
    *functions: Callable[[], object],
    repeats: int = 7,
    clock: Callable[[], float] = time.process_time,
    summary: Callable[[list[float]], float] = median,
) -> list[float]:
    """Seconds of each function, called in turn on the same machine; medians unless told otherwise.

    In one thread, processor time is what an idle machine's clock would show, whoever else is using
    this one.  Several threads need ``clock=time.perf_counter`` and a machine of their own;
    ``summary=min`` is the figure that neighbours disturb least.

    Every function runs once before that: compilation and caches are not what is compared.
    """
    for function in functions:
        function()
    seconds = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, seconds, strict=True):
            start = clock()
            function()
            times.append(clock() - start)
    return [summary(times) for times in seconds]


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """So many threads for torch inside, and what there was before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load() -> float:
    """Processes that wanted a core in the last minute; about 0 before a run on an idle machine."""
    return os.getloadavg()[0]


def environment(command: str = "make bench", packages: Sequence[str] = PACKAGES) -> dict:
    """Date, machine, versions, thread counts and load: what a ratio has to be read with."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": command,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "threads": THREADS,
    }


def markdown(
    rows: Sequence[Row],
    setting: dict,
    title: str = "CPU results",
    tables: Sequence[Table] = (),
    notes: Sequence[str] = (),
) -> str:
    """The results as a Markdown page: ratios, then further tables, then one-line notes."""
    versions = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    lines = [
        f"# {title}",
        "",
        f"{setting['date']}, `{setting['command']}`, {setting['processor']} "
        f"({setting['cores']} cores, load {setting['load_before']:.1f} before the run), "
        f"{setting['system']}, Python {setting['python']}, {versions}; {PAGE}",
        "",
        "| case | ours | alternative | ours, ms | alternative, ms | ratio | ours / floor |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        floor = f"{row.ours_seconds / row.floor_seconds:.2f}" if row.floor_seconds else ""
        lines.append(
            f"| {row.case} | {row.ours} | {row.alternative} | {1e3 * row.ours_seconds:.3g} "
            f"| {1e3 * row.alternative_seconds:.3g} | {row.ratio:.1f}× | {floor} |"
        )
    parts = ["\n".join(lines) + "\n", *(table.markdown() for table in tables)]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes) + "\n")
    return "\n".join(parts)


def report(
    name: str,
    title: str,
    rows: Sequence[Row],
    setting: dict,
    tables: Sequence[Table] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print the page, and keep it as results/NAME.md and its numbers as results/NAME.json."""
    from rich.console import Console
    from rich.markdown import Markdown

    page = markdown(rows, setting, title, tables, notes)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(page)
    record = setting | {
        "rows": [row.record() for row in rows],
        "tables": [asdict(table) for table in tables],
        "notes": list(notes),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    Console(width=150).print(Markdown(page))


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _short(cell: object) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """Model name of the processor, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
