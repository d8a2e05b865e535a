import pytest
from matplotlib.figure import Figure

from prefdyn.llm import load
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.validate import single_token
from prefdyn.llm.validate._run import _as_read
from tests.llm.conftest import tiny_llama


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_token, "SIZES", {"tiny": (1, 2, 1)})
        patch.setattr(single_token, "WATCHED", 12)
        yield


def run(lm):
    predicted = _as_read(single_token.predict(lm, "tiny", 0))
    return predicted, _as_read(single_token.measure(lm, predicted, "tiny", 0))


@pytest.fixture(scope="module")
def ran(tiny):
    return run(load())


def test_on_the_shipped_model_signs_are_right_and_no_over_never_is_drawn(ran):
    predicted, measured = ran
    records = single_token.records(*ran)
    signs = [record for record in records if "share of signs right, the" in record.quantity]
    assert [record.verdict for record in signs] == ["holds", "holds"]
    assert any("“No” over “Never”" in record.quantity for record in records)
    assert set(predicted["cases"][0]["pairs"][0]["runs"]) == set(single_token.ARMS)
    assert set(measured["cases"][0][0]["runs"]) == set(single_token.ARMS)
    assert isinstance(single_token.draw(predicted, measured), Figure)


def test_every_drawn_pair_is_listed_once(ran):
    pairs = ran[0]["cases"][0]["pairs"]
    listed = [r for r in single_token.records(*ran) if "change of the preferred" in r.quantity]
    assert len(listed) == len(pairs) >= 4
    assert len({(pair["chosen"], pair["rejected"]) for pair in pairs}) == len(pairs)
    for arm in list(single_token.ARMS)[1:6]:
        assert all(f"{arm} " in record.note for record in listed)


def test_named_pairs_stand_beside_the_published_tables(ran):
    published = [r for r in single_token.records(*ran) if "2410.08847" in r.note]
    assert len(published) == 2 * len(single_token.NAMED)
    assert {r.verdict for r in published} == {"reported"}


def test_a_model_without_the_words_uses_its_own_tokens(tiny, llama, tokenizer):
    predicted, measured = run(LanguageModel(llama, tokenizer))
    assert predicted["words"] == {}
    records = single_token.records(predicted, measured)
    left_out = [record.quantity for record in records if record.verdict == "not_run"]
    assert "No over Never" in left_out
    head = next(record for record in records if "head trained alone" in record.quantity)
    assert head.verdict == "holds"


def test_a_wrong_prediction_fails(ran):
    predicted, measured = _as_read(ran)
    for pair in predicted["cases"][0]["pairs"]:
        for arm in pair["runs"].values():
            arm["change"] = [-value for value in arm["change"]]
        pair["one_layer"]["chosen_rises_by"] *= 2
    verdicts = [record.verdict for record in single_token.records(predicted, measured)]
    assert verdicts[:2] == ["fails", "fails"]
    assert verdicts.count("fails") == 3


def test_the_head_is_left_out_of_what_lies_below_it():
    tied, untied = tiny_llama(tie_word_embeddings=True), tiny_llama(tie_word_embeddings=False)
    below = single_token.below_head(tied)
    assert "model.norm.weight" in below
    assert "model.embed_tokens.weight" not in below
    below = single_token.below_head(untied)
    assert "model.embed_tokens.weight" in below
    assert "lm_head.weight" not in below
