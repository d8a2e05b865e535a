"""Loss and pushes of every objective, written out by hand for mpmath: one line of data for each.

The names are those of the mathematics: lw, ll, rw, rl log-probabilities of chosen and rejected
under policy and reference, nw, nl lengths, a = lw - rw, b = ll - rl, h = a - b, c token means,
m their gap, rho = a/nw - b/nl.  Hyper-parameters have their own names; e stands for
label_smoothing, B for beta.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import mpmath

exp, log = mpmath.exp, mpmath.log


def ls(x):
    """log sigmoid."""
    return -mpmath.log1p(exp(-x)) if x >= 0 else x - mpmath.log1p(exp(x))


def s(x):
    """The sigmoid."""
    return exp(ls(x))


def ds(x):
    """Derivative of the sigmoid."""
    return s(x) * s(-x)


def pos(x):
    """Positive part."""
    return max(x, mpmath.mpf(0))


def on(condition):
    """Indicator."""
    return 1 if condition else 0


class Case(NamedTuple):
    """Hyper-parameters, and ``v -> (loss, d_w, d_l)``."""

    parameters: dict[str, Any]
    formula: Callable[[SimpleNamespace], tuple[Any, Any, Any]]
    guarded: bool = False


def both(loss, push):
    """A loss whose two pushes are equal."""
    return loss, push, push


def logistic(x, by_w, by_l):
    """``-log sigmoid(x)`` with derivatives by_w = dx/dlw, by_l = -dx/dll."""
    return -ls(x), s(-x) * by_w, s(-x) * by_l


def smooth(x, e, by_w, by_l):
    """Logistic loss with smoothed labels."""
    g = (1 - e) * s(-x) - e * s(x)
    return -(1 - e) * ls(x) - e * ls(-x), g * by_w, g * by_l


def plus(first, *second):
    """Sum of two triples."""
    return tuple(one + two for one, two in zip(first, second, strict=True))


def exo(v):
    x, lo, hi = v.B * v.h, log(v.e), log(1 - v.e)
    loss = s(x) * (ls(x) - hi) + s(-x) * (ls(-x) - lo)
    return both(loss, v.B * ds(x) * (hi - lo - x))


def discopop(v):
    x = v.B * v.h
    g, rest = s(x / v.tau), s(-x / v.tau)
    push = rest * s(-x) + g * exp(-x) - g * rest / v.tau * (exp(-x) + ls(x))
    return both(-rest * ls(x) + g * exp(-x), v.B * push)


def orpo(v):
    pw, pl = exp(v.cw), exp(v.cl)
    x = v.cw - v.cl - log(1 - pw) + log(1 - pl)
    return plus(
        (-v.cw - v.B * ls(x), 1 / v.nw, 0),
        *(0, v.B * s(-x) / (v.nw * (1 - pw)), v.B * s(-x) / (v.nl * (1 - pl))),
    )


def dpop(v):
    x = v.B * (v.h - v.lam * pos(-v.a))
    return logistic(x, v.B * (1 + v.lam * on(v.a < 0)), v.B)


def bpo(v):
    left, right = v.B * v.a, -v.alpha * v.B * v.b
    tie = on(left == right) / mpmath.mpf(2)
    return logistic(
        min(left, right), v.B * (on(left < right) + tie), v.alpha * v.B * (on(right < left) + tie)
    )


def chipo(v):
    x = v.B * (exp(v.a) + v.a - exp(v.b) - v.b)
    inside = on(abs(x) < 2 * v.r_max)
    clipped = max(min(x, 2 * v.r_max), -2 * v.r_max)
    return logistic(
        clipped, inside * v.B * (1 + exp(v.a)) if inside else 0, v.B * (1 + exp(v.b)) * inside
    )


def link(v, phi, slope):
    return logistic(v.B * (phi(v.a) - phi(v.b)), v.B * slope(v.a), v.B * slope(v.b))


def calibrated(v, k):
    t = 1 / (2 * v.B)
    return k * ((v.a - t) ** 2 + (v.b + t) ** 2), 2 * k * (t - v.a), 2 * k * (v.b + t)


def sppo(v):
    tw, tl = (v.Pw - 0.5) / v.B, (v.Pl - 0.5) / v.B
    return ((v.a - tw) ** 2 + (v.b - tl) ** 2) / 2, tw - v.a, v.b - tl


def ipo_mean(v):
    k = 1 / (2 * v.B) - v.rho
    return k**2, 2 * k / v.nw, 2 * k / v.nl


def pro(v):
    sides = [v.B * v.a, v.B * v.b]
    loss = -ls(v.B * v.h) - v.reg_weight / 2 * sum(ls(x) + ls(-x) for x in sides)
    pull = [v.reg_weight / 2 * mpmath.tanh(x / 2) for x in sides]
    return loss, v.B * (s(-v.B * v.h) - pull[0]), v.B * (s(-v.B * v.h) + pull[1])


def alphapo(v):
    def r(c):
        return (1 - exp(-v.alpha * c)) / v.alpha

    x = v.B * (r(v.cw) - r(v.cl)) - v.gamma
    by_w, by_l = exp(-v.alpha * v.cw) / v.nw, exp(-v.alpha * v.cl) / v.nl
    return logistic(x, v.B * by_w, v.B * by_l)


def alpha_dpo(v):
    x = v.B * (v.m - v.gamma_beta_ratio - v.alpha * (v.rho - v.ema_mean) / v.ema_std)
    return logistic(x, v.B / v.nw, v.B / v.nl)


def kto(v):
    x, y = v.B * (v.a - v.z0), v.B * (v.b - v.z0)
    loss = v.lambda_d * s(-x) + v.lambda_u * s(y)
    return loss, v.lambda_d * v.B * ds(x), v.lambda_u * v.B * ds(y)


def bco(v):
    x, y = v.B * v.a - v.delta, v.B * v.b - v.delta
    return -ls(x) - ls(-y), v.B * s(-x), v.B * s(y)


def nca(v):
    x, y = v.B * v.a, v.B * v.b
    loss = -ls(x) - ls(-x) / 2 - ls(-y) / 2
    return loss, v.B * (s(-x) - s(x) / 2), v.B * s(y) / 2


def robust(v):
    x, z = v.B * v.h, 1 - 2 * v.e
    return both((-(1 - v.e) * ls(x) + v.e * ls(-x)) / z, v.B * ((1 - v.e) * s(-x) + v.e * s(x)) / z)


SMOOTH = {"label_smoothing": 0.1}
CASES: dict[str, Case] = {
    "sft": Case({}, lambda v: (-v.lw / v.nw, 1 / v.nw, 0)),
    "dpo": Case({}, lambda v: logistic(v.B * v.h, v.B, v.B)),
    "cdpo": Case({}, lambda v: smooth(v.B * v.h, v.e, v.B, v.B)),
    "robust_dpo": Case({}, robust),
    "exo_pair": Case({}, exo),
    "discopop": Case({}, discopop),
    "cpo": Case(
        {"nll_weight": 0.7},
        lambda v: plus(
            logistic(v.B * (v.lw - v.ll), v.B, v.B), -0.7 * v.cw, mpmath.mpf(0.7) / v.nw, 0
        ),
    ),
    "ipo": Case({}, lambda v: both((v.h - 1 / (2 * v.B)) ** 2, 2 * (1 / (2 * v.B) - v.h))),
    "ipo_mean": Case({}, ipo_mean),
    "rso_hinge": Case({}, lambda v: both(pos(1 - v.B * v.h), v.B * on(v.B * v.h < 1))),
    "slic_hf": Case(
        {},
        lambda v: (
            pos(v.delta - v.lw + v.ll) - v.nll_weight * v.lw,
            on(v.lw - v.ll < v.delta) + v.nll_weight,
            on(v.lw - v.ll < v.delta),
        ),
    ),
    "rrhf": Case(
        {},
        lambda v: (
            pos(v.cl - v.cw) - v.nll_weight * v.lw,
            on(v.cw < v.cl) / v.nw + v.nll_weight,
            on(v.cw < v.cl) / v.nl,
        ),
    ),
    "dpo_norm": Case({}, lambda v: logistic(v.B * v.rho, v.B / v.nw, v.B / v.nl)),
    "simpo": Case(SMOOTH, lambda v: smooth(v.B * v.m - v.gamma, v.e, v.B / v.nw, v.B / v.nl)),
    "alphapo": Case({}, alphapo, guarded=True),
    "orpo": Case({}, orpo, guarded=True),
    "kto": Case({"z0": 0.3, "lambda_d": 1.5}, kto),
    "bco": Case({"delta": 0.2}, bco),
    "nca_pair": Case({}, nca),
    "apo_zero": Case(
        {}, lambda v: (s(-v.B * v.a) + s(v.B * v.b), v.B * ds(v.B * v.a), v.B * ds(v.B * v.b))
    ),
    "apo_down": Case(
        {},
        lambda v: (
            s(v.B * v.a) + s(-v.B * v.h),
            v.B * (ds(v.B * v.h) - ds(v.B * v.a)),
            v.B * ds(v.B * v.h),
        ),
    ),
    "f_dpo_js": Case({}, lambda v: link(v, ls, lambda a: s(-a))),
    "f_dpo_forward_kl": Case(
        {}, lambda v: link(v, lambda a: -exp(-a), lambda a: exp(-a)), guarded=True
    ),
    "f_dpo_alpha": Case(
        {},
        lambda v: link(v, lambda a: (1 - exp(-v.alpha * a)) / v.alpha, lambda a: exp(-v.alpha * a)),
        guarded=True,
    ),
    "chipo": Case({}, chipo, guarded=True),
    "cal_dpo": Case({}, lambda v: plus(logistic(v.h, 1, 1), *calibrated(v, v.cal_weight))),
    "sppo_hard": Case({}, lambda v: calibrated(v, 1)),
    "sppo": Case({}, sppo),
    "dpop": Case({}, dpop),
    "dpo_nll": Case(
        {},
        lambda v: plus(logistic(v.B * v.h, v.B, v.B), -v.nll_weight * v.cw, v.nll_weight / v.nw, 0),
    ),
    "spo": Case(
        {"v_star": 0.4},  # DPO at its default beta
        lambda v: plus(
            logistic(v.h / 10, mpmath.mpf(1) / 10, mpmath.mpf(1) / 10),
            *(v.lam * (-v.cw - v.v_star), v.lam / v.nw, 0),
        ),
    ),
    "dpo_shift": Case({}, lambda v: logistic(v.B * (v.a - v.f * v.b), v.B, v.f * v.B)),
    "bpo": Case({"alpha": 0.6}, bpo),
    "pro": Case({}, pro),
    "r_dpo": Case({}, lambda v: logistic(v.B * v.h + v.alpha * (v.nw - v.nl), v.B, v.B)),
    "alpha_dpo": Case({"ema_mean": 0.1, "ema_std": 0.5}, alpha_dpo),
    "xpo": Case(
        {"ref_sample": "chosen", "alpha": 0.01},
        lambda v: plus(logistic(v.B * v.h, v.B, v.B), v.alpha * v.lw, -v.alpha, 0),
    ),
}
"""Every objective of one pair; those that see tokens or sort a batch have tests of their own."""

ELSEWHERE = {"ld_dpo", "slime", "aot", "aot_unpaired"}


def truth(objective, row: dict[str, Any]) -> list:
    """Loss and pushes of one row of pair fields, in mpmath's working precision."""
    value = {name: mpmath.mpf(float(entry)) for name, entry in row.items()}
    numbers = {name: mpmath.mpf(float(number)) for name, number in objective.numbers().items()}
    v = SimpleNamespace(**{name: n for name, n in numbers.items() if "." not in name})
    v.B, v.e = numbers.get("beta"), numbers.get("label_smoothing")
    v.lw, v.ll, v.rw, v.rl = (
        value[name] for name in ("chosen", "rejected", "ref_chosen", "ref_rejected")
    )
    v.nw, v.nl = value["chosen_length"], value["rejected_length"]
    v.Pw, v.Pl = value["chosen_win_rate"], value["rejected_win_rate"]
    v.a, v.b = v.lw - v.rw, v.ll - v.rl
    v.h, v.cw, v.cl = v.a - v.b, v.lw / v.nw, v.ll / v.nl
    v.m, v.rho = v.cw - v.cl, v.a / v.nw - v.b / v.nl
    return list(CASES[objective.id].formula(v))
