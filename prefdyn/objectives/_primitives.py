"""The few functions objectives are written in, once for numpy, torch and sympy.

Values, first and second derivatives must be right at 0 (where every run starts: policy equals
reference) and in the tails.  That rules out several familiar forms: torch's ``softplus`` returns
its argument beyond 20, ``torch.logaddexp`` has a NaN second derivative at -1e4, and
``min(x, 0) - log1p(exp(-|x|))`` has second derivative 0 instead of -1/4 at 0.

==================== ============================================================================
``log``              logarithm of a hyper-parameter
``log_sigmoid``      ``log sigma(x)``
``sigmoid``          ``exp(log sigma(x))``, which keeps relative accuracy in the lower tail; write
                     ``sigmoid(-x)`` for ``1 - sigmoid(x)``
``softplus``         ``log(1 + e^x)``
``log1mexp``         ``log(1 - e^x)`` for x < 0; *guard*: x is clamped just below 0
``relu``             ``max(x, 0)`` with derivative 0 at 0
``step``             1 where x > 0, else 0, of data: statistics and hyper-parameters
``min2``             ``min(x, y)``; at a tie the derivative is split in halves
``clip``             ``min(max(x, low), high)`` with derivative 0 outside and at the bounds
``safe_exp``         ``e^x``; *guard*: x is clamped below overflow, and there the derivative is 0
``exp_difference``   ``e^x - e^y`` without cancellation; guarded like ``safe_exp``
``stop_gradient``    the identity, with derivative 0
``stable_sort``      values in increasing order along the last axis, and the permutation
``where``            choice by a condition that is data, not a function of the policy
``everywhere``       a condition that holds at every entry of x
``mean``             mean over all rows of a batch
==================== ============================================================================

The bounds of the guards depend on the precision (`EXP_BOUND`, `LOG1MEXP_BOUND`); `count_guards`
counts the entries that met them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import numpy as np

EXP_BOUND = {"float16": 11.0, "bfloat16": 80.0, "float32": 80.0, "float64": 700.0}
"""Largest argument that `safe_exp` passes on, by precision."""

LOG1MEXP_BOUND = {"float16": -1e-3, "bfloat16": -1e-2, "float32": -1e-7, "float64": -1e-15}
"""Argument closest to 0 that `log1mexp` passes on, by precision."""

_LN2 = 0.6931471805599453
_counters: ContextVar[tuple[Counter, ...]] = ContextVar("guard counters", default=())


@contextmanager
def count_guards() -> Iterator[Counter]:
    """Count the entries that met a numerical guard: ``with count_guards() as used: ...``.

    Inside a guard the value is clamped and the derivative is 0, just where the pushes of, say, the
    forward-KL objective are largest.  ``used["safe_exp"]`` and ``used["log1mexp"]`` count clamped
    entries, once per evaluation of the loss.  Costs nothing when not in use.

    Examples
    --------
    >>> from prefdyn import objectives
    >>> pair = objectives.Pair(chosen=-1e4, rejected=-1.0)
    >>> with objectives.count_guards() as used:
    ...     loss = objectives.get("f_dpo_forward_kl").loss(pair)
    >>> used["safe_exp"]
    1
    """
    counter: Counter = Counter()
    token = _counters.set((*_counters.get(), counter))
    try:
        yield counter
    finally:
        _counters.reset(token)


def _count(guard: str, clamped: Any) -> None:
    if (counters := _counters.get()) and (number := int(clamped.sum())):
        for counter in counters:
            counter[guard] += number


def _numpy() -> SimpleNamespace:
    def log_sigmoid(x):
        return -np.logaddexp(0.0, -x)

    def bound(table, x):
        return table.get(np.result_type(x).name, table["float64"])

    def capped(x):
        limit = bound(EXP_BOUND, x)
        _count("safe_exp", np.asarray(x > limit))
        return np.minimum(x, limit)

    def log1mexp(x):
        limit = bound(LOG1MEXP_BOUND, x)
        _count("log1mexp", np.asarray(x > limit))
        x = np.minimum(x, limit)
        near = x > -_LN2
        return np.where(
            near,
            np.log(-np.expm1(np.where(near, x, -1.0))),
            np.log1p(-np.exp(np.where(near, -1.0, x))),
        )

    def exp_difference(x, y):
        gap = np.abs(x - y)
        return np.sign(x - y) * np.exp(capped(np.maximum(x, y))) * -np.expm1(-gap)

    def stable_sort(x):
        flat = np.atleast_1d(x)
        order = np.argsort(flat, axis=-1, kind="stable")
        values = np.take_along_axis(flat, order, axis=-1)
        return values.reshape(np.shape(x)), order.reshape(np.shape(x))

    return SimpleNamespace(
        name="numpy",
        log=np.log,
        log_sigmoid=log_sigmoid,
        sigmoid=lambda x: np.exp(log_sigmoid(x)),
        softplus=lambda x: np.logaddexp(0.0, x),
        log1mexp=log1mexp,
        relu=lambda x: np.maximum(x, 0.0),
        step=lambda x: (x > 0) * 1.0,
        min2=np.minimum,
        clip=np.clip,
        safe_exp=lambda x: np.exp(capped(x)),
        exp_difference=exp_difference,
        stop_gradient=lambda x: x,
        stable_sort=stable_sort,
        where=np.where,
        everywhere=lambda x: np.ones(np.shape(x), dtype=bool),
        mean=np.mean,
    )


def _torch() -> SimpleNamespace:
    import torch
    from torch.nn.functional import logsigmoid

    def bound(table, x):
        return table[str(x.dtype).removeprefix("torch.")]

    def capped(x):
        limit = bound(EXP_BOUND, x)
        _count("safe_exp", x > limit)
        return torch.where(x > limit, limit, x)

    def log1mexp(x):
        limit = bound(LOG1MEXP_BOUND, x)
        _count("log1mexp", x > limit)
        x = torch.where(x > limit, limit, x)
        # Each branch sees arguments that are safe for it: a plain `where` multiplies the infinite
        # derivative of the branch not taken by 0, which is NaN.
        near = x > -_LN2
        return torch.where(
            near,
            torch.log(-torch.expm1(torch.where(near, x, -1.0))),
            torch.log1p(-torch.exp(torch.where(near, -1.0, x))),
        )

    def exp_difference(x, y):
        # The value is that of the form without cancellation, the derivatives are those of the
        # plain difference, where they are exact: e^x and -e^y.
        top, gap = torch.maximum(x, y).detach(), (x - y).detach()
        value = gap.sign() * torch.exp(capped(top)) * -torch.expm1(-gap.abs())
        plain = torch.exp(_silent(capped, x)) - torch.exp(_silent(capped, y))
        return plain + (value - plain.detach())

    def clip(x, low, high):
        return torch.where((x > low) & (x < high), x, x.detach().clamp(low, high))

    return SimpleNamespace(
        name="torch",
        log=lambda x: x.log() if torch.is_tensor(x) else float(np.log(x)),
        log_sigmoid=logsigmoid,
        sigmoid=lambda x: torch.exp(logsigmoid(x)),
        softplus=lambda x: -logsigmoid(-x),
        log1mexp=log1mexp,
        relu=torch.relu,
        step=lambda x: (x > 0) * 1.0,
        min2=torch.minimum,
        clip=clip,
        safe_exp=lambda x: torch.exp(capped(x)),
        exp_difference=exp_difference,
        stop_gradient=lambda x: x.detach(),
        stable_sort=lambda x: torch.sort(torch.as_tensor(x), dim=-1, stable=True),
        where=torch.where,
        everywhere=lambda x: torch.ones_like(x, dtype=torch.bool),
        mean=lambda x: torch.as_tensor(x).double().mean(),
    )


def _silent(function, x):
    """The function's value without a second count of the same entry."""
    token = _counters.set(())
    try:
        return function(x)
    finally:
        _counters.reset(token)


