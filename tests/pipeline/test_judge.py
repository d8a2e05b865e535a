"""Verdicts on pipelines: on games, and on every game."""

import re
from typing import Any

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, InputError, critical, fixed_point, games, stability
from prefdyn.pipeline import Config, Outlook, everywhere, translate
from prefdyn.pipeline import judge as judged
from prefdyn.pipeline._judge import largest_kappa
from prefdyn.rules import BestResponse, Inexact, NashMDPG, OnlineIPO

RPS = games.rock_paper_scissors(0.4)


def judge(*arguments, **options) -> Any:
    """An outlook, of whose fields the tests know which are there."""
    found = judged(*arguments, **options)
    assert isinstance(found, Outlook)
    return found


def made(trainer: str = "dpo", *, given: Any = None, **settings):
    return translate(Config("config.yaml", trainer, settings, {}), **(given or {}))


def said(translation) -> str:
    return " ".join(everywhere(translation))


def number_after(words: str, text: str) -> float:
    return float(re.split(words, text)[1].split()[0].rstrip(".,;:"))


def test_the_largest_kappa_is_where_a_part_of_a_round_loses_stability():
    exact = MRSIPO(RPS, 0.1, 0.3, 1.0)
    edge = largest_kappa(stability(exact).multipliers)
    radii = [stability(Inexact(exact, edge * s)).spectral_radius for s in (0.99, 1.01)]
    assert radii[0] < 1 < radii[1]
    assert largest_kappa([0.5]) == pytest.approx(4)
    assert largest_kappa([1.0 + 0.5j, 0.2]) == 0
    assert largest_kappa([1.0]) == 0


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_a_step_of_the_online_trainers_is_a_part_of_a_round(rate):
    """At the centre of a cycle exactly, with kappa = 4 rate/K, and tau rate/K of Nash-MD-PG."""
    online = made("online_dpo", loss_type="ipo", beta=0.2, given={"kappa": 4 * rate / 3})
    assert judge(online, RPS, far_starts=0).spectral_radius == pytest.approx(
        float(stability(OnlineIPO(RPS, rate, 0.2, "on_policy")).spectral_radius), abs=1e-7
    )
    nash = made("nash_md", beta=0.2, mixture_coef=0.25, given={"kappa": 0.2 * rate / 3})
    assert judge(nash, RPS, far_starts=0).spectral_radius == pytest.approx(
        float(stability(NashMDPG(RPS, rate, 0.2, 0.25)).spectral_radius), abs=1e-7
    )


def test_elsewhere_kappa_is_between_those_of_the_slowest_and_the_fastest_direction():
    """Rates along responses differ there: 4 rate times the eigenvalues of diag(pi) - pi pi^T."""
    game, rate = games.random(5, rng=1), 0.1
    exact = MRSIPO(game, 0.2, 0.0, 1.0)
    pi = fixed_point(exact).policy
    ends = np.linalg.eigvalsh(np.diag(pi) - np.outer(pi, pi))[[1, -1]]
    slow, fast = (stability(Inexact(exact, 4 * rate * e)).spectral_radius for e in ends)
    found = stability(OnlineIPO(game, rate, 0.2, "on_policy")).spectral_radius
    assert fast < found < slow


def test_online_dpo_with_a_known_kappa():
    online = made("online_dpo", loss_type="ipo", beta=0.2, given={"kappa": 0.9})
    found = judge(online, RPS, far_starts=4)
    assert found.word == "unstable"
    assert found.largest_kappa == pytest.approx(6 / 7)
    assert found.stable_above is not None
    again = made(
        "online_dpo", loss_type="ipo", beta=found.stable_above * 1.01, given={"kappa": 0.9}
    )
    assert judge(again, RPS, far_starts=0).spectral_radius < 1
    assert "settles with kappa below 0.857" in " ".join(found.sentences)


@pytest.mark.slow
def test_an_unknown_kappa_is_given_a_range_and_not_a_number():
    unknown = made("online_dpo", loss_type="ipo", beta=0.2)
    found = judge(unknown, RPS, far_starts=4)
    assert found.word == "unstable"
    assert "less than kappa = 0.857 of the way settle" in " ".join(found.sentences)
    stable = judge(made("online_dpo", loss_type="ipo", beta=0.4), RPS, far_starts=4)
    assert "are locally stable, too (RND-2)" in " ".join(stable.sentences)


