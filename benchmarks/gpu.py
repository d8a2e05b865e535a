"""The head of a language model, Gram matrices and tabular ensembles on one GPU, against peers.

``python -m benchmarks.gpu`` needs torch, triton and numpy; peers that are not installed are said to
be missing.  Every case runs in a process of its own, so that a peer that hangs or loses the device
costs its own line and no other; what ended a process is left out of the cases that follow.  Results
are written after each case, to ``$OUT`` or benchmarks/results/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import _gpu_gram, _gpu_head, _gpu_orbits, _gpu_place, _gpu_results, _gpu_rows
from benchmarks._gpu_cases import Log
from benchmarks._gpu_place import FatalError, Place
from benchmarks._gpu_results import Entry, Results
from benchmarks.timing import RESULTS

LIMIT = 150.0
"""Seconds after which a case has hung."""
LEAST = 15.0
"""Seconds under which none is begun."""

Case = Callable[[Place, Log], None]


def cases(place: Place) -> dict[str, Case]:
    """Every case by name, the most important first."""
    sizes = place.sizes
    first, second, *others = sizes.heads
    found: dict[str, Case] = {"ceilings": _gpu_rows.ceilings}

    def add(kind: str, case: Callable[..., None], *arguments: Any) -> None:
        name = "-".join([kind, *map(str, arguments)])
        found[name] = lambda place, log: case(place, log, *arguments)

    add("head", _gpu_head.head, *first)
    add("statistics", _gpu_head.statistics, *first)
    add("head", _gpu_head.head, *second)
    for shape in others:
        add("head", _gpu_head.head, *shape)
    add("rows", _gpu_rows.row_kernels)
    add("gram", _gpu_gram.gram)
    add("mrs_ipo", _gpu_orbits.mrs_ipo)
    add("mrs_dpo", _gpu_orbits.mrs_dpo)
    add("forward", _gpu_head.forward, *first)
    add("buffer", _gpu_head.buffers, *first)
    add("reference", _gpu_head.with_reference, *first)
    add("forward", _gpu_head.forward, *second)
    add("cross_entropy", _gpu_head.cross_entropy, *second)
    add("sweep", _gpu_head.sweep, *second)
    return found


@dataclass
class Run:
    """Cases in turn, each given to `launch`, until the time is up.

    Attributes
    ----------
    setting
        For `Results`.
    launch
        Runs one case, without the variants that are named, in at most so many seconds, and gives
        its entries, what it was at when it ended badly (nothing if nobody is to blame), and why
        (nothing if it ended well).
    seconds
        For all cases together.
    keep
        Takes the results so far.
    clock
        Seconds.
    """

    setting: Mapping[str, Any]
    launch: Callable[[str, Mapping[str, str], float], tuple[list[Entry], str, str]]
    seconds: float
    keep: Callable[[Results], None]
    clock: Callable[[], float] = time.monotonic
    entries: list[Entry] = field(default_factory=list)
    banned: dict[str, str] = field(default_factory=dict)

    def all(self, names: Sequence[str]) -> Results:
        """The results of the cases that there was time for."""
        end = self.clock() + self.seconds
        left_out: list[str] = []
        for name in names:
            left = end - self.clock()
            if left < LEAST:
                left_out.append(f"{name}: no time left")
            else:
                self._one(name, end)
            self.keep(Results(dict(self.setting), self.entries, left_out))
        return Results(dict(self.setting), self.entries, left_out)

    def _one(self, name: str, end: float) -> None:
        """One case; once more without the variant that ended it, for as long as there is one."""
        while True:
            left = max(LEAST, min(LIMIT, end - self.clock()))
            found, blamed, reason = self.launch(name, self.banned, left)
            again = bool(reason and blamed and blamed not in self.banned)
            if again:
                self.banned[blamed] = f"left out: {reason} ({name})"
            if not again or end - self.clock() < LEAST:
                break
        self.entries += found
        if reason:
            self.entries.append(Entry("cases", name, blamed or "nobody in particular", note=reason))


def in_this_process(
    place: Place, name: str, banned: Mapping[str, str], _: float = LIMIT
) -> tuple[list[Entry], str, str]:
    """Run a case here, for `Run.launch`."""
    lines: list[str] = []
    reason = _run(place, name, Log(lambda record: lines.append(_line(record)), banned))
    entries, trying = _gpu_results.read(lines)
    return entries, trying if reason else "", reason


def in_a_process(
    name: str, banned: Mapping[str, str], seconds: float, command: Sequence[str] = ()
) -> tuple[list[Entry], str, str]:
    """Run a case in a process of its own, for `Run.launch`."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "entries.jsonl"
        own = [sys.executable, "-m", "benchmarks.gpu"]
        arguments = ["--case", name, "--into", str(into), "--banned", json.dumps(dict(banned))]
        reason = _outcome([*(command or own), *arguments], seconds)
        with into.open() if into.exists() else open(os.devnull) as lines:
            entries, trying = _gpu_results.read(lines)
    return entries, trying if reason else "", reason


