"""From settings to a recipe: each setting, what is open, and what is refused."""

import numpy as np
import pytest

from prefdyn import MRSDPO, MRSIPO, InputError, games
from prefdyn.pipeline import Config, translate
from prefdyn.rules import MRS, TRDPO, BestResponse, Inexact

RPS = games.rock_paper_scissors(0.4)


def config(trainer: str = "dpo", **settings) -> Config:
    return Config("config.yaml", trainer, settings, {})


def recipe(made) -> tuple:
    return (made.on_table, made.beta, made.alpha, made.lam)


def test_one_run_is_one_round():
    made = translate(config(beta=0.3, learning_rate="5e-7", max_steps=100))
    assert made.kind == "one round"
    assert recipe(made) == ("dpo", 0.3, 0.0, 0.0)
    assert made.kappa is None
    assert any("kappa unknown" in row.quantity for row in made.rows)
    assert isinstance(made.rule(RPS), MRSDPO)


@pytest.mark.parametrize(
    ("trainer", "settings", "objective", "beta"),
    [
        ("dpo", {"loss_type": ["ipo"], "beta": 0.4}, "ipo", 0.02),
        ("dpo", {"loss_type": "sigmoid_norm", "beta": 5.0}, "dpo", 0.25),
        ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0}, "simpo", 0.1),
        ("online_dpo", {"loss_type": "ipo", "beta": 0.4}, "ipo", 0.4),
        ("dpo", {"loss_type": "hinge", "beta": 0.4}, "rso_hinge", 0.4),
    ],
)
def test_means_per_token_change_beta_and_sums_do_not(trainer, settings, objective, beta):
    made = translate(config(trainer, **settings), tokens=20)
    name = made.on_table if isinstance(made.on_table, str) else made.on_table.id
    assert name == objective
    assert made.beta == pytest.approx(beta)
    waits = beta != settings["beta"]
    assert translate(config(trainer, **settings)).needs_tokens == waits
    if waits:
        with pytest.raises(InputError, match="mean number of tokens"):
            translate(config(trainer, **settings)).rule(RPS)


def test_per_token_ipo_on_a_table_is_ipo_on_sums():
    """IPO-9: the two losses with their betas have one minimum, whatever the length."""
    from prefdyn.objectives import Pair, get

    gap, n = np.linspace(-60, 60, 2001), 20.0
    pair = Pair(
        chosen=gap,
        rejected=0 * gap,
        ref_chosen=0 * gap,
        ref_rejected=0 * gap,
        chosen_length=n,
        rejected_length=n,
    )
    losses = [get("ipo_mean", beta=0.4).loss(pair), get("ipo", beta=0.4 / n).loss(pair)]
    np.testing.assert_allclose(losses[0] * n**2, losses[1], rtol=1e-12)


def test_a_moving_reference_on_fixed_data_drifts():
    made = translate(config(sync_ref_model=True, max_steps=2000))
    assert (made.kind, made.mixing, made.periods, made.lam) == ("drift", 0.6, 2000 / 512, 0.0)
    assert any("not alpha of mixed references" in row.why for row in made.rows)


def test_a_moving_reference_and_pairs_from_the_policy():
    made = translate(config(sync_ref_model=True, ref_model_mixup_alpha=0.3), lam=0.5, kappa=0.4)
    rule = made.rule(RPS)
    assert made.kind == "tracking"
    assert isinstance(rule, TRDPO)
    assert isinstance(rule.rule, Inexact)
    assert float(np.asarray(rule.rule.kappa)) == 0.4


def test_a_run_that_ends_before_the_first_update_has_a_fixed_reference():
    made = translate(config(sync_ref_model=True, max_steps=100))
    assert made.kind == "one round"
    assert "its reference never moves" in made.notes[0]


def test_rounds_say_what_their_reference_is():
    three = config(num_iterations=3)
    assert recipe(translate(three, rounds_from="current"))[2:] == (1.0, 1.0)
    assert recipe(translate(three, rounds_from="fixed"))[2:] == (0.0, 1.0)
    assert recipe(translate(three, alpha=0.5, lam=0.2))[2:] == (0.5, 0.2)
    assert translate(three, alpha=0.5).rounds == 3
    assert translate(config(), alpha=0.5, rounds=4).rounds == 4


