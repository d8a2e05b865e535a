from typing import Any

import numpy as np
import pytest

from prefdyn import InputError, continuation, orbit_diagram, plots
from tests.known_maps import Logistic
from tests.plots.drawn import finite, labels, vertices
from tests.plots.pictures import doubling, made, shares


def policy_at(x):
    return np.exp([x, 0.0]) / (1 + np.exp(x))


def test_every_kept_round_is_a_dot():
    values = np.array([3.1, 3.2, 3.3])
    start = policy_at(0.6)
    result = orbit_diagram(Logistic(3.0), "r", values, start=start, settle=400, keep=6)
    up, down, *_ = plots.orbit_diagram(result).lines
    for line, name in ((up, "up"), (down, "down")):
        expected = np.stack([np.repeat(values, 6), result.policies[name][..., 0].ravel()], axis=-1)
        np.testing.assert_array_equal(vertices(line), expected)
        assert line.get_linestyle() == "None"
    assert len(np.unique(np.round(vertices(up), 6), axis=0)) == 6  # two each: period two is seen


def diagram(hysteresis):
    values = np.arange(5.0)
    policies = np.broadcast_to(shares(0.3), (5, 2, 2))
    return made(
        parameter="beta",
        values=values,
        directions=("up", "down"),
        policies={"up": policies, "down": policies},
        hysteresis=np.array(hysteresis),
    )


@pytest.mark.parametrize(
    ("hysteresis", "spans"),
    [
        ([False, True, True, False, False], [(0.5, 2.5)]),
        ([True, False, False, False, True], [(0.0, 0.5), (3.5, 4.0)]),
        ([False] * 5, []),
    ],
)
def test_hysteresis_is_shaded_half_a_step_further(hysteresis, spans):
    ax: Any = plots.orbit_diagram(diagram(hysteresis))
    drawn = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    np.testing.assert_allclose(np.reshape(drawn, (-1, 2)), np.reshape(spans, (-1, 2)))
    expected = ["swept upwards", "swept downwards"] + ["the directions differ"] * bool(spans)
    assert labels(ax) == expected


def test_one_direction_needs_no_legend():
    result = diagram([False] * 5)
    result.directions, result.hysteresis = ("up",), None
    assert plots.orbit_diagram(result).get_legend() is None


def test_branches_are_solid_where_stable_and_dashed_where_not():
    fixed = continuation(Logistic(2.6), "r", (2.5, 3.4), start=policy_at(0.615))
    ax = plots.bifurcations(fixed)
    solid, dashed, mark = ax.lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    step = np.diff(fixed.values).max()
    assert finite(solid)[:, 0].max() == pytest.approx(3, abs=step)
    assert finite(dashed)[:, 0].min() == pytest.approx(3, abs=step)
    for r, share in np.concatenate([finite(solid), finite(dashed)]):
        assert share == pytest.approx(policy_at(1 - 1 / r)[0], abs=1e-4)
    np.testing.assert_allclose(vertices(mark), [[3, policy_at(2 / 3)[0]]], atol=1e-8)
    assert mark.get_marker() == "D"
    assert labels(ax) == ["stable", "unstable", "flip, supercritical"]


def test_several_branches_share_axes_and_a_cycle_has_a_line_per_round():
    branches = doubling()
    ax = plots.bifurcations(branches)
    colours = [line.get_color() for line in ax.lines if line.get_linestyle() != "None"]
    assert len(colours) == 2 + 2 * 2
    assert len(set(colours)) == 2
    assert labels(ax) == [
        "stable",
        "unstable",
        "fixed points",
        "cycles of 2 rounds",
        "flip, supercritical",
        "Neimark-Sacker, subcritical",
        "fold",
    ]


def test_marks_differ_by_kind_and_are_hollow_where_subcritical():
    marks = [line for line in plots.bifurcations(doubling()).lines if line.get_marker() != "None"]
    looks = {line.get_marker(): line.get_markerfacecolor() for line in marks}
    assert looks == {"D": "#000000", "o": "white", "s": "#000000"}


def test_a_stretch_that_turns_back_stays_one_curve():
    across = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    branch = made(
        parameter="r",
        period=1,
        values=across,
        policies=shares(np.linspace(0.1, 0.5, 5))[:, None],
        stable=np.array([True, True, True, False, False]),
        bifurcations=(),
    )
    solid, dashed = plots.bifurcations(branch, legend=False).lines
    np.testing.assert_allclose(finite(solid)[-1], finite(dashed)[0])
    np.testing.assert_allclose(finite(solid)[-1], [2.5, 0.35])


def test_branches_over_different_parameters_share_no_axis():
    one, other = doubling()
    other.parameter = "beta"
    with pytest.raises(InputError, match="branches over beta and r share no axis"):
        plots.bifurcations([one, other])
    with pytest.raises(InputError, match="no parameter"):
        plots.bifurcations([])


def margin(policies):
    return policies[..., 0] - policies[..., 1]


def test_any_reading_of_a_policy_can_be_drawn():
    result = diagram([False] * 5)
    for of, height, label in (
        (1, 0.7, "probability of response 1"),
        ("entropy", -0.3 * np.log(0.3) - 0.7 * np.log(0.7), "entropy (nats)"),
        (margin, -0.4, "margin"),
    ):
        ax = plots.orbit_diagram(result, of=of)
        np.testing.assert_allclose(vertices(ax.lines[0])[:, 1], height)
        assert ax.get_ylabel() == label


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (2, "2 is nothing to read off a policy over 2 responses"),
        (0.5, "0.5 is nothing to read off"),
        (None, "None is nothing to read off"),
        ("entropie", "'entropie' is nothing"),
        (np.mean, r"into \(\): it must give one number per policy"),
    ],
)
def test_what_is_no_reading_is_refused(of, message):
    with pytest.raises(InputError, match=message):
        plots.orbit_diagram(diagram([False] * 5), of=of)


def test_a_certain_policy_has_no_entropy():
    result = diagram([False] * 5)
    result.policies = {name: np.broadcast_to([1.0, 0.0], (5, 2, 2)) for name in ("up", "down")}
    heights = vertices(plots.orbit_diagram(result, of="entropy").lines[0])[:, 1]
    np.testing.assert_allclose(heights, 0, atol=1e-12)
