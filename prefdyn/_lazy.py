"""Public names that load when first used, from the stub beside a package's ``__init__``."""

from collections.abc import Callable
from typing import Any


def attach_stub(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list], list]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package, as of `lazy_loader.attach_stub`.

    Where that is not installed, as on a GPU machine that has torch, triton and numpy only, the
    modules that need no more than these can still be imported by their full names.

    Parameters
    ----------
    package, file
        ``__name__`` and ``__file__`` of the package.
    """
    try:
        import lazy_loader
    except ModuleNotFoundError:
        return _unnamed(package), list, []
    return lazy_loader.attach_stub(package, file)


def _unnamed(package: str) -> Callable[[str], Any]:
    def refuse(name: str) -> Any:
        raise AttributeError(
            f"{package}.{name} cannot be looked up: lazy_loader is missing, so install prefdyn "
            "with its dependencies (pip install prefdyn)."
        )

    return refuse
