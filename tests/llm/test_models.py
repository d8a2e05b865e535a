"""Models from folders: what can be measured is loaded, all else refused in one sentence."""

import copy
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from huggingface_hub.utils import are_progress_bars_disabled
from safetensors.torch import load_file, save_file
from transformers.utils import logging as hf_logging

from prefdyn import InputError, llm
from prefdyn.llm._hub import quiet
from prefdyn.llm.head._head import body, check_head

LORA = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "init_lora_weights": False}
HEAD = ["lm_head"]


@pytest.fixture
def folder(tmp_path, llama, tokenizer) -> Path:
    with quiet():
        llama.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def save(model, folder: Path) -> Path:
    with quiet():
        model.save_pretrained(folder)
    return folder


def adapt(model, **settings):
    """A copy of a model with an adapter on it."""
    peft = pytest.importorskip("peft")
    with quiet():
        return peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(**LORA | settings)).eval()


def test_a_folder_is_loaded_as_it_is(folder, llama):
    model, tokenizer = llm.load(folder)
    responses = llm.encode(tokenizer, "once", [" upon", " more"])
    assert not model.training
    assert torch.equal(llm.log_probs(model, responses), llm.log_probs(llama, responses))
    assert tokenizer.eos_token == "</s>"


def test_the_model_that_ships_is_the_default():
    model, tokenizer = llm.load()
    responses = llm.continuations(model, tokenizer, "Once upon a time", 4, length=6)
    assert llm.log_probs(model, responses).isfinite().all()


@pytest.mark.parametrize("dtype", ["float64", torch.float64, "bfloat16", "auto"])
def test_precision_is_as_asked(folder, dtype):
    expected = {"bfloat16": torch.bfloat16, "auto": torch.float32}.get(dtype, torch.float64)
    assert llm.load(folder, dtype=dtype).model.dtype == expected


def test_loading_prints_nothing_and_leaves_all_settings(folder, capfd):
    hub = logging.getLogger("huggingface_hub")
    before = hf_logging.get_verbosity(), hub.level, are_progress_bars_disabled()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        llm.load(folder)
    assert capfd.readouterr() == ("", "")
    assert not caught
    assert hf_logging.is_progress_bar_enabled()
    assert before == (hf_logging.get_verbosity(), hub.level, are_progress_bars_disabled())


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    no_weights(folder)


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def one_layer_more(folder: Path) -> None:
    change_config(folder, num_hidden_layers=3)


def other_vocabulary(folder: Path) -> None:
    change_config(folder, vocab_size=40)


def unknown_kind(folder: Path) -> None:
    change_config(folder, model_type="wonder")


def own_code(folder: Path) -> None:
    change_config(folder, model_type="wonder", auto_map={"AutoConfig": "own.Config"})


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def not_a_number(folder: Path) -> None:
    def change(weights):
        weights["model.norm.weight"][3] = float("nan")

    change_weights(folder, change)


def infinite(folder: Path) -> None:
    def change(weights):
        weights["lm_head.weight"][3, 1] = float("inf")

    change_weights(folder, change)


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, "has no config.json"),
        (no_weights, "has no weights, no safetensors file"),
        (pickled_weights, r"only pickled weights \(.bin\)"),
        (cut_short, "a safetensors file is cut short or damaged"),
        (one_layer_more, r"lack model.layers.2.input_layernorm.weight and 8 more"),
        (other_vocabulary, r"have another shape of lm_head.weight and 1 more"),
        (unknown_kind, "config.json of .* is not one transformers knows .*wonder"),
        (own_code, "brings its own Python code"),
        (broken_config, "config.json of .* is not one transformers knows"),
        (not_a_number, "weight model.norm.weight has entries that are NaN or infinite"),
        (infinite, "weight lm_head.weight has entries that are NaN or infinite"),
        (no_tokenizer, "tokenizer in .* cannot be read"),
    ],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        llm.load(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda:77"}, "device 'cuda:77' is not there"),
        ({"device": "wonder"}, "device 'wonder' is not there"),
        ({"dtype": "int8"}, "dtype 'int8' is not known"),
        ({"dtype": torch.int8}, "need a floating-point type"),
        ({"adapter": "./nowhere"}, r"adapter ./nowhere has no adapter_config.json"),
    ],
)
def test_settings_that_cannot_be_met(folder, settings, message):
    with pytest.raises(InputError, match=message):
        llm.load(folder, **settings)


def test_names_that_lead_nowhere(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"There is no folder .*none"):
        llm.load(tmp_path / "none")
    with pytest.raises(InputError, match="hub cannot be reached"):
        llm.load("nobody-at-all/no-model")
    with pytest.raises(InputError, match="nor a name on the Hugging Face hub"):
        llm.load("a name with spaces")


