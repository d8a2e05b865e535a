"""``prefdyn doctor``: what is installed, what works, and how to mend what does not."""

import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from prefdyn.cli._installed import EXTRAS, Requirement, how_to_install, requirements

NEEDS = {
    "sweep": ("sweep",),
    "iterate": ("llm",),
    "predict": ("llm",),
    "train": ("llm",),
    "validate": ("llm",),
}
"""Commands that want more than the package itself, and the extras that bring it."""
DEVELOPERS = ("dev", "docs", "notebooks", "peers")
"""Extras that no command asks for."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
LITTLE_DISK = 1e9
"""Bytes below which a disk is called full."""


@dataclass(frozen=True)
class Doctor:
    """Check versions, devices, optional packages, and the parts that everything rests on.

    Every check is run, not looked up: a kernel is compiled, the language model that ships is
    loaded, a picture is drawn, a file is written.  What fails comes with the command that mends it.
    Exit code 1 if prefdyn itself cannot work here, 0 otherwise.

    For example:
      prefdyn doctor
      prefdyn doctor --json
    """

    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Look at packages and devices, and run the checks."""
        from prefdyn import __version__

        packages = [_package(one) for one in _own()]
        checks = [_attempt(check) for check in CHECKS]
        core = [row for row in packages if row["extra"] is None] + checks[:CORE]
        return {
            "versions": {"python": platform.python_version(), "prefdyn": __version__},
            "machine": _machine(),
            "packages": packages,
            "extras": _extras(packages),
            "commands": _commands(packages),
            "checks": checks,
            "works": all(row["state"] == "good" for row in core),
            "remedies": _remedies(packages, checks),
        }

    @staticmethod
    def exit_code(answer: dict[str, Any]) -> int:
        """1 if the package itself cannot work, else 0."""
        return 0 if answer["works"] else 1

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """A sentence, then machine, checks, extras, commands, and what to do."""
        from prefdyn.cli._output import facts, table

        works = "prefdyn works here" if answer["works"] else "prefdyn cannot work here"
        yield f"{works}{': see what to do, below' if answer['remedies'] else '; nothing to do'}."
        yield ""
        yield facts(**answer["versions"], **answer["machine"])
        yield table(
            "check",
            "state",
            "what was found",
            rows=((row["name"], row["state"], row["found"]) for row in answer["checks"]),
        )
        core = (row for row in answer["packages"] if row["extra"] is None)
        yield table(
            "package",
            "version",
            "needed",
            "state",
            rows=((r["name"], r["version"] or "", r["floor"] or "any", r["state"]) for r in core),
        )
        yield table(
            "extra",
            "state",
            "what is there",
            rows=(
                (name, row["state"], _listed(answer["packages"], name))
                for name, row in answer["extras"].items()
            ),
        )
        commands = answer["commands"]
        broken = {name: row for name, row in commands.items() if not row["works"]}
        yield f"{len(commands) - len(broken)} of {len(commands)} commands have what they need."
        if broken:
            rows = ((f"prefdyn {name}", ", ".join(row["lacks"])) for name, row in broken.items())
            yield table("command", "lacks", rows=rows)
        if answer["remedies"]:
            yield "What to do:"
            yield from (f"  {remedy}" for remedy in answer["remedies"])


def _own() -> list[Requirement]:
    """What users need: the package's own requirements, and those of extras for them."""
    return [one for one in requirements() if one.extra not in DEVELOPERS]


def _package(one: Requirement) -> dict[str, Any]:
    needed = not one.linux_only or platform.system() == "Linux"
    state = "missing" if one.version is None else "old" if one.too_old else "good"
    return {
        "name": one.name,
        "version": one.version,
        "floor": one.floor,
        "extra": one.extra,
        "state": state if needed else "good",
    }


