"""The claims as jobs for the report's pool; `analysis` checks, stores and judges them."""

from functools import cache
from typing import Any

from analysis import run
from analysis._cache import cached, source_key
from prefdyn import claims


def ids() -> list[str]:
    """Every claim, in reading order."""
    return [claim.id for claim in claims.all()]


def check(id: str, seed: int) -> dict[str, Any]:
    """Result of one claim, stored by the harness as soon as it is there."""
    return dict(run([id], seed=seed)[0])


def stored(id: str, seed: int) -> dict[str, Any] | None:
    """The result of a claim that was checked with exactly these sources, else None."""
    return cached(f"claims/{id}", _key(seed), lambda: None, keep=lambda value: False)


@cache
def _key(seed: int) -> str:
    return source_key(("prefdyn", "analysis"), seed, 1.0)
