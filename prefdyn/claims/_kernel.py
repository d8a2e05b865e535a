"""Claims about the kernel view: every policy is its log-probs and a Gram matrix, KER-*.

``g_i = grad log pi_i`` is the gradient of the summed log-prob of response i, ``K_ij = <g_i, g_j>``
the Gram matrix, ``(d_w, d_l) = (-dL/dlog pi_w, dL/dlog pi_l)`` the pushes of a pair, eta the
learning rate, and beta the pull to the reference.
"""

from prefdyn.claims._claim import Claim

OURS = "ours, after arXiv 2407.10490 and arXiv 2410.13828"

CLAIMS = (
    Claim(
        "KER-1",
        "the step law",
        "A gradient step of a differentiable policy on pairs r, on its own or on other prompts, "
        "moves log pi_i by eta sum_r (d_w^r K_{i,w_r} - d_l^r K_{i,l_r}) + O(eta^2). This holds "
        "for every pairwise objective: a loss enters by its pushes, a policy by those columns of "
        "K that belong to trained responses.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-2",
        "identities of the Gram matrix",
        "K is symmetric and positive semidefinite. Over a complete set of responses "
        "sum_i pi_i K_ij = 0 for every j, over a mere set of candidates not. With equal pushes d "
        "the margin changes by eta d (K_ww - 2 K_wl + K_ll) >= 0. Chosen falls iff "
        "d_l K_wl > d_w K_ww; rejected rises iff d_w K_wl > d_l K_ll.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-3",
        "Gram matrices in closed form",
        "Table of logits: delta_ij - pi_i - pi_j + S, S = sum_k pi_k^2. Log-linear: "
        "<phi_i - phibar, phi_j - phibar>, phibar = sum_k pi_k phi_k. Unconstrained features "
        "W h, one token: kappa_h <W_i - Wbar, W_j - Wbar> + kappa_W (delta_ij - pi_i - pi_j + S) "
        "|h|^2; several tokens: kappa_W sum_{k,k'} <e_{y_k} - p_k, e_{z_k'} - p'_k'> <h_k, h'_k'> "
        "+ kappa_h sum over shared prefixes of <grad_h log p(y_k), grad_h log p(z_k)>.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-4",
        "one column difference is one directional derivative",
        "d_w K_iw - d_l K_il = <g_i, v> with v = d_w g_w - d_l g_l: the derivative of log pi_i "
        "along v, for all candidates from two forward passes, "
        "(log pi_i(theta + eps v) - log pi_i(theta - eps v)) / (2 eps), where two values of eps "
        "agree.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-5",
        "one simulator for all policies",
        "Start log-probs and K predict a whole run: pushes from the predicted log-probs, KER-1, "
        "repeat. Two-layer tanh network over 60 responses, DPO (beta = 0.1), 20 SGD steps, ten "
        "candidates, medians of 8 seeds: at largest changes of 4 to 5 nats a frozen K correlates "
        "(r > 0.98) but misses the size (R^2 < 0.75), K measured again every 5 steps on the true "
        "path gives R^2 > 0.94, every step R^2 > 0.99; at 13 to 18 nats R^2 is below 0, above "
        "0.85 and above 0.99. r alone hides errors of scale, r and slope a shift common to all "
        "candidates.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-6",
        "the kernel view of a language model",
        "A measurement, on a 260,000-parameter Llama trained on stories: ten pairs among ten "
        "completions of one prompt, DPO (beta = 0.1), 20 steps, median R^2 per pair. SGD to "
        "0.7 nats: frozen K 0.996; to 7.9 nats: frozen 0.74, every 5 steps 0.985, every step "
        "1.000. AdamW to 4.2 nats: 0.934, 0.996, 1.000. With a dominant response rejected "
        "and pushed far the frozen prediction is lost (r of 0.4 to 0.5). Repeated here only on a "
        "small neural n-gram model, and reported; in the last case its R^2 is lost (below 0.2) "
        "while r stays above 0.9.",
        OURS,
        "derived",
    ),
    Claim(
        "KER-7",
        "the optimiser matters",
        "The law holds for SGD and, for small steps, momentum; a fixed preconditioner M turns K "
        "into <g_i, M g_j>. Adam and RMSprop need their moments run in function space: gradient "
        "G = -sum_r (d_w g_w - d_l g_l) with frozen g, log pi_i += <g_i, Delta theta>, exact where "
        "log-probs are linear in the parameters; the first step of Adam on one pair moves along "
        "sign(g_w - g_l). On the toy of KER-5 that gives R^2 above 0.99 at 0.1 nats, 0.85 at 1.2 "
        "and 0.5 at 3.9, while the Euclidean K at the best rate keeps r below 0.985. The natural "
        "gradient of a table gives, to first order, Delta pi_w = eta d, Delta pi_l = -eta d, all "
        "others 0.",
        OURS,
        "derived",
    ),
)
