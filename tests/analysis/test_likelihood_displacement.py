"""The checks of displacement can fail, and its longest run is run in full."""

import numpy as np
import pytest

from analysis._harness import examine
from analysis.likelihood_displacement import no_never_yes
from prefdyn import DPO, displacement, orbit
from prefdyn.policies import UnconstrainedFeatures
from prefdyn.rules import GradientStep


def fails(id, scale=0.05):
    return examine(id, scale=scale)["verdict"] == "fails"


@pytest.mark.parametrize("id", ["DISP-1", "DISP-2", "DISP-4", "DISP-6", "DISP-7", "DISP-8"])
def test_a_state_that_learns_a_hundredth_too_fast_is_caught(id, monkeypatch):
    back = UnconstrainedFeatures.back

    def wrong(self, params, by_logits):
        move = back(self, params, by_logits)
        size = np.size(self.W)
        return np.concatenate([move[..., :size], 1.01 * move[..., size:]], axis=-1)

    monkeypatch.setattr(UnconstrainedFeatures, "back", wrong)
    assert fails(id)


def test_a_push_on_one_side_alone_is_caught(monkeypatch):
    loss = DPO.loss

    def wrong(self, pair, xp=None, stats=None):
        symbolic = type(pair.chosen).__module__.startswith("sympy")
        return loss(self, pair) + (0 if symbolic else 1e-3 * pair.rejected)

    monkeypatch.setattr(DPO, "loss", wrong)
    assert fails("DISP-3")


def test_padding_that_counts_is_caught(monkeypatch):
    from analysis.likelihood_displacement import ches_score

    def unmasked(chosen, rejected, *masks):
        return displacement.ches(chosen, rejected)

    monkeypatch.setattr(ches_score, "ches", unmasked)
    assert fails("DISP-9")


@pytest.mark.slow
def test_a_score_without_lengths_is_caught(monkeypatch):
    from analysis.likelihood_displacement import rankings

    monkeypatch.setattr(rankings, "ches", displacement.length_normalised_ches)
    monkeypatch.setattr(rankings.AllScores, "cases", ((0.0, False),))
    monkeypatch.setattr(rankings.Subsets, "cases", (("ln_ches", False),))
    assert fails("DISP-10", scale=0.2)


@pytest.mark.slow
def test_no_never_yes_step_by_step():
    kappa_W, kappa_h = np.array(list(no_never_yes.KAPPA.values())).T
    policy = no_never_yes.features(kappa_W, kappa_h)
    pair = [(no_never_yes.NO, no_never_yes.NEVER)]
    rule = GradientStep(DPO(no_never_yes.BETA), policy, pair, no_never_yes.RATE)
    run = orbit(rule, rounds=no_never_yes.STEPS, save=100, tolerance=0, progress=False)
    ends = run.policies[-1][:, [no_never_yes.YES, no_never_yes.NO]]
    stated = np.array(list(no_never_yes.EndStates.stated.values()))
    np.testing.assert_allclose(ends, stated, atol=1e-2)
    margins = run.log_policies[..., no_never_yes.NO] - run.log_policies[..., no_never_yes.NEVER]
    assert np.all(np.diff(margins, axis=0) > 0)  # the loss falls all the way
