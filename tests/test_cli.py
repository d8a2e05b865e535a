"""The command line: answers for people and machines, sentences for mistakes, whole files."""

import csv
import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import prefdyn
from prefdyn.cli import main
from prefdyn.cli._commands import COMMANDS, command
from prefdyn.cli._model import ModelOptions
from prefdyn.games import rock_paper_scissors

ROOT = Path(__file__).parents[1]
RECIPE = ["--alpha", "0.5", "--lam", "1"]
UNSTABLE = ["rps:0.4", *RECIPE, "--beta", "0.15"]
VOTES = """prompt,winner,loser,count
easy,a,b,9
easy,b,c,9
easy,a,c,9
ring,a,b,40
ring,b,c,40
ring,c,a,40
"""
SWEEP = """rounds = 30
[rule]
id = "mrs_ipo"
game = "rps:0.4"
alpha = 0.5
lam = 1.0
[axes]
beta = [0.1, 1.0]
"""


@pytest.fixture
def votes(tmp_path, monkeypatch):
    """A votes file in the working directory, the configuration of a sweep, and a training log."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    (tmp_path / "config.toml").write_text(SWEEP)
    rows = [{"step": k, "eval_logps/chosen": -100.0 - k} for k in range(20)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return path


@pytest.fixture
def text(capsys):
    """Run a command that succeeds, and give what it printed."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


@pytest.fixture
def data(text):
    """Run a command with --json, and give the object; NaN and infinity are refused."""

    def run(*arguments: str) -> dict:
        return json.loads(text(*arguments, "--json"), parse_constant=pytest.fail)

    return run


def test_stability_says_what_advise_says(data):
    advice = prefdyn.advise(rock_paper_scissors(0.4), alpha=0.5, lam=1, beta=0.15)
    assert advice.verdict is not None
    found = data("stability", *UNSTABLE)
    assert found["verdict"] == "unstable"
    assert found["sentences"] == list(advice.sentences)
    assert found["linear"]["spectral_radius"] == advice.verdict.stability.spectral_radius
    assert complex(*found["linear"]["multipliers"][0]) == advice.verdict.stability.multipliers[0]
    assert found["stable_above"] == pytest.approx(0.4 / np.sqrt(3 * 0.75), rel=1e-12)
    assert {known["claim"] for known in found["certificates"]} == {"MRS-2", "MRS-4", "MRS-9"}


def test_stability_shows_every_number_of_the_verdict(text):
    shown = text("stability", *UNSTABLE)
    facts = dict(re.findall(r"^(\S.*?) {2,}(\S.*)$", shown, re.M))
    assert facts["verdict"] == "unstable"
    radius = np.hypot(0.5, 0.4 / (0.15 * np.sqrt(3)))  # alpha and lam s / beta, MRS-4
    assert facts["spectral radius"] == f"{radius:.4g}"
    assert facts["kind"] == "neimark-sacker"
    assert facts["multipliers"] == "0.5 ± 1.54i"
    assert facts["stable beta"] == "0.2667 to 100 (searched 0.001 to 100)"
    assert facts["locally stable above"] == "0.2667"
    assert facts["largest stable on-policy share"] == "0.5625"
    assert facts["margin"].startswith("0.5625")
    assert "MRS-9" in shown


def test_without_beta_there_are_thresholds_and_no_verdict(data):
    found = data("stability", "condorcet:0.1:0.4", "--alpha", "0", "--lam", "1")
    assert found["verdict"] is None
    assert found["linear"] is None
    assert len(found["stable_beta"]["intervals"]) == 2  # unstable in a window only


def test_a_range_is_searched_where_it_was_asked_for(data):
    found = data("stability", "rps:0.4", *RECIPE, "--range", "0.3", "2")
    assert found["stable_beta"] == {"range": [0.3, 2.0], "intervals": [[0.3, 2.0]]}


