"""Claims about what a training log can tell: DIAG-*."""

from prefdyn.claims._claim import Claim

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "DIAG-1",
        "multipliers of measured rounds, under noise of both kinds",
        "Let x_(t+1) = A x_t + w_t be read as x_t + v_t, w and v independent of the past, and let "
        "F_t = (x_t, ..., x_(t+m-1)), P_t = (x_(t-1), ..., x_(t-m)). Then E F_(t+1) P_t^T and "
        "E F_t P_t^T contain neither noise, so that the eigenvalues of U^T E[F_(t+1) P_t^T] V "
        "S^(-1), U S V^T = E F_t P_t^T, are those of A. For 40 rounds of MRS-IPO on rps(.4) near "
        "the fixed point, kicked off by .3, with 400 votes per pair and round, or readings with an "
        "error of .1, or both, 95 % intervals from refits of simulated residuals, at the rank of "
        "the rule, hold its growth and angle in 95 to 98 % of 200 cases each.",
        "ours, after arXiv 1705.04908",
        "derived",
    ),
    Claim(
        "DIAG-2",
        "how often a log is accused, and how often rightly",
        "Thresholds of one in a thousand, with errors that allow for the correlation of "
        "neighbouring readings: of 600 logs of eight series of noise, 12 to 200 readings, "
        "correlated by up to .4, four met an alarm or a warning, all with such neighbours; of "
        "simulated DPO runs on pairs of lowest CHES, whose chosen responses rise, none of 240 was "
        "accused, and of those on pairs of highest CHES, whose chosen responses fall by 1 to 10 "
        "nats, 239 of 240 met an alarm of displacement, from evaluations and from batches of four "
        "pairs.",
        "ours, toy of arXiv 2410.08847",
        "derived",
    ),
)
