"""Prompts and responses as token ids."""

import copy

import pytest
from tokenizers import processors

from prefdyn import InputError, llm


def words(tokenizer, tokens) -> str:
    return "".join(tokenizer.convert_ids_to_tokens(list(tokens)))


def test_texts_end_with_the_end_of_sequence_token(tokenizer):
    responses = llm.encode(tokenizer, "once ", ["upon", "more"])
    assert [words(tokenizer, t) for t in responses.tokens] == ["upon</s>", "more</s>"]
    assert words(tokenizer, responses.prompt_tokens[0]) == "once "
    open_ended = llm.encode(tokenizer, "once ", ["upon"], eos=False)
    assert words(tokenizer, open_ended.tokens[0]) == "upon"
    assert llm.encode(tokenizer, "once ", ["upon</s>"]).tokens == responses.tokens[:1]


def test_token_ids_are_taken_as_they_are(tokenizer):
    responses = llm.encode(tokenizer, [5, 6], [[7], [8, 9]])
    assert responses.prompt_tokens == ((5, 6), (5, 6))
    assert responses.tokens == ((7,), (8, 9))


def test_a_prompt_for_each_response(tokenizer):
    responses = llm.encode(tokenizer, ["one", "two", "one"], ["a", "b", "c"])
    assert responses.prompts.tolist() == [0, 1, 0]
    assert llm.encode(tokenizer, [[5], [6]], ["a", "b"]).prompt_tokens == ((5,), (6,))


def test_special_tokens_of_the_tokenizer_stand_where_they_belong(tokenizer):
    """What it puts before a text begins the prompt; what it puts after is not doubled."""
    framed = copy.deepcopy(tokenizer)
    framed.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<pad> $A </s>", special_tokens=[("<pad>", 1), ("</s>", 2)]
    )
    responses = llm.encode(framed, "on", ["ce"])
    assert words(framed, responses.prompt_tokens[0]) == "<pad>on"
    assert words(framed, responses.tokens[0]) == "ce</s>"


def test_tokens_that_would_merge_across_the_seam_are_kept_apart(merging):
    """Where prompt + response is not prompt followed by something, each stands by itself."""
    assert merging("ab")["input_ids"] == [5]
    responses = llm.encode(merging, "a", ["b", "a"])
    assert responses.prompt_tokens == ((3,), (3,))
    assert responses.tokens == ((4, 2), (3, 2))


@pytest.fixture
def merging():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5}
    raw = Tokenizer(models.BPE(vocabulary, [("a", "b")], unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="<unk>")


def test_rows_are_responses_again(tokenizer):
    responses = llm.encode(tokenizer, "once", ["a", "bcd", "ef"], eos=False)
    assert responses.lengths.tolist() == [1, 3, 2]
    assert responses.mask.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    rows, columns = responses.places
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 1, 1, 2, 2], [0, 0, 1, 2, 0, 1])
    picked = responses[[2, 0]]
    assert picked.tokens == (responses.tokens[2], responses.tokens[0])
    assert len(responses[1]) == 1
    assert len(responses[:2]) == 2


@pytest.mark.parametrize(
    ("prompt", "responses", "message"),
    [
        ("once", [], "responses is empty or a single text"),
        ("once", "upon", "responses is empty or a single text"),
        ("once", ["upon", ""], "Response 1 is empty"),
        ("once", [[]], "Response 0 is empty"),
        ("", ["upon"], "The prompt has no token"),
        (["one", "two"], ["a", "b", "c"], "There are 2 prompts and 3 responses"),
    ],
)
def test_what_cannot_be_encoded(tokenizer, prompt, responses, message):
    with pytest.raises(InputError, match=message):
        llm.encode(tokenizer, prompt, responses)


def test_a_tokenizer_without_end_of_sequence(tokenizer):
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    with pytest.raises(InputError, match="has no end-of-sequence token: set"):
        llm.encode(endless, "once", ["upon"])
    assert len(llm.encode(endless, "once", ["upon"], eos=False)) == 1
    assert len(llm.encode(endless, "once", [[5, 6]])) == 1
