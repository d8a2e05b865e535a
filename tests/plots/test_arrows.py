from typing import Any

import numpy as np
import pytest
from matplotlib.quiver import Quiver

from prefdyn import MRSIPO, InputError, games, plots

RULE = MRSIPO(games.rock_paper_scissors(0.4), beta=0.3, alpha=0.5, lam=1.0)


def arrows(ax) -> Any:
    (found,) = (artist for artist in ax.collections if isinstance(artist, Quiver))
    return found


def test_a_lattice_is_inside_and_even():
    grid = plots.lattice(6)
    assert grid.shape == (21, 3)
    assert (grid > 0).all()
    np.testing.assert_allclose(grid.sum(axis=-1), 1)
    np.testing.assert_allclose(grid.mean(axis=0), 1 / 3)
    with pytest.raises(InputError, match="n is 0"):
        plots.lattice(0)


def test_arrows_point_where_a_round_goes_and_their_colour_says_how_far():
    grid = plots.lattice(6)
    moves = plots.displacement(RULE, grid)
    ax: Any = plots.vector_field(grid, moves)
    drawn = arrows(ax)
    np.testing.assert_allclose(drawn.XY, grid @ ax.corners_data)
    expected = moves @ ax.corners_data
    direction = np.stack([drawn.U, drawn.V], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1)
    along = np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(direction, expected / along)
    np.testing.assert_allclose(drawn.get_array(), np.linalg.norm(moves, axis=-1))
    assert "distance moved" in ax.figure.axes[1].get_ylabel()


def test_a_policy_at_rest_gets_no_arrow():
    policies = np.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])
    moves = np.array([[0.0, 0.0, 0.0], [0.1, -0.1, 0.0]])
    ax = plots.vector_field(policies, moves, colorbar=False)
    assert len(arrows(ax).XY) == 1
    assert len(ax.figure.axes) == 1


def test_a_portrait_has_streamlines_or_arrows_or_neither():
    def kinds(field):
        ax = plots.portrait(RULE, attractor=False, field=field)
        return len(ax.lines), len(ax.collections)

    assert kinds("streamlines") == (2, 0)
    assert kinds("arrows") == (1, 1)
    assert kinds("none") == (1, 0)
    with pytest.raises(InputError, match="field 'lines' is not known"):
        kinds("lines")


def test_moves_that_do_not_belong_to_the_policies_are_refused():
    with pytest.raises(InputError, match="one move"):
        plots.vector_field(plots.lattice(3), plots.lattice(4))
