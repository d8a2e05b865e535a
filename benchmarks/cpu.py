"""CPU comparisons: compiled ensembles, Newton rounds, closed-form Jacobians, gradient steps."""

import os
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

import prefdyn
from benchmarks.peers import missing, peer
from benchmarks.timing import PACKAGES, Row, Table, environment, interleaved, report
from prefdyn import objectives
from prefdyn.games import PreferenceMatrix, cycle
from prefdyn.policies import LogLinear
from prefdyn.rules import MRSDPO, MRSIPO, Adam, GradientStep, Rule, _lanes, _simd

RESPONSES = {3: 32_768, 4: 32_768, 8: 32_768, 16: 4096, 32: 32_768, 64: 4096}
"""Orbits for each number of responses; fewer where only the curve is of interest."""
BATCHES = {16: 1000, 256: 1000, 4096: 200, 32_768: 200}
"""Rounds for each number of orbits."""


def game(K: int) -> PreferenceMatrix:
    """A cyclic game under which the recipes below keep moving, so that no run stops early."""
    return cycle(K, 0.4)


def starts(number: int, K: int) -> np.ndarray:
    """Policies (number, K), uniform on the simplex."""
    return np.random.default_rng(0).dirichlet(np.ones(K), size=number)


def exponentials(number: int) -> float:
    """Seconds for so many exponentials out of the first-level cache, NumPy's or ours."""
    x, out = _simd.rows(64), _simd.rows(64)
    x[:] = np.linspace(-4, 0, x.size).reshape(x.shape)
    seconds = interleaved(
        lambda: [np.exp(x, out=out) for _ in range(1000)], lambda: _simd.powers(x, out, 1000)
    )
    return min(seconds) / (1000 * x.size) * number


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


