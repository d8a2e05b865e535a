"""Claims about gradient entanglement: what the pushes of a pair do to each other, ENT-*.

``g_i`` is the gradient of ``log pi_i`` in the parameters, ``K_ij = <g_i, g_j>``; d_w and d_l are
the pushes of a loss, ``d_w = -dL/d log pi_w`` and ``d_l = dL/d log pi_l``; ``S = sum_i pi_i^2``.
"""

from prefdyn.claims._claim import Claim

YUAN = "arXiv 2410.13828"

CLAIMS = (
    Claim(
        "ENT-1",
        "when chosen rises and rejected falls",
        "To first order in the step, for positive pushes, log pi_w does not fall iff <g_w, g_l> "
        "<= (d_w/d_l) |g_w|^2, and log pi_l does not rise iff <g_w, g_l> <= (d_l/d_w) |g_l|^2. At "
        "most one of the two fails: both down, both up, or the ideal case, but never chosen down "
        "and rejected up. With equal pushes d (DPO) the weights cancel, both fall iff |g_w|^2 < "
        "<g_w, g_l>, both rise iff |g_l|^2 < <g_w, g_l>, and the margin always rises, by "
        "eta d |g_w - g_l|^2; with unequal pushes it can fall. Writing |g_w|^2 in both conditions "
        "is wrong.",
        YUAN,
        "paper: equal weights; derived: general weights",
    ),
    Claim(
        "ENT-2",
        "normalised gradients disentangle",
        "A step along g_w/|g_w| - g_l/|g_l| changes log pi_w by |g_w| (1 - c) >= 0 and log pi_l by "
        "-|g_l| (1 - c) <= 0 times its length, c the cosine of g_w and g_l: always the ideal case.",
        YUAN,
        "paper: idea; derived: formula",
    ),
    Claim(
        "ENT-3",
        "in a table it takes pushes more than a factor of two apart",
        "For tabular logits K_ww = 1 - 2 pi_w + S and K_wl = S - pi_w - pi_l, so that log pi_w "
        "changes by eta [d_w (1 - 2 pi_w + S) + d_l (pi_w + pi_l - S)]. The chosen response can "
        "fall only if d_l > 2 d_w, because 1 + S - 2 pi_w - 2 (S - pi_w - pi_l) = 1 - S + 2 pi_l "
        ">= 0, and only if S > pi_w + pi_l, which takes a third response that dominates. With the "
        "roles exchanged, the rejected one needs d_w > 2 d_l to rise. The factor 2 is sharp.",
        YUAN,
        "derived",
    ),
    Claim(
        "ENT-4",
        "the pushes of the losses",
        "With D the log-ratio margin, s(x) = sigmoid(-x), lengths n and weights nu: DPO beta "
        "s(beta D) twice, R-DPO the same of its shifted argument, IPO 2 (1/(2 beta) - D) twice, "
        "IPO on token means k/n_w and k/n_l with k = 2 (1/(2 beta) - rho), SLiC-HF 1[active] + nu "
        "and 1[active], RRHF 1[active]/n_w + nu and 1[active]/n_l, SimPO (beta/n_w) s and "
        "(beta/n_l) s, CPO with a summed likelihood beta s + nu and beta s, DPO with a likelihood "
        "term beta s + nu/n_w and beta s, DPOP beta s (1 + nu 1[u_w < 0]) and beta s, ORPO "
        "1/n_w + nu s/(n_w (1 - p_w)) and nu s/(n_l (1 - p_l)), KTO c beta sigmoid' of each side, "
        "SPPO with hard labels and half the squares 1/(2 beta) - u_w and u_l + 1/(2 beta). DPOP "
        "at nu = 50, beta = 0.3 pushes with up to 15.3, 51 times DPO, and wants clipping.",
        f"{YUAN}; each loss's own paper, named in its docstring",
        "derived",
    ),
    Claim(
        "ENT-5",
        "a shared suffix entangles",
        "Published for language models: g_w and g_l point apart where responses differ in one "
        "token alone, and the more tokens they share after the difference, the more nearly they "
        "point the same way; DPO then moves both log-probabilities up, or both down, as the model "
        "has it. In tables of next-token logits one differing token gives the sign of S - p_w - "
        "p_l, positive where a third token dominates, and a suffix raises the cosine "
        "only where it sees shared parameters: with one row per whole prefix it brings the cosine "
        "nearer to 0.",
        YUAN,
        "paper: phenomenon; derived: tables",
    ),
    Claim(
        "ENT-6",
        "length normalisation pushes a shared prefix",
        "What chosen and rejected begin with alike is pushed by d_w - d_l per token. Losses of "
        "summed log-probabilities (DPO, IPO) leave it where it is; where token means enter (SimPO, "
        "IPO on token means) the push is a positive multiple of 1/n_w - 1/n_l while the loss asks "
        "for more margin, so that the prefix falls if the chosen response is the longer one and "
        "rises if it is the shorter.",
        YUAN,
        "derived",
    ),
)
