"""Ahead-of-time compilation of Triton kernels: no GPU, no driver, no toolkit."""

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from prefdyn.llm.kernels._backend import LAUNCH_OPTIONS

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that one program may have."""


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of a kernel."""

    ptx: str
    shared: int
    registers: int
    spilled: int
    stack: int

    def count(self, instruction: str) -> int:
        """How many instructions of the PTX begin so, e.g. ``ld.global.v4``."""
        return len(re.findall(rf"^\s*(?:@!?%p\d+\s+)?{re.escape(instruction)}", self.ptx, re.M))


def compile_for(
    arch: int,
    kernel: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    divisible: tuple[str, ...] = (),
    **options: Any,
) -> Compiled:
    """Compile a kernel for ``sm_<arch>``.

    Parameters
    ----------
    arch
        80 or 90.
    kernel
        A function under ``@triton.jit``.
    signature
        Type of each run-time argument, in order: "*fp32", "i32", ...
    constants
        Values of the ``tl.constexpr`` arguments.
    divisible
        Run-time arguments that a launch would find to be multiples of 16: aligned pointers (all of
        them, with torch's allocator, unless they are views), padded strides.
    options
        ``num_warps``, ``num_stages``; those of every launch are added.
    """
    types = dict(signature) | dict.fromkeys(constants, "constexpr")
    types = {name: types[name] for name in kernel.arg_names}
    attrs = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in divisible}
    source = ASTSource(kernel, types, dict(constants), attrs)
    options |= LAUNCH_OPTIONS
    made = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    usage = _resources(made.asm["ptx"], arch)
    return Compiled(made.asm["ptx"], made.metadata.shared, **usage)


def _resources(ptx: str, arch: int) -> dict[str, int]:
    """Registers, spilled bytes and stack bytes, as the assembler reports them."""
    assembler = get_ptxas(arch).path
    target = f"sm_{arch}a" if arch >= 90 else f"sm_{arch}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        run = subprocess.run(
            [assembler, "-v", f"--gpu-name={target}", source, "-o", Path(folder) / "kernel.cubin"],
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stderr
    stack, stores, loads, registers = (
        int(re.findall(rf"(\d+) {what}", run.stderr)[0])
        for what in ("bytes stack frame", "bytes spill stores", "bytes spill loads", "registers")
    )
    return {"registers": registers, "spilled": stores + loads, "stack": stack}
