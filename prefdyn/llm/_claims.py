"""Whether a model's files can hold what its config claims, asked before anything is allocated."""

from pathlib import Path
from typing import Any

import torch

from prefdyn._errors import InputError

BITS = 8
"""Weights per byte: no format has smaller ones than a bit."""


def check_claims(folder: Path, config: Any) -> None:
    """Compare the sizes in a config with those of the safetensors files beside it.

    A config of a few lines can describe a model that no machine holds; the model is built without
    memory for its weights to find out how large it would be.

    Raises
    ------
    InputError
        If the files are too small for it.
    safetensors.SafetensorError
        If they cannot be read.
    """
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    held, tensors = 0, 0
    for file in folder.glob("*.safetensors"):
        held += file.stat().st_size
        with safe_open(file, "pt") as opened:
            tensors += len(opened.keys())
    layers = getattr(config.get_text_config(), "num_hidden_layers", 0)
    if layers > tensors:  # before they are built one by one
        raise _too_much(folder, f"{layers:,} layers", f"{tensors:,} tensors")
    with torch.device("meta"):
        claimed = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if claimed > BITS * held:
        raise _too_much(folder, f"{claimed:.3g} weights", f"{held:,} bytes")


def _too_much(folder: Path, claimed: str, held: str) -> InputError:
    return InputError(
        f"The config.json of {folder} describes a model of {claimed}, but its weights are {held}: "
        "it belongs to another model, or files are missing."
    )
