"""Files that are written whole or not at all, and folders that one run writes to at a time."""

import errno
import json
import os
import platform
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What file systems without locks answer."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk answers that takes no more."""
_UNFINISHED = ".writing-"


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one move.

    Raises
    ------
    OSError
        If it cannot be written: names `path`, and says why.
    """
    with _explained(path, "written"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=unfinished(), suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o644)  # temporary files are born private
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_folder(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a new folder, which takes the place of `path` when it is complete.

    Raises
    ------
    OSError
        If it cannot be written: names `path`, and says why.
    """
    with _explained(path, "written"):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=unfinished()))
        try:
            write(temporary)
            temporary.chmod(0o755)  # temporary folders are born private
            replaced = temporary.with_name(f"{temporary.name}-replaced")
            if path.exists():  # moved whole: half of it would pass for a folder that is complete
                path.replace(replaced)
            temporary.replace(path)
            shutil.rmtree(replaced, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def unfinished() -> str:
    """How the names of files begin that this process has not finished."""
    return f"{_UNFINISHED}{os.getpid()}-{_machine()}-"


def _machine() -> str:
    """The name of this machine: others, on a shared disk, have processes of the same numbers."""
    return re.sub(r"\W", "", platform.node())


@contextmanager
def exclusive(path: Path, *, name: str = ".lock", beside: bool = False) -> Iterator[None]:
    """Be the only run that writes to a folder, which is made if it is not there.

    The lock is the operating system's and ends with the process that holds it, however that ends:
    what a killed run leaves locks nobody out.  What killed processes had begun to write is removed.

    Parameters
    ----------
    path
        The folder.
    name
        Of the file that is locked; a run that holds a folder can hold a part of it by another name.
    beside
        For a folder that appears whole, or not at all: the lock lies beside it, and it is not made.

    Raises
    ------
    InputError
        If another run holds the folder, naming its process and since when; if it is a file.
    OSError
        If the folder cannot be made or written to.
    """
    own = path.absolute()
    folder = own.parent if beside else own
    with _explained(path, "made"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            there = path.parent if beside else path
            raise InputError(f"{there} is a file: give a folder to write to.") from None
    lock = folder / (f".{own.name}.lock" if beside else name)
    with _explained(path, "written to"):
        handle = _locked(lock, path)
    try:
        with _explained(path, "written to"):
            _tidy(own, beside)
            holder = {"process": os.getpid(), "since": _now()}
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, json.dumps(holder).encode())
        yield
    except OSError as error:  # of a library that does not say which file it was writing
        if error.filename is None and error.errno in _FULL:
            raise OSError(error.errno, f"cannot be written ({error.strerror})", str(path)) from None
        raise
    finally:
        with suppress(OSError):
            _tidy(own, beside)  # what workers had begun that were ended
            if os.path.samestat(os.fstat(handle), lock.stat()):  # not another run's, made anew
                lock.unlink()  # some systems remove no file that is open: then it stays, free
        os.close(handle)


def _locked(lock: Path, path: Path) -> int:
    """A handle of the lock file, which is locked and still the file of this name."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _hold(handle, path)
            with suppress(FileNotFoundError):  # removed by its holder between the two lines above
                if os.path.samestat(os.fstat(handle), lock.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _hold(handle: int, path: Path) -> None:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(handle)
        who = f"process {holder['process']} since {holder['since']}" if holder else "another run"
        raise InputError(
            f"{path} is being written to by {who}: wait until that has ended, or give another "
            "folder."
        ) from None
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"{path} cannot be locked here: see to it that no other run writes to it.",
            RuntimeWarning,
            stacklevel=2,
        )


def _holder(handle: int) -> dict[str, Any]:
    """Who wrote itself into the lock file; empty if nobody has, or not yet."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        holder = json.loads(os.read(handle, 1000))
        return {"process": int(holder["process"]), "since": str(holder["since"])}
    except (ValueError, KeyError, TypeError):
        return {}


def _tidy(own: Path, beside: bool) -> None:
    """Remove what processes that are no more had begun to write."""
    pattern = f"{_UNFINISHED}*"
    for part in [*own.rglob(pattern), *(own.parent.glob(pattern) if beside else ())]:
        process, machine, *_ = [*part.name.removeprefix(_UNFINISHED).split("-"), ""]
        if machine == _machine() and not _alive(process):
            with suppress(OSError):  # another run was faster, or it is another user's
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def _alive(process: str) -> bool:
    if os.name != "posix" or not process.isdecimal():
        return True  # nobody knows
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Errors of the system, and what libraries make of them, in one sentence about `path`."""
    try:
        yield
    except Exception as error:
        found = _of_the_system(error)
        if found is None:
            raise
        reason = found.strerror or str(found)
        raise OSError(found.errno, f"cannot be {what} ({reason})", str(path)) from None


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The system's error that an error stems from, which some libraries only quote."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        if quoted := re.search(r"\(os error (\d+)\)", str(error)):
            return OSError(int(quoted[1]), os.strerror(int(quoted[1])))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
