"""Preference records from files, and their token ids."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from prefdyn import InputError, llm

TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] + ' ' + m.content + (eos_token if m.role == 'assistant' "
    "else '.') }}{% endfor %}{% if add_generation_prompt %}a {% endif %}"
)
PLAIN = [
    {"prompt": "the sky is ", "chosen": "blue", "rejected": "green."},
    {"prompt": "a cat", "chosen": " sat</s>", "rejected": " ran"},
]
IMPLICIT = [
    {"chosen": "the sky is blue", "rejected": "the sky is green"},
    {"chosen": "one two", "rejected": "one ten"},
    {"chosen": "ab", "rejected": "abc"},
]


def says(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


SKY = says("user", "what is up?")
CHAT = [
    {
        "prompt": [SKY],
        "chosen": [says("assistant", "sky")],
        "rejected": [says("assistant", "sea")],
    },
    {
        "prompt": [SKY, says("assistant", "sky"), says("user", "so?")],
        "chosen": [says("assistant", "it is")],
        "rejected": [says("assistant", "no")],
    },
]
IMPLICIT_CHAT = [
    {
        "chosen": [SKY, says("assistant", "sky")],
        "rejected": [SKY, says("assistant", "sea")],
    },
]


@pytest.fixture
def chatty(tokenizer):
    chatty = copy.deepcopy(tokenizer)
    chatty.chat_template = TEMPLATE
    return chatty


def write(folder: Path, lines: list) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "folder"])
@pytest.mark.parametrize("examples", [PLAIN, IMPLICIT, CHAT, IMPLICIT_CHAT])
def test_every_kind_of_file_gives_the_same_pairs(tmp_path, kind, examples):
    path = write(tmp_path, examples)
    expected = [(*pair, pair.line) for pair in llm.read_pairs(path)]
    assert [line for *_, line in expected] == list(range(1, len(examples) + 1))
    if kind == "json":
        path = tmp_path / "pairs.json"
        path.write_text(json.dumps(examples))
    if kind == "parquet":
        path = tmp_path / "pairs.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(examples), path)
    source = f"{tmp_path}:train" if kind == "folder" else path
    assert [(*pair, pair.line) for pair in llm.read_pairs(source)] == expected


def test_the_prompt_is_what_chosen_and_rejected_share(tmp_path):
    sky, one, shorter = llm.read_pairs(write(tmp_path, IMPLICIT))
    assert tuple(sky) == ("the sky is", " blue", " green")
    assert tuple(one) == ("one t", "wo", "en")
    assert tuple(shorter) == ("a", "b", "bc")
    (chat,) = llm.read_pairs(write(tmp_path, IMPLICIT_CHAT))
    assert chat.prompt == [SKY]
    assert chat.chosen == [says("assistant", "sky")]


def test_nothing_in_common_is_an_empty_prompt(tmp_path, tokenizer):
    path = write(tmp_path, [{"chosen": "x ", "rejected": "y"}])
    (pair,) = llm.read_pairs(path)
    assert tuple(pair) == ("", "x ", "y")
    with pytest.raises(InputError, match="Line 1: the prompt has no token"):
        next(llm.encode_pairs(tokenizer, [pair]))


def test_token_ids_are_taken_as_they_are(tmp_path, tokenizer):
    record = {"prompt_ids": [5, 6], "chosen_ids": [7], "rejected_ids": [8, 2]}
    (pair,) = llm.encode_pairs(tokenizer, llm.read_pairs(write(tmp_path, [record])))
    assert tuple(pair) == ((5, 6), (7,), (8, 2))


def test_plain_texts_end_with_the_end_of_sequence_token(tmp_path, tokenizer):
    sky, cat = llm.encode_pairs(tokenizer, llm.read_pairs(write(tmp_path, PLAIN)))
    assert tokenizer.decode(sky.prompt) == "t h e   s k y   i s  "
    assert tokenizer.convert_ids_to_tokens(list(sky.chosen)) == [*"blue", "</s>"]
    assert tokenizer.convert_ids_to_tokens(list(cat.chosen)) == [*" sat", "</s>"]
    assert tokenizer.convert_ids_to_tokens(list(cat.rejected)) == [*" ran", "</s>"]


def test_long_completions_are_cut_at_their_end(tmp_path, tokenizer):
    pairs = list(llm.encode_pairs(tokenizer, llm.read_pairs(write(tmp_path, PLAIN)), 14))
    assert [len(p.prompt) + len(p.rejected) for p in pairs] == [14, 10]
    whole = list(llm.encode_pairs(tokenizer, llm.read_pairs(write(tmp_path, PLAIN))))
    assert pairs[0].rejected == whole[0].rejected[:3]


def test_ids_are_those_of_trl(tmp_path, chatty):
    """Our reading against what TRL's DPO trainer makes of the same records."""
    trl = pytest.importorskip("trl.trainer.dpo_trainer", exc_type=ImportError)
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar

    class Trainer:
        _tokenizer = chatty

    disable_progress_bar()
    for examples in (PLAIN, IMPLICIT, CHAT, IMPLICIT_CHAT):
        settings = SimpleNamespace(dataset_num_proc=None, max_length=None)
        theirs = trl.DPOTrainer._prepare_dataset(
            Trainer(), Dataset.from_list(examples), chatty, settings, "train"
        )
        ours = llm.encode_pairs(chatty, llm.read_pairs(write(tmp_path, examples)))
        for pair, row in zip(ours, theirs, strict=True):
            assert list(pair.prompt) == row["prompt_ids"]
            assert list(pair.chosen) == row["chosen_ids"]
            assert list(pair.rejected) == row["rejected_ids"]
    enable_progress_bar()


