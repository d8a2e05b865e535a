"""Claims about long runs of iterated rounds: RUN-*.

rps(a) is rock-paper-scissors with win rates 1/2 +- a; beta_c is the critical beta of MRS-5.
"""

from prefdyn.claims._claim import Claim

OURS = "ours, on the rounds of arXiv 2602.12180"

CLAIMS = (
    Claim(
        "RUN-1",
        "Lyapunov exponents of the young cycle",
        "MRS-IPO on rps(a), uniform reference and offline sampler, eps = beta_c/beta - 1 > 0 "
        "small: on the cycle the largest exponent is 0 and the other -2 (1 - alpha^2) eps per "
        "round, minus twice the rate at which the unstable fixed point is left. The mean of the "
        "two exponents is at least ln alpha on every run (the Jacobian's determinant is alpha^2 "
        "+ (lam s/beta)^2), and tends to it as the drive grows and policies sit near vertices.",
        OURS,
        "derived",
    ),
    Claim(
        "RUN-2",
        "locking to period 3 begins with a fold of cycles",
        "MRS-IPO on rps(a), lam = 1, uniform reference and offline sampler: the period-3 "
        "best-response cycle is born in a fold, where the round followed by relabelling the "
        "responses has a fixed point with multiplier 1: at beta_c/beta = 1.7912 for alpha = 0, "
        "2.3552 for .1 and 3.1845 for .2. From there on the rotation number is locked to 1/3.",
        OURS,
        "derived",
    ),
    Claim(
        "RUN-3",
        "exact rounds can be chaotic",
        "MRS-IPO on rps(a), lam = 1, uniform reference and offline sampler, alpha = 1/2: at "
        "beta_c/beta = 8.2, 8.45 and 8.7 the largest Lyapunov exponent is .28 to .34 nats per "
        "round and the 0-1 test gives 1. Chaos fills windows of beta between locked ones (1/5, "
        "2/9, 1/6): more drive is not always more chaotic, and at 9 to 12 rounds are locked to "
        "1/6.",
        OURS,
        "derived",
    ),
    Claim(
        "RUN-4",
        "a stable fixed point may attract next to nothing",
        "The bistable games of NS-5 from starts uniform on the simplex: in (a) at 1.05 beta_c, "
        "spectral radius .968, the fixed point attracts 1.7 % of them, in (b) at .95 beta_c "
        "none of 1024; all others end on the cycle.",
        OURS,
        "derived",
    ),
)