def _sympy() -> SimpleNamespace:
    import sympy

    class sg(sympy.Function):
        """A value that is constant for differentiation; transparent once it is a number."""

        nargs = 1

        @classmethod
        def eval(cls, x):
            return x if x.is_number else None

        def fdiff(self, argindex=1):
            return sympy.Integer(0)

        def _latex(self, printer):
            return rf"\operatorname{{sg}}\left[{printer.doprint(self.args[0])}\right]"

        def _transparent(self, printer):
            return f"({printer.doprint(self.args[0])})"

        _mpmathcode = _numpycode = _pythoncode = _transparent

    def elementwise(function):
        def apply(x, *others):
            if isinstance(x, np.ndarray):
                return np.frompyfunc(lambda entry: function(entry, *others), 1, 1)(x)
            return function(x, *others)

        return apply

    @elementwise
    def log_sigmoid(x):
        return -sympy.log(1 + sympy.exp(-x))

    @elementwise
    def clip(x, low, high):
        return sympy.Piecewise((low, x <= low), (high, x >= high), (x, True))

    def min2(x, y):
        return sympy.Piecewise((x, x < y), (y, x > y), ((x + y) / 2, True))

    return SimpleNamespace(
        name="sympy",
        log=sympy.log,
        log_sigmoid=log_sigmoid,
        sigmoid=elementwise(lambda x: 1 / (1 + sympy.exp(-x))),
        softplus=elementwise(lambda x: sympy.log(1 + sympy.exp(x))),
        log1mexp=elementwise(lambda x: sympy.log(1 - sympy.exp(x))),
        relu=elementwise(lambda x: sympy.Piecewise((x, x > 0), (0, True))),
        step=lambda x: sympy.Piecewise((1, x > 0), (0, True)),
        min2=min2,
        clip=clip,
        safe_exp=elementwise(sympy.exp),
        exp_difference=lambda x, y: sympy.exp(x) - sympy.exp(y),
        stop_gradient=sg,
        where=np.where,
        everywhere=lambda x: np.ones(np.shape(x), dtype=bool),
        mean=lambda x: x,  # a symbolic pair is a batch of one
    )


_FACTORIES = {"numpy": _numpy, "torch": _torch, "sympy": _sympy}
_NAMESPACES: dict[str, SimpleNamespace] = {}


def primitives(*arrays: Any) -> SimpleNamespace:
    """The namespace that fits the arguments: torch or sympy if any is theirs, else numpy.

    It looks at the module an argument's type comes from, so neither torch nor sympy is
    imported before the caller has used it.
    """
    homes = {type(array).__module__.partition(".")[0] for array in arrays}
    name = next((home for home in ("torch", "sympy") if home in homes), "numpy")
    return namespace(name)


def namespace(name: str) -> SimpleNamespace:
    """The primitives of one back end: ``"numpy"``, ``"torch"`` or ``"sympy"``."""
    if name not in _NAMESPACES:
        _NAMESPACES[name] = _FACTORIES[name]()
    return _NAMESPACES[name]
