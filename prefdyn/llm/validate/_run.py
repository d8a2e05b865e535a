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

import importlib
import json
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._files import exclusive, write_atomically
from prefdyn._inputs import choice, count
from prefdyn._processes import workers
from prefdyn._progress import track
from prefdyn.llm.validate._record import Record
from prefdyn.llm.validate._setup import Setup, described, key_of, known

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
        For an unknown experiment or size, a model that cannot be loaded, or a folder that another
        run is writing to.
    """
    for name in experiments:
        choice(name, ORDER, "experiment")
    processes = count(processes, "processes")
    out = Path(out)
    setup = Setup(model, adapter, device, dtype, choice(size, SIZES, "size"), int(seed), out)
    wanted = sorted(set(experiments), key=_LONGEST_FIRST.index)
    processes = min(processes, len(wanted))
    with exclusive(out), workers(processes) if processes > 1 else nullcontext() as pool:
        (out / "predictions").mkdir(exist_ok=True)
        about = known(setup) or _describe(setup, pool, processes)
        key = key_of(about)
        # What was run before stays in the list, also when this run asks for others.
        before = {name: _read(out / f"{name}.json", key) for name in ORDER}
        results = {name: stored for name, stored in before.items() if stored is not None}
        for name in wanted:
            if name in results:
                _tell(report, name, results[name])
        missing = [name for name in wanted if name not in results]
        running = _run_all(missing, setup, key, pool)
        total = len(wanted)
        for name, result in track(running, "experiments", total=total, done=total - len(missing)):
            results[name] = result
            _tell(report, name, result)
        done = [name for name in ORDER if name in results]
        records = [record for name in done for record in results[name]["records"]]
        _write(out / "model.json", about | {"experiments": done})
        _write(out / "validation.json", records)
    return [Record(**record) for record in records]


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


def _describe(setup: Setup, pool: ProcessPoolExecutor | None, processes: int) -> dict[str, Any]:
    """`described`, by a worker; the others, each started by a job of its own, warm up meanwhile."""
    if pool is None:
        return described(setup)
    about = pool.submit(described, setup)
    for _ in range(processes - 1):
        pool.submit(_warm)
    return about.result()


def _warm() -> None:
    """Import what every experiment needs."""
    with suppress(ImportError):  # whoever loads the model finds the words for it
        importlib.import_module("transformers.modeling_utils")


def _run_all(names: list[str], setup: Setup, key: str, pool: ProcessPoolExecutor | None):
    """Yield each experiment's name and result as it is done; one that breaks fails with a note."""
    if pool is None:
        for name in names:
            yield name, _attempt(name, setup, key)
        return
    futures = {pool.submit(_attempt, name, setup, key): name for name in names}
    for future in as_completed(futures):
        lost = future.exception()  # only when the worker itself died
        name = futures[future]
        yield name, _broken(name, str(lost)) if lost else future.result()


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