def test_alpha_one_is_the_last_iterate(data, text):
    arguments = ["stability", "pandalm", "--alpha", "1", "--lam", "1", "--beta", "0.5"]
    found = data(*arguments)
    assert found["stable_beta"] is None
    assert found["last_iterate"]["kind"] == "collapse"
    assert found["game"]["names"][found["last_iterate"]["top"]] == "llama-7b"
    assert "collapses onto llama-7b" in text(*arguments)


def test_votes_bring_a_posterior(data, text):
    arguments = ["stability", "minneapolis", *RECIPE, "--draws", "20"]
    found = data(*arguments)["posterior"]
    assert found["draws"] == 20
    assert 0 < found["unstable"] < 1
    assert found["beta"] == sorted(found["beta"])
    assert "20 draws" in text(*arguments)


def test_a_survey_judges_every_prompt(votes, data, text):
    arguments = ["stability", str(votes), *RECIPE, "--beta", "0.02", "--per-prompt"]
    found = data(*arguments)
    outcomes = {row["prompt"]: row["outcome"] for row in found["prompts"]}
    assert outcomes == {"easy": "collapses", "ring": "oscillates"}
    assert found["shares"]["oscillates"] == 0.5
    assert found["worst"][0] == "ring"
    assert found["skipped"] == {}
    assert re.search(r"oscillates +50\.0%", text(*arguments))


def test_a_survey_says_what_it_skipped_and_why(votes, data, text, monkeypatch):
    found = prefdyn.Survey((), (), np.array([]), np.array([]), {}, (), {"hard": "has no optimum"})
    monkeypatch.setattr(prefdyn, "survey", lambda *_, **__: found)
    arguments = ["stability", str(votes), *RECIPE, "--beta", "0.02", "--per-prompt"]
    assert data(*arguments)["skipped"] == {"hard": "has no optimum"}
    assert re.search(r"hard +has no optimum", text(*arguments))


def test_votes_without_per_prompt_are_pooled_and_it_says_so(tmp_path, text):
    path = tmp_path / "votes.csv"
    path.write_text("prompt,winner,loser\n1,a,b\n2,b,a\n2,a,b\n")
    assert "pooled over 2 prompts" in text("stability", str(path), *RECIPE)


def test_orbit_measures_the_run(data):
    found = data("orbit", *UNSTABLE, "--rounds", "2000")
    rule = prefdyn.MRSIPO(rock_paper_scissors(0.4), 0.15, 0.5, 1)
    run = prefdyn.orbit(rule, rounds=2000)
    assert found["final_policy"] == run.policies[-1].tolist()
    assert found["cycle_strength"] == prefdyn.cycle_strength(run.policies)
    assert found["period"] == pytest.approx(prefdyn.period(run.policies), rel=1e-3)
    assert found["reason"] == run.reason


def test_an_orbit_that_settles_has_no_period(data, text):
    found = data("orbit", "rps:0.4", *RECIPE, "--beta", "1")
    assert found["rounds"] < 1000
    assert found["period"] is None
    assert found["refused"] == {"period": "none: the run has settled"}
    assert (found["cycle_strength"], found["recurrence"]) == (0, 1)
    assert "none: the run has settled" in text("orbit", "rps:0.4", *RECIPE, "--beta", "1")


def test_an_orbit_too_short_to_measure_is_not_measured(data, text):
    found = data("orbit", *UNSTABLE, "--rounds", "5")
    assert set(found["refused"]) == {"cycle_strength", "period", "recurrence"}
    assert found["cycle_strength"] is None
    assert "refused" in text("orbit", *UNSTABLE, "--rounds", "5")


def test_a_collapsed_policy_has_entropy_zero(text):
    run = text("orbit", "rps:0.5", "--alpha", "1", "--lam", "1", "--beta", "1e-6")
    assert re.search(r"^entropy +0 nats$", run, re.M)


