"""``prefdyn completion``: what bash offers, and scripts that zsh and fish can read."""

import re
import shlex
import subprocess

import pytest

from prefdyn.cli._commands import COMMANDS


@pytest.fixture(scope="module")
def scripts():
    """The scripts by shell."""
    from prefdyn.cli._completion import Completion

    return {shell: Completion(shell).answer()["script"] for shell in ("bash", "zsh", "fish")}


@pytest.fixture
def offered(scripts, tmp_path):
    """What bash offers for the last of some words."""
    (tmp_path / "prefdyn.bash").write_text(scripts["bash"])

    def offer(*words: str) -> list[str]:
        typed = " ".join(map(shlex.quote, ["prefdyn", *words]))
        code = (
            f"source prefdyn.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _prefdyn; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        run = subprocess.run(
            ["bash", "--norc", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout.split()

    return offer


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["st"], ["stability"]),
        (["--v"], ["--version"]),
        (["stability", "--al"], ["--alpha"]),
        (["stability", "rps:0.4", "--per"], ["--per-prompt"]),
        (["stability", "minn"], ["minneapolis"]),
        (["train", "--optimiser", ""], ["adamw", "adam", "rmsprop", "sgd"]),
        (["predict", "--format", "j"], ["jsonl"]),
        (["orbit", "rps:0.4", "--objective", "simp"], ["simpo"]),
        (["orbit", "rps:0.4", "--plot", ""], []),  # files, which bash itself offers
        (["claims", "MRS-13"], ["MRS-13"]),
        (["advise", "--fr"], ["--from"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(offered, words, expected):
    assert offered(*words) == expected


def test_bash_offers_every_command_first_and_files_where_nothing_is_known(offered, scripts):
    assert offered("")[: len(COMMANDS)] == list(COMMANDS)
    assert "complete -o default -F _prefdyn prefdyn" in scripts["bash"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_of_every_command_and_option(scripts, shell):
    script = scripts[shell]
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", script)
    assert "adamw adam rmsprop sgd" in script
    assert "far-starts" in script
    # An apostrophe in a description ends no quotation.
    for line in script.splitlines():
        if line.startswith("complete"):
            assert len(re.findall(r"(?<!\\)'", line)) % 2 == 0


def test_the_script_is_printed_whole_however_long_its_lines(text, scripts):
    assert text("completion", "zsh") == scripts["zsh"] + "\n"


def test_a_shell_that_is_not_known(capsys):
    from prefdyn.cli import main

    with pytest.raises(SystemExit) as refused:
        main(["completion", "csh"])
    assert refused.value.code == 2
    assert "'csh'" in capsys.readouterr().err
