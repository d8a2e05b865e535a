"""Claims about many games at once, LAB-*: what the laboratory found.

MRS-IPO and MRS-DPO with uniform reference and offline sampler and lam = 1 unless said otherwise;
A = P - 1/2; beta_c is the largest unstable beta.  A cyclic game is one without a Condorcet winner;
"random" ones have independent entries A_ij, uniform in [-.48, .48].
"""

from prefdyn.claims._claim import Claim

MAP = "map of arXiv 2602.12180"

CLAIMS = (
    Claim(
        "LAB-1",
        "a beta that is locally stable on every game",
        "For every game, reference, offline sampler and number of responses the rotation strength "
        "of MRS-4 is s <= (2/pi) max|A|, because sum_ij w_i w_j |sin(phi_i - phi_j)| <= "
        "(2/pi) (sum_i w_i)^2. So MRS-IPO is locally stable for beta > (2/pi) lam max|A|/"
        "sqrt(1 - alpha^2), and for beta > lam/(pi sqrt(1 - alpha^2)) whatever the preferences: "
        ".318 lam at alpha = 0, .368 at 1/2, .730 at .9. No smaller constant will do: regular "
        "tournaments of K responses lose stability at (pi/2K) cot(pi/2K) of it, .907 at K = 3, "
        ".9997 at K = 51.",
        MAP,
        "derived",
    ),
    Claim(
        "LAB-2",
        "how far the global certificates are from the local threshold",
        "Whatever the game, the contraction of MRS-2 asks for at least sqrt((1 + alpha)/"
        "(1 - alpha)) beta_c and the mirror descent of MRS-9 for at least (pi/2) sqrt((1 + alpha)/"
        "alpha) beta_c (LAB-1, and s <= ||A||_2/2). On a thousand random cyclic games the better "
        "of the two asks for two to six times beta_c in the median, more where alpha is "
        "large or a game is nearly transitive.",
        MAP,
        "derived",
    ),
    Claim(
        "LAB-3",
        "finite samples blur the boundary",
        "Rounds of MRS-IPO that see n votes per pair never settle. On the stable side their cycle "
        "strength falls as 1/n and is that of the linearised round. On rps(a) at beta_c it is "
        "(4/27) sqrt((1/4 - a^2)/(pi a^2 n)), the same for every alpha: it falls as n^(-1/2) only. "
        "So beta cannot be told from beta_c where |beta_c/beta - 1| is less than about "
        "(1/2) sqrt((1/4 - a^2)/(a^2 n)).",
        MAP,
        "derived",
    ),
    Claim(
        "LAB-4",
        "strong drive locks onto the best-response graph",
        "At alpha = 0 an orbit of MRS-IPO under strong drive returns exactly, after as many rounds "
        "as a cycle of the graph has that leads from each response to the best response to it: so "
        "on over 99 % of 1000 random cyclic games at beta = beta_c/100 (three rounds for K = 3), "
        "and on 96 to 100 % at beta_c/20, where nearly tied best responses still share the mass. "
        "At alpha = 1/2 nine in ten games lock once beta < beta_c/5, to return times that the "
        "graph does not tell.",
        MAP,
        "derived",
    ),
    Claim(
        "LAB-5",
        "hysteresis is rare on random games",
        "A little above beta_c, where the fixed point is stable, another attractor is left on few "
        "of 750 random cyclic games: on none at K = 3 and about 1 % or less at K = 4 and 5, under "
        "MRS-IPO and MRS-DPO alike. That of NS-4 needs every win of the cycle nearly certain.",
        MAP,
        "derived",
    ),
    Claim(
        "LAB-6",
        "the rules compared at equal progress per round",
        "Tune every rule to the equilibrium of one temperature tau and to rounds that shrink the "
        "distance to it by one factor m where preferences are curl-free. With s of MRS-4 at the "
        "equilibrium, mirror descent is stable iff s/tau < sqrt((1 + m)/(1 - m)), extragradient "
        "(EGPO) iff (1 - m)^2 (s/tau)^2 < (b + sqrt(b^2 + 4 (1 - m^2)))/2, b = 2 m - m^2, Nash-MD "
        "with a constant step, s that of its mixture, iff s/tau < sqrt((1 + m)/(1 - m))/m. At "
        "equal cost two smaller steps of mirror descent bear more than one of extragradient "
        "unless m > .570; optimism bears less than plain mirror descent unless m > 2 sqrt 2 - 2 = "
        ".828: it destabilises rounds that make much progress.",
        "arXiv 2503.08942, 2312.00886 (algorithms)",
        "derived",
    ),
    Claim(
        "LAB-7",
        "the rules on real games",
        "Largest rotation s/tau at any tau in [.001, 1]: PandaLM .083, arXiv rankers .321, "
        "arithmetic 0, Minneapolis 1.86, the made-up cyclic matrix 1.39. So every rule of LAB-6 "
        "settles on the first three whatever m is; at m = 1/2 and the least stable tau mirror "
        "descent and optimism cycle on Minneapolis (tau = .001), where extragradient and Nash-MD "
        "settle, and optimism alone cycles on the cyclic matrix; at m = .9 all settle.",
        "arXiv 2503.08942, 2312.00886 (algorithms)",
        "derived",
    ),
)
