"""Advice on games of which theory says what becomes of them."""

import numpy as np
import pytest

from prefdyn import MRSIPO, InputError, NoOptimum, PreferenceMatrix, advise, critical
from prefdyn.games import condorcet_over_cycle, load, rock_paper_scissors, strongly_transitive

RPS = rock_paper_scissors(0.4)
S = 0.4 / np.sqrt(3)  # largest singular value of its linearisation, |A| / 3
UNREFUTED = "locally stable, not refuted by 64 far starts"
VOTES = PreferenceMatrix.from_wins([[0, 30, 12], [10, 0, 28], [28, 12, 0]])


def word(*args, **kwargs):
    judged = advise(*args, **kwargs).verdict
    assert judged is not None
    return judged.word


@pytest.mark.parametrize(
    ("objective", "strength", "alpha", "lam", "beta"),
    [
        ("ipo", 1, 0.0, 1.0, 0.3),
        ("ipo", 1, 0.5, 0.7, 0.1),
        ("ipo", 1, 0.9, 0.4, 0.3),
        ("dpo", 4, 0.5, 0.7, 0.3),
    ],
)
def test_thresholds_on_a_cycle_are_those_of_the_closed_form(objective, strength, alpha, lam, beta):
    advice = advise(RPS, objective, alpha=alpha, lam=lam, beta=beta)
    room = np.sqrt(1 - alpha**2)
    threshold = strength * lam * S / room
    assert advice.stable_above == pytest.approx(threshold, rel=1e-9)
    assert advice.margin == pytest.approx(beta / threshold, rel=1e-9)
    assert advice.stable_share == pytest.approx(min(1, beta * room / (strength * S)), rel=1e-9)
    assert advice.beta_intervals is not None
    assert advice.beta_intervals.intervals == ((pytest.approx(threshold), 100.0),)
    assert advice.verdict is not None
    assert (advice.verdict.word == "unstable") == (beta < threshold)
    radius = np.hypot(alpha, strength * lam * S / beta)
    assert advice.verdict.stability.spectral_radius == pytest.approx(radius, rel=1e-9)


def test_the_word_gets_weaker_as_beta_falls():
    # Contraction needs beta > |A| / (2 (1 - alpha)) = 0.693, stability only beta > 0.267.
    words = [word(RPS, alpha=0.5, lam=1.0, beta=beta) for beta in (0.7, 0.68, 0.26)]
    assert words == ["certified", UNREFUTED, "unstable"]


def test_an_unstable_recipe_is_said_to_oscillate_at_its_speed():
    advice = advise(RPS, alpha=0.5, lam=1.0, beta=0.15)
    turn = 2 * np.pi / np.arctan2(S / 0.15, 0.5)
    assert f"It oscillates, at first about {turn:.3g} rounds per turn." in advice.sentences
    assert advice.verdict is not None
    assert advice.verdict.far_starts is None


def test_a_winner_above_a_cycle_is_unstable_in_a_window_only():
    game = condorcet_over_cycle(0.02, 0.482)
    advice = advise(game, alpha=0.5, lam=1.0, beta=0.1)
    assert advice.beta_intervals is not None
    (low, start), (end, high) = advice.beta_intervals.intervals
    assert (low, high) == (0.001, 100)
    assert (start, end) == pytest.approx((0.00850, 0.2301), rel=1e-3)
    assert advice.stable_above == end
    assert advice.margin == pytest.approx(0.1 / 0.2301, rel=1e-3)
    assert advice.verdict is not None
    assert advice.verdict.word == "unstable"
    pieces = f"0.001 to {start:.4g} and {end:.4g} to 100"
    assert f"Locally stable beta between 0.001 and 100: {pieces}." in advice.sentences
    closed = advise(condorcet_over_cycle(0.1, 0.482), alpha=0.5, lam=1.0, beta=0.1)
    assert (closed.stable_above, closed.margin) == (None, None)
    assert "Every beta from 0.001 to 100 is locally stable." in closed.sentences


