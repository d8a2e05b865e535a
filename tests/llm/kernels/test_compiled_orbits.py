"""What the compiler makes of the kernels that hold orbits on-chip."""

import pytest

from prefdyn.llm.kernels import _orbits_triton
from prefdyn.llm.kernels._orbits_triton import _mixed_kernel, _pair_kernel, settings
from tests.llm.kernels.compiled import SHARED_LIMIT, Compiled, compile_for

STATE = dict.fromkeys(("theta", "mean", "deviations"), "*fp64") | {"failed": "*i32"}
NUMBERS = dict.fromkeys(_orbits_triton.NUMBERS, "i32")
MIXED = dict.fromkeys(("game", "turned", "gain", "alpha", "lam", "drift", "offline"), "*fp64")
PAIRS = dict.fromkeys(
    ("up", "down", "rate", "constant", "slope", "height", "steepness", "reference"), "*fp64"
)
KERNELS = {
    "linear": (_mixed_kernel, MIXED, 1, {"FITTED": False}),
    "fitted": (_mixed_kernel, MIXED, 3, {"FITTED": True}),
    "pairs": (_pair_kernel, PAIRS, 3, {}),
}


def compiled(arch: int, name: str, K: int) -> Compiled:
    kernel, arguments, tiles, constants = KERNELS[name]
    launch = settings(K, tiles=tiles)
    sizes = {"K": K, "KP": launch.padded, "ORBITS": launch.orbits}
    signature = arguments | STATE
    return compile_for(
        arch,
        kernel,
        signature | NUMBERS,
        constants | sizes,
        divisible=tuple(signature),
        num_warps=launch.warps,
    )


def check(made: Compiled, arch: int, spilled: int = 0) -> None:
    assert made.spilled <= spilled
    assert made.stack <= spilled
    assert made.shared <= SHARED_LIMIT[arch]
    assert made.count("fma.rn.f64") > 50
    # Exponentials and divisions in double precision, not the approximations of single precision.
    assert made.count("ex2") == 0
    assert made.count("div.rn.f64") == made.count("rcp") == 0


@pytest.mark.parametrize(
    ("arch", "name", "K"),
    [(80, "linear", 64), (90, "linear", 8), (90, "fitted", 64), (90, "pairs", 32)],
)
def test_a_state_in_registers(arch, name, K):
    check(compiled(arch, name, K), arch)


@pytest.mark.slow
@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize("name", list(KERNELS))
@pytest.mark.parametrize("K", [2, 3, 8, 16, 32, 64])
def test_every_size(arch, name, K):
    # Of four responses' fit a thread has every register of 255 in use; on sm_80 one number is
    # stored and loaded, rather than halves of an orbit passed between threads.
    check(compiled(arch, name, K), arch, spilled=16 if (arch, name, K) == (80, "fitted", 3) else 0)


def test_a_few_responses_are_a_thread_each():
    """No data passes between threads: no shuffles, no shared memory, no barriers."""
    made = compiled(90, "fitted", 3)
    check(made, 90)
    assert made.count("shfl") == made.count("bar") == made.shared == 0


def test_programs_fit():
    for K in range(1, 65):
        for tiles in (1, 3):
            launch = settings(K, tiles=tiles)
            assert K <= launch.padded < 2 * max(K, 2)
            numbers = launch.padded**2 * launch.orbits / (32 * launch.warps)
            assert numbers <= 32 if tiles == 1 else numbers <= 16
            assert launch.orbits == 1 or launch.warps == 1
