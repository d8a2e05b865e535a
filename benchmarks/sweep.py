"""A map of 10⁸ orbits: what a block costs, what the map would take, and what a worker more brings.

`python -m benchmarks.sweep` runs it, prints the tables, and keeps them in results/.  The map itself
is not computed: some of its blocks are, and a slice of it, by one worker and by two.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import PACKAGES, Row, Table, environment, interleaved, load, report
from prefdyn import MRSIPO, ensemble, plan_sweep, sweep
from prefdyn.games import rock_paper_scissors

ROUNDS = 3000
REDUCERS = ("entropy", "cycle_strength", "spectral_radius")
RULE = MRSIPO(rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
AXES = {
    "beta": np.geomspace(0.02, 2.0, 1000),
    "alpha": np.linspace(0.0, 0.99, 100),
    "lam": np.linspace(0.01, 1.0, 100),
    "start": np.random.default_rng(0).dirichlet(np.ones(3), 10),
}
SLICE: dict[str, Any] = AXES | {"beta": AXES["beta"][::100]}
"""Ten of the thousand values of beta: the same blocks, a hundredth of their number."""
CORES = (1, 2, 16, 128, 1024)
MEASURED, REPEATS = 12, 2
SUBMIT = 1e-3
"""Seconds of the scheduler for one task, by the manual of dask: a bound on very many cores."""


def plan() -> tuple[Any, Table, Table]:
    """The map's plan, with the cost of some blocks and what follows from it."""
    found = plan_sweep(RULE, AXES, REDUCERS, rounds=ROUNDS, measured=MEASURED)
    seconds = np.array(found.seconds)
    orbits = found.points / found.blocks
    cost = Table(
        "The map and its blocks",
        ("", "value"),
        (
            ("orbits", float(found.points)),
            ("blocks", found.blocks),
            ("orbits in a block", float(orbits)),
            ("rounds of each", ROUNDS),
            ("size of the map, GB", found.bytes / 1e9),
            ("seconds for a block, mean", float(seconds.mean())),
            ("seconds for a block, smallest", float(seconds.min())),
            ("seconds for a block, largest", float(seconds.max())),
            ("million orbit-rounds per second", orbits * ROUNDS / seconds.mean() / 1e6),
        ),
        f"Recorded: {', '.join(REDUCERS)}.  {MEASURED} blocks spread over the map, in one thread "
        "and written to a store; processor time.",
    )
    expected = Table(
        "Expected time of the map",
        ("cores", "seconds", "hours", "seconds of the scheduler"),
        [
            (str(n), found.expected(n), found.expected(n) / 3600, found.blocks * SUBMIT)
            for n in CORES
        ],
        "Cores as fast as this one, each with blocks enough; the scheduler's share is apart.",
    )
    return found, cost, expected


def overhead() -> Row:
    """A sweep of one block, against the runs in it alone."""
    block = AXES | {"beta": AXES["beta"][500:501], "alpha": AXES["alpha"][:20]}
    beta, alpha, lam = np.ix_(block["beta"], block["alpha"], block["lam"])
    rule = RULE.replace(beta=beta[..., None], alpha=alpha[..., None], lam=lam[..., None])
    starts = np.broadcast_to(block["start"], (*map(len, block.values()), 3))
    reducers = REDUCERS[:2]

    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()

        def whole() -> None:
            out = Path(folder) / f"{next(numbers)}.zarr"
            sweep(RULE, block, reducers, rounds=ROUNDS, out=out)

        seconds = interleaved(whole, lambda: ensemble(rule, starts, ROUNDS, reducers=reducers))
    return Row(f"{starts[..., 0].size} orbits", "a sweep of one block", "its ensemble", *seconds)


def scaling() -> tuple[Table, Table]:
    """Processor seconds of the slice's blocks, and blocks per second by one worker and by two."""
    ways: tuple[str, ...] = ("this process", "2 processes", "a cluster of 1", "a cluster of 2")
    found = {way: [_slice(way) for _ in range(REPEATS)] for way in ways}
    best = {way: max(run.rate for run in runs) for way, runs in found.items()}
    single = [best[ways[0]]] * 2 + [best[ways[2]]] * 2
    rate = Table(
        "From one worker to two",
        ("by", "blocks", "seconds in all", "blocks per second", "times one worker"),
        [
            (
                way,
                runs[0].blocks,
                min(run.whole for run in runs),
                best[way],
                best[way] / alone,
            )
            for (way, runs), alone in zip(found.items(), single, strict=True)
        ],
        f"The slice, by the wall clock, best of {REPEATS}.  Blocks per second: from the first "
        "to the last that was marked, without the start of the workers.",
    )
    cost = Table(
        "Processor seconds of a block",
        ("by", "mean", "smallest", "median", "largest"),
        [
            (way, *(float(f(run.seconds)) for f in (np.mean, np.min, np.median, np.max)))
            for way, runs in found.items()
            for run in runs[:1]
        ],
        "The same blocks.  Workers that share the units of a core take more seconds each.",
    )
    return cost, rate


@dataclass(frozen=True)
class Run:
    """One run of the slice: its blocks, wall time, blocks per second, processor time of each."""

    blocks: int
    whole: float
    rate: float
    seconds: np.ndarray


def _slice(way: str) -> Run:
    with tempfile.TemporaryDirectory() as folder, _workers(way) as more:
        out = Path(folder) / "map.zarr"
        begun = time.perf_counter()
        sweep(RULE, SLICE, REDUCERS, rounds=ROUNDS, out=out, **more)
        whole = time.perf_counter() - begun
        marks = list((out / "sweep").glob("[0-9]*.json"))
        times = [path.stat().st_mtime for path in marks]
        seconds = np.array([json.loads(path.read_text())["seconds"] for path in marks])
    return Run(len(marks), whole, (len(marks) - 1) / (max(times) - min(times)), seconds)


@contextmanager
def _workers(way: str) -> Iterator[dict[str, Any]]:
    """The arguments of `sweep` for a way to compute, while its workers are there."""
    if way == "this process":
        yield {}
    elif way == "2 processes":
        yield {"workers": 2}
    else:
        from distributed import Client, LocalCluster

        size: dict[str, Any] = {"n_workers": int(way[-1]), "threads_per_worker": 1}
        with LocalCluster(**size, dashboard_address=":0") as cluster, Client(cluster) as client:
            yield {"client": client}


def main() -> None:
    """Measure, print, and keep."""
    setting = environment(
        "python -m benchmarks.sweep", (*PACKAGES, "zarr", "xarray", "dask", "distributed")
    )
    found, cost, expected = plan()
    tables = [cost, expected, *scaling()]
    notes = [
        f"What a sweep adds to its runs (checks, trials, store, result) is paid once for all "
        f"{found.blocks} blocks, but for the store.",
        f"Load {load():.1f} at the end.",
    ]
    report("sweep", "Maps of 10⁸ orbits", [overhead()], setting, tables, notes)


if __name__ == "__main__":
    main()
