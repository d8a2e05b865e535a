"""The part of a data set that is worth keeping, written as the data set itself is."""

import json
from pathlib import Path

import numpy as np

from prefdyn.llm._records import records

_ROW_GROUP = 4096
"""Rows of a Parquet file that are in memory at a time."""


def kept_name(source: str) -> str:
    """Name of the file for what is kept of a data set."""
    return "kept.parquet" if _is_parquet(source) else "kept.jsonl"


def write_kept(path: Path, source: str, lines: np.ndarray) -> None:
    """Write the records of these lines, in their order; `lines` (n,) ascend.

    Lines of a JSONL file stay as they are, byte for byte, and so do all columns of a Parquet file;
    other records become JSON lines.
    """
    if _is_parquet(source):
        _write_parquet(path, source, lines)
        return
    awaited = map(int, lines)
    following = next(awaited, None)
    with path.open("wb") as file:
        for line, record in records(source):
            if line == following:
                whole = isinstance(record, bytes)
                file.write(record if whole else f"{json.dumps(record, default=str)}\n".encode())
                following = next(awaited, None)


def _write_parquet(path: Path, source: str, lines: np.ndarray) -> None:
    from pyarrow.parquet import ParquetFile, ParquetWriter

    with ParquetFile(source) as file, ParquetWriter(path, file.schema_arrow) as writer:
        first = 1
        for batch in file.iter_batches(_ROW_GROUP):
            here = slice(*np.searchsorted(lines, (first, first + batch.num_rows)))
            writer.write_batch(batch.take(lines[here] - first))
            first += batch.num_rows


def _is_parquet(source: str) -> bool:
    path = Path(source).expanduser()
    return path.is_file() and path.suffix.lower() == ".parquet"
