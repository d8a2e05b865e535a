"""Feed damaged files to readers and keep what is neither read nor refused in a sentence."""

import os
import random
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from prefdyn import InputError, InsufficientData
from tests.fuzz.mutate import mutated
from tests.fuzz.readers import READERS, Reader

PATIENCE = 10
"""Seconds after which a reader hangs."""
SHOWN = 5
"""Failures of a reader that are kept."""


class Hangs(Exception):
    """A reader took longer than `PATIENCE`."""


@dataclass
class Tally:
    """What became of the files given to a reader."""

    read: int = 0
    refused: int = 0
    failures: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many there were."""
        return self.read + self.refused + len(self.failures)


def feed(reader: Reader, inputs: int, seed: int) -> Tally:
    """Give a reader so many damaged files."""
    rng, tally = random.Random(f"{reader.name}/{seed}"), Tally()
    with TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder, f"file{reader.suffix}")
        for _ in range(inputs):
            data = mutated(reader.seeds, rng)
            path.write_bytes(data)
            _judge(reader, path, data, tally)
            if len(tally.failures) >= SHOWN:
                break
    return tally


def feed_by_name(name: str, inputs: int, seed: int) -> Tally:
    """As `feed`, for a process of its own."""
    return feed(next(reader for reader in READERS if reader.name == name), inputs, seed)


def _judge(reader: Reader, path: Path, data: bytes, tally: Tally) -> None:
    try:
        with warnings.catch_warnings(), _impatient():
            warnings.simplefilter("error")
            reader.read(path)
    except (InputError, InsufficientData) as error:
        if sentence := _flaw(str(error)):
            tally.failures.append((data, f"{sentence}: {error}"))
        else:
            tally.refused += 1
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        tally.failures.append((data, f"{type(error).__name__}: {error} ({where})"))
    else:
        tally.read += 1


def _flaw(message: str) -> str:
    """What a refusal lacks to be one short sentence, if anything."""
    if not message.rstrip().endswith((".", "!", "?")):
        return "no full stop"
    return "too long" if len(message) > 1000 else ""


@contextmanager
def _impatient() -> Iterator[None]:
    def give_up(*_):
        raise Hangs(f"no answer within {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _memory() -> str | None:
    """A folder in memory, where there is one: a million files need not touch a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
