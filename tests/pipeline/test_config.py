"""Configuration files: every kind, which trainer they are for, and what is wrong with bad ones."""

import json
import sys
from dataclasses import MISSING, fields
from importlib import import_module

import pytest

from prefdyn import InputError
from prefdyn.pipeline import read_config
from prefdyn.pipeline._names import COMMON, EARLIER, OF_TRAINER
from prefdyn.pipeline._rows import TEMPERATURE
from prefdyn.pipeline._values import last_number, number, whole, yes

TRL = {
    "dpo": ("trl", "DPOConfig"),
    "kto": ("trl", "KTOConfig"),
    "cpo": ("trl.experimental.cpo", "CPOConfig"),
    "orpo": ("trl.experimental.orpo", "ORPOConfig"),
    "tpo": ("trl.experimental.tpo", "TPOConfig"),
    "online_dpo": ("trl.experimental.online_dpo", "OnlineDPOConfig"),
}


def written(folder, text: str, name: str = "config.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "beta: 0.2\nloss_weights: [1.0]\n"),
        ("c.YML", "beta: 0.2\nloss_weights: [1.0]\n"),
        ("c.json", '{"beta": 0.2, "loss_weights": [1.0]}'),
        ("c.toml", "beta = 0.2\nloss_weights = [1.0]\n"),
        ("c.yaml", "training:\n  beta: 0.2\nother:\n  loss_weights: [1.0]\n"),
    ],
)
def test_every_kind_of_file_reads_the_same(tmp_path, name, text):
    config = read_config(written(tmp_path, text, name))
    assert config.trainer == "dpo"
    assert dict(config.settings) == {"beta": 0.2, "loss_weights": [1.0]}
    assert not config.unknown


@pytest.mark.parametrize(
    ("text", "trainer"),
    [
        ("ld_alpha: 0.4", "dpo"),
        ("loss_type: [sigmoid, sft]\nloss_weights: [1, 1]", "dpo"),
        ("desirable_weight: 1.2", "kto"),
        ("loss_type: simpo", "cpo"),
        ("simpo_gamma: 0.5\nloss_type: sigmoid", "cpo"),
        ("padding_value: 0", "orpo"),
        ("loss_type: tpo-l", "tpo"),
        ("max_new_tokens: 64\nbeta: [0.1]", "online_dpo"),
        ("mixture_coef: 0.5\nmax_new_tokens: 64", "nash_md"),
        ("alpha: 1.0e-5\nmax_new_tokens: 64", "xpo"),
    ],
)
def test_the_trainer_is_the_one_that_has_the_settings(tmp_path, text, trainer):
    assert read_config(written(tmp_path, text)).trainer == trainer


def test_what_a_trainer_does_not_have_is_listed(tmp_path):
    text = "beta: 0.1\nref_model_sync_step: 64\ncpo_alpha: 1.0\nfoo: 1\nseed: 1\n"
    config = read_config(written(tmp_path, text), "dpo")
    assert set(config.settings) == {"beta", "seed"}
    assert "nearest: ref_model_sync_steps" in config.unknown["ref_model_sync_step"]
    assert config.unknown["cpo_alpha"] == " (a setting of cpo)"
    assert "foo" in config.unknown
    earlier = read_config(written(tmp_path, "rpo_alpha: 1.0"), "dpo")
    assert "now loss_type: [sigmoid, sft]" in earlier.unknown["rpo_alpha"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.txt", "beta: 1", "not a known kind"),
        ("c.yaml", "", "is empty"),
        ("c.yaml", "- 1\n- 2\n", "holds no settings"),
        ("c.yaml", "beta: [1\nx: 2\n", "line 2 is not YAML"),
        ("c.yaml", "a: !!python/object:os.system {}\n", "is not YAML"),
        ("c.yaml", "a: 2024-99-99\n", "is not YAML"),
        ("c.yaml", "[\n" * 900, "is not YAML"),
        ("c.yaml", "[" * 5000, "too many brackets"),
        ("c.json", '{"beta": ', "is not complete JSON"),
        ("c.toml", "beta = \n", "is not TOML"),
        ("c.yaml", "beta: 0.1\ntraining:\n  beta: 0.2\n", "gives beta twice"),
        ("c.yaml", "beta: 0.1\n", "fit several of TRL's trainers"),
        ("c.yaml", "cpo_alpha: 1\ndesirable_weight: 1\n", "no single trainer of TRL"),
        ("c.yaml", "judge: x\nmax_new_tokens: 9\n", "nearest: online_dpo, without judge"),
        ("c.yaml", "beta: 0.1\n" * 20_000, "more than 100,000 bytes"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message) as error:
        read_config(written(tmp_path, text, name))
    assert "\n" not in str(error.value)


def test_missing_files_and_trainers(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="trainer 'ppo' is not known"):
        read_config(written(tmp_path, "beta: 1"), "ppo")


def test_without_yaml_it_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match="pip install pyyaml"):
        read_config(written(tmp_path, "beta: 1"))


def test_values():
    settings = {"rate": "5e-7", "on": "True", "off": False, "betas": [0.3, "0.1"], "n": 3.0}
    assert number(settings, "rate") == 5e-7
    assert yes(settings, "on")
    assert not yes(settings, "off")
    assert not yes(settings, "absent")
    assert last_number(settings, "betas") == 0.1
    assert whole(settings, "n") == 3
    for read, value in (
        (number, "much"),
        (number, [1]),
        (number, True),
        (number, float("inf")),
        (number, {"a": 1}),
        (whole, 1.5),
        (yes, 1),
        (yes, "perhaps"),
        (last_number, []),
    ):
        with pytest.raises(InputError, match=r"^x is .*: give"):
            read({"x": value}, "x")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning")
def test_names_are_those_of_trl():
    transformers, trl = import_module("transformers"), import_module("trl")
    shared = {
        field.name
        for kind in (
            transformers.TrainingArguments,
            trl.ModelConfig,
            trl.ScriptArguments,
            trl.DatasetMixtureConfig,
        )
        for field in fields(kind)
    }
    assert shared == COMMON
    for trainer, (module, name) in TRL.items():
        kind = getattr(import_module(module), name)
        assert {field.name for field in fields(kind)} - shared == OF_TRAINER[trainer]
    assert not EARLIER & shared


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning")
def test_defaults_are_those_of_trl():
    dpo = import_module("trl").DPOConfig.__dataclass_fields__
    assert dpo["ref_model_mixup_alpha"].default == 0.6
    assert dpo["ref_model_sync_steps"].default == 512
    assert dpo["sync_ref_model"].default is False
    online = import_module("trl.experimental.online_dpo").OnlineDPOConfig.__dataclass_fields__
    assert online["temperature"].default == TEMPERATURE
    assert online["beta"].default is MISSING
    assert online["beta"].default_factory() == [0.1]
    assert online["loss_type"].default == "sigmoid"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning")
@pytest.mark.parametrize("trainer", TRL)
def test_what_trl_saves_is_read(tmp_path, trainer):
    """`TrainingArguments.to_dict` has every setting, and the trainer is found from them."""
    module, name = TRL[trainer]
    made = getattr(import_module(module), name)(str(tmp_path), bf16=False, use_cpu=True)
    text = json.dumps(made.to_dict(), default=str)
    config = read_config(written(tmp_path, text, "training_args.json"))
    assert config.trainer == trainer
    assert not config.unknown
