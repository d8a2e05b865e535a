"""Small full batches: the same numbers as torch's own loop, and gradients that can be cut up."""

import copy
import threading
from typing import Any

import numpy as np
import pytest
import torch

from prefdyn import InputError, objectives
from prefdyn.llm import PairLoss, encode, log_probs, token_log_probs, train_on, with_mismatched
from prefdyn.llm._pair_loss import measure
from prefdyn.llm.training._gradient import Team, assess, backward, trainable

PROMPTS = ["is it?", "is it?", "who ran?", "who ran?", "who sat?", "who sat?"]
TEXTS = [" yes", " no, never", " a dog.", " the big old cat", " she", " no one did"]
TORCH = {
    "sgd": (torch.optim.SGD, 0.05),
    "rmsprop": (torch.optim.RMSprop, 1e-3),
    "adam": (torch.optim.Adam, 1e-3),
    "adamw": (torch.optim.AdamW, 1e-3),
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "dpo": {},
    "aot": {"beta": 0.1},
    "aot_unpaired": {"beta": 0.1},
    "sft": {"nll_norm": "batch_tokens"},
    "kto": {},
    "bco": {"delta": "samples"},
    "alpha_dpo": {},
    "slime": {},
    "ld_dpo": {},
    "wpo": {"base": "ipo"},
    "spo": {"mode": "dual", "v_star": 1.0},
    "orpo": {},
}


@pytest.fixture(scope="module")
def responses(tokenizer):
    return encode(tokenizer, PROMPTS, TEXTS)


def loss_of(model, responses, objective, **changes):
    """Three pairs under a reference that is not the policy."""
    if isinstance(objective, str):
        objective = objectives.get(objective, **changes)
    pairs, moved = np.arange(6).reshape(-1, 2), None
    if objective.mismatched:
        responses, moved = with_mismatched(responses, pairs)
    noise = torch.linspace(-0.3, 0.2, responses.mask.size).reshape(responses.mask.shape)
    reference = (token_log_probs(model, responses).detach() + noise).clamp(max=0.0)
    return PairLoss(objective, responses, pairs, reference, mismatched=moved)


def gradients(model):
    found: list[Any] = [parameter.grad for parameter in trainable(model)]
    return torch.cat([gradient.reshape(-1) for gradient in found])


@pytest.mark.parametrize("name", TORCH)
def test_same_path_as_torch(llama, responses, name):
    kind, rate = TORCH[name]
    settings: dict[str, Any] = {"weight_decay": 0.1} | ({"momentum": 0.9} if name == "sgd" else {})
    mine, other = copy.deepcopy(llama), copy.deepcopy(llama)
    loss = loss_of(llama, responses, "ipo", beta=0.5)
    path = train_on(mine, loss, rate, 5, optimiser=name, **settings)
    optimiser = kind(other.parameters(), lr=rate, **settings)
    expected = []
    for _ in range(5):
        optimiser.zero_grad()
        value = loss(other)
        value.backward()
        expected.append(float(value.detach()))
        optimiser.step()
    np.testing.assert_allclose(path.losses[:-1], expected, rtol=1e-4)
    np.testing.assert_allclose(
        path.log_probs[-1], log_probs(other, responses).detach().double(), atol=2e-4
    )
    state = [optimiser.state[p] for p in other.parameters()]
    names = {"sgd": ["momentum_buffer"], "rmsprop": ["square_avg"]}.get(
        name, ["exp_avg", "exp_avg_sq"]
    )
    flat = [torch.cat([s[one].reshape(-1) for s in state]).double().numpy() for one in names]
    np.testing.assert_allclose(path.memory, flat, atol=1e-3 * np.abs(flat).max())


def test_what_is_kept(llama, responses):
    model = copy.deepcopy(llama)
    loss = PairLoss("dpo", responses, [(0, 1)], token_log_probs(llama, responses))
    seen = []

    def observe(step, one):
        assert one is model
        seen.append(step)
        return float(log_probs(model, responses).detach().sum())

    path = train_on(model, loss, 0.1, 5, every=2, observe=observe)
    assert path.steps.tolist() == seen == [0, 2, 4, 5]
    assert path.losses[0] == pytest.approx(np.log(2), rel=1e-5)
    assert path.token_log_probs.shape == (4, *responses.mask.shape)
    assert np.all(path.token_log_probs[:, responses.mask == 0] == 0)
    # Responses that no pair names are measured as well.
    np.testing.assert_allclose(path.observed, path.log_probs.sum(-1), rtol=1e-5)
    np.testing.assert_allclose(path.change[0], 0)
    assert np.all(path.change[-1] != 0)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert path.memory.shape[0] == 0


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_run_goes_on_where_another_ended(llama, responses, name):
    loss = loss_of(llama, responses, "bco", delta="samples")
    whole, parts = copy.deepcopy(llama), copy.deepcopy(llama)
    momentum = 0.5 if name == "sgd" else 0.0
    path = train_on(whole, loss, 1e-3, 6, optimiser=name, momentum=momentum)
    first = train_on(parts, loss, 1e-3, 4, optimiser=name, momentum=momentum)
    second = train_on(parts, loss, 1e-3, 2, start=first)
    assert np.array_equal(second.token_log_probs[-1], path.token_log_probs[-1])
    assert second.stats == path.stats
    assert second.taken == 6
    with pytest.raises(InputError, match="start is the run of another model"):
        train_on(whole, loss, 1e-3, 1, start=first)


