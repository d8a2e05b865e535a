"""The segmented Gram kernel, compiled ahead of time."""

import pytest
import torch

from prefdyn.llm.kernels._gram_triton import gram_tile, settings
from tests.llm.kernels.compiled import SHARED_LIMIT, compile_for

NAMES = {torch.bfloat16: "*bf16", torch.float32: "*fp32"}
KINDS = dict.fromkeys(("a", "d", "a2", "d2"), "") | {
    **dict.fromkeys(("order", "order2"), "*i64"),
    **dict.fromkeys(("slots", "slots2", "pairs"), "*i32"),
    "out": "*fp64",
}
ROUND = ("a_stride", "d_stride", "a2_stride", "d2_stride", "D_IN", "D_OUT")


def compiled(arch, dtype, rows, same):
    """As a launch would have it, on widths that are multiples of 16."""
    options = settings(dtype, rows)
    constants = {name: options[name] for name in ("BLOCK", "BLOCK_K", "PRECISION")}
    constants |= {"SAME": same, "WIDTH": 4}
    signature = {
        name: KINDS.get(name, "i32") or NAMES[dtype]
        for name in gram_tile.arg_names
        if name not in constants
    }
    launch = {name: options[name] for name in ("num_warps", "num_stages")}
    return compile_for(arch, gram_tile, signature, constants, (*KINDS, *ROUND), **launch)


@pytest.mark.parametrize(
    ("arch", "dtype", "rows", "same"),
    [
        (90, torch.bfloat16, 10**4, True),
        (80, torch.bfloat16, 10**4, False),
        (90, torch.float32, 100, True),
    ],
)
def test_compiles_to_what_it_should_be(arch, dtype, rows, same):
    made = compiled(arch, dtype, rows, same)
    assert made.spilled == made.stack == 0
    assert made.shared <= SHARED_LIMIT[arch]
    # Operands are brought to shared memory ahead of time, 16 bytes per thread.
    assert "cp.async.cg.shared.global" in made.ptx
    tensor_cores = made.count("wgmma.mma_async") if arch == 90 else made.count("mma.sync")
    assert (tensor_cores > 0) == (dtype == torch.bfloat16)
    assert "tf32" not in made.ptx
    assert "atom" not in made.ptx
