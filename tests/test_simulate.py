"""The driver: what is saved, why it stops, seeds, and an ensemble is its orbits, reduced."""

import numpy as np
import pytest

from prefdyn import (
    MRSDPO,
    MRSIPO,
    Ensemble,
    FiniteSample,
    Inexact,
    InputError,
    InsufficientData,
    LogitRule,
    Momentum,
    cycle_strength,
    ensemble,
    games,
    orbit,
    period,
    recurrence,
)
from prefdyn.policies import entropy, log_softmax

RPS = games.rock_paper_scissors(0.4)
CALM = MRSIPO(RPS, 1.0, 0.5, 1.0)
CYCLING = MRSIPO(RPS, 0.1, 0.5, 1.0)
START = np.array([0.5, 0.3, 0.2])


def test_an_orbit_is_the_rule_applied_again_and_again():
    run = orbit(CYCLING, START, rounds=20)
    state = CYCLING.init(START)
    np.testing.assert_array_equal(run.log_policies[0], CYCLING.log_policy(state))
    for t in range(20):
        state = CYCLING.step(state, t, None)
        np.testing.assert_array_equal(run.log_policies[t + 1], CYCLING.log_policy(state))
    np.testing.assert_array_equal(run.policies, np.exp(run.log_policies))
    np.testing.assert_array_equal(run.rounds, np.arange(21))
    assert run.seed is None


@pytest.mark.parametrize(("rounds", "save", "kept"), [(10, 4, [0, 4, 8, 10]), (8, 4, [0, 4, 8])])
def test_every_save_th_round_is_kept_with_the_start_and_the_end(rounds, save, kept):
    run, every = orbit(CYCLING, START, rounds, save=save), orbit(CYCLING, START, rounds)
    np.testing.assert_array_equal(run.rounds, kept)
    np.testing.assert_array_equal(run.policies, every.policies[kept])


def test_no_rounds_keep_the_start_alone():
    run = orbit(CYCLING, START, rounds=0)
    np.testing.assert_allclose(run.policies, START[None], rtol=1e-15)


def test_a_calm_orbit_stops_when_it_has_settled():
    run = orbit(CALM, START, rounds=10_000, save=7)
    assert "settled after" in run.reason
    assert 20 < run.rounds[-1] < 1000
    last = run.log_policies[-1]
    moved = CALM.log_policy(CALM.step(CALM.init_log(last), 0, None)) - last
    assert np.abs(moved).max() <= 2e-13 * max(1, np.abs(last).max())
    np.testing.assert_allclose(run.policies[-1], 1 / 3, atol=1e-12)


def test_a_looser_tolerance_stops_earlier_and_zero_never():
    loose, tight = (orbit(CALM, START, tolerance=tol).rounds[-1] for tol in (1e-4, 1e-10))
    assert loose < tight
    full = orbit(CALM, START, rounds=300, tolerance=0)
    assert full.rounds[-1] == 300
    assert "ran all 300 rounds" in full.reason


def test_a_batch_stops_only_when_all_have_settled():
    mixed = MRSIPO(RPS, [1.0, 0.1], 0.5, 1.0)
    run = orbit(mixed, START, rounds=500)
    assert run.rounds[-1] == 500
    assert run.reason == "ran all 500 rounds; the last round still moved the policy"


class Exploding(LogitRule):
    """Squares its logits: not finite after a few rounds."""

    K = 3  # pyright: ignore[reportAssignmentType]

    def update(self, theta):
        return -10 * theta**2


@np.errstate(over="ignore", invalid="ignore")
def test_a_rule_that_leaves_the_numbers_is_stopped_with_what_was_good():
    run = orbit(Exploding(), START, rounds=100)
    assert "a log-probability is not finite; check the rule" in run.reason
    assert np.isfinite(run.log_policies).all()
    assert len(run.rounds) == len(run.policies)


