"""Running out of memory, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from prefdyn._errors import InputError


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn what torch raises when memory is short into one sentence that ends in `advice`.

    Raises
    ------
    InputError
        In place of ``torch.OutOfMemoryError``, the CPU allocator's error and ``MemoryError``.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(_sentence(advice)) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise InputError(_sentence(advice)) from error


def _sentence(advice: str) -> str:
    return f"There is not enough memory: {advice}."
