"""Run the experiments: prediction, then training, then verdict; each on disk as soon as it is done.

Every experiment is a module of this folder with

``TITLE``, ``CAPTION``, ``CLAIMS``
    A heading, what the figure shows, and ids of the claims it tests.
``predict(lm, size, seed)``
    What is drawn and everything that is predicted, as plain data; it is written down before any
    training.
``measure(lm, predicted, size, seed)``
    What training copies of the model did, as plain data.
``records(predicted, measured)``
    The two side by side, as `Record`.
``draw(predicted, measured)``
    A matplotlib figure.
"""

import hashlib
import importlib
import json
import os
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._files import write_atomically
from prefdyn._inputs import choice, count
from prefdyn.llm.models import LanguageModel, load
from prefdyn.llm.reference import fingerprint
from prefdyn.llm.validate._record import Record

ORDER = (
    "single_token",
    "kernel_prediction",
    "rankings",
    "rounds",
    "preference_shift",
    "squeezing",
)
"""Names of the experiments in the order of the report."""
_LONGEST_FIRST = (
    "rounds",
    "kernel_prediction",
    "rankings",
    "preference_shift",
    "single_token",
    "squeezing",
)
SIZES = ("quick", "default")
_FORMATS = {"svg": {"Date": None}, "png": {}}


@dataclass(frozen=True)
class Setup:
    """What is validated, how large, and where the results go."""

    model: str | None
    adapter: str | None
    device: str
    dtype: str
    size: str
    seed: int
    out: Path

    def load(self) -> LanguageModel:
        """The model, fresh from disk."""
        return load(self.model, device=self.device, dtype=self.dtype, adapter=self.adapter)


def run(
    model: str | None = None,
    out: str | Path = "validation",
    *,
    adapter: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    size: str = "default",
    experiments: Sequence[str] = ORDER,
    seed: int = 0,
    processes: int = 2,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> list[Record]:
    """Run experiments on a language model and write ``OUT/validation.json``.

    Beside it lie, for each experiment, its predictions as they were before training
    (``predictions/NAME.json``), its data and records (``NAME.json``) and its figure.  An experiment
    that is already there for this model, size, seed and source is not run again, so a killed run
    goes on where it stopped.

    Parameters
    ----------
    model, adapter, device, dtype
        As of `load`; by default the model that ships with the package.
    out
        Folder of the results.
    size
        ``"quick"`` (two minutes on two cores) or ``"default"`` (ten).
    experiments
        Names out of `ORDER`.
    seed
        Seed of all randomness.
    processes
        Experiments that run at once, one thread each; take 1 for a model that is large.
    report
        Called with the name and the result of each experiment as it is done.

    Returns
    -------
    list of Record
        Of all experiments in the folder that are of this model, size, seed and source, in the order
        of `ORDER`.

    Raises
    ------
    InputError
        For an unknown experiment or size, or a model that cannot be loaded.
    """
    for name in experiments:
        choice(name, ORDER, "experiment")
    processes = count(processes, "processes")
    out = Path(out)
    setup = Setup(model, adapter, device, dtype, choice(size, SIZES, "size"), int(seed), out)
    (out / "predictions").mkdir(parents=True, exist_ok=True)
    lm = setup.load()
    about = describe(lm, setup)
    key = _key(about)
    # What was run before stays in the list, also when this run asks for others.
    known = {name: _read(out / f"{name}.json", key) for name in ORDER}
    results = {name: stored for name, stored in known.items() if stored is not None}
    wanted = sorted(set(experiments), key=_LONGEST_FIRST.index)
    missing = [name for name in wanted if name not in results]
    for name in wanted:
        if name in results:
            _tell(report, name, results[name])
    for name, result in _run_all(missing, setup, key, processes):
        results[name] = result
        _tell(report, name, result)
    records = [record for name in ORDER if name in results for record in results[name]["records"]]
    _write(out / "model.json", about | {"experiments": [n for n in ORDER if n in results]})
    _write(out / "validation.json", records)
    return [Record(**record) for record in records]


def describe(lm: LanguageModel, setup: Setup) -> dict[str, Any]:
    """What was validated, as plain data."""
    import platform
    from importlib.metadata import version

    parameters = {id(p): p.numel() for p in lm.model.parameters()}
    return {
        "model": Path(setup.model).name if setup.model else "shipped",
        "fingerprint": fingerprint(lm.model, lm.tokenizer),
        "parameters": sum(parameters.values()),
        "architecture": type(lm.model).__name__,
        "device": setup.device,
        "dtype": setup.dtype,
        "size": setup.size,
        "seed": setup.seed,
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in ("prefdyn", "torch", "transformers")},
        },
    }