def test_only_what_requires_a_gradient_moves(llama, responses):
    model = copy.deepcopy(llama).requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    path = train_on(model, loss_of(llama, responses, "dpo"), 0.1, 2, optimiser="adam")
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert moved == ["lm_head.weight"]
    assert path.memory.shape == (2, model.lm_head.weight.numel())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_is_that_of_the_loss(llama, responses, name):
    model, loss = copy.deepcopy(llama), loss_of(llama, responses, name, **OBJECTIVES[name])
    batch = backward(model, loss, loss.initial_stats)
    found = gradients(model)
    model.zero_grad()
    loss(model, batch.stats).backward()
    expected = gradients(model)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
    assert float(batch.loss) == pytest.approx(float(loss(model, batch.stats).detach()), rel=1e-5)
    assert float(assess(model, loss, loss.initial_stats).loss) == pytest.approx(
        float(batch.loss), rel=1e-6
    )


@pytest.mark.parametrize("name", [*OBJECTIVES, "barrier"])
def test_pieces_and_processes_change_nothing(llama, responses, name):
    settings = OBJECTIVES.get(name, {"mode": "barrier", "rho": 3.0})
    loss = loss_of(llama, responses, "spo" if name == "barrier" else name, **settings)
    whole = copy.deepcopy(llama)
    batch = backward(whole, loss, loss.initial_stats)
    expected = gradients(whole)
    cut = copy.deepcopy(llama)
    assert _same(backward(cut, loss, loss.initial_stats, pieces=4).stats, batch.stats)
    assert float((gradients(cut) - expected).norm() / expected.norm()) < 1e-5
    for model, seen in _two_processes(llama, loss):
        assert float((gradients(model) - expected).norm() / expected.norm()) < 1e-5
        assert _same(seen.stats, batch.stats)
        assert float(seen.loss) == pytest.approx(float(batch.loss), rel=1e-5)


def _same(one, two):
    if one is None or two is None:
        return one is two
    return one == pytest.approx(two, rel=1e-4, abs=1e-6)


def _two_processes(model, loss):
    """Two threads that add their tensors up, as two processes would."""
    both = threading.Barrier(2)
    models = [copy.deepcopy(model) for _ in range(2)]
    slots: list[Any] = [None, None]
    results: list[Any] = [None, None]

    def member(number):
        def add(values):
            slots[number] = values
            both.wait(60)
            total = slots[0] + slots[1]
            both.wait(60)
            return total

        team = Team(number, 2, add)
        results[number] = backward(models[number], loss, loss.initial_stats, team=team)

    threads = [threading.Thread(target=member, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return zip(models, results, strict=True)


def test_barrier_takes_gradients_in_the_parameters(llama, responses):
    objective = objectives.get("spo", mode="barrier", rho=3.0)
    loss = loss_of(llama, responses, objective)
    model = copy.deepcopy(llama)
    stats = backward(model, loss, loss.initial_stats).stats
    assert stats is not None

    def gradient(part):
        one = copy.deepcopy(llama)
        loss.with_objective(part)(one).backward()
        return gradients(one).double()

    g_p, g_s = (gradient(part) for part in objective.gradient_parts or ())
    expected = max(0.0, 3.0 - float(g_p @ g_s / (g_s @ g_s)))
    assert stats["lam"] == pytest.approx(expected, rel=1e-4)
    # A step of the whole loss lowers F: its gradient has the product rho |g_s|^2 with F's.
    assert float(gradients(model).double() @ g_s) == pytest.approx(3.0 * float(g_s @ g_s), rel=1e-4)


def test_z0_follows_the_policy(llama, responses):
    loss = loss_of(llama, responses, "kto")
    model = copy.deepcopy(llama)
    train_on(model, loss, 0.3, 4)
    ratios = (measure(model, loss.responses).tokens - loss.reference).sum(-1)[6:]
    seen = assess(model, loss, loss.initial_stats).stats
    assert seen is not None
    assert seen["z0"] == pytest.approx(max(0.0, float(ratios.detach().mean())), rel=1e-4)
    assert loss.unpaired.tolist() == [6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "adan"}, "optimiser 'adan' is not known"),
        ({"rate": 0.0}, "finite number above 0"),
        ({"steps": -1}, "steps is -1"),
        ({"betas": 3}, "cannot be made"),
        ({"nesterovs": True}, "cannot be made"),
        (
            {"rate": 1e30, "optimiser": "sgd"},
            "after 1 steps: lower the learning rate, which is 1e.30",
        ),
    ],
)
def test_wrong_settings_are_refused(llama, responses, change, message):
    settings = {"rate": 0.1, "steps": 5, "optimiser": "adam"} | change
    rate, steps = settings.pop("rate"), settings.pop("steps")
    with pytest.raises(InputError, match=message):
        train_on(copy.deepcopy(llama), loss_of(llama, responses, "dpo"), rate, steps, **settings)


def test_a_model_without_gradients_cannot_be_trained(llama, responses):
    frozen = copy.deepcopy(llama).requires_grad_(False)
    with pytest.raises(InputError, match="no parameter that requires a gradient"):
        train_on(frozen, loss_of(llama, responses, "dpo"), 0.1, 1)


def test_broken_weights_are_found_before_the_first_step(llama, responses):
    loss, model = loss_of(llama, responses, "dpo"), copy.deepcopy(llama)
    with torch.no_grad():
        model.lm_head.weight[3, 3] = torch.nan
    with pytest.raises(InputError, match="before the first step: check the model for weights"):
        train_on(model, loss, 0.1, 1)
