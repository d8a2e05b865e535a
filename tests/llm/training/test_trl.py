"""Our losses against those of the pinned TRL, on the same batch of its own trainers."""

import copy
from dataclasses import MISSING
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from prefdyn import InputError, objectives
from prefdyn.llm import PairLoss, Responses
from prefdyn.llm._pair_loss import measure
from prefdyn.pipeline.trl_losses import DEFAULTS, trl_equivalent

# What TRL and transformers say about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning"),
]

ROWS = [
    {"prompt": "who ran?", "chosen": " a dog.", "rejected": " the big old cat."},
    {"prompt": "who sat?", "chosen": " she did", "rejected": " no one"},
    {"prompt": "was it hot today?", "chosen": " yes, very.", "rejected": " no"},
]
DPO = [
    {},
    {"loss_type": ["hinge"], "beta": 0.3},
    {"loss_type": ["ipo"], "beta": 0.4},
    {"loss_type": ["exo_pair"], "label_smoothing": 1e-3},
    {"loss_type": ["nca_pair"], "beta": 0.2},
    {"loss_type": ["robust"], "label_smoothing": 0.2},
    {"loss_type": ["bco_pair"], "beta": 0.2},
    {"loss_type": ["sppo_hard"], "beta": 0.1},
    {"loss_type": ["aot"], "label_smoothing": 0.1},
    {"loss_type": ["aot_unpaired"], "label_smoothing": 0.1},
    {"loss_type": ["apo_zero"]},
    {"loss_type": ["apo_down"]},
    {"loss_type": ["discopop"], "beta": 0.05},
    {"loss_type": ["sft"]},
    {"loss_type": ["sigmoid_norm"], "beta": 2.0},
    {"f_divergence_type": "js_divergence"},
    {"f_divergence_type": "forward_kl"},
    {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3},
    {"ld_alpha": 0.4},
    {"use_weighting": True},
    {"use_weighting": True, "loss_type": ["ipo", "sigmoid"], "loss_weights": [0.5, 2.0]},
    {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]},
]
CPO = [
    {},
    {"cpo_alpha": 0.3, "beta": 0.5},
    {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 0.8},
    {"loss_type": "simpo", "cpo_alpha": 0.5, "beta": 2.0, "label_smoothing": 0.1},
    {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.5, "alpha": 0.25},
    {"loss_type": "hinge", "cpo_alpha": 0.0},
    {"loss_type": "ipo", "cpo_alpha": 0.2, "beta": 0.5},
]
KTO = [
    {"desirable_weight": 1.3, "undesirable_weight": 0.7},
    {"loss_type": "apo_zero_unpaired"},
]


@pytest.fixture(scope="module")
def models(llama) -> tuple[Any, Any]:
    """A policy, and a reference a little way off."""
    policy, reference = copy.deepcopy(llama), copy.deepcopy(llama)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter += 0.03 * torch.randn(parameter.shape, generator=noise)
    return policy, reference


def classes(name: str, module: str = "trl") -> tuple[Any, Any]:
    """Configuration and trainer of this name."""
    found = import_module(module)
    return getattr(found, f"{name}Config"), getattr(found, f"{name}Trainer")


def settings(folder, **more) -> dict[str, Any]:
    known: dict[str, Any] = {
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
    }
    known |= {"per_device_train_batch_size": 3, "remove_unused_columns": False}
    return {"output_dir": str(folder)} | known | more


def responses_of(ids, completion, attention):
    """Prompt and response of every row of a trainer's batch."""
    prompts, answers = [], []
    for row, own, kept in zip(ids, completion.bool(), attention.bool(), strict=True):
        prompts.append(tuple(row[kept & ~own].tolist()))
        answers.append(tuple(row[own].tolist()))
    return Responses(tuple(prompts), tuple(answers))


def ours(equivalent: Any, models: tuple[Any, Any], responses, pairs, **more):
    """Our value of the same batch, and its gradient."""
    policy, reference = models
    known = torch.zeros(responses.mask.shape)
    if equivalent.reference:
        known = measure(reference, responses).tokens.detach()
    loss = PairLoss(equivalent.objective, responses, pairs, known, **more)
    found = measure(policy, responses, squares=loss.objective.token_level)
    stats = loss.updated(loss.initial_stats, found)
    value = equivalent.scale * loss.of_tokens(found.tokens, stats, found.log_sum_p2)
    return value, torch.autograd.grad(value, list(policy.parameters()))


