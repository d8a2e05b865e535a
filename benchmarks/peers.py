"""The packages that the benchmarks compare with: the one place that imports them.

They are no dependencies of anything else; `make bench` installs them.
"""

from importlib import import_module
from typing import Any

PEERS = {"jax": "jax", "liger_kernel": "liger-kernel"}
"""Packages to import, and the names they are installed by."""

_missing: dict[str, None] = {}


def peer(module: str) -> Any:
    """A peer's module, such as ``jax.numpy``; None, and a printed line, where it is missing."""
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        if package not in _missing:
            print(f"{PEERS[package]}: not installed, left out of the comparison")
        _missing[package] = None
        return None


def missing() -> list[str]:
    """One line for each peer that was asked for and is not there, for the page of results."""
    return [f"{PEERS[package]}: not installed" for package in _missing]