def perform(name: str, setup: Setup, key: str) -> dict[str, Any]:
    """One experiment from start to end; its result is on disk before it is returned.

    The predictions are written down before a fresh copy of the model is trained.
    """
    import torch

    torch.set_num_threads(1)
    module = importlib.import_module(f"prefdyn.llm.validate.{name}")
    began = time.perf_counter()
    path = setup.out / "predictions" / f"{name}.json"
    stored = _read(path, key)
    if stored is None:
        stored = {"key": key, "predicted": module.predict(setup.load(), setup.size, setup.seed)}
        _write(path, stored)
    predicted = _as_read(stored["predicted"])
    measured = _as_read(module.measure(setup.load(), predicted, setup.size, setup.seed))
    records = [asdict(record) for record in module.records(predicted, measured)]
    _draw(module, predicted, measured, setup.out / name)
    result = {
        "key": key,
        "name": name,
        "title": module.TITLE,
        "caption": " ".join(module.CAPTION.split()),
        "claims": list(module.CLAIMS),
        "seconds": round(time.perf_counter() - began, 1),
        "records": records,
        "predicted": predicted,
        "measured": measured,
    }
    _write(setup.out / f"{name}.json", result)
    return result


def _run_all(names: list[str], setup: Setup, key: str, processes: int):
    """Yield each experiment's name and result as it is done; one that breaks fails with a note."""
    if processes == 1 or len(names) < 2:
        for name in names:
            yield name, _attempt(name, setup, key)
        return
    for library in ("OMP", "OPENBLAS", "MKL"):  # before a worker imports numpy
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # A fresh interpreter per worker: forking one that holds torch's threads can deadlock.
    pool = ProcessPoolExecutor(min(processes, len(names)), mp_context=get_context("spawn"))
    futures = {pool.submit(_attempt, name, setup, key): name for name in names}
    try:
        for future in as_completed(futures):
            lost = future.exception()  # only when the worker itself died
            name = futures[future]
            yield name, _broken(name, str(lost)) if lost else future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(name: str, setup: Setup, key: str) -> dict[str, Any]:
    try:
        return perform(name, setup, key)
    except InputError as error:
        return _broken(name, str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return _broken(name, f"{type(error).__name__}: {error} ({where})")


def _broken(name: str, sentence: str) -> dict[str, Any]:
    """The result of an experiment that could not be run to its end: it fails, and says why."""
    record = Record(name, "the run itself", None, None, "", "fails", sentence)
    return {"name": name, "records": [asdict(record)], "seconds": 0.0, "error": sentence}


def _draw(module: Any, predicted: Any, measured: Any, stem: Path) -> None:
    from prefdyn.plots.house import style

    with style():
        drawing = module.draw(predicted, measured)
        for suffix, metadata in _FORMATS.items():
            save = partial(drawing.savefig, metadata=metadata)
            write_atomically(stem.with_suffix(f".{suffix}"), save)


def _key(about: dict[str, Any]) -> str:
    """Digest of the model, the settings, and the sources that turn them into results."""
    settings = {name: value for name, value in about.items() if name != "model"}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    package = Path(__file__).parents[2]
    for path in sorted(package.rglob("*.py")):
        if "cli" not in path.relative_to(package).parts:
            digest.update(f"\0{path.relative_to(package)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """What was stored under this key, else None."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and stored.get("key") == key else None


def _write(path: Path, value: Any) -> None:
    text = json.dumps(_plain(value), indent=1, allow_nan=False)
    write_atomically(path, lambda file: file.write_text(text + "\n", encoding="utf-8"))


def _as_read(value: Any) -> Any:
    """A value as it comes back from disk, so that a resumed run sees what a straight one saw."""
    return json.loads(json.dumps(_plain(value)))


def _plain(value: Any) -> Any:
    """Data that JSON can write: arrays as lists, what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _tell(report: Any, name: str, result: dict[str, Any]) -> None:
    if report is not None:
        report(name, result)
