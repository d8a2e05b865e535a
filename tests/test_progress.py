"""Progress: after two seconds, on a terminal only, one bar at a time, and it changes nothing."""

import io
import re
import time
from contextlib import contextmanager, redirect_stderr

import pytest

from prefdyn import _progress
from prefdyn._progress import track, working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Run something with a terminal as standard error, and no patience; give what it shows."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    monkeypatch.setattr(_progress, "SELDOM", 0.0)

    @contextmanager
    def shown():
        screen = Terminal()
        with redirect_stderr(screen):
            yield screen

    return shown


def shown(screen: io.StringIO) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())


def slowly(items):
    for item in items:
        time.sleep(0.02)
        yield item


def test_a_bar_says_how_many_are_done_and_how_long_the_rest_takes(terminal):
    with terminal() as screen:
        assert list(track(slowly(range(30)), "rounds", total=34, done=4)) == list(range(30))
    assert re.search(r"rounds .*\d+ of 34, 0 s left", shown(screen))
    assert not _progress._shown


def test_without_a_terminal_nothing_is_shown_and_nothing_loaded(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_Bar", None)
    items = [1, 2]
    assert track(items, "rounds") is items
    with working("thinking") as bar:
        bar.update(1, 2)
    assert capsys.readouterr() == ("", "")


def test_what_is_over_sooner_shows_nothing(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "PATIENCE", 60.0)
    with terminal() as screen:
        assert list(track([1, 2, 3], "rounds")) == [1, 2, 3]
    assert screen.getvalue() == ""


def test_there_is_one_bar_at_a_time(terminal):
    items = [1]
    with terminal():
        assert track(items, "never", progress=False) is items
        with working("counting", total=3):
            assert track(items, "inside a bar") is items
            with working("inside a bar") as inner:
                inner.update(1)


def test_what_only_says_that_it_works_lends_its_bar(terminal):
    with terminal() as screen:
        with working("outside"):
            list(track(slowly(range(20)), "inside", total=20))
            time.sleep(0.3)
            assert _progress._shown[0].total is None
        assert not _progress._shown
    assert re.search(r"inside .*of 20.*outside", shown(screen), re.S)


def test_a_function_can_say_that_it_works(terminal):
    @working("thinking")
    def answer(question: str) -> int:
        """The answer."""
        time.sleep(0.2)
        return len(question)

    with terminal() as screen:
        assert answer("what") == 4
    assert answer.__doc__ == "The answer."
    assert "thinking" in shown(screen)


def test_an_error_takes_the_bar_down(terminal):
    with terminal(), pytest.raises(ZeroDivisionError), working("dividing"):
        raise ZeroDivisionError
    assert not _progress._shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (3600 * 5 + 61, "5 h 01 min")],
)
def test_times_are_words(seconds, words):
    assert _progress._time(seconds) == words
