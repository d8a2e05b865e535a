"""Where the GPU benchmarks run: the device, its clock, and the sizes that fit it."""

import gc
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import torch

import prefdyn

PACKAGES = ("torch", "triton", "numpy", "liger-kernel", "cut-cross-entropy", "nvidia-cutlass-dsl")


class FatalError(RuntimeError):
    """The device is lost to this process: nothing that it still says can be believed."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is that is measured.

    Attributes
    ----------
    product, copied
        Side of the square matrix product and bytes of the copy that give the two ceilings.
    tokens, length
        Tokens N of a batch of pairs, and of each response.
    heads
        (d, V), the most important first.
    sweep
        Numbers of tokens for the sweep, and buffer rows.
    rows
        Rows of logits that the row kernels are given.
    vocabularies
        Their lengths.
    responses
        Responses and tokens of each, for the Gram matrices.
    layers
        d_in = d_out of their layers.
    orbits, rounds
        Of the tabular rules.
    policies
        Numbers of responses K of these.
    seconds
        Time that the repeats of one comparison should take; there are 3 of them at least.
    """

    product: int
    copied: int
    tokens: int
    length: int
    heads: tuple[tuple[int, int], ...]
    sweep: tuple[int, ...]
    buffers: tuple[int, ...]
    rows: int
    vocabularies: tuple[int, ...]
    responses: tuple[int, int]
    layers: tuple[int, ...]
    orbits: int
    rounds: int
    policies: tuple[int, ...]
    seconds: float


FULL = Sizes(
    product=8192,
    copied=2**32,
    tokens=16384,
    length=512,
    heads=((4096, 128256), (2048, 151936), (4096, 151936), (2048, 32000)),
    sweep=(1024, 2048, 4096, 8192, 16384, 32768),
    buffers=(1024, 2048, 4096, 8192),
    rows=4096,
    vocabularies=(128256, 151936, 50257),
    responses=(64, 64),
    layers=(2048, 8192),
    orbits=10**6,
    rounds=200,
    policies=(3, 8, 32),
    seconds=8.0,
)
TOY = Sizes(
    product=32,
    copied=2**12,
    tokens=32,
    length=4,
    heads=((16, 60), (8, 33)),
    sweep=(16, 32),
    buffers=(8, 16),
    rows=6,
    vocabularies=(50, 33),
    responses=(4, 5),
    layers=(6,),
    orbits=20,
    rounds=4,
    policies=(3, 5),
    seconds=0.0,
)


class Timing(NamedTuple):
    """Milliseconds per run: the median and the quartiles."""

    ms: float
    low: float
    high: float


@dataclass(frozen=True)
class Timed:
    """A function to time, what has to be made ready before each run, untimed, and a remark."""

    run: Callable[[], Any]
    before: Callable[[], Any] | None = None
    note: str = ""


@dataclass(frozen=True)
class Place:
    """A device with its clock and sizes.

    Attributes
    ----------
    device
        Of all tensors.
    sizes
        How large.
    interleaved
        Milliseconds (functions, repeats) of functions that run in turn.
    compiles
        Whether things that compile are compiled; else they run as they are written.
    """

    device: str
    sizes: Sizes
    interleaved: Callable[[Sequence[Timed], int], list[list[float]]]
    compiles: bool

    @property
    def on_gpu(self) -> bool:
        """Whether what is measured here is a result."""
        return self.device == "cuda"

    def timings(self, timed: Sequence[Timed], first_ms: float) -> list[Timing]:
        """Timings of functions that run in turn, often enough for their first runs' total."""
        repeats = max(3, min(30, int(1e3 * self.sizes.seconds / max(first_ms, 1e-3))))
        return [_timing(times) for times in self.interleaved(timed, repeats)]

    def first(self, timed: Timed) -> tuple[Any, float, float | None]:
        """Result, milliseconds of a second run, and gigabytes beyond what was there before."""
        _run(timed)  # compiles
        self.settle()
        before = torch.cuda.memory_allocated() if self.on_gpu else 0
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        result = _run(timed)
        self.settle()
        ms = 1e3 * (time.perf_counter() - start)
        peak = (torch.cuda.max_memory_allocated() - before) / 1e9 if self.on_gpu else None
        return result, ms, peak

    def settle(self) -> None:
        """Wait for the device."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def attempt(self, function: Callable[[], Any]) -> tuple[Any, str]:
        """What the function returns, and nothing; or None, and why not.

        Raises
        ------
        FatalError
            If the failure was the device's.
        """
        try:
            return function(), ""
        except Exception as error:
            reason = sentence(error)
        if self.on_gpu:
            gc.collect()  # what the failure's frames held
            try:  # an error that sticks to the device comes back with whatever is asked of it next
                torch.cuda.empty_cache()
                torch.ones(1, device=self.device).item()
            except Exception as error:
                raise FatalError(reason) from error
        return None, reason


def sentence(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"not installed: no module named {error.name!r}"
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines()
    first = " ".join(lines[0].split()) if lines else ""
    return f"{type(error).__name__}: {first[:200]}"


def gpu() -> Place:
    """The GPU of this machine, at full size."""
    return Place("cuda", FULL, _by_device_events, compiles=True)


def rehearsal() -> Place:
    """A processor, at toy size: every line of code runs, and nothing is a result."""
    return Place("cpu", TOY, _by_processor_time, compiles=False)


def environment(place: Place) -> dict[str, Any]:
    """Date, device, driver and versions: what the numbers have to be read with."""
    device = {"device": "processor, at toy size"}
    if place.on_gpu:
        properties = torch.cuda.get_device_properties(0)
        device = {
            "device": properties.name,
            "multiprocessors": properties.multi_processor_count,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
            "cuda": torch.version.cuda,
        }
    return device | {
        "date": time.strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"prefdyn": prefdyn.__version__} | {name: _version(name) for name in PACKAGES},
        "commit": _output("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
    }


def _run(timed: Timed) -> Any:
    if timed.before is not None:
        timed.before()
    return timed.run()


def _timing(times: list[float]) -> Timing:
    low, middle, high = quantiles(times, n=4, method="inclusive")
    return Timing(middle, low, high)


def _by_device_events(timed: Sequence[Timed], repeats: int) -> list[list[float]]:
    """The host may run ahead of the device within a round, as it does in training."""
    found: list[list[float]] = [[] for _ in timed]
    for _ in range(repeats):
        marks = []
        for one in timed:
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            if one.before is not None:
                one.before()
            start.record()
            one.run()
            stop.record()
            marks.append((start, stop))
        torch.cuda.synchronize()
        for times, (start, stop) in zip(found, marks, strict=True):
            times.append(start.elapsed_time(stop))
    return found


def _by_processor_time(timed: Sequence[Timed], repeats: int) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in timed]
    for _ in range(repeats):
        for one, times in zip(timed, found, strict=True):
            if one.before is not None:
                one.before()
            start = time.process_time()
            one.run()
            times.append(1e3 * (time.process_time() - start))
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _output(*command: str) -> str:
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.splitlines()[0] if found else "unknown"