def _extras(packages: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for extra in (name for name in EXTRAS if any(row["extra"] == name for row in packages)):
        own = [row for row in packages if row["extra"] == extra]
        wrong = [row["name"] for row in own if row["state"] != "good"]
        state = "good" if not wrong else "not installed" if len(wrong) == len(own) else "missing"
        found[extra] = {"state": state, "missing": wrong}
    return found


def _listed(packages: list[dict[str, Any]], extra: str) -> str:
    own = [row for row in packages if row["extra"] == extra]
    return ", ".join(f"{row['name']} {row['version'] or 'is missing'}" for row in own)


def _commands(packages: list[dict[str, Any]]) -> dict[str, Any]:
    from prefdyn.cli._commands import COMMANDS

    found = {}
    for name in COMMANDS:
        wrong = [
            row["name"]
            for row in packages
            if row["state"] != "good" and row["extra"] in (None, *NEEDS.get(name, ()))
        ]
        found[name] = {"works": not wrong, "lacks": list(dict.fromkeys(wrong))}
    return found


def _machine() -> dict[str, Any]:
    """Processor, memory, disk, and GPU if torch sees one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "cores": usable,
        "thread_settings": _settings(THREADS),
        "memory": _bytes(_memory()),
        "free_disk_here": _bytes(shutil.disk_usage(".").free),
        "gpu": _gpu(),
        "offline_settings": _settings(OFFLINE),
    }


def _settings(names: tuple[str, ...]) -> str | None:
    """Environment variables that are set."""
    return ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ) or None


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _bytes(size: float | None) -> str | None:
    return None if size is None else f"{size / 2**30:.1f} GiB"


def _gpu() -> str:
    try:
        import torch

        if torch.cuda.is_available():
            names = (torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count()))
            return ", ".join(names)
        return "mps" if torch.backends.mps.is_available() else "none"
    except Exception as error:  # a broken driver must not end the examination
        return f"cannot be asked ({error})"


def _attempt(check: Callable[[], str]) -> dict[str, Any]:
    """Run a check; whatever it raises is what was found."""
    name = (check.__doc__ or "").rstrip(".")
    try:
        return {"name": name, "state": "good", "found": check()}
    except _NotNeeded as error:
        return {"name": name, "state": "skipped", "found": str(error)}
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return {"name": name, "state": "bad", "found": what[:300]}


class _NotNeeded(Exception):
    """A check of something optional that is not installed."""


def _core() -> str:
    """A recipe is judged."""
    from prefdyn import MRSIPO, stability
    from prefdyn.games import rock_paper_scissors

    radius = float(stability(MRSIPO(rock_paper_scissors(0.4), 0.15, 0.5, 1.0)).spectral_radius)
    expected = math.hypot(0.5, 0.4 / (0.15 * math.sqrt(3)))  # claim MRS-4
    if not math.isclose(radius, expected, rel_tol=1e-9):
        raise ArithmeticError(f"the spectral radius came out as {radius}, not {expected}")
    return f"spectral radius {radius:.4f}, as it must be"


def _numba() -> str:
    """A kernel is compiled."""
    import numba

    if numba.njit(lambda x: x + 1)(1) != 2:
        raise ArithmeticError("a compiled 1 + 1 is not 2")
    return f"by numba, for {numba.get_num_threads()} threads"


def _torch() -> str:
    """A derivative is taken."""
    import torch

    x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.logsigmoid(x).backward()
    if x.grad is None or float(x.grad) != 0.5:
        raise ArithmeticError("the derivative of log sigmoid at 0 is not 1/2")
    return f"by torch, with {torch.get_num_threads()} threads"


def _files() -> str:
    """A file is written where temporary files go."""
    from prefdyn._files import write_atomically

    with tempfile.TemporaryDirectory(prefix="prefdyn-") as folder:
        write_atomically(Path(folder) / "file", lambda path: path.write_text("x"))
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < LITTLE_DISK:
        raise OSError(f"only {_bytes(free)} are free in {tempfile.gettempdir()}")
    return f"in {tempfile.gettempdir()}, {_bytes(free)} free"


def _picture() -> str:
    """A picture is drawn."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(1, 1)))
    canvas.draw()
    return f"by matplotlib ({matplotlib.get_backend()})"


def _model() -> str:
    """The language model that ships is loaded."""
    _optional("transformers")
    from prefdyn.llm import load

    model, _ = load()
    return f"{sum(p.numel() for p in model.parameters()):,} parameters"


def _triton() -> str:
    """A GPU kernel is compiled."""
    _optional("triton")
    import torch

    if not torch.cuda.is_available():
        raise _NotNeeded("there is no GPU that torch can use; plain torch takes its place")
    return _row_on("cuda")


def _row_on(device: str) -> str:
    """Statistics of one row by a kernel of ours, held to what they must be."""
    import torch
    import triton

    from prefdyn.llm import kernels

    logits = torch.zeros(1, 4, device=device)
    with kernels.using("triton"):
        entropy = float(kernels.row_stats(logits, torch.tensor([0], device=device)).entropy)
    if not math.isclose(entropy, math.log(4), rel_tol=1e-5):
        raise ArithmeticError(f"the entropy of four equal shares came out as {entropy}, not log 4")
    return f"by triton {triton.__version__}"


def _hub() -> str:
    """The folder of downloaded models can be written to."""
    _optional("huggingface_hub", "transformers")
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{there} cannot be written to: set HF_HOME to another folder")
    mode = "; downloads are switched off" if constants.HF_HUB_OFFLINE else ""
    return f"{folder}{mode}"


def _optional(module: str, asked: str | None = None) -> None:
    """Skip a check whose module is not installed."""
    from importlib.util import find_spec

    if module not in sys.modules and find_spec(module) is None:
        raise _NotNeeded(f"{module} is not installed: {how_to_install(asked or module)}")


CHECKS = (_core, _numba, _torch, _files, _picture, _model, _triton, _hub)
CORE = 5
"""How many of them, the first ones, prefdyn cannot do without."""


def _remedies(packages: list[dict[str, Any]], checks: list[dict[str, Any]]) -> list[str]:
    """The commands that install what is missing or too old, and what failed."""
    wrong = [row for row in packages if row["state"] != "good"]
    found = []
    core = [f"'{row['name']}>={row['floor']}'" for row in wrong if row["extra"] is None]
    if core:
        found.append(f"pip install --upgrade {' '.join(core)}")
    extras = [name for name in EXTRAS if any(row["extra"] == name for row in wrong)]
    found += [f"pip install --upgrade 'prefdyn[{name}]'" for name in extras]
    found += [f"mend: {row['name']} ({row['found']})" for row in checks if row["state"] == "bad"]
    return found
