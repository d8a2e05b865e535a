"""``prefdyn claims``: what the answers rest on."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

CHECK = "The checks are in the repository, not in the wheel; in a checkout run: python -m analysis"


@dataclass(frozen=True)
class Claims:
    """List the numbered claims behind the answers, or show one in full.

    For example:
      prefdyn claims
      prefdyn claims MRS-5
    """

    id: Annotated[Positional[str | None], arg(metavar="[ID]", help_behavior_hint="")] = None
    """Claim to show in full; all of them in short by default."""
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON for machines; always in full."""

    def answer(self) -> dict[str, Any]:
        """The claims asked for."""
        from prefdyn import claims

        chosen = claims.all() if self.id is None else (claims.get(self.id),)
        return {"claims": [asdict(claim) for claim in chosen]}

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """One claim in full, or a table."""
        from prefdyn.cli._output import facts, table

        if self.id is None:
            yield table(
                "id",
                "statement, in short",
                "source",
                "origin",
                rows=(
                    (claim["id"], claim["title"], claim["source"], _origins(claim["origin"]))
                    for claim in answer["claims"]
                ),
            )
            yield f"In full: prefdyn claims ID.  {CHECK} [ID]."
            return
        (claim,) = answer["claims"]
        yield f"{claim['id']}: {claim['title']}\n"
        yield f"{claim['statement']}\n"
        yield facts(source=claim["source"], origin=claim["origin"])
        yield f"\n{CHECK} {claim['id']}"


def _origins(origin: str) -> str:
    """The origins without the parts they belong to."""
    return ", ".join(part.partition(":")[0].strip() for part in origin.split(";"))
