"""MRS rules: loss core against closed forms, back ends, Jacobians, kernels, broadcasting."""

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from prefdyn import (
    MRS,
    MRSDPO,
    MRSIPO,
    InputError,
    NoOptimum,
    PreferenceMatrix,
    games,
    objectives,
)
from prefdyn.policies import centre, log_softmax, softmax
from prefdyn.testing import check_rule, policies, rules

FAST = {"ipo": MRSIPO, "dpo": MRSDPO}
quick = settings(max_examples=25)  # where one example is many solves


def relative(found, expected):
    """Largest difference relative to max(1, |logits|), constants in logits removed."""
    found, expected = centre(np.asarray(found)), centre(np.asarray(expected))
    return (np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max()


def parameters(rule):
    names = ("beta", "alpha", "lam", "reference", "offline")
    return {name: getattr(rule, name) for name in names}


def slow_twin(rule, **changes):
    """The same recipe through the shared loss core."""
    id = next(id for id, cls in FAST.items() if isinstance(rule, cls))
    return MRS(rule.game, id, **(parameters(rule) | changes))


@quick
@given(rule=rules(), data=st.data())
def test_the_loss_core_finds_what_the_specialisations_compute(rule, data):
    theta = rule.init(data.draw(policies(rule.K)))
    assert relative(slow_twin(rule).update(theta), rule.update(theta)) < 1e-10


@given(rule=rules(), data=st.data())
def test_numpy_and_torch_agree(rule, data):
    theta = rule.init(data.draw(policies(rule.K)))
    by_torch = rule.update(torch.tensor(theta))
    assert by_torch.dtype == torch.float64
    assert relative(by_torch, rule.update(theta)) < 1e-12


@quick
@given(rule=rules(max_K=4), through_core=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_rules_keep_the_contract(rule, through_core, seed):
    """Purity, batches, neutral directions, torch, Jacobian = finite differences, relabelling."""
    check_rule(slow_twin(rule) if through_core else rule, seed=seed)


@quick
@given(rule=rules(), data=st.data())
def test_closed_form_jacobians_are_those_of_autodiff(rule, data):
    theta = rule.init(data.draw(policies(rule.K)))
    no_constants = np.eye(rule.K) - 1 / rule.K
    x = torch.tensor(theta, requires_grad=True)
    step = rule.step(x, 0, None)
    rows = [torch.autograd.grad(y, x, retain_graph=True)[0] for y in step]
    by_autodiff = no_constants @ torch.stack(rows).numpy() @ no_constants
    closed = rule.jacobian(theta)
    implicit = slow_twin(rule).jacobian(theta)
    assert (closed.by, implicit.by) == ("closed form", "autodiff")
    size = max(1.0, np.abs(by_autodiff).max())
    for found in (closed, implicit):
        assert np.abs(no_constants @ found.matrix @ no_constants - by_autodiff).max() < 1e-9 * size


@given(rule=rules(), data=st.data())
def test_kernels_are_the_rule_round_by_round(rule, data):
    """Each round separately: over many rounds a chaotic orbit would blow rounding up."""
    theta = rule.init(data.draw(policies(rule.K)))
    advance = rule.compiled(rule.K)
    for _ in range(5):
        moved = advance(rule, theta, 1)
        theta = rule.step(theta, 0, None)
        assert relative(moved.theta, theta) < 1e-12
        assert np.abs(moved.mean - softmax(theta)).max() < 1e-12
        assert not moved.deviations.any()


@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_kernels_keep_the_moments_of_the_policies_they_pass(cls):
    rule = cls(games.rock_paper_scissors(0.4), [0.05, 0.4, 3.0], 0.5, 0.9)
    start = rule.init([0.5, 0.3, 0.2])
    advanced = rule.compiled(3)(rule, start, 400)
    state, passed = start, []
    for t in range(400):
        state = rule.step(state, t, None)
        passed.append(softmax(state))
    np.testing.assert_allclose(advanced.theta, state, atol=1e-9)
    np.testing.assert_allclose(advanced.mean, np.mean(passed, axis=0), atol=1e-10)
    np.testing.assert_allclose(advanced.deviations, 400 * np.var(passed, axis=0), atol=1e-8)
    np.testing.assert_array_equal(start, rule.init([0.5, 0.3, 0.2]))


@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_parameters_games_and_policies_broadcast_as_a_loop_would(cls):
    rng = np.random.default_rng(0)
    batch = games.random(4, rng, size=3, strength=0.4)
    beta, alpha = np.array([[0.3], [2.0]]), np.array([0.0, 0.5, 0.9])
    reference = rng.dirichlet(np.ones(4), size=(2, 3))
    offline = rng.dirichlet(np.ones(4), size=3)
    starts = rng.dirichlet(np.ones(4), size=(5, 1, 1))
    rule = cls(batch, beta, alpha, 0.7, reference, offline)
    state = rule.init(starts)
    assert rule.batch_shape == (2, 3)
    assert state.shape == (5, 2, 3, 4)
    step, jacobian = rule.step(state, 0, None), rule.jacobian(state).matrix
    moved = rule.compiled(4)(rule, state, 1).theta
    for i, j, k in np.ndindex(5, 2, 3):
        single = cls(batch[k], beta[j, 0], alpha[k], 0.7, reference[j, k], offline[k])
        alone = single.init(starts[i, 0, 0])
        assert relative(step[i, j, k], single.step(alone, 0, None)) < 1e-12
        assert relative(moved[i, j, k], single.step(alone, 0, None)) < 1e-12
        expected = single.jacobian(alone).matrix
        np.testing.assert_allclose(jacobian[i, j, k], expected, rtol=1e-10, atol=1e-10)


def test_the_loss_core_broadcasts_too():
    rng = np.random.default_rng(1)
    batch = games.random(3, rng, size=2, strength=0.4)
    beta = np.array([[0.3], [2.0], [5.0]])
    theta = rng.normal(size=(3, 2, 3))
    for id, cls in FAST.items():
        found = MRS(batch, id, beta, 0.5, 0.7).update(theta)
        assert relative(found, cls(batch, beta, 0.5, 0.7).update(theta)) < 1e-10


@given(rule=rules(), data=st.data())
def test_constants_added_to_logits_do_nothing(rule, data):
    theta = rule.init(data.draw(policies(rule.K)))
    shift = data.draw(st.floats(-100, 100))
    assert relative(rule.step(theta + shift, 0, None), rule.step(theta, 0, None)) < 1e-11


@quick
@given(rule=rules(), scale=st.floats(0.01, 1.0), data=st.data())
def test_larger_beta_stays_closer_to_the_reference(rule, scale, data):
    """The move away from the mixed reference is proportional to 1/beta: the beta scaling."""
    theta = rule.init(data.draw(policies(rule.K)))
    mixed = rule.mixed_reference(theta)
    far = centre(rule.replace(beta=scale * rule.beta).update(theta) - mixed)
    near = centre(rule.update(theta) - mixed)
    np.testing.assert_allclose(scale * far, near, atol=1e-9)
    assert np.abs(near).max() <= np.abs(far).max() * (1 + 1e-9)


@quick
@given(rule=rules(kinds=[MRSIPO]), strength=st.floats(0.1, 1.0), data=st.data())
def test_ipo_knows_only_the_ratio_of_strength_and_beta(rule, strength, data):
    theta = rule.init(data.draw(policies(rule.K)))
    weaker = PreferenceMatrix(0.5 + strength * rule.game.skew)
    twin = rule.replace(game=weaker, beta=strength * rule.beta)
    assert relative(twin.step(theta, 0, None), rule.step(theta, 0, None)) < 1e-10


@pytest.mark.parametrize("id", ["ipo", "dpo"])
def test_objectives_come_by_id_or_as_objects(id):
    game = games.rock_paper_scissors(0.3)
    by_id, by_object = (MRS(game, o, 0.5, 0.5, 1.0) for o in (id, objectives.get(id, beta=99.0)))
    theta = by_id.init([0.5, 0.3, 0.2])
    np.testing.assert_array_equal(by_id.update(theta), by_object.update(theta))


def test_a_log_reference_reaches_where_probabilities_underflow():
    game = games.rock_paper_scissors(0.3)
    logits = np.array([0.0, -500.0, -2000.0])
    deep = MRSIPO(game, 0.5, 0.5, 1.0, log_reference=log_softmax(logits))
    theta = deep.init_log(log_softmax(np.zeros(3)))
    # Uniform policy: no drive, so the round is the mixture of the two references alone.
    np.testing.assert_allclose(deep.step(theta, 0, None), centre(0.5 * logits), rtol=1e-13)


GAME = games.rock_paper_scissors(0.3)
BAD = [
    ({"beta": 0.0}, "beta is 0: it must be a finite number above 0."),
    ({"beta": -1.0}, "beta is -1"),
    ({"beta": np.inf}, "beta is inf"),
    ({"beta": [1.0, np.nan]}, "beta contains NaN"),
    ({"beta": "strong"}, "beta is not an array of numbers"),
    ({"alpha": -0.1}, "alpha is -0.1: it is a share and must lie in [0, 1]."),
    ({"alpha": 1.5}, "alpha is 1.5"),
    ({"lam": [0.5, 2.0]}, "lam is 2: it is a share"),
    ({"lam": -1e-9}, "lam is -1e-09"),
    ({"reference": [0.5, 0.5]}, "reference has shape (2,) but the game has 3 responses"),
    ({"reference": [0.5, 0.5, 0.5]}, "reference sums to 1.5, not 1"),
    ({"reference": [1.2, -0.2, 0.0]}, "reference[0] is 1.2: probabilities must lie in [0, 1]"),
    ({"reference": [0.5, 0.5, 0.0]}, "reference[2] is exactly 0"),
    ({"offline": [0.5, np.nan, 0.5]}, "offline contains NaN"),
    ({"offline": [[0.5, 0.5, 0.0], [0.5, 0.6, 0.0]]}, "offline sums to 1.1, not 1"),
    ({"log_reference": [0.0, 0.0, 0.0]}, "log_reference has log-sum-exp 1.09861, not 0"),
    ({"log_reference": [0.0, -np.inf, -np.inf]}, "log_reference[1] is not finite"),
    ({"game": [[0.5, 0.6], [0.4, 0.5]]}, "game is a list, not a PreferenceMatrix"),
    (
        {"reference": [0.4, 0.3, 0.3], "log_reference": np.log([0.4, 0.3, 0.3])},
        "reference and log_reference are both given",
    ),
    ({"beta": [1.0, 2.0], "alpha": [0.1, 0.2, 0.3]}, "beta (2,), alpha (3,)"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("cls", [MRSIPO, MRSDPO])
def test_bad_parameters_are_named_in_one_sentence(cls, change, message):
    with pytest.raises(InputError) as error:
        cls(**({"game": GAME, "beta": 0.5, "alpha": 0.5, "lam": 1.0} | change))
    text = str(error.value)
    assert message in text
    assert text.endswith(".")
    assert "\n" not in text


def test_an_unknown_objective_is_named():
    with pytest.raises(InputError, match="'dop' is not known: choose one of"):
        MRS(GAME, "dop", 0.5, 0.5, 1.0)
    with pytest.raises(InputError, match="objective is a float: give an Objective or one of"):
        MRS(GAME, 0.5, 0.5, 0.5, 1.0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("id", ["cdpo", "simpo", "cal_dpo", "sppo_hard", "dpo_norm", "nca_pair"])
def test_any_objective_of_one_pair_has_a_round(id):
    """The round solves the stationarity of the population loss: no pair's pushes are left over."""
    rule = MRS(GAME, id, 0.5, 0.5, 1.0)
    theta = rule.init([0.5, 0.3, 0.2])
    log_policy = log_softmax(rule.update(theta))
    mu, reference = rule.sampler(theta), log_softmax(rule.mixed_reference(theta))
    pair = objectives.Pair(
        chosen=log_policy[:, None],
        rejected=log_policy[None, :],
        ref_chosen=reference[:, None],
        ref_rejected=reference[None, :],
    )
    d_w, d_l = objectives.get(id, beta=0.5).pushes(pair)
    weights = np.outer(mu, mu) * GAME.P
    by_log_policy = (weights * d_w).sum(1) - (weights * d_l).sum(0)
    force = by_log_policy - np.exp(log_policy) * by_log_policy.sum()
    np.testing.assert_allclose(force, 0, atol=1e-11)


def test_wrappers_and_token_objectives_have_rounds_too():
    theta = MRSIPO(GAME, 0.5, 0.5, 1.0).init([0.5, 0.3, 0.2])
    plain = MRS(GAME, "dpo", 0.5, 0.5, 1.0).update(theta)
    for wrapped in (objectives.get("spo", lam=0.0), objectives.get("ld_dpo")):
        assert relative(MRS(GAME, wrapped, 0.5, 0.5, 1.0).update(theta), plain) < 1e-10


def test_objectives_without_beta_take_none():
    double = objectives.WeightedSum((objectives.get("ipo", beta=0.5),), (2.0,))
    rule = MRS(GAME, double, None, 0.5, 1.0)
    theta = rule.init([0.5, 0.3, 0.2])
    assert relative(rule.update(theta), MRSIPO(GAME, 0.5, 0.5, 1.0).update(theta)) < 1e-10
    assert rule.replace(alpha=0.2).beta is None
    with pytest.raises(InputError, match="objective 'sft' has no beta"):
        MRS(GAME, "sft", 0.5, 0.5, 1.0)
    with pytest.raises(InputError, match="objective 'dpo' needs a beta"):
        MRS(GAME, "dpo", None, 0.5, 1.0)
    with pytest.raises(InputError, match="aot sorts its batch"):
        MRS(GAME, "aot", 0.5, 0.5, 1.0)


def test_a_stationary_point_that_is_no_minimum_is_refused():
    """DiscoPOP pushes the wrong way at policy = reference: Newton stops there, on a maximum."""
    rule = MRS(games.rock_paper_scissors(0.3), "discopop", 0.5, 0.5, 1.0)
    with pytest.raises(NoOptimum, match="a stationary point of discopop that is no minimum"):
        rule.step(rule.init(np.full(3, 1 / 3)), 0, None)


@quick
@given(rule=rules(kinds=[MRSIPO]), data=st.data())
def test_sppo_regresses_log_ratios_on_win_rates_against_the_sampler(rule, data):
    """Stationary where mu_i r_i = pi_i sum_j mu_j r_j, r the distance from (P mu - 1/2)/beta.

    It is not IPO's optimum: the normalisation of the policy is part of the log-ratios.
    """
    theta = rule.init(data.draw(policies(rule.K)))
    mu = rule.sampler(theta)
    try:
        found = log_softmax(MRS(rule.game, "sppo", **parameters(rule)).update(theta))
    except NoOptimum:
        reject()  # the loss is not convex, and Newton's method may say that it got nowhere
    targets = (rule.game.P @ mu - 0.5) / rule.beta
    r = mu * (found - log_softmax(rule.mixed_reference(theta)) - targets)
    np.testing.assert_allclose(
        r, np.exp(found) * r.sum(), atol=1e-9 * max(1, np.abs(targets).max())
    )


def test_what_an_objective_holds_constant_still_moves_with_the_policy():
    """alpha-DPO's margin: autodiff holds it fixed, so the Jacobian has to be by differences."""
    rule = MRS(GAME, objectives.get("alpha_dpo", ema_std=1.0, alpha=0.3), 0.5, 0.5, 1.0)
    check_rule(rule)
    assert rule.jacobian(rule.init([0.5, 0.3, 0.2])).by == "finite differences"
    assert MRS(GAME, "dpo", 0.5, 0.5, 1.0).backends == ("numpy", "torch")
