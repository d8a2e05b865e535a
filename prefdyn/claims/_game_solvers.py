"""Claims about rules that play a regularised game, and about DPO with samplers: GAME-*.

The game is ``V(pi, pi') = pi^T P pi' - tau KL(pi || ref) + tau KL(pi' || ref)`` with its
equilibrium pi*; ``A = P - 1/2``, ``J(pi) = diag(pi) - pi pi^T``, and s_k are the singular values of
``J^(1/2) A J^(1/2)`` at the fixed point, s the largest.
"""

from prefdyn.claims._claim import Claim

EGPO = "arXiv 2503.08942"
NASH_MD = "arXiv 2312.00886"
IPO_MD = "arXiv 2403.08635"
SAMPLERS = "arXiv 2409.19605"

CLAIMS = (
    Claim(
        "GAME-1",
        "one map under many names",
        "Online mirror descent with step eta, theta' = (1 - eta tau) theta + eta tau log ref + eta "
        "P pi, is MRS-IPO with lam = 1, alpha = 1 - eta tau, beta = 1/eta. INPO with its (inverse) "
        "eta is MRS-IPO with lam = 1, alpha = 1 - tau/eta, beta = eta; self-play IPO has alpha = "
        "0, beta = tau; SPPO has alpha = 1, beta = 1/eta.",
        f"{EGPO}, arXiv 2407.00617, {IPO_MD}, arXiv 2405.00675",
        "derived",
    ),
    Claim(
        "GAME-2",
        "best response and duality gap",
        "pi* = softmax(log ref + P pi*/tau) is the equilibrium. The best response to pi, for "
        "either player, is BR(pi) proportional to ref exp(P pi/tau), and V(BR(pi), pi) - V(pi, "
        "BR(pi)) = 2 tau KL(pi || BR(pi)), which vanishes at pi* only.",
        EGPO,
        "paper: definitions; derived: identity",
    ),
    Claim(
        "GAME-3",
        "online mirror descent",
        "Its multipliers at pi* are 1 - eta tau +- i eta s_k: stable iff eta < 2 tau/(tau^2 + "
        "s^2), fastest at half of that with the factor s/sqrt(tau^2 + s^2) a round. From every "
        "start KL(pi* || pi) shrinks by 1 - eta tau a round if (eta max|A|)^2 <= eta tau (1 - eta "
        "tau).",
        EGPO,
        "derived",
    ),
    Claim(
        "GAME-4",
        "extragradient preference optimisation",
        "With m = 1 - eta tau and y = eta s_k the multipliers of EGPO at pi* are m - y^2 +- i m y: "
        "stable iff y^2 < (b + sqrt(b^2 + 4 (1 - m^2)))/2 with b = 2m - m^2, which is y < 1 at m = "
        "1 and at m = 0 and lies above OMD's sqrt(1 - m^2) between. From every start KL(pi* || pi) "
        "shrinks by 1 - eta tau a round if eta <= 1/(2 tau + 2 max|A|).",
        f"{EGPO}, arXiv 2105.15186",
        "paper: algorithm, linear convergence; derived: multipliers; reconstructed: constants",
    ),
    Claim(
        "GAME-5",
        "Nash-MD and its bias",
        "KL(pi* || pi_(t+1)) <= (1 - eta tau) KL(pi* || pi_t) + 2 eta^2, and with eta_t = 2/(tau "
        "(t + 2)) KL(pi* || pi_T) <= 8/(tau^2 (T + 1)). With a constant step the mixture comes to "
        "rest at the equilibrium of temperature tau/(1 - eta tau) and the policy at the best "
        "response to it at tau; the multipliers are (1 - eta tau)(1 +- i eta s_k) with s_k at the "
        "mixture.",
        NASH_MD,
        "paper: bounds; derived: exact bias and multipliers",
    ),
    Claim(
        "GAME-6",
        "gradient steps: where they rest and how they turn",
        "A step of rate rho on the generalised online IPO loss (uniform pairs, compared with the "
        "policy) is OMD with eta tau = 4 rho/K. With both responses from pi, or for IPO-MD from "
        "the mixture pi^(1 - m) ref^m, the gradient is 4 mix_i [u_i - E_mix u - (A mix)_i/tau], "
        "with Bernoulli labels and target 1/(2 tau) in expectation too; the step of Nash-MD-PG is "
        "rho pi_i (Q_i - pi.Q), Q = A mix - tau u. IPO-MD and Nash-MD-PG rest where Nash-MD with "
        "eta tau = m does, on-policy IPO at pi*; their Jacobians there are I - 4 rho J(mix) (I - "
        "(1 - m) A J(mix)/tau) and I - rho J(pi) (tau I - (1 - m) A J(mix)).",
        f"{IPO_MD}, {EGPO}, {NASH_MD}",
        "paper: losses; derived: gradients, rest points and Jacobians",
    ),
    Claim(
        "GAME-7",
        "SPPO circles outwards, its average does not",
        "pi' proportional to pi exp(eta P pi) has no anchor: in a game with an interior "
        "equilibrium KL(pi* || pi_t) grows in every round and the last iterate goes to the "
        "boundary, while the running average approaches pi*. rps(1/2), eta = 0.3, from "
        "softmax(0.5, 0, -0.3): after 2000 rounds the last policy has put 98 % on one response, "
        "the average is within 0.02 of 1/3.",
        "arXiv 2405.00675",
        "paper: update; derived: behaviour",
    ),
    Claim(
        "GAME-8",
        "samplers of online DPO: linear against quadratic",
        "On a reward model, weights w proportional to 1/sigma'(r_i - r_j) (Mix-R) or to "
        "1/sigma'(beta (u_i - u_j)) (Mix-P) make the error of all reward gaps quadratic in one "
        "step of rate Z/(2 beta^2 K), Z the sum of the weights before they are normalised; for "
        "Mix-P Z moves with the policy, and a constant rate is linear again. For rewards in [0, 1] "
        "the error e' of the next round is at most e^2/2 once e < 0.1. Uniform pairs at rate "
        "2K/beta^2 shrink it by the spectral radius of I - (4/K) L, L the Laplacian of the weights "
        "sigma'(r_i - r_j); from the uniform policy it never exceeds 0.588^T.",
        SAMPLERS,
        "paper: samplers and rates; derived: matched rate, constant and linear factor",
    ),
    Claim(
        "GAME-9",
        "PILAF pairs point along the policy gradient",
        "With w proportional to pi_i pi_j/sigma'(beta (u_i - u_j)) and Z their sum, the gradient "
        "of the DPO loss is -(2 beta/Z) times that of E_pi r - beta KL(pi || ref), up to terms "
        "quadratic in r - beta u.",
        "arXiv 2502.04270",
        "derived",
    ),
    Claim(
        "GAME-10",
        "samplers that cannot cycle, and where they lead",
        "Gradient steps of DPO on uniform, Mix-R, Mix-P or clipped Mix-P pairs have real "
        "multipliers on any game, so that a rate that is too large makes them flip but none makes "
        "them rotate; with pairs from the policy (on-policy, PILAF) cyclic games give complex "
        "ones. All six rest at beta u = r on a reward model; on other games they rest at different "
        "policies, though their steps see the same votes.",
        f"{SAMPLERS}, arXiv 2502.04270",
        "derived",
    ),
)
