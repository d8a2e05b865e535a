"""What to read in the folder of a run, and what lies beside a log."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn.runlog._columns import SETTINGS
from prefdyn.runlog._source import lines

_STATE = "trainer_state.json"
_LOGS = (
    "log.jsonl",  # prefdyn train
    "rounds.csv",  # prefdyn iterate
    "trainer_log.jsonl",  # LLaMA-Factory
    "metrics.parquet",  # trackio, exported
    "prob_train_metrics.json",  # Learning dynamics of LLM finetuning
)
_ARGUMENTS = ("training_args.json", "args.json", "training_args.yaml", "config.yaml")
_PICKLE = "training_args.bin"
_DEEPEST = 3
_LARGEST = 2**20
"""Bytes of a file of settings; what is larger is something else."""


def log_in(folder: Path, notes: list[str]) -> Path:
    """The log of a folder: of several checkpoints the newest, and a note says so.

    Raises
    ------
    InputError
        If there is none.
    """
    checkpoints = sorted(_checkpoints(folder))
    own = folder / _STATE
    newest = checkpoints[-1] if checkpoints else None
    if own.is_file() and (newest is None or newest[0] <= _step(own)):
        return own
    if newest is not None:
        if len(checkpoints) > 1:
            name = newest[1].name
            notes.append(f"Of {len(checkpoints)} checkpoints the newest, {name}, was read.")
        return newest[1] / _STATE
    for name in _LOGS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{str(folder)!r} holds no log that is known ({_STATE}, checkpoint-N/{_STATE}, "
        f"{', '.join(_LOGS)}): name the file itself."
    )


def _checkpoints(folder: Path) -> Iterator[tuple[int, Path]]:
    try:
        for path in folder.iterdir():
            found = re.fullmatch(r"checkpoint-(\d{1,18})", path.name)
            if found and (path / _STATE).is_file():
                yield int(found[1]), path
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be read ({error.strerror}).") from None


def _step(state: Path) -> float:
    """How far a trainer had come; minus one where that cannot be read."""
    try:
        step = json.loads("".join(text for _, text in lines(state)))["global_step"]
    except (InputError, ValueError, TypeError, KeyError, RecursionError):
        return -1.0
    return step if isinstance(step, (int, float)) else -1.0


def settings_beside(path: Path, notes: list[str]) -> dict[str, Any]:
    """Settings from the files of arguments beside a log, or above its checkpoint.

    Plain data only: a pickle is never opened, as that would run what is in it.
    """
    folders = [path.parent]
    if path.parent.name.startswith("checkpoint-"):
        folders.append(path.parent.parent)
    known: dict[str, Any] = {}
    for folder in folders:
        for name in _ARGUMENTS:
            known = _plain(folder / name, notes) | known
    if not known and any((folder / _PICKLE).exists() for folder in folders):
        notes.append(f"{_PICKLE} was not read: it is a pickle, which could run code.")
    return known


def _plain(path: Path, notes: list[str]) -> dict[str, Any]:
    """Settings in a file of arguments; none where it is not there or says nothing."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return settings_in(json.loads(text))
        import yaml
    except ModuleNotFoundError:
        notes.append(f"{path.name} was not read: that needs pyyaml (pip install pyyaml).")
        return {}
    except (OSError, ValueError, RecursionError):
        notes.append(f"{path.name} could not be read, and was left out.")
        return {}
    try:
        return settings_in(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        notes.append(f"{path.name} could not be read, and was left out.")
        return {}


def settings_in(arguments: Any, depth: int = 0) -> dict[str, Any]:
    """The arguments that matter here, in this package's words; those further out win.

    Examples
    --------
    >>> settings_in({"lr": 5e-7, "loss": {"name": "dpo", "beta": 0.1}, "seed": 0})
    {'beta': 0.1, 'learning_rate': 5e-07}
    """
    if not isinstance(arguments, Mapping) or depth == _DEEPEST:
        return {}
    found: dict[str, Any] = {}
    for value in arguments.values():
        found |= settings_in(value, depth + 1)
    for name, value in arguments.items():
        if isinstance(value, Mapping) and set(value) <= {"value", "desc"}:  # wandb's config.yaml
            value = value.get("value")
        if name in SETTINGS and _simple(value):
            found[SETTINGS[name]] = value
    return found


def _simple(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, str) for one in value)
    return isinstance(value, (bool, int, float, str))
