"""Commands in processes of their own, which can be killed: at a moment, or at a file's move.

A server imports what the commands need once and forks: a command then starts at once, so that
moments drawn over its duration fall into its work.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

FORKS: Any = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.reliability.processes",
        *("prefdyn.cli", "prefdyn.llm.validate", "prefdyn.llm.training", "cloudpickle"),
        *("transformers.models.llama.modeling_llama", "torch.func", "scipy.stats", "xarray"),
        *("zarr", "pyarrow.parquet", "matplotlib.pyplot", "PIL.PngImagePlugin"),
    ]
)
WAIT = 300.0
"""Seconds after which a process hangs."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes
    ----------
    code : int
        Exit code; -9 after a kill.
    out, err : str
        What it printed.
    moved : list of str
        Paths that files were put in place at, in order.
    seconds : float
        From its first line of code to its end.
    """

    code: int
    out: str
    err: str
    moved: list[str]
    seconds: float


def run(
    words: Sequence[str],
    folder: Path,
    *,
    after: float | None = None,
    at: float | None = None,
    largest: int | None = None,
) -> Ended:
    """Run a command in a folder.

    Parameters
    ----------
    words
        The command line.
    folder
        Where it runs.
    after
        Seconds after which it is killed.
    at
        The move of a file at which it kills itself: n just before the n-th, n + 1/2 just after.
    largest
        Bytes that a file can have, as on a disk that is full.
    """
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    for note in notes.iterdir():
        note.unlink()
    ready, told = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_child, args=(list(words), str(folder), at, largest, told))
    process.start()
    assert ready.poll(WAIT), "did not start"
    begun = time.perf_counter()
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join(WAIT)
    assert process.exitcode is not None, "hangs"
    printed = {name: (notes / name).read_text() for name in ("out", "err")}
    moved = notes / "moved"
    return Ended(
        process.exitcode,
        printed["out"],
        printed["err"],
        [json.loads(line) for line in moved.read_text().splitlines()] if moved.exists() else [],
        time.perf_counter() - begun,
    )


def _child(words: list[str], folder: str, at: float | None, largest: int | None, told: Any) -> None:
    """Run the command, noting every move of a file into its place."""
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"notes/{name}", os.O_WRONLY | os.O_CREAT, 0o644), number)
    _obey_permissions()
    if largest is None:
        _watch_moves(at)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from prefdyn.cli import main

    with contextlib.closing(told):
        told.send("ready")
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _obey_permissions() -> None:
    """Give up the right to write anywhere, which the root user has."""
    if sys.platform == "linux":
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, nothing) == 0


def _watch_moves(at: float | None) -> None:
    """Note what `os.replace` and `os.rename` put in place, and die where it is wanted."""
    made = 0
    notes = os.open("notes/moved", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    here = os.getcwd()

    def watched(move: Any) -> Any:
        def moving(source: Any, target: Any, **more: Any) -> None:
            nonlocal made
            made += 1
            if at == made:
                os.kill(os.getpid(), signal.SIGKILL)
            move(source, target, **more)
            path = os.path.relpath(os.path.abspath(os.fspath(target)), here)
            os.write(notes, (json.dumps(path) + "\n").encode())
            if at == made + 0.5:
                os.kill(os.getpid(), signal.SIGKILL)

        return moving

    for name in ("replace", "rename"):
        setattr(os, name, watched(getattr(os, name)))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes; folders end in a slash."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name + "/" * path.is_dir()] = b"" if path.is_dir() else path.read_bytes()
    return found
