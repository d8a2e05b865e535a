"""The topics that claims and figures are sorted by, and the pages of the claims."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from _ext.files import escaped
from figures._report import greek
from prefdyn import claims

TOPICS = {  # modules of prefdyn.claims
    "rounds": ("Rounds that settle, circle or collapse", ("rounds", "bifurcations", "long_run")),
    "samplers": ("One round, and who is sampled", ("ipo", "dpo", "adaptive_sampling")),
    "rules": ("Rules, cures and surveys", ("game_solvers", "cures", "laboratory")),
    "pairs": (
        "Why the chosen answer falls",
        ("displacement", "squeezing", "entanglement", "kernel"),
    ),
    "losses": ("Losses made to be stable", ("spo", "slime")),
    "logs": ("Training logs and pipelines", ("diagnosis", "pipelines")),
    "more": ("More", ()),  # what no other topic names
}


@cache
def modules() -> dict[str, ModuleType]:
    """The modules of claims by name, in reading order; each has a page."""
    found = {part.__name__.rpartition("._")[2]: part for part in claims._READING_ORDER}
    return {name: part for name, part in found.items() if part.CLAIMS}


@cache
def page_of(id: str) -> str:
    """Name of the page that a claim is on."""
    for name, module in modules().items():
        if any(claim.id == id for claim in module.CLAIMS):
            return name
    raise KeyError(id)


def topic_of(page: str) -> str:
    """Key of a page's topic."""
    return next((key for key, (_, pages) in TOPICS.items() if page in pages), "more")


def main_topic(ids: Iterable[str]) -> str:
    """Key of the topic that most of these claims belong to; the first of several."""
    return Counter(topic_of(page_of(id)) for id in ids).most_common(1)[0][0]


def heading(page: str) -> str:
    """What a page is about, and its families: "Iterated rounds (MRS, RND, NS)"."""
    module = modules()[page]
    about = re.match(r"Claims about ([^:,]+)", module.__doc__ or "")
    subject = about[1] if about else page
    families = dict.fromkeys(claim.id.partition("-")[0] for claim in module.CLAIMS)
    return f"{subject[0].upper()}{subject[1:]} ({', '.join(families)})"


def prose(text: str) -> str:
    """Text of a docstring or a claim as Markdown: code stays code, parameters become letters."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    return "".join(part if n % 2 else escaped(greek(part)) for n, part in enumerate(parts))
