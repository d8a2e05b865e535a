"""Who computes the blocks: this process, several, or a cluster.

Every runner is given ``errand(index)``, which packs a block into bytes, and gives the index of each
block as it is done.  Only a few blocks are packed at a time, however many there are.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any

from prefdyn._errors import InputError
from prefdyn._processes import workers as processes
from prefdyn._sweep.axes import Line
from prefdyn._sweep.compute import Work, compute
from prefdyn._sweep.store import Store

Errand = Callable[[int], bytes]
ATTEMPTS = 3
"""Pools of processes that may break before a sweep gives up."""


@dataclass(frozen=True)
class Block:
    """A block, with all that it takes to compute it anywhere; its size is the block's."""

    store: Store
    work: Work
    lines: tuple[Line, ...]
    index: int
    seed: int

    def run(self) -> int:
        """Compute, write, mark as done, and give the index."""
        begun = time.process_time()
        try:
            arrays, refused = compute(
                self.work, self.lines, self.store.wanted(self.index), (self.seed, self.index)
            )
        except InputError as error:
            stretch = ", ".join(
                f"{line.name} {line.labels[0]} to {line.labels[-1]}" for line in self.lines
            )
            raise InputError(f"in block {self.index} ({stretch}): {error}") from error
        self.store.write(self.index, arrays, refused, time.process_time() - begun)
        return self.index

    def packed(self) -> bytes:
        """The block as bytes, with functions that another process cannot import by name."""
        import cloudpickle

        return cloudpickle.dumps(self)


def run_packed(block: bytes) -> int:
    """Run a block that was packed."""
    import cloudpickle

    return cloudpickle.loads(block).run()


def in_this_process(block: Callable[[int], Block], indices: Iterable[int]) -> Generator[int]:
    """One block after the other."""
    for index in indices:
        yield block(index).run()


def in_processes(errand: Errand, indices: Iterable[int], workers: int) -> Generator[int]:
    """By so many processes of one thread each; if one dies, the blocks in flight start again.

    Raises
    ------
    InputError
        If processes die time and again.
    """
    left = dict.fromkeys(indices)
    for _ in range(ATTEMPTS):
        try:
            with processes(workers) as pool:
                for index in _windowed(lambda i: pool.submit(run_packed, errand(i)), left, workers):
                    del left[index]
                    yield index
            return
        except BrokenProcessPool:
            continue
    raise InputError(
        f"worker processes died {ATTEMPTS} times, perhaps for lack of memory: take fewer workers "
        "or smaller blocks (work), and resume."
    )


def on_cluster(errand: Errand, indices: Iterable[int], client: Any) -> Generator[int]:
    """By the workers of a `dask.distributed.Client`, which must see the store's folder.

    The scheduler starts the blocks of a worker that died again, on another.
    """
    from distributed import as_completed

    waiting = iter(indices)
    futures = as_completed()

    def fill() -> None:
        room = 2 * max(1, sum(client.nthreads().values())) - futures.count()
        for index in islice(waiting, max(0, room)):
            futures.add(client.submit(run_packed, errand(index), pure=False))

    fill()
    for future in futures:
        yield future.result()
        fill()


def _windowed(submit: Callable[[int], Any], indices: Iterable[int], workers: int) -> Iterator[int]:
    """Results as they come, with at most two errands per worker under way."""
    waiting = iter(list(indices))
    flying = {submit(index) for index in islice(waiting, 2 * workers)}
    while flying:
        landed, flying = wait(flying, return_when=FIRST_COMPLETED)
        for future in landed:
            yield future.result()
            flying |= {submit(index) for index in islice(waiting, 1)}
