"""Reading a training log, whoever wrote it."""

from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn._inputs import positive, single
from prefdyn.runlog._collect import collect
from prefdyn.runlog._columns import LAID_OUT
from prefdyn.runlog._folders import log_in, settings_beside, settings_in
from prefdyn.runlog._json_rows import read_json
from prefdyn.runlog._log import RunLog
from prefdyn.runlog._meaning import interpret
from prefdyn.runlog._rounds import ends_of_rounds, tabulated
from prefdyn.runlog._source import Source, beginning
from prefdyn.runlog._tables import read_csv
from prefdyn.runlog._trackio import read_database, read_parquet


def read_log(path: str | Path, *, beta: float | None = None, run: str | None = None) -> RunLog:
    r"""Read the log of a preference run, in this package's words and units.

    The kind of file is told by its content: ``trainer_state.json`` of transformers and TRL, JSON
    lines (TRL, LLaMA-Factory, `prefdyn train`, `prefdyn.llm.DynamicsCallback`), an array or a
    sequence of JSON objects, CSV (also of wandb's web pages), trackio's databases, Parquet files
    and JSON, ``rounds.csv`` of `prefdyn iterate`; JSON and CSV also packed with gzip.  In the
    folder of a run the log is found, of several checkpoints the newest.

    TRL's ``logps/*`` are sums over the tokens of a completion, and its ``rewards/*`` are

    .. math:: \beta\,(\log\pi_\theta(y|x) - \log\pi_{\mathrm{ref}}(y|x))

    whatever the loss.  Where other trainers differ, a note says so.  Raw logits (``logits/*``) say
    nothing about likelihood and are not read.

    Parameters
    ----------
    path
        A file, or the folder of a run.
    beta
        Pull to the reference; by default what the log says or what its numbers imply.
    run
        Which run to read, where a file holds several.

    Returns
    -------
    RunLog

    Raises
    ------
    InputError
        For a file that cannot be read, is damaged, or has no column that is known, naming the file
        and the place; for several runs of which none was chosen.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> rows = [{"step": k, "eval_logps/chosen": -100.0 - k} for k in range(3)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "trainer_state.json")
    ...     _ = path.write_text(json.dumps({"log_history": rows}))
    ...     read_log(path).get("chosen").values
    array([-100., -101., -102.])
    """
    given = None if beta is None else single(positive(beta, "beta"), "beta")
    path, notes = Path(path), []
    file = log_in(path, notes) if path.is_dir() else path
    source = _open(file, run)
    source.notes[:0] = notes
    found = collect(source, run)
    settings: dict[str, Any] = settings_beside(file, source.notes) | settings_in(source.settings)
    if given is not None:
        settings["beta"] = given
    series = interpret(found.series, found.columns, settings, source.notes)
    if source.rounds is None:
        source.rounds, source.round_names = ends_of_rounds(series, found.ends)
    return RunLog(
        source=str(file),
        format=source.format,
        series=series,
        rounds=source.rounds,
        settings=settings,
        unknown=found.unknown,
        notes=tuple(source.notes),
        round_names=source.round_names,
        lost=found.lost,
    )


def _open(path: Path, run: str | None) -> Source:
    """A file by what it begins with."""
    if not path.exists():
        raise InputError(f"there is no file {str(path)!r}; check the path.")
    if not path.is_file():
        raise InputError(f"{str(path)!r} is not a file; give the log of a run, or its folder.")
    begin = beginning(path)
    if not begin:
        raise InputError(f"{path.name} is empty; give the log of a run that has begun.")
    if begin.startswith(b"SQLite format 3\0"):
        return read_database(path, run)
    if begin.startswith(b"PAR1"):
        return read_parquet(path, run)
    if begin[:1] in b"[{":
        return read_json(path)
    source = read_csv(path, run)
    head = begin.split(b"\n")[0].strip().decode("utf-8", "replace").split(",")
    return tabulated(source) if tuple(head) == LAID_OUT else source
