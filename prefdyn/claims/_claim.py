"""What a claim consists of."""

from dataclasses import dataclass

from prefdyn._errors import InputError

ORIGINS = ("paper", "reconstructed", "derived")
"""Who says so: the paper itself; we, about a claim of the paper's whose exact form is not public to
us; or we alone."""


@dataclass(frozen=True)
class Claim:
    """One statement about the dynamics of preference optimisation.

    Parameters
    ----------
    id
        Family and number, e.g. ``"IPO-1"``.
    title
        A few words.
    statement
        The statement with its assumptions, in the package's convention for beta.
    source
        Where it comes from: arXiv ids.
    origin
        One of `ORIGINS`, or several by part: ``"paper: formula; derived: rate"``.

    Raises
    ------
    InputError
        If the origin names none of `ORIGINS`.
    """

    id: str
    title: str
    statement: str
    source: str
    origin: str

    def __post_init__(self):
        for origin in self.origins:
            if origin not in ORIGINS:
                raise InputError(
                    f"{self.id} has origin {origin!r}: it must be one of {', '.join(ORIGINS)}."
                )

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins named, without the parts they belong to."""
        return tuple(part.partition(":")[0].strip() for part in self.origin.split(";"))
