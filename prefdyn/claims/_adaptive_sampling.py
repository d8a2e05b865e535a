"""Claims about learning the sampler from votes: VOTE-*.

P is unknown; votes on a pair are independent with its win rate P_ij. K responses make
``m = K (K - 1)/2`` pairs; delta is the accepted chance of an error, ``l = log(m / delta)``, and
``kl(p, q)`` the divergence of two Bernoulli laws in nats.
"""

from prefdyn.claims._claim import Claim

SAMPLING = "arXiv 2602.12180"
SEQUENCES = "arXiv 1810.08240"
IDENTIFICATION = "arXiv 1407.4443"

CLAIMS = (
    Claim(
        "VOTE-1",
        "bounds on win rates that hold at all times at once",
        "For w votes for and n - w against, M(p) = B(w + 1/2, n - w + 1/2) / (pi p^w (1-p)^(n-w)) "
        "is a martingale of mean 1 if the win rate is p, and a supermartingale if votes are "
        "fractions of mean p, as ties are. So with probability 1 - delta no pair ever has "
        "M(P_ij) >= m/delta, whichever pairs are asked and whenever one looks; and the p with "
        "M(p) < m/delta lie within sqrt((l + log(n)/2 + log 2)/(2n)) of w/n.",
        f"{SEQUENCES}; Ville (1939), Krichevsky and Trofimov (1981)",
        "paper: the method of mixtures; reconstructed: this form",
    ),
    Claim(
        "VOTE-2",
        "what the adaptive sampler decides is right with probability 1 - delta",
        "Let the top be the Smith set of the observed win rates, decided once M(1/2) >= m/delta "
        "for every win of a member over an outsider, and for wins (or ties to within the "
        "tolerance) that connect the members strongly. With probability 1 - delta no wrong top is "
        "ever decided; and without ties the top is decided after finitely many votes.",
        f"{SAMPLING}, {SEQUENCES}",
        "derived",
    ),
    Claim(
        "VOTE-3",
        "a sampler that is right in every game the votes allow",
        "Over the games L <= P <= U, U = 1 - L^T, the worst margin of a sampler mu is exactly "
        "min over i on top, j below of sum_k (L_ik - U_jk) mu_k, so a linear programme finds the "
        "best mu, and IPO and DPO under it rank the top first in all these games from a uniform "
        "reference. For a decided Condorcet winner the best value is positive: at least the "
        "smallest L_ij - 1/2 of the winner. In general it is at least the true margin less the "
        "largest (W mu)_i + (W mu)_j, with W = U - L and mu the best sampler of the programme with "
        "L and U exchanged: asking where that is large drives it to the true margin.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "VOTE-4",
        "learning the sampler succeeds where every fixed sampler and recipe fails",
        "Against each sampler fixed in advance stands a game (that of IPO-3) in which IPO and DPO "
        "rank a response above the Condorcet winner, with any number of votes. So it does for "
        "iterated MRS-IPO from uniform reference and offline sampler, whatever lam: with "
        "tau = (1 - alpha) beta and eps < (K - 2) exp(-1/tau)/(2K) the winner is first at no fixed "
        "point, although the rounds know the game. With probability 1 - delta the learned sampler "
        "ranks the winner first in all of these, by IPO and by DPO.",
        SAMPLING,
        "derived",
    ),
    Claim(
        "VOTE-5",
        "how many votes it takes",
        "With probability 1 - delta a pair of win rate 1/2 + D, D > 0, is settled by "
        "2 (l + log(n)/2 + log 2)/D^2 votes at the latest, and typically by the n with "
        "n kl(1/2 + D, 1/2) = l + log(pi n/2)/2. Asked one by one, the votes until the top is "
        "decided are at most the sum of the former over all pairs, plus one for each; for a "
        "Condorcet winner they are near the sum of the latter over its K - 1 pairs: proportional "
        "to K log(K)/D^2 up to log(1/D). Any rule that is right with probability 1 - delta in "
        "every game needs at least kl(delta, 1 - delta) sum_j 1/kl(P_cj, 1/2) on average.",
        f"{IDENTIFICATION}, {SEQUENCES}",
        "paper: the method of the lower bound; derived: the bounds",
    ),
    Claim(
        "VOTE-6",
        "asking only what decides saves votes",
        "On random games of 4 to 6 responses with a Condorcet winner that leads all by 0.05 or "
        "more, the same certificate typically costs over three times as much when votes are "
        "spread over all pairs, and about twice as much when only settled pairs are dropped "
        "(elimination, in the spirit of SAVAGE).",
        "arXiv 1506.02550 (the index for the likeliest winner), arXiv 1807.11398 (survey)",
        "derived",
    ),
)
