"""The tokenizer of the shipped model, and documents as rows of its tokens."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from prefdyn.llm.little.grammar import BEGIN, END, PAD, documents

CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ 'A: ' + message['content'] + eos_token }}"
    "{% else %}{{ 'Q: ' + message['content'] + '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'A:' }}{% endif %}"
)
"""Chat template: questions and answers as the grammar writes them."""


def make_tokenizer(vocabulary: int, texts: int, seed: int, context: int) -> Any:
    """Train a byte-level BPE tokenizer on documents of the grammar.

    Parameters
    ----------
    vocabulary
        Most tokens, the 256 bytes and the special tokens included.
    texts
        Number of documents to train on.
    seed
        Seed of the documents.
    context
        Most tokens that the model reads.

    Returns
    -------
    PreTrainedTokenizerFast
        Begins every text with the BOS token; has a chat template.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # What stands between special tokens is what the tokenizer will see: END is no text.
    parts = (part for text in islice(documents(seed), texts) for part in text.split(END))
    tokenizer.train_from_iterator(parts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A",
        pair=f"{BEGIN} $A {BEGIN} $B",
        special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT,
    )


def rows(tokenizer: Any, seed: int, length: int) -> Iterator[list[int]]:
    """Give rows of ``length`` tokens: whole documents one after another, the last one cut.

    Every row starts with a document, since that is how the model will be asked to start.
    """
    row: list[int] = []
    for text in documents(seed):
        row += tokenizer(text)["input_ids"]
        if len(row) >= length:
            yield row[:length]
            row = []
