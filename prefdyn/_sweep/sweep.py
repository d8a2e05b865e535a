"""`sweep` and `plan_sweep`: a map over the parameters of a rule, block by block."""

import shlex
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._files import exclusive
from prefdyn._inputs import count
from prefdyn._progress import track
from prefdyn._sweep import store as stores
from prefdyn._sweep.compute import compute
from prefdyn._sweep.prepare import WORK, Prepared, prepare
from prefdyn._sweep.run import in_processes, in_this_process, on_cluster
from prefdyn._sweep.store import Store

if TYPE_CHECKING:
    import xarray

REDUCERS = ("last_policy", "entropy", "cycle_strength")
LOADED = 2**26
"""Bytes up to which a map is read into memory before it is returned."""
KEPT_NOWHERE = 2**30
"""Bytes up to which a map may be made without a store."""
MEASURED = 3
"""Blocks that a plan runs, spread over the map."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep is going to do, and what that takes.

    Attributes
    ----------
    points
        Number of points of the outer product; one run each.
    blocks
        Number of blocks.
    block
        Values of each axis in a block.
    together, one_by_one
        The axes whose values are run at once, and those that are looped over.
    bytes
        Size of the map, uncompressed.
    seconds
        Processor time that some blocks took on this machine, one after the other; compilation is
        not counted.
    """

    points: int
    blocks: int
    block: dict[str, int]
    together: tuple[str, ...]
    one_by_one: tuple[str, ...]
    bytes: int
    seconds: tuple[float, ...]

    def expected(self, workers: int = 1) -> float:
        """Seconds that all blocks take with so many workers, each with a core like those here."""
        workers = count(workers, "workers")
        return float(np.mean(self.seconds)) * self.blocks / workers


def sweep(
    rule_factory: Any,
    axes: Mapping[str, Any],
    reducers: Any = REDUCERS,
    *,
    rounds: int = 3000,
    burn_in: float = 1 / 3,
    seed: int = 0,
    work: float = WORK,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    client: Any = None,
    progress: bool | None = None,
    command: str | None = None,
) -> "xarray.Dataset":
    """Run a rule at every point of an outer product of axes, and keep reduced results.

    The points are computed in blocks.  With `out`, every block is written to a zarr store as it is
    done, and a sweep that was interrupted, however abruptly, goes on with ``resume=True``; the
    result is the same to the bit, in whatever order and by however many workers the blocks are
    computed.

    Parameters
    ----------
    rule_factory
        A rule, whose parameters the axes name by path (``"beta"``, ``"objective.beta"``); or a
        function ``make(**point)`` that gives the rule of a point.
    axes
        Name to values: a list of numbers, games (a batch, a list, or names as `prefdyn.games.load`
        takes them), any other values of a parameter, a mapping from names to values, or a
        `prefdyn.Axis` with a description.  ``"start"`` holds the policies to start from, (n, K);
        ``"repeat"`` is the number of independent repeats of a rule that draws random numbers.
    reducers
        What to record: names of `ensemble`'s reducers; "spectral_radius", "kind" (a number, whose
        word is in the attribute ``flag_meanings``), "lyapunov" (the largest exponent),
        "critical:PARAMETER"; functions of the rule; `prefdyn.Question`.  A mapping gives them other
        names.
    rounds, burn_in
        Of every run, as in `ensemble`.
    seed
        Seed of the sweep; every block derives its own from it and from its place.
    work
        Updated log-probabilities in a block, about: what is lost when a worker dies.
    out
        Folder of the zarr store; without it nothing is kept.
    resume
        Go on with the store, if it is there.
    workers
        Number of processes; 1 for none but this one.
    client
        A `dask.distributed.Client`, whose workers compute the blocks; they must see `out`.
    progress
        Show a progress bar with the time left; by default on a terminal, after two seconds.
    command
        Recorded with the result; by default that of this process.

    Returns
    -------
    xarray.Dataset
        A variable for each thing recorded, with the axes as dimensions and ``response`` for
        policies; in memory up to 64 MB, else with a dask chunk per block.  Values that were refused
        are NaN (-1 for words), and the attribute ``refused`` says how many and why.

    Raises
    ------
    InputError
        For a wrong axis, value, or reducer, before anything is computed; for a store that is not
        this sweep's, is damaged, or is being written to by another process.
    """
    workers = count(workers, "workers")
    prepared = prepare(
        rule_factory, axes, reducers, rounds=rounds, burn_in=burn_in, seed=seed, work=work
    )
    if out is not None:
        with exclusive(Path(out), beside=True):
            store = _store(prepared, Path(out), resume, command, progress)
            return _result(_completed(prepared, store, workers, client, progress))
    if client is not None:
        raise InputError("out is missing: a cluster writes to a folder that all its workers see.")
    if prepared.bytes > KEPT_NOWHERE:
        raise InputError(
            f"the map has {prepared.bytes / 2**30:.1f} GiB: give out, the folder to keep it in."
        )
    with tempfile.TemporaryDirectory(prefix="prefdyn-") as folder:
        store = _store(prepared, Path(folder) / "map.zarr", False, command, progress)
        return _completed(prepared, store, workers, client, progress).open().load()


