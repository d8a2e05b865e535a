"""Language models: the one that ships with the package, or any other."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from prefdyn._errors import InputError
from prefdyn._inputs import choice
from prefdyn._progress import working
from prefdyn.llm._claims import check_claims
from prefdyn.llm._hub import first_line, from_hub, is_path, quiet
from prefdyn.llm._memory import enough_memory
from prefdyn.llm.head._head import check_head

_BROKEN = (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What readers raise that take a file's form on trust."""
_DTYPES = ("float32", "float64", "bfloat16", "float16", "auto")


class LanguageModel(NamedTuple):
    """A model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any


@working("loading the language model")
def load(
    name_or_path: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    adapter: str | Path | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Load a causal language model and its tokenizer, ready to be measured.

    Weights are read from safetensors files only.  The model is in evaluation mode, its weights
    are finite and all read from the files, it does not look ahead, and its logits have been
    compared with what `Head` makes of its hidden states.

    Parameters
    ----------
    name_or_path
        Folder or hub name of a Hugging Face causal language model, or of a PEFT adapter, whose
        base model is then loaded too; None for the small one that ships with the package.
    device
        Where to put it, e.g. ``"cpu"`` or ``"cuda:0"``.
    dtype
        Of the weights: a torch dtype, one of ``float32``, ``float64``, ``bfloat16``, ``float16``,
        or ``auto`` for that of the files.
    adapter
        Folder or hub name of a PEFT adapter to put on the model.  Its weights can be trained,
        the model's below it cannot.
    trust_remote_code
        Whether to run Python files that come with the model.

    Raises
    ------
    InputError
        For a model that is missing, cannot be reached, is not a causal language model, is not
        in safetensors files, lacks weights or has some that are not finite; for a device or
        dtype there is not.
    ImportError
        Without transformers, or for an adapter without peft.
    """
    _needs("transformers", "Language models")
    kind = _dtype(dtype)
    place = _device(device)
    name = _shipped() if name_or_path is None else name_or_path
    name = _local(name)
    with quiet():
        if adapter is None and (base := _base_of(name)) is not None:
            name, adapter = base, name
        with enough_memory("take a smaller model, or dtype='bfloat16'"):
            model = _read(name, kind, trust_remote_code)
            if adapter is not None:
                model = _with_adapter(model, _local(adapter))
            model = model.to(place).eval()
        tokenizer = _tokenizer(name, adapter, trust_remote_code)
        _check_finite(model)
        check_head(model)
    return LanguageModel(model, tokenizer)


def _shipped() -> Path:
    from prefdyn.llm import little

    folder = little.folder()
    if not (folder / "config.json").is_file():
        raise InputError(
            "The model that ships with prefdyn is not in this installation: install the package "
            "again, or name another model."
        )
    return folder


def _local(name: str | Path) -> str:
    return os.path.expanduser(name) if is_path(name) else str(name)  # a Path would drop "./"


def _needs(package: str, what: str) -> None:
    try:
        __import__(package)
    except ImportError:
        raise ImportError(
            f"{what} need {package}: install it with pip install 'prefdyn[llm]' {package}."
        ) from None


def _dtype(dtype: str | torch.dtype) -> Any:
    if isinstance(dtype, torch.dtype):
        if not dtype.is_floating_point:
            raise InputError(f"dtype is {dtype}: weights need a floating-point type.")
        return dtype
    return dtype if choice(dtype, _DTYPES, "dtype") == "auto" else getattr(torch, dtype)


def _device(device: str | torch.device) -> torch.device:
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"The device {str(device)!r} is not there ({first_line(error)}): use device='cpu'."
        ) from None


def _base_of(name: str) -> str | None:
    """The base model of an adapter; None if the name is not that of an adapter."""
    from transformers.utils.peft_utils import find_adapter_config_file

    if is_path(name):
        folder = Path(name)
        if not folder.is_dir():
            raise InputError(f"There is no folder {name}: give a model's folder or hub name.")
        if (folder / "config.json").is_file():
            return None
    with from_hub(name, "model"):
        found = find_adapter_config_file(name)
    if found is None:
        return None
    try:
        settings = json.loads(Path(found).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"The adapter_config.json of {name} is not JSON ({first_line(error)}): save the "
            "adapter again."
        ) from None
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    if not base:
        raise InputError(
            f"The adapter {name} does not name its base model: load that one, with "
            f"adapter={name!r}."
        )
    return base


