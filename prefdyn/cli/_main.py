"""Which command was asked for, and how it ends: answered, refused, interrupted, broken."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefdyn import __version__
from prefdyn._errors import InputError, InsufficientData
from prefdyn._progress import working
from prefdyn.cli._commands import parsed
from prefdyn.cli._output import show

ANSWERED, BROKEN, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""
TRACEBACK = "PREFDYN_TRACEBACK"
"""Environment variable that shows where an unexpected error came from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit code, see `prefdyn.cli`.

    Raises
    ------
    SystemExit
        With code 0 after ``--help`` and 2 for options that cannot be parsed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        with _ending_is_interrupting():
            code = _run(words)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Whoever read our output has had enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ANSWERED
    except KeyboardInterrupt:
        return INTERRUPTED


@contextmanager
def _ending_is_interrupting() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: what is done is kept, and how to go on is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(words: list[str]) -> int:
    if words[0] == "--version":
        print(f"prefdyn {__version__}")
        return ANSWERED
    command = None
    try:
        command = parsed(words)
        with working("working"):
            answer = command.answer()
        show(command, answer)
        return command.exit_code(answer) if hasattr(command, "exit_code") else ANSWERED
    except KeyboardInterrupt:
        _tell(f"interrupted; {_left_behind(command, words)}")
        return INTERRUPTED
    except (InputError, InsufficientData) as error:
        return _refuse(str(error), error)
    except BrokenPipeError:
        raise
    except ImportError as error:
        if error.name is None:  # ours name no module: they are sentences
            return _refuse(str(error), error)
        return _refuse(_missing(error.name), error)
    except OSError as error:
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}.", error)
    except Exception as error:
        return _break(error)


def _left_behind(command: Any, words: list[str]) -> str:
    """What there is of an interrupted command, and how to go on with it."""
    told = getattr(command, "interrupted", None)
    if told is None:
        return "nothing was written."
    found, more = told()
    if more is None:
        return f"{found}."
    again = words + [word for word in more if word not in words]
    return f"{found}, go on with: {shlex.join(['prefdyn', *again])}"


def _missing(module: str) -> str:
    from prefdyn.cli._installed import how_to_install

    top = module.partition(".")[0]
    return f"{top} cannot be imported: {how_to_install(top)}, and see prefdyn doctor."


def _refuse(sentence: str, error: BaseException) -> int:
    _trace(error)
    _tell(sentence)
    return REFUSED


def _break(error: Exception) -> int:
    _trace(error)
    if isinstance(error, MemoryError):
        _tell("there is too little memory for this: ask for less at once.")
        return BROKEN
    what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".:")
    _tell(
        f"an error that should not have happened ({what}): please report it, with what "
        f"{TRACEBACK}=1 adds to this command and what prefdyn doctor says."
    )
    return BROKEN


def _trace(error: BaseException) -> None:
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)


def _tell(sentence: str) -> None:
    print(f"prefdyn: {sentence}", file=sys.stderr)
