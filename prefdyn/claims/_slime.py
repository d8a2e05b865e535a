"""Claims about SLIME, a loss with an anchor, a floor and a margin: SLIME-*.

Parameters as in `prefdyn.objectives.SLIME`; ``m = c_w - c_l`` is the margin in nats per token and F
the force of the margin term.
"""

from prefdyn.claims._claim import Claim

SLIME = "arXiv 2602.02383"

CLAIMS = (
    Claim(
        "SLIME-1",
        "the loss",
        "With log-probabilities per token c_w, c_l and m = c_w - c_l, no reference: L = -lambda_w "
        "c_w + lambda_l mean_t softplus(-log pi(l_t) - delta)^p + lambda_d max(0, m_h - m) "
        "sigmoid(-kappa (m - m_s)); lambda_w = lambda_l = 0.1, lambda_d = 1, delta = 1.25, "
        "m_h = 1.5, m_s = 1, kappa = p = 2.5. The mean of the second term is over the response, or "
        "over all rejected tokens of the batch; padding changes nothing.",
        SLIME,
        "paper",
    ),
    Claim(
        "SLIME-2",
        "its forces",
        "The anchor pushes c_w with the constant lambda_w and never saturates. The floor pulls a "
        "rejected token of log-probability l up with p lambda_l softplus(-l - delta)^(p-1) "
        "sigmoid(-l - delta). The margin pushes with F = lambda_d (v + kappa (m_h - m) v (1 - v)), "
        "v = sigmoid(-kappa (m - m_s)), for m < m_h and with 0 beyond: it peaks at 1.231 and jumps "
        "from 0.2227 to 0 at m_h.",
        SLIME,
        "paper: formulas; derived: values",
    ),
    Claim(
        "SLIME-3",
        "the floor, and which part stops the rejected response",
        "While a force F acts on the margin, a rejected token sinks to about l = -delta - "
        "(F/(lambda_l p))^(1/(p-1)), within 0.1 nat (p = 2.5) where that is 1 nat or more below "
        "-delta: -3.77 nats for F = 1 at the paper's lambda_l = 0.1, -87 nats, which is "
        "no floor, at the released code's 5e-4. Beside a likely chosen response the hard margin is "
        "reached before the floor: with one token each and the chosen one held at -0.3, -1, -2 "
        "nats it rests at -1.80, -2.40, -3.14 (lambda_l = 0.1) or -1.80, -2.50, -3.50 (5e-4). "
        "Where the hard margin is what stops it, m stays about m_h.",
        SLIME,
        "derived",
    ),
    Claim(
        "SLIME-4",
        "its place among the cures",
        "A chosen token is pushed up by (lambda_w + F)/n_w, a rejected one down by (F - pull)/n_l, "
        "which may turn upwards. In the step law these are three separate remedies: the anchor is "
        "the linear penalty of a likelihood constraint, the hard margin ends the push on the pair, "
        "and the floor limits the one on a rejected token. A shared prefix is pushed "
        "up, by (lambda_w + pull)/n, when both responses have n tokens. The hard margin does not "
        "bound the margin itself: in a table of two responses the anchor carries it on until "
        "pull = lambda_w pi_l/pi_w, to 3.3 nats at the released lambda_l.",
        SLIME,
        "derived",
    ),
)
