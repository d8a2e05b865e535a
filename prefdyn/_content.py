"""Hashes of functions and of what they hold, which are the same in every process."""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from types import CodeType, MethodType
from typing import Any

import numpy as np

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def feed(digest: "hashlib._Hash", value: Any) -> None:
    """Add a value to a hash, by its content.

    A function counts with its code, its defaults and the values that it encloses; what it looks up
    when it is called (globals, imported functions) is not followed.  Memory addresses and the order
    of sets stay out, which differ between processes.
    """
    _feed(digest, value, ())


def _feed(digest: Any, value: Any, above: tuple[int, ...]) -> None:
    if id(value) in above:  # a function that encloses itself
        return
    above = (*above, id(value))
    if isinstance(value, np.ndarray):
        digest.update(repr((value.dtype.str, value.shape)).encode())
        if value.dtype != object:
            digest.update(np.ascontiguousarray(value).tobytes())
            return
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        digest.update(f"{type(value).__name__} {len(value)}".encode())
        for item in value:
            _feed(digest, item, above)
    elif isinstance(value, (set, frozenset)):
        digest.update(f"{type(value).__name__} {sorted(map(_text, value))}".encode())
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)}".encode())
        for name in sorted(value, key=_text):
            digest.update(_text(name).encode())
            _feed(digest, value[name], above)
    elif isinstance(value, CodeType):
        digest.update(value.co_code + repr(value.co_names).encode())
        _feed(digest, value.co_consts, above)
    elif hasattr(value, "fingerprint") and not isinstance(value, type):
        digest.update(value.fingerprint().encode())
    elif callable(value):
        _feed_callable(digest, value, above)
    else:
        digest.update(_text(value).encode())


def _feed_callable(digest: Any, function: Callable[..., Any], above: tuple[int, ...]) -> None:
    if isinstance(function, partial):
        _feed(digest, [function.func, function.args, function.keywords], above)
    elif isinstance(function, MethodType):
        _feed(digest, [function.__func__, function.__self__], above)
    elif hasattr(function, "__code__"):
        held = [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
        parts = [function.__code__, function.__defaults__, function.__kwdefaults__, held]
        _feed(digest, parts, above)
    else:  # a class, a compiled function, or an object that can be called: what it holds, too
        kind = function if isinstance(function, type) else type(function)
        name = getattr(function, "__qualname__", getattr(function, "__name__", ""))
        digest.update(f"{kind.__module__}.{kind.__qualname__} {name}".encode())
        call = getattr(kind.__call__, "__code__", None)
        own = None if isinstance(function, type) else getattr(function, "__dict__", None)
        _feed(digest, [call, own], above)


def _is_full(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # is given its value later
        return False
    return True


def _text(value: Any) -> str:
    return ADDRESS.sub("", repr(value))
