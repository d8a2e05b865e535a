"""Worker processes that end when they should, and loops that end where they can go on."""

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
def interruptible() -> Iterator[threading.Event]:
    """Leave it to the block when Ctrl-C is heeded, so that nothing is cut in two.

    The event is set when somebody has asked to stop: the block should keep what it has and end, and
    `KeyboardInterrupt` is raised behind it.  Asked a second time, it is raised at once.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    own = [kind for kind, known in handlers.items() if known is signal.default_int_handler]

    def restore() -> None:
        for kind in own:
            signal.signal(kind, signal.default_int_handler)

    def later(*_: object) -> None:
        asked.set()
        restore()

    for kind in own:
        signal.signal(kind, later)
    try:
        yield asked
    finally:
        restore()
    if asked.is_set():
        raise KeyboardInterrupt


def _begin() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; one is to answer
    parent = parent_process()
    if parent is not None:  # else a worker whose parent is killed would wait for ever
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
