"""Where the kernel suite runs, and how close is close.

``python -m tests.llm.kernels.suite`` runs the suite: on a GPU where there is one, else through
Triton's interpreter (``TRITON_INTERPRET=1``).  It needs torch, triton, numpy and pytest only.  What
runs is always the kernels: without Triton the suite fails, and does not test their twins.
"""

import os

import torch

from prefdyn.llm.kernels._backend import SWITCH

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"

POSSIBLE = ON_GPU or os.environ.get("TRITON_INTERPRET") == "1"
IMPOSSIBLE = "There is no GPU here that torch can use: set TRITON_INTERPRET=1 to interpret."
os.environ[SWITCH] = "triton"


def draw(*shape, seed=0, size=1.0, dtype=torch.float32):
    """Normal numbers; the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (size * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(DEVICE, dtype)


def relative(found, expected):
    """``‖found - expected‖ / ‖expected‖`` in double precision; NaN if anything is NaN."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm())
