"""Claims SQZ-*."""

from prefdyn.claims._claim import Claim

CLAIMS: tuple[Claim, ...] = ()
