"""The checks of the kernel view: their instruments, and that they can fail."""

import numpy as np
import pytest

from analysis._harness import examine
from analysis.kernel_view import _language_model, trajectories
from analysis.kernel_view._policies import KINDS, random_pairs, random_policy
from analysis.kernel_view.training import agreement, predict, train
from prefdyn.policies import KernelPolicy, LogLinear, Tabular, UnconstrainedFeatures
from prefdyn.rules import Adam


def fails(id, scale=0.3):
    return examine(id, scale=scale)["verdict"] == "fails"


def scaled(method, factor):
    """The method with its result off by a factor."""
    return lambda self, *args: method(self, *args) * factor


@pytest.mark.parametrize("id", ["KER-1", "KER-4"])
def test_a_wrong_gram_matrix_breaks_the_step_law(id, monkeypatch):
    monkeypatch.setattr(LogLinear, "gram", scaled(LogLinear.gram, 1.01))
    assert fails(id)


def test_a_gram_matrix_of_the_wrong_sign_is_caught(monkeypatch):
    monkeypatch.setattr(Tabular, "gram", scaled(Tabular.gram, -1))
    assert fails("KER-2")


@pytest.mark.parametrize("kind", [Tabular, LogLinear])
def test_a_wrong_closed_form_is_caught(kind, monkeypatch):
    monkeypatch.setattr(kind, "gram", scaled(kind.gram, 1 + 1e-6))
    assert fails("KER-3", 0.1)


def test_multipliers_that_change_places_are_caught(monkeypatch):
    def back(self, params, by_logits):
        W, h = self.split(params)
        moves = self.kappa_h * np.swapaxes(by_logits, -1, -2) @ h, self.kappa_W * by_logits @ W
        return np.concatenate([move.reshape(*move.shape[:-2], -1) for move in moves], axis=-1)

    monkeypatch.setattr(UnconstrainedFeatures, "back", back)
    assert fails("KER-3", 0.1)


def test_a_kernel_that_moves_too_far_is_caught(monkeypatch):
    monkeypatch.setattr(trajectories, "SEEDS", 2)
    monkeypatch.setattr(KernelPolicy, "direction", scaled(KernelPolicy.direction, 1.3))
    trajectories.medians.cache_clear()
    try:
        assert fails("KER-5", 0.02)
    finally:
        trajectories.medians.cache_clear()


def test_a_wrong_optimiser_is_caught(monkeypatch):
    right = Adam.move

    def wrong(self, direction, memory, t):
        move, kept = right(self, direction, memory, t)
        return 1.001 * move, kept

    monkeypatch.setattr(Adam, "move", wrong)
    assert fails("KER-7", 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy_can_be_drawn_with_pairs_of_one_prompt(kind):
    rng = np.random.default_rng(0)
    policy = random_policy(kind, rng)
    pairs = random_pairs(rng, policy, 5)
    assert np.all(
        np.asarray(policy.prompts)[pairs[:, 0]] == np.asarray(policy.prompts)[pairs[:, 1]]
    )
    assert np.all(pairs[:, 0] != pairs[:, 1])


def test_a_run_measured_in_every_step_is_predicted_and_a_shift_shows():
    import torch

    policy = trajectories.toy(0)
    path = train(policy, trajectories.PAIR, lambda p: torch.optim.SGD(p, lr=0.05))
    start, end = policy.log_probs(), policy.log_probs(path[-1])
    found = agreement(predict(policy, trajectories.PAIR, path, 0.05, 1) - start, end - start)
    assert found.r2 > 0.999
    assert found.slope == pytest.approx(1, abs=0.01)
    shifted = agreement(end - start - 1, end - start)
    assert (shifted.r, shifted.slope, shifted.shift) == pytest.approx((1, 1, 1))


def test_the_small_language_model_gives_the_log_probs_of_its_completions():
    import torch

    rng = np.random.default_rng(0)
    weights = torch.tensor(_language_model.trained_weights(rng, steps=2))
    rows = _language_model.next_token(weights, torch.tensor([[0, 1, 2], [3, 3, 3]]))
    assert rows.shape == (2, _language_model.VOCABULARY)
    np.testing.assert_allclose(rows.exp().sum(-1).numpy(), 1)
    policy = _language_model.language_model(0, n=3)
    assert policy.K == 3
    assert not policy.complete
    assert policy.gradients().shape == (3, sum(_language_model.SIZES))
