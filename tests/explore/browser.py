"""The system's Chromium, without a display, for pages that write what they find into themselves."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
)


def chromium() -> str:
    """Path of the browser; without one the test fails, since nothing else can run the page."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(
            f"no browser is installed (looked for {', '.join(NAMES)}), and the explorable page is "
            "tested in one: install Chromium, or leave these tests out with "
            "--deselect tests/explore/test_browser.py."
        )
    return found


def browse(address: str, *options: str, seconds: float = 10) -> str:
    """Show a page, let so much of its time pass, and give what the browser prints."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        own = (f"--user-data-dir={profile}", f"--virtual-time-budget={int(1000 * seconds)}")
        command = [chromium(), *OPTIONS, *own, *options, address]
        run = subprocess.run(command, capture_output=True, timeout=280, check=True)
        return run.stdout.decode("utf-8")


def answer(address: str, element: str, *options: str, seconds: float = 10) -> Any:
    """The JSON that a page writes into the <pre> of this id."""
    document = browse(address, "--dump-dom", *options, seconds=seconds)
    found = re.search(rf'<pre id="{element}">(.*?)</pre>', document, re.DOTALL)
    assert found, f"the page wrote no #{element}: {document[-2000:]}"
    return json.loads(html.unescape(found[1]))


def picture(address: str, path: Path, width: int, height: int, *options: str) -> bytes:
    """A screenshot of a page, which stays at `path`."""
    browse(address, f"--screenshot={path}", f"--window-size={width},{height}", *options, seconds=5)
    return path.read_bytes()
