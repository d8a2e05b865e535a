from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from prefdyn import basins, plots
from tests.plots.drawn import labels, vertices
from tests.plots.pictures import Herd, made


@pytest.fixture(scope="module")
def three():
    return basins(Herd(2.0), resolution=12)


def cells(ax) -> Any:
    (found,) = (artist for artist in ax.collections if isinstance(artist, PolyCollection))
    return found


def test_cells_lie_around_their_starts_in_their_attractors_colour(three):
    ax: Any = plots.basins(three)
    drawn = cells(ax)
    centres = np.array([path.vertices[:6].mean(axis=0) for path in drawn.get_paths()])
    np.testing.assert_allclose(centres, three.starts @ ax.corners_data, atol=1e-12)
    # Hues, whatever the shade: nearest to white is which of red, green and blue.
    tint = 1 - drawn.get_facecolors()[:, :3]
    tint /= np.linalg.norm(tint, axis=-1, keepdims=True)
    for label in range(3):
        own = tint[three.labels == label]
        np.testing.assert_allclose(own, own[:1].repeat(len(own), 0), atol=1e-9)
    ends = np.array([attractor.policies[0] for attractor in three.attractors])
    marks = np.concatenate([vertices(line) for line in ax.lines])
    np.testing.assert_allclose(marks, ends @ ax.corners_data)


def test_later_arrivals_are_darker(three):
    brightness = cells(plots.basins(three)).get_facecolors()[:, :3].sum(axis=-1)
    for label in range(3):
        own = three.labels == label
        order = np.argsort(three.rounds[own], kind="stable")
        assert (np.diff(brightness[own][order]) <= 1e-12).all()
        assert np.ptp(brightness[own]) > 0.5


def test_neighbouring_cells_leave_no_gap(three):
    paths = [path.vertices[:6] for path in cells(plots.basins(three)).get_paths()]
    corners = np.round(np.concatenate(paths), 9)
    _, counts = np.unique(corners, axis=0, return_counts=True)
    shared = np.sum(counts == 3)
    assert shared > len(paths)  # inside, three cells meet in every corner


def test_the_legend_holds_the_shares(three):
    ax: Any = plots.basins(three, names=["a", "b", "c"])
    words = labels(ax)
    for fraction, word in zip(three.fractions, words, strict=False):
        assert word.startswith(f"fixed point: {100 * fraction:.0f} ± ")
    assert ("undecided" in words[-1]) == (three.undecided > 0)
    assert "rounds until" in ax.figure.axes[1].get_ylabel()


def test_starts_that_form_no_lattice_are_dots():
    result = one_attractor(np.random.default_rng(0).dirichlet(np.ones(3), size=20))
    ax: Any = plots.basins(result, legend=False, colorbar=False)
    (dots,) = ax.collections
    np.testing.assert_allclose(dots.get_offsets(), result.starts @ ax.corners_data)
    assert ax.get_legend() is None
    assert len(ax.figure.axes) == 1


def test_four_responses_are_dots_on_the_polygon():
    result = one_attractor(np.random.default_rng(0).dirichlet(np.ones(4), size=20))
    (dots,) = (ax := plots.basins(result)).collections
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), plots.project(result.starts))
    assert ax.name == "rectilinear"


def one_attractor(starts, kind="fixed point", period=1):
    """All starts end on one attractor, and nobody knows when."""
    return made(
        starts=starts,
        labels=np.zeros(len(starts), int),
        attractors=(made(kind=kind, period=period, policies=starts[:1]),),
        fractions=np.ones(1),
        fraction_errors=np.array([0.03]),
        undecided=0.0,
        rounds=np.full(len(starts), np.nan),
        tolerance=0.01,
    )


@pytest.mark.parametrize(
    ("kind", "period", "words"),
    [("cycle", 5, "cycle of 5 rounds"), ("boundary", None, "run to the boundary")],
)
def test_attractors_have_names(kind, period, words):
    ax = plots.basins(one_attractor(plots.lattice(4), kind, period))
    assert labels(ax) == [f"{words}: 100 ± 3 %"]
    assert len(ax.figure.axes) == 1  # no times, no scale for them