def test_a_range_that_ends_unstable_has_no_threshold():
    advice = advise(RPS, alpha=0.5, lam=1.0, beta=0.05, range=(0.001, 0.1))
    assert (advice.stable_above, advice.margin) == (None, None)
    assert any("unstable up to the end of the range" in text for text in advice.sentences)
    assert not any("is locally stable" in text and "beta from" in text for text in advice.sentences)
    window = advise(condorcet_over_cycle(0.02, 0.482), alpha=0.5, lam=1.0, range=(0.001, 0.1))
    assert window.stable_above is None
    assert window.beta_intervals is not None
    assert len(window.beta_intervals.intervals) == 1
    assert any("but unstable up to the end of the range" in text for text in window.sentences)


def test_near_criticality_far_starts_are_undecided_and_never_bistable():
    # rps has no cycle beside its stable fixed point (MRS-8); 40,000 rounds are too few to come
    # home where the spectral radius is 1 - 3e-7.
    advice = advise(RPS, alpha=0.999999, lam=1.0, beta=200)
    assert advice.verdict is not None
    assert 0 < 1 - advice.verdict.stability.spectral_radius < 1e-6
    far = advice.verdict.far_starts
    assert far is not None
    assert (far.astray, far.slow) == (0, 64)
    assert advice.verdict.word == "locally stable, not refuted by 0 far starts"
    assert any("64 of 64 far starts" in text and "undecided" in text for text in advice.sentences)


def test_what_holds_the_mass_is_named_with_its_bound():
    game = strongly_transitive(4, 3, strict=True)
    named = PreferenceMatrix(game.P, names=["ann", "bob", "cat", "dan"])
    tight, loose = (
        advise(named, alpha=0.5, lam=1.0, beta=beta, far_starts=4) for beta in (0.005, 5.0)
    )
    assert any(text.startswith("Its fixed point is collapsed: ann") for text in tight.sentences)
    assert any(text.startswith("Its fixed point is spread: ann") for text in loose.sentences)
    assert any("ann dominates row by row" in text for text in tight.sentences)
    assert tight.entropy is not None
    assert loose.entropy is not None
    assert tight.entropy < 0.05 < 1.3 < loose.entropy


def test_reference_and_offline_sampler_reach_the_rule():
    reference, offline = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    advice = advise(RPS, alpha=0.5, lam=0, beta=0.8, reference=reference, offline=offline)
    logits = np.log(reference) + RPS.skew @ offline / (0.5 * 0.8)  # off-policy: closed form
    policy = np.exp(logits) / np.exp(logits).sum()
    assert advice.entropy == pytest.approx(-(policy * np.log(policy)).sum(), rel=1e-9)


def test_off_policy_rounds_are_certified_for_both_objectives():
    # A sampler that never moves leaves theta' = alpha theta + constant: a contraction by alpha.
    for objective in ("ipo", "dpo"):
        advice = advise(RPS, objective, alpha=0.5, lam=0.0, beta=0.05)
        assert advice.verdict is not None
        assert advice.verdict.word == "certified"
        assert advice.verdict.stability.spectral_radius == pytest.approx(0.5)
        assert any(text.startswith("Proof (") for text in advice.sentences)


def test_the_posterior_is_that_of_the_votes():
    advice = advise(VOTES, alpha=0.5, lam=1.0, draws=5, seed=4)
    assert advice.posterior is not None
    drawn = VOTES.draw(5, np.random.default_rng(4))
    values = [critical(MRSIPO(drawn[k], 1, 0.5, 1), "beta", samples=80).value for k in range(5)]
    unstable = [value for value in values if value is not None]
    assert advice.posterior.draws == 5
    assert advice.posterior.unstable == len(unstable) / 5
    assert 0 < advice.posterior.unstable <= 1
    assert advice.posterior.beta == pytest.approx(np.quantile(unstable, (0.05, 0.5, 0.95)), 1e-8)
    assert any("5 posterior draws" in text for text in advice.sentences)


