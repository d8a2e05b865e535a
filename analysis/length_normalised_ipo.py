"""Length-normalised IPO, as trainers implement it: IPO-9."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.how_sampling_shapes.one_shot_ipo import one_shot, shipped_optimum
from prefdyn import IPO, Pair

Array = np.ndarray


@cache
def derived_pushes():
    """Pushes on the summed log-probabilities of the length-normalised squared loss."""
    import sympy

    form = IPO().symbolic()
    pair = form.pair
    per_token = {
        pair.chosen: pair.chosen / pair.chosen_length,
        pair.rejected: pair.rejected / pair.rejected_length,
        pair.ref_chosen: pair.ref_chosen / pair.chosen_length,
        pair.ref_rejected: pair.ref_rejected / pair.rejected_length,
    }
    loss = form.loss.subs(per_token, simultaneous=True)
    pushes = [-sympy.diff(loss, pair.chosen), sympy.diff(loss, pair.rejected)]
    names = (pair.chosen, pair.rejected, pair.ref_chosen, pair.ref_rejected)
    return sympy.lambdify(
        (*names, pair.chosen_length, pair.rejected_length, form.parameters["beta"]), pushes
    )


class LengthNormalisedMargin(Check):
    """Two responses of 20 tokens: the minimum with means against the shipped optimum at beta/n."""

    claim = "IPO-9"
    part = "equal lengths: the optimum is that of summed log-ratios at beta/n (n = 20, K = 2)"
    tolerance = 1e-8
    instances = 100

    def draw(self, rng):
        return one_shot(rng, K=2)

    def predict(self, instance):
        u = shipped_optimum(instance._replace(beta=instance.beta / 20))
        u = u - np.log(instance.reference)
        return u[0] - u[1]

    def observe(self, instance):
        from scipy.optimize import brentq

        weights = np.outer(instance.mu, instance.mu) * instance.game.P
        objective = IPO(instance.beta)

        def slope(margin):
            mean = np.array([margin, 0.0]) / 20
            up, down = objective.pushes(Pair(chosen=mean[:, None], rejected=mean[None, :]))
            return np.sum(weights * down, axis=0)[0] - np.sum(weights * up, axis=1)[0]

        edge = 20 / instance.beta  # the target is half as far
        return brentq(slope, -edge, edge, xtol=1e-13 * edge)


class LengthNormalisedPushes(Check):
    """Pushes for unequal lengths: symbolic against finite differences."""

    claim = "IPO-9"
    part = "pushes on summed log-probabilities, symbolically, against finite differences"
    tolerance = 1e-6

    def draw(self, rng):
        logs = -rng.uniform(1, 20, size=4)
        lengths = rng.integers(1, 30, size=2).astype(float)
        return logs, lengths, log_uniform(rng, 0.05, 3)

    def predict(self, instance):
        logs, lengths, beta = instance
        return np.array(derived_pushes()(*logs, *lengths, beta))

    def observe(self, instance):
        logs, lengths, beta = instance
        up, down = (
            np.array([per_token_loss(logs + sign * h, lengths, beta) for h in 1e-6 * np.eye(4)[:2]])
            for sign in (1, -1)
        )
        return (up - down) / 2e-6 * np.array([-1, 1])


class LengthRatioOfPushes(Check):
    """The ratio of the two pushes is the inverse ratio of the lengths."""

    claim = "IPO-9"
    part = "chosen and rejected pushes are as 1/n_w to 1/n_l"
    tolerance = 1e-10
    comparison = "relative"
    draw = LengthNormalisedPushes.draw

    def predict(self, instance):
        _, (chosen, rejected), _ = instance
        return rejected / chosen

    def observe(self, instance):
        logs, lengths, beta = instance
        up, down = derived_pushes()(*logs, *lengths, beta)
        return up / down


def per_token_loss(logs: Array, lengths: Array, beta: float) -> float:
    """The shipped loss of per-token means; logs are (chosen, rejected, and their references)."""
    chosen, rejected, ref_chosen, ref_rejected = logs / np.tile(lengths, 2)
    return float(
        IPO(beta).loss(
            Pair(chosen=chosen, rejected=rejected, ref_chosen=ref_chosen, ref_rejected=ref_rejected)
        )
    )
