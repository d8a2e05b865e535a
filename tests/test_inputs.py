"""What enters is checked once: the message names the entry and the cure, in one sentence."""

import numpy as np
import pytest
from hypothesis import given

from prefdyn import InputError
from prefdyn._inputs import choice, count, distribution, log_distribution, positive, share
from prefdyn.policies import log_softmax
from prefdyn.testing import policies

BATCH = np.full((2, 2, 3), 1 / 3)
OFF = BATCH.copy()
OFF[1, 0] = [0.6, 0.6, -0.2]


@given(policies(4))
def test_what_is_good_passes_unchanged(policy):
    np.testing.assert_array_equal(distribution(policy, 4, "start", interior=True), policy)
    log_policy = log_softmax(np.log(policy))
    np.testing.assert_array_equal(log_distribution(log_policy, 4, "log_start"), log_policy)


def test_rounding_is_forgiven_and_the_input_is_copied():
    given_ = np.array([0.1, 0.2, 0.7 + 1e-12])
    checked = distribution(given_, 3, "start")
    checked[0] = 9.0
    assert given_[0] == 0.1
    assert distribution([1, 0, 0], 3, "offline").dtype == np.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distribution(0.5, 3, "start"), "start has shape () but the game has 3 responses"),
        (lambda: distribution([0.5, 0.5], 3, "start"), "start has shape (2,)"),
        (lambda: distribution(OFF, 3, "start"), "start[1, 0, 2] is -0.2: probabilities must lie"),
        (lambda: distribution([2, -1], 2, "start"), "start[0] is 2"),
        (lambda: distribution([np.inf, 0], 2, "start"), "start[0] is inf"),
        (lambda: distribution([0.3, 0.3], 2, "offline"), "offline sums to 0.6, not 1"),
        (lambda: distribution([0.5, np.nan], 2, "start"), "start contains NaN"),
        (lambda: distribution([[0.5, 0.5], [1.0]], 2, "start"), "start is not an array of numbers"),
        (lambda: distribution(None, 2, "start"), "start contains NaN"),
        (lambda: distribution([0.0, 1.0], 2, "start", interior=True), "start[0] is exactly 0"),
        (lambda: log_distribution([0.0], 2, "log_start"), "log_start has shape (1,)"),
        (lambda: log_distribution([0.0, -np.inf], 2, "log_start"), "log_start[1] is not finite"),
        (lambda: log_distribution([0.0, 0.0], 2, "log_start"), "log-sum-exp 0.693147, not 0"),
        (lambda: positive(0, "beta"), "beta is 0: it must be a finite number above 0"),
        (lambda: positive([1.0, -2.0], "beta"), "beta is -2"),
        (lambda: positive(np.inf, "beta"), "beta is inf"),
        (lambda: positive(np.nan, "beta"), "beta contains NaN"),
        (lambda: positive("much", "beta"), "beta is not an array of numbers"),
        (lambda: share(1 + 1e-12, "alpha"), "alpha is 1: it is a share and must lie in [0, 1]"),
        (lambda: share([0.5, -0.5], "lam"), "lam is -0.5"),
        (lambda: share(np.inf, "lam"), "lam is inf"),
        (lambda: count(0, "rounds"), "rounds is 0: it must be a whole number of at least 1"),
        (lambda: count(2.0, "rounds"), "rounds is 2.0: it must be a whole number"),
        (lambda: count(True, "rounds"), "rounds is True"),
        (lambda: count("10", "rounds"), "rounds is '10'"),
        (lambda: count(3, "K", least=4), "K is 3: it must be a whole number of at least 4"),
        (lambda: choice("x", ("a", "b"), "kind"), "kind 'x' is not known: choose one of a, b"),
    ],
)
def test_what_is_bad_is_named(call, message):
    with pytest.raises(InputError) as error:
        call()
    text = str(error.value)
    assert message in text
    assert text.endswith(".")
    assert "\n" not in text


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_numpy_integers_count():
    assert count(np.int64(3), "rounds") == 3
    assert share([0, 1], "alpha").tolist() == [0.0, 1.0]
    assert positive(1e-300, "beta") == 1e-300
