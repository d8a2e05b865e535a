"""Worker processes that end when they should, and steps that Ctrl-C does not cut in two."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each.

    When the block is left by an exception, an interruption say, they are ended at once: whatever
    they write must be written whole or not at all.  They leave Ctrl-C to this process, and end
    with it when it is killed.
    """
    before = {name: os.environ.get(name) for name in (f"{x}_NUM_THREADS" for x in LIBRARIES)}
    os.environ.update(dict.fromkeys(before, "1"))  # before a worker imports numpy
    others = set(active_children())
    # A fresh interpreter per worker: forking one that holds threads (rich, torch) can deadlock.
    pool = ProcessPoolExecutor(number, get_context("spawn"), initializer=_begin)
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def whole() -> Iterator[None]:
    """A block that Ctrl-C does not cut in two: it is raised behind it; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def later(number, frame) -> None:
        nonlocal asked
        asked = True
        restore()

    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    mine = {kind: known for kind, known in before.items() if known is signal.default_int_handler}

    def restore() -> None:
        for kind, known in mine.items():
            signal.signal(kind, known)

    for kind in mine:
        signal.signal(kind, later)
    try:
        yield
    finally:
        restore()
    if asked:
        raise KeyboardInterrupt


def _begin() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; one is to answer
    parent = parent_process()
    if parent is not None:  # else a worker whose parent is killed would wait for ever
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
