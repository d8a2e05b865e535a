"""Claims about stable preference optimisation: SPO-*.

w is the chosen and l the rejected response, o any other; d_w, d_l are the pushes of the loss on
``log pi_w`` (up) and ``log pi_l`` (down), K the Gram matrix of the gradients of the
log-probabilities, eta the step size, sigma the logistic function, beta the pull to the reference,
and ``L_SFT = -sum_i q_i log pi_i`` the likelihood loss under a data distribution q.
"""

from prefdyn.claims._claim import Claim

SPO = "arXiv 2507.07723"

CLAIMS = (
    Claim(
        "SPO-1",
        "one step moves probabilities in proportion to themselves",
        "d pi_k = eta pi_k (d_w K_kw - d_l K_kl) to first order: the current probability sets the "
        "size, an inner product the sign, so a chosen response that starts small cannot gain "
        "mass fast. In a table of logits, with one pair and equal pushes g: d log pi_w = "
        "eta g (1 - pi_w + pi_l) > 0, d log pi_l = -eta g (1 + pi_w - pi_l) < 0, all others move "
        "by eta g (pi_l - pi_w). Exactly, after an accumulated push x: pi(x) = (pi_w e^x, "
        "pi_l e^-x, pi_o)/Z with Z = 1 + pi_w (e^x - 1) - pi_l (1 - e^-x).",
        SPO,
        "reconstructed",
    ),
    Claim(
        "SPO-2",
        "where the rejected response's mass goes",
        "In a table of logits a small step with one pair and equal pushes gives the share "
        "(1 - pi_w - pi_l)(pi_l - pi_w)/(pi_l (1 + pi_w - pi_l)) of the mass that the rejected "
        "response loses to responses outside the pair, in proportion to their probabilities: 50 % "
        "at (pi_w, pi_l) = (0.1, 0.3), 99.4 % at (0.001, 0.3), nothing at pi_w = pi_l, and less "
        "than nothing beyond.",
        SPO,
        "derived",
    ),
    Claim(
        "SPO-3",
        "the whole trajectory of DPO on one pair",
        "Table of logits, reference = start, gradient flow of DPO on one pair: the accumulated "
        "push x solves 2 beta^2 t = 2 beta x + e^(2 beta x) - 1. With pi_l > pi_w at the start "
        "the others peak at x* = log(r)/2, r = pi_l/pi_w, with mass P_o/(P_o + 2 sqrt(pi_w pi_l)) "
        "at t* = (beta log r + r^beta - 1)/(2 beta^2), and then fall to 0. A start at pi_w = e^-M "
        "needs a time of about e^(2 beta M)/(2 beta^2), up to a factor that tends to "
        "(1 - pi_l)^(2 beta), before the chosen response has half of the mass.",
        SPO,
        "derived",
    ),
    Claim(
        "SPO-4",
        "catastrophic preference shift: the limit of a log-linear policy",
        "With one pair, any loss of the log-probability gap and shared features phi, iterates of "
        "gradient descent stay on theta0 + x (phi_w - phi_l). While the loss goes to 0, "
        "x goes to infinity and all mass ends on the response with the largest <phi_k, phi_w - "
        "phi_l>, which is never the rejected one and need not be the chosen one. In the first step "
        "the chosen response falls if and only if <phi_w - phibar, phi_l - phi_w> > 0, phibar = "
        "sum_k pi_k phi_k. With normal features, 30 responses of 6 features and a cosine of 0.9 "
        "within the pair, neither of the pair wins in 91.5 % of draws; with 50 responses, a "
        "uniform start and a cosine of 0.99 the chosen one falls first in 44, 38 and 27 % at 4, "
        "16 and 64 features, with a cosine of 0 in 5, 0 and 0 %.",
        SPO,
        "paper: phenomenon; derived: limit",
    ),
    Claim(
        "SPO-5",
        "with several pairs a table of logits can lower a response that always wins",
        "d log pi_i = eta sum_r g_r (1[i = w_r] - 1[i = l_r] - pi_(w_r) + pi_(l_r)) to first "
        "order, so a response chosen in all its pairs can fall when another, likelier one is "
        "chosen more often. From the uniform policy, with equal pushes, it does not.",
        SPO,
        "derived",
    ),
    Claim(
        "SPO-6",
        "the bilevel form and its solvers",
        "A preference loss L under the constraint L_SFT - v* <= eps, v* = min L_SFT: by a penalty "
        "L + nu (L_SFT - v*), whose gradient is that of L + nu NLL; by a hinge nu max(0, L_SFT - "
        "v* - eps), which has it outside and that of L inside the constraint; by dual ascent nu <- "
        "max(0, nu + eta_nu (L_SFT - v* - eps)); or by a barrier nu = max(0, (rho |g_s|^2 - "
        "<g_p, g_s>)/|g_s|^2) of the gradients g_p of L and g_s of L_SFT, which guarantees "
        "<g_p + nu g_s, g_s> >= rho |g_s|^2: every small step lowers L_SFT. The regulariser of "
        "the paper's first version is not known to us and not part of this.",
        SPO,
        "paper: structure; reconstructed: formulas",
    ),
    Claim(
        "SPO-7",
        "the stationary point of the penalty",
        "DPO + nu L_SFT on a table of logits with one pair and q = start = reference: the others "
        "stay exactly at q_o, pi_w = q_w + m, pi_l = q_l - m, where m = (beta/nu) sigma(-beta "
        "(log((q_w + m)/(q_l - m)) - log(q_w/q_l))) has one root in (0, q_l). Under the constraint "
        "L_SFT - v* <= eps the solution is of the same family, with q_w log(q_w/(q_w + m)) + "
        "q_l log(q_l/(q_l - m)) = eps. Where the data lack the rejected response (q_l = 0) its "
        "logit falls for ever and nothing rests.",
        SPO,
        "derived",
    ),
    Claim(
        "SPO-8",
        "bounds for any model",
        "(i) At a minimiser of L + nu L_SFT: L_SFT - v* <= (L(theta_SFT) - inf L)/nu, at most "
        "log(2)/nu for DPO with reference theta_SFT. (ii) The mass on responses with q = 0 is at "
        "most 1 - exp(-(L_SFT - H(q))), so inside the constraint at most 1 - exp(-eps) if the "
        "model can fit q. (iii) With the chosen response as SFT data and equal pushes g of L, the "
        "chosen response rises in a small step if and only if nu >= g (K_wl/K_ww - 1); for "
        "DPO nu >= beta (K_wl/K_ww - 1) suffices. (iv) Log-linear policy and DPO: the objective is "
        "convex, and gradient descent with steps eta <= 1/(beta^2 |phi_w - phi_l|^2/4 + nu C), C "
        "the largest eigenvalue of a feature covariance, lowers it in every step by at least eta "
        "|gradient|^2/2 and is within |theta_0 - theta*|^2/(2 eta t) of the minimum after t steps.",
        SPO,
        "derived",
    ),
    Claim(
        "SPO-9",
        "a population: perfect pair accuracy, collapse, and the repair",
        "40 prompts with 10 responses of the data and 50 unlikely others, a log-linear policy of "
        "12 shared features, the best response of the data chosen and its median rejected. DPO and "
        "SimPO come to rank every pair right while more than 90 % of the mass leaves the data "
        "and more than 85 % of the chosen responses fall. With nu L_SFT, q uniform on the data and "
        "nu = 0.1 or 1, at least 95 % of the pairs are ranked right while most of the mass stays "
        "on the data and most chosen responses rise; the larger nu keeps more. Lengths three times "
        "as large for chosen as for rejected responses cost SimPO accuracy as well, and its repair "
        "too.",
        SPO,
        "derived",
    ),
)
