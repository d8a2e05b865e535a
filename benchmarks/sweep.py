"""A map of 10⁸ orbits: what a block costs, what the map would take, and what a worker more brings.

`python -m benchmarks.sweep` runs it, prints the tables, and keeps them in results/.  The map itself
is not computed: some of its blocks are, and a slice of it, by one worker and by two.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import PACKAGES, Table, environment, report
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
MEASURED = 12
SUBMIT = 1e-3
"""Seconds that a scheduler needs for one task, by the manual of dask: a bound on very many cores."""


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
        f"Recorded: {', '.join(REDUCERS)}.  {MEASURED} blocks spread over the map, one thread, by "
        "the wall clock, written to a store.",
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


def overhead() -> tuple[float, float]:
    """Processor seconds of a block as a sweep, and of its runs alone."""
    block = AXES | {"beta": AXES["beta"][500:501], "alpha": AXES["alpha"][:20]}
    beta, alpha, lam = np.ix_(block["beta"], block["alpha"], block["lam"])
    rule = RULE.replace(beta=beta[..., None], alpha=alpha[..., None], lam=lam[..., None])

    def runs() -> None:
        shape = (*map(len, block.values()), 3)
        starts = np.broadcast_to(block["start"], shape)
        ensemble(rule, starts, ROUNDS, reducers=REDUCERS[:2])

    with tempfile.TemporaryDirectory() as folder:
        sweeps = iter(range(100))

        def one_sweep() -> None:
            out = Path(folder) / f"{next(sweeps)}.zarr"
            sweep(RULE, block, REDUCERS[:2], rounds=ROUNDS, out=out)

        whole, alone = (_processor(function) for function in (one_sweep, runs))
    return whole, alone


def _processor(function: Callable[[], None], repeats: int = 5) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        seconds.append(time.process_time() - begun)
    return float(np.median(seconds))


def scaling() -> Table:
    """Blocks per second of the slice: in this process, by one worker and two, on a cluster."""
    ways: list[tuple[str, dict[str, Any], int]] = [
        ("this process", {}, 1),
        ("two processes", {"workers": 2}, 2),
    ]
    rows = [(name, *_rate(more)) for name, more, _ in ways]
    for workers in (1, 2):
        with _cluster(workers) as client:
            rows.append((f"a cluster of {workers}", *_rate({"client": client})))
    base = {"this process": rows[0][3], "a cluster of 1": rows[2][3]}
    versus = (1.0, rows[1][3] / base["this process"], 1.0, rows[3][3] / base["a cluster of 1"])
    return Table(
        "From one worker to two",
        ("by", "blocks", "seconds in all", "blocks per second, steady", "times one worker"),
        [(*row, ratio) for row, ratio in zip(rows, versus, strict=True)],
        "A slice of the map, by the wall clock.  Steady: between the first and the last block that "
        "was marked, without the start of the workers.",
    )


def _rate(more: dict[str, Any]) -> tuple[int, float, float]:
    """Blocks, seconds in all, and blocks per second once the workers run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "map.zarr"
        begun = time.perf_counter()
        sweep(RULE, SLICE, REDUCERS, rounds=ROUNDS, out=out, **more)
        whole = time.perf_counter() - begun
        marks = sorted(path.stat().st_mtime for path in (out / "sweep").glob("[0-9]*.json"))
    return len(marks), whole, (len(marks) - 1) / (marks[-1] - marks[0])


@contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def main() -> None:
    """Measure, print, and keep."""
    setting = environment(
        "python -m benchmarks.sweep", (*PACKAGES, "zarr", "xarray", "dask", "distributed")
    )
    found, cost, expected = plan()
    whole, alone = overhead()
    notes = [
        f"{found.points:.0e} orbits of {ROUNDS} rounds: {found.blocks} blocks.",
        f"A sweep of one block takes {whole / alone:.2f} times the processor time of its runs "
        f"({1e3 * (whole - alone):.0f} ms more: checks, trials, store, result), paid per sweep.",
        f"Load {os.getloadavg()[0]:.1f} at the end.",
    ]
    report("sweep", "Maps", [], setting, [cost, expected, scaling()], notes)


if __name__ == "__main__":
    main()
