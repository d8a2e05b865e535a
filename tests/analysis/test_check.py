import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import Check
from analysis._check import error_of, judge


class Square(Check):
    """A true statement: x * x is x ** 2."""

    claim = "IPO-1"
    part = "squares"
    instances = 50

    def draw(self, rng):
        return rng.normal(size=3)

    def predict(self, instance):
        return instance**2

    def observe(self, instance):
        return instance * instance


class WrongInOnePlace(Square):
    """Wrong by 1e-3 where the first entry is above 1."""

    def observe(self, instance):
        return instance**2 + 1e-3 * (instance[0] > 1) * np.array([1, 0, 0])


class Raising(Square):
    """Raises at the fourth instance."""

    def observe(self, instance):
        if not hasattr(self, "calls"):
            self.calls = 0
        self.calls += 1
        if self.calls == 4:
            raise ZeroDivisionError("a sentence that explains")
        return super().observe(instance)


def test_a_true_prediction_holds():
    result = judge(Square())
    assert result["verdict"] == "holds"
    assert result["instances"] == 50
    assert result["violations"] == 0


def test_a_wrong_prediction_fails_and_names_the_worst_instance():
    result = judge(WrongInOnePlace())
    assert result["verdict"] == "fails"
    assert 0 < result["violations"] < 50
    worst = result["worst"]
    assert worst
    assert result["worst_error"] == pytest.approx(1e-3 / worst["predicted"][0])
    instance = WrongInOnePlace().instance(0, worst["index"])
    assert instance.tolist() == worst["instance"]
    assert instance[0] > 1


@pytest.mark.parametrize("raises_in", ["draw", "predict", "observe", "skip"])
def test_a_check_that_raises_fails_with_the_sentence(raises_in):
    def broken(self, argument):
        raise ZeroDivisionError("a sentence that explains")

    result = judge(type("Broken", (Square,), {raises_in: broken})())
    assert result["verdict"] == "fails"
    assert "ZeroDivisionError at instance 0: a sentence that explains" in result["note"]


def test_instances_before_the_one_that_raises_are_kept():
    result = judge(Raising())
    assert result["verdict"] == "fails"
    assert result["instances"] == 3
    assert "instance 3" in result["note"]


@pytest.mark.parametrize("observed", [np.nan, np.inf, [1.0, np.nan]])
def test_an_observation_that_is_not_finite_fails(observed):
    class NotFinite(Square):
        comparison = "at_most"

        def predict(self, instance):
            return 0.0

        def observe(self, instance):
            return observed

    result = judge(NotFinite())
    assert result["verdict"] == "fails"
    assert result["violations"] == 50
    assert result["worst_error"] is None
    assert "not finite" in result["note"]


def test_observations_of_another_shape_fail():
    class Shorter(Square):
        def observe(self, instance):
            return instance[:2] ** 2

    result = judge(Shorter())
    assert result["verdict"] == "fails"
    assert "predicted (3,), but observed (2,)" in result["note"]


def test_skipped_instances_are_counted_and_replaced():
    class Half(Square):
        def skip(self, instance):
            return instance[0] < 0

    result = judge(Half())
    assert result["verdict"] == "holds"
    assert result["instances"] == 50
    assert 20 < result["skipped"] < 100


def test_a_check_that_skips_nearly_everything_fails():
    class Never(Square):
        def skip(self, instance):
            return True

    result = judge(Never())
    assert result["verdict"] == "fails"
    assert result["instances"] == 0
    assert "only 0 of 50 instances found among 2500 draws" in result["note"]


def test_reports_assert_nothing_and_are_summarised():
    class Report(Square):
        comparison = "report"

        def observe(self, instance):
            return float(instance[0])

    result = judge(Report())
    assert result["verdict"] == "reported"
    assert result["worst_error"] is None
    assert "median" in result["note"]


def test_instances_depend_on_seed_and_index_only():
    whole = [Square().instance(3, index) for index in range(5)]
    assert np.array_equal(whole[4], Square().instance(3, 4))
    assert not np.array_equal(whole[4], Square().instance(4, 4))
    assert len({tuple(instance) for instance in whole}) == 5


@pytest.mark.parametrize(("scale", "expected"), [(0.001, [0]), (0.5, [0, 2]), (1, [0, 1, 2, 3, 4])])
def test_scale_thins_out_cases(scale, expected):
    seen = []

    class Cases(Square):
        cases = (0, 1, 2, 3, 4)

        def observe(self, instance):
            seen.append(instance)
            return instance**2

    assert judge(Cases(), scale=scale)["verdict"] == "holds"
    assert seen == expected


@pytest.mark.parametrize(("scale", "expected"), [(0.001, 1), (0.1, 5), (3, 150)])
def test_scale_multiplies_draws(scale, expected):
    assert judge(Square(), scale=scale)["instances"] == expected


def test_batches_count_their_draws():
    class Batch(Square):
        batch = 3

    assert judge(Batch())["instances"] == 150


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_errors_are_measured_as_documented(predicted, observed):
    gap = abs(observed - predicted)
    assert error_of("close", predicted, observed) == pytest.approx(gap / max(1, abs(predicted)))
    assert error_of("at_most", predicted, observed) == observed - predicted
    assert error_of("at_least", predicted, observed) == predicted - observed
    assert (error_of("agree", predicted, observed) == 0) == (predicted == observed)
    if abs(predicted) > 1e-3:
        assert error_of("relative", predicted, observed) == pytest.approx(gap / abs(predicted))


def test_agreement_is_the_share_of_equal_entries():
    assert error_of("agree", [1, 2, 3, 4], [1, 2, 0, 4]) == 0.25
    assert error_of("agree", [1, 2], [1, 2, 3]) == 1.0
    assert error_of("agree", ["stable"], ["stable"]) == 0.0


def test_results_can_be_written_as_json():
    class Rich(WrongInOnePlace):
        def draw(self, rng):
            return {"x": np.float64(np.inf), "y": (rng.normal(size=3), None), "z": np.zeros(1000)}

        def predict(self, instance):
            return 0.0

        def observe(self, instance):
            return instance["y"][0]

    assert json.loads(json.dumps(judge(Rich()), allow_nan=False))["verdict"] == "fails"
