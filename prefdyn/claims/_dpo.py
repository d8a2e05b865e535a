"""Claims about DPO, one-shot and iterated: DPO-*.

r(mu) are the Bradley-Terry scores fitted to pairs drawn from mu, ``u = log(pi/ref)``,
``A = P - 1/2``, and beta the pull to the reference.
"""

from prefdyn.claims._claim import Claim

SAMPLING = "arXiv 2602.12180"
DPO = "arXiv 2305.18290"

CLAIMS = (
    Claim(
        "DPO-1",
        "the DPO optimum is implicit",
        "Minimising -sum_ij mu_i mu_j P_ij log sigmoid(beta (u_i - u_j)) gives "
        "pi* = softmax(log ref + r/beta), where sum_j mu_j sigmoid(r_i - r_j) = (P mu)_i for all "
        "i. It needs mu of full support and a strongly connected win graph (P inside (0, 1) is "
        "enough); otherwise r diverges.",
        f"{DPO}, {SAMPLING}",
        "paper: no closed form; reconstructed: equations",
    ),
    Claim(
        "DPO-2",
        "DPO forgets its sampler exactly when preferences are Bradley-Terry",
        "r(mu) is the same for every mu of full support if and only if P_ij = sigmoid(s_i - s_j); "
        "then r = s up to a constant. Otherwise the sampling bias survives infinite data.",
        SAMPLING,
        "paper",
    ),
    Claim(
        "DPO-3",
        "DPO and IPO rank alike",
        "r_i is an increasing function of the win rate (P mu)_i, so for the same mu and a uniform "
        "reference the DPO and IPO optima rank the responses alike; IPO-3 to IPO-6 carry over.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "DPO-4",
        "DPO's gaps are at least four times IPO's",
        "|r_i - r_j| >= 4 |(P mu)_i - (P mu)_j| for the same mu and beta, because sigmoid' <= 1/4, "
        "with equality as P tends to 1/2; collapse is at least four times faster.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "DPO-5",
        "what a small change of the sampler does to DPO",
        "sum_j mu_j sigmoid'(r_i - r_j)(dr_i - dr_j) = ((P - sigmoid(r_i - r_j)) dmu)_i: only a "
        "weighted sum of the changes of the gaps is determined directly, which is weaker than "
        "IPO-7.",
        SAMPLING,
        "paper: weighted directional statement; reconstructed: identity",
    ),
    Claim(
        "DPO-6",
        "the Jacobian of iterated DPO",
        "MRS-DPO is theta' = alpha theta + (1 - alpha) log ref + r(mu)/beta, mu = lam pi + "
        "(1 - lam) mu0. Its Jacobian is alpha I + (lam/beta) M^+ B J(pi), with the skew matrix "
        "B = P - sigmoid(r_i - r_j), M = diag(W 1) - W, W_ij = mu_j sigmoid'(r_i - r_j), and M^+ "
        "the inverse on centred vectors.",
        SAMPLING,
        "reconstructed",
    ),
    Claim(
        "DPO-7",
        "the spectrum of iterated DPO",
        "At lam = 1 the multipliers at the fixed point are alpha +- i x/beta with real x, so that "
        "stability is lost by rotation only, at onset once in 2 pi/arccos(alpha) rounds. For "
        "lam < 1 the real parts leave alpha and flips or folds are not excluded.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "DPO-8",
        "rock-paper-scissors threshold of iterated DPO",
        "For A = a (cyclic +1, -1) and uniform ref and mu0 the fixed point is unstable iff "
        "alpha^2 + 16 a^2 lam^2/(3 beta^2) > 1, a threshold four times IPO's (MRS-5); with inexact "
        "rounds beta_c = (4 lam a/sqrt 3)/sqrt((1 - alpha)(2/kappa - 1 + alpha)).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "DPO-9",
        "in probability space the rejected side dominates",
        "With x1 = pi_w/ref_w, x2 = pi_l/ref_l and L = -log(x1^beta/(x1^beta + x2^beta)), "
        "|dL/dx2| / |dL/dx1| = x1/x2, which grows as the pair separates. These are not parameter "
        "gradients: in tabular logits the gradient of a pair is symmetric.",
        "arXiv 2404.04626, arXiv 2406.07327",
        "paper",
    ),
    Claim(
        "DPO-10",
        "one differing token pushes later correct tokens down",
        "For two completions that differ in one token, positions before it cancel; at a later "
        "position whose token logits theta are shared by both contexts, "
        "d[log pi_w - log pi_l]/dtheta_j = s_j(rejected context) - s_j(chosen context), s the "
        "softmax: a token that is likelier after the chosen one has its logit pushed down.",
        "arXiv 2402.13228",
        "paper",
    ),
)
