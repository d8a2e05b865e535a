"""The explorable page as a file: whole, self-contained, and put where it was asked for."""

import json
import re
import webbrowser

import pytest

from prefdyn import explore
from prefdyn.cli import main


@pytest.fixture(scope="module")
def page() -> str:
    return explore.page()


def test_page_asks_the_network_for_nothing(page):
    known = {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w[^\s\"')]*", page)) == known
    assert not re.search(r"<(script|img|iframe|link)[^>]*\b(src|href)=\"(?!data:)", page)
    assert not re.search(r"@import|url\((?!#)|\bfetch\(|XMLHttpRequest|sendBeacon", page)


def test_every_source_is_in_the_page(page):
    scripts = {path.name for path in explore.SOURCES.glob("*.js")}
    assert scripts == set(explore.SCRIPTS)
    for name in explore.SCRIPTS:
        heading = (explore.SOURCES / name).read_text(encoding="utf-8").splitlines()[1]
        assert heading in page, name
    assert (explore.SOURCES / "style.css").read_text(encoding="utf-8").strip() in page
    assert not re.search(r"\{\{\w+\}\}", page)
    assert not re.search(r"^(import|export)\b", page, re.MULTILINE)
    assert page.count("</script>") == 2


def test_page_is_text_that_utf_8_can_hold(page):
    assert page.encode("utf-8").decode("utf-8") == page
    assert '<meta charset="utf-8">' in page[:200]


def test_presets_are_the_games_of_the_package(page):
    written = re.search(r'id="presets">(.*?)</script>', page, re.DOTALL)
    assert written is not None
    presets = json.loads(written[1])
    assert presets == explore.presets()
    assert presets[0]["wins"] == [0.9, 0.9, 0.9]
    assert presets[-1]["names"] == ["Arab", "Gordon", "Worlobah"]
    assert all(0 <= rate <= 1 for preset in presets for rate in preset["wins"])


def test_command_writes_the_page(tmp_path, capsys, page):
    out = tmp_path / "my page.html"
    assert main(["explore", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == str(out)
    assert said["bytes"] == len(page.encode())
    assert said["shown"] is False
    assert out.read_text(encoding="utf-8") == page


def test_command_replaces_only_its_own_page(tmp_path, capsys):
    out = tmp_path / "explore.html"
    assert main(["explore", "--out", str(out)]) == main(["explore", "--out", str(out)]) == 0
    other = tmp_path / "thesis.html"
    other.write_text("<p>years of work</p>")
    capsys.readouterr()
    assert main(["explore", "--out", str(other)]) == 2
    assert "thesis.html exists and is no page of prefdyn explore" in capsys.readouterr().err
    assert other.read_text() == "<p>years of work</p>"


def test_command_opens_the_browser(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    out = tmp_path / "explore.html"
    assert main(["explore", "--out", str(out), "--open", "--json"]) == 0
    assert opened == [out.as_uri()]
    assert json.loads(capsys.readouterr().out)["shown"] is True


def test_command_says_when_there_is_no_browser(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert main(["explore", "--out", str(tmp_path / "explore.html"), "--open"]) == 0
    assert "No browser could be started" in capsys.readouterr().out


def test_command_writes_web_pages_only(tmp_path, capsys):
    assert main(["explore", "--out", str(tmp_path / "explore.txt")]) == 2
    assert "let its name end in .html" in capsys.readouterr().err
