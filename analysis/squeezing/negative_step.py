"""One step against a response, in multi-class logistic regression: SQZ-2 and SQZ-3.

Logistic regression is `UnconstrainedFeatures` with frozen hidden states.
"""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.squeezing._logistic import after, likeliest_other, log_odds
from prefdyn.policies import Tabular, UnconstrainedFeatures, log_softmax

BATCH = 100


class NegativeStep(Check):
    """Logistic regressions with 3 to 60 classes, flat to peaky, and one step against a class."""

    claim = "SQZ-2"
    part = "p'_i is proportional to p_i exp(e (p_i - 1[i = y]))"
    instances = 50
    batch = BATCH

    def draw(self, rng):
        K, d = int(rng.integers(3, 61)), int(rng.integers(1, 6))
        phi = rng.normal(size=d)
        W = rng.normal(size=(BATCH, K, d)) * log_uniform(rng, 0.1, 3, (BATCH, 1, 1))
        y = rng.integers(K, size=BATCH)
        # In a third of the draws the step is against the likeliest class.
        y = np.where(rng.uniform(size=BATCH) < 1 / 3, (W @ phi).argmax(-1), y)
        return W, phi, y, log_uniform(rng, 1e-3, 10, BATCH)

    def before(self, instance):
        W, phi, *_ = instance
        return log_softmax(W @ phi)

    def predict(self, instance):
        _, _, y, e = instance
        log_p = self.before(instance)
        against = np.eye(log_p.shape[-1])[y]
        return log_softmax(log_p + e[:, None] * (np.exp(log_p) - against))

    def observe(self, instance):
        W, phi, y, e = instance
        policy = UnconstrainedFeatures(W[0], phi, kappa_h=0)
        params = np.hstack([W.reshape(BATCH, -1), np.tile(phi, (BATCH, 1))])
        return after(policy, params, y, -e / (phi @ phi))


@cache
def derived_negative_step():
    """Log-odds after a step against class 0 by sympy: three classes, two features."""
    import sympy

    w, phi = sympy.symbols("w:6", real=True), sympy.symbols("f:2", real=True)
    W = sympy.Matrix(3, 2, w)
    eta = sympy.Symbol("eta", positive=True)
    z = W * sympy.Matrix(phi)
    loss = z[0] - sympy.log(sum(map(sympy.exp, z)))  # + log p_0, minimised
    stepped = W - eta * sympy.Matrix(3, 2, lambda i, j: sympy.diff(loss, W[i, j]))
    moved = stepped * sympy.Matrix(phi)
    return sympy.lambdify((w, phi, eta), [moved[1] - moved[0], moved[2] - moved[0]])


class NegativeStepDerived(Check):
    """The step differentiated symbolically, against the package's."""

    claim = "SQZ-2"
    part = "the log-odds after a step against y, symbolically, against the package's step"

    def draw(self, rng):
        return rng.normal(size=(3, 2)), rng.normal(size=2), log_uniform(rng, 1e-3, 10)

    def predict(self, instance):
        W, phi, eta = instance
        return np.array(derived_negative_step()(W.ravel(), phi, eta))

    def observe(self, instance):
        W, phi, eta = instance
        policy = UnconstrainedFeatures(W, phi, kappa_h=0)
        moved = after(policy, policy.params[None], [0], [-eta])[0]
        return moved[1:] - moved[0]


class Guarantees(NegativeStep):
    """In log-odds, which keep their digits where a probability is nearly 1."""

    claim = "SQZ-2"
    part = "y falls and the likeliest other response rises, at every e > 0"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        return np.ones((2, BATCH), dtype=bool)

    def observe(self, instance):
        y, before, moved = instance[2], self.before(instance), super().observe(instance)
        star = likeliest_other(before, y)
        falls = log_odds(moved, y) < log_odds(before, y)
        return np.stack([falls, log_odds(moved, star) > log_odds(before, star)])


class RichGetRicher(NegativeStep):
    """Relative gains of all but y, against the likelihood they started from."""

    claim = "SQZ-3"
    part = "among i != y, log(p'_i/p_i) - log(p'_j/p_j) = e (p_i - p_j)"

    def without_y(self, instance, x):
        own = np.eye(x.shape[-1], dtype=bool)[instance[2]]
        return x[~own].reshape(BATCH, -1)

    def predict(self, instance):
        p = self.without_y(instance, np.exp(self.before(instance)))
        return instance[3][:, None] * (p - p[:, :1])

    def observe(self, instance):
        gain = self.without_y(instance, super().observe(instance) - self.before(instance))
        return gain - gain[:, :1]


class Threshold(NegativeStep):
    """Who rises, for any size of step."""

    claim = "SQZ-3"
    part = "i rises iff p_i > (1/e) log sum_j p_j exp(e (p_j - 1[j = y]))"
    comparison = "agree"
    tolerance = 0.0

    def predict(self, instance):
        _, _, y, e = instance
        p = np.exp(self.before(instance))
        kept = p * np.exp(e[:, None] * (p - np.eye(p.shape[-1])[y]))
        bar = np.log(kept.sum(-1)) / e
        own = np.eye(p.shape[-1], dtype=bool)[y]
        return (p > bar[:, None]) & ~own  # y itself always falls (SQZ-2)

    def observe(self, instance):
        return super().observe(instance) > self.before(instance)


class OnlyOneRises(Threshold):
    """How often y* alone gains: a matter of the draws, reported."""

    claim = "SQZ-3"
    part = "share of the drawn policies in which only y* rises"
    comparison = "report"

    def observe(self, instance):
        return (super().observe(instance).sum(-1) == 1).mean()


class SmallStep(Check):
    """The first order in e, and whose sign it has."""

    claim = "SQZ-3"
    part = "small step: d log p_i/de = p_i - 1[i = y] - S + p_y"
    tolerance = 1e-8
    step = 1e-4

    def draw(self, rng):
        K = int(rng.integers(3, 61))
        return rng.normal(size=K) * log_uniform(rng, 0.3, 3), int(rng.integers(K))

    def predict(self, instance):
        logits, y = instance
        p = np.exp(log_softmax(logits))
        return p - np.eye(len(p))[y] - (p**2).sum() + p[y]

    def observe(self, instance):
        logits, y = instance
        up, down = after(Tabular(logits), np.tile(logits, (2, 1)), [y, y], [-self.step, self.step])
        return (up - down) / (2 * self.step)


class OnlyOneRisesAtFirst(SmallStep):
    """When a small step lifts y* alone."""

    claim = "SQZ-3"
    part = "small step: only y* rises iff the second largest, y left out, is below S - p_y"
    comparison = "agree"
    instances = 1000
    tolerance = 0.0
    step = 1e-6

    def second(self, instance):
        """The second largest without y, and S - p_y."""
        logits, y = instance
        p = np.exp(log_softmax(logits))
        return np.sort(np.delete(p, y))[-2], (p**2).sum() - p[y]

    def skip(self, instance):
        second, bar = self.second(instance)
        return abs(second - bar) < 1e-6

    def predict(self, instance):
        second, bar = self.second(instance)
        return second < bar

    def observe(self, instance):
        return (super().observe(instance) > 0).sum() == 1
