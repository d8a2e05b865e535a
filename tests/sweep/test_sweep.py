"""What a sweep records: the same numbers as one run after the other, under the right names."""

from typing import Any

import numpy as np
import pytest

import prefdyn
from prefdyn import InputError, NoOptimum, Question, ensemble, plan_sweep, sweep
from prefdyn.games import cycle, random, rock_paper_scissors
from prefdyn.policies.softmax import softmax
from prefdyn.rules import FiniteSample, Inexact, Momentum, set_parameter
from tests.known_maps import Henon, Logistic

RPS = rock_paper_scissors(0.4)
RULE = prefdyn.MRSIPO(RPS, beta=0.5, alpha=0.5, lam=1.0)
STARTS = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]


class Hedge(prefdyn.LogitRule):
    """A user's rule, written for single numbers."""

    def __init__(self, P, rate):
        self.P, self.rate = P, rate

    @property
    def K(self):
        return len(self.P)

    def update(self, theta):
        return 0.9 * theta + self.rate * softmax(theta) @ self.P.T


class Lonely(Hedge):
    """A user's rule that takes no batch at all."""

    def update(self, theta):
        if theta.ndim > 1:
            raise ValueError("one policy at a time")
        return super().update(theta)


def one_by_one(rule, axes, starts, **settings):
    """Last policies, point by point."""
    names = list(axes)
    shape = [len(axes[name]) for name in names]
    out = np.empty((*shape, len(starts), rule.K))
    for place in np.ndindex(*shape):
        here = rule
        for name, i in zip(names, place, strict=True):
            here = set_parameter(here, name, axes[name][i])
        for k, start in enumerate(starts):
            out[(*place, k)] = ensemble(here, start, **settings)["last_policy"]
    return out


