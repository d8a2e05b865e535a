"""CPU comparisons: compiled ensembles, Newton rounds, closed-form Jacobians, gradient steps."""

import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.markdown import Markdown
from scipy.optimize import minimize
from scipy.special import expit

import prefdyn
from benchmarks.timing import Row, environment, interleaved, markdown
from prefdyn import objectives
from prefdyn.games import PreferenceMatrix, cycle
from prefdyn.policies import LogLinear
from prefdyn.rules import MRSDPO, MRSIPO, Adam, GradientStep, Rule

RESULTS = Path(__file__).parent / "results"


def game(K: int) -> PreferenceMatrix:
    """A cyclic game under which the recipes below keep moving, so that no run stops early."""
    return cycle(K, 0.4)


def starts(number: int, K: int) -> np.ndarray:
    """Policies (number, K), uniform on the simplex."""
    return np.random.default_rng(0).dirichlet(np.ones(K), size=number)


def exponentials(number: int) -> float:
    """Seconds that NumPy needs for so many exponentials out of the first-level cache."""
    x, out = np.linspace(-3, 0, 1024), np.empty(1024)
    (seconds,) = interleaved(lambda: [np.exp(x, out=out) for _ in range(1000)])
    return seconds / (1000 * x.size) * number


def numpy_ensemble(rule: MRSIPO, policies: np.ndarray, rounds: int) -> np.ndarray:
    """Last policies (N, K) of MRS-IPO with uniform reference and sampler, as a plain loop."""
    theta = np.log(policies)
    alpha, beta, lam = (np.asarray(value) for value in (rule.alpha, rule.beta, rule.lam))
    drive, constant = lam / beta * rule.game.skew.T, (1 - lam) / beta * rule.game.skew @ rule.mu0
    for t in range(rounds + 1):
        pi = np.exp(theta - theta.max(axis=-1, keepdims=True))
        pi /= pi.sum(axis=-1, keepdims=True)
        if t < rounds:
            theta = alpha * theta + pi @ drive + constant
    return pi