def test_models_that_do_not_predict_the_next_token(folder, tmp_path):
    change_config(folder, model_type="t5")
    with pytest.raises(InputError, match="t5 model, which is not a causal language model"):
        llm.load(folder)
    config = hf.BertConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    save(hf.BertForMaskedLM(config), tmp_path / "bert")
    with pytest.raises(InputError, match="cannot read this architecture"):
        llm.load(tmp_path / "bert")


def test_missing_packages_say_how_to_install_them(folder, monkeypatch, tmp_path, llama):
    path = save(adapt(llama), tmp_path / "adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match="Adapters need peft: install it with pip install"):
        llm.load(folder, adapter=path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="need transformers: install it with pip install"):
        llm.load(folder)


@pytest.mark.parametrize("named", ["adapter", "folder"])
def test_adapters_go_on_their_base_model(folder, tmp_path, tokenizer, named):
    adapted = adapt(llm.load(folder).model)
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    path = save(adapted, tmp_path / "adapter")
    model, _ = llm.load(folder, adapter=path) if named == "adapter" else llm.load(path)
    responses = llm.encode(tokenizer, "once", [" upon", " more"])
    assert torch.allclose(llm.log_probs(model, responses), llm.log_probs(adapted, responses))
    plain = llm.load(folder).model
    assert not torch.allclose(llm.log_probs(model, responses), llm.log_probs(plain, responses))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.parametrize("settings", [{"target_modules": ["lm_head"]}, {"modules_to_save": HEAD}])
def test_adapters_on_the_head_are_refused(llama, settings):
    with pytest.raises(InputError, match="merge an adapter on it first"):
        llm.Head.of(adapt(llama, **settings))


def test_adapters_that_write_into_the_prompt_are_refused(folder, tmp_path, llama):
    peft = pytest.importorskip("peft")
    with quiet():
        config = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
        prompting = peft.get_peft_model(copy.deepcopy(llama), config)
    with pytest.raises(InputError, match="adds virtual tokens to the prompt"):
        llm.load(folder, adapter=save(prompting, tmp_path / "adapter"))


def test_an_adapter_of_another_model_is_refused(folder, tmp_path, llama):
    config = copy.deepcopy(llama.config)
    config.hidden_size = 24
    path = save(adapt(hf.LlamaForCausalLM(config)), tmp_path / "adapter")
    with pytest.raises(InputError, match="does not fit the model"):
        llm.load(folder, adapter=path)


def test_a_head_that_the_config_does_not_tell_is_refused(llama):
    scaled = copy.deepcopy(llama)
    scaled.lm_head.register_forward_hook(lambda layer, inputs, output: 1.1 * output)
    check_head(llama)
    with pytest.raises(InputError, match="cannot read this architecture"):
        check_head(scaled)


def test_a_model_that_looks_ahead_is_refused(llama):
    ahead = copy.deepcopy(llama)
    inner = ahead.model.forward

    def forward(**inputs):
        out = inner(**inputs)
        out.last_hidden_state = out.last_hidden_state.flip(1)
        return out

    ahead.model.forward = forward
    with pytest.raises(InputError, match="looks ahead"):
        check_head(ahead)


def test_a_config_that_contradicts_itself_is_named(folder):
    change_config(folder, num_attention_heads=3)
    with pytest.raises(InputError, match=r"hidden size \(16\) is not a multiple of the"):
        llm.load(folder)
    change_config(folder, num_attention_heads="two")
    with pytest.raises(InputError, match="num_attention_heads' expected int, got str"):
        llm.load(folder)


def test_a_broken_adapter_config_is_named(folder):
    no_config(folder)
    for content in ("{oops", "[1]"):
        (folder / "adapter_config.json").write_text(content)
        with pytest.raises(InputError, match=r"adapter_config.json of|does not name its base"):
            llm.load(folder)


SMALL: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
}
SMALL |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
SMALL |= {"intermediate_size_mlp": 16, "num_local_experts": 2, "max_position_embeddings": 32}
SMALL |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def test_a_text_model_that_wears_its_head_inside_another_name():
    model = hf.Llama4ForCausalLM(hf.Llama4TextConfig(**SMALL)).eval()
    check_head(model)
    assert body(model) is model.model


def test_a_text_model_inside_one_that_sees():
    eye = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}
    eye |= {"intermediate_size": 16, "image_size": 16, "vision_output_dim": 16}
    eye |= {"projector_input_dim": 16, "projector_output_dim": 16}
    config = hf.Llama4Config(text_config=SMALL, vision_config=eye)
    model = hf.Llama4ForConditionalGeneration(config).eval()
    check_head(model)
    assert body(model) is model.language_model.model


def test_a_model_without_a_known_body_is_refused():
    """Other people's code may call it anything, and need have none of the library's methods."""

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lm_head = torch.nn.Linear(4, 7)

        def get_output_embeddings(self):
            return self.lm_head

    with pytest.raises(InputError, match="not known what stands below the output layer of Own"):
        body(Own())
