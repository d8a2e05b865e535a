"""How far something is: a bar with the time left, on a terminal, once two seconds have passed."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any, TypeVar

Item = TypeVar("Item")

PATIENCE = 2.0
"""Seconds before anything is shown."""
SELDOM = 0.1
"""Seconds between two updates: a loop may take a million turns."""

_shown: list["_Bar"] = []
"""The bar on the screen, if there is one: what runs inside something else shows none of its own."""


def track(
    items: Iterable[Item],
    what: str,
    *,
    total: int | None = None,
    done: int = 0,
    progress: bool | None = None,
) -> Iterable[Item]:
    """The items, with a bar that says how many are done and how long the others will take.

    Parameters
    ----------
    items
        Anything; an item counts as done when the next one is asked for.
    what
        What is being done, in a few words.
    total
        How many there are; by default their length.
    done
        How many of the total were done before.
    progress
        True for a bar at once; False for none; by default one on standard error if that is a
        terminal, after `PATIENCE` seconds.  There is one bar at a time: inside something that only
        says that it is working, this says how far it is; inside another bar, nothing.
    """
    if not _wanted(progress):
        return items
    number = len(items) if total is None and hasattr(items, "__len__") else total  # pyright: ignore
    return _tracked(items, what, number, done, progress)


@contextmanager
def working(
    what: str, *, total: int | None = None, done: int = 0, progress: bool | None = None
) -> Iterator["_Bar | _Silence"]:
    """A bar, or without a total something that moves, while a block or a function runs.

    Gives an object with ``update(done, total)``; parameters as of `track`.
    """
    if not _wanted(progress):
        yield _Silence()
    elif _shown:
        with _shown[0].lent(what, total, done) as bar:
            yield bar
    else:
        with _Bar(what, total, done, bool(progress)) as bar:
            yield bar


def _wanted(progress: bool | None) -> bool:
    if _shown:
        return progress is not False and _shown[0].total is None
    if progress is not None:
        return progress
    # A worker process has the terminal of the process that started it, which shows the bar.
    return sys.stderr.isatty() and parent_process() is None


def _tracked(
    items: Any, what: str, total: int | None, done: int, progress: bool | None
) -> Iterator[Any]:
    with working(what, total=total, done=done, progress=progress) as bar:
        due = time.monotonic() + SELDOM
        for number, item in enumerate(items, done):
            if time.monotonic() > due:
                bar.update(number)
                due = time.monotonic() + SELDOM
            yield item


class _Silence:
    """Where nothing is shown."""

    def update(self, done: int, total: int | None = None) -> None:
        """So many are done."""


class _Bar:
    """A bar that appears by itself, from a timer: what it waits for may take long to come back."""

    def __init__(self, what: str, total: int | None, done: int, at_once: bool):
        self._outer: tuple[str, float] | None = None
        self._begin(what, total, done)
        self._screen: Any = None
        self._lock = threading.Lock()
        self._over = False
        self._timer = threading.Timer(0.0 if at_once else PATIENCE, self._appear)
        self._timer.daemon = True

    def update(self, done: int, total: int | None = None) -> None:
        """So many are done."""
        self.done, self.total = done, self.total if total is None else total

    @contextmanager
    def lent(self, what: str, total: int | None, done: int) -> Iterator["_Bar"]:
        """The bar for a part of the work; what it said before is put back."""
        before = self._outer, self.what, self.total, self.done, self.before, self.begun
        self._outer = (self.what, self.begun)
        self._begin(what, total, done)
        try:
            yield self
        finally:
            self._outer, self.what, self.total, self.done, self.before, self.begun = before

    @property
    def numbers(self) -> str:
        """How many of how many, and the time left; the time passed where there is no telling."""
        passed, own = time.monotonic() - self.begun, self.done - self.before
        if not self.total:
            return f"{_time(passed)} so far"
        left = f"{_time(passed * (self.total - self.done) / own)} left" if own else "just begun"
        return f"{self.done:,} of {self.total:,}, {left}"

    def _begin(self, what: str, total: int | None, done: int) -> None:
        self.what, self.total, self.done, self.before = what, total, done, done
        self.begun = time.monotonic()

    def draw(self, task: Any) -> str:
        """Put on a task what is to be seen now, and give the numbers beside it.

        A part that is over in less than `PATIENCE` never shows: bars must not flicker.
        """
        if self._outer is not None and time.monotonic() - self.begun < PATIENCE:
            what, begun = self._outer
            task.description, task.total, task.completed = what, None, 0
            return f"{_time(time.monotonic() - begun)} so far"
        task.description, task.total, task.completed = self.what, self.total, self.done
        return self.numbers

    def _appear(self) -> None:
        with self._lock:
            if not self._over:
                self._screen = _screen(self)
                self._screen.start()

    def __enter__(self) -> "_Bar":
        _shown.append(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _shown.remove(self)
        with self._lock:
            self._over = True
            if self._screen is not None:
                self._screen.stop()


def _screen(bar: _Bar) -> Any:
    """Something that moves, what is done, a bar, and its numbers, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
    from rich.text import Text

    class Numbers(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(task.fields["numbers"])

    class Screen(Progress):
        def get_renderables(self) -> Any:
            for task in self.tasks:
                task.fields["numbers"] = bar.draw(task)
            return super().get_renderables()

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), Numbers())
    # What others print appears above the bar; what goes to standard output stays there.
    console = Console(stderr=True)
    screen = Screen(*columns, console=console, transient=True, redirect_stdout=False)
    screen.add_task(bar.what, numbers="")
    return screen


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