def assert_same(model, theirs, value, gradient):
    assert float(theirs.detach()) == pytest.approx(float(value.detach()), rel=1e-5, abs=1e-5)
    expected = torch.autograd.grad(theirs, list(model.parameters()))
    for one, two in zip(gradient, expected, strict=True):
        scale = max(1.0, float(two.abs().max()))
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.slow
@pytest.mark.parametrize("config", DPO, ids=str)
def test_dpo_trainer(models, tokenizer, tmp_path, config):
    DPOConfig, DPOTrainer = classes("DPO")
    policy, reference = copy.deepcopy(models[0]), copy.deepcopy(models[1])
    trainer = DPOTrainer(
        policy,
        reference,
        args=DPOConfig(**settings(tmp_path, **config)),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=copy.deepcopy(tokenizer),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, batch)
    responses = responses_of(batch["input_ids"], batch["completion_mask"], batch["attention_mask"])
    pairs = np.arange(6).reshape(2, 3).T
    found = ours(trl_equivalent("dpo", **config), models, responses, pairs)
    assert_same(trainer.model, theirs, *found)


def _labelled(batch):
    """The batch of a trainer that has labels in place of a mask, chosen rows first."""
    rows = [
        responses_of(
            batch[f"{side}_input_ids"],
            batch[f"{side}_labels"] != -100,
            batch[f"{side}_attention_mask"],
        )
        for side in ("chosen", "rejected")
    ]
    both = (rows[0].prompt_tokens + rows[1].prompt_tokens, rows[0].tokens + rows[1].tokens)
    return Responses(*both), np.arange(6).reshape(2, 3).T


@pytest.mark.slow
@pytest.mark.parametrize("config", CPO, ids=str)
def test_cpo_trainer(models, tokenizer, tmp_path, config):
    CPOConfig, CPOTrainer = classes("CPO", "trl.experimental.cpo")
    trainer = CPOTrainer(
        copy.deepcopy(models[0]),
        args=CPOConfig(**settings(tmp_path, **config)),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=copy.deepcopy(tokenizer),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, batch)
    found = ours(trl_equivalent("cpo", **config), models, *_labelled(batch))
    assert_same(trainer.model, theirs, *found)


@pytest.mark.slow
def test_orpo_trainer(models, tokenizer, tmp_path):
    """The odds ratio is the same; TRL's likelihood runs over prompt and response."""
    ORPOConfig, ORPOTrainer = classes("ORPO", "trl.experimental.orpo")
    trainer = ORPOTrainer(
        copy.deepcopy(models[0]),
        args=ORPOConfig(**settings(tmp_path, beta=0.3)),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=copy.deepcopy(tokenizer),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, batch)
    responses, pairs = _labelled(batch)
    equivalent = trl_equivalent("orpo", beta=0.3)
    assert not equivalent.exact
    value, _ = ours(equivalent, models, responses, pairs)
    chosen = measure(models[0], responses[:3])
    own = -(chosen.tokens.sum(-1) / torch.as_tensor(responses.lengths[:3])).mean()
    whole = Responses(
        tuple(prompt[:1] for prompt in responses.prompt_tokens[:3]),
        tuple(
            prompt[1:] + tokens
            for prompt, tokens in zip(
                responses.prompt_tokens[:3], responses.tokens[:3], strict=True
            )
        ),
    )
    all_tokens = -measure(models[0], whole).tokens.sum() / whole.lengths.sum()
    expected = value - own + all_tokens
    assert float(theirs.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("config", KTO, ids=str)
def test_kto_trainer(models, tokenizer, tmp_path, config):
    KTOConfig, KTOTrainer = classes("KTO")
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in ROWS
        for side in ("chosen", "rejected")
    ]
    more: dict[str, Any] = {"per_device_train_batch_size": 6} | config
    trainer = KTOTrainer(
        copy.deepcopy(models[0]),
        copy.deepcopy(models[1]),
        args=KTOConfig(**settings(tmp_path, **more)),
        train_dataset=Dataset.from_list(rows),
        processing_class=copy.deepcopy(tokenizer),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, batch)
    responses = responses_of(batch["input_ids"], batch["completion_mask"], batch["attention_mask"])
    labels = torch.as_tensor(batch["label"]).bool().numpy()
    prompts = responses.prompts
    chosen = np.flatnonzero(labels)
    pairs = [(i, int(np.flatnonzero(~labels & (prompts == prompts[i]))[0])) for i in chosen]
    equivalent = trl_equivalent("kto", **config)
    more = {}
    if equivalent.objective.mismatched:
        moved = responses_of(
            batch["KL_input_ids"], batch["KL_completion_mask"], batch["KL_attention_mask"]
        )
        both = (responses.prompt_tokens + moved.prompt_tokens, responses.tokens + moved.tokens)
        responses = Responses(*both)
        more["mismatched"] = 6 + np.arange(6).reshape(-1, 2)
    found = ours(equivalent, models, responses, pairs, **more)
    assert_same(trainer.model, theirs, *found)