@np.errstate(over="ignore", invalid="ignore")
@pytest.mark.parametrize("reason_of", [CALM, CYCLING, Exploding()])
def test_reasons_are_one_line(reason_of):
    reason = orbit(reason_of, START, rounds=50).reason
    assert reason
    assert "\n" not in reason


def test_log_starts_reach_where_probabilities_underflow():
    log_start = log_softmax(np.array([0.0, -400.0, -2000.0]))
    run = orbit(CYCLING, log_start=log_start, rounds=1)
    np.testing.assert_allclose(run.log_policies[0], log_start, rtol=1e-15)
    np.testing.assert_array_equal(run.policies[0], [1.0, np.exp(-400.0), 0.0])
    same = orbit(CYCLING, log_start=np.log(START), rounds=5)
    np.testing.assert_allclose(same.policies, orbit(CYCLING, START, rounds=5).policies, atol=1e-14)


def test_the_default_start_is_off_the_uniform_fixed_point():
    assert np.ptp(orbit(CYCLING, rounds=100).policies[-1]) > 0.1


@pytest.mark.parametrize(
    "run",
    [
        lambda rule, seed: (orbit(rule, START, 30, seed=seed), "policies"),
        lambda rule, seed: (ensemble(rule, START, 30, seed=seed), "last_policy"),
    ],
    ids=["orbit", "ensemble"],
)
def test_the_same_seed_gives_the_same_bits(run):
    def drawn(seed):
        result, name = run(FiniteSample(CYCLING, 20), seed)
        assert result.seed == seed
        return result[name] if isinstance(result, Ensemble) else getattr(result, name)

    np.testing.assert_array_equal(drawn(5), drawn(5))
    assert np.abs(drawn(5) - drawn(6)).max() > 0
    assert run(CYCLING, 5)[0].seed is None  # no randomness, no seed


def test_a_noisy_orbit_never_counts_as_settled():
    # One vote short of certainty: rounds that happen to draw the same votes move nothing.
    noisy = FiniteSample(MRSIPO(games.rock_paper_scissors(0.5), 1.0, 0.0, 0.0), 5)
    assert orbit(noisy, START, rounds=40).rounds[-1] == 40


ALL = ("last_policy", "last_log_policy", "mean_policy", "entropy", "cycle_strength")
SLOW = ("period", "recurrence")
BETA = np.array([[0.08], [0.3], [1.0]])
STARTS = np.random.default_rng(0).dirichlet(np.ones(3), size=4)


@pytest.mark.parametrize("reducers", [ALL, ALL + SLOW])
@pytest.mark.parametrize("burn_in", [0.0, 1 / 3, 0.9])
@pytest.mark.parametrize(
    "rule",
    [
        MRSIPO(RPS, BETA, 0.5, 1.0),
        MRSDPO(RPS, 4 * BETA, 0.5, 1.0),
        Inexact(MRSIPO(RPS, BETA, 0.5, 1.0), 0.5),
        Momentum(MRSIPO(RPS, BETA, 0.5, 1.0), 0.3),
    ],
    ids=["ipo", "dpo", "inexact", "momentum"],
)
def test_an_ensemble_is_its_orbits_reduced(rule, burn_in, reducers):
    """Compiled (without the slow reducers, for the plain rules) and step by step alike."""
    rounds = 150
    found = ensemble(rule, STARTS, rounds, reducers=reducers, burn_in=burn_in)
    assert set(found) == set(reducers)
    assert len(found) == len(reducers)
    run = orbit(rule, STARTS, rounds, tolerance=0)
    counted = run.policies[1 + int(burn_in * rounds) :]
    expected = {
        "last_policy": run.policies[-1],
        "last_log_policy": run.log_policies[-1],
        "mean_policy": counted.mean(axis=0),
        "entropy": entropy(run.log_policies[-1]),
        "cycle_strength": cycle_strength(counted, 0.0),
        "period": period(counted, 0.0),
        "recurrence": recurrence(counted, 0.0),
    }
    for name in reducers:
        assert found[name].shape == expected[name].shape
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, atol=1e-9, err_msg=name)


