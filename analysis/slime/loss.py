"""The loss token by token and its forces: SLIME-1 and SLIME-2."""

from functools import cache

import numpy as np

from analysis import Check
from analysis._draws import log_uniform
from analysis.slime.formulas import draw_parameters, margin_force, one_token, pull
from prefdyn import Pair
from prefdyn.objectives import SLIME

STEP = 1e-5
"""Central differences: 1e-10 times a third derivative of order ten, over rounding of 1e-11."""


class LossTokenByToken(Check):
    """A batch of padded pairs of different lengths, against an explicit loop."""

    claim = "SLIME-1"
    part = "loss of padded pairs, mean over the response or the batch, against an explicit loop"
    instances = 100
    tolerance = 1e-12
    ROWS, LONGEST = 4, 6

    def draw(self, rng):
        batch = bool(rng.integers(2))
        sides = [
            [-log_uniform(rng, 0.01, 8, int(n)) for n in row]
            for row in rng.integers(1, self.LONGEST + 1, size=(2, self.ROWS))
        ]
        objective = draw_parameters(rng).replace(token_reduction=("response", "batch")[batch])
        return {"objective": objective, "sides": sides, "seed": int(rng.integers(1 << 30))}

    def pair(self, instance, length):
        """The rows padded to a length, with anything under the padding."""
        fields, rng = {}, np.random.default_rng(instance["seed"])
        for side, rows in zip(("chosen", "rejected"), instance["sides"], strict=True):
            tokens = rng.choice([np.nan, 0.0, -3.0], size=(len(rows), length))
            mask = np.zeros((len(rows), length), dtype=bool)
            for i, row in enumerate(rows):
                tokens[i, : len(row)], mask[i, : len(row)] = row, True
            fields |= {f"{side}_tokens": tokens, f"{side}_mask": mask}
            fields[side] = np.array([row.sum() for row in rows])
            fields[f"{side}_length"] = mask.sum(-1)
        return Pair(**fields)

    def predict(self, instance):
        v, losses = instance["objective"], []
        tokens_of_batch = sum(len(row) for row in instance["sides"][1])
        for chosen, rejected in zip(*instance["sides"], strict=True):
            c_w, c_l = (sum(tokens) / len(tokens) for tokens in (chosen, rejected))
            floor = sum(np.log1p(np.exp(-token - v.delta)) ** v.p for token in rejected)
            if v.token_reduction == "batch":
                floor *= len(instance["sides"][1]) / tokens_of_batch
            else:
                floor /= len(rejected)
            gate = 1 / (1 + np.exp(v.kappa * (c_w - c_l - v.m_s)))
            margin = max(0, v.m_h - (c_w - c_l)) * gate
            losses.append(-v.lambda_w * c_w + v.lambda_l * floor + v.lambda_d * margin)
        return np.array(losses)

    def observe(self, instance):
        return instance["objective"].loss(self.pair(instance, self.LONGEST))


class PaddingChangesNothing(LossTokenByToken):
    """The same rows under more padding."""

    claim = "SLIME-1"
    part = "more padding changes neither loss nor pushes, and padding is not pushed"
    instances = 50
    tolerance = 1e-14

    def predict(self, instance):
        return self.described(instance, self.LONGEST)

    def observe(self, instance):
        return self.described(instance, self.LONGEST + 5)

    def described(self, instance, length):
        pair, objective = self.pair(instance, length), instance["objective"]
        pushes = objective.token_pushes(pair)
        padded = [np.delete(push, np.s_[: self.LONGEST], axis=-1).sum(-1) for push in pushes]
        kept = [push[:, : self.LONGEST].ravel() for push in pushes]
        return np.concatenate([objective.loss(pair), *kept, *padded])


class ForcesByDifferences(Check):
    """Pairs of one token each, on both sides of the hard margin."""

    claim = "SLIME-2"
    part = "anchor, floor and margin forces by formula, against central differences of the loss"
    tolerance = 1e-6

    def draw(self, rng):
        return {
            "objective": draw_parameters(rng),
            "chosen": -float(log_uniform(rng, 0.01, 6)),
            "rejected": -float(log_uniform(rng, 0.01, 12)),
        }

    def skip(self, instance):
        margin = instance["chosen"] - instance["rejected"]
        return abs(margin - instance["objective"].m_h) < 1e-3

    def predict(self, instance):
        v, rejected = instance["objective"], instance["rejected"]
        force = margin_force(instance["chosen"] - rejected, v)
        return np.array([v.lambda_w + force, force - pull(rejected, v)])

    def observe(self, instance):
        loss = instance["objective"].loss
        chosen, rejected = (
            instance[side] + np.array([STEP, -STEP]) for side in ("chosen", "rejected")
        )
        up = loss(one_token(chosen, instance["rejected"]))
        down = loss(one_token(instance["chosen"], rejected))
        return np.array([up[1] - up[0], down[0] - down[1]]) / (2 * STEP)


