"""Which distributions the package asks for, and which of them are there."""

import re
from dataclasses import dataclass
from importlib import metadata

EXTRAS = ("data", "sweep", "llm", "report", "testing", "notebooks", "docs", "peers", "dev")
"""Sets of optional distributions; what belongs to several is asked for by the first."""
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?\s*(?:>=(?P<floor>[\d.]+))?[^;]*(?:;(?P<marker>.*))?"
)


@dataclass(frozen=True)
class Requirement:
    """A distribution that prefdyn's metadata name: from which version on, and for which extra."""

    name: str
    floor: str | None
    extra: str | None
    linux_only: bool

    @property
    def module(self) -> str:
        """What it is imported as."""
        return self.name.replace("-", "_")

    @property
    def version(self) -> str | None:
        """The version that is installed; None for none."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    @property
    def too_old(self) -> bool:
        """Whether it is there, but below the floor."""
        return bool(self.floor and self.version) and _numbers(self.version) < _numbers(self.floor)


def requirements() -> tuple[Requirement, ...]:
    """What the metadata of the installed package ask for; empty where there are none."""
    try:
        texts = metadata.requires("prefdyn") or []
    except metadata.PackageNotFoundError:
        return ()
    return tuple(_read(text) for text in texts)


def how_to_install(module: str) -> str:
    """The command that brings a module, by the extra that it belongs to."""
    known = [one for one in requirements() if one.module == module]
    extras = {one.extra for one in known}
    if not known:
        return f"pip install {module}"
    if None in extras:
        return "pip install --upgrade prefdyn"
    first = next(extra for extra in EXTRAS if extra in extras)
    return f"pip install 'prefdyn[{first}]'"


def _read(text: str) -> Requirement:
    found = _REQUIREMENT.match(text)
    assert found is not None, text
    marker = found["marker"] or ""
    extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
    return Requirement(
        found["name"].lower(),
        found["floor"],
        extra and extra[1],
        "Linux" in marker,
    )


def _numbers(version: str | None) -> tuple[int, ...]:
    """The numbers that a version begins with, to compare by."""
    found = [int(n) for n in re.findall(r"\d+", (version or "").partition("+")[0])[:3]]
    return (*found, *[0] * (3 - len(found)))
