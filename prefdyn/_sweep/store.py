"""The store of a sweep: a zarr group that holds the map, and marks of the blocks that are done.

Beside the arrays stands a group ``sweep``, whose attributes say which sweep this is, with a file
for every block that is done.  A block's values are one chunk of each array; its mark is written
after them, in one move, and holds their digest.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._files import unfinished, write_atomically
from prefdyn._sweep.axes import START, Line
from prefdyn._sweep.blocks import Grid
from prefdyn._sweep.compute import Refused, Result

MARKS = "sweep"
DESCRIBED = "described.json"
"""Digests of everything that a store holds before its first block and that no block changes."""
FORMAT = 3


@dataclass(frozen=True)
class Store:
    """The store of one sweep, which exists.

    Attributes
    ----------
    path
        Its folder.
    grid
        The blocks.
    results
        What is stored, by name.
    """

    path: Path
    grid: Grid
    results: dict[str, Result]

    def wanted(self, index: int) -> dict[str, Result]:
        """The results that a block gives."""
        where = self.grid.where(index)
        return {name: known for name, known in self.results.items() if known.belongs(where)}

    def write(
        self, index: int, arrays: dict[str, np.ndarray], refused: Refused, seconds: float
    ) -> None:
        """Write a block's values, one chunk of each array, and then its mark.

        The mark also keeps the processor seconds that the block has taken.
        """
        group = _opened(self.path, "r+")
        where = self.grid.where(index)
        for name, array in arrays.items():
            group[name][self.results[name].place(where)] = array
        mark = {"digest": digest(arrays), "refused": refused, "seconds": seconds}
        write_atomically(self._mark(index), lambda path: path.write_text(json.dumps(mark)))

    def done(self) -> set[int]:
        """The blocks that are marked as done."""
        return {int(path.stem) for path in (self.path / MARKS).glob("[0-9]*.json")}

    def refused(self) -> Refused:
        """What was refused in all blocks."""
        total = Refused()
        for index in sorted(self.done()):
            for name, (number, sentence) in self._read_mark(index)["refused"].items():
                total.add(name, sentence, number)
        return total

    def check(self, indices: Iterable[int]) -> None:
        """Read blocks that are marked as done, and compare them with their marks.

        Raises
        ------
        InputError
            If a block is not what was written.
        """
        group = _opened(self.path, "r")
        for index in indices:
            if not 0 <= index < len(self.grid):
                raise InputError(
                    f"{self.path} marks a block {index} as done, but has {len(self.grid)} blocks: "
                    "it is damaged; give another out."
                )
            expected = self._read_mark(index)["digest"]
            where = self.grid.where(index)
            try:
                arrays = {
                    name: np.asarray(group[name][known.place(where)])
                    for name, known in self.wanted(index).items()
                }
                sound = digest(arrays) == expected
            except (ValueError, RuntimeError, OSError, KeyError):  # what damaged chunks raise
                sound = False
            if not sound:
                raise InputError(
                    f"{self.path} is damaged: block {index} is not what was written; delete "
                    f"{self._mark(index)} to have it computed again, or give another out."
                )

    def close(self) -> None:
        """Say in the attributes that the map is complete, and what was refused."""
        group = _opened(self.path, "r+")
        lines = [
            f"{name}: {number} points, such as: {sentence}"
            for name, (number, sentence) in sorted(self.refused().items())
        ]
        group.attrs.update({"complete": "yes", "refused": "\n".join(lines)})
        _consolidate(self.path)

    def open(self) -> Any:
        """The map as an `xarray.Dataset` of dask arrays, one chunk for each block."""
        import xarray

        return xarray.open_zarr(self.path, chunks={})

    def _mark(self, index: int) -> Path:
        return self.path / MARKS / f"{index}.json"

    def _read_mark(self, index: int) -> dict[str, Any]:
        path = self._mark(index)
        try:
            mark = json.loads(path.read_text())
            return {"digest": mark["digest"], "refused": mark["refused"]}
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{path} is damaged: delete it to have this block computed again."
            ) from None


def create(
    path: Path,
    grid: Grid,
    results: dict[str, Result],
    lines: tuple[Line, ...],
    responses: Any,
    attributes: dict[str, Any],
    identity: dict[str, Any],
) -> Store:
    """A new store, which appears at `path` whole or not at all."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=unfinished()))
    except OSError as error:
        raise OSError(error.errno, f"cannot be made ({error.strerror})", str(path)) from None
    try:
        dataset = _coordinates(lines, responses).assign_attrs(attributes)
        dataset.to_zarr(temporary, mode="w", zarr_format=3, consolidated=False)
        group = _opened(temporary, "r+")
        for name, known in results.items():
            shape = [grid.shape[i] for i in known.axes]
            chunks = [grid.block[i] for i in known.axes]
            group.create_array(
                name,
                shape=(*shape, *known.extra.values()),
                chunks=(*chunks, *known.extra.values()),
                dtype=known.dtype,
                fill_value=known.fill,
                # The checksum tells a damaged chunk from a sound one whenever it is read.
                compressors=[ZstdCodec(level=1), Crc32cCodec()],
                dimension_names=[*(lines[i].name for i in known.axes), *known.extra],
                attributes=known.attributes,
            )
        group.create_group(MARKS, attributes={"format": FORMAT, **identity})
        _consolidate(temporary)
        (temporary / MARKS / DESCRIBED).write_text(json.dumps(_digests(temporary)))
        temporary.chmod(0o755)  # temporary folders are born private
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Store(path, grid, results)