def test_an_ensemble_of_a_batch_is_a_loop_over_single_recipes():
    together = ensemble(MRSIPO(RPS, BETA, 0.5, 1.0), STARTS, 200)
    assert together["last_policy"].shape == (3, 4, 3)
    assert together["entropy"].shape == together["cycle_strength"].shape == (3, 4)
    for b, s in np.ndindex(3, 4):
        alone = ensemble(MRSIPO(RPS, BETA[b, 0], 0.5, 1.0), STARTS[s], 200)
        for name in alone:
            np.testing.assert_allclose(together[name][b, s], alone[name], atol=1e-10)


def test_a_long_settled_ensemble_is_cut_short_without_changing_its_moments():
    """The kernel stops an orbit that stands still and counts its remaining rounds as one block."""
    reducers = ("mean_policy", "cycle_strength")
    found = ensemble(CALM, START, 3000, burn_in=0.0, reducers=reducers)
    policies = orbit(CALM, START, 3000, tolerance=0).policies[1:]
    np.testing.assert_allclose(found["mean_policy"], policies.mean(axis=0), atol=1e-13)
    expected = cycle_strength(policies, 0.0)
    assert found["cycle_strength"] == pytest.approx(expected, rel=1e-9)


def test_a_progress_bar_changes_nothing_but_stderr(capfd):
    quiet, shown = (orbit(CYCLING, START, 50, progress=p) for p in (False, True))
    np.testing.assert_array_equal(quiet.policies, shown.policies)
    captured = capfd.readouterr()
    assert captured.out == ""
    np.testing.assert_array_equal(
        ensemble(CYCLING, START, 50, progress=True)["last_policy"],
        ensemble(CYCLING, START, 50)["last_policy"],
    )


@pytest.mark.parametrize("run", [orbit, ensemble])
@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([0.5, 0.5], "start has shape (2,) but the game has 3 responses"),
        ([0.5, 0.6, -0.1], "start[2] is -0.1: probabilities must lie in [0, 1]."),
        ([0.5, 0.5, 0.5], "start sums to 1.5, not 1: normalise it"),
        ([0.5, 0.5, 0.0], "start[2] is exactly 0, where log-probabilities are undefined"),
        ([[0.2, 0.3, 0.5], [0.2, np.nan, 0.5]], "start contains NaN"),
        ("uniform", "start is not an array of numbers"),
        (np.full((5, 3), 1 / 3), "starts of shape (5, 3) do not broadcast with the rule's batch"),
    ],
)
def test_starts_that_do_not_fit_are_refused(run, start, message):
    with pytest.raises(InputError) as error:
        run(MRSIPO(RPS, [1.0, 2.0], 0.5, 1.0), start)
    assert message in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orbit(CALM, rounds=-1), "rounds is -1: it must be a whole number of at least 0"),
        (lambda: orbit(CALM, rounds=1.5), "rounds is 1.5"),  # pyright: ignore
        (lambda: orbit(CALM, save=0), "save is 0: it must be a whole number of at least 1"),
        (lambda: orbit(CALM, START, log_start=np.log(START)), "give one of them"),
        (lambda: orbit(CALM, log_start=[0.0, 0.0, 0.0]), "log_start has log-sum-exp 1.09861"),
        (lambda: orbit(CALM, log_start=[0.0, -np.inf, -np.inf]), "log_start[1] is not finite"),
        (lambda: ensemble(CALM, reducers=["mode"]), "reducer 'mode' is not known: choose one of"),
        (lambda: ensemble(CALM, rounds=0), "rounds is 0"),
        (lambda: ensemble(CALM, burn_in=1.0), "burn_in is 1: it is a share"),
    ],
)
def test_bad_calls_are_refused_in_one_sentence(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)


def test_runs_too_short_for_their_reducers_are_refused():
    with pytest.raises(InsufficientData, match="only 8 of 12 rounds are left after the burn-in"):
        ensemble(CALM, rounds=12)
    ensemble(CALM, rounds=15)
