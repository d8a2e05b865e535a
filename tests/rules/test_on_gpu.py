"""What goes to a GPU is the rule, held to it on a processor by the kernels' plain-torch twins."""

import numpy as np
import pytest
import torch

from prefdyn import InputError, NoOptimum, ensemble, objectives
from prefdyn.games import PreferenceMatrix, cycle, random, rock_paper_scissors
from prefdyn.llm import kernels
from prefdyn.objectives import Pair
from prefdyn.policies import Tabular
from prefdyn.rules import MRSDPO, MRSIPO, Adam, FiniteSample, GradientStep, Momentum, _on_gpu
from tests.rules.stepwise import stepped

RPS = rock_paper_scissors(0.4)
KERNELS = [(MRSIPO, _on_gpu.advance_ipo), (MRSDPO, _on_gpu.advance_dpo)]
each_kernel = pytest.mark.parametrize(("Rule", "advance"), KERNELS, ids=["ipo", "dpo"])
PAIRS = [(0, 1), (2, 1), (0, 1), (3, 0)]


def assert_same(advanced, theta, policies, tolerance=1e-12):
    scale = np.maximum(1.0, np.abs(theta))
    tolerance = tolerance * len(policies)
    np.testing.assert_array_less(np.abs(advanced.theta - theta), tolerance * scale)
    np.testing.assert_allclose(advanced.mean, policies.mean(axis=0), atol=tolerance)
    squares = ((policies - policies.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(advanced.deviations, squares, atol=tolerance)


@each_kernel
@pytest.mark.parametrize("K", [2, 3, 5, 12])
def test_same_as_step(Rule, advance, K):
    rng = np.random.default_rng(K)
    rule = Rule(
        random(K, rng),
        beta=rng.uniform(0.3, 2, 9),
        alpha=rng.uniform(0, 1, 9),
        lam=rng.uniform(0, 1, 9),
        reference=rng.dirichlet(np.ones(K)),
        offline=rng.dirichlet(np.ones(K)),
    )
    theta = rule.init(rng.dirichlet(np.ones(K), size=9))
    before = theta.copy()
    assert_same(advance(rule, theta, 12, device="cpu"), *stepped(rule, theta, 12))
    np.testing.assert_array_equal(theta, before)


@each_kernel
def test_games_parameters_and_starts_broadcast(Rule, advance):
    rng = np.random.default_rng(0)
    games = PreferenceMatrix(np.stack([cycle(4, a).P for a in (0.1, 0.2, 0.3)])[:, None])
    rule = Rule(games, beta=0.7, alpha=rng.uniform(size=(2, 1, 1)), lam=0.9)
    theta = rule.init(rng.dirichlet(np.ones(4), size=5))
    assert theta.shape == (2, 3, 5, 4)
    assert_same(advance(rule, theta, 10, device="cpu"), *stepped(rule, theta, 10))


@each_kernel
@pytest.mark.parametrize("beta", [1e-6, 1e6])
@pytest.mark.parametrize(("alpha", "lam"), [(0, 0), (1, 1), (0.5, 0.8)])
def test_extremes(Rule, advance, beta, alpha, lam):
    rule = Rule(cycle(3, 0.4), beta, alpha, lam)
    theta = rule.init([0.5, 0.3, 0.2])
    assert_same(advance(rule, theta, 20, device="cpu"), *stepped(rule, theta, 20))


@pytest.mark.parametrize("edge", [1e-3, 1e-9, 1e-14])
def test_near_certain_wins(edge):
    rule = MRSDPO(cycle(3, 0.5 - edge), beta=5.0, alpha=0.2, lam=0.9)
    theta = rule.init([0.5, 0.3, 0.2])
    moved = _on_gpu.advance_dpo(rule, theta, 10, device="cpu")
    assert_same(moved, *stepped(rule, theta, 10), tolerance=1e-10)


def test_a_fit_that_does_not_exist_is_refused():
    rule = MRSDPO(rock_paper_scissors(0.4), 0.5, 0.5, 1.0)
    object.__setattr__(rule.game, "P", np.triu(np.ones((3, 3)), 1) + np.eye(3) / 2)
    with pytest.raises(NoOptimum, match="did not settle on some orbit"):
        _on_gpu.advance_dpo(rule, np.zeros(3), 1, device="cpu")


@pytest.mark.parametrize(
    "objective",
    [
        objectives.get("ipo", beta=0.7),
        objectives.get("dpo", beta=0.7),
        objectives.get("cdpo", beta=0.7, label_smoothing=0.2),
        objectives.get("robust_dpo", beta=0.7, label_smoothing=0.2),
        objectives.get("dpo", beta=np.array([[0.2], [3.0]])),
    ],
    ids=lambda objective: objective.id,
)
def test_gradient_steps(objective):
    rng = np.random.default_rng(1)
    rule = GradientStep(
        objective,
        Tabular(rng.normal(size=4)),
        PAIRS,
        rate=np.array([0.1, 1.0, 2.0]),
        weights=[0.5, 0.3, -0.2, 1.0],
        reference=np.log(rng.dirichlet(np.ones(4), size=3)),
    )
    theta = rule.init(rng.dirichlet(np.ones(4), size=3))
    moved = _on_gpu.advance_gradient(rule, theta, 15, device="cpu")
    assert_same(moved, *stepped(rule, theta, 15))


@pytest.mark.parametrize("objective", list(_on_gpu.PUSHES))
def test_pushes_are_the_objectives(objective):
    gaps = np.array([-800.0, -3.0, -0.1, 0.0, 0.2, 5.0, 800.0])
    zero = np.zeros_like(gaps)
    for beta in (0.1, 1.0, 4.0):
        made = objective(beta=beta)
        a, b, c, d = _on_gpu.PUSHES[objective](made)
        pair = Pair(chosen=gaps, rejected=zero, ref_chosen=zero, ref_rejected=zero)
        sigmoid = torch.sigmoid(torch.tensor(-d * gaps)).numpy()
        for push in made.pushes(pair):
            np.testing.assert_allclose(a - b * gaps + c * sigmoid, push, rtol=1e-14, atol=1e-16)


@pytest.fixture
def twin_as_gpu(monkeypatch):
    """A machine with two GPUs, where the kernels' twins run on the processor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    put = _on_gpu._Put.__init__
    monkeypatch.setattr(
        _on_gpu._Put, "__init__", lambda self, shape, device: put(self, shape, "cpu")
    )


GRADIENT = GradientStep("dpo", Tabular([0.2, 0.0, -0.1, 0.3]), PAIRS, rate=[0.5, 1.0])


@pytest.mark.parametrize(
    "rule",
    [MRSIPO(RPS, 0.3, 0.5, 1.0), MRSDPO(RPS, 0.9, 0.5, 1.0), GRADIENT],
    ids=["ipo", "dpo", "gd"],
)
@pytest.mark.parametrize("block", [10, 10**9])
def test_an_ensemble_on_a_gpu_is_the_one_on_a_processor(twin_as_gpu, monkeypatch, rule, block):
    monkeypatch.setattr("prefdyn._simulate.GPU_RUN", block)
    reducers = ("last_policy", "mean_policy", "cycle_strength", "entropy")
    here, there = (
        ensemble(rule, rounds=40, reducers=reducers, device=device) for device in ("cpu", "cuda:1")
    )
    for name in reducers:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize(
    "rule",
    [MRSIPO(RPS, 0.3, 0.5, 1.0), MRSDPO(RPS, 0.9, 0.5, 1.0), GRADIENT.replace(rate=1.0)],
    ids=["ipo", "dpo", "gd"],
)
def test_no_orbits_at_all(twin_as_gpu, rule):
    found = ensemble(rule, np.ones((2, 0, rule.K)), rounds=20, device="cuda")
    assert found["last_policy"].shape == (2, 0, rule.K)
    assert found["cycle_strength"].shape == (2, 0)


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_of_torch_is_one(twin_as_gpu, device):
    rule = MRSIPO(RPS, 0.3, 0.5, 1.0)
    named, given = (ensemble(rule, rounds=20, device=d) for d in (device, torch.device(device)))
    np.testing.assert_array_equal(given["last_policy"], named["last_policy"])


class Twice(MRSIPO):
    def drive(self, mu):
        return 2 * super().drive(mu)


BIG = PreferenceMatrix(np.full((65, 65), 0.5))
SAMPLED = FiniteSample(MRSIPO(RPS, 0.3, 0.5, 1.0), 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), device="tpu"), "device 'tpu' is not known"),
        (lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), device="cuda:2"), 'are "cuda:0" to "cuda:1"'),
        (lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), device="cuda:x"), 'are "cuda:0" to "cuda:1"'),
        (lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), device="cuda:"), 'are "cuda:0" to "cuda:1"'),
        (lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), device="cpu:0"), "device 'cpu:0' is not known"),
        (lambda: ensemble(MRSIPO(BIG, 1, 0.5, 1), device="cuda"), "has 65 responses"),
        (lambda: ensemble(Twice(RPS, 1, 0.5, 1), device="cuda"), "Twice has no GPU kernel (MRSIPO"),
        (lambda: ensemble(Momentum(GRADIENT, 0.3), device="cuda"), "Momentum has no GPU kernel"),
        (lambda: ensemble(SAMPLED, device="cuda"), "FiniteSample draws random numbers"),
        (
            lambda: ensemble(MRSIPO(RPS, 1, 0.5, 1), reducers=["period"], device="cuda"),
            "period and recurrence need the last rounds",
        ),
        (
            lambda: ensemble(GRADIENT.replace(optimiser=Adam()), device="cuda"),
            "; its optimiser is Adam: use",
        ),
        (
            lambda: ensemble(GRADIENT.replace(objective=objectives.get("simpo")), device="cuda"),
            "; its objective is 'simpo': use",
        ),
        (
            lambda: ensemble(
                GradientStep("dpo", Tabular(np.zeros((2, 2))), [(0, 1), (3, 2)], 1.0), device="cuda"
            ),
            "; its pairs are of several prompts: use",
        ),
    ],
)
def test_what_has_no_kernel_is_refused_in_one_sentence(twin_as_gpu, call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_machine_without_gpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for rule in (MRSIPO(RPS, 1, 0.5, 1), MRSDPO(RPS, 1, 0.5, 1), GRADIENT):
        with pytest.raises(InputError, match="torch finds no CUDA GPU on this machine: use device"):
            ensemble(rule, device="cuda")


def test_a_machine_without_triton_says_so(twin_as_gpu, monkeypatch):
    monkeypatch.setattr(kernels, "has_triton", lambda: False)
    with pytest.raises(InputError, match="its kernels need Triton, which is not installed"):
        ensemble(MRSIPO(RPS, 1, 0.5, 1), device="cuda")
