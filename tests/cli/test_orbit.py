"""``prefdyn orbit``: what is measured, and what is written."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

import prefdyn
from prefdyn.cli import main
from prefdyn.games import rock_paper_scissors

RECIPE = ["--alpha", "0.5", "--lam", "1"]
UNSTABLE = ["rps:0.4", *RECIPE, "--beta", "0.15"]


def test_orbit_measures_the_run(data):
    found = data("orbit", *UNSTABLE, "--rounds", "2000")
    rule = prefdyn.MRSIPO(rock_paper_scissors(0.4), 0.15, 0.5, 1)
    run = prefdyn.orbit(rule, rounds=2000)
    assert found["final_policy"] == run.policies[-1].tolist()
    assert found["cycle_strength"] == prefdyn.cycle_strength(run.policies)
    assert found["period"] == pytest.approx(prefdyn.period(run.policies), rel=1e-3)
    assert found["reason"] == run.reason


def test_an_orbit_that_settles_has_no_period(data, text):
    found = data("orbit", "rps:0.4", *RECIPE, "--beta", "1")
    assert found["rounds"] < 1000
    assert found["period"] is None
    assert found["refused"] == {"period": "none: the run has settled"}
    assert (found["cycle_strength"], found["recurrence"]) == (0, 1)
    assert "none: the run has settled" in text("orbit", "rps:0.4", *RECIPE, "--beta", "1")


def test_an_orbit_too_short_to_measure_is_not_measured(data, text):
    found = data("orbit", *UNSTABLE, "--rounds", "5")
    assert set(found["refused"]) == {"cycle_strength", "period", "recurrence"}
    assert found["cycle_strength"] is None
    assert "refused" in text("orbit", *UNSTABLE, "--rounds", "5")


def test_a_collapsed_policy_has_entropy_zero(text):
    run = text("orbit", "rps:0.5", "--alpha", "1", "--lam", "1", "--beta", "1e-6")
    assert re.search(r"^entropy +0 nats$", run, re.M)


def test_orbit_starts_where_it_is_told(data):
    found = data("orbit", *UNSTABLE, "--rounds", "0", "--start", "0.5,0.3,0.2")
    np.testing.assert_allclose(found["final_policy"], [0.5, 0.3, 0.2], rtol=1e-15)


def test_reference_and_offline_reach_the_rule(data):
    fixed = ["--reference", "0.5,0.3,0.2", "--offline", "0.2,0.2,0.6"]
    found = data("orbit", "rps:0.4", "--alpha", "0", "--lam", "0", "--beta", "2", *fixed)
    game = rock_paper_scissors(0.4)
    expected = np.array([0.5, 0.3, 0.2]) * np.exp(game.P @ [0.2, 0.2, 0.6] / 2)
    np.testing.assert_allclose(found["final_policy"], expected / expected.sum(), rtol=1e-12)
    assert found["recipe"]["reference"] == [0.5, 0.3, 0.2]


def test_noisy_rounds_are_seeded(data):
    arguments = ["orbit", *UNSTABLE, "--rounds", "50", "--votes", "20", "--kappa", "0.5"]
    first, again, other = (data(*arguments, "--seed", seed) for seed in "115")
    assert first == again
    assert first["final_policy"] != other["final_policy"]
    assert first["seed"] == 1


def test_csv_holds_every_round(tmp_path, data):
    path = tmp_path / "run.csv"
    found = data("orbit", *UNSTABLE, "--rounds", "20", "--csv", str(path))
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == ["round", "rock", "scissors", "paper"]
    assert [int(row[0]) for row in rows[1:]] == list(range(21))
    assert [float(cell) for cell in rows[-1][1:]] == found["final_policy"]
    assert found["files"] == [str(path)]


@pytest.mark.parametrize(
    ("game", "alpha", "name", "magic"),
    [
        ("cyclic", "0.5", "lines.SVG", b"<?xml"),
        pytest.param("rps:0.4", "0.5", "portrait.png", b"\x89PNG", marks=pytest.mark.slow),
        pytest.param("rps:0.4", "1", "last_iterate.png", b"\x89PNG", marks=pytest.mark.slow),
        pytest.param("random:12:0", "0.5", "many.pdf", b"%PDF", marks=pytest.mark.slow),
    ],
)
def test_plots_are_pictures(tmp_path, text, game, alpha, name, magic):
    path = tmp_path / name
    recipe = ["--alpha", alpha, "--lam", "1", "--beta", "0.3", "--rounds", "30"]
    text("orbit", game, *recipe, "--plot", str(path))
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_a_plot_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, capsys):
    from matplotlib.figure import Figure

    def fail(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Figure, "savefig", fail)
    path = tmp_path / "run.png"
    path.write_bytes(b"old")
    assert main(["orbit", *UNSTABLE, "--rounds", "30", "--plot", str(path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("run.png", b"old")]


def test_of_many_responses_the_likeliest_are_shown(text):
    shown = text("orbit", "random:30:0", *RECIPE, "--beta", "1", "--rounds", "20")
    assert "10 others" in shown
