"""Claims about training pipelines as their settings describe them: PIPE-*.

A reference that follows the policy moves by ``ref <- a theta + (1 - a) ref`` in logits, once per
period; in a period training goes a fraction kappa of the way to the optimum against the reference
as it is, and c = kappa + a - a kappa.
"""

from prefdyn.claims._claim import Claim

FOLLOWING = "arXiv 2404.09656 (the algorithm), arXiv 2602.12180 (the rounds)"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "PIPE-1",
        "a reference that follows the policy has no anchor: fixed data drift",
        "With a fixed sampler the optimum of IPO and DPO is log ref + g for every reference, with "
        "the same g. Policy and reference then drift together, by a kappa g/c per period in the "
        "long run, without a fixed point and without oscillation. After n periods the policy is "
        "log ref_0 + M g, the one-round optimum at beta/M, with M = a sum_(k<n) d_k + d_n, "
        "d_k = kappa (1 - (1 - c)^k)/c; for kappa = 1, M = 1 + a (n - 1). The share a of a moving "
        "reference is therefore not the alpha of mixed references, which keep the first one.",
        FOLLOWING,
        "derived",
    ),
    Claim(
        "PIPE-2",
        "the lag of a following reference damps weak cycles if rounds go far enough",
        "Let x be a multiplier of the exact round against a fixed reference, pairs drawn from the "
        "policy. Policy and reference together have the multipliers that solve z^2 - (2 - c + "
        "kappa x) z + (1 - a)(1 - kappa + kappa x) = 0. The slow one is 1 + (a kappa/c) x + "
        "(a (1 - a) kappa^3/c^3) x^2 + O(x^3): to first order rounds with alpha = 1 at "
        "beta c/(a kappa). For imaginary x, as of IPO, weak cycles settle iff a < 2/3 and "
        "kappa > a^2/((1 - a)(2 - a)): .643 at a = .6. Under-training destabilises here, while it "
        "stabilises rounds with an anchor (RND-2).",
        FOLLOWING,
        "derived",
    ),
    Claim(
        "PIPE-3",
        "a fraction of a round that settles on every game",
        "MRS-IPO with alpha < 1 whose rounds go a fraction kappa of the way is locally stable on "
        "every game, reference, offline sampler and number of responses if kappa < 2 (1 - alpha)/"
        "((1 - alpha)^2 + (lam/(pi beta))^2) (LAB-1 with RND-2; no larger fraction will do), and "
        "converges from every start if kappa <= (1 - alpha)/((1 - alpha)^2 + (lam/(2 beta))^2) "
        "(MRS-9 with RND-1).",
        FOLLOWING,
        "derived",
    ),
)
