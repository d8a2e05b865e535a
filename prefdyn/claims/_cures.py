"""Claims about cures for oscillation: CURE-*.

A round is ``F(theta) = a theta + H(theta)`` with a the share of the logits that it carries over
(alpha for MRS rules); its multipliers are x = a + g, for MRS-IPO alpha +- i y with y = lam s/beta
(MRS-4).  q = y/(1 - alpha) = lam s/((1 - alpha) beta) does not depend on the fraction of a round.
"""

from prefdyn.claims._claim import Claim

SAMPLING = "arXiv 2602.12180"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "CURE-1",
        "the best fraction of a round, and one that is proved",
        "Of all fractions kappa of a round the one with the smallest spectral radius minimises "
        "max_k |1 + kappa (x_k - 1)|; for MRS-IPO it is kappa = (1 - alpha)/((1 - alpha)^2 + y^2) "
        "with y the fastest turning, where that is below 1, and the radius is q/sqrt(1 + q^2). "
        "Any kappa up to (1 - alpha)/((1 - alpha)^2 + (lam max|A_ij|/beta)^2) "
        "satisfies MRS-9, and KL(pi*, pi_t) falls by the factor 1 - kappa (1 - alpha) per "
        "round from every start. The price is speed: 1 - 1/(2 q^2) per round where q is large.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "CURE-2",
        "optimism helps rounds that keep most of the policy, and harms others",
        "theta' = a theta + (1 + m) H(theta_t) - m H(theta_(t-1)) turns every x = a + g into the "
        "roots of z^2 - (a + (1 + m) g) z + m g = 0; the fixed point stays, one evaluation per "
        "round. For m = 1 and g = i y it is stable iff 6 y^2 < sqrt(b^2 + 12 (1 - alpha^2)) - b, "
        "b = 6 - 8 alpha + alpha^2: y < .393 at alpha = 0 (plain: 1) and y < 1/sqrt 3 at alpha = 1 "
        "(plain: 0). The stable region grows iff alpha > 2 sqrt 2 - 2 = .828; light optimism, "
        "m -> 0, helps iff alpha > 1/2. Where nothing turns and all of the displacement is "
        "extrapolated (a = 1), x must lie in (1/3, 1) in place of (-1, 1).",
        f"{SAMPLING}, arXiv 1311.1869",
        "paper: optimism; derived: multipliers and regions",
    ),
    Claim(
        "CURE-3",
        "extragradient never shrinks the stable region of turning, at twice the price",
        "theta' = a theta + H(F(theta)) turns every x = a + g into a + g x; the fixed point stays, "
        "two evaluations per round; where F is not one to one, further fixed points may appear "
        "elsewhere. For g = i y it is stable iff 2 y^2 < b + sqrt(b^2 + "
        "4 (1 - alpha^2)), b = 2 alpha - alpha^2: never less than the plain y^2 < 1 - alpha^2, "
        "equal at alpha = 0 only, and y < 1 at alpha = 1. Where nothing turns it gains nothing on "
        "MRS rules (x = alpha stays alpha), and where all of the displacement is taken at the half "
        "step (a = 1), x must lie in (0, 1) in place of (-1, 1).",
        f"{SAMPLING}, arXiv 2503.08942",
        "paper: extragradient; derived: multipliers and regions",
    ),
    Claim(
        "CURE-4",
        "sampling from a running average",
        "theta' = a theta + H(average) with an exponential average of rate r = 1 - c turns every "
        "x = a + g into the roots of (z - a)(z - c) = r g z, whether probabilities or logits are "
        "averaged; over a window of w policies, z^(w-1) (z - a) = (g/w)(z^(w-1) + ... + 1). The "
        "fixed point stays, one evaluation per round. For g = i y it is stable iff "
        "y^2 < (1 - alpha^2) (1 + c)/(1 - c) ((1 - alpha c)/(1 + alpha c))^2: at alpha = 0 that of "
        "smaller rounds with kappa = r, light averaging helps iff alpha < 1/2 and harms above, a "
        "slow enough average always helps. It adds a multiplier near c that slows what did not "
        "turn. If the reference follows the average as well, it is exactly rounds of fraction r. "
        "Reporting the average of an unstable orbit leaves its last iterate where it was.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "CURE-5",
        "a beta that follows the orbit",
        "Rounds of beta_t = beta/kappa_t, alpha_t = 1 - kappa_t (1 - alpha) keep "
        "(1 - alpha_t) beta_t and so the fixed point, whatever kappa_t. With kappa_t the fraction "
        "that would have made the last displacement smallest, in the variance under the policy, a "
        "displacement of MRS-IPO near the fixed point that turns by y shrinks to "
        "y/sqrt((1 - alpha)^2 + y^2) of its size. Orbits of AdaptiveBeta on MRS-IPO converge at "
        "the rate q/sqrt(1 + q^2) of the best fixed fraction, without knowing s; no multiplier "
        "exists at the fixed point itself, where displacements have no direction. It is as slow "
        "as smaller rounds, and on MRS-DPO the rate is an observation.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "CURE-6",
        "small optimistic rounds need q rounds where smaller rounds need q squared",
        "Optimism (m = 1) of rounds of fraction kappa = 1/(2 y): as q grows the radius of a "
        "turning pair tends to 1/sqrt 2 per round, and extragradient of kappa = 1/(sqrt 2 y) to "
        "sqrt(3)/2 per round of two evaluations, where smaller rounds tend to 1 - 1/(2 q^2). "
        "Directions that do not turn, of which an even number of responses has one, shrink by "
        "1 - kappa (1 - alpha) only: to 1 - 1/(2 q) under optimism. Per evaluation, each at its "
        "best fraction and alpha = 0, a turning pair settles fastest under extragradient for "
        "q = 1/2 and 1, under optimism for q = 2, 5 and 20.",
        SAMPLING,
        "derived",
    ),
)
