"""Bad input: one sentence that names the field or parameter, the entry and the cure."""

import numpy as np
import pytest
import sympy
import torch

from prefdyn import InputError, objectives
from prefdyn.objectives import Pair, check_values, get

BAD_PARAMETERS = [
    ("dpo", {"beta": 0.0}, "objective 'dpo': beta is 0: it must be above 0."),
    ("dpo", {"beta": float("nan")}, "beta is nan: it must be finite and above 0."),
    ("dpo", {"beta": float("inf")}, "beta is inf: it must be finite and above 0."),
    ("simpo", {"gamma": float("inf")}, "gamma is inf: it must be finite."),
    ("dpo", {"beta": "strong"}, "beta is 'strong': give a number."),
    ("dpo", {"beta": None}, "beta is None: give a number."),
    (
        "exo_pair",
        {"label_smoothing": 0.0},
        "label_smoothing is 0: it must be above 0 and below 0.5.",
    ),
    ("robust_dpo", {"label_smoothing": 0.5}, "label_smoothing is 0.5: it must be at least 0 and"),
    ("dpop", {"lam": -1.0}, "lam is -1: it must be at least 0."),
    ("bpo", {}, "objective 'bpo' needs alpha in (0, 1]: the published value is not known"),
    ("bpo", {"alpha": 1.5}, "alpha is 1.5: it must be above 0 and at most 1."),
    ("sft", {"nll_norm": "max"}, "nll_norm is 'max': choose one of mean, sum, batch_tokens."),
    ("bco", {"delta": "mean"}, "delta is 'mean': a number or samples or batch_means."),
    ("bco", {"delta": None}, "delta is None: give a number or samples or batch_means."),
    ("slime", {"p": 0.5}, "p is 0.5: it must be at least 1."),
    ("spo", {"mode": "dual"}, "'spo' in mode 'dual' needs v_star"),
    ("dpo_shift", {"strategy": "increase_linear"}, "strategy 'increase_linear' needs max_steps"),
    ("wpo", {"clamp": 0.0}, "clamp is 0: it must be above 0."),
    ("simpo", {"gama": 0.5}, "objective 'simpo' has no parameter 'gama': it has ['beta', 'gamma'"),
]


@pytest.mark.parametrize(("id", "parameters", "message"), BAD_PARAMETERS)
def test_parameters_out_of_their_range(id, parameters, message):
    with pytest.raises(InputError) as error:
        get(id, **parameters)
    assert message in str(error.value)
    assert str(error.value).endswith(".")


def test_near_names_are_suggested():
    for wrong, near in (("simpoo", "simpo"), ("DPO", "dpo"), ("RobustDPO", "robust_dpo")):
        with pytest.raises(InputError, match=rf"'{wrong}' is not known: .*\(nearest: .*{near}"):
            get(wrong)
    with pytest.raises(InputError, match=r"\['dpo'\] is not known"):
        get(["dpo"])  # pyright: ignore
    with pytest.raises(InputError, match=r"no parameter 'gama': .*\(nearest: gamma\)"):
        get("simpo", gama=0.5)


def test_arrays_tensors_and_symbols_pass_as_parameters():
    pair = Pair(chosen=np.zeros(3), rejected=-np.ones(3))
    betas = np.array([[0.1], [1.0]])
    assert get("cdpo", beta=betas).loss(pair).shape == (2, 3)
    alphas = np.array([[0.0], [0.5]])
    for id in ("f_dpo_alpha", "alphapo"):  # alpha = 0 is a limit of its own
        for row, alpha in zip(get(id, alpha=alphas).loss(pair), (0.0, 0.5), strict=True):
            np.testing.assert_allclose(row, get(id, alpha=alpha).loss(pair), rtol=1e-14)
    assert get("exo_pair", beta=torch.tensor(0.1), label_smoothing=sympy.Symbol("e")).beta == 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chosen": [-1.0, np.nan]}, "Pair.chosen[1] is nan: a log-probability is finite"),
        ({"rejected": [-1.0, 0.5]}, "Pair.rejected[1] is 0.5: a log-probability is finite and at"),
        ({"ref_chosen": -np.inf}, "Pair.ref_chosen is -inf"),
        ({"chosen_length": [3, 0]}, "Pair.chosen_length[1] is 0: a length is at least 1 token"),
        ({"chosen_win_rate": 1.2}, "Pair.chosen_win_rate is 1.2: a win rate lies in [0, 1]"),
        ({"chosen_tokens": [[-1.0, 1.0], [0, 0]]}, "Pair.chosen_tokens[0, 1] is 1"),
        ({"chosen_mask": [[1, 0], [0, 0]]}, "Pair.chosen_mask[1] leaves no token"),
        ({"chosen_mask": [[1, 2], [0, 1]]}, "Pair.chosen_mask[0, 1] is 2: a mask holds only 0"),
    ],
)
@pytest.mark.parametrize("convert", [np.array, torch.tensor])
def test_values_are_checked_where_data_enter(fields, message, convert):
    given = {"chosen": [-1.0, -2.0], "rejected": [-1.0, -2.0]} | fields
    pair = Pair(**{name: convert(value) for name, value in given.items()})
    with pytest.raises(InputError) as error:
        check_values(pair)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chosen_tokens": np.zeros(())}, "Pair.chosen_tokens is a single number"),
        ({"ref_chosen": [-1.0, -2.0]}, "Pair.ref_chosen is a list: give a number, an array or a"),
        ({"chosen_tokens": np.zeros((2, 4)), "chosen_mask": np.ones((2, 3))}, "has 3 tokens, but"),
        ({"chosen_tokens": np.zeros((3, 4))}, "does not broadcast with (2,)"),
    ],
)
def test_shapes_of_token_fields_are_checked(fields, message):
    with pytest.raises(InputError) as error:
        Pair(chosen=np.zeros(2), rejected=np.zeros(2), **fields)
    assert message in str(error.value)


def test_responses_may_differ_in_length():
    Pair(
        chosen=np.zeros(2),
        rejected=np.zeros(2),
        chosen_tokens=np.zeros((2, 4)),
        rejected_tokens=np.zeros((2, 7)),
    )


def test_published_defaults():
    """A few that are easily mistaken."""
    assert get("simpo").gamma == 0.5
    assert get("slime").lambda_l == 0.1
    assert (get("dpop").beta, get("dpop").lam) == (0.3, 50.0)
    assert get("bco").beta == get("nca_pair").beta == get("aot").beta == 0.01
    assert get("sppo").beta == get("cal_dpo").beta == 0.001
    assert objectives.FDPO("js", beta=0.2) == get("f_dpo_js", beta=0.2)


@pytest.mark.parametrize("id", objectives.names() + objectives.wrapper_names())
def test_docstrings_cite_a_source_and_state_formula(id):
    parameters = {"bpo": {"alpha": 1.0}, "weighted_sum": {"terms": ("dpo",), "weights": (1.0,)}}
    doc = type(get(id, **parameters.get(id, {}))).__doc__ or ""
    assert "``" in doc
    assert "arXiv" in doc or id in ("sft", "cdpo", "weighted_sum")
