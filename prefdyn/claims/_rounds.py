"""Claims about iterated rounds: MRS-*, RND-*, and how cycles are born, NS-*.

MRS-IPO is the map ``theta' = alpha theta + (1 - alpha) log ref + A mu/beta`` of logits with
``mu = lam softmax(theta) + (1 - lam) mu0`` and ``A = P - 1/2``; pi* is its fixed point, and rps(a)
is rock-paper-scissors with win probability 1/2 + a.  The paper's beta is 1/beta here.
"""

from prefdyn.claims._claim import Claim

SAMPLING = "arXiv 2602.12180"

MRS = (
    Claim(
        "MRS-1",
        "iterated IPO is a map of logits",
        "With reference ref_t proportional to pi_t^alpha ref^(1 - alpha) and sampler "
        "mu_t = lam pi_t + (1 - lam) mu0, the IPO optimum of round t is theta' = alpha theta + "
        "(1 - alpha) log ref + P mu_t/beta. Replacing P by A = P - 1/2 changes only the irrelevant "
        "constant. Reference, offline sampler mu0 and start are three separate inputs.",
        SAMPLING,
        "paper",
    ),
    Claim(
        "MRS-2",
        "contraction",
        "If rho = alpha + lam ||A||_2/(2 beta) < 1, the map contracts centred logits in l2 by the "
        "factor rho: there is one interior fixed point and |theta_t - theta*| <= rho^t "
        "|theta_0 - theta*| from every start. Sufficient, far from necessary.",
        SAMPLING,
        "paper: condition; derived: rate",
    ),
    Claim(
        "MRS-3",
        "one fixed point for every alpha < 1",
        "Whether the map contracts or not, alpha < 1 leaves one fixed point, the logit "
        "(quantal-response) equilibrium pi* = softmax(log ref + P (lam pi* + (1 - lam) mu0)/tau) "
        "at temperature tau = (1 - alpha) beta: two solutions would give tau [KL(pi, pi') + "
        "KL(pi', pi)] = lam (pi - pi')^T A (pi - pi') = 0.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-4",
        "multipliers at the fixed point",
        "The Jacobian is alpha I + (lam/beta) A J(pi*), J(pi) = diag(pi) - pi pi^T, for any game, "
        "reference and offline sampler. Its multipliers are alpha +- i (lam/beta) s_k with s_k the "
        "singular values of J^(1/2) A J^(1/2); with s the largest, the fixed point is locally "
        "stable iff alpha^2 + (lam s/beta)^2 < 1, and s <= ||A||_2/2.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-5",
        "rock-paper-scissors threshold",
        "For rps(a) with uniform reference and offline sampler the fixed point is unstable iff "
        "alpha^2 + a^2 lam^2/(3 beta^2) > 1, i.e. beta < beta_c = lam a/sqrt(3 (1 - alpha^2)).",
        SAMPLING,
        "paper: inequality; derived: sharpness",
    ),
    Claim(
        "MRS-6",
        "closed forms of the rotation strength s",
        "Three responses, any pi: s = sqrt(pi_1 pi_2 pi_3) |A_12 + A_23 + A_31|, only the curl "
        "counts. If every row of A sums to 0, uniform reference and offline sampler give "
        "pi* uniform and s = ||A||_2/K; for rps(a), s = a/sqrt 3. Additive preferences "
        "A_ij = v_i - v_j have s = 0 for every K and pi: every multiplier is alpha.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-7",
        "stability is lost by rotation; the period at onset",
        "For 0 < alpha < 1 every multiplier of MRS-IPO has real part alpha: never a flip, never a "
        "fold, always Neimark-Sacker. At onset one turn takes 2 pi/arccos(alpha) rounds (4 at "
        "alpha = 0, 6 at 1/2, 13.93 at .9).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-8",
        "size and frequency of the cycle near onset",
        "For rps(a), uniform reference and offline sampler and eps = beta_c/beta - 1 > 0 small: "
        "max|pi - 1/3| ~ (4/(3 sqrt 3)) sqrt eps, the mean over time and responses of "
        "(pi_i - 1/3)^2 ~ (8/27) eps, and one round turns by theta_0 + eps [alpha w/3 - "
        "(w^2/3) cot(3 theta_0/2)], theta_0 = arccos alpha, w = sqrt(1 - alpha^2): amplitude and "
        "variance do not depend on alpha, lam or a. No cycle coexists above beta_c.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-9",
        "a second global condition, by mirror descent",
        "If (lam max|A_ij|/beta)^2 <= alpha (1 - alpha), then KL(pi*, pi_(t+1)) <= alpha "
        "KL(pi*, pi_t) from every interior start, whatever K. For rps(1/2), alpha = 1/2, lam = 1 "
        "contraction needs beta > .866 and this condition beta >= 1, while instability starts "
        "below .333.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-10",
        "alpha = 1 is a different system",
        "With alpha = lam = 1 (reference = last iterate, fully on-policy) rounds are Hedge "
        "self-play: for an interior Nash p*, KL(p*, pi_t) strictly increases and policies spiral "
        "to the boundary with ever longer dwell times; multipliers 1 +- i s_k/beta lie outside "
        "the unit circle. For alpha < 1 log-odds stay bounded: |log(pi_i/pi_j) - "
        "log(ref_i/ref_j)| is in the limit at most max_k |A_ik - A_jk|/((1 - alpha) beta).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-11",
        "near-collapse for alpha < 1",
        "If response 1 dominates row by row, delta_j = min_k (P_1k - P_jk) > 0, then "
        "x_t = log(pi_t1/pi_tj) >= alpha^t x_0 + (1 - alpha^t) [log(ref_1/ref_j) + "
        "delta_j/((1 - alpha) beta)] for every round, start and lam: the limit approaches the top "
        "response as (1 - alpha) beta tends to 0 and never reaches it. The paper's controlling "
        "ratio lam/((1 - alpha) beta) is sufficient; lam = 0 nearly collapses too, to "
        "softmax(log ref + P mu0/((1 - alpha) beta)).",
        SAMPLING,
        "paper: ratio lam/((1 - alpha) beta); derived: bounds without lam",
    ),
    Claim(
        "MRS-12",
        "collapse at alpha = 1",
        "Under strict strong transitivity the entropy eventually decreases to 0 and log-odds "
        "against the top grow linearly, with slope (1/beta) [lam (1/2 - P_j1) + (1 - lam) "
        "sum_k (P_1k - P_jk) mu0_k] in the limit and never below delta_j/beta. Responses tied "
        "at the top share the mass only if lam = 1 or their rows agree on the support of mu0: with "
        "A_12 = 0, A_13 = .3, A_23 = .1, beta = 1 and mu0 uniform, lam = 1 leaves about "
        "(.60, .40, 0) from a uniform start, lam = 1/2 only response 1.",
        SAMPLING,
        "paper: statement; derived: rate",
    ),
    Claim(
        "MRS-13",
        "strongly transitive games can oscillate",
        "(a) With many responses: A_ij = sign(j - i)(.48 + .02 |j - i|/(K - 1)), uniform "
        "reference and offline sampler, alpha = 0, lam = 1, beta = .117 has spectral radius 1.049 "
        "at K = 150 and 1.103 at K = 200; the largest (s/beta)^2 over beta is .52, .69, .94, 1.22 "
        "at K = 30, 50, 100, 200 (.54, .71, .97, 1.26 for certain wins, A_ij = sign(j - i)/2). "
        "(b) With an anti-ranked reference: A = .5 [[0, .6, 1], [-.6, 0, .6], [-1, -.6, 0]], "
        "alpha = .9, lam = 1, beta = .025, mu0 uniform, ref = softmax(-A mu0/((1 - alpha) beta)) "
        "has squared radius 1.40 at its uniform fixed point. For K <= 6 with uniform reference and "
        "offline sampler none has been seen.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-14",
        "a smaller beta does not always oscillate more",
        "A Condorcet winner of margin m over an rps(a) cycle, uniform reference and offline "
        "sampler, lam = 1: the fixed point gives each member of the cycle "
        "q = 1/(3 + exp(m/((1 - alpha) beta))) and s = sqrt(3) a q, so mass leaves the cycle as "
        "beta falls. At a = .482, alpha = 1/2 only the window [.00850, .2301] of beta is unstable "
        "for m = .02 and [.02949, .2089] for m = .05; it closes between m = .095 and .1.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-15",
        "strong drive locks",
        "rps(a), lam = 1, uniform reference and offline sampler: at alpha = 0 the orbit locks to "
        "the period-3 best-response cycle for beta <= beta_c/1.8 but not yet at beta_c/1.7; at "
        "alpha = 1/2 and beta = beta_c/4 it locks to period 5.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "MRS-16",
        "the experiment of the paper, on a synthetic stand-in",
        "Four responses scored 0-4 on five attributes, one attribute drawn per pair: with made-up "
        "scores (quality N(2.7, .8), attributes + N(0, .7), rounded and clipped; not HelpSteer) "
        "6.0 % of the games are cyclic, 38.5 % weakly and 0.2 % strictly strongly transitive. At "
        "alpha = 1/2, lam = 1 and uniform reference about a fifth of the cyclic ones, among them "
        "all with a strict Condorcet winner, are stable down to beta = 1/300; the others lose "
        "stability around beta = .15.",
        SAMPLING,
        "paper: protocol; derived: numbers",
    ),
    Claim(
        "MRS-17",
        "averaging over runs hides cycles",
        "Rounds on finite samples drift in phase: for rps(1/2), alpha = .8, beta = .2, lam = 1 and "
        "200 labelled pairs a round, drawn from the sampler, the variance over time within each of "
        "40 runs (.14) is more than ten times that of the run-averaged policy. Take the variance "
        "per run and then average, never the reverse. With 200 votes on every pair the noise is "
        "too small for this: runs from one start keep in phase for hundreds of rounds.",
        SAMPLING,
        "paper: observation; derived: example",
    ),
)

