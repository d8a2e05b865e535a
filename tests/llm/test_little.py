import json
import math
from itertools import islice

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefdyn import llm
from prefdyn.llm.little import _words as words
from prefdyn.llm.little import folder, grammar, train
from prefdyn.llm.little._text import rows

WORDS = [word for family in grammar.ANSWERS.values() for word in family if " " not in word]


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(folder())


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(folder())


@pytest.fixture(scope="module")
def facts():
    return json.loads((folder() / "training.json").read_text())


def test_the_same_seed_writes_the_same_text_and_another_seed_another():
    one, two, other = (list(islice(grammar.documents(seed), 50)) for seed in (3, 3, 4))
    assert one == two != other


def test_every_template_can_be_filled():
    symbols = set(words.TEMPLATES)
    used = set()
    for templates in words.TEMPLATES.values():
        for template in templates:
            used |= {part.split("]")[0] for part in template.split("[")[1:]}
    assert used <= symbols
    assert symbols - used == {"story", "please"}  # where the expansion begins
    text = " ".join(islice(grammar.documents(0), 3000))
    assert not set("[]{}") & set(text)


def test_words_agree_with_each_other():
    assert all(words.OPPOSITES[words.OPPOSITES[word]] == word for word in words.OPPOSITES)
    assert set(words.SYNONYMS) <= set(words.OPPOSITES)
    assert {q for qualities in words.QUALITIES.values() for q in qualities} <= set(words.OPPOSITES)
    assert {a for abilities in words.ABILITIES.values() for a in abilities} <= set(words.VERBS)


def test_answers_depend_on_the_question_and_vary():
    rng = np.random.default_rng(0)
    talks = [grammar.question(rng) for _ in range(8000)]
    answers = [answer for asked, answer in talks if asked in ("Is ice cold?", "Is fire hot?")]
    family = list(grammar.ANSWERS["yes"])
    right = [answer for answer in answers if answer.split(",")[0] in family]
    assert len(answers) > 50
    assert 0.7 < len(right) / len(answers) < 0.95
    assert {answer.split(",")[0] for answer in right} == set(family)


def test_the_grammar_is_the_one_that_the_model_learnt(facts):
    assert train.text_hash(facts["settings"]["seed"]) == facts["text_sha256"]


def test_the_weights_are_the_ones_on_the_card(facts):
    weights = train.sha256((folder() / "model.safetensors").read_bytes())
    assert weights == facts["weights_sha256"]
    assert weights in (folder() / "README.md").read_text()


def test_the_package_stays_small_and_the_model_is_as_large_as_stated(model, facts):
    assert sum(file.stat().st_size for file in folder().iterdir()) <= 8_000_000
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == facts["parameters"]
    assert 300_000 <= parameters <= 500_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_perplexity_on_fresh_text_is_the_one_on_the_card(model, tokenizer, facts):
    settings = facts["settings"]
    fresh = rows(tokenizer, settings["seed"] + 17, settings["length"])
    measured = train.perplexity(model, torch.tensor(list(islice(fresh, 24))))
    # The mean of 24 rows, each of which varies by some 6 % (0.06 nat per token), against that of
    # 64 others: 0.06 sqrt(1/24 + 1/64) = 0.014 nat, four times which is far from the next model.
    assert math.log(measured) == pytest.approx(math.log(facts["perplexity"]), abs=0.06)
    assert measured < facts["unigram_perplexity"] / 20
    assert f"{facts['perplexity']:.3f}" in (folder() / "README.md").read_text()


def test_answer_words_are_single_tokens(tokenizer):
    responses = llm.encode(tokenizer, "Q: Is ice hot?\nA:", [f" {w}" for w in WORDS], eos=False)
    assert responses.lengths.tolist() == [1] * len(WORDS)


def test_several_answers_are_likely_and_then_the_answer_ends(model, tokenizer):
    prompt = "Q: Is ice hot?\nA:"
    responses = llm.encode(tokenizer, prompt, [f" {w}" for w in WORDS])
    with torch.no_grad():
        first, end = llm.token_log_probs(model, responses).exp()[:, :2].T
    likely = {word for word, p in zip(WORDS, first, strict=True) if p > 0.02}
    assert {"No", "Never", "Nope", "Yes"} <= likely
    assert first[WORDS.index("No")] > first[WORDS.index("Yes")]
    assert (end[first > 0.02] > 0.5).all()


def test_the_chat_template_is_the_form_of_the_text(tokenizer):
    question = [{"role": "user", "content": "Is ice hot?"}]
    asked = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    answered = tokenizer.apply_chat_template(
        [*question, {"role": "assistant", "content": "No"}], tokenize=False
    )
    assert asked == "<s>Q: Is ice hot?\nA:"
    assert answered == asked + " No</s>"


@pytest.mark.slow
def test_training_twice_gives_the_same_bits(tmp_path, capsys):
    small = {"steps": 3, "batch": 2, "length": 64, "vocabulary": 300, "texts": 40}
    small |= {"hidden": 16, "layers": 1, "held_out": 2, "every": 2}
    threads = torch.get_num_threads()
    facts = [train.main(train.Train(out=tmp_path / name, **small)) for name in "ab"]
    assert torch.get_num_threads() == threads
    assert facts[0] == facts[1]
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
    assert [line["step"] for line in facts[0]["curve"]] == [2, 3]
    assert "step     2" in capsys.readouterr().out
    other = train.main(train.Train(out=tmp_path / "c", **small | {"seed": 1}))
    assert other["weights_sha256"] != facts[0]["weights_sha256"]