def minimised_scores(P: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Scores (K,) that minimise DPO's population loss under the sampler mu, by BFGS."""
    weights = mu[:, None] * mu[None, :] * P

    def loss(scores):
        gap = scores[:, None] - scores[None, :]
        push = weights * expit(-gap)
        value = (weights * np.logaddexp(0, -gap)).sum()
        return value, push.sum(axis=0) - push.sum(axis=1)

    scores = minimize(loss, np.zeros(len(mu)), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return scores - scores.mean()


def minimised_round(rule: MRSDPO, theta: np.ndarray) -> np.ndarray:
    """One MRS-DPO round (N, K), one minimisation after another."""
    scores = np.stack([minimised_scores(rule.game.P, mu) for mu in rule.sampler(theta)])
    return rule.mixed_reference(theta) + scores / rule.beta


def differences(rule: Rule, theta: np.ndarray) -> np.ndarray:
    """Jacobian (N, K, K) by central differences."""
    h = 1e-6
    shifts = h * np.eye(theta.shape[-1])
    up = rule.step(theta[..., None, :] + shifts, 0, None)
    down = rule.step(theta[..., None, :] - shifts, 0, None)
    return np.swapaxes(up - down, -1, -2) / (2 * h)


def centred(jacobian: np.ndarray) -> np.ndarray:
    """Without the neutral direction, which each method is free to treat in its own way."""
    K = jacobian.shape[-1]
    project = np.eye(K) - 1 / K
    return project @ jacobian @ project


def ensembles(K: int, number: int = 2000, rounds: int = 1000) -> Row:
    """Many orbits of MRS-IPO."""
    rule = MRSIPO(game(K), beta=0.6 / K, alpha=0.5, lam=1.0)
    policies = starts(number, K)

    def ours(rounds=rounds):
        result = prefdyn.ensemble(rule, policies, rounds, reducers=("last_policy",))
        return result["last_policy"]

    # Few rounds: on a limit cycle rounding errors drift apart along the phase.
    np.testing.assert_allclose(ours(50), numpy_ensemble(rule, policies, 50), atol=1e-9)
    return Row(
        f"MRS-IPO, K = {K}, {number} orbits × {rounds} rounds",
        "ensemble",
        "batched NumPy",
        *interleaved(ours, lambda: numpy_ensemble(rule, policies, rounds)),
        floor_seconds=exponentials(number * rounds * K),
    )


def newton_rounds(K: int, number: int = 200, rounds: int = 100) -> list[Row]:
    """Rounds of MRS-DPO, per round of `number` orbits."""
    rule = MRSDPO(game(K), beta=2 / K, alpha=0.5, lam=0.8)
    policies = starts(number, K)
    theta = rule.init(policies)
    np.testing.assert_allclose(rule.update(theta), minimised_round(rule, theta), atol=1e-5)

    state = theta

    def step_on():  # each step from where the last one ended: the rule remembers its last fit
        nonlocal state
        state = rule.step(state, 0, None)

    step, kernel, scipy = interleaved(
        step_on,
        lambda: prefdyn.ensemble(rule, policies, rounds, reducers=("last_policy",)),
        lambda: minimised_round(rule, theta),
        repeats=5,
    )
    case = f"MRS-DPO, K = {K}, {number} orbits, one round"
    return [
        Row(case, "rule.step", "scipy minimize", step, scipy),
        Row(case, f"ensemble / {rounds} rounds", "scipy minimize", kernel / rounds, scipy),
    ]


def jacobians(rule: Rule, number: int = 500) -> list[Row]:
    """The derivative of a round, at many states."""
    theta = rule.init(starts(number, rule.K))
    alternatives = {
        "central differences": lambda: differences(rule, theta),
        "autodiff": lambda: Rule.jacobian(rule, theta).matrix,
    }
    for alternative in alternatives.values():
        np.testing.assert_allclose(
            centred(rule.jacobian(theta).matrix), centred(alternative()), atol=1e-5
        )
    fresh = (theta * stretch for stretch in np.linspace(1, 2, 100))  # the last fit is remembered
    ours, *others = interleaved(lambda: rule.jacobian(next(fresh)), *alternatives.values())
    case = f"Jacobian of {type(rule).__name__}, K = {rule.K}, {number} states"
    return [
        Row(case, "rule.jacobian", name, ours, seconds)
        for name, seconds in zip(alternatives, others, strict=True)
    ]


def gradient_steps(prompts: int, responses: int, d: int = 12, steps: int = 100) -> list[Row]:
    """DPO on one pair per prompt of a log-linear policy: ours and a training loop in torch."""
    features = np.random.default_rng(0).normal(size=(prompts, responses, d))
    policy = LogLinear(features)
    chosen = responses * np.arange(prompts)
    pairs, beta = np.stack([chosen, chosen + 1], axis=-1), 0.1
    plain = GradientStep(objectives.get("dpo", beta=beta), policy, pairs, 0.5)
    adam = plain.replace(rate=0.01, optimiser=Adam())

    def ours(rule):
        return prefdyn.orbit(rule, rounds=steps, save=steps, tolerance=0).log_policies[-1]

    def torch_loop(kind, rate):
        phi, theta = torch.tensor(features), torch.zeros(d, dtype=torch.double, requires_grad=True)
        optimiser = kind([theta], lr=rate)

        def gaps():
            log_probs = torch.log_softmax(phi @ theta, dim=-1)
            return log_probs[:, 0] - log_probs[:, 1]

        with torch.no_grad():
            reference = gaps()
        for _ in range(steps):
            optimiser.zero_grad()
            loss = -torch.nn.functional.logsigmoid(beta * (gaps() - reference)).mean()
            loss.backward()
            optimiser.step()
        return torch.log_softmax(phi @ theta.detach(), dim=-1).numpy().ravel()

    rows = []
    for rule, kind in ((plain, torch.optim.SGD), (adam, torch.optim.Adam)):
        rate = float(np.asarray(rule.rate))
        np.testing.assert_allclose(ours(rule), torch_loop(kind, rate), atol=1e-8)
        seconds = interleaved(
            lambda rule=rule: ours(rule), lambda kind=kind, rate=rate: torch_loop(kind, rate)
        )
        case = f"DPO, {prompts} × {responses} responses, {steps} steps of {kind.__name__}"
        rows.append(Row(case, "GradientStep", "torch loop", *seconds))
    return rows


def main() -> None:
    """Run every comparison, print the table and write it to results/cpu.json and cpu.md."""
    recipe = {"beta": 0.5, "alpha": 0.5, "lam": 0.8}
    rows = [ensembles(K) for K in (3, 4, 8)]
    rows += [row for K in (4, 8) for row in newton_rounds(K)]
    rows += jacobians(MRSIPO(game(8), **recipe)) + jacobians(MRSDPO(game(8), **recipe))
    rows += gradient_steps(1, 10) + gradient_steps(40, 60)
    setting = environment()
    page = markdown(rows, setting)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cpu.md").write_text(page)
    record = setting | {"rows": [row.record() for row in rows]}
    (RESULTS / "cpu.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    Console(width=150).print(Markdown(page))
