"""``python -m prefdyn.llm.little.train``: make the shipped language model from nothing.

The same seed and thread count give the same bits on the same machine and versions.
"""

import hashlib
import json
import math
import platform
import time
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from prefdyn.llm.little import folder
from prefdyn.llm.little._card import card
from prefdyn.llm.little._text import make_tokenizer, rows
from prefdyn.llm.little.grammar import documents

HELD_OUT = 1
"""Added to the seed of the text for documents that the model is not trained on."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train the small language model that ships with prefdyn."""

    out: Path | None = None
    """Folder to write; the package's own by default."""
    steps: int = 1000
    """Optimiser steps."""
    batch: int = 8
    """Rows of text per step."""
    length: int = 256
    """Tokens per row, and the context of the model."""
    rate: float = 3e-3
    """Highest learning rate; warmed up over 5 % of the steps, then a half cosine to zero."""
    vocabulary: int = 768
    """Tokens of the tokenizer."""
    texts: int = 20000
    """Documents that the tokenizer is trained on."""
    hidden: int = 96
    """Width of the model."""
    layers: int = 4
    """Its blocks."""
    held_out: int = 64
    """Rows of held-out text."""
    every: int = 50
    """Steps between measurements on held-out text."""
    seed: int = 20260
    """Seed of the text and of the first weights."""
    threads: int = 1
    """Threads of the arithmetic; part of what fixes the bits."""


def main(settings: Train) -> dict[str, Any]:
    """Train, and write the model's folder.

    Returns
    -------
    dict
        What ``training.json`` holds: settings, curve, perplexities, versions, hashes.
    """
    out = settings.out or folder()
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        tokenizer = make_tokenizer(
            settings.vocabulary, settings.texts, settings.seed, settings.length
        )
        model, curve = fit(settings, tokenizer)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
        facts = {
            "settings": {k: v for k, v in asdict(settings).items() if k != "out"},
            "parameters": sum(p.numel() for p in model.parameters()),
            "curve": curve,
            "perplexity": curve[-1]["held_out_perplexity"],
            "unigram_perplexity": unigram_perplexity(settings, tokenizer),
            "weights_sha256": sha256((out / "model.safetensors").read_bytes()),
            "text_sha256": text_hash(settings.seed),
            "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")}
            | {"python": platform.python_version(), "machine": platform.machine()},
        }
        (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
        (out / "README.md").write_text(card(facts, model, tokenizer))
    finally:
        torch.set_num_threads(threads)
    return facts


def fit(settings: Train, tokenizer: Any) -> tuple[Any, list[dict[str, float]]]:
    """Train a new model by AdamW on rows of fresh text, in one pass.

    Returns
    -------
    model
        In evaluation mode.
    curve : list of dict
        ``step``, ``loss`` (nat per token, mean since the last line), ``held_out_perplexity``.
    """
    model = new_model(settings, tokenizer).train()
    # Biases there are none; the norms' gains are kept from decay, as is customary.
    gains = [p for p in model.parameters() if p.ndim < 2]
    weights = [p for p in model.parameters() if p.ndim >= 2]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))
    warm = max(1, settings.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            min(1.0, (step + 1) / warm)
            * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
            / 2
        ),
    )
    text = rows(tokenizer, settings.seed, settings.length)
    held_out = held_out_rows(settings, tokenizer)
    curve, losses, begun = [], [], time.perf_counter()
    for step in range(1, settings.steps + 1):
        tokens = torch.tensor(list(islice(text, settings.batch)))
        loss = model(input_ids=tokens, labels=tokens).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % settings.every == 0 or step == settings.steps:
            line = {
                "step": step,
                "loss": sum(losses) / len(losses),
                "held_out_perplexity": perplexity(model, held_out),
            }
            curve.append(line)
            losses = []
            print(
                f"step {step:5d}  loss {line['loss']:.4f}  held-out perplexity "
                f"{line['held_out_perplexity']:.4f}  {time.perf_counter() - begun:.0f} s",
                flush=True,
            )
    return model.eval(), curve


def new_model(settings: Train, tokenizer: Any) -> Any:
    """Give an untrained Llama with grouped queries and a head tied to the embedding."""
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = settings.hidden // 16
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        intermediate_size=settings.hidden * 8 // 3,
        max_position_embeddings=settings.length,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return LlamaForCausalLM(config)


def held_out_rows(settings: Train, tokenizer: Any) -> torch.Tensor:
    """Give rows of text that training does not see, (held_out, length)."""
    text = rows(tokenizer, settings.seed + HELD_OUT, settings.length)
    return torch.tensor(list(islice(text, settings.held_out)))


@torch.no_grad()
def perplexity(model: Any, tokens: torch.Tensor) -> float:
    """Perplexity per token of rows (n, length), each row's first token given."""
    training = model.training
    model.eval()
    losses = [model(input_ids=row[None], labels=row[None]).loss.item() for row in tokens]
    model.train(training)
    return math.exp(sum(losses) / len(losses))


def unigram_perplexity(settings: Train, tokenizer: Any) -> float:
    """Perplexity of held-out text under the token frequencies of training text, plus one."""
    text = rows(tokenizer, settings.seed, settings.length)
    seen = Counter(token for row in islice(text, 16 * settings.held_out) for token in row)
    total = seen.total() + len(tokenizer)
    tokens = held_out_rows(settings, tokenizer)[:, 1:].flatten().tolist()
    return math.exp(-sum(math.log((seen[token] + 1) / total) for token in tokens) / len(tokens))


def text_hash(seed: int) -> str:
    """SHA-256 of the first 1000 documents: what freezes the grammar."""
    return sha256("\n".join(islice(documents(seed), 1000)).encode())


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Train))
