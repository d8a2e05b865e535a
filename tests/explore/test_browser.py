"""The explorable page in a browser: its numbers are the package's, and it can be used."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prefdyn
from prefdyn import MRSDPO, MRSIPO, NoOptimum, explore
from prefdyn.games import PreferenceMatrix
from prefdyn.policies.softmax import entropy
from prefdyn.rules import Inexact
from tests.explore.browser import answer, picture

pytestmark = pytest.mark.slow

AGREEMENT = 1e-9
WEAK, RPS, STRONG, SURE = [0.52, 0.51, 0.505], [0.9] * 3, [0.98] * 3, [1.0] * 3
HAIR, UNEQUAL, ORDER = [0.95, 0.95, 0.49], [0.95, 0.7, 0.8], [0.6, 0.7, 0.1]
ADDITIVE = [0.6, 0.7, 0.2]  # no curl: multipliers are alpha, twice
BRADLEY_TERRY = [0.7310585786300049, 0.7310585786300049, 0.11920292202211757]


def recipe(wins=RPS, objective="ipo", alpha=0.5, beta=0.5, lam=1.0, kappa=1.0, rounds=200):
    given = {"objective": objective, "alpha": alpha, "beta": beta, "lam": lam, "kappa": kappa}
    return given | {"wins": wins, "start": [0.8, 0.15, 0.05], "rounds": rounds}


RECIPES = [
    *(recipe(wins, objective) for wins in (WEAK, RPS, HAIR) for objective in ("ipo", "dpo")),
    *(recipe(wins, o, 0.3, 2.0) for wins in (UNEQUAL, ORDER) for o in ("ipo", "dpo")),
    recipe(SURE),
    recipe(ADDITIVE),
    recipe(BRADLEY_TERRY, "dpo", beta=0.2),
    recipe(beta=0.2),
    recipe(beta=0.2, kappa=0.5),
    recipe(alpha=0.9, beta=0.3),
    recipe(HAIR, alpha=0.0, beta=0.05),
    recipe(HAIR, "dpo", alpha=0.0, beta=0.3),
    recipe(STRONG, "dpo", alpha=0.0, beta=1.115),
    recipe(STRONG, "dpo", alpha=0.0, beta=0.9),
    recipe(UNEQUAL, "dpo", alpha=0.2, beta=0.4, lam=0.6),
    recipe(UNEQUAL, alpha=0.7, beta=0.1, lam=0.3, kappa=0.2),
    recipe(ORDER, alpha=0.0, beta=0.1),
    recipe(ORDER, "dpo", alpha=0.5, beta=0.01),
    # extremes
    recipe(lam=0.0, beta=0.001),
    recipe(UNEQUAL, "dpo", lam=0.0, beta=0.01),
    recipe(beta=10.0),
    recipe(beta=0.001, alpha=0.0),
    recipe(alpha=0.99, beta=10.0),
    recipe(STRONG, "dpo", alpha=0.99, beta=0.01),
    recipe([0.999999, 0.6, 0.3], "dpo", beta=1.0),
    recipe([1.0, 1.0, 1.0], "dpo", alpha=0.2, beta=3.0),
    recipe([1.0, 0.5, 0.0], alpha=0.1, beta=0.01),
    recipe([0.5, 0.5, 0.5], "dpo", alpha=0.1, beta=0.01),
]


def written(given: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return ",".join(map(repr, value)) if isinstance(value, list) else str(value)

    return "&".join(f"{key}={text(value)}" for key, value in given.items())


def rule(given: dict[str, Any]):
    first, second, third = given["wins"]
    P = [[0.5, first, 1 - third], [1 - first, 0.5, second], [third, 1 - second, 0.5]]
    kind = MRSDPO if given["objective"] == "dpo" else MRSIPO
    exact = kind(PreferenceMatrix(np.array(P)), given["beta"], given["alpha"], given["lam"])
    return exact if given["kappa"] == 1 else Inexact(exact, given["kappa"])


def close(found: Any, wanted: Any) -> None:
    """Agreement relative to max(1, |wanted|): logits of extreme recipes are large."""
    wanted = np.asarray(wanted)
    np.testing.assert_array_less(
        np.abs(np.asarray(found) - wanted), AGREEMENT * np.maximum(1, np.abs(wanted))
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "explore.html"
    path.write_text(explore.page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def numbers(page):
    hash = ";".join(map(written, RECIPES))
    return answer(f"{page.as_uri()}?numbers#{hash}", "numbers")


@pytest.mark.parametrize("k", range(len(RECIPES)), ids=[written(r) for r in RECIPES])
def test_numbers_are_those_of_the_package(numbers, k):
    given, found, own = RECIPES[k], numbers[k], rule(RECIPES[k])
    assert found["problems"] == []
    assert found["refused"] is None
    linear = prefdyn.stability(own)

    run = prefdyn.orbit(own, given["start"], given["rounds"])
    # Where nearby runs separate, rounding decides in the end: a horizon over which it does not.
    rounds = len(run.log_policies) if linear.spectral_radius < 1 else 60
    close(found["log_policies"][:rounds], run.log_policies[:rounds])
    close(found["entropies"][:rounds], entropy(run.log_policies[:rounds]))

    close(found["fixed_point"], linear.point.log_policy)
    close(found["fixed_point_entropy"], entropy(linear.point.log_policy))
    multipliers = np.array(found["multipliers"]) @ [1, 1j]
    close(multipliers.sum(), linear.multipliers.sum())
    close(multipliers.prod(), linear.multipliers.prod())
    if abs(np.diff(linear.multipliers)[0]) > 1e-6:  # a double root magnifies rounding
        close(multipliers, linear.multipliers)
        close(found["spectral_radius"], linear.spectral_radius)
    assert found["kind"] == linear.kind

    thresholds = prefdyn.critical(own, "beta")
    close(found["stable_beta"]["intervals"], thresholds.intervals)
    assert (found["stable_beta"]["value"] is None) == (thresholds.value is None)


@pytest.mark.parametrize("k", range(len(RECIPES)), ids=[written(r) for r in RECIPES])
def test_verdict_is_that_of_the_package(numbers, k):
    wanted = prefdyn.verdict(rule(RECIPES[k])).word
    found = numbers[k]["verdict"]
    assert found.startswith("locally") == wanted.startswith("locally")
    if not wanted.startswith("locally"):
        assert found == wanted
    assert (numbers[k]["certified"] is not None) == (wanted == "certified")


@pytest.mark.parametrize("k", range(len(RECIPES)), ids=[written(r) for r in RECIPES])
def test_recipes_on_the_boundary_have_radius_one(numbers, k):
    given = RECIPES[k]
    inside = [at for at in numbers[k]["boundary"] if 0 < at["alpha"] < 0.99][::6]
    for at in inside:
        beta = at["tau"] / (1 - at["alpha"])
        edge = rule(given | {"alpha": at["alpha"], "beta": beta})
        assert prefdyn.stability(edge).spectral_radius == pytest.approx(1, abs=1e-8)
    if not inside:  # then alpha changes nothing: stable, or not, at all of them
        assert prefdyn.stability(rule(given)).spectral_radius < 1


def test_some_boundaries_lie_inside(numbers):
    assert sum(any(0 < at["alpha"] < 0.99 for at in n["boundary"]) for n in numbers) > 10


def test_links_are_read_back_to_the_last_bit(page, numbers):
    for given, found in zip(RECIPES, numbers, strict=True):
        assert {key: found["state"][key] for key in given} == given
    again = answer(f"{page.as_uri()}?numbers#{numbers[3]['written']}", "numbers")
    assert again == [numbers[3]]


def test_games_without_an_optimum_are_refused(page):
    sure = recipe([1.0, 1.0, 0.0], "dpo")
    (found,) = answer(f"{page.as_uri()}?numbers#{written(sure)}", "numbers")
    assert "DPO has no optimum on this game" in found["refused"]
    with pytest.raises(NoOptimum):
        rule(sure)


USE = (Path(__file__).parent / "use.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def used(page):
    path = page.with_name("used.html")
    own = explore.page()
    whole = f'<template id="source">{html.escape(own)}</template>'
    script = f'<script type="module">{USE}</script>'
    path.write_text(own.replace("</body>", f"{whole}{script}</body>"), "utf-8")
    return answer(path.as_uri(), "used", "--force-prefers-reduced-motion", seconds=60)


def test_nothing_breaks_and_nothing_is_fetched(used):
    assert used["errors"] == []
    assert used["requests"] == 0


def test_tour_sets_the_page(used):
    assert used["first"]["tour"] == "It settles"
    assert used["first"]["word"].startswith("locally stable, not refuted by")
    assert used["second"]["tour"] == "It goes round for ever"
    assert used["second"]["word"] == "unstable"
    assert (used["second"]["hash"]["beta"], used["second"]["hash"]["tour"]) == ("0.2", "2")
    assert used["second"]["changed"] == ["beta"]
    assert used["second"]["hollow"]
    assert used["second"]["cycle"] > 1000
    assert (used["second"]["busy"], used["second"]["status"]) == ("false", "status")


def test_closing_the_tour_keeps_the_focus(used):
    assert used["closed"] == ["tour-next", "Take the tour"]


def test_keys_move_the_start_and_the_recipe(used):
    before, after = used["second"]["hash"], used["moved"]
    start = [list(map(float, h["start"].split(","))) for h in (before, after)]
    assert start[1][2] > start[0][2]
    assert sum(start[1]) == pytest.approx(1, abs=1e-12)
    assert float(after["alpha"]) == pytest.approx(0.52)
    assert float(after["beta"]) > float(before["beta"])
    assert used["told"][1] == f"alpha {after['alpha']}, beta {after['beta']}"
    assert used["told"][0].startswith("rock ")


def test_a_finger_drags_the_handle_and_scrolls_elsewhere(used):
    assert used["touched"] == used["moved"]["start"]
    dragged, outside = (list(map(float, used[key].split(","))) for key in ("dragged", "outside"))
    assert dragged[1] == pytest.approx(dragged[2], abs=0.01)
    assert 0.3 < dragged[0] < 0.5
    assert outside[1] > 0.98
    assert min(outside) > 0
    assert sum(outside) == pytest.approx(1, abs=1e-12)


def test_space_plays_except_on_buttons(used):
    assert used["before"] == "Play"
    assert used["taken"]
    assert (used["playing"], used["paused"]) == ("Pause", "Play")
    assert not used["left"]


def test_fields_and_links_say_what_is_wrong(used):
    assert "give a number from 0.001 to 10" in used["refused"]
    assert used["accepted"] == "0.125"
    assert used["cleared"]
    assert used["dpo"] == "dpo"
    assert used["bad"]["shown"]
    assert "beta=low: give a number" in used["bad"]["message"]
    assert "“colour” is not known" in used["bad"]["message"]
    assert used["bad"]["hash"]["beta"] == "0.5"
    assert used["impossible"]["word"] == "no answer"
    assert "DPO has no optimum" in used["impossible"]["headline"]


def test_everything_can_be_reached_and_has_a_name(used):
    assert used["nameless"] == []
    assert used["jumps"] == 0
    places = [used["order"].index(id) for id in ("tour-next", "preset", "beta", "simplex", "play")]
    assert places == sorted(places)
    assert used["order"].index("play") < used["order"].index("plane-chart")


def test_a_phone_needs_no_sideways_scrolling(used):
    needed, there = used["width"]
    assert 340 <= there <= 360  # less a scroll bar
    assert needed <= there
    assert used["phone"].startswith("locally stable, not refuted")


@pytest.mark.parametrize(
    ("name", "width", "height", "options", "dark"),
    [
        ("light", 1400, 1300, (), False),
        ("dark", 1400, 1300, ("--force-dark-mode",), True),
        ("phone", 360, 740, (), False),
    ],
)
def test_screenshots(page, tmp_path, name, width, height, options, dark):
    path = tmp_path / f"{name}.png"
    picture(f"{page.as_uri()}#beta=0.2&tour=2", path, width, height, *options)
    shown = np.asarray(Image.open(path).convert("L"), dtype=float)
    assert shown.shape == (height, width)
    assert (np.median(shown) < 80) == dark
    assert len(np.unique(shown)) > 50
