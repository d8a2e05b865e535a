"""Pictures that pages draw themselves: their code is run as a reader would run it."""

import contextlib
import io
import re

import matplotlib
from matplotlib import pyplot

from _ext.files import DOCS, GENERATED
from prefdyn.plots.house import style


def draw() -> None:
    """Run the code of pages that save pictures, in the folder where they look for them."""
    folder = GENERATED / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.use("agg")
    for page in sorted([*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md")]):
        if ".savefig(" in (text := page.read_text("utf-8")):
            blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
            printed = contextlib.redirect_stdout(io.StringIO())
            with contextlib.chdir(folder), style(), printed:
                exec(compile("\n".join(blocks), str(page), "exec"), {"__name__": "page"})
            pyplot.close("all")
