"""`trl_equivalent`, which is pure mathematics and lives in `prefdyn.pipeline`."""

from prefdyn.pipeline.trl_losses import Equivalent, trl_equivalent

__all__ = ["Equivalent", "trl_equivalent"]
