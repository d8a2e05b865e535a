"""Who beats whom: preference matrices, their families, structure, and data."""

from prefdyn.games.matrix import PreferenceMatrix

__all__ = ["PreferenceMatrix"]
