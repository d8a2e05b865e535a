"""Where the kernel suite runs, and how close is close.

``python -m pytest --noconftest tests/llm/kernels/suite/check_*.py`` runs the suite: on a GPU where
there is one, else through Triton's interpreter (``TRITON_INTERPRET=1``).  It needs torch, triton,
numpy and pytest only.
"""

import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"

if not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.exit("There is no GPU here that torch can use: set TRITON_INTERPRET=1 to interpret.", 1)


def draw(*shape, seed=0, size=1.0, dtype=torch.float32):
    """Normal numbers; the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (size * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(DEVICE, dtype)


def relative(found, expected):
    """``‖found - expected‖ / ‖expected‖`` in double precision; NaN if anything is NaN."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm())
