"""Raw records of a data set, one at a time: a file need not fit into memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefdyn._errors import InputError
from prefdyn.llm._hub import first_line, from_hub, is_path, quiet

FIELDS = (
    *("prompt", "chosen", "rejected"),
    *("prompt_ids", "chosen_ids", "rejected_ids"),
    *("tools", "chat_template_kwargs"),
)
_KINDS = (".jsonl", ".json", ".parquet")


def records(source: str | Path) -> Iterator[tuple[int, Any]]:
    """Number and content of every record, the content as a mapping or as the bytes of a line.

    Parameters
    ----------
    source
        A ``.jsonl``, ``.json`` (an array, or lines) or ``.parquet`` file; or the name of a data
        set on the hub, or a folder of one, with ``:split`` behind it if it is not ``train``.

    Raises
    ------
    InputError
        For a file that is not there, of another kind, or damaged; a data set that cannot be
        had.
    """
    path = Path(source).expanduser()
    if path.is_file():
        kind = path.suffix.lower()
        if kind not in _KINDS:
            raise InputError(
                f"{path} is not a {', '.join(_KINDS[:-1])} or {_KINDS[-1]} file: convert it first."
            )
        return _parquet(path) if kind == ".parquet" else _json(path)
    name, _, split = str(path if path.is_dir() else source).partition(":")
    folder = Path(name).expanduser()
    if not folder.is_dir() and (is_path(name) or folder.suffix.lower() in _KINDS):
        raise InputError(f"There is no file {source}: give a JSONL, JSON or Parquet file.")
    return _dataset(str(folder) if folder.is_dir() else name, split or "train")


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        start = file.read(4096).lstrip()[:1]
        file.seek(0)
        if path.suffix.lower() == ".json" and start == b"[":
            yield from enumerate(_array(path, file.read()), 1)
            return
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _array(path: Path, content: bytes) -> list[Any]:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({first_line(error)}).") from None


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name in FIELDS]
            for batch in file.iter_batches(batch_size=256, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet after row {number} ({first_line(error)}): it is cut "
            "short or damaged, write it again."
        ) from None


def _dataset(name: str, split: str) -> Iterator[tuple[int, Any]]:
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetNotFoundError
    except ImportError:
        raise ImportError(
            "Data sets by name need the package datasets: install it with pip install "
            "'prefdyn[llm]'."
        ) from None

    with quiet(), from_hub(name, "data set"):
        try:
            stream = load_dataset(name, split=split, streaming=True)
        except DatasetNotFoundError as error:
            raise InputError(
                f"There is no data set {name} that can be read ({first_line(error)}): check the "
                "name, or give a JSONL, JSON or Parquet file."
            ) from None
        except ValueError as error:
            raise InputError(
                f"The data set {name} cannot be read ({first_line(error)}): name one of its "
                "splits, as in name:split."
            ) from None
    yield from enumerate(stream, 1)
