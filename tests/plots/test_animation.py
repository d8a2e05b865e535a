import shutil

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from prefdyn import InputError, Orbit, plots
from tests.plots.drawn import vertices


def run_of(policies):
    policies = np.asarray(policies, dtype=float)
    return Orbit(policies, np.log(policies), np.arange(len(policies)), "", None)


def frames(path):
    with Image.open(path) as file:
        for frame in range(getattr(file, "n_frames", 1)):
            file.seek(frame)
            yield np.asarray(file.convert("RGB"), dtype=float)


def blue(picture):
    """Where the orbit's colour is: its dot and trail."""
    return np.abs(picture - [0, 0x72, 0xB2]).max(axis=-1) < 60


ZIGZAG = run_of([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]] * 3)


def test_every_round_is_a_frame_so_that_period_two_jumps_to_and_fro(tmp_path):
    _, ax = pyplot.subplots(figsize=(2, 2))
    plots.simplex_axes(3, ax=ax)
    path = plots.animate(ZIGZAG, tmp_path / "zigzag.gif", ax, trail=1, rate=20)
    assert path == tmp_path / "zigzag.gif"
    pictures = list(frames(path))
    assert len(pictures) == 6
    # Later frames hold two dots with the line between: the big one changes place.
    across = [np.flatnonzero(blue(picture).any(axis=0)).mean() for picture in pictures[2:]]
    assert across[0] == pytest.approx(across[2], abs=1)
    assert across[1] == pytest.approx(across[3], abs=1)
    assert abs(across[0] - across[1]) > 1


def test_two_responses_are_drawn_over_the_rounds(tmp_path):
    run = run_of([[0.8, 0.2], [0.3, 0.7]])
    _, ax = pyplot.subplots(figsize=(2, 2), layout="constrained")
    engine = ax.figure.get_layout_engine()
    plots.animate(run, tmp_path / "two.gif", ax, names=["a", "b"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("round", "probability of a")
    np.testing.assert_allclose(vertices(ax.lines[0]), [[0, 0.8], [1, 0.3]])
    assert ax.get_title() == "round 1"
    assert ax.figure.get_layout_engine() is engine


@pytest.mark.parametrize(
    ("run", "name", "message"),
    [
        (ZIGZAG, "run.avi", "run.avi is no animation"),
        (ZIGZAG, "run.mp4", "needs ffmpeg, which is not installed: write a .gif"),
        (run_of(np.full((1001, 3), 1 / 3)), "run.gif", "1001 saved rounds"),
        (run_of(np.full((5, 2, 3), 1 / 3)), "run.gif", r"not a batch of \(2,\)"),
    ],
)
def test_what_cannot_be_shown_is_refused(run, name, message, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(InputError, match=message):
        plots.animate(run, tmp_path / name)
    assert not list(tmp_path.iterdir())
