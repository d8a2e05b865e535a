"""The state of a run of rounds on disk: a killed run goes on after the last round it finished."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from prefdyn._errors import InputError
from prefdyn._files import exclusive, write_atomically

NAME = "rounds.safetensors"
_WEIGHT, _HISTORY = "parameter.", "history."

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class RoundStore:
    """One file in a folder, replaced whole after every round.

    Attributes
    ----------
    folder
        Where it lies; made if it is not there.
    key
        Digest of the run's settings and of the model it began with.
    """

    folder: Path
    key: str

    def alone(self) -> AbstractContextManager[None]:
        """Be the only run that goes on from this file; see `prefdyn._files.exclusive`."""
        return exclusive(self.folder, name=f".{NAME}.lock")

    def load(self, chosen: dict[str, nn.Parameter]) -> Arrays | None:
        """Put the stored parameters into the model and return the history; None for a new run.

        Raises
        ------
        InputError
            If the file is broken, or belongs to another run.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} cannot be read ({error}): delete it to begin anew.") from None
        if about.get("key") != self.key:
            raise InputError(
                f"{path} belongs to another run: name another folder, or give the model as it was "
                "before the first round and the settings of that run."
            )
        with torch.no_grad():
            for name, parameter in chosen.items():
                parameter.copy_(tensors[_WEIGHT + name])
        return {
            name.removeprefix(_HISTORY): tensor.numpy()
            for name, tensor in tensors.items()
            if name.startswith(_HISTORY)
        }

    def save(self, chosen: dict[str, nn.Parameter], history: Arrays) -> None:
        """Keep the parameters that move, and what has been measured."""
        from safetensors.torch import save_file

        tensors = {_WEIGHT + name: p.detach().cpu().contiguous() for name, p in chosen.items()}
        tensors |= {
            _HISTORY + name: torch.tensor(np.ascontiguousarray(array))
            for name, array in history.items()
        }
        write_atomically(
            self.folder / NAME, lambda path: save_file(tensors, path, metadata={"key": self.key})
        )


def digest(settings: object) -> str:
    """SHA-256 of settings as plain data."""
    from hashlib import sha256

    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