def _read(name: str, dtype: Any, trust_remote_code: bool) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    remote = {"trust_remote_code": trust_remote_code}
    if is_path(name):
        _check_folder(Path(name))
    with from_hub(name, "model"):
        try:
            config = AutoConfig.from_pretrained(name, **remote)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and not is_path(name):
                raise
            raise InputError(_config_problem(name, error)) from None
        except StrictDataclassError as error:  # the reason stands in what it was raised from
            raise InputError(_config_problem(name, error.__cause__ or error)) from None
        except _BROKEN as error:
            raise InputError(_config_problem(name, error)) from None
        # Asked for here, since transformers imports every architecture it knows to say so.
        by_itself = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
        if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not by_itself:
            raise InputError(
                f"{name} is a {config.model_type} model, which is not a causal language model: "
                "give one that predicts the next token."
            )
        try:
            if is_path(name) and not by_itself:
                _check_claims(Path(name), config)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **remote,
            )
        except SafetensorError as error:
            raise InputError(
                f"The weights of {name} cannot be read ({first_line(error)}): a safetensors file "
                "is cut short or damaged, fetch it again."
            ) from None
        except OSError as error:
            if "safetensors" not in str(error):
                raise
            raise InputError(_no_safetensors(name)) from None
        except (*_BROKEN, json.JSONDecodeError) as error:
            raise InputError(
                f"The weights of {name} cannot be found ({_named(error)}): its "
                "model.safetensors.index.json is damaged, fetch it again."
            ) from None
    model, report = loaded
    mismatched = sorted(key for key, *_ in report["mismatched_keys"])
    lacking = sorted(report["missing_keys"]) or mismatched
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        how = "lack" if report["missing_keys"] else "have another shape of"
        raise InputError(
            f"The weights of {name} {how} {lacking[0]}{more}, as its config.json describes the "
            f"model: it is not the {type(model).__name__} it says, or its files are incomplete."
        )
    return model


def _check_claims(folder: Path, config: Any) -> None:
    from safetensors import SafetensorError

    try:
        check_claims(folder, config)
    except (InputError, SafetensorError, MemoryError):
        raise
    except Exception as error:  # settings that make no model break anywhere in its construction
        raise InputError(_config_problem(str(folder), error)) from None


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give a model's folder or hub name.")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json: give the folder of a Hugging Face model.")
    if not any(folder.glob("*.safetensors")):
        raise InputError(_no_safetensors(str(folder), pickled=any(folder.glob("*.bin"))))


def _no_safetensors(name: str, pickled: bool = False) -> str:
    found = "only pickled weights (.bin)" if pickled else "no weights"
    return (
        f"{name} has {found}, no safetensors file: save the model again with "
        "save_pretrained(folder, safe_serialization=True)."
    )


def _config_problem(name: str, error: BaseException) -> str:
    if _is_own_code(error):
        return _own_code(name)
    return f"The config.json of {name} is not one transformers knows ({_named(error)})."


def _is_own_code(error: BaseException) -> bool:
    return "trust_remote_code" in str(error) or "custom code" in str(error)


def _own_code(name: str) -> str:
    return (
        f"{name} brings its own Python code: read it, and if you trust it load the model with "
        "trust_remote_code=True."
    )


def _named(error: BaseException) -> str:
    """The first sentence of an error; with its kind where it says nothing without."""
    bare = isinstance(error, LookupError | ArithmeticError | TypeError | AttributeError)
    return f"{type(error).__name__}: {first_line(error)}" if bare else first_line(error)


def _with_adapter(model: Any, adapter: str) -> Any:
    _needs("peft", "Adapters")
    from peft import PeftConfig, PeftModel

    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not _has(adapter, file):
            raise InputError(f"The adapter {adapter} has no {file}: give an adapter's folder.")
    with from_hub(adapter, "adapter"):
        try:
            if PeftConfig.from_pretrained(adapter).is_prompt_learning:
                raise InputError(
                    f"The adapter {adapter} adds virtual tokens to the prompt, which prefdyn does "
                    "not read: use one that changes weights, such as LoRA."
                )
            return PeftModel.from_pretrained(model, adapter, is_trainable=True)
        except RuntimeError as error:
            raise InputError(
                f"The adapter {adapter} does not fit the model ({first_line(error)}): load it on "
                "the base model that its adapter_config.json names."
            ) from None


def _has(adapter: str, file: str) -> bool:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    if is_path(adapter):
        return (Path(adapter) / file).is_file()
    try:
        with from_hub(adapter, "adapter"):
            hf_hub_download(adapter, file)
    except RemoteEntryNotFoundError:
        return False
    return True


def _tokenizer(name: str, adapter: str | Path | None, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    # Training with new tokens leaves its tokenizer beside the adapter.
    if adapter is not None and (Path(adapter) / "tokenizer_config.json").is_file():
        name = str(adapter)
    with from_hub(name, "tokenizer"):
        try:
            return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        except Exception as error:  # a damaged file breaks its reader in many ways
            if not is_path(name):
                raise
            if _is_own_code(error):
                raise InputError(_own_code(name)) from None
            raise InputError(
                f"The tokenizer in {name} cannot be read ({_named(error)}): put the model's "
                "tokenizer files there."
            ) from None


def _check_finite(model: Any) -> None:
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise InputError(
                f"The model's weight {name} has entries that are NaN or infinite: its training "
                "broke down or its file is damaged, so take an earlier checkpoint."
            )
