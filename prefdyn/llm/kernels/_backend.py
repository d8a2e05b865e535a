"""Which implementation of an operation runs: a Triton kernel or its twin in plain torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec

from torch import Tensor

from prefdyn._errors import InputError

SWITCH = "PREFDYN_KERNELS"
"""Environment variable with the choice that holds unless `using` says otherwise."""
CHOICES = ("auto", "triton", "torch")
LAUNCH_OPTIONS = {"enable_fp_fusion": True}
"""Of every kernel: a product and a sum are one instruction, whatever Triton's own default is."""

_choice: ContextVar[str | None] = ContextVar("kernels", default=None)


@contextmanager
def using(choice: str) -> Iterator[None]:
    """Choose the implementation of every operation inside a ``with`` block.

    Parameters
    ----------
    choice
        "auto": Triton for tensors on an NVIDIA or AMD GPU, where it is installed; "torch": the twin
        everywhere; "triton": the kernel everywhere, also on a processor, which works only if Triton
        interprets (``TRITON_INTERPRET=1``), operation by operation, for tests.

    Raises
    ------
    InputError
        For an unknown choice.
    """
    token = _choice.set(_checked(choice, "choice"))
    try:
        yield
    finally:
        _choice.reset(token)


def takes_triton(tensor: Tensor) -> bool:
    """Whether a kernel, rather than its twin, is to run on tensors like this one.

    Raises
    ------
    InputError
        For an unknown choice in the environment variable; if Triton is asked for on a processor
        and does not interpret.
    ModuleNotFoundError
        If Triton is asked for and not installed.
    """
    choice = _choice.get() or _checked(os.environ.get(SWITCH, "auto"), SWITCH)
    if choice == "torch":
        return False
    if choice == "auto":
        return tensor.is_cuda and has_triton()
    if not has_triton():
        raise ModuleNotFoundError(
            "The Triton kernels are asked for but Triton is not installed: pip install triton, or "
            f"choose {SWITCH}=auto."
        )
    if tensor.device.type == "cpu" and not _interprets():
        raise InputError(
            "The Triton kernels are asked for on a processor, where they can only be interpreted: "
            f"set TRITON_INTERPRET=1, or choose {SWITCH}=auto."
        )
    return True


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def _interprets() -> bool:
    from triton import knobs

    return knobs.runtime.interpret


def _checked(choice: str, name: str) -> str:
    if choice not in CHOICES:
        raise InputError(f"{name} is {choice!r}: choose one of {', '.join(CHOICES)}.")
    return choice
