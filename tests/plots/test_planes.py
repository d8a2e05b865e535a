import numpy as np
import pytest
from matplotlib import pyplot

from prefdyn import MRSIPO, InputError, InsufficientData, games, orbit, plots
from tests.plots.drawn import vertices


def ellipse(K=5, n=40):
    """Policies on an ellipse whose axes are e0 - e1 and e2 - e3, twice as long along the first."""
    turn = 2 * np.pi * np.arange(n) / n
    policies = np.full((n, K), 1 / K)
    policies[:, 0] += 0.1 * np.cos(turn)
    policies[:, 1] -= 0.1 * np.cos(turn)
    policies[:, 2] += 0.05 * np.sin(turn)
    policies[:, 3] -= 0.05 * np.sin(turn)
    return policies


def test_principal_plane_shows_an_ellipse_whole_and_says_how_much_it_shows():
    policies = ellipse()
    plane = plots.principal_plane(policies)
    seen = plane(policies)
    np.testing.assert_allclose(np.ptp(seen, axis=0), [0.2 * np.sqrt(2), 0.1 * np.sqrt(2)])
    np.testing.assert_allclose(plane.directions.T @ plane.directions, np.eye(2), atol=1e-12)
    assert plane.labels[0] == "first principal component (80 % of variance)"
    assert plane.labels[1] == "second principal component (20 % of variance)"


def test_principal_plane_has_one_orientation():
    policies = ellipse()
    plane = plots.principal_plane(policies)
    other = plots.principal_plane(policies[::-1])
    np.testing.assert_allclose(plane.directions, other.directions, atol=1e-12)
    assert plane.directions[0, 0] > 0
    assert plane.directions[2, 1] > 0


def test_a_settled_run_has_no_principal_plane():
    with pytest.raises(InsufficientData, match="all the same"):
        plots.principal_plane(np.full((10, 4), 0.25))


def test_what_is_drawn_on_plane_axes_is_seen_in_the_plane():
    policies = ellipse()
    plane = plots.response_plane(5, 2, 0, names=list("abcde"))
    _, ax = pyplot.subplots()
    assert plots.plane_axes(plane, ax) is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("probability of c", "probability of a")
    plots.path(policies, ax)
    plots.cycle(policies, ax)
    plots.fixed_point(policies[3], True, ax)
    line, _, dots, point = ax.lines
    np.testing.assert_allclose(vertices(line), policies[:, [2, 0]])
    np.testing.assert_allclose(vertices(dots), policies[:, [2, 0]])
    np.testing.assert_allclose(vertices(point), policies[3:4, [2, 0]])


def test_a_portrait_in_a_plane_keeps_its_axes():
    rule = MRSIPO(games.cycle(5, 0.4), 0.1, 0.5, 1.0)
    run = orbit(rule, rounds=20)
    ax = plots.plane_axes(plots.response_plane(5, 1, 3))
    plots.portrait(rule, [run], ax, attractor=False)
    line, _, point = ax.lines
    np.testing.assert_allclose(vertices(line), run.policies[:, [1, 3]])
    np.testing.assert_allclose(vertices(point), [[0.2, 0.2]], atol=1e-9)
    assert ax.get_xlabel() == "probability of response 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 0, 3), "no response 3: choose from 0 to 2"),
        ((3, 1, 1), "both axes show response 1"),
        ((3, 0, 1, ["a"]), "1 names for 3 responses"),
    ],
)
def test_planes_that_do_not_exist_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        plots.response_plane(*arguments)
