"""Many prompts under one log-linear policy: SPO-9, and SPO-8 (ii) on every run of it."""

from functools import lru_cache

import numpy as np

from analysis import Check
from prefdyn import Pair, objectives
from prefdyn.policies import LogLinear

PROMPTS, DATA, OTHERS, D = 40, 10, 50, 12
RESPONSES = DATA + OTHERS
STEPS, RATE = 600, 0.5

DPO, SIMPO = {"id": "dpo", "beta": 0.5}, {"id": "simpo"}
METHODS = {
    "dpo": (DPO, 0.0, 1),
    "simpo": (SIMPO, 0.0, 1),
    "simpo, chosen 3x longer": (SIMPO, 0.0, 3),
    "dpo + .1 sft": (DPO, 0.1, 1),
    "dpo + sft": (DPO, 1.0, 1),
    "simpo, chosen 3x longer, + sft": (SIMPO, 1.0, 3),
}
"""Preference loss, nu, and the chosen length over the rejected one."""


def population(seed):
    """Policy, chosen and rejected responses (prompts,), and q per response.

    Responses of the data lie around a centre of their prompt, the others anywhere, with an offset
    of -4; a random direction scores them.
    """
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(PROMPTS, 1, D))
    data = centre + 0.6 * rng.normal(size=(PROMPTS, DATA, D))
    others = 1.6 * rng.normal(size=(PROMPTS, OTHERS, D))
    offset = np.tile(np.repeat([0.0, -4.0], [DATA, OTHERS]), (PROMPTS, 1))
    policy = LogLinear(np.concatenate([data, others], axis=1), offset=offset)
    order = np.argsort(data @ rng.normal(size=D), axis=1)
    first = np.arange(PROMPTS) * RESPONSES
    return policy, first + order[:, -1], first + order[:, DATA // 2], np.tile(offset == 0, 1) / DATA


@lru_cache(maxsize=4)
def trained(seed):
    """Pair accuracy, mean pi_w, share of chosen that fell, mass outside, and L_SFT - H(q).

    One row per method, all trained at once; the rate is for the mean over prompts.
    """
    policy, chosen, rejected, q = population(seed)
    reference = policy.log_probs()
    losses = [(objectives.get(**kind), length) for kind, _, length in METHODS.values()]
    nu = np.array([weight for _, weight, _ in METHODS.values()])
    likelihood = nu[:, None, None] * q.reshape(-1, 1)
    params = np.zeros((len(METHODS), D))
    for _ in range(STEPS):
        logs = policy.log_probs(params)
        pushes = np.broadcast_to(likelihood, (*logs.shape, 1)).copy()
        for m, (loss, length) in enumerate(losses):
            up, down = loss.pushes(
                Pair(
                    chosen=logs[m, chosen],
                    rejected=logs[m, rejected],
                    ref_chosen=reference[chosen],
                    ref_rejected=reference[rejected],
                    chosen_length=length,
                )
            )
            pushes[m, chosen, 0] += up
            pushes[m, rejected, 0] -= down
        params = params + RATE / PROMPTS * policy.direction(params, pushes)
    logs = policy.log_probs(params)
    outside = policy.by_prompt(np.exp(logs))[..., DATA:].sum(axis=-1)
    gap = -(q.reshape(-1) * logs).sum(axis=-1) / PROMPTS - np.log(DATA)
    return {
        name: {
            "accuracy": np.mean(logs[m, chosen] > logs[m, rejected]),
            "chosen": np.exp(logs[m, chosen]).mean(),
            "fell": np.mean(logs[m, chosen] < reference[chosen]),
            "outside": outside[m].mean(),
            "gap": gap[m],
        }
        for m, name in enumerate(METHODS)
    }


class Population(Check):
    """Two populations: bounds on the methods' numbers, or between them."""

    comparison = "at_least"
    tolerance = 0.0
    cases = (0, 1)
    batch = len(METHODS)


class Collapse(Population):
    """Without the likelihood."""

    claim = "SPO-9"
    part = "DPO and SimPO: accuracy 1, share of chosen that fell above .85, mass outside above .9"

    def predict(self, instance):
        return np.array([[1.0, 0.85, 0.9]] * 2)

    def observe(self, instance):
        runs = trained(instance)
        return np.array(
            [[runs[m][key] for key in ("accuracy", "fell", "outside")] for m in ("dpo", "simpo")]
        )


class Repair(Population):
    """With it: more of the mass inside and fewer falls, the larger nu."""

    claim = "SPO-9"
    part = "mass inside and chosen that rose: nu = 0, .1, 1 in this order, and .5; accuracy .95"

    def predict(self, instance):
        none, little, _ = self.runs(instance)
        kept = [[1 - run["outside"], 1 - run["fell"]] for run in (none, little)]
        return np.array([*np.ravel(kept), 0.5, 0.5, 0.95, 0.95])

    def observe(self, instance):
        _, little, much = self.runs(instance)
        kept = [[1 - run["outside"], 1 - run["fell"]] for run in (little, much)]
        return np.array([*np.ravel(kept), *kept[0], little["accuracy"], much["accuracy"]])

    @staticmethod
    def runs(instance):
        return [trained(instance)[name] for name in ("dpo", "dpo + .1 sft", "dpo + sft")]


class Lengths(Population):
    """Length-normalised pushes are unequal: chosen responses of 3 tokens, rejected of 1."""

    claim = "SPO-9"
    part = "SimPO ranks fewer pairs right with longer chosen responses, with and without repair"
    comparison = "at_most"
    tolerance = -0.02

    def predict(self, instance):
        runs = trained(instance)
        return np.array([runs["simpo"]["accuracy"], runs["dpo + sft"]["accuracy"]])

    def observe(self, instance):
        names = "simpo, chosen 3x longer", "simpo, chosen 3x longer, + sft"
        return np.array([trained(instance)[name]["accuracy"] for name in names])


class LongerRepaired(Population):
    """The same, repaired."""

    claim = "SPO-9"
    part = "SimPO with longer chosen responses: mass outside above .7, with L_SFT below .15"

    def predict(self, instance):
        return np.array([0.7, -0.15])

    def observe(self, instance):
        names = "simpo, chosen 3x longer", "simpo, chosen 3x longer, + sft"
        collapsed, repaired = (trained(instance)[name]["outside"] for name in names)
        return np.array([collapsed, -repaired])


class MassOutsideEveryRun(Population):
    """Every method, trained to the end."""

    claim = "SPO-8"
    part = "(ii) on every run of the population: mass outside <= 1 - exp(-(L_SFT - H(q)))"
    comparison = "at_most"
    tolerance = 1e-12

    def predict(self, instance):
        return np.array([1 - np.exp(-run["gap"]) for run in trained(instance).values()])

    def observe(self, instance):
        return np.array([run["outside"] for run in trained(instance).values()])
