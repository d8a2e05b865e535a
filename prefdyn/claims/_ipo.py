"""Claims about one-shot IPO: IPO-*.

mu is the distribution both responses of a pair are drawn from, ref the reference,
``u = log(pi/ref)``, ``A = P - 1/2``, and beta the pull to the reference.
"""

from prefdyn.claims._claim import Claim

SAMPLING = "arXiv 2602.12180"
IPO = "arXiv 2310.12036"

CLAIMS = (
    Claim(
        "IPO-1",
        "the IPO optimum in closed form",
        "pi* = softmax(log ref + P mu / beta), where (P mu)_i is the win rate of i against mu. It "
        "maximises sum_ij pi_i mu_j P_ij - beta KL(pi || ref) and, for mu of full support and "
        "independent pairs, minimises L = sum_ij mu_i mu_j P_ij (u_i - u_j - 1/(2 beta))^2. For "
        "pairs from a symmetric law rho that is not a product the optimum solves "
        "sum_j rho_ij (u_i - u_j) = sum_j rho_ij A_ij / beta instead. L is half the expected loss "
        "per labelled pair, because sum_ij mu_i mu_j P_ij = 1/2.",
        f"{SAMPLING}, {IPO}",
        "paper: formula; derived: the two objectives and the correlated pairs",
    ),
    Claim(
        "IPO-2",
        "the exact gradient, and n gradient steps",
        "dL/dtheta_i = 2 mu_i [u_i - sum_j mu_j u_j - ((P mu)_i - 1/2)/beta], so n gradient steps "
        "of size lr give theta_n - F = (I - 2 lr J(mu))^n (theta_0 - F) for centred logits, "
        "with F = log ref + P mu/beta and J(mu) = diag(mu) - mu mu^T. For the mean loss per "
        "labelled pair, 2 becomes 4 in both.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "IPO-3",
        "every fixed sampler fails some game",
        "For every mu chosen before P and K >= 3 there is a transitive P whose Condorcet winner is "
        "not ranked first by pi*/ref, so that Condorcet-top, Smith-top and order preservation all "
        "fail: let c beat all with 1/2 + eps and d beat all but c with certainty; then "
        "(P mu)_d - (P mu)_c = (1/2 - eps)(1 - mu_c - mu_d) - eps (mu_c + mu_d) > 0 for small eps. "
        "For K = 2 there is no violation.",
        SAMPLING,
        "paper: statement; reconstructed: proof",
    ),
    Claim(
        "IPO-4",
        "a sampler that knows the game puts the Smith set on top",
        "For every P with a proper Smith set some mu of full support ranks each member above each "
        "non-member: the linear programme max_mu min_{i in Smith, j not} ((P mu)_i - (P mu)_j) has "
        "a positive value, by duality equal to min_{x on Smith, y off} max_k (x^T P - y^T P)_k.",
        SAMPLING,
        "paper: existence; reconstructed: linear programme",
    ),
    Claim(
        "IPO-5",
        "the whole order may be out of reach",
        "For three responses and transitive P some mu ranks them in order. For four this can "
        "fail: with A_12 = A_34 = A_14 = .05, A_13 = A_24 = .2, A_23 = .4 no mu does, because "
        "(row 1 - row 2) + (row 3 - row 4) <= 0 in every column.",
        SAMPLING,
        "paper: statement; derived: example",
    ),
    Claim(
        "IPO-6",
        "strong transitivity is what every sampler preserves",
        "Call P strongly transitive if, for some ranking, i above j implies P_ik >= P_jk for every "
        "k (strictly: >). Then P mu follows the ranking for every mu; and a transitive P without "
        "this property is ranked wrongly by some mu of full support, close to a point mass.",
        SAMPLING,
        "paper: sufficiency; derived: necessity and the definition",
    ),
    Claim(
        "IPO-7",
        "sampling stronger opponents widens the gaps whose advantage lies there",
        "The gap log(pi*_i/pi*_j) - log(ref_i/ref_j) equals (1/beta) sum_k d_k mu_k with "
        "d_k = P_ik - P_jk. If d_k does not increase with the rank k of the opponent, moving mass "
        "of mu to better ranks never shrinks the gap. Otherwise it may: for Bradley-Terry scores "
        "(2, 1, 0, -1) and mu = (.85, .05, .05, .05) the top gap grows and the others shrink.",
        SAMPLING,
        "paper: direction; reconstructed: condition",
    ),
    Claim(
        "IPO-8",
        "when the sampler does not matter to IPO",
        "The IPO optimum is the same for every mu if and only if preferences are additive, "
        "P_ij = 1/2 + v_i - v_j.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "IPO-9",
        "per-token means change the meaning of beta",
        "With log-ratios divided by response lengths, (u_w/n_w - u_l/n_l - 1/(2 beta))^2, two "
        "responses of n tokens have the optimum of the summed loss at beta/n, the summed margin "
        "being n/(2 beta); for lengths n_w, n_l the pushes on the summed log-probabilities are as "
        "1/n_w to 1/n_l.",
        IPO,
        "derived",
    ),
)
