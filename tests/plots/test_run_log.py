import numpy as np
import pytest
from matplotlib import pyplot

from prefdyn import Diagnosis, Finding, InputError, RunLog, plots
from prefdyn.runlog import Series
from tests.plots.drawn import vertices

STEPS = np.arange(0, 60, 10)


def log_of(rounds=None, names=(), **series) -> RunLog:
    """A log of evaluations, one value per step and name."""
    made = {
        f"eval/{name}": Series(name, f"eval_{name}", "eval", STEPS, np.asarray(values, float))
        for name, values in series.items()
    }
    return RunLog("log", "JSON lines", made, rounds, {}, (), (), tuple(names))


CHOSEN, REJECTED, GREEDY = -100.0 - STEPS, -90.0 - 3 * STEPS, -80.0 + 0.1 * STEPS
FULL = log_of(chosen=CHOSEN, rejected=REJECTED, greedy=GREEDY, reward_margin=0.1 * STEPS)


def texts(ax) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.xy for text in ax.texts}


def test_every_reading_is_drawn_and_named_at_its_end():
    ax = plots.run_log(FULL)
    below = ax.figure.axes[1]
    for line, values in zip(ax.lines, (CHOSEN, REJECTED, GREEDY), strict=False):
        np.testing.assert_array_equal(vertices(line), np.stack([STEPS, values], axis=-1))
    np.testing.assert_array_equal(vertices(below.lines[0])[:, 1], 0.1 * STEPS)
    assert (below.get_ylabel(), below.get_xlabel()) == ("reward margin", "step")
    low, high = ax.get_ylim()
    for name, values in (("chosen", CHOSEN), ("rejected", REJECTED), ("greedy", GREEDY)):
        share = texts(ax)[name][1]
        assert share == pytest.approx((values[-1] - low) / (high - low), abs=0.05)
    assert vertices(ax.lines[3])[0, 1] == CHOSEN[0]  # where the chosen ones started


def test_names_of_curves_that_end_together_do_not_touch():
    log = log_of(chosen=CHOSEN, rejected=CHOSEN - 0.1 * (STEPS == 50), greedy=CHOSEN + STEPS)
    ax = plots.run_log(log)
    heights = sorted(place for _, place in texts(ax).values())
    assert np.diff(heights).min() > 0.07
    assert texts(ax)["chosen"][1] > texts(ax)["rejected"][1]


def test_findings_stand_where_they_begin():
    findings = (
        Finding("displacement", "alarm", "it falls", 20, "", ""),
        Finding("margin_without_likelihood", "warning", "it grows", 20, "", ""),
        Finding("squeezing", "warning", "it rises", 50, "", ""),
        Finding("kl", "warning", "it grows", None, "", ""),
        Finding("entropy", "info", "it is steady", 10, "", ""),
    )
    ax = plots.run_log(Diagnosis(FULL, findings, (), None, {}))
    named = {words: at[0] for words, at in texts(ax).items() if " from " in words}
    assert named == {
        "displacement, margin without likelihood from 20": 20,
        "squeezing from 50": 50,
    }
    for panel in ax.figure.axes:
        begun = [at[0, 0] for at in map(vertices, panel.lines) if np.ptp(at[:, 0]) == 0]
        assert begun == [20, 50]


@pytest.mark.parametrize(
    ("log", "above", "below", "along"),
    [
        (log_of(chosen_per_token=CHOSEN / 50, accuracy=STEPS), "per token", "won", "step"),
        (log_of(reward_chosen=CHOSEN, loss=STEPS), "reward", "loss", "step"),
        (log_of(chosen=CHOSEN, rejected=REJECTED), "log-probability", "margin (nats)", "step"),
        (log_of(np.zeros((6, 2)), ("a", "b"), mass_inside=STEPS), "policy", "mass", "round"),
        (log_of(loss=STEPS), "loss", None, "step"),
    ],
)
def test_what_is_drawn_is_the_nearest_that_a_log_has(log, above, below, along):
    ax = plots.run_log(log)
    panels = ax.figure.axes
    assert above in ax.get_ylabel()
    assert len(panels) == (1 if below is None else 2)
    assert below is None or below in panels[1].get_ylabel()
    assert panels[-1].get_xlabel() == along


def test_given_axes_are_drawn_on():
    _, (ax, below) = pyplot.subplots(2)
    assert plots.run_log(FULL, ax, below) is ax
    assert below.lines
    _, alone = pyplot.subplots()
    plots.run_log(FULL, alone)
    assert alone.get_xlabel() == "step"
    assert pyplot.get_fignums() == [1, 2]


def test_a_log_with_nothing_to_draw():
    with pytest.raises(InputError, match="nothing that is drawn"):
        plots.run_log(log_of(rate=STEPS))
