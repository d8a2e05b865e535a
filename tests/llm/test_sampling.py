"""What a model writes itself."""

import numpy as np
import pytest
import torch

from prefdyn import InputError, llm


def test_greedy_is_what_generate_finds(llama, tokenizer):
    prompt = tokenizer("once upon")["input_ids"]
    ids = torch.tensor([prompt])
    by_transformers = llama.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=10
    )
    (ours,) = llm.greedy(llama, tokenizer, "once upon", 10).tokens
    assert list(ours) == by_transformers[0, len(prompt) :].tolist()


def test_the_same_seed_gives_the_same_distinct_responses(llama, tokenizer):
    drawn = llm.continuations(llama, tokenizer, "once", 12, length=5, seed=3)
    again = llm.continuations(llama, tokenizer, "once", 12, length=5, seed=3)
    other = llm.continuations(llama, tokenizer, "once", 12, length=5, seed=4)
    assert drawn.tokens == again.tokens != other.tokens
    assert len(set(drawn.tokens)) == len(drawn) == 12
    assert drawn.tokens[0] == llm.greedy(llama, tokenizer, "once", 5).tokens[0]
    assert set(drawn.prompt_tokens) == {tuple(tokenizer("once")["input_ids"])}


def test_no_response_begins_another_so_their_mass_is_at_most_one(llama, tokenizer):
    drawn = llm.continuations(llama, tokenizer, "a", 150, length=2, greedy_first=False)
    starts = [one[: len(other)] == other for one in drawn.tokens for other in drawn.tokens]
    assert sum(starts) == len(drawn)
    assert 0.4 < llm.log_probs(llama, drawn).exp().sum() <= 1
    short = [tokens for tokens in drawn.tokens if len(tokens) < 2]
    assert short == [(2,)]


@pytest.mark.slow
def test_draws_follow_the_model(llama, tokenizer):
    """The first of many draws of one token is distributed as the model says."""
    firsts = [
        llm.continuations(llama, tokenizer, "b", 1, length=1, seed=s, greedy_first=False)
        for s in range(400)
    ]
    counts = np.bincount([r.tokens[0][0] for r in firsts], minlength=34)
    every = llm.encode(tokenizer, "b", [[token] for token in range(34)])
    expected = 400 * llm.log_probs(llama, every).exp().detach().numpy()
    spread = np.sqrt(expected)
    assert np.all(np.abs(counts - expected) < 4.5 * spread + 1)


def test_a_low_temperature_keeps_to_the_greedy_answer_and_says_so(llama, tokenizer):
    with pytest.raises(InputError, match="only 1 different responses in 300 draws, not 3"):
        llm.continuations(llama, tokenizer, "once", 3, length=4, temperature=1e-3)


def test_dropout_is_off_while_sampling_and_the_mode_comes_back(tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=34, n_embd=16, n_layer=1, n_head=2, n_positions=32, initializer_range=0.3
    )
    model = GPT2LMHeadModel(config).train()
    model.transformer.ln_f.eval()
    one, two = (llm.greedy(model, tokenizer, "once", 12).tokens for _ in range(2))
    assert one == two
    assert model.training
    assert not model.transformer.ln_f.training


def test_what_does_not_fit_is_refused(llama, tokenizer):
    with pytest.raises(InputError, match="context holds 64"):
        llm.greedy(llama, tokenizer, "once", 61)
    with pytest.raises(InputError, match="prompt has no token"):
        llm.greedy(llama, tokenizer, "", 4)
    with pytest.raises(InputError, match="number is 0"):
        llm.continuations(llama, tokenizer, "once", 0)
