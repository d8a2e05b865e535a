"""Grids of parameters, run in blocks that survive interruption.

`sweep` runs a rule at every point of an outer product of axes and gives an `xarray.Dataset`;
`plan_sweep` says beforehand what that takes.
"""

from prefdyn._sweep.axes import Axis
from prefdyn._sweep.questions import Question
from prefdyn._sweep.sweep import SweepPlan, blocks_done, plan_sweep, sweep

__all__ = ["Axis", "Question", "SweepPlan", "blocks_done", "plan_sweep", "sweep"]