CASES = {
    "built-in": (RULE, {"beta": [0.2, 0.5, 1.0], "alpha": [0.0, 0.5]}),
    "games": (RULE, {"game": [RPS, cycle(3, 0.2)], "lam": [0.3, 1.0]}),
    "wrapped": (Inexact(RULE, 0.5), {"kappa": [0.5, 1.0], "beta": [0.2, 0.5]}),
    "memory": (Momentum(RULE, 0.3), {"beta": [0.2, 0.5]}),
    "user's": (Hedge(RPS.P, 1.0), {"rate": [0.5, 1.0, 2.0]}),
    "without batch": (Lonely(RPS.P, 1.0), {"rate": [0.5, 1.0]}),
    "whole game": (Hedge(RPS.P, 1.0), {"P": [RPS.P, cycle(3, 0.2).P]}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sweep_is_one_run_after_the_other(name):
    rule, axes = CASES[name]
    found = sweep(rule, {**axes, "start": STARTS}, ["last_policy"], rounds=30)
    assert found.last_policy.dims == (*axes, "start", "response")
    expected = one_by_one(rule, axes, STARTS, rounds=30, reducers=["last_policy"])
    np.testing.assert_allclose(found.last_policy, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("rule", "axes", "together"),
    [
        (RULE, {"beta": [0.2, 0.5], "game": [RPS, cycle(3, 0.2)]}, ("beta", "game")),
        (Hedge(RPS.P, 1.0), {"rate": [0.5, 1.0], "start": STARTS}, ("rate", "start")),
        (Lonely(RPS.P, 1.0), {"rate": [0.5, 1.0], "start": STARTS}, ()),
        (Logistic(2.5), {"r": [2.0, 3.5]}, ("r",)),
        (Henon(), {"a": [1.0, 1.4]}, ("a",)),
        (
            FiniteSample(RULE, 9),
            {"votes": [1, 9], "beta": [0.2, 0.5], "repeat": 3},
            ("beta", "repeat"),
        ),
        (
            lambda strength, beta: prefdyn.MRSIPO(cycle(3, strength), beta, 0.5, 1.0),
            {"strength": [0.1, 0.4], "beta": [0.2, 0.5]},
            ("strength", "beta"),
        ),
        (
            lambda seed, beta: prefdyn.MRSIPO(random(3, int(seed)), beta, 0.5, 1.0),
            {"seed": [0, 1], "beta": [0.2, 0.5]},
            ("beta",),
        ),
    ],
)
def test_what_can_run_together_is_found_by_trying(rule, axes, together):
    plan = plan_sweep(rule, axes, ["entropy"], rounds=20)
    assert plan.together == together
    assert set(plan.together) | set(plan.one_by_one) == set(axes)


def test_a_rule_that_mixes_up_its_batch_is_looped_over():
    class Wrong(prefdyn.LogitRule):
        """K values of the rate would pass as one rate for each response."""

        def __init__(self, rate):
            self.rate = rate

        @property
        def K(self):
            return 3

        def update(self, theta):
            rate = self.rate if np.ndim(self.rate) == 0 else np.ravel(self.rate)[0]
            return 0.5 * theta + rate * softmax(theta)

    plan = plan_sweep(Wrong(1.0), {"rate": [1.0, 2.0, 3.0]}, ["entropy"], rounds=20)
    assert plan.one_by_one == ("rate",)


def test_names_units_and_where_it_came_from():
    axes: dict[str, Any] = {
        "beta": prefdyn.Axis([0.2, 0.5], "strength of the pull", "nats"),
        "game": {"strong": RPS, "weak": cycle(3, 0.1)},
        "start": STARTS,
    }
    found = sweep(
        RULE, axes, ["last_policy", "kind"], rounds=30, seed=7, command="prefdyn sweep x.toml"
    )
    assert found.beta.attrs == {"long_name": "strength of the pull", "units": "nats"}
    assert list(found.game.values) == ["strong", "weak"]
    assert "units" not in found.game.attrs
    np.testing.assert_allclose(found.start_policy, STARTS)
    assert found.last_policy.attrs["units"] == "1"
    assert found.kind.dims == ("beta", "game")
    words = found.kind.attrs["flag_meanings"].split()
    assert words[int(found.kind.sel(beta=0.2, game="strong"))] == "neimark_sacker"
    assert words[int(found.kind.sel(beta=0.5, game="weak"))] == "stable"
    attributes = found.attrs
    assert attributes["seed"] == 7
    assert attributes["rounds"] == 30
    assert attributes["burn_in"] == pytest.approx(1 / 3)
    assert attributes["command"] == "prefdyn sweep x.toml"
    assert attributes["numpy_version"] == np.__version__
    assert attributes["prefdyn_version"] == prefdyn.__version__
    assert len(attributes["fingerprint"]) == 16
    assert attributes["complete"] == "yes"
    assert attributes["created"]


def test_responses_have_the_games_names():
    assert list(sweep(RULE, {"beta": [1.0]}, rounds=30).response.values) == list(RPS.names or ())


def test_questions_are_asked_along_their_own_axes_only():
    asked = []

    def calls(rule):
        asked.append(rule)
        return rule.rule.beta

    def ahead(rule, start, seed):
        return np.array([start[0], float(seed % 2)])

    found = sweep(
        FiniteSample(RULE, 5),
        {"rule.beta": [0.2, 0.5], "start": STARTS, "repeat": 3},
        [calls, Question(ahead, dims={"what": 2}), "entropy"],
        rounds=20,
        work=1,
    )
    assert found.calls.dims == ("rule.beta",)
    np.testing.assert_array_equal(found.calls, [0.2, 0.5])
    assert len(asked) == 2 * 1
    assert found.ahead.dims == ("rule.beta", "start", "repeat", "what")
    np.testing.assert_allclose(found.ahead[0, :, 0, 0], [0.2, 0.6])
    assert found.entropy.dims == ("rule.beta", "start", "repeat")
    assert len(np.unique(found.entropy)) == found.entropy.size  # every run has its own votes


def test_named_questions_answer_what_the_functions_do():
    axes: dict[str, Any] = {"beta": [0.15, 0.5], "alpha": [0.0, 0.5]}
    found = sweep(RULE, axes, ["spectral_radius", "critical:beta"], rounds=20)
    for beta in axes["beta"]:
        for alpha in axes["alpha"]:
            rule = RULE.replace(beta=beta, alpha=alpha)
            here = found.sel(beta=beta, alpha=alpha)
            assert float(here.spectral_radius) == pytest.approx(
                prefdyn.stability(rule).spectral_radius, rel=1e-12
            )
            assert float(here.critical_beta) == pytest.approx(
                prefdyn.critical(rule, "beta").value, rel=1e-9
            )
    assert found.critical_beta.dims == ("alpha",)


@pytest.mark.slow
def test_the_largest_exponent_of_the_logistic_map_is_log_two():
    found = sweep(Logistic(4.0), {"r": [3.2, 4.0], "start": [[0.6, 0.4]]}, ["lyapunov"])
    ordered, chaotic = found.lyapunov[:, 0].values
    assert ordered < 0
    assert chaotic == pytest.approx(np.log(2), abs=0.02)


def test_what_is_refused_is_missing_counted_and_said():
    def fussy(rule):
        if rule.beta < 0.3:
            raise NoOptimum("beta is too small.")
        return rule.beta

    found = sweep(RULE, {"beta": [0.1, 0.2, 0.5]}, [fussy], rounds=20)
    np.testing.assert_array_equal(found.fussy, [np.nan, np.nan, 0.5])
    assert found.attrs["refused"] == "fussy: 2 points, such as: beta is too small."


def test_one_game_without_an_optimum_takes_no_other_with_it():
    games = {"good": RPS, "bad": prefdyn.PreferenceMatrix([[0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5]])}
    rule = prefdyn.MRSDPO(RPS, 1.0, 0.5, 1.0)
    found = sweep(rule, {"game": games, "beta": [0.5, 1.0]}, ["entropy"], rounds=20)
    assert np.isnan(found.entropy.sel(game="bad")).all()
    expected = ensemble(rule.replace(beta=0.5), rounds=20, reducers=["entropy"])["entropy"]
    assert float(found.entropy.sel(game="good", beta=0.5)) == pytest.approx(expected)
    assert found.attrs["refused"].startswith("entropy: 2 points, such as: DPO has no optimum")


def test_the_same_seed_gives_the_same_bits_and_another_gives_others():
    settings: dict[str, Any] = {"rounds": 30, "reducers": ["entropy"], "seed": 3}
    axes: dict[str, Any] = {"beta": [0.2, 0.5], "repeat": 4}
    noisy = FiniteSample(RULE, 5)
    first, again = (sweep(noisy, axes, **settings) for _ in range(2))
    assert first.identical(again.assign_attrs(first.attrs))
    other = sweep(noisy, axes, **{**settings, "seed": 4})
    assert not np.any(first.entropy == other.entropy)


@pytest.mark.parametrize(
    ("rule", "axes", "more", "sentence"),
    [
        (RULE, {}, {}, "axes is empty"),
        (RULE, {"bet": [1.0]}, {}, "MRSIPO has no parameter 'bet'"),
        (RULE, {"beta": []}, {}, "axis 'beta' has no values"),
        (RULE, {"beta": 1.0}, {}, "axis 'beta' is a float"),
        (RULE, {"beta": [1.0, -1.0]}, {}, "at beta = -1.0: beta is -1"),
        (RULE, {"game": [RPS, cycle(4, 0.1)]}, {}, "mixes games of 3, 4"),
        (RULE, {"start": [[0.5, 0.5]]}, {}, "has 3 responses"),
        (RULE, {"start": [0.5, 0.5]}, {}, "is not a table"),
        (RULE, {"repeat": 3}, {}, "draws no random numbers"),
        (RULE, {"beta": [1.0]}, {"reducers": ["entropie"]}, "(nearest: entropy)"),
        (RULE, {"beta": [1.0]}, {"reducers": []}, "reducers is empty"),
        (RULE, {"beta": [1.0]}, {"reducers": [lambda rule: 1.0]}, "a question is named '<lambda>'"),
        (RULE, {"beta": [1.0]}, {"reducers": ["entropy", "entropy"]}, "recorded twice"),
        (RULE, {"beta": [1.0]}, {"reducers": {"beta": lambda rule: 1.0}}, "an axis and a result"),
        (RULE, {"beta": [1.0]}, {"work": 0}, "work is 0"),
        (RULE, {"beta": [1.0]}, {"workers": 0}, "workers is 0"),
        (RULE, {"beta": [1.0]}, {"client": object()}, "out is missing"),
        (RULE.replace(beta=[0.1, 0.2]), {"lam": [1.0]}, {}, "has a batch of shape (2,)"),
        (lambda beta: RPS, {"beta": [1.0]}, {}, "made a PreferenceMatrix, not a Rule"),
        (lambda alpha: RULE, {"beta": [1.0]}, {}, "does not take the axes beta"),
        ("mrs_ipo", {"beta": [1.0]}, {}, "rule_factory is a str"),
    ],
)
def test_wrong_input_is_refused_before_anything_runs(rule, axes, more: Any, sentence):
    with pytest.raises(InputError) as refusal:
        sweep(rule, axes, **more)
    assert sentence in str(refusal.value)


def test_a_run_too_short_for_its_burn_in_is_refused():
    with pytest.raises(prefdyn.InsufficientData, match="after the burn-in"):
        sweep(RULE, {"beta": [1.0]}, rounds=5)


def test_answers_of_another_shape_or_word_are_refused():
    with pytest.raises(InputError, match=r"in block 0 \(beta 1.0 to 1.0\): .* shape \(2,\)"):
        sweep(RULE, {"beta": [1.0]}, {"pair": lambda rule: [1.0, 2.0]}, rounds=20)
    with pytest.raises(InputError, match="'no', which is not among its words"):
        sweep(RULE, {"beta": [1.0]}, [Question(lambda rule: "no", words=("yes",), name="x")])


def test_words_of_an_axis_that_is_true_or_false():
    def made(narrow):
        return RULE.replace(beta=0.2 if narrow else 2.0)

    found = sweep(made, {"narrow": [True, False]}, ["spectral_radius"], rounds=20)
    assert found.narrow.values.tolist() == [True, False]
    assert found.spectral_radius.sel(narrow=True) > 1 > found.spectral_radius.sel(narrow=False)
