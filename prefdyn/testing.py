"""Hypothesis strategies and checks for those who write a rule, a policy or an objective.

`games`, `policies`, `recipes` and `rules` draw what a test needs; `check_rule`, `check_policy` and
`check_objective` hold what was written to its contract.  Needs ``hypothesis``; imported by
nothing else in the package.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from prefdyn._errors import InputError
from prefdyn.games import families
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.objectives import Objective, Pair
from prefdyn.policies import Policy
from prefdyn.policies.softmax import log_softmax, softmax
from prefdyn.rules import MRSDPO, MRSIPO, DrivenRule, Rule, get_parameter, set_parameter

Array = Any
GameKind = Literal["any", "cycle", "bradley_terry", "strongly_transitive"]


@st.composite
def games(
    draw: DrawFn,
    min_K: int = 2,
    max_K: int = 6,
    kind: GameKind = "any",
    strength: float = 0.5,
) -> PreferenceMatrix:
    """Games of `min_K` to `max_K` responses.

    Parameters
    ----------
    min_K, max_K : int
        Range of the number of responses; a cycle has at least 3.
    kind : {"any", "cycle", "bradley_terry", "strongly_transitive"}
        ``"any"`` has free entries, ties and (at strength 1/2) certain wins included.
    strength : float
        Largest ``|P_ij - 1/2|`` of ``"any"`` and ``"cycle"``; below 1/2 win rates stay in (0, 1).
    """
    K = draw(st.integers(max(min_K, 3) if kind == "cycle" else min_K, max_K))
    if kind == "cycle":
        return families.cycle(K, draw(st.floats(min(0.01, strength), strength)))
    if kind == "bradley_terry":
        return families.bradley_terry(draw(st.lists(st.floats(-4, 4), min_size=K, max_size=K)))
    if kind == "strongly_transitive":
        return families.strongly_transitive(K, draw(seeds()), strict=draw(st.booleans()))
    pairs = K * (K - 1) // 2
    entries = draw(st.lists(st.floats(-strength, strength), min_size=pairs, max_size=pairs))
    A = np.zeros((K, K))
    A[np.triu_indices(K, 1)] = entries
    return PreferenceMatrix(0.5 + A - A.T)


def policies(K: int, spread: float = 5.0) -> SearchStrategy[Array]:
    """Full-support policies over K responses, logits within [-spread, spread].

    Shrinks towards the uniform policy.
    """
    logits = st.lists(st.floats(-spread, spread), min_size=K, max_size=K)
    return logits.map(lambda values: softmax(np.array(values)))


def seeds() -> SearchStrategy[int]:
    """Seeds for `numpy.random.default_rng`."""
    return st.integers(0, 2**32 - 1)


@st.composite
def recipes(
    draw: DrawFn,
    K: int,
    min_beta: float = 0.05,
    max_beta: float = 5.0,
    max_alpha: float = 0.95,
    spread: float = 2.0,
) -> dict[str, Any]:
    """Keyword arguments of an MRS rule on K responses: beta, alpha, lam, reference, offline.

    Shrinks towards beta = 1, alpha = lam = 0 and a uniform reference and offline sampler.

    Parameters
    ----------
    K : int
        Number of responses.
    min_beta, max_beta : float
        Range of beta, which is drawn on a logarithmic scale.
    max_alpha : float
        Largest share of the current policy in the reference; 1 is another regime (claim MRS-10).
    spread : float
        Logits of the reference and the offline sampler lie in [-spread, spread].
    """
    log_beta = draw(st.floats(float(np.log(min_beta)), float(np.log(max_beta))))
    return {
        "beta": float(np.exp(log_beta)),
        "alpha": draw(st.floats(0.0, max_alpha)),
        "lam": draw(st.floats(0.0, 1.0)),
        "reference": draw(policies(K, spread)),
        "offline": draw(policies(K, spread)),
    }


@st.composite
def rules(
    draw: DrawFn,
    kinds: Sequence[type[DrivenRule]] = (MRSIPO, MRSDPO),
    min_K: int = 2,
    max_K: int = 6,
    strength: float = 0.48,
    **recipe: float,
) -> Any:
    """MRS rules on free games; `recipe` goes to `recipes`.

    Parameters
    ----------
    kinds : sequence of classes
        Rules to choose from.
    min_K, max_K : int
        Range of the number of responses.
    strength : float
        Largest ``|P_ij - 1/2|``; at 1/2 the optimum of DPO need not exist.
    """
    game = draw(games(min_K, max_K, strength=strength))
    return draw(st.sampled_from(list(kinds)))(game, **draw(recipes(game.K, **recipe)))


def check_rule(rule: Rule, *, spread: float = 2.0, seed: int = 0) -> None:
    """Hold a rule to the contract of `prefdyn.rules.Rule`, at three random states.

    Its ``step`` is pure; a batch steps as its members do; what is neutral moves nothing; numpy and
    torch agree; the Jacobian is the derivative of the step (held to central differences, modulo
    the neutral directions); relabelling the responses of its ``game`` relabels the result.  Of a
    rule that draws random numbers only purity and neutrality are checked.

    Parameters
    ----------
    rule : Rule
        The rule to check.
    spread : float
        Standard deviation of the logits of the policies it is checked at.
    seed : int
        Seed of those policies and of the rule's own randomness.

    Raises
    ------
    AssertionError
        Saying what is violated, and by how much.
    """
    noise = np.random.default_rng(seed).normal(size=(3, *rule.batch_shape, rule.K))
    log_policies = log_softmax(spread * noise)

    def step(state: Array) -> Array:
        return rule.step(state, 0, np.random.default_rng(seed))

    states = step(rule.init_log(log_policies))  # a state it reaches: momentum is not at rest there
    _check_pure(rule, step, states)
    _check_neutral(rule, step, states)
    if not rule.stochastic:
        _check_batch(step, states)
        _check_torch(rule, states)
        _check_jacobian(rule, step, states)
        _check_relabelling(rule, log_policies, np.random.default_rng(seed).permutation(rule.K))


def _check_pure(rule: Rule, step: Any, states: Array) -> None:
    content, before = rule.fingerprint(), states.copy()
    once = step(states)
    assert np.array_equal(states, before), "step changes the state it is given"
    assert np.array_equal(once, step(states)), "step gives two results from one state and seed"
    assert rule.fingerprint() == content, "step changes the rule"


def _check_neutral(rule: Rule, step: Any, states: Array) -> None:
    reference, normal = step(states), _complement(rule.neutral)
    for direction in rule.neutral.T:
        moved = states + direction
        _close(rule.log_policy(moved), rule.log_policy(states), 1e-9, "a neutral shift is visible")
        _close(step(moved) @ normal, reference @ normal, 1e-8, "a neutral shift acts on the step")


def _check_batch(step: Any, states: Array) -> None:
    _close(step(states), np.stack([step(state) for state in states]), 1e-9, "a batch is no loop")


def _check_torch(rule: Rule, states: Array) -> None:
    if "torch" not in rule.backends:
        return
    import torch

    by_torch = rule.step(torch.tensor(states), 0, None)
    _close(by_torch.numpy(), rule.step(states, 0, None), 1e-10, "torch and numpy disagree")


def _check_jacobian(rule: Rule, step: Any, states: Array) -> None:
    h, columns = 1e-6, np.eye(states.shape[-1])
    by_differences = np.stack(
        [(step(states + h * e) - step(states - h * e)) / (2 * h) for e in columns], axis=-1
    )
    normal = _complement(rule.neutral)
    claimed = normal.T @ rule.jacobian(states).matrix @ normal
    # Rounding of the differences grows with the size of the step itself.
    allowed = 1e-6 * max(1.0, float(np.abs(step(states)).max()))
    _close(claimed, normal.T @ by_differences @ normal, allowed, "the Jacobian is no derivative")


def _check_relabelling(rule: Rule, log_policies: Array, order: Array) -> None:
    try:
        relabelled = set_parameter(rule, "game", get_parameter(rule, "game").restrict(order))
    except InputError:  # a rule without a game has no labels to change
        return
    for name in ("reference", "offline", "log_reference"):
        try:
            value = get_parameter(rule, name)
        except InputError:
            continue
        if value is not None:
            relabelled = set_parameter(relabelled, name, np.asarray(value)[..., order])

    def after(rule: Rule, log_policies: Array) -> Array:
        return rule.log_policy(rule.step(rule.init_log(log_policies), 0, None))

    expected = after(rule, log_policies)[..., order]
    _close(after(relabelled, log_policies[..., order]), expected, 1e-9, "labels matter")


def _complement(neutral: Array) -> Array:
    """Orthonormal basis of the directions orthogonal to the columns of `neutral`."""
    n, m = neutral.shape
    return np.linalg.qr(np.concatenate([neutral, np.eye(n)], axis=1))[0][:, m:]


def check_policy(policy: Policy, *, spread: float = 0.5, seed: int = 0) -> None:
    """Hold a policy to the contract of `prefdyn.policies.Policy`, near its start.

    Numpy and torch agree; a batch is no loop; complete responses sum to 1; the Gram matrix is that
    of the gradients, symmetric and positive semidefinite, and of complete responses
    ``sum_i pi_i K_ij = 0`` (claim KER-2); `direction` is the pushes' derivative; `rates` are its
    columns, and a step along it changes the log-probabilities by them, with an error that falls as
    the square of the step; what is neutral is not seen.

    Parameters
    ----------
    policy : Policy
        The policy to check.
    spread : float
        Standard deviation of the parameters around the start.
    seed : int
        Seed of these parameters and of the pushes.

    Raises
    ------
    AssertionError
        Saying what is violated, and by how much.
    """
    import torch

    rng = np.random.default_rng(seed)
    params = policy.params + spread * rng.normal(size=(3, policy.params.shape[-1]))
    pushes = policy.mask * rng.normal(size=(3, *policy.mask.shape))
    tokens, gram = policy.token_log_probs(params), policy.gram(params)

    in_torch = policy.token_log_probs(torch.tensor(params)).detach().numpy()
    _close(in_torch, tokens, 1e-12, "torch and numpy disagree")
    _close(
        tokens, np.stack([policy.token_log_probs(x) for x in params]), 1e-12, "a batch is no loop"
    )
    assert not np.any(tokens[..., policy.mask == 0]), "padding has log-probabilities"
    _close(policy.log_probs(params), tokens.sum(-1), 1e-12, "log_probs is no sum of tokens")

    gradients = policy.token_gradients(params)
    size = np.broadcast_to(policy.multipliers, params.shape[-1:])
    explicit = np.einsum("...itp,p,...jsp->...itjs", gradients, size, gradients)
    scale = max(1.0, float(np.abs(explicit).max()))
    _close(policy.token_gram(params), explicit, 1e-11 * scale, "the Gram matrix is no gradients'")
    _close(gram, explicit.sum((-1, -3)), 1e-11 * scale, "the Gram matrix is no sum of tokens")
    lowest = float(np.linalg.eigvalsh(gram).min())
    assert lowest >= -1e-10 * scale, f"the Gram matrix has the eigenvalue {lowest:.1e}"
    if policy.complete:
        weighted = np.einsum("...i,...ij->...j", np.exp(policy.log_probs(params)), gram)
        _close(weighted, 0 * weighted, 1e-11 * scale, "sum_i pi_i K_ij is not 0")

    move = policy.direction(params, pushes)
    _close(
        move, size * np.einsum("...itp,...it->...p", gradients, pushes), 1e-11 * scale, "direction"
    )
    rates = policy.rates(params, pushes)
    expected = np.einsum("...itjs,...js->...it", explicit, pushes)
    _close(rates, expected, 1e-11 * scale, "rates are no columns of the Gram matrix")
    coarse, fine = (
        np.abs(policy.token_log_probs(params + h * move) - tokens - h * rates).max(initial=0.0)
        for h in (1e-3 / scale, 1e-4 / scale)
    )
    assert fine <= 0.02 * coarse + 1e-12, f"a step's error falls from {coarse:.1e} to {fine:.1e}"
    if policy.neutral.size:
        shifted = params + (policy.neutral @ rng.normal(size=policy.neutral.shape[1]))
        seen = policy.token_log_probs(shifted)
        _close(seen, tokens, 1e-10, "a neutral shift is visible")


def check_objective(
    objective: Objective, gaps: Sequence[float] = (0.0, 1e-8, -1e-8, 20.0, -20.0, 1e4, -1e4)
) -> None:
    """Hold an objective's values and derivatives to its own formula at 400 digits.

    The truth is ``objective.symbolic()`` evaluated by mpmath.  Held to it are the loss in numpy and
    torch, and the pushes and second derivatives that torch takes from it; the latter two are where
    familiar forms go wrong, at a gap of 0 and in the tails.

    Parameters
    ----------
    objective : Objective
        The objective, with the hyper-parameters to check it at, and at its initial statistics.
        One that sees tokens or sorts the batch is not for this check.
    gaps : sequence of float
        Log-ratio gaps (nats) to check at.

    Raises
    ------
    AssertionError
        Saying what is violated, and by how much.
    """
    import mpmath
    import sympy
    import torch

    form = objective.symbolic()
    c, r = form.pair.chosen, form.pair.rejected
    expressions = [form.loss, -form.chosen_push, form.rejected_push]
    expressions += [sympy.diff(form.loss, *by, simplify=False) for by in ((c, c), (c, r), (r, r))]
    ones = np.ones(len(gaps))
    points = {"ref_chosen": -0.5 * ones, "ref_rejected": -1.25 * ones}
    points["chosen"] = np.minimum(gaps, 0.0) - 2.25  # log-probabilities stay below 0
    points["rejected"] = -np.maximum(gaps, 0.0) - 3.0
    points |= {"chosen_length": ones, "rejected_length": ones}
    points |= {"chosen_win_rate": 0.75 * ones, "rejected_win_rate": 0.375 * ones}
    stats = objective.initial_stats()

    rows = [Pair(**{name: v[i] for name, v in points.items()}) for i in range(len(gaps))]
    symbols = sorted(form.symbols, key=str)
    function = sympy.lambdify(symbols, expressions, "mpmath", cse=True)

    def exact(row: Pair) -> list[float]:
        values = form.values(objective, row, stats)
        return [float(part) for part in function(*(mpmath.mpf(float(values[s])) for s in symbols))]

    with mpmath.workdps(400):
        truth = np.array([exact(row) for row in rows]).T
    in_torch = Pair(**{name: torch.tensor(column) for name, column in points.items()})
    in_numpy = Pair(**points)
    derivatives = objective.derivatives(in_torch, stats)._asdict()
    _close(
        np.asarray(objective.loss(in_numpy, stats=stats)),
        truth[0],
        1e-12,
        "the loss in numpy is off",
    )
    _close(
        objective.loss(in_torch, stats=stats).numpy(), truth[0], 1e-12, "the loss in torch is off"
    )
    for (name, part), expected in zip(derivatives.items(), truth[1:], strict=True):
        _close(part.numpy(), expected, 1e-12, f"the derivative by {name} is off")
    pushes = np.stack(objective.pushes(in_numpy, stats))
    _close(pushes, np.stack([-truth[1], truth[2]]), 1e-12, "the pushes are off")


def _close(found: Array, expected: Array, tolerance: float, complaint: str) -> None:
    """Assert agreement relative to max(1, |expected|)."""
    assert found.shape == expected.shape, f"{complaint}: shapes {found.shape}, {expected.shape}"
    error = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    worst = error.max(initial=0.0)  # NaN if any is, and then the comparison fails
    assert worst <= tolerance, f"{complaint}: by {worst:.2e}, more than {tolerance:.0e}"
