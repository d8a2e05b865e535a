"""``prefdyn explore``: the explorable page, as a file or in the browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from prefdyn._errors import InputError


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Write the explorable page: three answers, one recipe, and where it goes.

    One HTML file that works offline, on a phone too; share what it shows by its address.

    For example, with --open to see it at once:
      prefdyn explore
      prefdyn explore --out "my talk.html"
    """

    out: Annotated[Path, arg(metavar="FILE", help_behavior_hint="(default: explore.html)")] = Path(
        "explore.html"
    )
    """File to write, ending in .html; a page written before is replaced, nothing else."""
    open: Annotated[bool, arg(help_behavior_hint="")] = False
    """Show it in the browser."""
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines."""

    def answer(self) -> dict[str, Any]:
        """Write the page, and show it if asked."""
        import webbrowser

        from prefdyn import explore
        from prefdyn._files import write_atomically
        from prefdyn.cli._recipe import named_by_suffix

        named_by_suffix(self.out, (".html",), "page")
        _refuse_to_replace(self.out)
        page = explore.page()
        write_atomically(self.out, lambda path: path.write_text(page, encoding="utf-8"))
        shown = self.open and webbrowser.open(self.out.resolve().as_uri())
        return {"file": str(self.out), "bytes": len(page.encode()), "shown": shown}

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """Where it is."""
        yield f"Written: {answer['file']}"
        if self.open and not answer["shown"]:
            yield "No browser could be started: open the file in one."
        elif not self.open:
            yield "Open it in a browser; it needs no network."


def _refuse_to_replace(path: Path) -> None:
    """Refuse to overwrite what is no page of ours."""
    from prefdyn.explore import MARK

    if path.is_file() and MARK.encode() not in path.read_bytes():
        raise InputError(
            f"{path} exists and is no page of prefdyn explore: give another name with --out."
        )