def test_the_posterior_follows_its_seed_and_needs_votes():
    one, two = (advise(VOTES, alpha=0.5, lam=1.0, draws=2, seed=seed).posterior for seed in (1, 2))
    assert one != two
    assert advise(RPS, alpha=0.5, lam=1.0).posterior is None


@pytest.mark.slow
def test_dpo_on_real_votes_needs_no_beta():
    advice = advise(load("pandalm"), "dpo", alpha=0.5, lam=1, draws=10)
    assert advice.posterior is not None
    assert advice.posterior.draws == 10
    assert (advice.verdict, advice.margin, advice.stable_share) == (None, None, None)
    assert advice.beta_intervals is not None


@pytest.mark.parametrize("beta", [None, 0.5])
def test_alpha_one_has_no_threshold(beta):
    advice = advise(VOTES, alpha=1, lam=1, beta=beta)
    assert advice.verdict is advice.beta_intervals is advice.stable_above is None
    assert advice.margin is advice.stable_share is advice.posterior is None
    assert (advice.last_iterate is None) == (beta is None)
    assert "no threshold in beta" in advice.sentences[0]
    assert ("Give a beta" in advice.sentences[1]) == (beta is None)


@pytest.mark.parametrize(
    ("game", "text"),
    [
        (RPS, "cycles outward to the boundary: at first"),
        (strongly_transitive(3, 1, strict=True), "collapses onto response 0"),
        (
            PreferenceMatrix([[0.5, 0.5, 0.8], [0.5, 0.5, 0.6], [0.2, 0.4, 0.5]]),
            "response 0 ties at the top",
        ),
    ],
)
def test_alpha_one_in_words(game, text):
    advice = advise(game, alpha=1, lam=1, beta=1.0)
    assert text in advice.sentences[1]


def test_every_sentence_is_one():
    for advice in (
        advise(VOTES, alpha=0.5, lam=1.0, beta=0.05, draws=2),
        advise(RPS, alpha=1, lam=1.0, beta=0.5),
    ):
        assert advice.sentences
        for text in advice.sentences:
            assert text.endswith(".")
            assert "\n" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"lam": -0.1}, "lam is -0.1"),
        ({"beta": 0.0}, "beta is 0"),
        ({"alpha": [0.1, 0.2]}, "alpha is an array"),
        ({"lam": np.array([0.1, 0.2])}, "lam is an array"),
        ({"beta": np.array([0.1, 0.2])}, "beta is an array"),
        ({"objective": "ppo"}, "ppo"),
        ({"range": (0.0, 1.0)}, "range starts at 0"),
        ({"range": (2.0, 1.0)}, r"range \(2, 1\) is empty"),
        ({"range": (1,)}, "give two numbers"),
        ({"far_starts": 0, "beta": 0.3}, "far_starts is 0"),
        ({"game": rock_paper_scissors([0.1, 0.2])}, r"batch of shape \(2,\): use survey"),
        ({"game": VOTES, "draws": 0}, "draws is 0"),
    ],
)
def test_bad_recipes_are_refused_in_one_sentence(arguments, message):
    recipe = {"game": RPS, "alpha": 0.5, "lam": 1.0, **arguments}
    with pytest.raises(InputError, match=message) as caught:
        advise(**recipe)
    assert "\n" not in str(caught.value)


def test_infinite_scores_are_named():
    with pytest.raises(NoOptimum, match="scores are infinite"):
        advise(rock_paper_scissors(0.5), "dpo", alpha=1, lam=1, beta=0.5)
    unanimous = PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]])
    with pytest.raises(NoOptimum):
        advise(unanimous, "dpo", alpha=0.5, lam=1, beta=0.5)
