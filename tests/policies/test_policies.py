"""Every policy holds its contract; closed forms against explicit gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import InputError
from prefdyn.policies import (
    Autoregressive,
    Differentiable,
    KernelPolicy,
    LogLinear,
    Tabular,
    UnconstrainedFeatures,
    log_softmax,
)
from prefdyn.testing import check_policy, seeds

RESPONSES = [(0, 1), (0, 2, 3), (1,), (2, 1, 1)]
NUMBER: Any = 3
CONTEXTS = UnconstrainedFeatures.contexts(RESPONSES)


def unconstrained(rng, **kappas):
    W, h = rng.normal(size=(4, 3)), rng.normal(size=(len(CONTEXTS), 3))
    return UnconstrainedFeatures(W, h, RESPONSES, **kappas)


def perceptron(rng):
    import torch

    features = torch.tensor(rng.normal(size=(6, 4)))

    def log_probs(theta):
        hidden = torch.tanh(features @ theta[:12].reshape(4, 3))
        return torch.log_softmax(hidden @ theta[12:], 0)

    return Differentiable(log_probs, rng.normal(size=15))


POLICIES = {
    "tabular": lambda rng: Tabular(rng.normal(size=5)),
    "tabular, two prompts": lambda rng: Tabular(rng.normal(size=(2, 3))),
    "log-linear": lambda rng: LogLinear(rng.normal(size=(6, 3)), offset=rng.normal(size=6)),
    "log-linear, shared by prompts": lambda rng: LogLinear(rng.normal(size=(3, 4, 2))),
    "log-linear, more features than responses": lambda rng: LogLinear(rng.normal(size=(3, 5))),
    "one token": lambda rng: UnconstrainedFeatures(
        rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), kappa_W=0.3, kappa_h=0.0
    ),
    "several tokens": lambda rng: unconstrained(rng, kappa_W=0.3, kappa_h=2.0),
    "autoregressive": lambda rng: Autoregressive(2, 3, logits=rng.normal(size=(7, 2))),
    "autoregressive, bigrams with eos": lambda rng: Autoregressive(
        3, 3, order=1, eos=0, n_prompts=2
    ),
    "perceptron": perceptron,
}


@pytest.mark.parametrize("kind", POLICIES)
@settings(max_examples=5)
@given(seed=seeds())
def test_contract(kind, seed):
    check_policy(POLICIES[kind](np.random.default_rng(seed)), seed=seed)


@given(seed=seeds())
def test_kernel_moves_as_the_policy_it_was_measured_on(seed):
    """In the small-step limit, token by token and summed; the linearised policy to first order."""
    rng = np.random.default_rng(seed)
    policy = unconstrained(rng, kappa_W=0.5, kappa_h=1.5)
    pushes = policy.mask * rng.normal(size=policy.mask.shape)
    rates = policy.rates(policy.params, pushes)
    frozen = KernelPolicy(policy.token_log_probs(), policy.token_gram(), mask=policy.mask)
    np.testing.assert_allclose(frozen.rates(None, pushes), rates, atol=1e-10)
    linearised = KernelPolicy.from_gradients(
        policy.token_log_probs(),
        policy.token_gradients(),
        preconditioner=policy.multipliers,
        mask=policy.mask,
    )
    np.testing.assert_allclose(linearised.rates(None, pushes), rates, atol=1e-10)
    np.testing.assert_allclose(linearised.token_gram(), policy.token_gram(), atol=1e-10)
    summed = KernelPolicy(policy.log_probs(), policy.gram(), lengths=policy.lengths)
    same = policy.mask * rng.normal(size=(policy.K, 1))
    found = summed.rates(None, same[:, :1])[:, 0]
    np.testing.assert_allclose(found, policy.rates(None, same).sum(-1), atol=1e-10)


def test_a_full_preconditioner():
    rng = np.random.default_rng(0)
    gradients, root = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    policy = KernelPolicy.from_gradients(
        log_softmax(np.zeros(4)), gradients, preconditioner=root @ root.T
    )
    np.testing.assert_allclose(policy.gram(), gradients @ root @ root.T @ gradients.T, atol=1e-12)


def test_a_gram_matrix_that_follows_the_state():
    table = Tabular([0.3, -0.2, 0.1])
    policy = KernelPolicy(table.log_probs(), lambda log_probs: table.gram(log_probs))
    other = log_softmax(np.array([[1.0, 0.0, -1.0], [0.0, 0.0, 2.0]]))
    np.testing.assert_allclose(policy.gram(other), table.gram(other), atol=1e-15)


def test_a_gram_function_sees_one_member_at_a_time():
    """With as many members as responses a matrix product would mix them unnoticed."""
    other = log_softmax(np.array([[1.0, 0.0], [0.0, 2.0]]))
    policy = KernelPolicy(other[0], lambda log_probs: np.diag(np.exp(log_probs)))
    np.testing.assert_array_equal(policy.gram(other), [np.diag(p) for p in np.exp(other)])


def test_padding_of_a_measured_kernel_is_ignored():
    rng = np.random.default_rng(3)
    policy = unconstrained(rng)
    tokens, gradients = policy.token_log_probs(), policy.token_gradients()
    junk = gradients + (1 - policy.mask[..., None]) * rng.normal(size=gradients.shape)
    gram = np.einsum("itp,jsp->itjs", junk, junk)
    everywhere = np.broadcast_to(rng.normal(size=(policy.K, 1)), policy.mask.shape)
    for found in (
        KernelPolicy(tokens, gram, mask=policy.mask),
        KernelPolicy.from_gradients(tokens, junk, mask=policy.mask),
    ):
        np.testing.assert_allclose(found.gram(), policy.gram(), atol=1e-10)
        rates = found.rates(None, everywhere)
        expected = np.einsum("itjs,js->it", policy.token_gram(), everywhere * policy.mask)
        np.testing.assert_allclose(rates, expected, atol=1e-10)


def test_a_linearised_policy_has_no_start_from_probabilities():
    policy = KernelPolicy.from_gradients([-1.0, -1.0], np.eye(2))
    with pytest.raises(InputError, match=r"policy\.at"):
        policy.params_of(np.array([-1.0, -2.0]))


def test_excess_probability_of_candidates():
    policy = KernelPolicy(np.log([0.3, 0.4, 0.5]), np.eye(3), prompts=[0, 0, 1])
    np.testing.assert_allclose(policy.excess(np.log([0.8, 0.4, 0.5])), [0.2, 0.0])


def test_sequences_are_complete_and_end_where_they_should():
    policy = Autoregressive(3, 3, eos=2)
    assert policy.complete
    assert np.exp(policy.log_probs()).sum() == pytest.approx(1, abs=1e-14)
    assert all(2 not in response[:-1] for response in policy.responses)
    assert all(response[-1] == 2 or len(response) == 3 for response in policy.responses)
    assert len(set(policy.responses)) == policy.K == 1 + 2 + 4 * 3
    assert policy.responses[policy.index((0, 1, 2))] == (0, 1, 2)


def test_contexts_of_limited_order_are_shared_but_the_prompt_stays_apart():
    policy = Autoregressive(2, 3, order=1, n_prompts=2)
    assert policy.contexts == [(("prompt", 0),), (0,), (1,), (("prompt", 1),)]
    assert Autoregressive(2, 3, order=0).n_contexts == 1
    assert Autoregressive(2, 3).n_contexts == 1 + 2 + 4


def test_hidden_states_predict_the_tokens():
    rng = np.random.default_rng(1)
    policy = unconstrained(rng)
    W, h = policy.split()
    for i, response in enumerate(policy.responses):
        states = policy.hidden_states(i)
        rows = log_softmax(states @ W.T)
        summed = sum(rows[t, token] for t, token in enumerate(response))
        assert summed == pytest.approx(policy.log_probs()[i], abs=1e-12)
    assert CONTEXTS[0] == (0, ())
    np.testing.assert_array_equal(policy.hidden_states(0)[0], h[0])


@given(st.integers(0, 3), seeds())
def test_at_moves_the_start_and_nothing_else(which, seed):
    rng = np.random.default_rng(seed)
    policy = list(POLICIES.values())[2 * which](rng)
    params = policy.params + rng.normal(size=policy.params.shape)
    moved = policy.at(params)
    np.testing.assert_array_equal(moved.log_probs(), policy.log_probs(params))
    assert type(moved) is type(policy)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tabular([0.0, np.nan]), r"logits\[1\] is nan"),
        (lambda: Tabular([]), "shape"),
        (lambda: Tabular("abc"), "not an array of numbers"),
        (lambda: LogLinear(np.ones((3, 2)), np.ones(3)), "do not fit"),
        (lambda: LogLinear(np.ones(3)), "features"),
        (lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(3)), "one hidden state of 2"),
        (lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), kappa_W=-1), "kappa_W"),
        (
            lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), [(3,)]),
            r"responses\[0\] has token 3",
        ),
        (
            lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), [(0,), ()]),
            r"responses\[1\] is empty",
        ),
        (
            lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), [(0,), (0,)]),
            r"responses\[1\] is responses\[0\] again",
        ),
        (lambda: Autoregressive(3, 20), "sequences"),
        (lambda: Autoregressive(3, 2, eos=3), "eos is 3"),
        (lambda: Autoregressive(3, 2, logits=np.ones((2, 3))), "one row per context"),
        (lambda: KernelPolicy([-1.0, -2.0], np.eye(3)), "gram has shape"),
        (lambda: KernelPolicy([-1.0, 2.0], np.eye(2)), r"log_probs\[1\] is 2"),
        (lambda: KernelPolicy([-1.0, -2.0], [[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (lambda: KernelPolicy([-1.0, -2.0], [[1.0, 2.0], [2.0, 1.0]]), "eigenvalue -1"),
        (lambda: KernelPolicy([-1.0, -2.0], [[1.0, np.nan], [0.0, 1.0]]), "not finite"),
        (lambda: KernelPolicy.from_gradients([-1.0], np.ones((2, 3))), "one row for each"),
        (
            lambda: KernelPolicy.from_gradients([[-1.0], [-1.0, -2.0]], np.ones((2, 3))),
            "log_probs is not an array",
        ),
        (lambda: UnconstrainedFeatures.contexts([(0,), (1,)], [0]), "2 in all"),
        (
            lambda: KernelPolicy.from_gradients([-1.0], np.ones((1, 3)), preconditioner=[1, 1]),
            "3 parameters",
        ),
        (lambda: Differentiable(lambda theta: theta.sum(), [0.0]), "log-probabilities"),
        (lambda: Tabular([0.0, 0.0]).at([1.0]), "2 parameters"),
        (lambda: Tabular([0.0, 0.0]).log_probs([1.0]), "2 parameters"),
        (lambda: Tabular([0.0, 0.0]).at("a"), "params is not an array"),
        (lambda: Tabular([0.0, 0.0]).hidden_states(0), "no hidden states"),
        (lambda: LogLinear(np.ones((3, 2))).params_of(np.zeros(3)), "policy.at"),
        (lambda: Autoregressive(2, 2).index((0, 0, 0)), "no response"),
        (lambda: Autoregressive(2, 2).index(NUMBER), "3 is no response"),
        (lambda: unconstrained(np.random.default_rng(0)).hidden_states(4), "0 to 3"),
        (lambda: unconstrained(np.random.default_rng(0), kappa_W="a"), "kappa_W is a"),
        (lambda: unconstrained(np.random.default_rng(0), kappa_W=[1, 2], kappa_h=[1] * 3), "batch"),
        (lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), [(0.5,)]), "token sequences"),
        (lambda: UnconstrainedFeatures(np.ones((3, 2)), np.ones(2), [(0,)], [-1]), "at least 0"),
        (lambda: KernelPolicy([-1.0, -2.0], [[1.0], [1.0, 2.0]]), "gram is not an array"),
        (lambda: KernelPolicy([-1.0, -2.0], np.eye(2), mask=[[2], [1]]), "mask"),
        (lambda: KernelPolicy([-1.0, -2.0], np.eye(2), mask="ab"), "mask"),
        (lambda: KernelPolicy([-1.0, -2.0], np.eye(2), prompts=["a", "b"]), "prompts"),
        (lambda: Differentiable(lambda theta: np.zeros(2), [0.0]), "cannot differentiate"),
        (lambda: Differentiable(NUMBER, [0.0]), "function is a int"),
    ],
)
def test_bad_input_is_one_sentence(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
