"""Claims about the squeezing effect of a negative step: SQZ-*.

z are the logits of a softmax policy, ``p = softmax(z)``, eta the learning rate, ``e_y`` the unit
vector of response y, ``S = sum_i p_i^2``.  In multi-class logistic regression ``z = W phi`` one
step has the strength ``e = eta |phi|^2``.
"""

from prefdyn.claims._claim import Claim

REN = "arXiv 2407.10490"

CLAIMS = (
    Claim(
        "SQZ-1",
        "what a step on one prompt does to another",
        "A gradient step on the prompt x_u changes the log-probs of the prompt x_o by "
        "-eta A K G + O(eta^2): G = dL/dz(x_u), K_ij = <grad z_i(x_o), grad z_j(x_u)>, "
        "A = I - 1 p(x_o)^T. For SFT G = p(x_u) - e_y. For DPO it is the difference of such terms "
        "for the chosen and the rejected response, each times beta(1 - sigmoid(beta D)), D the "
        "log-ratio gap; that of the rejected one is subtracted.",
        REN,
        "paper",
    ),
    Claim(
        "SQZ-2",
        "a negative step lifts the likeliest other response",
        "In logistic regression one step against y gives p'_i proportional to "
        "p_i exp(e (p_i - 1[i = y])). For every e > 0, p_y falls and the likeliest other response "
        "y* = argmax_{i != y} p_i rises, also where y is the likeliest of all.",
        REN,
        "paper: statements; derived: closed form",
    ),
    Claim(
        "SQZ-3",
        "the rich get richer",
        "Among i != y, p'_i/p_i increases in p_i; i rises if and only if "
        "p_i > (1/e) log sum_j p_j exp(e (p_j - 1[j = y])). A small step gives "
        "d log p_i = e (p_i - 1[i = y] - S + p_y): i != y rises iff p_i > S - p_y, and y* alone "
        "rises iff the second largest, y left out, is below S - p_y. Often others rise with y*: "
        "how often it is alone is a matter of the policies drawn, and only reported.",
        REN,
        "paper: trend; derived: exact form",
    ),
    Claim(
        "SQZ-4",
        "squeezing is strong for peaky policies and unlikely targets",
        "p'_{y*} increases in e. Let p_y grow at the cost of all others in proportion, at fixed e: "
        "up to p_y = p_{y*} the log mass of the rest (neither y nor y*) then falls less and the "
        "log gain of y* grows. Past that point either can turn, and the absolute gain of y* can "
        "shrink before it. Of 50 responses at e = 2, against an unlikely one: a peaky policy with "
        "p_{y*} = 0.818 goes to 0.958 and all others fall; in a flat one y* goes from 0.0230 to "
        "0.0235 and none of the others falls.",
        REN,
        "paper: trend; derived: exact form",
    ),
    Claim(
        "SQZ-5",
        "learning the rejected response first softens the squeeze",
        "One to five positive steps (e = 0.5) on an unlikely y before a negative step on it: in at "
        "least 99 % of random policies in which y has not become the likeliest, the log mass of "
        "the others then falls less than without. On language models off-policy DPO lowers nearly "
        "everything but the model's own argmax, and SFT on the rejected responses as well "
        '("extend") softens that; there it is a published trend, not measured here.',
        REN,
        "paper",
    ),
)
