"""What is validated: a model, how it is run, and the key under which results are stored."""

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prefdyn.llm import little

_MEASURED = ("fingerprint", "parameters", "architecture")
_KNOWN_BY = ("files", "device", "dtype", "versions")


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

    def load(self) -> Any:
        """The model and its tokenizer, fresh from disk."""
        from prefdyn.llm.models import load  # transformers takes seconds, which may not be needed

        return load(self.model, device=self.device, dtype=self.dtype, adapter=self.adapter)

    @property
    def circumstances(self) -> dict[str, Any]:
        """What can be said of a run before any model is loaded, as plain data."""
        return {
            "model": Path(self.model).name if self.model else "shipped",
            "files": self.files(),
            "device": self.device,
            "dtype": self.dtype,
            "size": self.size,
            "seed": self.seed,
            "versions": {
                "Python": platform.python_version(),
                **{name: version(name) for name in ("prefdyn", "torch", "transformers")},
            },
        }

    def files(self) -> str | None:
        """Digest of all that the model is read from; None if some of it may lie elsewhere."""
        given = [little.folder() if self.model is None else self.model, self.adapter]
        folders = [Path(name).expanduser() for name in given if name is not None]
        if not (folders[0] / "config.json").is_file() or not all(f.is_dir() for f in folders):
            return None
        digest = hashlib.sha256()
        for folder in folders:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                digest.update(f"\0{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
                for part in _parts(path):
                    digest.update(part)
        return digest.hexdigest()


def known(setup: Setup) -> dict[str, Any] | None:
    """What a run before this one wrote down about the same files; None if there was none."""
    try:
        now = setup.circumstances
        before = json.loads((setup.out / "model.json").read_text("utf-8"))
        same = now["files"] is not None and all(before[name] == now[name] for name in _KNOWN_BY)
        return now | {name: before[name] for name in _MEASURED} if same else None
    except (OSError, ValueError, KeyError, TypeError, PackageNotFoundError):
        return None


def described(setup: Setup) -> dict[str, Any]:
    """What was validated, as plain data; the model is loaded for it."""
    from prefdyn.llm.reference import fingerprint

    model, tokenizer = setup.load()
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    measured = fingerprint(model, tokenizer), sum(sizes.values()), type(model).__name__
    return setup.circumstances | dict(zip(_MEASURED, measured, strict=True))


def key_of(about: dict[str, Any]) -> str:
    """Digest of the model, the settings, and the sources that turn them into results."""
    settings = {name: value for name, value in about.items() if name not in ("model", "files")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    package = Path(__file__).parents[2]
    for path in sorted(package.rglob("*.py")):
        if "cli" not in path.relative_to(package).parts:
            digest.update(f"\0{path.relative_to(package)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            yield part
