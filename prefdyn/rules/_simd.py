"""Sixteen orbits as one value: a number type for compiled kernels that is a row of 16 numbers.

Code written with it looks like code for a single orbit and becomes vector instructions whatever
surrounds it (two of 512 bits each, four of 256, eight of 128), where loops over orbits are turned
into vectors or not at the compiler's discretion.  A number beside a lane stands for 16 of it.
"""

import operator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

WIDTH = 16
"""Numbers in a lane.  Two vectors of eight at a time hide each other's waiting."""

LOG2_E = 1.4426950408889634
"""Bits in a nat."""

_DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)
_INTEGERS = ir.VectorType(ir.IntType(64), WIDTH)
_TRUTHS = ir.IntType(WIDTH)

# Both change the signature of what they decorate, in a way that type checkers do not see.
intrinsic: Any = extending.intrinsic
infer: Any = infer_global

# Multiplying and adding may be fused; nothing else about the arithmetic is relaxed.
compiled = numba.njit(fastmath={"contract"}, error_model="numpy", forceinline=True)


class Lane(types.Type):
    """Type of a lane, as numba sees it."""

    def __init__(self):
        super().__init__(name=f"lane of {WIDTH}")


lane = Lane()


@register_model(Lane)
class _LaneModel(models.PrimitiveModel):
    def __init__(self, manager, of):
        super().__init__(manager, of, _DOUBLES)


def _repeated(builder, number):
    undefined = ir.Constant(_DOUBLES, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, undefined, zeros)


@lower_cast(types.Float, Lane)
def _cast(context, builder, of, to, value):
    return _repeated(builder, context.cast(builder, value, of, types.float64))


class _Arithmetic(AbstractTemplate):
    def generic(self, args, kws):
        if all(isinstance(arg, Lane | types.Float) for arg in args) and lane in args:
            return signature(lane, lane, lane)


def _register(operation, instruction: str) -> None:
    infer(operation)(type("_" + instruction, (_Arithmetic,), {"key": operation}))

    @lower_builtin(operation, Lane, Lane)
    def _lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=("contract",))


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
_register(operator.truediv, "fdiv")


def _pointer(context, builder, array_type, array, row):
    data = context.make_array(array_type)(context, builder, array).data
    offset = builder.mul(row, ir.Constant(row.type, WIDTH))
    return builder.bitcast(builder.gep(data, [offset], inbounds=True), _DOUBLES.as_pointer())


@intrinsic
def load(typing, rows, i):
    """Row i of a contiguous array (n, 16), or number i of an array (n,), which is repeated."""

    def generate(context, builder, sig, args):
        row = context.cast(builder, args[1], sig.args[1], types.intp)
        if rows.ndim == 1:
            data = context.make_array(rows)(context, builder, args[0]).data
            return _repeated(builder, builder.load(builder.gep(data, [row], inbounds=True)))
        value = builder.load(_pointer(context, builder, sig.args[0], args[0], row))
        value.align = 8  # what any array of numbers promises
        return value

    return lane(rows, i), generate


@intrinsic
def store(typing, rows, i, values):
    """Set row i of a contiguous array (..., 16)."""

    def generate(context, builder, sig, args):
        row = context.cast(builder, args[1], sig.args[1], types.intp)
        value = context.cast(builder, args[2], sig.args[2], lane)
        builder.store(value, _pointer(context, builder, sig.args[0], args[0], row)).align = 8
        return context.get_dummy_value()

    return types.void(rows, i, values), generate


@intrinsic
def repeated(typing, number):
    """A lane of one number."""

    def generate(context, builder, sig, args):
        return _repeated(builder, args[0])

    return lane(types.float64), generate


@intrinsic
def if_less(typing, a, b, then, otherwise):
    """``then`` where a < b, ``otherwise`` elsewhere, also where a or b is NaN."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return lane(lane, lane, lane, lane), generate


@intrinsic
def all_less(typing, a, b):
    """Whether a < b in every place; NaN is less than nothing."""

    def generate(context, builder, sig, args):
        less = builder.bitcast(builder.fcmp_ordered("<", *args), _TRUTHS)
        return builder.icmp_unsigned("==", less, ir.Constant(_TRUTHS, -1))

    return types.boolean(lane, lane), generate


@intrinsic
def _times_power(typing, p, shifted):
    """``p`` times 2 to the integer in the last bits of `shifted`, added to p's exponent bits."""

    def generate(context, builder, sig, args):
        p, shifted = (builder.bitcast(arg, _INTEGERS) for arg in args)
        exponents = builder.shl(shifted, ir.Constant(_INTEGERS, [52] * WIDTH))
        return builder.bitcast(builder.add(p, exponents), _DOUBLES)

    return lane(lane, lane), generate


@compiled
def larger(a, b):
    """The larger of two lanes."""
    return if_less(b, a, a, b)


@compiled
def smaller(a, b):
    """The smaller of two lanes."""
    return if_less(a, b, a, b)


@compiled
def magnitude(a):
    """Absolute values."""
    return larger(a, 0.0 - a)


ROUND = 1.5 * 2.0**52
"""Adding this number rounds to an integer, which then stands in the last bits."""
SMALLEST = -1022.0
"""Below 2 to this power numbers lose their relative accuracy; they become 0 here."""


@compiled
def exp2(x):
    """``2**x`` for x <= 0 within 0.9 units in the last place; 0 below -1022.

    ``x = k + r`` with ``|r| <= 1/2`` is exact; the polynomial has the least largest relative error
    on this range of all with 1 at 0, 1.8e-17; ``2**k`` is added to the exponent bits.
    """
    shifted = x + ROUND
    r = x - (shifted - ROUND)
    p = 4.078071929588337e-10 * r + 7.072570412814423e-09
    p = p * r + 1.0180647659234139e-07
    p = p * r + 1.3215442675329823e-06
    p = p * r + 1.5252727385193868e-05
    p = p * r + 0.0001540353044157213
    p = p * r + 0.0013333558153439966
    p = p * r + 0.009618129107607003
    p = p * r + 0.05550410866479039
    p = p * r + 0.24022650695910097
    p = p * r + 0.6931471805599457
    p = p * r + 1.0
    return if_less(x, repeated(SMALLEST), repeated(0.0), _times_power(p, shifted))


@numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")
def powers(x, out, times):
    """``out = 2**x`` for contiguous arrays (n, 16), `times` times over."""
    for _ in range(times):
        for i in range(len(x)):
            store(out, i, exp2(load(x, i)))


def rows(*shape: int) -> np.ndarray:
    """An array (..., 16) whose rows begin on 64-byte boundaries, as wide vectors like them."""
    size = int(np.prod(shape)) * WIDTH
    space = np.empty(size + 8)
    first = -space.ctypes.data // 8 % 8
    return space[first : first + size].reshape(*shape, WIDTH)
