"""Interleaved timing, and the table that it ends in."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import THREADS


@dataclass(frozen=True)
class Row:
    """One comparison: processor seconds per run of ours and of the alternative, both medians."""

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


def interleaved(*functions: Callable[[], object], repeats: int = 7) -> list[float]:
    """Median seconds of processor time of each function, called in turn on the same machine.

    Everything here runs in one thread, so processor time is what an idle machine's clock would
    show, whoever else is using this one.

    Every function runs once before that: compilation and caches are not what is compared.
    """
    for function in functions:
        function()
    seconds = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, seconds, strict=True):
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
    return [median(times) for times in seconds]


def environment() -> dict:
    """Date, machine, versions and thread counts: what a ratio has to be read with."""
    packages = ("prefdyn", "numpy", "scipy", "numba", "torch")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": "make bench",
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "threads": THREADS,
    }


def markdown(rows: list[Row], setting: dict) -> str:
    """The results as a Markdown page."""
    versions = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    lines = [
        "# CPU results",
        "",
        f"{setting['date']}, `{setting['command']}`, {setting['processor']}, {setting['system']}, "
        f"Python {setting['python']}, {versions}; one thread each. "
        "Medians of the processor time of interleaved runs.",
        "",
        "| case | ours | alternative | ours, ms | alternative, ms | ratio | ours / floor |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        floor = f"{row.ours_seconds / row.floor_seconds:.1f}" if row.floor_seconds else ""
        lines.append(
            f"| {row.case} | {row.ours} | {row.alternative} | {1e3 * row.ours_seconds:.3g} "
            f"| {1e3 * row.alternative_seconds:.3g} | {row.ratio:.1f}× | {floor} |"
        )
    return "\n".join(lines) + "\n"


def _processor() -> str:
    """Model name of the processor, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
