import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from prefdyn import InputError
from prefdyn.llm import Responses, encode, fingerprint, reference_log_probs, token_log_probs
from tests.llm.conftest import tiny_llama

RESPONSES = Responses(
    tuple((4, 5, 6) if r % 2 else (7,) for r in range(10)),
    tuple(tuple(3 + (r + t) % 30 for t in range(1 + r % 4)) for r in range(10)),
)


def test_the_same_after_saving_and_loading(llama, tokenizer, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    llama.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert fingerprint(*again) == fingerprint(llama, tokenizer)
    eager = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    assert fingerprint(eager) == fingerprint(llama)
    low = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert fingerprint(low) != fingerprint(llama)


@pytest.mark.slow
def test_the_same_in_another_process(llama):
    code = (
        "from tests.llm.conftest import tiny_llama; from prefdyn.llm import fingerprint;"
        "print(fingerprint(tiny_llama()))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint(llama)


def test_every_weight_and_setting_counts(llama):
    before = fingerprint(llama)
    for name in ("model.norm.weight", "lm_head.weight"):
        changed = copy.deepcopy(llama)
        changed.get_parameter(name).data.view(-1)[0] += 1e-3
        assert fingerprint(changed) != before
    assert fingerprint(tiny_llama(rms_norm_eps=1e-3)) != before
    assert fingerprint(tiny_llama()) == before


# peft asks transformers by a name that is on its way out.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_count_and_whether_they_are_on(llama):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(copy.deepcopy(llama), LoraConfig(target_modules=["q_proj"], r=2))
    on = fingerprint(model)
    with model.disable_adapter():
        off = fingerprint(model)
    assert len({on, off, fingerprint(llama)}) == 3
    assert fingerprint(model) == on


def test_the_tokenizer_counts_but_not_what_it_was_last_asked(llama, tokenizer):
    mine = copy.deepcopy(tokenizer)
    before = fingerprint(llama, mine)
    assert before != fingerprint(llama)
    mine(["a", "abc"], padding=True, truncation=True, max_length=2)
    assert fingerprint(llama, mine) == before
    mine.add_tokens(["new"])
    assert fingerprint(llama, mine) != before


def test_log_probabilities_with_and_without_a_cache(llama, tokenizer, tmp_path):
    expected = token_log_probs(llama, RESPONSES).detach()
    for cache in (None, tmp_path / "deep" / "cache", str(tmp_path / "deep" / "cache")):
        found = reference_log_probs(llama, tokenizer, RESPONSES, cache=cache, batch=3, piece=4)
        assert not found.requires_grad
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert (found[torch.as_tensor(RESPONSES.mask) == 0] == 0).all()


def test_what_is_kept_is_not_computed_again(llama, tokenizer, tmp_path, monkeypatch):
    settings = {"cache": tmp_path, "batch": 3, "piece": 4}
    first = reference_log_probs(llama, tokenizer, RESPONSES, **settings)
    monkeypatch.setattr(llama.model, "forward", None)
    assert torch.equal(reference_log_probs(llama, tokenizer, RESPONSES, **settings), first)


def test_another_model_or_other_tokens_are_not_taken_from_it(llama, tokenizer, tmp_path):
    other = tiny_llama(rope_parameters={"rope_type": "default", "rope_theta": 100.0})
    turned = RESPONSES[::-1]
    for model, responses in ((llama, RESPONSES), (other, RESPONSES), (llama, turned)):
        found = reference_log_probs(model, tokenizer, responses, cache=tmp_path)
        expected = token_log_probs(model, responses).detach()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert len(list(tmp_path.iterdir())) == 3


def test_after_a_kill_the_finished_pieces_are_found(llama, tokenizer, tmp_path):
    settings = {"cache": tmp_path, "piece": 2}
    done = []

    def stop(finished, of):
        done.append((finished, of))
        if finished == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference_log_probs(llama, tokenizer, RESPONSES, progress=stop, **settings)
    assert done == [(2, 10), (4, 10), (6, 10)]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    assert len(written) == 3
    found = reference_log_probs(llama, tokenizer, RESPONSES, **settings)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(list(tmp_path.glob("*/*"))) == 5
    assert torch.equal(found, reference_log_probs(llama, tokenizer, RESPONSES, piece=2))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def _nonsense(path):
    path.write_bytes(b"not an archive")


def _changed(path):
    with np.load(path) as kept:
        np.savez(path, values=kept["values"] - 1, digest=kept["digest"])


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_truncate, _nonsense, _changed, _empty])
def test_a_spoiled_file_is_one_sentence(llama, tokenizer, tmp_path, spoil):
    reference_log_probs(llama, tokenizer, RESPONSES, cache=tmp_path, piece=4)
    path = sorted(tmp_path.glob("*/*"))[1]
    spoil(path)
    with pytest.raises(InputError, match=r"000000004\.npz cannot be read .*: delete it and rerun"):
        reference_log_probs(llama, tokenizer, RESPONSES, cache=tmp_path, piece=4)
    path.unlink()
    reference_log_probs(llama, tokenizer, RESPONSES, cache=tmp_path, piece=4)


def test_a_folder_that_cannot_be_made(llama, tokenizer, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        reference_log_probs(llama, tokenizer, RESPONSES, cache=tmp_path / "file")


def test_without_dropout_and_the_mode_put_back(tokenizer):
    model = tiny_llama(attention_dropout=0.5).train()
    model.lm_head.eval()
    one, two = (reference_log_probs(model, tokenizer, RESPONSES) for _ in range(2))
    assert torch.equal(one, two)
    assert model.model.training
    assert not model.lm_head.training


def test_bad_responses_are_refused_before_anything_runs(llama, tokenizer, tmp_path):
    responses = encode(tokenizer, "a", [[3, 4], [99]])
    with pytest.raises(InputError, match="token id 99"):
        reference_log_probs(llama, tokenizer, responses, cache=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="batch is 0"):
        reference_log_probs(llama, tokenizer, RESPONSES, batch=0)
