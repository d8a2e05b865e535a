"""What is wrong is said in one sentence, with code 2, and no file is left."""

from pathlib import Path

import pytest
import tyro
from tyro import _fmtlib

from prefdyn.cli import main

RECIPE = ["--alpha", "0.5", "--lam", "1"]
UNSTABLE = ["rps:0.4", *RECIPE, "--beta", "0.15"]


BAD = [
    (["stability", "rps:0.4", "--alpha", "1.5", "--lam", "1", "--beta", "1"], "alpha is 1.5"),
    (["stability", "rps:0.4", "--alpha", "-1", "--lam", "1", "--beta", "1"], "alpha is -1"),
    (["stability", "rps:0.4", "--alpha", "nan", "--lam", "1"], "alpha"),
    (["stability", "rps:0.4", "--alpha", "0.5", "--lam", "2", "--beta", "1"], "lam is 2"),
    (["stability", "rps:0.4", *RECIPE, "--beta", "0"], "beta is 0"),
    (["stability", "rps:0.4", *RECIPE, "--beta", "-1"], "beta is -1"),
    (["stability", "rps:0.4", *RECIPE, "--beta", "inf"], "beta is inf"),
    (["stability", "rps:0.4", *RECIPE, "--objective", "dop"], "'dop'"),
    (["stability", "rps:0.4", *RECIPE, "--range", "0", "1"], "range is 0"),
    (["stability", "rps:0.4", *RECIPE, "--range", "2", "1"], "range (2, 1)"),
    (["stability", "rps:0.4", *RECIPE, "--seed", "-1"], "seed is -1"),
    (["stability", "rps:0.4", *RECIPE, "--far-starts", "0"], "far-starts is 0"),
    (["stability", "rps:0.4", *RECIPE, "--draws", "0"], "draws is 0"),
    (["stability", "rps:0.4", *RECIPE, "--beta", "1", "--per-prompt"], "not a vote file"),
    (["stability", "pandalm", *RECIPE, "--per-prompt"], "give a beta"),
    (
        ["stability", "pandalm", *RECIPE, "--beta", "1", "--per-prompt", "--range", "1", "2"],
        "range is about a single game",
    ),
    (["stability", "rsp:0.4", *RECIPE], "did you mean 'rps:A'"),
    (["stability", "nowhere.csv", *RECIPE], "nowhere.csv"),
    (["stability", "transitive.csv", *RECIPE, "--objective", "dpo"], "DPO"),
    (["orbit", *UNSTABLE, "--start", "0.5,0.5"], "3 responses"),
    (["orbit", *UNSTABLE, "--start", "0.5,x,0.5"], "'0.5,x,0.5'"),
    (["orbit", *UNSTABLE, "--start", "0.5,0.5,0.5"], "sums to 1.5"),
    (["orbit", *UNSTABLE, "--start", "1.5,-0.5,0"], "start[0] is 1.5"),
    (["orbit", *UNSTABLE, "--reference", "1,0,0"], "reference[1] is exactly 0"),
    (["orbit", *UNSTABLE, "--rounds", "-1"], "rounds is -1"),
    (["orbit", *UNSTABLE, "--votes", "0"], "votes is 0"),
    (["orbit", *UNSTABLE, "--kappa", "0"], "kappa is 0"),
    (["orbit", *UNSTABLE, "--plot", "run.doc"], "run.doc is not a picture"),
    (["orbit", *UNSTABLE, "--plot", "nowhere/run.png"], "nowhere/run.png: cannot be written"),
    (["orbit", *UNSTABLE, "--csv", "run.txt"], "run.txt is not a CSV"),
    (["orbit", "batch.json", *RECIPE, "--beta", "1"], "batch of games"),
    (["games", "bad.csv"], "bad.csv: P[0, 1] + P[1, 0] = 1.1"),
    (["games", "latin.csv"], "latin.csv line 1 is not UTF-8"),
    (["claims", "MRS-99"], "MRS-99"),
]


@pytest.mark.parametrize(("arguments", "cause"), BAD, ids=lambda value: " ".join(value)[:60])
def test_bad_input_is_one_sentence_and_code_two(tmp_path, monkeypatch, capsys, arguments, cause):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("0.5,0.7\n0.4,0.5\n")
    Path("latin.csv").write_bytes("über,b\n0.5,0.6\n0.4,0.5\n".encode("latin-1"))
    Path("transitive.csv").write_text("0.5,1,1\n0,0.5,1\n0,0,0.5\n")
    Path("batch.json").write_text("[[[0.5,0.6],[0.4,0.5]],[[0.5,0.6],[0.4,0.5]]]")
    before = set(tmp_path.iterdir())
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("prefdyn: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith((".\n", "?\n"))
    assert cause in printed.err
    assert set(tmp_path.iterdir()) == before


WORDS = [
    (
        ["stability", "rps:0.4"],
        "missing from prefdyn stability: --alpha SHARE, --lam SHARE; see prefdyn stability --help.",
    ),
    (
        ["orbit", "rps:0.4", *RECIPE, "--beta", "x"],
        "error parsing --beta: could not convert string to float: 'x'; see prefdyn orbit --help.",
    ),
    (
        ["orbit", *UNSTABLE, "--rond", "4"],
        "unrecognised options: --rond, 4; perhaps you meant: --rounds N; see prefdyn orbit --help.",
    ),
    (
        ["train", "--data", "x", "--rate", "1", "--out", "r", "--optimiser", "foo"],
        "invalid choice 'foo' for argument '--optimiser': expected one of ('adamw', 'adam', "
        "'rmsprop', 'sgd'); see prefdyn train --help.",
    ),
    (["claims", "MRS-1", "MRS-2"], "unrecognised options: MRS-2; see prefdyn claims --help."),
    (["stabilty"], "there is no command 'stabilty' (nearest: stability): choose from stability, "),
    (["--versoin"], "unrecognised options: --versoin; available subcommands: stability, "),
]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(("arguments", "sentence"), WORDS)
def test_words_that_cannot_be_parsed_are_one_sentence(
    capsys, monkeypatch, arguments, sentence, encoding
):
    monkeypatch.setitem(tyro._experimental_options, "utf8_boxes", encoding == "utf-8")
    monkeypatch.setattr(_fmtlib, "_FORCE_UTF8_BOXES", True)
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"prefdyn: {sentence}")
    assert printed.err.count("\n") == 1
