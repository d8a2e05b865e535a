from typing import Any

import numpy as np
import pytest
import xarray

from prefdyn import MRSIPO, InputError, boundary, games, plots, sweep
from tests.plots.drawn import finite, labels, vertices
from tests.plots.pictures import made

RULE = MRSIPO(games.rock_paper_scissors(0.4), beta=1.0, alpha=0.5, lam=1.0)
AXES = {"beta": np.geomspace(0.1, 0.8, 4), "alpha": np.linspace(0.1, 0.9, 3)}


@pytest.fixture(scope="module")
def recorded():
    return sweep(RULE, AXES, ["spectral_radius", "kind"], rounds=20)


def mesh(ax) -> Any:
    (found,) = ax.collections
    return found


def test_cells_hold_the_values_of_the_sweep(recorded):
    ax: Any = plots.chart(recorded, "spectral_radius")
    drawn = mesh(ax)
    np.testing.assert_allclose(drawn.get_array(), recorded["spectral_radius"].T)
    corners = drawn.get_coordinates()
    middle = np.sqrt(corners[0, :-1, 0] * corners[0, 1:, 0])  # of even steps in the logarithm
    np.testing.assert_allclose(middle, AXES["beta"])
    np.testing.assert_allclose((corners[:-1, 0, 1] + corners[1:, 0, 1]) / 2, AXES["alpha"])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("beta", "alpha")
    assert "modulus" in ax.figure.axes[1].get_ylabel()


@pytest.mark.parametrize("options", [{"x": "alpha"}, {"y": "beta"}, {"x": "alpha", "y": "beta"}])
def test_axes_can_be_exchanged(recorded, options):
    ax = plots.chart(recorded, "spectral_radius", **options, colorbar=False)
    np.testing.assert_allclose(mesh(ax).get_array(), recorded["spectral_radius"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("alpha", "beta")
    assert len(ax.figure.axes) == 1


def test_words_have_a_colour_each(recorded):
    ax = plots.chart(recorded, "kind")
    assert labels(ax) == ["stable", "neimark sacker"]
    stable = recorded["spectral_radius"].T < 1
    np.testing.assert_array_equal(mesh(ax).get_array(), np.where(stable, 0, 1))


def test_what_was_refused_is_left_empty_and_names_are_ticks():
    data = xarray.Dataset(
        {"kind": (("game", "beta"), np.array([[0, -1], [1, 1]], dtype=np.int8))},
        {"game": ["chess", "go"], "beta": [1.0, 2.0]},
    )
    data["kind"].attrs = {"flag_values": [0, 1], "flag_meanings": "stable fold"}
    ax: Any = plots.chart(data, "kind", y="game")
    np.testing.assert_array_equal(mesh(ax).get_array().mask, [[False, True], [False, False]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["chess", "go"]


@pytest.mark.parametrize(
    ("variable", "options", "message"),
    [
        ("entropy", {}, "no variable 'entropy': choose one of kind, spec"),
        ("kind", {"x": "lam"}, "no axis 'lam': it has beta and alpha"),
        ("kind", {"x": "beta", "y": "beta"}, "x and y are both 'beta'"),
    ],
)
def test_what_was_not_recorded_is_refused(recorded, variable, options, message):
    with pytest.raises(InputError, match=message):
        plots.chart(recorded, variable, **options)


def test_a_chart_has_two_axes(recorded):
    with pytest.raises(InputError, match="runs over beta, and a chart has two axes"):
        plots.chart(recorded.isel(alpha=0), "kind")
    with pytest.raises(InputError, match="values of 'beta' must be at least two"):
        plots.chart(recorded.isel(beta=[0]), "kind")


def test_a_boundary_lies_where_the_radius_is_one(recorded):
    result = boundary(RULE, ("beta", "alpha"), ((0.1, 0.8), (0.1, 0.9)), step=0.1)
    ax = plots.boundary(result, plots.chart(recorded, "spectral_radius"))
    (curve,) = ax.lines
    beta, alpha = vertices(curve)[1::3].T  # computed points, each with half a step to either side
    np.testing.assert_allclose(alpha**2 + 0.16 / (3 * beta**2), 1)
    assert labels(ax) == ["Neimark-Sacker, supercritical"]


def test_a_boundary_changes_colour_with_criticality_and_is_dotted_inside():
    along = np.arange(6.0)
    result = made(
        parameters=("beta", "alpha"),
        kind="flip",
        values=np.stack([along, along**2], axis=-1),
        criticality=np.array(["supercritical"] * 2 + ["subcritical"] * 4),
        outermost=along < 4,
        events=(made(kind="generalised flip", values=(1.5, 2.5)),),
    )
    ax = plots.boundary(result)
    soft, hard, inside, diamond = ax.lines
    assert soft.get_color() != hard.get_color() == inside.get_color()
    assert [line.is_dashed() for line in (soft, hard, inside)] == [False, False, True]
    np.testing.assert_allclose(finite(soft)[-1], [1.5, 2.5])
    np.testing.assert_allclose(finite(hard)[0], [1.5, 2.5])
    np.testing.assert_allclose(finite(hard)[-1], finite(inside)[0])
    np.testing.assert_allclose(vertices(diamond), [[1.5, 2.5]])
    assert [text.get_text() for text in ax.texts] == ["generalised flip"]
    assert labels(ax) == [
        "flip, supercritical",
        "flip, subcritical",
        "flip, subcritical, already unstable",
    ]


def locking(parameters=("omega", "k")):
    periods = np.array([[2, 2, 0], [2, 3, 1]])
    turns = np.array([[1, 1, 0], [1, 1, 0]])
    return made(
        parameters=parameters,
        values=(np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0])),
        rotation=np.array([[0.5, 0.5, 0.4], [0.5, 1 / 3, np.nan]]),
        turns=turns,
        periods=periods,
        locked=periods > 1,
        plateaus=(),
        tongue=lambda p, q: (turns == p) & (periods == q),
    )


def test_tongues_are_coloured_by_their_rational():
    ax: Any = plots.tongues(locking())
    assert labels(ax) == ["1/2", "1/3", "no rotation number"]
    half, third, none = (~np.ma.getmaskarray(cells.get_array()) for cells in ax.collections)
    np.testing.assert_array_equal(half, [[True, True], [True, False], [False, False]])
    np.testing.assert_array_equal(third, [[False, False], [False, True], [False, False]])
    np.testing.assert_array_equal(none, [[False, False], [False, False], [False, True]])


def test_tongues_need_two_parameters_and_a_staircase_one():
    with pytest.raises(InputError, match="only omega was varied"):
        plots.tongues(locking(("omega",)))
    with pytest.raises(InputError, match="not over omega and k"):
        plots.rotation(locking())
