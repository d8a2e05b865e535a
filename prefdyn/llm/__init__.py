"""The language-model companion: the same predictions, measured on real language models."""

from prefdyn._lazy import attach_stub as _attach_stub

__getattr__, __dir__, __all__ = _attach_stub(__name__, __file__)
