"""How abruptly cycles begin: the sign of l1 for MRS-DPO and for random games. NS-4 and NS-5."""

import numpy as np

from analysis import Check
from analysis.how_sampling_shapes.bistable import EXAMPLES, rps_dpo
from analysis.how_sampling_shapes.normal_forms import crossings
from prefdyn import MRSDPO, MRSIPO, ensemble, games, normal_form
from prefdyn.policies import log_softmax

# ----------------------------------------------------------------------------------------- NS-4


class DPOCoefficient(Check):
    """The coefficient that changes sign, by the package."""

    claim = "NS-4"
    part = "l1 = -(1 - alpha^2)(3/4 - 4 lam^2 a^2) for |q|^2 = 3, random a, alpha and lam"
    instances = 30

    def draw(self, rng):
        return rng.uniform(0.05, 0.49), rng.uniform(0, 0.95), rng.uniform(0.3, 1)

    def predict(self, instance):
        a, alpha, lam = instance
        return -(1 - alpha**2) * (0.75 - 4 * lam**2 * a**2)

    def observe(self, instance):
        return 3 * normal_form(rps_dpo(instance, 1.0)).coefficient


class DPOCriticality(DPOCoefficient):
    """The sign as a word; draws closer than 1e-3 to the change of sign are left out."""

    part = "supercritical if lam a < sqrt(3)/4, subcritical beyond"
    comparison = "agree"
    tolerance = 0.0

    def skip(self, instance):
        a, _, lam = instance
        return abs(lam * a - np.sqrt(3) / 4) < 1e-3

    def predict(self, instance):
        a, _, lam = instance
        return "supercritical" if lam * a < np.sqrt(3) / 4 else "subcritical"

    def observe(self, instance):
        return normal_form(rps_dpo(instance, 1.0)).criticality


class FoldOfTheCycle(Check):
    """Up-sweeps of beta with the large cycle as start, halving the step where it is lost."""

    claim = "NS-4"
    part = (
        "alpha = 0, lam = 1: the large cycle ends at beta/beta_c 1.003, 1.007, 1.014, 1.025, 1.043"
    )
    tolerance = 1e-3
    cases = (np.array([0.45, 0.46, 0.47, 0.48, 0.49]),)
    rounds = 4000

    def predict(self, instance):
        return np.array([1.003, 1.007, 1.014, 1.025, 1.043])

    def observe(self, instance):
        ratio, step = np.full(5, 0.999), np.full(5, 0.008)
        state = np.broadcast_to(log_softmax(np.array([3.0, 0, -3])), (5, 3))
        while step.max() > 2e-4:
            trial = ratio + step
            beta = 4 * instance / np.sqrt(3) * trial
            rule = MRSDPO(games.rock_paper_scissors(instance), beta, 0.0, 1.0)
            run = ensemble(rule, log_starts=state, rounds=self.rounds, reducers=["last_log_policy"])
            last = run["last_log_policy"]
            alive = np.abs(np.exp(last) - 1 / 3).max(-1) > 0.05
            state = np.where(alive[:, None], last, state)
            ratio, step = np.where(alive, trial, ratio), np.where(alive, step, step / 2)
        return ratio


# ----------------------------------------------------------------------------------------- NS-5


class ShareOfSubcritical(Check):
    """How often random games are subcritical; the law of the draws is that of `crossings`."""

    claim = "NS-5"
    part = "share of l1 > 0 among random thresholds: tau log-uniform in .005 to .5, alpha > 0"
    comparison = "report"
    cases = tuple((K, uniform) for K in (3, 4, 5, 6) for uniform in (True, False))
    size = 600

    def observe(self, instance):
        rng = np.random.default_rng((9, *instance))
        l1 = crossings(rng, instance[0], self.size, instance[1]).critical().l1
        return instance[0], int(np.sum(l1 > 0)), len(l1)

    def summary(self, observations):
        counts = []
        for K in sorted({observed[0] for observed in observations}):
            positive, number = np.sum([rest for k, *rest in observations if k == K], axis=0)
            counts.append(f"{positive} of {number} at K = {K}")
        return "subcritical " + ", ".join(counts)


class OnsetOfExamples(Check):
    """The sign at the thresholds of the three examples."""

    claim = "NS-5"
    part = "the onset at beta_c is subcritical in (a) and (b), supercritical in (c)"
    comparison = "agree"
    tolerance = 0.0
    cases = EXAMPLES

    def predict(self, instance):
        return "supercritical" if instance is EXAMPLES[2] else "subcritical"

    def observe(self, instance):
        rule = MRSIPO(instance.game, instance.beta_c, instance.alpha, 1.0)
        return normal_form(rule).criticality
