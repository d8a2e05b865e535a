"""Claims about iterated rounds: MRS-*, RND-*, and the bistable examples of NS-*."""

from prefdyn.claims._claim import Claim

CLAIMS: tuple[Claim, ...] = ()