RND = (
    Claim(
        "RND-1",
        "an inexact round is an exact round of another recipe",
        "If a round moves only the fraction kappa, theta' = (1 - kappa) theta + kappa F(theta), "
        "with F a round of MRS-IPO or MRS-DPO, it is the exact round of alpha_eff = "
        "1 - kappa (1 - alpha), beta_eff = beta/kappa, the rest unchanged. tau = (1 - alpha) beta "
        "is unchanged and with it the fixed point.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "RND-2",
        "under-training each round stabilises",
        "The multipliers are 1 - kappa (1 - alpha) +- i kappa lam s/beta: stable iff "
        "beta > lam s/sqrt((1 - alpha)(2/kappa - 1 + alpha)), about "
        "lam s sqrt(kappa/(2 (1 - alpha))) for small kappa. Where s = 0, stable iff "
        "kappa < 2/(1 - alpha).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "RND-3",
        "period at onset of inexact rounds",
        "One turn takes 2 pi/arccos(1 - kappa (1 - alpha)) rounds at onset, and the laws of "
        "amplitude and variance of MRS-8 hold with eps = beta_c(kappa)/beta - 1. At alpha = 1 only "
        "beta changes: cycles stay unstable for every kappa.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "RND-4",
        "where kappa comes from",
        "n gradient steps of size lr on the population IPO loss sum_ij mu_i mu_j P_ij "
        "(u_i - u_j - 1/(2 beta))^2 from the current policy, mu uniform, are an inexact round with "
        "kappa = 1 - (1 - 2 lr/K)^n; on the mean loss per labelled pair 1 - (1 - 4 lr/K)^n. For "
        "other mu the matrix C = I - (I - 2 lr J(mu))^n takes the place of kappa, and the Jacobian "
        "at the fixed point is I + C (DF - I).",
        SAMPLING,
        "derived",
    ),
)

