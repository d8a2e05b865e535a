"""Rules that play a game near a reference, each against an independent formula."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefdyn import (
    EGPO,
    IPOMD,
    MRSDPO,
    BestResponse,
    InputError,
    NashMD,
    NashMDPG,
    OnlineIPO,
    fixed_point,
    games,
    inpo,
    iterative_rpo,
    online_mirror_descent,
    orbit,
    self_play_ipo,
    sppo,
    stability,
)
from prefdyn.policies import centre, softmax
from prefdyn.rules import MRS
from prefdyn.testing import check_rule, policies
from prefdyn.testing import games as drawn_games

quick = settings(max_examples=5)
RPS = games.rock_paper_scissors(0.4)
START = np.array([0.5, 0.3, 0.2])


@st.composite
def settings_of_a_game(draw):
    """A game, eta, tau with eta tau <= 1, and a reference."""
    game = draw(drawn_games(2, 4))
    eta = draw(st.floats(0.1, 2.0))
    tau = draw(st.floats(0.02, 1.0)) / eta
    return game, eta, tau, draw(policies(game.K, spread=2.0))


def gradient_rules(game, rate, tau, reference, mixture: Any = 0.3) -> list[Any]:
    return [
        OnlineIPO(game, rate, tau, reference=reference),
        OnlineIPO(game, rate, tau, "uniform", reference=reference),
        IPOMD(game, rate, tau, mixture, reference=reference),
        NashMDPG(game, rate, tau, mixture, reference=reference),
    ]


@settings(max_examples=2)
@given(settings_of_a_game(), st.integers(0, 99))
def test_every_rule_keeps_the_contract(given_, seed):
    game, eta, tau, reference = given_
    rules = [EGPO(game, eta, tau, reference), NashMD(game, eta, tau, reference)]
    rules += [NashMD(game, None, tau, reference), BestResponse(game, tau, 0.3, reference)]
    for rule in (*rules, *gradient_rules(game, 0.2, max(tau, 0.1), reference)):
        check_rule(rule, seed=seed)


@pytest.mark.parametrize("cls", [EGPO, NashMD])
def test_parameters_broadcast_as_a_loop_would(cls):
    eta, tau = np.array([0.2, 0.8]), np.array([[0.1], [0.4], [1.0]])
    together = cls(games.rock_paper_scissors([0.4, 0.3]), eta, tau)
    run = orbit(together, START, rounds=5).policies
    radius = np.asarray(stability(together).spectral_radius)
    for i, j in np.ndindex(3, 2):
        alone = cls(games.rock_paper_scissors((0.4, 0.3)[j]), eta[j], tau[i, 0])
        np.testing.assert_allclose(run[:, i, j], orbit(alone, START, rounds=5).policies, atol=1e-14)
        assert radius[i, j] == pytest.approx(stability(alone).spectral_radius, abs=1e-9)


@pytest.mark.parametrize("name", ["OnlineIPO", "uniform", "IPOMD", "NashMDPG"])
def test_gradient_rules_broadcast_as_a_loop_would(name):
    k = ["OnlineIPO", "uniform", "IPOMD", "NashMDPG"].index(name)
    rate, tau = np.array([0.1, 0.3]), np.array([[0.4], [1.0]])
    mixture = np.array([[[0.1]], [[0.6]]]) if k > 1 else 0.3
    together = gradient_rules(RPS, rate, tau, None, mixture)[k]
    run = orbit(together, START, rounds=5).policies
    for index in np.ndindex(together.batch_shape):
        i, j = index[-2:]
        m = np.ravel(mixture)[index[0] if k > 1 else 0]
        alone = gradient_rules(RPS, rate[j], tau[i, 0], None, m)[k]
        expected = orbit(alone, START, rounds=5).policies
        np.testing.assert_allclose(run[(slice(None), *index)], expected, atol=1e-14)


def loss_gradient(loss, theta):
    """Central differences of a loss of logits."""
    steps = 1e-5 * np.eye(len(theta))
    return np.array([(loss(theta + h) - loss(theta - h)) / 2e-5 for h in steps])


@quick
@given(settings_of_a_game(), st.data())
def test_gradient_rules_descend_their_losses(given_, data):
    """Each loss summed over all pairs and both outcomes of a vote, its sampler held fixed."""
    game, _, tau, reference = given_
    tau, P, m, rate = max(tau, 0.1), game.P, 0.3, 0.2
    theta = np.log(data.draw(policies(game.K, spread=2.0)))
    pi, mix = softmax(theta), softmax(0.7 * theta + m * np.log(reference))

    def u(x):
        return np.log(softmax(x) / reference)

    def voted(sampler):
        def loss(x):
            h = u(x)[:, None] - u(x)
            each = P * (h - 0.5 / tau) ** 2 + P.T * (h + 0.5 / tau) ** 2
            return sampler @ each @ sampler

        return loss

    def against_the_policy(x):
        gap = (u(x) - P @ pi / tau)[:, None] - (u(x) - P @ pi / tau)
        return (gap**2).mean()

    def value(x):
        return -(softmax(x) @ P @ mix - tau * softmax(x) @ u(x))

    losses = (voted(pi), against_the_policy, voted(mix), value)
    for rule, loss in zip(gradient_rules(game, rate, tau, reference), losses, strict=True):
        expected = centre(theta - rate * loss_gradient(loss, theta))
        found = rule.step(centre(theta), 0, None)
        scale = 1 + np.abs(expected).max() + 1 / tau**2
        np.testing.assert_allclose(found, expected, atol=1e-8 * scale)


@quick
@given(settings_of_a_game())
def test_gradient_rules_rest_at_the_best_response_to_their_mixture(given_):
    game, _, tau, reference = given_
    tau = max(tau, 0.1)
    for rule, m in zip(gradient_rules(game, 0.2, tau, reference), (0, 0, 0.3, 0.3), strict=True):
        policy = fixed_point(rule).policy
        mixture = softmax((1 - m) * np.log(policy) + m * np.log(reference))
        response = softmax(np.log(reference) + game.P @ mixture / tau)
        np.testing.assert_allclose(policy, response, atol=1e-9)


def test_the_published_step_of_nash_md_falls_and_has_no_multipliers():
    rule = NashMD(RPS, None, 0.5)
    state = rule.init(START)
    for t in (0, 1, 7):
        constant = NashMD(RPS, 2 / (0.5 * (t + 2)), 0.5)
        np.testing.assert_array_equal(rule.step(state, t, None), constant.step(state, t, None))
    for question in (stability, fixed_point):
        with pytest.raises(InputError, match="is another map in every round"):
            question(rule)


def test_methods_under_two_names():
    state = np.log(START)
    omd = online_mirror_descent(RPS, 0.8, 0.5)
    assert omd.fingerprint() == inpo(RPS, 1 / 0.8, 0.5).fingerprint()
    expected = 0.6 * state + 0.4 * np.log(1 / 3) + 0.8 * RPS.P @ START
    np.testing.assert_allclose(omd.step(state, 0, None), centre(expected), atol=1e-15)
    exact = self_play_ipo(RPS, 0.5)
    np.testing.assert_allclose(
        exact.step(state, 0, None), BestResponse(RPS, 0.5).step(state, 0, None), atol=1e-15
    )
    weights = np.exp(0.3 * RPS.P @ START) * START
    np.testing.assert_allclose(
        softmax(sppo(RPS, 0.3).step(state, 0, None)), weights / weights.sum(), atol=1e-15
    )


def test_inpo_minimises_its_regression():
    """The loss of the paper over all pairs of the policy and both outcomes of a vote."""
    eta, tau, reference = 1.5, 0.6, np.array([0.2, 0.5, 0.3])

    def loss(x):
        share = tau / eta
        h = np.log(softmax(x)) - share * np.log(reference) - (1 - share) * np.log(START)
        gap = h[:, None] - h
        return START @ (RPS.P * (gap - 0.5 / eta) ** 2) @ START

    found = inpo(RPS, eta, tau, reference).step(np.log(START), 0, None)
    np.testing.assert_allclose(loss_gradient(loss, found), 0, atol=1e-9)


def test_iterative_rpo_without_likelihood_is_iterated_dpo():
    """And with it, the likelihood of the winners pulls towards what wins under the policy."""
    game = games.bradley_terry([0.5, 0.0, -1.0])
    state = np.log(START)
    plain, dpo = iterative_rpo(game, 0.5, nll_weight=0.0), MRSDPO(game, 0.5, 1.0, 1.0)
    assert isinstance(plain, MRS)
    np.testing.assert_allclose(
        plain.step(state, 0, None), dpo.step(centre(state), 0, None), atol=1e-10
    )
    pulled = iterative_rpo(game, 0.5).step(state, 0, None)

    def loss(x):
        h = np.log(softmax(x)) - np.log(START)
        gap = 0.5 * (h[:, None] - h)
        each = np.log1p(np.exp(-gap)) - np.log(softmax(x))[:, None]
        return START @ (game.P * each) @ START

    np.testing.assert_allclose(loss_gradient(loss, pulled), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NashMD(RPS, 3.0, 0.5), r"eta \* tau is 1.5: the share of the reference"),
        (lambda: online_mirror_descent(RPS, 3.0, 0.5), r"eta \* tau is 1.5"),
        (lambda: inpo(RPS, 0.2, 0.5), "tau is up to 2.5 times eta, .* give an eta of at least tau"),
        (lambda: inpo(RPS, [0.2, 0.3], [0.1, 0.2, 0.3]), r"eta \(2,\), tau \(3,\)"),
        (lambda: NashMD(RPS, [0.2, 0.3], [0.1, 0.2, 0.3]), r"eta \(2,\), tau \(3,\)"),
        (
            lambda: online_mirror_descent(RPS, [0.2, 0.3], [0.1, 0.2, 0.3]),
            r"eta \(2,\), tau \(3,\)",
        ),
        (lambda: NashMD(RPS, None, 0.0), "tau is 0: it must be a finite number above 0"),
        (lambda: EGPO(RPS, 0.0, 0.5), "eta is 0: it must be a finite number above 0"),
        (lambda: EGPO(RPS, 2.0, 0.6), r"eta \* tau is 1.2: .* at most 1"),
        (lambda: EGPO(RPS, 1.0, -0.5), "tau is -0.5: it must be a finite number of at least 0"),
        (lambda: EGPO(cast(Any, RPS.P), 1.0, 0.5), "game is a ndarray, not a PreferenceMatrix"),
        (lambda: EGPO(RPS, [1.0, 2.0], [0.1, 0.2, 0.3]), r"eta \(2,\), tau \(3,\)"),
        (lambda: EGPO(RPS, 1.0, 0.5, [0.5, 0.5]), r"reference has shape \(2,\)"),
        (
            lambda: EGPO(RPS, 1.0, 0.5, START, log_reference=np.log(START)),
            "reference and log_reference are both given",
        ),
        (lambda: OnlineIPO(RPS, 0.1, 0.5, "uniforn"), "sampler 'uniforn' is not known"),
        (lambda: IPOMD(RPS, 0.1, 0.5, 1.5), "mixture is 1.5: it is a share"),
        (lambda: NashMDPG(RPS, cast(Any, None), 0.5, 0.5), "rate contains NaN"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(build, message):
    with pytest.raises(InputError, match=message) as error:
        build()
    assert str(error.value).endswith(".")
