"""The row kernels, compiled for GPUs that are not here."""

import re
from functools import cache

import pytest
import torch

from prefdyn.llm.kernels import _products, _rows_triton
from tests.llm.kernels.compiled import SHARED_LIMIT, compile_for

ARCHITECTURES = [80, 90]
REGISTERS = 65536  # of a multiprocessor
COLUMNS = ("log_sum", "log_prob", "entropy", "sum_p2", "residual")


def types(low="fp32", **further):
    """Types of the arguments that the kernels share."""
    floats = dict.fromkeys(("logits", "maximum", *COLUMNS, "argmax_prob", "coefficients"), "*fp32")
    whole = {"targets": "*i64", "argmax": "*i64"} | dict.fromkeys(
        ("rows", "vocabulary", "stride", "out_stride"), "i32"
    )
    return floats | whole | {"out": f"*{low}", "scale": "fp32", "inverse_cap": "fp32"} | further


@cache
def compiled(kernel, arch, vocabulary, low="fp32", **further):
    """As a launch on logits in padded rows would compile it, for an odd size of vocabulary."""
    at = _rows_triton.settings(vocabulary)
    constants = further | {"ROWS": at.rows, "BLOCK": at.block}
    signature = {n: t for n, t in types(low).items() if n in kernel.arg_names}
    divisible = [n for n, t in signature.items() if t[0] == "*" or n.endswith("stride")]
    return at, compile_for(
        arch, kernel, signature, constants, tuple(divisible), num_warps=at.num_warps
    )


@pytest.mark.parametrize("name", ["_row_stats", "_dz_row"])
def test_a_size_of_one_is_compiled_as_a_constant(name):
    """Which is what a launch does with a whole number that is 1."""
    kernel = getattr(_rows_triton, name)
    one = dict.fromkeys(("rows", "vocabulary", "stride", "out_stride"), 1)
    one = {n: value for n, value in one.items() if n in kernel.arg_names}
    signature = {n: t for n, t in types().items() if n in kernel.arg_names and n not in one}
    capped = {"CAPPED": False} if name == "_dz_row" else {}
    at = _rows_triton.settings(1)
    constants = one | capped | {"ROWS": at.rows, "BLOCK": at.block}
    made = compile_for(90, kernel, signature, constants, num_warps=at.num_warps)
    assert made.spilled == 0


def check_resources(made, at, arch):
    assert made.spilled == made.stack == 0
    assert made.shared <= SHARED_LIMIT[arch]
    assert "ld.global.nc" not in made.ptx  # what is overwritten must not be read as a constant
    return REGISTERS // (32 * at.num_warps * made.registers)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_row_stats(arch):
    at, made = compiled(_rows_triton._row_stats, arch, 50257)
    assert check_resources(made, at, arch) >= 4  # programs on a multiprocessor
    # Each thread reads its part of a whole block 16 bytes at a time.
    assert made.count("ld.global.v4") == at.rows * at.block // (32 * at.num_warps) // 4
    assert "mul.wide" in made.ptx or "mul.lo.s64" in made.ptx  # row times stride in 64 bits


@pytest.mark.parametrize(("arch", "low"), [(80, "bf16"), (90, "bf16"), (90, "fp32")])
def test_dz_row(arch, low):
    at, made = compiled(_rows_triton._dz_row, arch, 50257, low, CAPPED=True)
    assert check_resources(made, at, arch) >= 4
    entries = at.rows * at.block // (32 * at.num_warps)
    assert made.count("ld.global.v4") == entries // 4
    assert made.count("st.global.v4") == entries // (4 if low == "fp32" else 8)


@pytest.mark.parametrize(("arch", "vocabulary"), [(80, 50257), (90, 50257), (90, 300)])
def test_no_thread_writes_a_block_before_all_have_read_it(arch, vocabulary):
    """The narrow gradient lies over the logits, and the interpreter runs one thread."""
    _, made = compiled(_rows_triton._dz_row, arch, vocabulary, "bf16", CAPPED=True)
    events = re.findall(
        r"^\s*(?:@!?%p\d+\s+)?(ld\.global|st\.global|bar\.sync|cp\.async)", made.ptx, re.M
    )
    short = re.sub(r"(.)\1+", r"\1", "".join(name[0] for name in events))
    assert "c" not in short  # nothing is fetched ahead
    # Of whole blocks and of the rest: read, wait, write.
    assert short == "lbslbs"


def test_small_vocabularies_share_a_program():
    sizes = [_rows_triton.settings(V) for V in (1, 33, 300, 4096, 4097, 50257)]
    assert all(at.rows * at.block == 4096 for at in sizes)
    assert [at.block for at in sizes] == [1, 64, 512, 4096, 4096, 4096]
    assert _rows_triton.settings(300, 100).block == 128


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_the_product_that_widens_exists(low, fresh):
    """Only its signature: no processor has it, and `meta` tensors hold nothing."""
    a, b = (torch.empty(*shape, dtype=low, device="meta") for shape in ((5, 7), (7, 11)))
    out = torch.empty(5, 16, device="meta")[:, :11]
    assert _products.widening(out, a, b, fresh=fresh) is out
