"""The shared loss core: every objective written once, for numpy, torch and sympy."""

from prefdyn.objectives._objective import Derivatives, Objective, Symbolic, get, names
from prefdyn.objectives._pair import Pair
from prefdyn.objectives.bradley_terry import DPO
from prefdyn.objectives.squared import IPO

__all__ = ["DPO", "IPO", "Derivatives", "Objective", "Pair", "Symbolic", "get", "names"]