def reopen(path: Path, grid: Grid, results: dict[str, Result], identity: dict[str, Any]) -> Store:
    """The store of this very sweep, which nobody else writes to.

    Raises
    ------
    InputError
        If the store is damaged, or another sweep's; the first difference is named.
    """
    found = stored_identity(path)
    for name, wanted in {"format": FORMAT, **identity}.items():
        there = found.get(name)
        if there != wanted:
            raise InputError(
                f"{path} belongs to another sweep: its {name} is {_short(there)}, not "
                f"{_short(wanted)}; give another out, or the settings it was begun with."
            )
    _check_description(path)
    for part in path.rglob("*.partial"):  # what zarr had begun to write when it was killed
        part.unlink()
    return Store(path, grid, results)


def stored_identity(path: Path) -> dict[str, Any]:
    """Which sweep a store says that it belongs to.

    Raises
    ------
    InputError
        If it does not say so.
    """
    try:
        _described(path)
        return _described(path / MARKS)["attributes"]
    except (InputError, KeyError, TypeError):
        raise InputError(
            f"{path} is no store of a sweep, or its description is damaged: give another out."
        ) from None


def _digests(path: Path) -> dict[str, str]:
    """Digest of every file but the group's own description, which says when the map is complete."""
    files = (file for file in path.rglob("*") if file.is_file() and file != path / "zarr.json")
    return {str(file.relative_to(path).as_posix()): _digest_of(file) for file in files}


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _check_description(path: Path) -> None:
    """Compare what a store held before its first block with what was written then."""
    try:
        written = dict(json.loads((path / MARKS / DESCRIBED).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        written = {f"{MARKS}/{DESCRIBED}": None}
    for name, expected in written.items():
        try:
            sound = _digest_of(path / name) == expected
        except (OSError, ValueError):
            sound = False
        if not sound:
            raise InputError(f"{path / name} is missing or damaged: give another out.")


def _described(path: Path) -> Any:
    """What zarr wrote of a group."""
    try:
        return json.loads((path / "zarr.json").read_text())
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path / 'zarr.json'} is missing or damaged: give another out.") from None


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Hash of a block's values."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def _opened(path: Path, mode: Any) -> Any:
    import zarr

    # The consolidated copy of all descriptions is for readers; this looks at the arrays' own.
    try:
        return zarr.open_group(path, mode=mode, use_consolidated=False)
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        raise InputError(f"{path / 'zarr.json'} is missing or damaged: give another out.") from None


def _consolidate(path: Path) -> None:
    """Keep all descriptions in one file, so that the map opens without a look at every array."""
    import zarr

    with warnings.catch_warnings():  # other readers of zarr may pass these lines over
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)


def _coordinates(lines: tuple[Line, ...], responses: Any) -> Any:
    import xarray

    found: dict[str, Any] = {}
    for line in lines:
        found[line.name] = (line.name, _plain(line.labels), line.attributes)
        if line.name == START:
            about = {"long_name": "policy at the start", "units": "1"}
            found["start_policy"] = ((START, "response"), line.values, about)
    if responses is not None:
        found["response"] = ("response", _plain(np.asarray(responses)), {"long_name": "response"})
    return xarray.Dataset(coords=found)


def _plain(labels: np.ndarray) -> np.ndarray:
    """Words as the one kind of text that zarr has a specification for."""
    return labels.astype(np.dtypes.StringDType()) if labels.dtype.kind in "UO" else labels


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
