"""Claims: a few instances each in the fast tier, all of them in the slow one."""

import pytest

from analysis._harness import examine
from prefdyn import claims

IDS = [claim.id for claim in claims.all()]
LONG = {"DPO-1", "DPO-7", "KER-5", "LAB-3", "NS-4", "RND-3", "RUN-3", "SLIME-3", "SPO-8"}
"""One instance of these takes seconds: the slow tier and ``make reproduce`` check them."""


def complaints(result):
    return [
        (check["part"], check["note"], check["violations"], check["worst"])
        for check in result["checks"]
        if check["verdict"] == "fails"
    ]


@pytest.mark.parametrize("id", [id for id in IDS if id not in LONG])
def test_claim_on_a_few_instances(id):
    result = examine(id, seed=1, scale=0.02)
    assert result["verdict"] in {"holds", "reported"}, complaints(result)


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
def test_claim_in_full(id):
    result = examine(id, seed=2)
    assert result["verdict"] in {"holds", "reported"}, complaints(result)
