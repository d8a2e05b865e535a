"""Many prompts under one recipe: each is judged as it would be alone."""

from typing import Any

import numpy as np
import pytest

from prefdyn import InputError, PreferenceMatrix, survey
from prefdyn.games import cycle, load_votes, rock_paper_scissors, strongly_transitive


def four(upper):
    A = np.zeros((4, 4))
    A[np.triu_indices(4, 1)] = upper
    return PreferenceMatrix(0.5 + A - A.T)


BISTABLE = four((-0.070, 0.340, 0.035, 0.457, -0.023, 0.359))  # NS-5 (a)
CRITICAL = 0.029492  # its largest unstable beta at alpha = 0.3, lam = 1
RECIPE: dict[str, Any] = {"alpha": 0.3, "lam": 1.0, "beta": 1.05 * CRITICAL}
GAMES = {
    "weak cycle": rock_paper_scissors(0.01),
    "window": BISTABLE,
    "ranked": strongly_transitive(3, 1, strict=True),
    "cycle": rock_paper_scissors(0.4),
    "longer cycle": cycle(5, 0.3),
}


def test_every_outcome_is_told_apart_and_the_order_is_kept():
    found = survey(GAMES, **RECIPE)
    assert found.prompts == tuple(GAMES)
    assert found.outcome == ("converges", "bistable", "collapses", "oscillates", "oscillates")
    assert found.shares == {
        "oscillates": 0.4,
        "bistable": 0.2,
        "collapses": 0.2,
        "converges": 0.2,
    }
    assert found.skipped == {}


def test_radius_and_mass_are_those_of_the_fixed_points():
    found = survey(GAMES, **RECIPE)
    where = dict(zip(found.prompts, found.spectral_radius, strict=True))
    beta = RECIPE["beta"]
    assert where["weak cycle"] == pytest.approx(np.hypot(0.3, 0.01 / np.sqrt(3) / beta), rel=1e-9)
    assert where["cycle"] == pytest.approx(np.hypot(0.3, 0.4 / np.sqrt(3) / beta), rel=1e-9)
    turning = 2 * 0.3 * np.sin(2 * np.pi / 5) / 5
    assert where["longer cycle"] == pytest.approx(np.hypot(0.3, turning / beta), rel=1e-9)
    assert where["window"] == pytest.approx(0.968, abs=1e-3)
    mass = dict(zip(found.prompts, found.top_mass, strict=True))
    assert mass["weak cycle"] == pytest.approx(1 / 3)
    assert mass["longer cycle"] == pytest.approx(1 / 5)
    assert mass["ranked"] > 0.99


def test_the_worst_come_first():
    found = survey(GAMES, **RECIPE, worst=4)
    assert found.worst == ("cycle", "longer cycle", "window", "ranked")
    assert survey(GAMES, **RECIPE).worst[-1] == "weak cycle"


def test_prompts_are_judged_as_if_alone():
    together = survey(GAMES, **RECIPE)
    for k, (name, game) in enumerate(GAMES.items()):
        alone = survey({name: game}, **RECIPE)
        assert alone.outcome == (together.outcome[k],)
        assert alone.spectral_radius[0] == pytest.approx(together.spectral_radius[k], rel=1e-9)


def test_a_stable_fixed_point_beside_a_cycle_is_not_called_converging():
    assert survey({"p": BISTABLE}, **RECIPE).outcome == ("bistable",)
    calm = survey({"p": BISTABLE}, alpha=0.3, lam=1.0, beta=3 * CRITICAL)
    assert calm.outcome == ("converges",)


def test_undecided_far_starts_are_not_another_attractor():
    found = survey({"p": rock_paper_scissors(0.4)}, alpha=0.999999, lam=1.0, beta=200)
    assert found.spectral_radius[0] < 1
    assert found.outcome == ("converges",)


def test_prompts_without_a_game_or_an_optimum_are_skipped_with_the_reason(tmp_path):
    votes = "a,b,p\nb,a,p\na,b,unlinked\nc,d,unlinked\n"
    (tmp_path / "votes.csv").write_text("winner,loser,prompt\n" + votes)
    games = load_votes(tmp_path / "votes.csv", per_prompt=True)
    games["unanimous"] = PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]])
    games["close"] = PreferenceMatrix([[0.5, 0.6], [0.4, 0.5]])
    found = survey(games, "dpo", alpha=0.5, lam=1.0, beta=1.0)
    assert found.prompts == ("p", "close")  # same size as the one that has no optimum
    assert found.outcome == ("converges", "converges")
    assert found.shares["converges"] == 1
    assert set(found.skipped) == {"unlinked", "unanimous"}
    assert "no comparison links" in found.skipped["unlinked"]
    assert all(reason.endswith(".") for reason in found.skipped.values())


def test_nothing_left_is_no_error():
    found = survey({"p": PreferenceMatrix([[0.5, 1], [0, 0.5]])}, "dpo", alpha=0, lam=1, beta=1)
    assert found.prompts == found.worst == ()
    assert list(found.skipped) == ["p"]
    assert set(found.shares.values()) == {0}


def test_alpha_one_has_words_of_its_own():
    tie = PreferenceMatrix([[0.5, 0.5, 0.8], [0.5, 0.5, 0.6], [0.2, 0.4, 0.5]])
    games = {"tie": tie, "ranked": GAMES["ranked"], "five": GAMES["longer cycle"]}
    games["cycle"] = GAMES["cycle"]
    found = survey(games, alpha=1, lam=1.0, beta=0.5)
    assert found.outcome == ("converges", "collapses", "oscillates", "oscillates")
    assert found.worst == ("cycle", "five", "ranked", "tie")
    growth = np.hypot(1, 0.4 / np.sqrt(3) / 0.5)
    np.testing.assert_allclose(found.spectral_radius[3], growth, rtol=1e-9)
    assert found.top_mass[1] == 1
    assert np.isnan(found.top_mass[[0, 2, 3]]).all()
    # Off-policy pairs break the tie.
    assert survey({"tie": tie}, alpha=1, lam=0.5, beta=0.5).outcome == ("collapses",)


@pytest.mark.parametrize(
    ("games", "arguments", "message"),
    [
        ({}, {}, "no games to survey"),
        ({"p": rock_paper_scissors([0.1, 0.2])}, {}, "prompt 'p' has a batch of games"),
        (GAMES, {"far_starts": 0}, "far_starts is 0"),
        (GAMES, {"alpha": 2.0}, "alpha is 2"),
        (GAMES, {"alpha": np.array([0.1, 0.2])}, "alpha"),
    ],
)
def test_bad_surveys_are_refused_in_one_sentence(games, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        survey(games, **{**RECIPE, **arguments})
    assert "\n" not in str(caught.value)
