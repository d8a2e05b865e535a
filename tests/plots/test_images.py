import pytest
from matplotlib.testing.compare import compare_images

from prefdyn import plots
from tests.plots.pictures import BASELINE, PICTURES, save

TOLERANCE = 1.0
"""Root mean square of the difference of two pictures, out of 255: rounding at edges of marks."""


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_looks_as_it_did(name, tmp_path):
    drawn = tmp_path / f"{name}.png"
    save(PICTURES[name], drawn)
    difference = compare_images(str(BASELINE / drawn.name), str(drawn), TOLERANCE)
    assert difference is None, (
        f"{difference}\nIf the change is meant, redraw by python -m tests.plots.pictures and look."
    )


def test_a_mark_that_is_filled_instead_of_hollow_is_noticed(tmp_path, monkeypatch):
    hollow = plots.fixed_point
    monkeypatch.setattr(plots, "fixed_point", lambda p, stable, ax: hollow(p, not stable, ax))
    save(PICTURES["plane"], tmp_path / "plane.png")
    expected = str(BASELINE / "plane.png")
    assert compare_images(expected, str(tmp_path / "plane.png"), TOLERANCE) is not None
