"""Where squeezing is strong, and how to soften it: SQZ-4 and SQZ-5.

The table of logits is logistic regression with ``|phi| = 1``.
"""

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.squeezing._logistic import after, likeliest_other, log_odds, others_log_mass
from prefdyn.policies import Tabular, log_softmax


class LargerStepSqueezesMore(Check):
    """One policy, a ladder of steps."""

    claim = "SQZ-4"
    part = "p'_{y*} increases in e"
    comparison = "agree"
    tolerance = 0.0

    def draw(self, rng):
        K = int(rng.integers(3, 61))
        return rng.normal(size=K) * log_uniform(rng, 0.1, 3), int(rng.integers(K))

    def predict(self, instance):
        return True

    def observe(self, instance):
        logits, y = instance
        e = np.geomspace(1e-3, 10, 25)
        policies = after(Tabular(logits), np.tile(logits, (25, 1)), np.full(25, y), -e)
        star = likeliest_other(logits[None], np.array([y]))
        return bool(np.all(np.diff(log_odds(policies, np.repeat(star, 25))) > 0))


class UnlikelyTargetSqueezesMore(Check):
    """y is raised with the rest rescaled, up to y*; others and y* at every height."""

    claim = "SQZ-4"
    part = "p_y < p_{y*}: raising p_y makes the others fall less and y* gain more, in logs"
    comparison = "at_least"
    instances = 1000
    tolerance = 1e-12
    heights = np.linspace(0.01, 0.99, 12)
    """p_y as a share of the height at which it meets y*."""

    def draw(self, rng):
        K = int(rng.integers(3, 61))
        rest = np.exp(log_softmax(rng.normal(size=K - 1) * log_uniform(rng, 0.1, 3)))
        return rest, log_uniform(rng, 1e-2, 10)

    def changes(self, instance, heights):
        """Change of the others' log mass and of log p_{y*} at each height; y is response 0."""
        rest, e = instance
        p_y = heights * rest.max() / (1 + rest.max())
        log_p = np.log(np.column_stack([p_y, (1 - p_y)[:, None] * rest]))
        y = np.zeros(len(heights), dtype=int)
        star = likeliest_other(log_p, y)
        moved = after(Tabular(log_p[0]), log_p, y, np.full(len(y), -e))
        others = others_log_mass(moved, y, star) - others_log_mass(log_p, y, star)
        gain = (moved - log_p)[np.arange(len(y)), star]
        return others, gain

    def predict(self, instance):
        return 0.0

    def observe(self, instance):
        others, gain = self.changes(instance, self.heights)
        return min(np.diff(others).min(), np.diff(gain).min())


class NotBeyond(UnlikelyTargetSqueezesMore):
    """What is not claimed: past the argmax, and for the absolute gain."""

    claim = "SQZ-4"
    part = "both can turn where y is the likeliest, and the absolute gain of y* can before"
    comparison = "agree"
    instances = 1
    tolerance = 0.0

    def draw(self, rng):
        return [super(NotBeyond, self).draw(rng) for _ in range(50)]

    def predict(self, instance):
        return True, True, True

    def observe(self, instance):
        past, absolute = [], []
        for one in instance:
            certain = (1 + one[0].max()) / one[0].max()  # the height at which p_y is 1
            changes = self.changes(one, np.linspace(1.05, 0.98 * certain, 8))
            past.append(np.diff(changes).min(axis=-1))  # of the others, and of y*
            p_star = (1 - self.heights * one[0].max() / (1 + one[0].max())) * one[0].max()
            absolute.append(np.diff(p_star * np.expm1(self.changes(one, self.heights)[1])).min())
        return *(np.min(past, axis=0) < -1e-6), min(absolute) < -1e-6


class TestVectors(Check):
    """The five tokens p = softmax(2, 1, 0, -1, -2) at e = 0.5, tokens counted from 0."""

    claim = "SQZ-4"
    part = "softmax(2, 1, 0, -1, -2), e = 0.5: against the fourth token, and against the first"
    tolerance = 1e-4
    cases = (
        (3, (0.6948, 0.2090, 0.0714, 0.0155, 0.0093)),
        (0, (0.5720, 0.2837, 0.0969, 0.0347, 0.0126)),
    )

    def predict(self, instance):
        return instance[1]

    def observe(self, instance):
        logits = np.array([2.0, 1, 0, -1, -2])
        return np.exp(after(Tabular(logits), logits[None], [instance[0]], [-0.5])[0])


class PeakyAndFlat(Check):
    """Fifty responses, e = 2, a step against one of the least likely."""

    claim = "SQZ-4"
    part = "K = 50, e = 2: .818 goes to .958 and all others fall; .0230 to .0235 and none does"
    cases = ("peaky", "flat")
    tolerance = 2e-4

    def start(self, kind):
        rng = np.random.default_rng(0)
        if kind == "peaky":
            return np.concatenate([[0.818], 0.182 * rng.dirichlet(np.ones(49))])
        flat = np.exp(log_softmax(np.sort(rng.uniform(-0.15, 0.15, 50))[::-1]))
        return np.concatenate([[0.023], 0.977 * flat[1:] / flat[1:].sum()])

    def predict(self, instance):
        """Largest probability after the step, and the share of the others that rises."""
        return {"peaky": (0.958, 0.0), "flat": (0.0235, 1.0)}[instance]

    def observe(self, instance):
        p = self.start(instance)
        moved = np.exp(after(Tabular(np.log(p)), np.log(p)[None], [p.argmin()], [-2.0])[0])
        others = np.delete(np.arange(50), [p.argmax(), p.argmin()])
        return moved.max(), (moved > p)[others].mean()


class ExtendSoftens(Check):
    """One to five positive steps on y before the step against it, and without them."""

    claim = "SQZ-5"
    part = "share of policies in which learning y first makes the others' log mass fall less"
    comparison = "at_least"
    instances = 10
    batch = 500
    tolerance = 0.0
    e = 0.5

    def draw(self, rng):
        K = int(rng.integers(3, 61))
        logits = rng.normal(size=(self.batch, K)) * log_uniform(rng, 0.3, 3, (self.batch, 1))
        y = np.where(np.eye(K)[logits.argmax(-1)], -np.inf, rng.uniform(size=logits.shape))
        return logits, y.argmax(-1), rng.integers(1, 6, size=self.batch)

    def predict(self, instance):
        return 0.99

    def learnt(self, instance):
        """Log-probs after the positive steps."""
        logits, y, steps = instance
        log_p = log_softmax(logits)
        for k in range(5):
            log_p = after(Tabular(logits[0]), log_p, y, self.e * (k < steps))
        return log_softmax(log_p)

    def observe(self, instance):
        logits, y, _ = instance
        learnt = self.learnt(instance)
        falls = [self.fall(start, y) for start in (learnt, log_softmax(logits))]
        return (falls[0] > falls[1])[learnt.argmax(-1) != y].mean()

    def fall(self, log_p, y):
        """Change of the others' log mass in one step against y."""
        star = likeliest_other(log_p, y)
        moved = after(Tabular(log_p[0]), log_p, y, np.full(len(y), -self.e))
        return others_log_mass(moved, y, star) - others_log_mass(log_p, y, star)


class ExtendLifts(ExtendSoftens):
    """What the positive steps do to y itself, in log-odds."""

    claim = "SQZ-5"
    part = "the positive steps lift y"
    comparison = "agree"

    def predict(self, instance):
        return np.ones(self.batch, dtype=bool)

    def observe(self, instance):
        logits, y, _ = instance
        return log_odds(self.learnt(instance), y) > log_odds(log_softmax(logits), y)
