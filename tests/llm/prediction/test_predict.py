"""Training runs foretold from a geometry, against torch's optimisers on the model itself."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from prefdyn import DPO, InputError, llm
from prefdyn.llm.prediction._tilted import held_at_one
from prefdyn.rules import Adam

PAIRS = [(0, 1), (2, 3)]
STEPS = 6


@pytest.fixture(scope="module")
def model(llama):
    """In double precision, though a Llama normalises and rotates in single precision even so."""
    return copy.deepcopy(llama).double()


@pytest.fixture(scope="module")
def responses(tokenizer):
    return llm.encode(tokenizer, "the ", ["cat.", "dog sat", "a", "hen, too", "an ox"])


@pytest.fixture(scope="module")
def geometry(model, responses):
    return llm.response_geometry(model, None, None, responses, tokens=True)


def trained(model, responses, objective, rate, steps=STEPS, **settings):
    """A real run: its path and the model that it left."""
    clone = copy.deepcopy(model)
    reference = llm.token_log_probs(model, responses).detach()
    loss = llm.PairLoss(objective, responses, PAIRS, reference)
    return llm.train_on(clone, loss, rate, steps, **settings), clone


def error(geometry, model, objective, rate, **settings):
    """Largest difference of a predicted and a real run, over the largest change."""
    path, _ = trained(model, geometry.responses, objective, rate, **settings)
    if settings.get("weight_decay"):
        settings["parameters"] = llm.parameter_vector(model, geometry.parameter_names)
    found = llm.predict_training(geometry, objective, PAIRS, rate, STEPS, **settings)
    assert found.change.shape == path.change.shape == (STEPS + 1, 5)
    return np.abs(found.change - path.change).max() / np.abs(path.change).max()


@pytest.mark.parametrize(
    ("settings", "rate", "least"),
    [
        ({}, 1e-4, 5),
        ({"momentum": 0.9}, 3e-5, 5),
        ({"optimiser": "adam"}, 1e-4, 5),
        ({"optimiser": "adamw"}, 1e-4, 5),
        ({"optimiser": "adamw", "weight_decay": 0.5}, 1e-4, 5),
        ({"optimiser": "rmsprop"}, 1e-5, 2.5),
    ],
    ids=["sgd", "momentum", "adam", "adamw", "decay", "rmsprop"],
)
def test_the_error_falls_with_the_rate(geometry, model, settings, rate, least):
    """What is left out is of second order: relative to the change, it falls tenfold.

    Except where every weight moves by the sign of its gradient, however small: RMSprop, in its
    first steps.  Signs turn where the gradient is near 0, which is a matter of the root of the
    rate.
    """
    errors = [error(geometry, model, DPO(0.5), rate / scale, **settings) for scale in (1, 10)]
    assert errors[0] < 0.1
    assert least < errors[0] / errors[1] < 20


@pytest.mark.parametrize("id", ["simpo", "slime", "orpo", "spo", "bco", "ipo", "dpop"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_other_objectives(geometry, model, id, optimiser):
    """Means over tokens, single tokens, running statistics: all as in training."""
    small = llm.predict_training(geometry, id, PAIRS, 1e-8, STEPS, optimiser=optimiser)
    rate = 1e-8 * 0.02 / np.abs(small.change).max()
    assert error(geometry, model, id, rate, optimiser=optimiser) < 0.01


def test_gradient_descent_needs_the_gram_matrix_alone(geometry):
    bare = replace(geometry, gradients=None, token_gradients=None)
    whole = llm.predict_training(geometry, "dpo", PAIRS, 0.01, STEPS)
    np.testing.assert_allclose(
        llm.predict_training(bare, "dpo", PAIRS, 0.01, STEPS).change, whole.change, rtol=1e-12
    )
    np.testing.assert_allclose(
        llm.predict_training(geometry, "dpo", PAIRS, [0.001, 0.01], STEPS).change[:, 1],
        whole.change,
        rtol=1e-12,
    )


@pytest.mark.parametrize("optimiser", ["adamw", "rmsprop"])
def test_a_model_stands_in_for_gradients_that_were_not_kept(geometry, model, optimiser):
    bare = replace(geometry, gradients=None, token_gradients=None)
    settings = {"pairs": PAIRS, "rate": 1e-4, "steps": 3, "optimiser": optimiser}
    kept = llm.predict_training(geometry, "dpo", **settings)
    by_products = llm.predict_training(bare, "dpo", model=model, **settings)
    scale = np.abs(kept.change).max()
    np.testing.assert_allclose(by_products.change, kept.change, atol=3e-3 * scale)


def linearised(geometry, gained):
    """The same gradients at log-probabilities that have moved on."""
    last = geometry.responses.lengths - 1
    tokens = geometry.token_log_probs.copy()
    tokens[np.arange(len(tokens)), last] += gained
    return replace(geometry, token_log_probs=tokens)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9, "rate": 1e-3},
        {"optimiser": "adamw", "rate": 1e-3},
        {"optimiser": "rmsprop", "rate": 1e-4},
        {"objective": "bco", "rate": 1e-3},
    ],
    ids=["momentum", "adamw", "rmsprop", "statistics"],
)
def test_a_run_goes_on_where_it_stopped(geometry, settings):
    settings = {"objective": "dpo"} | settings
    whole = llm.predict_training(geometry, pairs=PAIRS, steps=7, **settings)
    first = llm.predict_training(geometry, pairs=PAIRS, steps=3, **settings)
    second = llm.predict_training(
        linearised(geometry, first.change[-1]),
        pairs=PAIRS,
        steps=4,
        reference=geometry.log_probs,
        memory=first.memory,
        **settings,
    )
    assert first.memory.step == 3
    assert second.memory.step == 7
    np.testing.assert_allclose(second.log_probs[-1], whole.log_probs[-1], rtol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9, "rate": 1e-4},
        {"optimiser": "adamw", "rate": 5e-5},
        {"optimiser": "rmsprop", "rate": 1e-5},
    ],
    ids=["momentum", "adamw", "rmsprop"],
)
def test_a_real_run_is_taken_over_with_its_memory(geometry, model, settings):
    """Steps 4 to 6 from the geometry after step 3: close, and far off if the memory is lost."""
    half, clone = trained(model, geometry.responses, DPO(0.5), steps=3, **settings)
    again = llm.response_geometry(clone, None, None, geometry.responses)
    memory = llm.Memory.of(half.optimiser, clone, again)
    full, _ = trained(model, geometry.responses, DPO(0.5), **settings)
    actual = full.log_probs[6] - full.log_probs[3]

    def off(memory):
        found = llm.predict_training(
            again,
            DPO(0.5),
            PAIRS,
            steps=3,
            reference=geometry.log_probs,
            memory=memory,
            **settings,
        )
        return np.abs(found.change[-1] - actual).max() / np.abs(actual).max()

    assert off(memory) < 0.05
    if settings.get("optimiser") != "adamw":  # whose bias correction starts as if it remembered
        assert off(None) > 3 * off(memory)


def test_followed_too_far_probabilities_exceed_one(geometry):
    near = llm.predict_training(geometry, "dpo", [(0, 1)], 1e-4, 3)
    far = llm.predict_training(geometry, "dpo", [(0, 1)], 0.3, 3)
    assert near.excess.max() == 0
    assert far.excess.max() > 0
    assert near.reason.startswith("ran all 3 rounds")


@pytest.fixture(scope="module")
def answers(model, tokenizer):
    """All single tokens but three, after one prompt: little is left to the rest."""
    every = [[token] for token in range(31)]
    responses = llm.encode(tokenizer, "the ", every)
    return llm.response_geometry(model, None, None, responses)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_normalised_predictions_are_the_same_to_first_order(answers, optimiser):
    def gap(rate):
        both = [
            llm.predict_training(
                answers, "dpo", [(0, 1)], rate, 3, optimiser=optimiser, normalised=yes
            ).change[-1]
            for yes in (False, True)
        ]
        return np.abs(both[0] - both[1]).max() / np.abs(both[0]).max()

    whole = llm.predict_training(answers, "dpo", [(0, 1)], 1e-3, 3, optimiser=optimiser)
    held = llm.predict_training(
        answers, "dpo", [(0, 1)], 1e-3, 3, optimiser=optimiser, normalised=True
    )
    np.testing.assert_allclose(
        held_at_one(answers.log_probs, whole.change), held.change, rtol=1e-9, atol=1e-12
    )
    assert gap(1e-7) < 1e-3
    assert 9 < gap(1e-6) / gap(1e-7) < 11


def test_normalised_probabilities_stay_below_one_and_closer_to_a_head_that_is_trained(llama):
    """The head's logits are linear in it: what is left of the error is the log of their sum."""
    model = copy.deepcopy(llama).double()
    responses = llm.Responses(((5, 6),) * 31, tuple((token,) for token in range(31)))
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    at = llm.response_geometry(model, None, None, responses, parameters="head")
    likely, other = np.argsort(at.log_probs)[[-1, 0]].tolist()
    pair = [(other, likely)]
    loss = llm.PairLoss("dpo", responses, pair, at.token_log_probs)
    path = llm.train_on(copy.deepcopy(model), loss, 2.0, 10)
    runs = [llm.predict_training(at, "dpo", pair, 2.0, 10, normalised=yes) for yes in (False, True)]
    errors = [np.abs(run.change - path.change).max() for run in runs]
    assert np.abs(path.change).max() > 5
    assert errors[0] > 1
    assert errors[1] < 0.1 * errors[0]
    assert runs[0].excess.max() > 0
    assert runs[1].excess.max() == 0


