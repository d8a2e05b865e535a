import re

import pytest

from prefdyn import InputError, claims
from prefdyn.claims import ORIGINS, Claim


def test_ids_are_distinct_and_found():
    ids = [claim.id for claim in claims.all()]
    assert len(set(ids)) == len(ids)
    for claim in claims.all():
        assert claims.get(claim.id.lower()) is claim


@pytest.mark.parametrize("claim", claims.all(), ids=lambda claim: claim.id)
def test_a_claim_is_complete(claim):
    assert re.fullmatch(r"[A-Z]+-\d+", claim.id)
    assert len(claim.title) < 80
    assert not claim.title.endswith(".")
    assert claim.statement.endswith(".")
    assert "arXiv" in claim.source
    assert set(claim.origins) <= set(ORIGINS)


def test_the_core_claims_are_all_there():
    wanted = {
        *(f"IPO-{n}" for n in range(1, 10)),
        *(f"MRS-{n}" for n in range(1, 18)),
        *(f"RND-{n}" for n in range(1, 5)),
        *(f"DPO-{n}" for n in range(1, 11)),
        *(f"NS-{n}" for n in range(1, 7)),
    }
    assert {claim.id for claim in claims.all()} >= wanted


@pytest.mark.parametrize(("asked", "suggested"), [("IPO-11", "IPO-1"), ("drs-5", "MRS-5")])
def test_an_unknown_id_suggests_the_nearest(asked, suggested):
    with pytest.raises(InputError, match=rf"{asked!r} is not known: did you mean .*{suggested}"):
        claims.get(asked)


def test_an_id_like_no_other_is_not_answered_with_all_of_them():
    with pytest.raises(InputError, match="'nonsense' is not known") as caught:
        claims.get("nonsense")
    assert str(caught.value).count(",") == 2


def test_an_unknown_origin_is_refused():
    with pytest.raises(InputError, match="hearsay"):
        Claim("X-1", "title", "statement.", "arXiv", "paper: one half; hearsay: the other")
