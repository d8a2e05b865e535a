from typing import Any

import mpltern  # noqa: F401
import numpy as np
import pytest
from matplotlib import pyplot

from prefdyn import MRSIPO, FiniteSample, InputError, fixed_point, games, orbit, plots
from tests.plots.drawn import vertices

CALM = MRSIPO(games.rock_paper_scissors(0.4), beta=0.5, alpha=0.5, lam=1.0)
CYCLING = CALM.replace(beta=0.2)


def axes_of(kind):
    figure = pyplot.figure()
    if kind == "ternary":
        return figure.add_subplot(projection="ternary")
    return figure.add_subplot()


def on_paper(ax: Any, policies: np.ndarray) -> np.ndarray:
    corners = ax.corners_data if ax.name == "ternary" else plots.corners(policies.shape[-1])
    return policies @ corners


@pytest.mark.parametrize("kind", ["ternary", "plain"])
def test_paths_and_cycles_are_drawn_where_the_policies_are(kind):
    policies = np.random.default_rng(0).dirichlet(np.ones(3), size=40)
    ax = plots.simplex_axes(3, ax=axes_of(kind))
    assert plots.path(policies, ax) is ax
    assert plots.cycle(policies, ax) is ax
    line, start, dots = ax.lines
    for drawn, expected in ((line, policies), (start, policies[:1]), (dots, policies)):
        np.testing.assert_allclose(vertices(drawn), on_paper(ax, expected), atol=1e-12)
    assert line.get_linestyle() == "-"
    assert dots.get_linestyle() == "None"


@pytest.mark.parametrize(("stable", "face"), [(True, "#000000"), (False, "white")])
def test_fixed_points_are_filled_when_stable(stable, face):
    policy = np.array([0.2, 0.3, 0.1, 0.4])
    ax = plots.fixed_point(policy, stable)
    (mark,) = ax.lines
    np.testing.assert_allclose(vertices(mark), [plots.project(policy)])
    assert mark.get_markerfacecolor() == face


@pytest.mark.parametrize(("rule", "face"), [(CALM, "#000000"), (CYCLING, "white")])
@pytest.mark.parametrize("kind", ["ternary", "plain"])
def test_a_portrait_holds_flow_cycle_paths_and_fixed_point(rule, face, kind):
    run = orbit(rule, [0.7, 0.2, 0.1], rounds=30)
    ax = axes_of(kind)
    assert plots.portrait(rule, [run], ax) is ax
    _, attractor, path, _, point = ax.lines
    np.testing.assert_allclose(vertices(path), on_paper(ax, run.policies), atol=1e-12)
    centre = on_paper(ax, fixed_point(rule).policy)
    np.testing.assert_allclose(vertices(point), [centre], atol=1e-12)
    assert point.get_markerfacecolor() == face
    distance = np.linalg.norm(vertices(attractor) - centre, axis=-1)
    assert (distance.max() < 1e-9) == (rule is CALM)


def test_a_portrait_of_five_responses_has_no_flow():
    rule = MRSIPO(games.cycle(5, 0.4), 0.1, 0.5, 1.0)
    ax = plots.portrait(rule, attractor=False)
    assert ax.name == "rectilinear"
    assert len(ax.lines) == 1  # the fixed point


def test_a_batch_is_refused():
    with pytest.raises(InputError, match=r"not a batch of \(2,\)"):
        plots.portrait(CALM.replace(beta=[0.2, 0.5]))


def test_displacement_is_one_round():
    start = np.random.default_rng(1).dirichlet(np.ones(3), size=7)
    after = np.stack([orbit(CYCLING, policy, rounds=1).policies[-1] for policy in start])
    np.testing.assert_allclose(plots.displacement(CYCLING, start), after - start, atol=1e-14)


def test_displacement_of_random_rounds_is_that_of_their_expectation():
    start = np.array([[0.5, 0.3, 0.2]])
    noisy = FiniteSample(CYCLING, votes=10)
    expected = plots.displacement(CYCLING, start)
    np.testing.assert_allclose(plots.displacement(noisy, start), expected, atol=1e-14)


@pytest.mark.parametrize("rule", [CALM, CYCLING])
def test_streamlines_follow_the_displacement_inside_the_simplex(rule):
    lines = plots.streamlines(rule)
    assert len(lines) > 10
    for line in lines:
        points = line[np.isfinite(line[:, 0])]
        assert np.isnan(line[len(points) :]).all()
        assert (points > 0).all()
        np.testing.assert_allclose(points.sum(axis=-1), 1, atol=1e-12)
        steps = np.diff(points, axis=0)
        moves = plots.displacement(rule, points[:-1])
        cosine = (steps * moves).sum(-1) / (
            np.linalg.norm(steps, axis=-1) * np.linalg.norm(moves, axis=-1)
        )
        # Next to a focus the direction turns within one step; elsewhere it hardly does.
        assert np.median(cosine) > 0.99
        assert (cosine > 0.5).all()


def test_streamlines_are_drawn_with_their_gaps():
    lines = plots.streamlines(CALM)
    ax = plots.flow(lines)
    drawn = vertices(ax.lines[0])
    finite = np.isfinite(drawn[:, 0])
    assert finite.sum() == np.isfinite(lines[..., 0]).sum()
    np.testing.assert_allclose(
        drawn[finite], on_paper(ax, lines[np.isfinite(lines).all(-1)]), atol=1e-12
    )
    runs = np.diff(np.concatenate([[0], finite.astype(int), [0]]))
    assert (runs == 1).sum() == len(lines)
