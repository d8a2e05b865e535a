"""The card of the shipped model: its README.md, written by the training script."""

from typing import Any

import torch

from prefdyn.llm.little.grammar import ANSWERS

PROMPTS = ("", "Once upon a time", "Tom went to the park", "One day, Anna", "Q: Is")
QUESTIONS = (
    "Q: Is ice hot?\nA:",
    "Q: Is the sun bright?\nA:",
    "Q: Does a fish ever fly?\nA:",
    "Q: Can you help me?\nA:",
    "Q: Do you like soup?\nA:",
)

TEXT = """\
---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
---

# The small language model of prefdyn

A Llama of {parameters:,} parameters ({layers} blocks of width {hidden}, grouped queries, head tied
to the embedding, context {length}, vocabulary {vocabulary}) on which prefdyn's predictions are
tested offline. It is not meant for anything else.

**Data.** Documents that a grammar of our own writes (`prefdyn/llm/little/grammar.py`): short
stories, true statements about things and words, and questions with answers, where several answer
words ("No", "Never", "Nope") are right for the same question with different frequencies. No text
written by anybody else is in it. Training saw {tokens:,} tokens in one pass.

**Tokenizer.** Byte-level BPE trained on the same grammar; `<s>` begins a text, `</s>` ends it. The
chat template writes a user's message as `Q: …` and the assistant's as `A: …`.

**Training.** `python -m prefdyn.llm.little.train`: AdamW, learning rate {rate} (5 % warm-up, half
cosine), weight decay 0.1, {batch} rows of {length} tokens per step, {steps} steps, seed {seed},
{threads} thread; eight minutes on one core of a busy machine, and the same bits
again on the same machine and versions ({versions}).
Grammar and weights were frozen before the first experiment was run on them.

**Held-out perplexity** per token: **{perplexity:.3f}** on {held_out} rows of {length} tokens of
fresh text of the same grammar (a different seed; short documents can repeat). Token frequencies
alone give {unigram_perplexity:.1f}.

| step | training loss (nat) | held-out perplexity |
|---:|---:|---:|
{curve}

**Answer words** and the probability the model gives them:

| question | answers |
|---|---|
{answers}

**Samples** (temperature 1, what follows the prompt in bold):

{samples}

**Limits.** It knows a few hundred words and nothing of the world beyond twenty things and ten
animals; about one answer in ten is wrong, since the grammar's are; stories forget their thread.
Results on it say how well the theory predicts training, not what large models do.

SHA-256 of `model.safetensors`: `{weights_sha256}`. Licence: MIT.
"""


def card(facts: dict[str, Any], model: Any, tokenizer: Any) -> str:
    """Write the card.

    Parameters
    ----------
    facts
        What ``training.json`` holds.
    model, tokenizer
        The trained model, for samples and answers.
    """
    settings = facts["settings"]
    last = len(facts["curve"]) - 1
    chosen = [line for i, line in enumerate(facts["curve"]) if i % 3 == 2 or i in (0, 1, last)]
    curve = "\n".join(
        f"| {line['step']} | {line['loss']:.3f} | {line['held_out_perplexity']:.3f} |"
        for line in chosen
    )
    return TEXT.format_map(
        settings
        | facts
        | {
            "curve": curve,
            "tokens": settings["steps"] * settings["batch"] * settings["length"],
            "versions": ", ".join(f"{name} {n}" for name, n in facts["versions"].items()),
            "answers": "\n".join(_answers(model, tokenizer, asked) for asked in QUESTIONS),
            "samples": "\n\n".join(_sample(model, tokenizer, *both) for both in enumerate(PROMPTS)),
        }
    )


@torch.no_grad()
def _answers(model: Any, tokenizer: Any, asked: str) -> str:
    """Give a row of the table: the likeliest single-token answers to a question."""
    tokens = tokenizer(asked, return_tensors="pt")["input_ids"]
    p = model(input_ids=tokens).logits[0, -1].softmax(-1)
    words = dict.fromkeys(word for family in ANSWERS.values() for word in family)
    shares = {w: p[tokenizer(" " + w, add_special_tokens=False)["input_ids"][0]] for w in words}
    best = sorted(shares, key=lambda word: -float(shares[word]))[:6]
    line = ", ".join(f"{word} {float(shares[word]):.2f}" for word in best)
    return f"| {asked.splitlines()[0][3:]} | {line} |"


@torch.no_grad()
def _sample(model: Any, tokenizer: Any, seed: int, prompt: str) -> str:
    tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=True,
            top_k=0,
            max_new_tokens=min(80, model.config.max_position_embeddings - tokens.shape[1]),
        )
    text = tokenizer.decode(drawn[0], skip_special_tokens=True)[len(prompt) :]
    head = f"**{prompt}**" if prompt else ""
    return "> " + (head + text).strip().replace("\n", " / ")