def plan_sweep(
    rule_factory: Any,
    axes: Mapping[str, Any],
    reducers: Any = REDUCERS,
    *,
    rounds: int = 3000,
    burn_in: float = 1 / 3,
    seed: int = 0,
    work: float = WORK,
    measured: int = MEASURED,
) -> SweepPlan:
    """What `sweep` would do with these arguments, and the processor time of some of its blocks.

    Parameters
    ----------
    rule_factory, axes, reducers, rounds, burn_in, seed, work
        As of `sweep`.
    measured
        Number of blocks to run, spread evenly over the map; their results are thrown away.
    """
    measured = count(measured, "measured")
    prepared = prepare(
        rule_factory, axes, reducers, rounds=rounds, burn_in=burn_in, seed=seed, work=work
    )
    grid, lines = prepared.grid, prepared.lines
    point = tuple(line.part(slice(1)) for line in lines)
    compute(prepared.work, point, prepared.results, (prepared.seed,))  # compiles what is compiled
    chosen = sorted({round(i) for i in np.linspace(0, len(grid) - 1, min(measured, len(grid)))})
    seconds = []
    with tempfile.TemporaryDirectory(prefix="prefdyn-") as folder:
        store = _created(prepared, Path(folder) / "map.zarr", "")
        for index in track(chosen, "measuring blocks"):
            begun = time.process_time()
            prepared.block(store, index).run()
            seconds.append(time.process_time() - begun)
    forms = prepared.work.source.forms
    return SweepPlan(
        points=grid.points,
        blocks=len(grid),
        block={line.name: n for line, n in zip(lines, grid.block, strict=True)},
        together=tuple(line.name for line in lines if line.name in forms),
        one_by_one=tuple(line.name for line in lines if line.name not in forms),
        bytes=prepared.bytes,
        seconds=tuple(seconds),
    )


def blocks_done(out: str | Path) -> int:
    """How many blocks a store has marked as done."""
    return len(list((Path(out) / stores.MARKS).glob("[0-9]*.json")))


def _store(prepared: Prepared, path: Path, resume: bool, command, progress) -> Store:
    """The store to write to, made or found again; what is done in it is looked through."""
    if not path.exists():
        return _created(prepared, path, command)
    if not resume:
        stores.stored_identity(path)  # only what is a store can be gone on with
        raise InputError(f"{path} exists: resume to go on with it, or give another out.")
    store = stores.reopen(path, prepared.grid, prepared.results, prepared.identity)
    done = sorted(store.done())
    for index in track(done, "checking blocks", progress=progress):
        store.check([index])
    return store


def _created(prepared: Prepared, path: Path, command: str | None) -> Store:
    identity = prepared.identity
    attributes = {
        "title": "prefdyn sweep",
        "command": shlex.join(sys.argv) if command is None else command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: identity[name] for name in ("seed", "rounds", "burn_in", "fingerprint")},
        **{f"{name}_version": number for name, number in identity["versions"].items()},
        "complete": "no: values that are missing may still be computed",
        "refused": "",
    }
    return stores.create(
        path,
        prepared.grid,
        prepared.results,
        prepared.lines,
        prepared.responses,
        attributes,
        identity,
    )


def _completed(prepared: Prepared, store: Store, workers: int, client, progress) -> Store:
    """The store with every block in it."""
    done = store.done()
    left = [index for index in range(len(prepared.grid)) if index not in done]

    def errand(index: int) -> bytes:  # whoever runs it may stand in another folder
        return prepared.block(replace(store, path=store.path.absolute()), index).packed()

    if client is not None:
        running = on_cluster(errand, left, client)
    elif workers > 1 and len(left) > 1:
        running = in_processes(errand, left, min(workers, len(left)))
    else:
        running = in_this_process(lambda index: prepared.block(store, index), left)
    total = len(prepared.grid)
    with closing(running):  # workers end before anyone else may write here
        for _ in track(running, "blocks", total=total, done=len(done), progress=progress):
            pass
    store.close()
    return store


def _result(store: Store) -> "xarray.Dataset":
    opened = store.open()
    return opened.load() if opened.nbytes <= LOADED else opened
