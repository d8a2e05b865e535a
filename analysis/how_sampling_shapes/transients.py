"""What perturbations do before they die: growth in the metric of KL and in logits. NS-6."""

import numpy as np

from analysis import Check
from analysis._draws import game, interior, log_uniform, responses
from analysis.how_sampling_shapes._recipes import Recipe, rotations
from prefdyn import MRSIPO, fixed_point, games, stability, transient_growth


class NormalInKL(Check):
    """The largest growth of perturbations in the metric of KL, round by round."""

    claim = "NS-6"
    part = "random games and references: ||M^t|| = radius^t in the metric of KL, t = 0 to 20"
    tolerance = 1e-6  # the metric is by differences of log-probabilities
    instances = 25

    def draw(self, rng):
        K = responses(rng)
        r = Recipe(game(rng, K), log_uniform(rng, 0.05, 3), rng.uniform(0, 0.95), rng.uniform(0, 1))
        return r._replace(reference=interior(rng, K), offline=interior(rng, K))

    def skip(self, instance):
        return stability(instance.rule()).spectral_radius > 0.99

    def predict(self, instance):
        s = rotations(instance.game.skew, fixed_point(instance.rule()).policy)[0]
        return np.hypot(instance.alpha, instance.lam * s / instance.beta) ** np.arange(21)

    def observe(self, instance):
        return transient_growth(instance.rule(), rounds=20, norm="kl").growth


class LogitsMayGrow(Check):
    """The same Jacobian in logits, where it is not normal."""

    claim = "NS-6"
    part = "rps(.4), beta = .25, alpha = .5, reference (.90, .09, .01): logits grow by 1.054 first"
    tolerance = 1e-3
    cases = ((0.9, 0.09, 0.01),)

    def predict(self, instance):
        return 1.0542

    def observe(self, instance):
        rule = MRSIPO(games.rock_paper_scissors(0.4), 0.25, 0.5, 1.0, instance)
        return transient_growth(rule).peak
