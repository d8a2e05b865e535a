"""A Sphinx extension: wherever running text names a claim, the name is a link to it."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from _ext.claims_pages import anchor
from prefdyn import claims

IDS = {claim.id for claim in claims.all()}
FAMILIES = "|".join(dict.fromkeys(id.partition("-")[0] for id in IDS))
NAME = re.compile(rf"\b((?:{FAMILIES})-\d+)\b")
SELF_CONTAINED = (
    nodes.FixedTextElement,
    nodes.literal,
    nodes.raw,
    nodes.reference,
    nodes.title,
    addnodes.pending_xref,
)
"""Code, headings, and what is a link already."""


class ClaimLinks(SphinxTransform):
    """Turns names of claims into references."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if any(id in IDS for id in NAME.findall(text)) and not inside_link_or_code(text):
                text.parent.replace(text, linked(text))


def inside_link_or_code(node: nodes.Node) -> bool:
    while (node := node.parent) is not None:
        if isinstance(node, SELF_CONTAINED):
            return True
    return False


def linked(text: str) -> list[nodes.Node]:
    """The text in pieces, its claims as references."""
    pieces: list[nodes.Node] = []
    for n, part in enumerate(NAME.split(text)):
        if n % 2 and part in IDS:
            options = {"refdomain": "std", "reftype": "ref", "refexplicit": True}
            reference = addnodes.pending_xref(part, reftarget=anchor(part), **options)
            reference += nodes.inline(part, part)
            pieces.append(reference)
        elif part:
            pieces.append(nodes.Text(part))
    return pieces


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(ClaimLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
