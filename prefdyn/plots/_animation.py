"""An orbit as a moving picture: every saved round is a frame of its own."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn._simulate import Orbit
from prefdyn.plots._axes import axes, colour
from prefdyn.plots._simplex import is_ternary, on_paper, simplex_axes

MOST = 1000
"""Frames beyond which nobody would watch to the end."""
DPI = 100


def animate(
    run: Orbit,
    path: str | os.PathLike[str],
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    trail: int = 12,
    rate: float = 12,
) -> Path:
    """Write an orbit as an animation, one frame per saved round, none left out or blended.

    A dot for the policy and a line through the rounds before it; over two responses, the
    probability of the first against the round.

    Parameters
    ----------
    run
        An `Orbit` of a single policy, of at most 1000 saved rounds.
    path
        File to write: ``.gif``, or ``.mp4`` where ffmpeg is installed.
    ax
        Axes to draw on, such as a `portrait` or axes from `plane_axes`, whose figure is written
        with all that it shows already; by default a new simplex.
    names
        One name per response, for new axes.
    trail
        Rounds that the line reaches back.
    rate
        Frames per second.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For a batch of orbits, too many rounds, another kind of file, or MP4 without ffmpeg.
    """
    path = Path(path)
    writer = _writer(path, rate)
    policies = _frames(run)
    trail = count(trail, "trail")
    ax, points = _stage(run, policies, ax, names)
    tail = _line(ax, points, linewidth=0.9, marker=".", markersize=4)
    dot = _line(ax, points[-1:], marker="o", markersize=9, markeredgecolor="white")
    figure: Any = ax.figure
    with _arranged(ax, figure) as title, writer.saving(figure, path, DPI):
        for frame, number in enumerate(run.rounds):
            tail.set_data(*points[max(0, frame - trail) : frame + 1].T)
            dot.set_data(*points[frame : frame + 1].T)
            title.set_text(f"round {number}")
            writer.grab_frame()
    return path


@contextmanager
def _arranged(ax: Axes, figure: Any) -> Iterator[Text]:
    """A title whose place, and that of all else, is found once: finding it takes most of a frame.

    The figure gets its layout engine back.
    """
    title = ax.set_title("round 0")
    engine = figure.get_layout_engine()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield ax.set_title("round 0", y=title.get_position()[1])
    finally:
        figure.set_layout_engine(engine)


def _frames(run: Orbit) -> np.ndarray:
    policies = np.asarray(run.policies, dtype=float)
    if policies.ndim != 2:
        raise InputError(
            f"an animation shows one run, not a batch of {policies.shape[1:-1]}: give one of them."
        )
    if len(policies) > MOST:
        raise InputError(
            f"{len(policies)} saved rounds would make as many frames, and {MOST} are the most: "
            "run fewer rounds, because leaving some out could hide an oscillation."
        )
    return policies


def _writer(path: Path, rate: float) -> Any:
    """What writes this kind of file."""
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path.suffix == ".gif":
        return PillowWriter(fps=rate)  # pyright: ignore[reportArgumentType]  any positive rate
    if path.suffix != ".mp4":
        raise InputError(f"{path.name} is no animation prefdyn can write: end it in .gif or .mp4.")
    if shutil.which("ffmpeg") is None:
        raise InputError(f"{path.name} needs ffmpeg, which is not installed: write a .gif instead.")
    return FFMpegWriter(fps=rate)  # pyright: ignore[reportArgumentType]


def _stage(
    run: Orbit, policies: np.ndarray, ax: Axes | None, names: Sequence[str] | None
) -> tuple[Axes, np.ndarray]:
    """The axes, and where on them each policy lies (frames, 2)."""
    if policies.shape[-1] > 2:
        ax = simplex_axes(policies.shape[-1], names) if ax is None else ax
        return ax, on_paper(ax, policies)
    ax = axes(ax)
    name = "response 0" if names is None else names[0]
    ax.set(xlabel="round", ylabel=f"probability of {name}", ylim=(-0.03, 1.03))
    return ax, np.stack([np.asarray(run.rounds, dtype=float), policies[:, 0]], axis=-1)


def _line(ax: Axes, points: np.ndarray, **style: Any) -> Line2D:
    """A line through points on paper; axes without a frame of their own make room for it."""
    line = Line2D(*points.T, **{"color": colour(0), "zorder": 6, **style})
    ax.add_line(line)
    if not is_ternary(ax):
        ax.autoscale_view()
    return line