NS = (
    Claim(
        "NS-1",
        "the first Lyapunov coefficient decides how a cycle is born",
        "At a Neimark-Sacker point let M q = e^(i t) q, M^T p = e^(-i t) p, <p, q> = 1, and B, C "
        "be the second and third derivatives of the map. With l1 = 1/2 Re e^(-i t) [<p, C(q, q, "
        "q*)> + 2 <p, B(q, (I - M)^-1 B(q, q*))> + <p, B(q*, (e^(2it) I - M)^-1 B(q, q))>] the "
        "cycle is theta* + 2 Re(z q e^(i phi)), |z|^2 = -(|multiplier| - 1)/l1: stable, and on the "
        "unstable side, if l1 < 0; unstable, on the stable side, if l1 > 0. Strong resonances "
        "(k t = 2 pi n, k = 1 to 4) are left out unless their resonant term vanishes or, at k = 4, "
        "is smaller than |l1|.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "NS-2",
        "second and third derivatives of iterated IPO",
        "B = (lam/beta) A S2 and C = (lam/beta) A S3 with, for x~ = x - <x> and <.> the mean under "
        "pi, S2(x, y) = pi (x~ y~ - <x~ y~>) and S3(x, y, z) = pi (x~ y~ z~ - <x~ y~ z~> - "
        "x~ <y~ z~> - y~ <x~ z~> - z~ <x~ y~>).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "NS-3",
        "rock-paper-scissors under iterated IPO is always supercritical",
        "MRS-IPO on rps(a), uniform reference and offline sampler: l1 = -(3/4)(1 - alpha^2) for "
        "q = (1, w, w^2), w = e^(2 pi i/3), whatever a and lam (a third of that for |q| = 1). At "
        "alpha = 0, a 1:4 resonance, the resonant term vanishes by the three-fold symmetry. So the "
        "cycle grows from nothing and there is no hysteresis.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "NS-4",
        "rock-paper-scissors under iterated DPO is bistable for strong preferences",
        "MRS-DPO on rps(a), uniform reference and offline sampler: for lam a < sqrt(3)/4 a small "
        "cycle is born below beta_c = 4 lam a/sqrt(3 (1 - alpha^2)), max|pi - 1/3| ~ (2/3) "
        "sqrt(eps/(3/4 - 4 lam^2 a^2)), eps = beta_c/beta - 1. For lam a > sqrt(3)/4 the onset is "
        "subcritical: slightly above beta_c a large cycle coexists with the stable fixed point "
        "(a = .47, lam = 1, alpha = 0: of size .40 at 1.005 beta_c, gone at 1.02 beta_c), up to a "
        "fold at 1.003, 1.007, 1.014, 1.025, 1.043 beta_c for a = .45, .46, .47, .48, .49. The "
        "coefficient is l1 = -(1 - alpha^2)(3/4 - 4 lam^2 a^2) for q = (1, w, w^2).",
        SAMPLING,
        "derived",
    ),
    Claim(
        "NS-5",
        "iterated IPO can be bistable",
        "Four responses, uniform reference and offline sampler, alpha = .3, lam = 1, upper "
        "triangle of A by rows: (a) (-.070, .340, .035, .457, -.023, .359) with beta_c = .029492: "
        "at 1.01 and 1.05 beta_c the fixed point is locally stable, and cycles of size "
        "max|pi - pi*| = .41 and .29 coexist; (b) (-.228, .195, -.126, .005, -.047, .199), where "
        "beta_c = .017334 is the lower end of an unstable window: at .95 to .998 beta_c a cycle of "
        "size .94 to .91 coexists; (c) a game of the kind of MRS-16, scores of 0 to 4 compared on "
        "one attribute per pair, (0, t, -t, h, 0, h) with h = sigmoid(1) - 1/2, "
        "t = sigmoid(2) - 1/2, alpha = 1/2 and beta_c = .036792: of size .36 at 1.01 and 1.03 "
        "beta_c. So MRS-4 decides local stability only: a global verdict needs a "
        "certificate (MRS-2, MRS-9) or a search from far starts. The onset is subcritical in (a) "
        "and (b), as in one or two of a hundred random games with four to six responses and in "
        "none seen with three; in (c) it is supercritical, and the large cycle is another one.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "NS-6",
        "small perturbations of iterated IPO never grow first in the metric of KL",
        "At the fixed point of MRS-IPO, for any game, reference and offline sampler, the Jacobian "
        "alpha I + (lam/beta) A J is similar by J^(1/2) to alpha I plus a skew matrix, which is "
        "normal: the largest growth over t rounds of |delta|^2 = sum pi_i (delta log pi_i)^2, "
        "twice the KL divergence, is exactly radius^(2t). In logits it may grow first: by 1.054 "
        "on rps(.4), beta = .25, alpha = .5, lam = 1, reference (.90, .09, .01).",
        SAMPLING,
        "derived",
    ),
)

CLAIMS: tuple[Claim, ...] = (*MRS, *RND, *NS)