BAD = {
    "not JSON": ('{"prompt": "a"', "Line 2: not JSON"),
    "missing field": ({"prompt": "a", "chosen": "b"}, "Line 2: there is no field 'rejected'"),
    "chosen equals rejected": (
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        "Line 2: chosen and rejected are the same",
    ),
    "empty completion": (
        {"prompt": "a", "chosen": "", "rejected": "b"},
        "Line 2: chosen is empty",
    ),
    "wrong type": ({"prompt": "a", "chosen": 3, "rejected": "b"}, "Line 2: prompt, chosen and"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_is_refused_by_its_line_or_skipped_and_counted(tmp_path, reason):
    record, message = BAD[reason]
    path = write(tmp_path, [PLAIN[0], record, PLAIN[1]])
    with pytest.raises(InputError, match=message):
        list(llm.read_pairs(path))
    reader = llm.read_pairs(path, skip_bad=True)
    assert [pair.line for pair in reader] == [1, 3]
    assert reader.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1, 2], "a record is an object with fields, not a list"),
        ({"prompt": [SKY], "chosen": "x", "rejected": "y"}, "all be texts, or all lists"),
        ({"prompt": [SKY], "chosen": [{"content": "x"}], "rejected": [SKY]}, "role and content"),
        ({"prompt": [SKY], "chosen": [], "rejected": [SKY]}, "chosen is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "tools": "{"}, "tools is not JSON"),
        ({"prompt_ids": "ab", "chosen_ids": [1], "rejected_ids": [2]}, "a list of token ids"),
        ({"chosen": "same", "rejected": "same"}, "are the same"),
    ],
)
def test_what_else_is_wrong_with_a_record(tmp_path, record, message):
    with pytest.raises(InputError, match=f"Line 1: .*{message}"):
        list(llm.read_pairs(write(tmp_path, [record])))


