"""Claims about branches and boundaries, BIF-*: what continuation found on our maps.

MRS-IPO and MRS-DPO with uniform reference and offline sampler; A = P - 1/2; rps(a) is
rock-paper-scissors with win probability 1/2 + a.
"""

from prefdyn.claims._claim import Claim

MAP = "map of arXiv 2602.12180"

CLAIMS = (
    Claim(
        "BIF-1",
        "where the onset of cycles turns abrupt under iterated DPO",
        "Along the boundary beta_c = 4 lam a/sqrt(3 (1 - alpha^2)) of MRS-DPO on rps(a) the onset "
        "is soft up to lam a = sqrt(3)/4 and abrupt beyond (NS-4). The point between, a "
        "generalised Neimark-Sacker or Chenciner point, lies at beta = 1/sqrt(1 - alpha^2) "
        "whatever the strength a > sqrt(3)/4 of the game: cycles start with a jump exactly where "
        "the boundary is at a larger beta than that.",
        MAP,
        "derived",
    ),
    Claim(
        "BIF-2",
        "a window's upper end is soft, its lower end abrupt",
        "MRS-IPO, lam = 1, on a Condorcet winner of margin m over rps(.482) (MRS-14). In the plane "
        "of beta and alpha the unstable recipes lie below an arch that begins and ends at alpha = "
        "0; above its top, alpha = .837 at m = .05 and .630 at m = .08, every beta is stable. l1 "
        "is positive on the small-beta side and changes sign at one point of the arch, (beta, "
        "alpha) = (.1177, .8067) and (.0847, .5700). So below the window the winner's fixed point "
        "is stable again, but only from nearby: at alpha = 1/2, m = .02 and .05, starts near it "
        "return at .5 to .99 times the lower end, while far starts keep cycling with max|pi - "
        "pi*| > .95; 1 % above the upper end far starts return, too. The cyclic dueling matrix has "
        "the same island, with the change at (.0594, .2335).",
        MAP,
        "derived",
    ),
    Claim(
        "BIF-3",
        "large steps of DPO on a disputed pair double their period, up to chaos",
        "Gradient descent on logits with rate h, DPO with pull beta, two responses of which one is "
        "preferred with share p: the fixed point sigmoid(beta u) = p of the log-ratio gap u loses "
        "stability at h beta^2 = 1/(p (1 - p)) in a flip, which is supercritical for every p, with "
        "coefficient 2 beta^2 (2/3 - 2 p (1 - p)). For p = .7 the doubled cycle flips in turn at "
        "h beta^2 = 6.4530, its double at 6.9694, that at 7.0797: the distances shrink by 3.3 and "
        "4.7, towards Feigenbaum's 4.669.",
        "objective of arXiv 2305.18290",
        "derived",
    ),
)