@pytest.mark.slow
def test_rounds_of_three():
    rounds = made(beta=0.5, given={"rounds": 3, "alpha": 0.5})
    found = judge(rounds, RPS, far_starts=4)
    radius = float(stability(MRSDPO(RPS, 0.5, 0.5, 1.0)).spectral_radius)
    assert found.spectral_radius == pytest.approx(radius)
    assert f"multiplied by about {radius**3:.3g}" in " ".join(found.sentences)
    assert found.stable_above == pytest.approx(critical(MRSDPO(RPS, 1, 0.5, 1), "beta").value)


@pytest.mark.slow
def test_nothing_anchors_rounds_from_the_last_policy():
    rounds = made(given={"rounds": 3, "rounds_from": "current"})
    assert judge(rounds, RPS).word == "cycles outward"
    assert judge(rounds, games.load("arxiv")).word == "collapses"
    assert "nothing anchors it" in said(rounds)
    half = made(given={"rounds": 3, "rounds_from": "current", "kappa": 0.5})
    slopes = [
        number_after("grow by|at most", judge(one, games.load("arxiv")).sentences[0])
        for one in (made(given={"rounds": 3, "rounds_from": "current", "kappa": 1.0}), half)
    ]
    assert slopes[1] == pytest.approx(slopes[0] / 2, rel=1e-2)


def test_a_single_round_cannot_oscillate():
    one = made(beta=0.2)
    assert "One round" in said(one)
    found = judge(one, games.load("pandalm"))
    expected = fixed_point(MRSDPO(games.load("pandalm"), 0.2, 0.0, 0.0)).policy
    np.testing.assert_allclose(found.policy, expected)
    part = judge(made(beta=0.2, given={"kappa": 0.5}), games.load("pandalm")).policy
    moved = np.log(expected) / 2
    np.testing.assert_allclose(part, np.exp(moved) / np.exp(moved).sum(), rtol=1e-9)


@pytest.mark.slow
def test_a_drift_is_one_round_at_a_smaller_beta():
    drift = made(beta=0.5, sync_ref_model=True, max_steps=2048, given={"kappa": 1.0})
    found = judge(drift, games.load("arxiv"))
    assert found.word == "drifts"
    expected = fixed_point(MRSDPO(games.load("arxiv"), 0.5 / 2.8, 0.0, 0.0)).policy
    np.testing.assert_allclose(found.policy, expected)
    assert "beta / 2.8, here 0.179" in said(drift)
    endless = [
        judge(made(sync_ref_model=True, given={"kappa": kappa}), games.load("arxiv"))
        for kappa in (1.0, 0.5)
    ]
    assert {found.word for found in endless} == {"collapses"}
    rates = [number_after("grow by", found.sentences[0]) for found in endless]
    assert rates[1] / rates[0] == pytest.approx(0.5 / 0.8, rel=1e-2)  # a kappa/c at a = .6


def test_tracking():
    slow = made(beta=4.0, sync_ref_model=True, given={"lam": 1.0, "kappa": 0.5})
    fast = made(beta=4.0, sync_ref_model=True, given={"lam": 1.0, "kappa": 0.8})
    assert judge(slow, RPS, far_starts=0).word == "unstable"
    assert judge(fast, RPS, far_starts=0).word == "locally stable"
    assert "more than kappa = 0.643 of the way, which it does not here" in said(slow)
    assert "follows too closely" in said(
        made(sync_ref_model=True, ref_model_mixup_alpha=0.9, given={"lam": 1.0})
    )


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9])
def test_what_is_said_of_every_game_holds_on_many_and_nearly_fails_on_the_worst(alpha):
    beta = 0.05
    local = number_after(
        "less than kappa = ",
        said(
            made("online_dpo", loss_type="ipo", beta=beta, temperature=1.0, given={"alpha": alpha})
        ),
    )
    many = games.random(6, rng=0, size=300)
    rule = Inexact(MRSIPO(many, beta, alpha, 1.0), local)
    assert stability(rule).spectral_radius.max() < 1
    tournament = games.PreferenceMatrix(_regular(51))
    beyond = Inexact(MRSIPO(tournament, beta, alpha, 1.0), local * 1.01)
    assert stability(beyond).spectral_radius > 1


