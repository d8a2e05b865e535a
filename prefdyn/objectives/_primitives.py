"""The few functions objectives are written in, once for numpy, torch and sympy.

Values, first and second derivatives must be right at 0 (where every run starts: policy equals
reference) and in the tails.  That rules out several familiar forms: torch's ``softplus`` returns
its argument beyond 20, ``torch.logaddexp`` has a NaN second derivative at -1e4, and
``min(x, 0) - log1p(exp(-|x|))`` has second derivative 0 instead of -1/4 at 0.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np


def _numpy() -> SimpleNamespace:
    def log_sigmoid(x):
        return -np.logaddexp(0.0, -x)

    return SimpleNamespace(name="numpy", log_sigmoid=log_sigmoid)


def _torch() -> SimpleNamespace:
    from torch.nn import functional

    return SimpleNamespace(name="torch", log_sigmoid=functional.logsigmoid)


def _sympy() -> SimpleNamespace:
    import sympy

    def log_sigmoid(x):
        return -sympy.log(1 + sympy.exp(-x))

    return SimpleNamespace(name="sympy", log_sigmoid=log_sigmoid)


_FACTORIES = {"numpy": _numpy, "torch": _torch, "sympy": _sympy}
_NAMESPACES: dict[str, SimpleNamespace] = {}


def primitives(*arrays: Any) -> SimpleNamespace:
    """The namespace that fits the arguments: torch or sympy if any is theirs, else numpy.

    It looks at the module an argument's type comes from, so neither torch nor sympy is
    imported before the caller has used it.
    """
    homes = {type(array).__module__.partition(".")[0] for array in arrays}
    name = next((home for home in ("torch", "sympy") if home in homes), "numpy")
    if name not in _NAMESPACES:
        _NAMESPACES[name] = _FACTORIES[name]()
    return _NAMESPACES[name]
