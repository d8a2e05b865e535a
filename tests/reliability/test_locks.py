"""One run writes to a folder at a time; a killed one locks nobody out."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from prefdyn import InputError
from prefdyn._files import exclusive, unfinished, write_atomically, write_folder
from prefdyn.cli import main
from tests.reliability.conftest import COMMANDS

HOLDING = """
import sys, time
from pathlib import Path
from prefdyn._files import exclusive, write_atomically
out = Path(sys.argv[1])

def half(path):
    path.write_text("half")
    print("held", flush=True)
    time.sleep(600)

with exclusive(out):
    write_atomically(out / "part", half)
"""


@contextmanager
def held(out: Path):
    """A folder that another process writes to; gives that process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(out)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_folder_is_held_by_one_run_and_nothing_stays_behind(tmp_path):
    out = tmp_path / "a" / "b"
    with exclusive(out):
        holder = rf"process {os.getpid()} since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        with pytest.raises(InputError, match=holder), exclusive(out):
            pass
        with exclusive(out, name=".other"):
            pass
    assert list(out.iterdir()) == []
    with exclusive(out):  # and again
        pass


def test_the_lock_ends_with_the_process_and_its_half_file_goes(tmp_path):
    out = tmp_path / "out"
    with held(out) as process:
        assert list(out.glob(f".writing-{process.pid}-*"))
        with pytest.raises(InputError, match=f"process {process.pid} since"), exclusive(out):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        alive, elsewhere = out / f"{unfinished()}x", out / f".writing-{process.pid}-elsewhere-x"
        alive.touch()
        elsewhere.touch()  # this process of another machine may well be alive
        assert (out / ".lock").exists()
        with exclusive(out):
            assert json.loads((out / ".lock").read_text())["process"] == os.getpid()
    assert set(out.iterdir()) == {alive, elsewhere}


def test_a_folder_that_is_removed_and_made_anew_is_its_new_holders(tmp_path):
    out = tmp_path / "out"
    with exclusive(out):
        shutil.rmtree(out)
        another = ExitStack()
        another.enter_context(exclusive(out))
    with another:
        assert (out / ".lock").exists()
        with pytest.raises(InputError, match="being written to"), exclusive(out):
            pass


def test_what_cannot_be_removed_stops_nobody(tmp_path, monkeypatch):
    """Of two runs that begin side by side, one finds gone what it wanted to remove."""
    monkeypatch.setattr("prefdyn._files._alive", lambda process: False)
    (tmp_path / f"{unfinished()}x").mkdir()

    def gone(path):
        raise FileNotFoundError(2, "gone", str(path))

    monkeypatch.setattr("prefdyn._files.shutil.rmtree", gone)
    with exclusive(tmp_path / "map.zarr", beside=True):
        assert (tmp_path / ".map.zarr.lock").exists()


def test_a_file_in_its_place_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").touch()
    for given, beside in (("out", False), ("out/map.zarr", True)):
        with (
            pytest.raises(InputError, match=r"^out is a file"),
            exclusive(Path(given), beside=beside),
        ):
            pass


def test_a_lock_beside_makes_no_folder(tmp_path):
    store = tmp_path / "maps" / "map.zarr"
    with exclusive(store, beside=True):
        assert not store.exists()
        with pytest.raises(InputError, match="being written to by process"):  # noqa: SIM117
            with exclusive(store, beside=True):
                pass
        with exclusive(store.with_name("other.zarr"), beside=True):
            pass
    assert list(store.parent.iterdir()) == []


def test_of_many_at_once_one_holds_it(tmp_path):
    """Threads that come and go: the file of the lock is made and removed under their hands."""
    inside, worst, refused = [], [], 0

    def come_and_go():
        nonlocal refused
        for _ in range(200):
            try:
                with exclusive(tmp_path):
                    inside.append(1)
                    worst.append(len(inside))
                    inside.pop()
            except InputError:
                refused += 1

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst) == 1
    assert len(worst) + refused == 800


def test_a_file_or_a_place_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file: give a folder"):  # noqa: SIM117
        with exclusive(tmp_path / "file"):
            pass

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match=r"cannot be written to \(Permission denied\)"):  # noqa: SIM117
        with exclusive(tmp_path):
            pass


def test_where_there_are_no_locks_a_warning_says_so(tmp_path, monkeypatch):
    import fcntl

    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(RuntimeWarning, match="cannot be locked here"), exclusive(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    def whole(folder):
        (folder / "one").write_text("1")

    def broken(folder):
        (folder / "two").write_text("2")
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    write_folder(tmp_path / "model", whole)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\)"):
        write_folder(tmp_path / "model", broken)
    write_folder(tmp_path / "model", whole)
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "model",
        "model/one",
    ]


def test_what_a_writer_raises_of_its_own_is_left_alone(tmp_path):
    def write(path):
        try:
            raise OSError(5, "Input/output error")
        except OSError:
            raise InputError("line 3 is wrong.") from None

    with pytest.raises(InputError, match="line 3"):
        write_atomically(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*COMMANDS, "validate"])
def test_the_second_of_two_runs_refuses_in_one_sentence(name, room, monkeypatch, capsys):
    monkeypatch.chdir(room)
    command = COMMANDS.get(name, "validate --size quick --out out --only squeezing")
    with ExitStack() as stack:
        if name == "sweep":
            stack.enter_context(exclusive(Path("out/map.zarr"), beside=True))
        else:
            process = stack.enter_context(held(Path("out")))
            stack.callback(process.kill)
        before = sorted(Path("out").rglob("*"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(command.split()) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "is being written to by process" in printed.err
        assert printed.err.count("\n") == 1
        assert sorted(Path("out").rglob("*")) == before
