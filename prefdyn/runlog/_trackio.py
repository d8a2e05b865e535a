"""What trackio keeps: a SQLite database per project, and Parquet files made of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prefdyn._errors import InputError
from prefdyn.runlog._source import Row, Source
from prefdyn.runlog._tables import choose_run


def read_database(path: Path, run: str | None) -> Source:
    """Rows of a project's database; of several runs, the one asked for.

    Raises
    ------
    InputError
        If it is damaged or not one of trackio's; for several runs of which none was chosen.
    """
    source = Source(path, "trackio database", (), "row")
    with _failures(path), closing(_open(path)) as database:
        names = [row[0] for row in database.execute("SELECT DISTINCT run_name FROM metrics")]
        if not names:
            raise InputError(f"{path.name} holds no run: give the log of a run that has begun.")
        source.run = chosen = choose_run(path.name, [str(name) for name in names], run)
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if "configs" in tables:
            query = "SELECT config FROM configs WHERE run_name = ?"
            for (text,) in database.execute(query, (chosen,)):
                source.settings |= _object(path, text, "a configuration")
    source.rows = _rows(path, chosen)
    return source


def _rows(path: Path, run: str) -> Iterator[tuple[int, Row]]:
    query = "SELECT id, step, metrics FROM metrics WHERE run_name = ? ORDER BY id"
    with _failures(path), closing(_open(path)) as database:
        for number, step, text in database.execute(query, (run,)):
            yield number, {**_object(path, text, f"row {number} of metrics"), "step": step}


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)


def _object(path: Path, text: Any, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path.name}: {what} is not an object in JSON: export the run anew.")
    return value


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    """Errors of the database as sentences."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read as a trackio database ({error}): give one with a table "
            "of metrics, or a CSV export."
        ) from None


def read_parquet(path: Path, run: str | None) -> Source:
    """Rows of a Parquet file, column by column as trackio flattens them.

    Raises
    ------
    ImportError
        Without pyarrow.
    InputError
        If it is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ImportError(
            f"{path.name} is a Parquet file, which needs pyarrow: pip install prefdyn[llm]."
        ) from None
    source = Source(path, "Parquet", (), "row")

    def _plain(kind: Any) -> bool:
        types = pyarrow.types
        return types.is_integer(kind) or types.is_floating(kind) or types.is_string(kind)

    def rows() -> Iterator[tuple[int, Row]]:
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                columns = [column.name for column in file.schema_arrow if _plain(column.type)]
                for batch in file.iter_batches(batch_size=4096, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{path.name} cannot be read as Parquet ({first}).") from None

    source.rows = rows()
    return source
