"""Pictures of policies and of stability; every function draws on `ax`, or on a new figure.

Simplex portraits: `portrait` does all of it for a rule; `simplex_axes`, `flow`, `vector_field`,
`path`, `cycle`, `fixed_point`, `fixed_points`, `periodic_orbits` and `basins` draw its parts.  More
than three responses are seen on a polygon, or in a plane that the axes name (`plane_axes`).  Two
responses: `cobweb`.  Over the rounds: `orbit`, `entropy`, `animate`.

Over one parameter: `orbit_diagram`, `bifurcations`, `lyapunov`, `rotation`; over two: `boundary`,
`chart`, `tongues`.  Spectra: `spectrum`, `multipliers`, `power`.  Agreement: `predicted_measured`.
A training log: `run_log`.

Examples
--------
>>> import prefdyn
>>> from prefdyn import games, plots
>>> rule = prefdyn.MRSIPO(games.rock_paper_scissors(0.4), beta=0.3, alpha=0.5, lam=1.0)
>>> ax = plots.portrait(rule, [prefdyn.orbit(rule, rounds=100)])
"""

from prefdyn.plots._animation import animate
from prefdyn.plots._arrows import flow, vector_field
from prefdyn.plots._basins import basins
from prefdyn.plots._bifurcations import bifurcations
from prefdyn.plots._boundary import boundary
from prefdyn.plots._charts import chart, tongues
from prefdyn.plots._cobweb import cobweb
from prefdyn.plots._flow import displacement, lattice, streamlines
from prefdyn.plots._marks import cycle, fixed_point, fixed_points, path, periodic_orbits
from prefdyn.plots._orbit_diagram import orbit_diagram
from prefdyn.plots._planes import Plane, plane_axes, principal_plane, response_plane
from prefdyn.plots._portrait import portrait
from prefdyn.plots._predicted import predicted_measured
from prefdyn.plots._rounds import entropy, orbit
from prefdyn.plots._run_log import run_log
from prefdyn.plots._simplex import corners, project, simplex_axes
from prefdyn.plots._spectra import multipliers, power, spectrum
from prefdyn.plots._staircase import lyapunov, rotation

__all__ = [
    "Plane",
    "animate",
    "basins",
    "bifurcations",
    "boundary",
    "chart",
    "cobweb",
    "corners",
    "cycle",
    "displacement",
    "entropy",
    "fixed_point",
    "fixed_points",
    "flow",
    "lattice",
    "lyapunov",
    "multipliers",
    "orbit",
    "orbit_diagram",
    "path",
    "periodic_orbits",
    "plane_axes",
    "portrait",
    "power",
    "predicted_measured",
    "principal_plane",
    "project",
    "response_plane",
    "rotation",
    "run_log",
    "simplex_axes",
    "spectrum",
    "streamlines",
    "tongues",
    "vector_field",
]
