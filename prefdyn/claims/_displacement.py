"""Claims about likelihood displacement: DISP-*.

The policy is ``softmax(W h)`` with trainable rows W_v, one per token, and free hidden states h
(unconstrained features), which learn kappa_W and kappa_h times as fast as the step says.  + and -
are the chosen and the rejected token, ``Wbar = sum_v pi_v W_v``, the loss is l(margin) with
``c = -l'(margin) > 0``, and rates are those of gradient flow: per unit of learning rate.  beta is
the pull to the reference.
"""

from prefdyn.claims._claim import Claim

RAZIN = "arXiv 2410.08847"

CLAIMS = (
    Claim(
        "DISP-1",
        "what likelihood displacement is",
        "Displacement is a falling loss together with a falling mean log-probability of the chosen "
        "responses. For a loss of the margin every response y moves at the rate "
        "d ln pi(y)/dt = c <grad ln pi(y), grad ln pi(y+) - grad ln pi(y-)>, so the loss always "
        "falls, and the chosen response falls if and only if "
        "<grad ln pi(y+), grad ln pi(y-)> > |grad ln pi(y+)|^2.",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-2",
        "exact rate for one token",
        "With kappa_W = kappa_h = 1, d ln pi_+/dt = c [m - (1 - pi_+ + pi_-) <W_+, W_-> "
        "- sum_{z not +,-} pi_z <W_z, W_+ - W_->], m = (1 - pi_+) |W_+|^2 + pi_- |W_-|^2 "
        "+ (1 - pi_+ + pi_-) |h|^2 >= 0; the bracket equals "
        "<W_+ - Wbar, W_+ - W_-> + (1 - pi_+ + pi_-) |h|^2.",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-3",
        "where the mass goes",
        "For a token z outside the pair d ln pi_z/dt = c [<W_z, W_+ - W_-> + a constant that is "
        "the same for all such z]: the further a row reaches along W_+ - W_-, the more its token "
        "gains.",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-4",
        "the ratio of learning rates decides",
        "One step moves ln pi_z by eta c {kappa_h <W_z - Wbar, W_+ - W_-> + kappa_W (1[z=+] "
        "- 1[z=-] - pi_+ + pi_-) |h|^2}. With kappa_h = 0, or a plain table of logits, one pair "
        "never displaces; with kappa_W = 0 it does if and only if "
        "<W_+ - Wbar, W_+ - W_-> < 0; in general if and only if kappa_W/kappa_h < "
        "-<W_+ - Wbar, W_+ - W_-> / ((1 - pi_+ + pi_-) |h|^2).",
        RAZIN,
        "derived: general ratio; paper: fixed hidden state",
    ),
    Claim(
        "DISP-5",
        "preferring No over Never raises Yes",
        "Rows Yes (1, 0), No (-1, 1), Never (-1.6, 1), Maybe (.3, .2), _No (-.9, .6), state "
        "(2.5, 7), DPO with beta = .1, 30,000 gradient steps of rate .02 on No over Never: with "
        "the rows fixed pi(Yes) tends to 1 while the loss falls all the way; with the state fixed, "
        "or both trained at equal rates, pi(No) tends to 1; at kappa_W/kappa_h = .001 pi(Yes) "
        "tends to 1 again. A first step raises No from a ratio of .00386 on (DISP-4), yet that "
        "does not decide the end: at .005 training still leaves Yes with .896.",
        RAZIN,
        "derived",
    ),
    Claim(
        "DISP-6",
        "exact rate for several tokens",
        "For responses whose first tokens differ d ln pi(y+)/dt = c [m + S1 - sum c-_{kk'} "
        "<h+_k, h-_k'> + sum c+_{kk'} <h+_k, h+_k'>] with c-_{kk'} = <e_{y+_k} - p+_k, "
        "e_{y-_k'} - p-_k'> and c+_{kk'} = <e_{y+_k} - p+_k, e_{y+_k'} - p+_k'> in [-2, 2], "
        "S1 = -(1 - pi_+1 + pi_-1) <W_+1, W_-1> - sum_{z not +1,-1} pi_z <W_z, W_+1 - W_-1>, "
        "m = (1 - pi_+1) |W_+1|^2 + pi_-1 |W_-1|^2 + sum_{k>=2} |W_{y+_k} - Wbar_k|^2. A third "
        "response z with another first token moves at the rate c [<W_z1 - Wbar, W_+1 - W_-1> "
        "- sum b- <h^z, h-> + sum b+ <h^z, h+>], b as c with z in the place of y+ on the left. "
        "With multipliers the terms in W carry kappa_h and those in <h, h'> carry kappa_W.",
        RAZIN,
        "paper; derived: multipliers",
    ),
    Claim(
        "DISP-7",
        "other prompts push through the shared unembedding",
        "Among |D| prompts with one-token answers, prompt x~ adds (c_x~/|D|) a <h_x, h_x~> to "
        "d ln pi(y+|x)/dt, a = 1[y+ = y~+] - 1[y+ = y~-] + pi(y~-|x) - pi(y~+|x) in [-2, 2]: "
        "for <h_x, h_x~> > 0 that lowers y+ if the pairs contradict each other, and if they share "
        "no token and pi(y~-|x) < pi(y~+|x); y~+ itself always gains at x.",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-8",
        "adding a likelihood term",
        "Let the loss of the margin alone move ln pi(y+) at the rate E. With nu times the "
        "negative log-likelihood of y+ on top the rate is E + nu |grad ln pi(y+)|^2; the loss "
        "l(c1 ln pi(y+) - c2 ln pi(y-)) gives rho E + gamma |grad ln pi(y+)|^2 with "
        "rho = c2 l'(weighted)/l'(margin) and gamma = -(c1 - c2) l'(weighted).",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-9",
        "the CHES score",
        "CHES = <S+, S-> - |S+|^2 with S the sum of the hidden states that predict the tokens of a "
        "response: from the last prompt token on, without the state after the response's last "
        "token. Length-normalised: <S+, S->/(n+ n-) - |S+|^2/n+^2. Padding never enters. It is "
        "minus the part of DISP-6 that comes from hidden states, with every coefficient set to 1.",
        RAZIN,
        "paper",
    ),
    Claim(
        "DISP-10",
        "CHES ranks displacement, and so does length",
        "In a toy with the rate of DISP-6 (500 pairs, 50 tokens, lengths 3 to 24) the rank "
        "correlation of CHES with the fall of ln pi(y+) is above .6 for uniformly drawn tokens, "
        "whether lengths are free or equal; with free lengths the bare difference of lengths "
        "n- - n+ ranks as well, to within .1, on and off policy; after 8 gradient steps on 64 "
        "pairs with a shared W the mean change of ln pi(y+) goes from gain to loss as the "
        "percentile of CHES, or of the difference of lengths, rises; with equal lengths it is "
        "nearly flat in the middle.",
        RAZIN,
        "derived",
    ),
    Claim(
        "DISP-11",
        "filtering by the length-normalised CHES score",
        "Published for refusals of language models: DPO on the 5 to 15 % of pairs with the lowest "
        "length-normalised CHES score keeps the refusals that DPO on all pairs loses. Reported for "
        "the toy of DISP-10, asserted nowhere: what training on the lowest and on the highest "
        "scores does to ln pi(y+) and to the mass outside the pairs.",
        RAZIN,
        "paper",
    ),
)
