"""The kernel view on a language model, as far as a toy goes: KER-6, reported."""

from functools import cache, partial

import numpy as np

from analysis import Check
from analysis.kernel_view._language_model import language_model
from analysis.kernel_view.training import agreement, predict, predict_in_function_space, train
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
        moved = predict(model(), instance, path, self.rate, self.every)
        return self.compared(instance, moved, path[-1])

    @staticmethod
    def compared(instance, moved, end):
        """Agreement, and whether the chosen completion moved the way predicted.

        NaN in place of the latter where it moved by 0.05 nats or less.
        """
        start = model().log_probs()
        predicted, actual = moved - start, model().log_probs(end) - start
        chosen = predicted[instance[0]], actual[instance[0]]
        right = np.sign(chosen[0]) == np.sign(chosen[1]) if abs(chosen[1]) > 0.05 else np.nan
        return *agreement(predicted, actual), right

    def summary(self, observations):
        r, r2, slope, _, largest, _ = np.median(observations, axis=0)
        worst = min(one[1] for one in observations)
        signs = [one[-1] for one in observations if not np.isnan(one[-1])]
        return (
            f"medians at {largest:.1f} nats: R^2 {r2:.3f} (worst {worst:.3f}), r {r:.3f}, "
            f"slope {slope:.3f}; the chosen one moves as predicted in {sum(signs):.0f} of "
            f"{len(signs)}"
        )


class SGDMeasuredAgain(SGD):
    """The same runs, Gram matrix measured again on the true path."""

    claim = "KER-6"
    part = "neural n-gram model, SGD, K measured every 5 steps: R^2 per pair"
    every = 5


class SGDMeasuredInEveryStep(SGD):
    """The same runs, followed as closely as possible."""

    claim = "KER-6"
    part = "neural n-gram model, SGD, K measured in every step: R^2 per pair"
    every = 1


class AdamW(SGD):
    """A real AdamW run, against Adam in function space."""

    claim = "KER-6"
    part = "neural n-gram model, AdamW, frozen gradients: R^2 per pair"
    rate = 0.001

    def observe(self, instance):
        import torch

        path = train(model(), instance, partial(torch.optim.AdamW, lr=self.rate, weight_decay=0))
        moved = predict_in_function_space(model(), instance, self.rate, Adam())
        return self.compared(instance, moved, path[-1])


class DominantRejected(SGD):
    """The failing case: the likeliest completion is rejected and pushed far."""

    claim = "KER-6"
    part = "neural n-gram model, the likeliest completion rejected and pushed far: fails"
    rate = 0.1

    @property
    def cases(self):
        order = np.argsort(model().log_probs())
        return [(int(chosen), int(order[-1])) for chosen in order[:3]]
