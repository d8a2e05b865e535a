"""The kernel view on a language model, as far as a toy goes: KER-6, reported."""

from functools import cache, partial

import numpy as np

from analysis import Check
from analysis.kernel_view._language_model import language_model
from analysis.kernel_view._training import agreement, predict, predict_in_function_space, train
from prefdyn.rules import Adam


@cache
def model():
    """One trained model and ten of its completions."""
    return language_model(0)


def pairs():
    """Ten chosen/rejected pairs among the ten completions."""
    rng = np.random.default_rng(1)
    return [tuple(rng.choice(10, 2, replace=False)) for _ in range(10)]


class SGD(Check):
    """A neural n-gram model of 300 weights per token: ten pairs, one run each."""

    claim = "KER-6"
    part = "neural n-gram model, SGD, frozen K: R^2 per pair"
    comparison = "report"
    rate, every = 0.005, 20

    @property
    def cases(self):
        return pairs()

    def observe(self, instance):
        import torch

        path = train(model(), instance, partial(torch.optim.SGD, lr=self.rate))
        start = model().log_probs()
        moved = predict(model(), instance, path, self.rate, self.every) - start
        return agreement(moved, model().log_probs(path[-1]) - start)

    def summary(self, observations):
        r, r2, slope, _, largest = np.median(observations, axis=0)
        worst = min(one.r2 for one in observations)
        return (
            f"medians at {largest:.1f} nats: R^2 {r2:.3f} (worst {worst:.3f}), r {r:.3f}, "
            f"slope {slope:.3f}"
        )


class SGDMeasuredAgain(SGD):
    """The same runs, Gram matrix measured again on the true path."""

    claim = "KER-6"
    part = "neural n-gram model, SGD, K measured every 5 steps: R^2 per pair"
    every = 5


class AdamW(SGD):
    """A real AdamW run, against Adam in function space."""

    claim = "KER-6"
    part = "neural n-gram model, AdamW, frozen gradients: R^2 per pair"
    rate = 0.001

    def observe(self, instance):
        import torch

        path = train(model(), instance, partial(torch.optim.AdamW, lr=self.rate, weight_decay=0))
        start = model().log_probs()
        moved = predict_in_function_space(model(), instance, self.rate, Adam()) - start
        return agreement(moved, model().log_probs(path[-1]) - start)


class DominantRejected(SGD):
    """The failing case: the likeliest completion is rejected and pushed far."""

    claim = "KER-6"
    part = "neural n-gram model, the likeliest completion rejected and pushed far: fails"
    rate = 0.1

    @property
    def cases(self):
        order = np.argsort(model().log_probs())
        return [(int(chosen), int(order[-1])) for chosen in order[:3]]
