"""Drawings that are held to pictures in `baseline`; ``python -m tests.plots.pictures`` redraws.

Results are made up or from closed forms, so that a picture changes only with the drawing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes

from prefdyn import MRSIPO, LogitRule, games, orbit, plots
from prefdyn.plots.house import style

BASELINE = Path(__file__).parent / "baseline"
SIZE, DPI = (5.4, 4.2), 50

CYCLING = MRSIPO(games.rock_paper_scissors(0.4), beta=0.2, alpha=0.5, lam=1.0)


@dataclass(eq=False)
class Congested(LogitRule):
    """Two responses, each the worse the likelier it is: overshoots where the rate is large."""

    rate: float
    K = 2  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]

    def update(self, theta: Any) -> Any:
        """One step against the congestion."""
        share = np.exp(theta - np.logaddexp.reduce(theta, axis=-1, keepdims=True))
        return theta - self.rate * share * np.array([1.0, 1.6])


@dataclass(eq=False)
class Herd(LogitRule):
    """What is chosen gains: three fixed points attract, four between them do not."""

    rate: float
    K = 3  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]

    def update(self, theta: Any) -> Any:
        """Back towards uniform, and on towards what is likely."""
        share = np.exp(theta - np.logaddexp.reduce(theta, axis=-1, keepdims=True))
        return 0.6 * theta + self.rate * share


def made(**attributes: Any) -> Any:
    """A result with the attributes that a drawing asks for."""
    return SimpleNamespace(**attributes)


def shares(first: Any) -> np.ndarray:
    """Policies (..., 2) with this share of the first response."""
    first = np.asarray(first, dtype=float)
    return np.stack([first, 1 - first], axis=-1)


def doubling() -> list[Any]:
    """A branch of fixed points that doubles its period at 3, as of the logistic map, and a fold."""
    r = np.linspace(2.5, 3.5, 41)
    flip = made(kind="flip", value=3.0, policies=shares([2 / 3]), criticality="supercritical")
    fixed = made(
        parameter="r",
        period=1,
        values=r,
        policies=shares(1 - 1 / r)[:, None],
        multipliers=(2 - r)[:, None].astype(complex),
        stable=r < 3,
        bifurcations=(flip,),
    )
    r = np.linspace(3.001, 3.5, 41)
    root = np.sqrt((r + 1) * (r - 3))
    both = np.stack([(r + 1 + root) / (2 * r), (r + 1 - root) / (2 * r)], axis=-1)
    cycle = made(
        parameter="r",
        period=2,
        values=r,
        policies=shares(both),
        multipliers=(4 + 2 * r - r**2)[:, None].astype(complex),
        stable=r < 1 + np.sqrt(6),
        bifurcations=(
            made(kind="neimark_sacker", value=3.2, policies=shares(0.9), criticality="subcritical"),
            made(kind="fold", value=3.4, policies=shares(0.3), criticality=None),
        ),
    )
    return [fixed, cycle]


def portrait() -> Axes:
    run = orbit(CYCLING, [0.7, 0.2, 0.1], rounds=12)
    return plots.portrait(CYCLING, [run], names=["rock", "scissors", "paper"])


def vector_field() -> Axes:
    grid = plots.lattice(9)
    return plots.vector_field(grid, plots.displacement(CYCLING, grid))


def plane() -> Axes:
    turn = 2 * np.pi * 0.15 * np.arange(20)
    radius = 0.02 + 0.005 * np.arange(20)
    policies = np.full((20, 4), 0.25)
    policies[:, 0] += radius * np.cos(turn)
    policies[:, 1] -= radius * np.cos(turn)
    policies[:, 2] += radius * np.sin(turn)
    policies[:, 3] -= radius * np.sin(turn)
    ax = plots.plane_axes(plots.principal_plane(policies))
    plots.path(policies, ax)
    return plots.fixed_point(np.full(4, 0.25), stable=False, ax=ax)


def basins() -> Axes:
    starts = plots.lattice(12)
    labels = starts.argmax(axis=-1)
    labels[labels == 2] = 1
    labels[0] = -1
    rounds = np.where(labels < 0, np.nan, np.round(1 / np.abs(starts[:, 0] - 0.42)))
    middle = np.array([0.15, 0.45, 0.4])
    turn = 2 * np.pi * np.arange(40)[:, None] / 40
    ring = middle + 0.1 * np.cos(turn) * [0, 1, -1] + 0.1 * np.sin(turn) * [1, -0.5, -0.5]
    result = made(
        starts=starts,
        labels=labels,
        attractors=(
            made(kind="fixed point", period=1, policies=np.array([[0.8, 0.1, 0.1]])),
            made(kind="closed curve", period=None, policies=ring),
        ),
        fractions=np.array([np.mean(labels == 0), np.mean(labels == 1)]),
        fraction_errors=np.array([0.051, 0.052]),
        undecided=1 / len(labels),
        rounds=rounds,
        tolerance=0.01,
    )
    return plots.basins(result)


def orbit_diagram() -> Axes:
    values = np.linspace(0, 1, 41)
    spread = np.sqrt(np.maximum(values - 0.5, 0))[:, None] * [0.3, -0.3]
    up, down = shares(0.5 + spread), shares(0.5 + np.where(values[:, None] > 0.8, -spread, 0.1))
    result = made(
        parameter="kappa",
        values=values,
        directions=("up", "down"),
        policies={"up": up, "down": down},
        hysteresis=(values > 0.5) & (values < 0.8),
    )
    return plots.orbit_diagram(result)


def bifurcations() -> Axes:
    return plots.bifurcations(doubling(), of="entropy")


def multipliers() -> Axes:
    return plots.multipliers(doubling()[0])


def chart_with_boundary() -> Axes:
    import xarray

    beta, alpha = np.geomspace(0.1, 1, 12), np.linspace(0, 0.9, 10)
    strength = np.maximum(0, 0.5 - beta[:, None] * np.sqrt(1 - alpha**2))
    strength[0, 0] = np.nan
    data = xarray.Dataset(
        {"cycle_strength": (("beta", "alpha"), strength)}, {"beta": beta, "alpha": alpha}
    )
    ax = plots.chart(data, "cycle_strength")
    along = np.linspace(0, 0.8, 21)
    result = made(
        parameters=("beta", "alpha"),
        kind="neimark_sacker",
        values=np.stack([0.5 / np.sqrt(1 - along**2), along], axis=-1),
        criticality=np.where(along < 0.4, "supercritical", "subcritical"),
        outermost=along < 0.7,
        events=(made(kind="Chenciner", values=(0.5 / np.sqrt(0.84), 0.4)),),
    )
    return plots.boundary(result, ax)


def cobweb() -> Axes:
    return plots.cobweb(Congested(4.0), [0.2, 0.8], rounds=30, names=["short", "long"])


def power() -> Axes:
    frequencies = np.linspace(0, 0.5, 129)
    lines = [1 / (1 + ((frequencies - at) / 0.003) ** 2) ** 3 for at in (0.15, 0.3)]
    peaks = (made(frequency=0.15, share=0.9), made(frequency=0.3, share=0.09))
    return plots.power(
        made(frequencies=frequencies, power=lines[0] + 0.1 * lines[1] + 1e-7, peaks=peaks)
    )


def staircase() -> Axes:
    values = np.linspace(0, 1, 81)
    number = np.where(values < 0.3, 0.2, np.where(values < 0.6, 0.2 + (values - 0.3) / 6, 0.25))
    plateaus = (
        made(turns=1, period=5, low=0.0, high=0.3, width=0.3),
        made(turns=1, period=4, low=0.6, high=1.0, width=0.4),
    )
    result = made(parameters=("beta",), values=(values,), rotation=number, plateaus=plateaus)
    return plots.rotation(result)


PICTURES: dict[str, Callable[[], Axes]] = {
    draw.__name__: draw
    for draw in (
        portrait,
        vector_field,
        plane,
        basins,
        orbit_diagram,
        bifurcations,
        multipliers,
        chart_with_boundary,
        cobweb,
        power,
        staircase,
    )
}


def save(draw: Callable[[], Axes], path: Path) -> None:
    """Draw in the house style on matplotlib's defaults, whatever the machine is set to."""
    with (
        matplotlib.style.context("default"),
        style(),
        matplotlib.rc_context({"figure.figsize": SIZE, "text.hinting": "none"}),
    ):
        figure: Any = draw().figure
        figure.savefig(path, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        save(draw, BASELINE / f"{name}.png")
