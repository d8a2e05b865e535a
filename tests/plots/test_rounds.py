import numpy as np
import pytest
from matplotlib import pyplot

from prefdyn import InputError, Orbit, plots
from prefdyn.policies import entropy


def run_of(policies):
    policies = np.asarray(policies, dtype=float)
    return Orbit(policies, np.log(policies), np.arange(len(policies)), "", None)


ZIGZAG = run_of([[0.8, 0.2], [0.2, 0.8]] * 500)


@pytest.mark.parametrize("rounds", [20, 1000])
def test_every_round_is_drawn_so_that_period_two_stays_a_zigzag(rounds):
    run = run_of(ZIGZAG.policies[:rounds])
    ax = plots.orbit(run, names=["a", "b"])
    for line, share in zip(ax.lines, run.policies.T, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([run.rounds, share], axis=-1))
        assert line.get_linestyle() == "-"
    assert ax.get_legend_handles_labels()[1] == ["a", "b"]


def test_short_runs_show_a_dot_per_round():
    assert plots.orbit(run_of(ZIGZAG.policies[:50])).lines[0].get_marker() == "."


@pytest.mark.parametrize("draw", [plots.orbit, plots.entropy])
def test_drawing_on_given_axes_makes_no_figure(draw):
    _, ax = pyplot.subplots()
    before = pyplot.get_fignums()
    assert draw(ZIGZAG, ax) is ax
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("draw", [plots.orbit, plots.entropy])
def test_without_axes_a_new_figure_is_made(draw):
    first, second = draw(ZIGZAG), draw(ZIGZAG)
    assert first.figure is not second.figure


def test_entropy_draws_one_line_per_run_of_a_batch():
    rng = np.random.default_rng(0)
    run = run_of(rng.dirichlet(np.ones(4), size=(30, 3)))
    ax = plots.entropy(run, color="red")
    expected = entropy(run.log_policies)
    for k in range(3):
        np.testing.assert_array_equal(ax.lines[k].get_ydata(), expected[:, k])
        assert ax.lines[k].get_color() == "red"
    assert np.asarray(ax.lines[3].get_ydata())[0] == pytest.approx(np.log(4))


def test_a_batch_of_orbits_is_refused():
    with pytest.raises(InputError, match=r"one run, not a batch of \(3,\)"):
        plots.orbit(run_of(np.full((5, 3, 2), 0.5)))


def test_a_wrong_number_of_names_is_refused():
    with pytest.raises(InputError, match="3 names for 2 responses"):
        plots.orbit(ZIGZAG, names=["a", "b", "c"])
