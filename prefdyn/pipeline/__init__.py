"""From the settings of a real training pipeline to a recipe: objective, beta, alpha, lam, kappa."""

from prefdyn.pipeline._config import Config, read_config
from prefdyn.pipeline._judge import Outlook, everywhere, judge
from prefdyn.pipeline._rows import Row
from prefdyn.pipeline._translate import Translation, translate
from prefdyn.pipeline.trl_losses import Equivalent, trl_equivalent

__all__ = [
    "Config",
    "Equivalent",
    "Outlook",
    "Row",
    "Translation",
    "everywhere",
    "judge",
    "read_config",
    "translate",
    "trl_equivalent",
]