def test_orbit_starts_where_it_is_told(data):
    found = data("orbit", *UNSTABLE, "--rounds", "0", "--start", "0.5,0.3,0.2")
    np.testing.assert_allclose(found["final_policy"], [0.5, 0.3, 0.2], rtol=1e-15)


def test_reference_and_offline_reach_the_rule(data):
    fixed = ["--reference", "0.5,0.3,0.2", "--offline", "0.2,0.2,0.6"]
    found = data("orbit", "rps:0.4", "--alpha", "0", "--lam", "0", "--beta", "2", *fixed)
    game = rock_paper_scissors(0.4)
    expected = np.array([0.5, 0.3, 0.2]) * np.exp(game.P @ [0.2, 0.2, 0.6] / 2)
    np.testing.assert_allclose(found["final_policy"], expected / expected.sum(), rtol=1e-12)
    assert found["recipe"]["reference"] == [0.5, 0.3, 0.2]


def test_noisy_rounds_are_seeded(data):
    arguments = ["orbit", *UNSTABLE, "--rounds", "50", "--votes", "20", "--kappa", "0.5"]
    first, again, other = (data(*arguments, "--seed", seed) for seed in "115")
    assert first == again
    assert first["final_policy"] != other["final_policy"]
    assert first["seed"] == 1


def test_csv_holds_every_round(tmp_path, data):
    path = tmp_path / "run.csv"
    found = data("orbit", *UNSTABLE, "--rounds", "20", "--csv", str(path))
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == ["round", "rock", "scissors", "paper"]
    assert [int(row[0]) for row in rows[1:]] == list(range(21))
    assert [float(cell) for cell in rows[-1][1:]] == found["final_policy"]
    assert found["files"] == [str(path)]


@pytest.mark.parametrize(
    ("game", "alpha", "name", "magic"),
    [
        ("rps:0.4", "0.5", "portrait.png", b"\x89PNG"),
        ("rps:0.4", "1", "last_iterate.PNG", b"\x89PNG"),
        ("cyclic", "0.5", "lines.svg", b"<?xml"),
        ("random:12:0", "0.5", "many.pdf", b"%PDF"),
    ],
)
def test_plots_are_pictures(tmp_path, text, game, alpha, name, magic):
    path = tmp_path / name
    recipe = ["--alpha", alpha, "--lam", "1", "--beta", "0.3", "--rounds", "30"]
    text("orbit", game, *recipe, "--plot", str(path))
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_a_plot_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, capsys):
    from matplotlib.figure import Figure

    def fail(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Figure, "savefig", fail)
    path = tmp_path / "run.png"
    path.write_bytes(b"old")
    assert main(["orbit", *UNSTABLE, "--rounds", "30", "--plot", str(path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("run.png", b"old")]


def test_claims_are_listed_and_shown_in_full(data, text):
    listed = text("claims")
    assert all(claim.id in listed for claim in prefdyn.claims.all())
    shown = " ".join(text("claims", "mrs-5").split())
    assert prefdyn.claims.get("MRS-5").statement in shown
    assert "python -m analysis MRS-5" in shown
    assert len(data("claims")["claims"]) == len(prefdyn.claims.all())


def test_games_are_listed(data, text):
    names = [entry["name"] for entry in data("games")["games"]]
    assert names == list(prefdyn.games.names())
    assert "minneapolis" in text("games")


def test_a_game_is_shown_with_its_votes_and_structure(data, text):
    found = data("games", "minneapolis")
    assert found["game"]["licence"] == "public record"
    assert found["wins"][0][1] == 4324
    assert found["structure"]["condorcet_winner"] is None
    assert found["structure"]["smith_set"] == [0, 1, 2]
    shown = text("games", "minneapolis")
    assert re.search(r"0 Arab +0\.500 +0\.513", shown)
    assert re.search(r"Smith set +Arab, Gordon, Worlobah", shown)
    assert re.search(r"0 Arab +0 +4324", shown)


def test_a_wide_matrix_is_left_to_json(data, text):
    assert "--json" in text("games", "random:30:0")
    assert len(data("games", "random:30:0")["P"]) == 30


def test_of_many_responses_the_likeliest_are_shown(text):
    shown = text("orbit", "random:30:0", *RECIPE, "--beta", "1", "--rounds", "20")
    assert "10 others" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["stability", *UNSTABLE],
        ["stability", "minneapolis", *RECIPE, "--beta", "0.05", "--draws", "5"],
        ["orbit", "pandalm", *RECIPE, "--beta", "0.1"],
        ["claims"],
        ["claims", "MRS-13"],
        ["games"],
        ["games", "pandalm"],
    ],
)
def test_piped_output_fits_and_truncates_nothing(text, arguments):
    shown = text(*arguments)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert not re.search(r"[ \t]$", shown, re.M)


