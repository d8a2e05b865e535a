"""Rounds on a language model against the tabular rule; votes, judges and checkpoints."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import prefdyn
from prefdyn import InputError, NoOptimum
from prefdyn.llm import Inner, log_probs, mrs_rounds, sampled_rounds
from prefdyn.llm.rounds._inner import fit
from prefdyn.llm.rounds._population import Newton
from prefdyn.rules import FiniteSample
from tests.llm.conftest import tiny_llama

PROMPT = "ab"
TEXTS = ["cd", "ef", "ga"]
RECIPE: dict[str, Any] = {"beta": 0.5, "alpha": 0.5, "lam": 0.8}
OFFLINE: dict[str, Any] = {"beta": 0.2, "alpha": 0.5, "lam": 0.0}
EXACT = Inner(residual=1e-6)  # norms run in float32 also in a model of float64


@pytest.fixture
def model():
    return tiny_llama(initializer_range=0.1).double()


def mild():
    """The same model in float32."""
    return tiny_llama(initializer_range=0.1)


def run_rounds(model, tokenizer, game: Any = "rps:0.4", rounds=3, **more):
    settings: dict[str, Any] = RECIPE | {"rounds": rounds, "inner": EXACT} | more
    return mrs_rounds(model, tokenizer, PROMPT, TEXTS, game, **settings)


def tabular(run):
    rounds = len(run.rounds) - 1
    return prefdyn.orbit(run.rule, log_start=run.log_policies[0], rounds=rounds, tolerance=0)


@pytest.mark.parametrize("objective", ["ipo", "dpo", "cdpo", "ld_dpo", "robust_dpo"])
def test_model_follows_the_tabular_rule(model, tokenizer, objective):
    run = run_rounds(model, tokenizer, objective=objective)
    assert run.residuals.max() <= 1e-6
    assert np.abs(run.log_policies - tabular(run).log_policies).max() < 1e-5
    assert np.abs(run.kappa - 1).max() < 1e-5
    assert np.abs(run.cosine - 1).max() < 1e-5


def test_orbit_is_what_the_model_says(model, tokenizer):
    run = run_rounds(model, tokenizer, rounds=2)
    now = log_probs(model, run.responses).detach().numpy()
    assert np.array_equal(run.log_probs[-1], now)
    assert np.allclose(run.mass[-1], np.exp(now).sum())
    assert np.allclose(run.policies.sum(-1), 1)
    assert run.policies.shape == (3, 3)
    assert prefdyn.stability(run.rule).kind
    assert prefdyn.plots.orbit(run).get_xlabel() == "round"


def test_reference_is_the_start_unless_told(model, tokenizer):
    start = log_probs(model, run_rounds(model, tokenizer, rounds=0).responses)
    policy = start.detach().softmax(-1).numpy()
    assert np.allclose(np.exp(run_rounds(model, tokenizer, rounds=0).rule.log_ref), policy)
    uniform = run_rounds(model, tokenizer, rounds=0, reference="uniform", offline="initial").rule
    assert np.allclose(np.exp(uniform.log_ref), 1 / 3)
    assert np.allclose(uniform.mu0, policy)
    own = run_rounds(model, tokenizer, rounds=0, reference=[0.5, 0.25, 0.25]).rule
    assert np.allclose(np.exp(own.log_ref), [0.5, 0.25, 0.25])


def test_several_prompts_share_the_parameters_and_follow_their_own_games(model, tokenizer):
    strong = np.array([[0.5, 0.9, 0.8], [0.1, 0.5, 0.7], [0.2, 0.3, 0.5]])
    both = np.stack([0.5 + 0.4 * np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]), strong])
    texts = [TEXTS, ["x", "yy", "zb"]]
    run = mrs_rounds(
        model, tokenizer, ["ab", "ba"], texts, both, rounds=3, inner=EXACT, **RECIPE
    )  # fmt: skip
    assert run.policies.shape == (4, 2, 3)
    assert run.residuals.shape == (3, 2)
    assert np.abs(run.log_policies - tabular(run).log_policies).max() < 1e-5


def test_adam_and_sgd_train_on_the_same_loss(model, tokenizer):
    far = run_rounds(copy.deepcopy(model), tokenizer, rounds=1, inner=EXACT)
    inner = Inner("adam", rate=0.003, steps=150, residual=1e-2)
    near = run_rounds(copy.deepcopy(model), tokenizer, rounds=1, inner=inner)
    assert near.residuals[0] <= 1e-2
    assert np.abs(near.log_policies[1] - far.log_policies[1]).max() < 2e-2
    short = run_rounds(model, tokenizer, rounds=1, inner=Inner("sgd", rate=1e-3, steps=3))
    assert 0 < short.kappa[0] < 0.9
    assert "residual above" in short.reason
    assert short.inexact().kappa == pytest.approx(short.kappa[0])


def test_gradient_steps_follow_the_gradient_of_the_loss(model, tokenizer):
    """One SGD step moves the parameters by the rate times the loss's own gradient."""
    trained = copy.deepcopy(model)
    run_rounds(trained, tokenizer, rounds=1, inner=Inner("sgd", rate=1e-3, steps=1))
    run = run_rounds(copy.deepcopy(model), tokenizer, rounds=0)
    policy, P = run.policies[0], run.rule.game.P
    mu, values = 0.8 * policy + 0.2 / 3, log_probs(model, run.responses)
    loss = values.new_zeros(())
    for i, j in itertools.product(range(3), repeat=2):
        gap = (values[i] - values[j]) - (run.log_probs[0, i] - run.log_probs[0, j])
        loss = loss + mu[i] * mu[j] * P[i, j] * (gap - 1 / (2 * 0.5)) ** 2
    loss.backward()
    for old, new in zip(model.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(new, old - 1e-3 * old.grad, atol=1e-12)


def test_newton_steps_are_damped_where_the_model_is_not_linear(model, tokenizer):
    """A target many nats away is reached although the first full step overshoots."""
    run = run_rounds(model, tokenizer, rounds=0)
    goal = np.array([[0.0, -12.0, 3.0]])

    def newton(now):
        gap = (now - now.mean()) - (goal - goal.mean())
        return Newton((gap**2).sum(-1) / 2, gap, -gap, np.abs(gap).max(-1))

    chosen = dict(model.named_parameters())
    fitted = fit(model, run.responses, newton, Inner(residual=1e-6), chosen)
    assert fitted.residual[0] <= 1e-6
    assert np.allclose(np.diff(fitted.log_probs), np.diff(goal), atol=1e-5)


def test_only_selected_parameters_move(model, tokenizer):
    before = copy.deepcopy(model.state_dict())
    run = run_rounds(model, tokenizer, rounds=1, parameters="head")
    moved = {name for name, value in model.state_dict().items() if not before[name].equal(value)}
    assert moved == {"lm_head.weight"}
    assert run.residuals[0] <= 1e-6
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_votes_are_those_of_the_finite_sample_rule(model, tokenizer):
    run = run_rounds(model, tokenizer, votes=20, seed=3)
    rule = FiniteSample(run.rule, 20)
    same = prefdyn.orbit(rule, log_start=run.log_policies[0], rounds=3, seed=3)
    assert np.abs(run.log_policies - same.log_policies).max() < 1e-5
    assert run.counts is not None
    assert run.standard_errors is not None
    assert np.allclose(run.counts + run.counts.mT, 20 * (1 - np.eye(3)))
    assert np.allclose(run.win_rates * (1 - np.eye(3)), run.counts / 20)
    share = run.counts[0, 0, 1] / 20
    assert run.standard_errors[0, 0, 1] == pytest.approx((share * (1 - share) / 20) ** 0.5)
    assert run.seed == 3


def test_a_killed_run_goes_on_to_the_same_numbers(tokenizer, tmp_path, monkeypatch):
    settings: dict[str, Any] = {"votes": 20, "rounds": 4, "inner": Inner(residual=1e-3)}
    straight = run_rounds(mild(), tokenizer, **settings)
    from prefdyn.llm.rounds import _loop

    calls = itertools.count()

    def killed(*args, **more):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(_loop, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            run_rounds(mild(), tokenizer, checkpoint=tmp_path / "run", **settings)
    fresh = mild()
    resumed = run_rounds(fresh, tokenizer, checkpoint=tmp_path / "run", **settings)
    for name in ("log_probs", "residuals", "steps", "kappa", "counts"):
        assert np.array_equal(getattr(resumed, name), getattr(straight, name)), name
    longer = settings | {"rounds": 5}
    more = run_rounds(mild(), tokenizer, checkpoint=tmp_path / "run", **longer)
    assert np.array_equal(more.log_probs[:5], straight.log_probs)
    with pytest.raises(InputError, match="another run"):
        run_rounds(fresh, tokenizer, checkpoint=tmp_path / "run", **settings)
    with pytest.raises(InputError, match="holds 5 rounds already"):
        run_rounds(mild(), tokenizer, checkpoint=tmp_path / "run", **settings)
    (tmp_path / "run" / "rounds.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot be read"):
        run_rounds(mild(), tokenizer, checkpoint=tmp_path / "run", **settings)


def prefer_short(prompt, one, other):
    return len(one) <= len(other)


def test_sampled_rounds_learn_what_the_judge_prefers(model, tokenizer):
    run = sampled_rounds(
        model, tokenizer, PROMPT, prefer_short, responses=["c", "defg", "hijklm"], votes=200,
        rounds=4, pool=True, **OFFLINE,
    )  # fmt: skip
    assert run.counts is not None
    assert run.standard_errors is not None
    assert run.policies[-1].argmax() == 0
    assert run.policies[-1, 0] > run.policies[0, 0]
    assert np.all(run.win_rates[-1, 0, 1:] > 0.9)
    pairs = run.counts.sum((1, 2))
    assert np.all((pairs > 90) & (pairs < 170))  # a third of 200 uniform pairs are of a kind
    assert np.all(run.standard_errors[-1][0, 1:] < run.standard_errors[0][0, 1:])
    assert run.rule.game.P[0, 1] == pytest.approx(run.win_rates[-1, 0, 1])


def test_rewards_vote_by_bradley_terry(model, tokenizer):
    rewards = {"cd": 0.0, "ef": 1.0, "ga": 2.0}
    run = sampled_rounds(
        model, tokenizer, PROMPT, reward=lambda prompt, text: rewards[text], responses=TEXTS,
        votes=4000, rounds=1, **OFFLINE,
    )  # fmt: skip
    assert run.standard_errors is not None
    expected = 1 / (1 + np.exp(np.subtract.outer([0, 1, 2], [0, 1, 2]).T))
    off = ~np.eye(3, dtype=bool)
    score = (run.win_rates[0] - expected)[off] / run.standard_errors[0][off]
    assert np.abs(score).max() < 4


def test_sampled_rounds_write_their_own_candidates(model, tokenizer):
    prompts = ["ab", "ba"]
    run = sampled_rounds(
        model, tokenizer, prompts, prefer_short, candidates=3, length=3, rounds=1, **RECIPE
    )
    assert run.policies.shape == (2, 2, 3)
    assert len(set(run.responses.tokens[:3])) == 3
    assert max(run.responses.lengths) <= 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"responses": ["cd", "ef"]}, "3 responses but there are 2 candidates"),
        ({"responses": ["cd", "ef", "cd"]}, "Responses 0 and 2 are the same tokens"),
        ({"responses": [[3, 4], [3, 4, 5], [6]]}, "start with the same response"),
        ({"responses": ["cd"]}, "at least two"),
        ({"prompt": ["a", "b"]}, "2 prompts and 3 lists"),
        ({"prompt": ["a", "b"], "responses": [["c", "d"], ["c", "d", "e"]]}, "between 2 and 3"),
        ({"prompt": []}, "no prompt"),
        ({"game": [[0.5, 0.7], [0.4, 0.5]]}, "must add up to 1"),
        ({"game": np.full((2, 3, 3), 0.5)}, "one game, or one per prompt"),
        ({"game": "rsp:0.4"}, "rps"),
        ({"beta": 0.0}, "beta"),
        ({"alpha": 1.5}, "alpha"),
        ({"rounds": -1}, "rounds"),
        ({"votes": 0}, "votes"),
        ({"reference": "start"}, "reference"),
        ({"inner": "newton"}, "optimiser"),
        ({"parameters": "nothing"}, "nothing"),
        ({"objective": "aot"}, "sorts its batch"),
    ],
)
def test_wrong_inputs_are_refused_in_a_sentence(model, tokenizer, change, words):
    settings = {"prompt": PROMPT, "responses": TEXTS, "game": "rps:0.4", "rounds": 1}
    settings |= RECIPE | change
    positional = [settings.pop(name) for name in ("prompt", "responses", "game")]
    with pytest.raises(InputError, match=words):
        mrs_rounds(model, tokenizer, *positional, **settings)


