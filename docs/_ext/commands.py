"""The commands, their examples and options, read off the dataclasses that the parser reads."""

import inspect
import re

from _ext.files import escaped, write
from prefdyn.cli._commands import COMMANDS, command
from prefdyn.cli._options import options


def write_pages() -> None:
    """The part of the page on the command line that is made from the package."""
    write("commands.md", "\n".join(map(section, COMMANDS)))


def section(name: str) -> str:
    """What a command does, its examples, and a table of its options."""
    about = inspect.getdoc(command(name)) or ""
    summary = " ".join(about.partition("\n\n")[0].split())
    examples = re.findall(r"^  (prefdyn .*)$", about, re.M)
    rows = [
        "| {} | {} | {} |".format(
            f"`{option.flag} {option.metavar}`".replace("|", r"\|").replace(" `", "`")
            if option.flag.startswith("--")
            else f"`{option.flag}`",
            escaped(option.about),
            "needed" if option.required else f"`{option.default}`" if option.default else "",
        )
        for option in options(command(name))
    ]
    parts = [f"## prefdyn {name}", "", escaped(summary), "", "```console"]
    parts += [f"$ {example}" for example in examples]
    parts += ["```", "", "| option | what it is | default |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)