def test_what_only_the_tokens_show(tmp_path, tokenizer, chatty):
    path = write(tmp_path, [PLAIN[0], CHAT[0], PLAIN[1], {**PLAIN[0], "prompt": "x" * 30}])
    with pytest.raises(InputError, match="Line 2: the record has messages, but the tokenizer has"):
        list(llm.encode_pairs(tokenizer, llm.read_pairs(path)))
    reader = llm.encode_pairs(tokenizer, llm.read_pairs(path), 20, skip_bad=True)
    assert [pair.line for pair in reader] == [1, 3]
    assert reader.skipped == {"no chat template": 1, "prompt too long": 1}
    chatty.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match=r"Line 2: the chat template .* \(roles must alternate\)"):
        list(llm.encode_pairs(chatty, llm.read_pairs(path)))


def test_what_reading_and_encoding_skip_is_one_count(tmp_path, tokenizer):
    path = write(tmp_path, ["{", PLAIN[0], CHAT[0]])
    reader = llm.encode_pairs(tokenizer, llm.read_pairs(path, skip_bad=True), skip_bad=True)
    assert len(list(reader)) == 1
    assert reader.skipped == {"not JSON": 1, "no chat template": 1}


def test_a_tokenizer_without_end_of_sequence_is_refused(tmp_path, tokenizer):
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    reader = llm.encode_pairs(endless, llm.read_pairs(write(tmp_path, PLAIN)), skip_bad=True)
    with pytest.raises(InputError, match="no end-of-sequence token"):
        next(reader)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"There is no file .*none\.jsonl"):
        llm.read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"There is no file none\.parquet"):
        llm.read_pairs("none.parquet")
    text = tmp_path / "pairs.txt"
    text.write_text("x")
    with pytest.raises(InputError, match=r"not a .jsonl, .json or .parquet file"):
        llm.read_pairs(text)
    path = tmp_path / "pairs.json"
    path.write_text("[{")
    with pytest.raises(InputError, match=r"pairs\.json is not JSON"):
        list(llm.read_pairs(path))
    whole = tmp_path / "pairs.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(PLAIN), whole)
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read as Parquet after row 0"):
        list(llm.read_pairs(whole))
    with pytest.raises(InputError, match="nobody/nothing"):
        list(llm.read_pairs("nobody/nothing"))


def test_a_long_file_is_read_as_a_stream(tmp_path):
    """The first pair is there before the file is read: its end is not even valid."""
    path = write(tmp_path, [*PLAIN * 20000, "{"])
    reader = llm.read_pairs(path)
    assert next(reader).line == 1
    assert next(reader).line == 2


def test_pairs_become_responses(tmp_path, tokenizer, llama):
    encoded = list(llm.encode_pairs(tokenizer, llm.read_pairs(write(tmp_path, PLAIN))))
    responses, pairs = llm.paired_responses(encoded)
    assert pairs.tolist() == [[0, 1], [2, 3]]
    assert responses.tokens[3] == encoded[1].rejected
    assert responses.prompts.tolist() == [0, 0, 1, 1]
    assert llm.log_probs(llama, responses).shape == (4,)
    with pytest.raises(InputError, match="There is no pair"):
        llm.paired_responses([])


def test_names_for_the_chat_template_must_be_an_object(tmp_path):
    for wrong in ("x", [1]):
        path = write(tmp_path, [PLAIN[0] | {"chat_template_kwargs": wrong}, PLAIN[1]])
        with pytest.raises(InputError, match="Line 1: chat_template_kwargs must be an object"):
            list(llm.read_pairs(path))
        reader = llm.read_pairs(path, skip_bad=True)
        assert len(list(reader)) == 1
        assert reader.skipped == {"wrong type": 1}


def test_half_a_surrogate_pair_is_no_text(tmp_path, tokenizer):
    path = write(tmp_path, [PLAIN[0], PLAIN[0] | {"rejected": "c\ud800"}])
    with pytest.raises(InputError, match="Line 2: there are characters that no text has"):
        list(llm.encode_pairs(tokenizer, llm.read_pairs(path)))
    reader = llm.encode_pairs(tokenizer, llm.read_pairs(path), skip_bad=True)
    assert len(list(reader)) == 1
    assert reader.skipped == {"not text": 1}