def test_dpo_without_an_optimum_is_refused(model, tokenizer):
    with pytest.raises(NoOptimum):
        run_rounds(model, tokenizer, [[0.5, 1, 1], [0, 0.5, 0.5], [0, 0.5, 0.5]], objective="dpo")


@pytest.mark.parametrize(
    ("judges", "words"),
    [
        ({}, "exactly one"),
        ({"judge": prefer_short, "reward": lambda p, x: 0.0}, "exactly one"),
        ({"judge": lambda p, x, y: "first"}, "The judge answered 'first'"),
        ({"judge": lambda p, x, y: 2.0}, "The judge answered 2.0"),
        ({"reward": lambda p, x: float("nan")}, "reward of response 0"),
    ],
)
def test_judges_that_cannot_vote_are_refused(model, tokenizer, judges, words):
    with pytest.raises(InputError, match=words):
        sampled_rounds(model, tokenizer, PROMPT, responses=TEXTS, rounds=1, **RECIPE, **judges)


def test_inner_loop_refuses_numbers_out_of_range():
    wrongs: list[dict[str, Any]] = [{"rate": 0.0}, {"steps": 0}, {"residual": -1.0}]
    for wrong in wrongs:
        with pytest.raises(InputError):
            Inner(**wrong)


def test_the_start_is_measured_without_dropout(tokenizer):
    """A model that comes out of somebody's training loop is still in training mode."""
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=34, n_embd=16, n_layer=1, n_head=2, n_positions=32, resid_pdrop=0.5)
    )
    model.train()
    run = run_rounds(model, tokenizer, rounds=0)
    assert np.array_equal(run.rule.log_ref, run.log_policies[0])
    assert model.training
