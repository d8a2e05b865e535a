"""Small arrays on their way to the device of a model."""

from typing import Any

import torch
from torch import Tensor


def upload(numbers: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on the device.

    From page-locked memory a GPU fetches them when their turn comes, so the host need not wait
    until everything that was asked for before is done.
    """
    here = torch.as_tensor(numbers, dtype=dtype)
    if device.type != "cuda" or here.is_cuda:
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)