def jax_ensemble(rule: MRSIPO, policies: np.ndarray, rounds: int) -> Callable | None:
    """The loop of `numpy_ensemble` under vmap, scan and jit in float64; None without JAX."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("XLA_FLAGS", flags)
    jax = peer("jax")
    if jax is None:
        return None
    jax.config.update("jax_enable_x64", True)
    alpha, beta, lam = (float(np.asarray(value)) for value in (rule.alpha, rule.beta, rule.lam))
    drive, constant = lam / beta * rule.game.skew, (1 - lam) / beta * rule.game.skew @ rule.mu0

    def one_round(theta, _):
        return alpha * theta + drive @ jax.nn.softmax(theta) + constant, None

    def orbit(theta):
        return jax.nn.softmax(jax.lax.scan(one_round, theta, None, length=rounds)[0])

    theta = jax.numpy.asarray(np.log(policies))
    compiled = jax.jit(jax.vmap(orbit))
    return lambda: np.asarray(compiled(theta))


def ensembles(K: int, number: int, rounds: int, with_jax: bool = True) -> list[Row]:
    """Many orbits of MRS-IPO, against NumPy and JAX."""
    rule = MRSIPO(game(K), beta=0.6 / K, alpha=0.5, lam=1.0)
    policies = starts(number, K)

    def ours(rounds=rounds):
        result = prefdyn.ensemble(rule, policies, rounds, reducers=("last_policy",))
        return result["last_policy"]

    # Few rounds: on a limit cycle rounding errors drift apart along the phase.
    np.testing.assert_allclose(ours(50), numpy_ensemble(rule, policies, 50), atol=1e-9)
    alternatives = {"batched NumPy": lambda: numpy_ensemble(rule, policies, rounds)}
    if with_jax:
        short, run = (jax_ensemble(rule, policies, length) for length in (50, rounds))
        if short is not None and run is not None:
            np.testing.assert_allclose(ours(50), short(), atol=1e-9)
            alternatives["JAX vmap + scan"] = run
    seconds, *others = interleaved(ours, *alternatives.values(), repeats=3)
    floor = exponentials(number * rounds * K)
    case = f"MRS-IPO, K = {K}, {number} orbits × {rounds} rounds"
    return [
        Row(case, "ensemble", name, seconds, other, floor)
        for name, other in zip(alternatives, others, strict=True)
    ]


def curve(title: str, name: str, cases: dict[int, list[Row]], work: dict[int, int]) -> Table:
    """Orbit-rounds per second of ours, the fraction of the floor, and ratios."""
    lines = []
    for size, rows in cases.items():
        seconds = rows[0].ours_seconds
        fraction = (rows[0].floor_seconds or 0) / seconds
        ratios = [row.ratio for row in rows] + ["not installed"] * (2 - len(rows))
        lines.append((str(size), work[size] / seconds / 1e6, fraction, *ratios))
    header = (name, "ours, million orbit-rounds/s", "floor / ours", "NumPy / ours", "JAX / ours")
    return Table(title, header, lines)


def threads() -> Table:
    """Ensembles by the clock on the wall, on one core and on all, beside NumPy on one."""
    lines = []
    for K, number in RESPONSES.items():
        if K not in (3, 8, 32):
            continue
        rule = MRSIPO(game(K), beta=0.6 / K, alpha=0.5, lam=1.0)
        policies = starts(number, K)

        def ours(cores, rule=rule, policies=policies):
            _lanes.THREADS = cores
            return prefdyn.ensemble(rule, policies, 200, reducers=("last_policy",))

        seconds = interleaved(
            lambda rule=rule, policies=policies: numpy_ensemble(rule, policies, 200),
            lambda: ours(1),
            lambda: ours(os.cpu_count()),
            repeats=5,
            clock=time.perf_counter,
        )
        _lanes.THREADS = 1
        rates = [number * 200 / each / 1e6 for each in seconds]
        lines.append((f"{K}, {number}", *rates, rates[1] / rates[0], rates[2] / rates[0]))
    header = ("K, orbits", "NumPy", "one core", "all cores", "one / NumPy", "all / NumPy")
    note = (
        "MRS-IPO, 200 rounds, million orbit-rounds per second of wall-clock time; "
        f"{os.cpu_count()} cores. NumPy has one thread; element by element it could not use more."
    )
    return Table("Threads", header, lines, note)


def autograd_loop(P: np.ndarray, eta: float, tau: float, theta: np.ndarray, steps: int):
    """Online IPO on a table of logits (runs, n), as training code has it: a loss, autograd, SGD.

    The regression of log-ratios on differences of win rates against the current policy, over all
    pairs of responses (arXiv 2503.08942).  With this learning rate a step is one of online mirror
    descent, ``theta' = (1 - eta tau) theta + eta tau log ref + eta P pi`` up to a constant.
    """
    n = theta.shape[-1]
    wins = torch.tensor(P)
    logits = torch.tensor(theta, requires_grad=True)
    log_ref = torch.full((n,), -np.log(n), dtype=torch.double)
    optimiser = torch.optim.SGD([logits], lr=eta * tau * n / 4)
    for _ in range(steps):
        optimiser.zero_grad()
        log_policy = torch.log_softmax(logits, dim=-1)
        win_rates = log_policy.detach().exp() @ wins.T
        error = log_policy - log_ref - win_rates / tau
        loss = ((error[..., :, None] - error[..., None, :]) ** 2).mean(dim=(-2, -1)).sum()
        loss.backward()
        optimiser.step()
    return torch.softmax(logits.detach(), dim=-1).numpy()


def mirror_descent(runs: int, n: int = 10, steps: int = 300) -> list[Row]:
    """Online mirror descent, per step of all runs: it is MRS-IPO under other names."""
    eta, tau = 0.5, 0.1
    P, policies = game(n).P, starts(runs, n)
    theta = np.log(policies)
    rule = MRSIPO(game(n), beta=1 / eta, alpha=1 - eta * tau, lam=1.0)
    reached = prefdyn.orbit(rule, policies, 50, tolerance=0).policies[-1]
    np.testing.assert_allclose(reached, autograd_loop(P, eta, tau, theta, 50), atol=1e-12)

    compiled, stepwise, loop = interleaved(
        lambda: prefdyn.ensemble(rule, policies, steps, reducers=("last_policy",)),
        lambda: prefdyn.orbit(rule, policies, steps, save=steps, tolerance=0),
        lambda: autograd_loop(P, eta, tau, theta, steps),
        repeats=5,
    )
    case = f"online mirror descent, {runs} runs × n = {n}, one step"
    return [
        Row(case, "ensemble", "autograd loop", compiled / steps, loop / steps),
        Row(case, "orbit", "autograd loop", stepwise / steps, loop / steps),
    ]


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
    """Run every comparison, print the tables and keep them in results/cpu.json and cpu.md."""
    setting = environment(packages=(*PACKAGES, "jax"))
    recipe = {"beta": 0.5, "alpha": 0.5, "lam": 0.8}
    by_K = {K: ensembles(K, number, 200) for K, number in RESPONSES.items()}
    by_batch = {number: ensembles(3, number, rounds) for number, rounds in BATCHES.items()}
    rows = [row for some in by_K.values() for row in some]
    rows += [row for K in (3, 8, 32) for row in ensembles(K, 2000, 1000, with_jax=False)]
    rows += [row for K in (4, 8) for row in newton_rounds(K)]
    rows += mirror_descent(10) + mirror_descent(1000)
    rows += jacobians(MRSIPO(game(8), **recipe)) + jacobians(MRSDPO(game(8), **recipe))
    rows += gradient_steps(1, 10) + gradient_steps(40, 60)
    tables = [
        curve("Responses", "K", by_K, {K: number * 200 for K, number in RESPONSES.items()}),
        curve("Orbits, K = 3", "orbits", by_batch, {n: n * r for n, r in BATCHES.items()}),
        threads(),
    ]
    report("cpu", "CPU results", rows, setting, tables, missing())


if __name__ == "__main__":
    main()
