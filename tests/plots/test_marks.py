from typing import Any

import numpy as np
import pytest

from prefdyn import InputError, fixed_points, periodic_orbits, plots
from tests.known_maps import Logistic
from tests.plots.drawn import vertices
from tests.plots.pictures import Herd, made


def test_several_fixed_points_are_marked_each_by_its_stability():
    policies = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    result = made(
        points=tuple(made(policy=policy) for policy in policies),
        stabilities=tuple(made(spectral_radius=radius) for radius in (0.5, 1.5, 0.9)),
    )
    ax: Any = plots.fixed_points(result)
    drawn = np.concatenate([vertices(line) for line in ax.lines])
    np.testing.assert_allclose(drawn, policies @ ax.corners_data)
    faces = [line.get_markerfacecolor() for line in ax.lines]
    assert [face == "white" for face in faces] == [False, True, False]


def test_a_portrait_takes_all_fixed_points():
    result = fixed_points(Herd(2.0), starts=8)
    ax = plots.portrait(Herd(2.0), points=result, attractor=False, field="none")
    assert len(ax.lines) == len(result.points) > 1


@pytest.mark.parametrize(("r", "face"), [(3.2, False), (3.6, True)])
def test_a_periodic_orbit_is_closed_and_hollow_where_unstable(r, face):
    result = periodic_orbits(Logistic(r), 2, starts=16)
    (found,) = result.orbits
    three = np.concatenate([found.policies / 2, np.full((2, 1), 0.5)], axis=-1)
    result = made(orbits=(made(period=2, policies=three, spectral_radius=found.spectral_radius),))
    ax: Any = plots.periodic_orbits(result)
    (line,) = ax.lines
    np.testing.assert_allclose(vertices(line), three[[0, 1, 0]] @ ax.corners_data)
    assert (line.get_markerfacecolor() == "white") == face
    assert line.get_label() == f"period 2, {'unstable' if face else 'stable'}"


def test_no_fixed_points_make_no_marks():
    assert not plots.fixed_points(made(points=(), stabilities=())).lines
    assert not plots.periodic_orbits(made(orbits=())).lines


def test_what_is_no_array_of_policies_is_refused():
    with pytest.raises(InputError, match="a Herd is no array of policies"):
        plots.path(Herd(2.0))
    with pytest.raises(InputError, match=r"shape \(3,\): give them as \(n, K\)"):
        plots.cycle(np.full(3, 1 / 3))
    with pytest.raises(InputError, match=r"shape \(2, 3\): give them as \(K,\)"):
        plots.fixed_point(np.full((2, 3), 1 / 3), True)
    with pytest.raises(InputError, match="contains NaN"):
        plots.principal_plane(np.full((5, 3), np.nan))