def test_what_cannot_be_predicted_is_refused(geometry, model):
    sums = replace(geometry, token_gram=None, token_gradients=None)
    bare = replace(geometry, gradients=None)

    def refused(match, at=geometry, objective="dpo", **settings):
        with pytest.raises(InputError, match=match):
            llm.predict_training(at, objective, PAIRS, 0.01, 2, **settings)

    refused("measure it with tokens=True", sums, "slime")
    refused("holds a Gram matrix and no gradients", bare, optimiser="adamw")
    refused("optimiser 'lion' is not known", optimiser="lion")
    refused("momentum is 0.9, but adamw takes none", optimiser="adamw", momentum=0.9)
    refused("sgd is predicted without: use adamw", weight_decay=0.1)
    refused("parameters is missing", optimiser="adamw", weight_decay=0.1)
    refused(
        "parameters is of shape \\(3,\\)",
        optimiser="adamw",
        weight_decay=0.1,
        parameters=np.ones(3),
    )
    refused("momentum is not predicted with normalised", momentum=0.9, normalised=True)
    refused("single tokens is not predicted with normal", objective="slime", normalised=True)
    refused("adam without gradients is not pred", bare, optimiser="adam", normalised=True)
    twice = replace(bare, responses=bare.responses[[0, 0, 1, 2, 3]])
    refused("Response 0 is the beginning of response 1", twice, normalised=True)
    sure = replace(geometry, token_log_probs=0 * geometry.token_log_probs)
    refused("total probability of 5, which leaves", sure, normalised=True)
    plain = llm.predict_training(geometry, "dpo", PAIRS, 0.01, 2, optimiser=Adam(0.5))
    refused("continue with the same optimiser", optimiser="rmsprop", memory=plain.memory)
    path, clone = trained(model, geometry.responses, "dpo", 0.001, momentum=0.9)
    with pytest.raises(InputError, match="momentum of sgd is a vector of parameters"):
        llm.Memory.of(path.optimiser, clone, bare)