@pytest.mark.parametrize(
    ("trainer", "kind"), [("online_dpo", MRSDPO), ("nash_md", BestResponse), ("xpo", MRSDPO)]
)
def test_online_trainers_draw_new_pairs_for_every_step(trainer, kind):
    made = translate(config(trainer, beta=[0.3, 0.2]))
    assert recipe(made)[1:] == (0.2, 0.0, 1.0)
    assert isinstance(made.rule(RPS), kind)
    assert made.temperature == 0.9
    part = translate(config(trainer, temperature=1.0), kappa=0.01).rule(RPS)
    assert isinstance(part, Inexact)


def test_other_objectives_become_general_rounds():
    made = translate(config("orpo", beta=0.2), rounds=2, rounds_from="current")
    assert isinstance(made.rule(RPS), MRS)
    assert made.alpha == 0  # it has no reference
    assert "ORPO's likelihood" in made.notes[0]
    assert isinstance(translate(config(loss_type="ipo"), tokens=3).rule(RPS), MRSIPO)


@pytest.mark.parametrize(
    ("trainer", "settings", "options", "message"),
    [
        ("dpo", {"sync_ref_model": True, "precompute_ref_log_probs": True}, {}, "contradict"),
        ("dpo", {"sync_ref_model": True, "use_peft": "yes"}, {}, "contradict"),
        ("dpo", {"sync_ref_model": True}, {"alpha": 0.5}, "moves the reference by itself"),
        ("nash_md", {}, {"alpha": 0.5}, "leave alpha and lam out"),
        ("dpo", {"sync_ref_model": True}, {"rounds": 3}, "moves the reference by itself"),
        ("dpo", {"sync_ref_model": True, "ref_model_mixup_alpha": 2}, {}, "ref_model_mixup_alpha"),
        ("dpo", {"sync_ref_model": True, "ref_model_sync_steps": 0}, {}, "ref_model_sync_steps"),
        ("dpo", {}, {"rounds": 3}, "no setting says what a round's reference is"),
        ("dpo", {}, {"lam": 0.5}, "no setting says what a round's reference is"),
        ("dpo", {}, {"rounds_from": "current", "alpha": 1.0}, "give one"),
        ("dpo", {}, {"rounds_from": "last"}, "rounds_from 'last' is not known"),
        ("dpo", {"rounds": 3, "num_iterations": 4}, {"alpha": 0.0}, "differ"),
        ("dpo", {"loss_type": "sigmod"}, {}, "loss_type 'sigmod' is not known"),
        ("dpo", {"loss_type": []}, {}, "empty list"),
        ("dpo", {"loss_type": ["ipo", "sft"], "loss_weights": [1]}, {}, "loss_weights"),
        ("dpo", {"beta": -1}, {}, "beta"),
        ("dpo", {"beta": "high"}, {}, "beta is 'high': give a number"),
        ("dpo", {"learning_rate": 0}, {}, "nothing is trained"),
        ("dpo", {}, {"kappa": 0.0}, "kappa is 0"),
        ("dpo", {}, {"kappa": 1.5}, "kappa"),
        ("dpo", {"loss_type": "ipo"}, {"tokens": 0.0}, "tokens"),
        ("online_dpo", {}, {"rounds": 3}, "leave rounds and rounds_from out"),
        ("online_dpo", {"loss_type": "hinge"}, {}, "loss_type 'hinge' is not known"),
        ("online_dpo", {"temperature": 0}, {}, "temperature"),
        ("nash_md", {"mixture_coef": 3}, {}, "mixture_coef"),
        ("cpo", {"label_smoothing": 0.1}, {}, "no counterpart"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(trainer, settings, options, message):
    with pytest.raises(InputError, match=message) as error:
        translate(config(trainer, **settings), **options)
    assert "\n" not in str(error.value)