def _outcome(command: Sequence[str], seconds: float) -> str:
    """Nothing if the command ended well, else how it ended."""
    try:
        run = subprocess.run(command, timeout=seconds, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        return f"ran for more than {seconds:.0f} s"
    if run.returncode == 0:
        return ""
    said = [line for line in run.stderr.splitlines() if line.strip()]
    return f"ended with status {run.returncode}" + (f": {said[-1].strip()[:200]}" if said else "")


def _run(place: Place, name: str, log: Log) -> str:
    """Run a case; nothing, or why it did not reach its end."""
    torch.manual_seed(0)
    try:
        _, reason = place.attempt(lambda: cases(place)[name](place, log))
    except FatalError as error:
        reason = f"the device was lost: {error}"
    return reason


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _child(name: str, into: Path, banned: Mapping[str, str]) -> int:
    """One case in this process, its entries to a file as they come."""
    with into.open("a", buffering=1) as file:

        def write(record: Mapping[str, Any]) -> None:
            file.write(_line(record))

        reason = _run(_gpu_place.gpu(), name, Log(write, banned))
    if reason:
        print(reason, file=sys.stderr)
    return 1 if reason else 0


def rehearse(folder: Path, names: Sequence[str] | None = None) -> Results:
    """Every case at toy size on a processor, to see that all lines run; nothing is a result.

    Raises
    ------
    ValueError
        If the folder is that of the results.
    """
    if folder.resolve() == RESULTS.resolve():
        raise ValueError(f"{folder} is for results: give another folder.")
    place = _gpu_place.rehearsal()
    title = "REHEARSAL at toy size on a processor: none of these numbers is a result"
    setting = {"title": title, "command": "rehearsal", "counts": False}
    setting |= _gpu_place.environment(place)
    run = Run(setting, partial(in_this_process, place), 600.0, lambda _: None)
    results = run.all(list(cases(place)) if names is None else names)
    results.write(folder, "rehearsal")
    return results


def measure(minutes: float, only: str | None, folder: Path, command: str) -> Results:
    """Every case whose name begins with `only`, after the ceilings, on this machine's GPU."""
    place = _gpu_place.gpu()
    setting = {"title": "One GPU", "command": command, "counts": True}
    setting |= _gpu_place.environment(place)
    names = [n for n in cases(place) if n == "ceilings" or only is None or n.startswith(only)]

    def launch(name: str, banned: Mapping[str, str], s: float) -> tuple[list[Entry], str, str]:
        print(f"{name} ...", flush=True)
        return in_a_process(name, banned, s)

    return Run(setting, launch, 60 * minutes, lambda r: r.write(folder, "gpu")).all(names)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything together")
    parser.add_argument("--only", help="beginning of the names of the cases to run")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--rehearse", type=Path, metavar="FOLDER", help="toy size, no GPU")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--banned", type=json.loads, default={}, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(cases(_gpu_place.gpu())))
        return 0
    if given.rehearse is not None:
        if given.rehearse.resolve() == RESULTS.resolve():
            parser.error(f"{given.rehearse} is for results: give another folder.")
        print(rehearse(given.rehearse).markdown())
        return 0
    if not torch.cuda.is_available() or torch.version.cuda is None:
        print("There is no NVIDIA GPU here that torch can use: nothing was measured.")
        return 1
    if given.case is not None:
        return _child(given.case, given.into, given.banned)
    folder = Path(os.environ["OUT"]) if os.environ.get("OUT") else RESULTS
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python -m benchmarks.gpu", *words])
    print(measure(given.minutes, given.only, folder, command).markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
