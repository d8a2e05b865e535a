"""The part of a data set that is worth keeping, written as the data set itself is."""

import json
from collections.abc import Set
from pathlib import Path

from prefdyn.llm._records import records


def kept_name(source: str) -> str:
    """Name of the file for what is kept of a data set."""
    return "kept.parquet" if _is_parquet(source) else "kept.jsonl"


def write_kept(path: Path, source: str, lines: Set[int]) -> None:
    """Write the records of these lines, in their order.

    Lines of a JSONL file stay as they are, byte for byte, and so do all columns of a Parquet file;
    other records become JSON lines.
    """
    if _is_parquet(source):
        _write_parquet(path, source, lines)
        return
    with path.open("wb") as file:
        for line, record in records(source):
            if line in lines:
                whole = isinstance(record, bytes)
                file.write(record if whole else f"{json.dumps(record, default=str)}\n".encode())


def _write_parquet(path: Path, source: str, lines: Set[int]) -> None:
    from pyarrow.parquet import ParquetFile, ParquetWriter

    with ParquetFile(source) as file, ParquetWriter(path, file.schema_arrow) as writer:
        first = 1
        for batch in file.iter_batches():
            rows = [n for n in range(batch.num_rows) if first + n in lines]
            writer.write_batch(batch.take(rows))
            first += batch.num_rows


def _is_parquet(source: str) -> bool:
    path = Path(source).expanduser()
    return path.is_file() and path.suffix.lower() == ".parquet"