@pytest.mark.slow
def test_tpo_trainer(models, tokenizer, tmp_path):
    TPOConfig, TPOTrainer = classes("TPO", "trl.experimental.tpo")
    rows = [row | {"reference": " it was a cat"} for row in ROWS]
    trainer = TPOTrainer(
        copy.deepcopy(models[0]),
        args=TPOConfig(**settings(tmp_path, beta=0.2, tpo_alpha=0.7)),
        train_dataset=Dataset.from_list(rows),
        processing_class=copy.deepcopy(tokenizer),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, batch)
    responses = responses_of(batch["input_ids"], batch["completion_mask"], batch["attention_mask"])
    equivalent = trl_equivalent("tpo", beta=0.2, tpo_alpha=0.7)
    pairs = np.arange(6).reshape(2, 3).T
    found = ours(equivalent, models, responses, pairs, gold=np.arange(6, 9))
    assert_same(trainer.model, theirs, *found)


def test_every_loss_of_the_dpo_trainer_is_known():
    """What TRL's configuration lists, and what `trl_equivalent` takes."""
    text = classes("DPO")[0].__dataclass_fields__["loss_type"].metadata["help"]
    for kind in ("sigmoid", "hinge", "ipo", "aot_unpaired", "sigmoid_norm", "sppo_hard"):
        assert f"`'{kind}'`" in text
    listed = [word for word in text.split("`") if word.startswith("'")]
    for kind in listed:
        smooth = {"label_smoothing": 0.1} if kind == "'exo_pair'" else {}
        assert trl_equivalent("dpo", loss_type=kind.strip("'"), **smooth).exact


def test_defaults_are_those_of_trl():
    for name, values in DEFAULTS.items():
        module = "trl" if name in ("dpo", "kto") else f"trl.experimental.{name}"
        config = getattr(import_module(module), f"{name.upper()}Config")
        for setting, value in values.items():
            known = config.__dataclass_fields__[setting]
            theirs = known.default_factory() if known.default_factory != MISSING else known.default
            assert list(np.atleast_1d(value)) == list(np.atleast_1d(theirs)), setting


@pytest.mark.parametrize(
    ("trainer", "config", "message"),
    [
        ("bco", {}, "trainer 'bco' is not known"),
        ("dpo", {"loss_type": "sigmod"}, "loss_type 'sigmod' is not known"),
        ("dpo", {"betta": 1}, "setting of TRL's dpo trainer 'betta' is not known"),
        ("dpo", {"loss_type": "ipo", "ld_alpha": 0.5}, "has no counterpart"),
        ("dpo", {"f_divergence_type": "forward_kl", "ld_alpha": 0.5}, "has no counterpart"),
        ("dpo", {"use_weighting": True, "loss_type": ["sigmoid", "sft"]}, "has no counterpart"),
        ("cpo", {"label_smoothing": 0.1}, "has no counterpart"),
        ("cpo", {"loss_type": "hinge", "alpha": 0.1}, "has no counterpart"),
        ("tpo", {"loss_type": "tpo-l"}, "has no counterpart"),
    ],
)
def test_what_has_no_counterpart(trainer, config, message):
    with pytest.raises(InputError, match=message):
        trl_equivalent(trainer, **config)


def test_names():
    assert trl_equivalent("dpo").objective == objectives.get("dpo", beta=0.1)
    mpo: Any = trl_equivalent(
        "dpo", loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0]
    ).objective
    assert [term.id for term in mpo.terms] == ["dpo", "bco", "sft"]
