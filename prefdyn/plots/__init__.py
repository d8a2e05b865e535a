"""Pictures of policies and of stability; every function draws on `ax`, or on a new figure.

Simplex portraits: `portrait` does all of it for a rule; `simplex_axes`, `flow`, `path`, `cycle`
and `fixed_point` draw its parts from arrays, which `streamlines` and `orbit` runs provide.  Over
the rounds: `orbit`, `entropy`.  In the complex plane: `spectrum`.

Examples
--------
>>> import prefdyn
>>> from prefdyn import games, plots
>>> rule = prefdyn.MRSIPO(games.rock_paper_scissors(0.4), beta=0.3, alpha=0.5, lam=1.0)
>>> ax = plots.portrait(rule, [prefdyn.orbit(rule, rounds=100)])
"""

from prefdyn.plots._flow import displacement, streamlines
from prefdyn.plots._portrait import cycle, fixed_point, flow, path, portrait
from prefdyn.plots._rounds import entropy, orbit
from prefdyn.plots._simplex import corners, project, simplex_axes
from prefdyn.plots._spectra import spectrum

__all__ = [
    "corners",
    "cycle",
    "displacement",
    "entropy",
    "fixed_point",
    "flow",
    "orbit",
    "path",
    "portrait",
    "project",
    "simplex_axes",
    "spectrum",
    "streamlines",
]