def _regular(K: int) -> np.ndarray:
    """Each response beats the half that follows it."""
    ahead = (np.arange(K)[None, :] - np.arange(K)[:, None]) % K
    return np.where(ahead == 0, 0.5, np.where(ahead <= K // 2, 1.0, 0.0))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_global_kappa_is_where_the_certificate_ends(alpha):
    text = said(
        made("online_dpo", loss_type="ipo", beta=0.2, temperature=1.0, given={"alpha": alpha})
    )
    edge = number_after("go at most kappa = ", text)
    extreme = games.rock_paper_scissors(0.5)
    values = [
        Inexact(MRSIPO(extreme, 0.2, alpha, 1.0), edge * s).certificates()[1].value
        for s in (0.99, 1.01)
    ]
    assert values[0] < 1 < values[1]


def test_temperature_turns_rounds_as_beta_times_temperature_would():
    hot = said(made("online_dpo", loss_type="ipo", beta=0.2, temperature=0.5))
    plain = said(made("online_dpo", loss_type="ipo", beta=0.1, temperature=1.0))
    words = "less than kappa = "
    assert number_after(words, hot) == number_after(words, plain)
    assert "Every start converges" in plain
    assert "Every start converges" not in hot


@pytest.mark.parametrize(
    ("translation", "words"),
    [
        (made("online_dpo", loss_type="ipo", beta=0.5), "however large a fraction"),
        (made("online_dpo", beta=0.5), "no beta is known that is stable on every game"),
        (made("dpo", given={"alpha": 0.5, "lam": 0.0}), "every start converges"),
        (made("dpo", given={"alpha": 1.0, "lam": 0.0}), "drifts without end"),
        (made("dpo", loss_type="ipo", given={"alpha": 0.5}), "beta waits for the number of tokens"),
        (made("dpo", sync_ref_model=True), "Each update adds at most 0.6"),
        (made("dpo", sync_ref_model=True, max_steps=1000), "moves at most 1.6 times as far"),
        *(
            (made("dpo", loss_type=["sigmoid", "sft"], **more), "known for rounds of IPO and DPO")
            for more in ({"sync_ref_model": True}, {"given": {"alpha": 1.0}})
        ),
        (
            made("online_dpo", loss_type="ipo", beta=0.1, temperature=1.0, given={"kappa": 0.5}),
            "not proved to be locally stable on every game",
        ),
        (
            made("online_dpo", loss_type="ipo", beta=0.1, temperature=1.0, given={"kappa": 0.03}),
            ", which it does (PIPE-3",
        ),
    ],
)
def test_words_for_every_game(translation, words):
    assert words in said(translation)


def test_objectives_without_a_loss_on_a_game_are_told():
    found = judge(made("kto", given={"rounds": 2, "alpha": 0.5}), RPS)
    assert found.word == "not known"
    assert "z0" in found.sentences[0]
    found = judge(made("dpo", beta=0.1), games.rock_paper_scissors(0.5))
    assert found.word in ("converges", "not known")
    found = judge(made(loss_type="hinge", sync_ref_model=True), RPS)
    assert "known for ipo and dpo" in found.sentences[0]


def test_games_in_batches_and_betas_per_token_are_refused():
    with pytest.raises(InputError, match="batch of shape"):
        judge(made(), games.random(3, rng=0, size=2))
    with pytest.raises(InputError, match="mean number of tokens"):
        judge(made(loss_type="ipo"), RPS)


def test_nash_md_rests_at_the_best_response_to_the_mixture():
    found = judge(made("nash_md", beta=0.3, mixture_coef=0.5), games.load("cyclic"), far_starts=4)
    expected = fixed_point(BestResponse(games.load("cyclic"), 0.3, 0.5)).policy
    np.testing.assert_allclose(found.policy, expected, atol=1e-9)