def test_names_are_not_markup(tmp_path, text):
    path = tmp_path / "game.csv"
    path.write_text("[bold]x,[/red]y\n0.5,0.9\n0.1,0.5\n")
    assert "[bold]x" in text("games", str(path))
    assert "[/red]y" in text("orbit", str(path), *RECIPE, "--beta", "1")


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


@pytest.mark.parametrize(
    "arguments",
    [["stability", "rps:0.4"], ["orbit", "rps:0.4", *RECIPE, "--beta", "x"], ["stabilty"]],
)
def test_options_that_cannot_be_parsed_are_refused(capsys, arguments):
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    assert capsys.readouterr().out == ""


def test_version(text):
    assert text("--version") == f"prefdyn {prefdyn.__version__}\n"


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command(capsys, arguments):
    shown = help_of(capsys, *arguments)
    assert all(f"• {name}" in shown for name in COMMANDS)


# Commands that take a language model are run in tests/llm.
@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if not issubclass(command(name), ModelOptions)]
)
def test_every_example_in_a_help_text_works(capsys, text, votes, name):
    examples = re.findall(r"^  prefdyn (.*)$", help_of(capsys, name, "--help"), re.M)
    assert examples
    for example in examples:
        text(*shlex.split(example))


@pytest.mark.parametrize(
    "arguments",
    [
        ["stability", *UNSTABLE],
        ["orbit", *UNSTABLE],
        ["claims"],
        ["games"],
        ["games", "rps:0.4"],
    ],
)
def test_every_key_is_documented(data, arguments):
    documented = re.findall(r"``(\w+)", inspect.getdoc(sys.modules["prefdyn.cli"]) or "")
    found = data(*arguments)
    groups = [value for value in found.values() if isinstance(value, dict)]
    groups += [value[0] for value in found.values() if value and isinstance(value, list)]
    keys = {key for group in [found, *groups] if isinstance(group, dict) for key in group}
    assert keys - set(found.get("refused") or {}) <= set(documented)


def test_the_readme_shows_true_output(text):
    (block,) = re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    command, *shown = block.splitlines()
    assert shown[-1] == "…"
    printed = text(*shlex.split(command.removeprefix("$ prefdyn")))
    assert printed.startswith("\n".join(shown[:-1]) + "\n")


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_help_loads_nothing_heavy():
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}))\n"
        "from prefdyn.cli import main\n"
        "main(['--help'])"
    )
    loaded = set(run_python(code).stdout.splitlines()[-1].split())
    assert "tyro" in loaded
    heavy = {"torch", "scipy", "sympy", "matplotlib", "numba", "rich", "numpy"}
    assert loaded & heavy == set()


def test_the_module_is_the_command_and_hands_its_code_on():
    command = [sys.executable, "-m", "prefdyn", "games", "nothing"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("prefdyn: there is no game 'nothing'")


def test_a_reader_that_stops_reading_is_no_error():
    command = [sys.executable, "-m", "prefdyn", "claims", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
