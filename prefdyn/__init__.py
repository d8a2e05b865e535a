"""prefdyn: the dynamics of preference optimisation.

A *game* says who beats whom, an *objective* what a training step minimises, a *rule* turns this
round's policy into the next round's.  `orbit` and `ensemble` run that map; `fixed_point`,
`stability`, `critical`, `verdict` and `advise` ask it questions.

The public names are listed in ``__init__.pyi`` and load when first used.
"""

from prefdyn._lazy import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
