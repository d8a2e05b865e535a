"""The loss in probability space (arXiv 2404.04626 and 2406.07327): DPO-9."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform, responses
from prefdyn import DPO, Pair
from prefdyn.policies import log_softmax


@cache
def derived_partials():
    """dL/dx1, dL/dx2 by sympy, from the loss core with ``log pi - log ref = log x``."""
    import sympy

    form = DPO().symbolic()
    x1, x2 = sympy.symbols("x1 x2", positive=True)
    pair = form.pair
    values = {
        pair.chosen: sympy.log(x1),
        pair.rejected: sympy.log(x2),
        pair.ref_chosen: 0,
        pair.ref_rejected: 0,
    }
    loss = form.loss.subs(values)
    partials = [sympy.diff(loss, x1), sympy.diff(loss, x2)]
    return sympy.lambdify((x1, x2, form.parameters["beta"]), partials)


def loss_of_ratios(x1, x2, beta):
    """The shipped loss at the probability ratios x1 = pi_w/ref_w, x2 = pi_l/ref_l."""
    return DPO(beta).loss(Pair(chosen=np.log(x1), rejected=np.log(x2)))


class RatioOfPartials(Check):
    """The ratio of the symbolic partials."""

    claim = "DPO-9"
    part = "|dL/dx2| / |dL/dx1| = x1/x2, symbolically"
    comparison = "relative"

    def draw(self, rng):
        return (*log_uniform(rng, 0.01, 3, 2), log_uniform(rng, 0.05, 3))

    def predict(self, instance):
        return instance[0] / instance[1]

    def observe(self, instance):
        chosen, rejected = derived_partials()(*instance)
        return -rejected / chosen


class PartialsOfShippedLoss(RatioOfPartials):
    """The symbolic partials against central differences of the shipped loss."""

    claim = "DPO-9"
    part = "the symbolic partials against finite differences of the loss"
    comparison = "relative"
    tolerance = 1e-6

    def predict(self, instance):
        return np.array(derived_partials()(*instance))

    def observe(self, instance):
        x1, x2, beta = instance
        h1, h2 = 1e-5 * x1, 1e-5 * x2  # relative steps: the ratios span two decades
        by_x1 = loss_of_ratios(x1 + h1, x2, beta) - loss_of_ratios(x1 - h1, x2, beta)
        by_x2 = loss_of_ratios(x1, x2 + h2, beta) - loss_of_ratios(x1, x2 - h2, beta)
        return np.array([by_x1 / (2 * h1), by_x2 / (2 * h2)])


class RatioExample(PartialsOfShippedLoss):
    """beta = .2, x1 = .8, x2 = .05."""

    claim = "DPO-9"
    part = "the example beta = .2, x1 = .8, x2 = .05: a ratio of 16"
    cases = ((0.8, 0.05, 0.2),)

    def predict(self, instance):
        return 16.0

    def observe(self, instance):
        by_x1, by_x2 = super().observe(instance)
        return -by_x2 / by_x1


class SymmetricInLogits(Check):
    """The gradient of one pair in tabular logits."""

    claim = "DPO-9"
    part = "in tabular logits the gradient of a pair is equal and opposite, and 0 elsewhere"
    tolerance = 1e-8

    def draw(self, rng):
        K = responses(rng)
        chosen, rejected = rng.choice(K, size=2, replace=False)
        return rng.normal(size=K), int(chosen), int(rejected), float(log_uniform(rng, 0.05, 3))

    def predict(self, instance):
        theta, chosen, rejected, beta = instance
        size = beta / (1 + np.exp(beta * (theta[chosen] - theta[rejected])))
        unit = np.eye(len(theta))
        return size * (unit[rejected] - unit[chosen])

    def observe(self, instance):
        theta, chosen, rejected, beta = instance

        def loss(logits):
            log_policy = log_softmax(logits)
            return DPO(beta).loss(Pair(chosen=log_policy[chosen], rejected=log_policy[rejected]))

        step = 1e-5
        return np.array(
            [(loss(theta + h) - loss(theta - h)) / (2 * step) for h in step * np.eye(len(theta))]
        )


class ToyOfFourPrompts(Check):
    """A three-layer perceptron, ten responses, four prompts with one pair each.

    It is fitted to the rejected response and a third one first, and in half of the runs to the
    chosen one too; the paper's phases need a chosen response that is unlikely at the start.
    """

    claim = "DPO-9"
    part = "toy of 2406.07327: a perceptron over ten responses, trained on four pairs"
    comparison = "report"
    cases = ((False, 0), (True, 0), (False, 1), (True, 1))

    def observe(self, instance):
        import torch

        chosen_is_likely, seed = instance
        rng = np.random.default_rng(seed)
        chosen, rejected, third = np.array(
            [rng.choice(10, size=3, replace=False) for _ in range(4)]
        ).T
        weights = [
            torch.tensor(rng.normal(size=shape) / np.sqrt(shape[0]), requires_grad=True)
            for shape in ((4, 16), (16, 16), (16, 10))
        ]
        prompts, rows = 2 * torch.eye(4, dtype=torch.float64), np.arange(4)

        def log_policy():
            hidden = torch.tanh(torch.tanh(prompts @ weights[0]) @ weights[1])
            return torch.log_softmax(hidden @ weights[2], dim=-1)

        def descend(loss_of, steps, rate):
            for _ in range(steps):
                gradients = torch.autograd.grad(loss_of(log_policy()).mean(), weights)
                with torch.no_grad():
                    for weight, gradient in zip(weights, gradients, strict=True):
                        weight -= rate * gradient

        def masses():
            policy = log_policy().detach().exp().numpy()
            seen = policy[rows, chosen].mean(), policy[rows, rejected].mean()
            return *seen, 1 - sum(seen)

        likely = [rejected, third, *([chosen] if chosen_is_likely else [])]
        descend(lambda x: -sum(x[rows, y] for y in likely), 200, 0.3)
        reference = log_policy().detach()

        def dpo(now):
            pair = Pair(
                chosen=now[rows, chosen],
                rejected=now[rows, rejected],
                ref_chosen=reference[rows, chosen],
                ref_rejected=reference[rows, rejected],
            )
            return DPO(1.0).loss(pair)

        history = [masses()]
        for steps in (20, 200):
            descend(dpo, steps, 0.1)
            history.append(masses())
        return chosen_is_likely, history

    def summary(self, observations):
        lines = []
        for wanted, name in ((False, "unlikely"), (True, "likely")):
            runs = [history for is_likely, history in observations if is_likely == wanted]
            if runs:
                rows = np.mean(runs, axis=0)
                path = ", ".join("/".join(f"{share:.2f}" for share in row) for row in rows)
                lines.append(f"{path} with the chosen response {name} at first")
        return "mass of chosen/rejected/others at steps 0, 20, 220: " + "; ".join(lines)