class ForcesDerived(ForcesByDifferences):
    """The loss as the paper defines it, differentiated by sympy."""

    claim = "SLIME-2"
    part = "the same derived symbolically from the paper's loss, against the shipped pushes"
    tolerance = 1e-12

    def predict(self, instance):
        return np.array(
            derived_forces()(
                instance["chosen"], instance["rejected"], *instance["objective"].numbers().values()
            )
        )

    def observe(self, instance):
        pair = one_token(instance["chosen"], instance["rejected"])
        return np.array(instance["objective"].pushes(pair))


@cache
def derived_forces():
    """``(-dL/dc_w, dL/dl)`` for one token each, of chosen, rejected and the parameters."""
    import sympy

    chosen, rejected = sympy.symbols("chosen rejected", real=True)
    v = sympy.symbols(list(SLIME().numbers()), positive=True)
    lambda_w, lambda_l, lambda_d, delta, m_h, m_s, kappa, p = v
    m = chosen - rejected
    floor = sympy.log(1 + sympy.exp(-rejected - delta)) ** p
    margin = (m_h - m) / (1 + sympy.exp(kappa * (m - m_s)))
    loss = -lambda_w * chosen + lambda_l * floor
    loss += lambda_d * sympy.Piecewise((margin, m < m_h), (0, True))
    slopes = [-sympy.diff(loss, chosen), sympy.diff(loss, rejected)]
    return sympy.lambdify((chosen, rejected, *v), slopes)


class ForceOfTheMargin(Check):
    """F at seven margins, and its largest value."""

    claim = "SLIME-2"
    part = "F = 1.00, 1.19, 1.21, .81, .49, .23, 0 at m = -4 ... 1.5, at most 1.231"
    cases = ((-4, 0, 0.5, 1, 1.25, 1.49, 1.5),)
    tolerance = 5e-3

    def predict(self, instance):
        return np.array([1.00, 1.19, 1.21, 0.81, 0.49, 0.23, 0, 1.231])

    def observe(self, instance):
        margins = np.array([*instance, *np.linspace(-1, 1.5, 5001)])
        found = SLIME(lambda_w=0, lambda_l=0).pushes(one_token(-1.0, -1.0 - margins))[0]
        return np.array([*found[: len(instance)], found.max()])


class PullOfTheFloor(Check):
    """The pull on a rejected token at five log-probabilities."""

    claim = "SLIME-2"
    part = "the floor pulls with .0072, .0193, .0721, .562, 4.38 at log pi = -.01 ... -8"
    cases = ((-0.01, -0.5, -1.25, -3, -8),)
    comparison = "relative"
    tolerance = 5e-3

    def predict(self, instance):
        return np.array([0.0072, 0.0193, 0.0721, 0.562, 4.38])

    def observe(self, instance):
        return -SLIME(lambda_w=0, lambda_d=0).pushes(one_token(-1.0, instance))[1]


class JumpAtTheHardMargin(Check):
    """The margin force just below m_h, and at it."""

    claim = "SLIME-2"
    part = "F jumps from lambda_d sigmoid(-kappa (m_h - m_s)) to 0 at m_h; .2227 in the paper's set"
    cases = (SLIME(), SLIME(lambda_d=2.0, m_h=0.75, m_s=0.5, kappa=4.0))
    tolerance = 1e-7

    def predict(self, instance):
        edge = instance.lambda_d / (1 + np.exp(instance.kappa * (instance.m_h - instance.m_s)))
        return np.array([edge, 0.0])

    def observe(self, instance):
        margins = instance.m_h + np.array([-1e-9, 0.0])
        alone = instance.replace(lambda_w=0, lambda_l=0)
        return alone.pushes(one_token(margins - 4.0, -4.0))[0]


class AnchorNeverSaturates(Check):
    """The push on the chosen response beyond the hard margin."""

    claim = "SLIME-2"
    part = "beyond m_h the chosen response is still pushed up, with lambda_w at any log-probability"
    cases = (-1e-6, -1.0, -1e3)
    tolerance = 1e-12

    def predict(self, instance):
        return 0.1

    def observe(self, instance):
        return SLIME().pushes(one_token(instance, instance - 2.0))[0]
