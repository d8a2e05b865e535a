"""prefdyn: the dynamics of preference optimisation."""

__version__ = "0.1.0"

__all__ = ["__version__"]
