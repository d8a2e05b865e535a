"""``prefdyn iterate``: answers for people and machines, whole files, sentences for mistakes."""

import json

import pytest

from prefdyn.cli import main

RECIPE = ["--alpha", "0.5", "--lam", "1", "--beta", "0.5", "--rounds", "2"]


@pytest.fixture(scope="module")
def folder(llama, tokenizer, tmp_path_factory):
    """A tiny model on disk."""
    path = tmp_path_factory.mktemp("model") / "tiny"
    llama.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; give its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(["iterate", "rps:0.4", *RECIPE, "--model", str(folder), *arguments])
        return code, capsys.readouterr()

    return run


def test_the_model_writes_the_responses_by_default(run):
    code, printed = run("--prompt", "ab", "--length", "3", "--json")
    assert code == 0
    answer = json.loads(printed.out)
    assert answer["command"] == "iterate"
    assert len(answer["responses"]) == 3
    assert len(answer["policies"]) == 3
    assert answer["deviation"] < 0.01
    assert answer["spectral_radius"] < 1
    assert answer["files"] == []


def test_files_are_written_and_a_run_goes_on(run, tmp_path):
    (tmp_path / "texts.txt").write_text("cd\nef\n\nga\n")
    options = ["--prompt", "ab", "--responses", "texts.txt", "--out", "out", "--votes", "30"]
    code, printed = run(*options)
    assert code == 0
    assert "Written: out/rounds.csv" in printed.out
    lines = (tmp_path / "out" / "rounds.csv").read_text().splitlines()
    assert lines[0] == "round,prompt,response,policy,log_prob"
    assert len(lines) == 1 + 3 * 3
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()
    assert (tmp_path / "out" / "rounds.png").read_bytes().startswith(b"\x89PNG")
    code, printed = run(*options, "--rounds", "3", "--json")
    assert code == 0
    again = json.loads(printed.out)
    assert again["rounds"] == 3
    share = float(lines[-1].split(",")[3])
    assert again["policies"][2][2] == share


def test_prompts_from_a_file_are_trained_together(run, tmp_path):
    rows = [{"prompt": "ab", "responses": ["cd", "ef", "g"]}] * 2
    rows[1] = {"prompt": "ba", "responses": ["c", "dd", "ef"]}
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, printed = run("--responses", "rows.jsonl")
    assert code == 0
    assert "'ab'" in printed.out
    assert "'ba'" in printed.out
    code, printed = run("--responses", "rows.jsonl", "--json", "--reference", "uniform")
    answer = json.loads(printed.out)
    assert len(answer["policies"][0]) == 2
    assert answer["recipe"]["reference"] == "uniform"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "There is no prompt"),
        (["--prompt", "ab", "--responses", "none.txt"], "none.txt"),
        (["--responses", "bad.jsonl"], "bad.jsonl line 2 is not complete JSON"),
        (["--responses", "odd.jsonl"], "odd.jsonl line 1 is not an object such as"),
        (["--responses", "odd.jsonl", "--prompt", "ab"], "Leave out --prompt"),
        (["--prompt", "ab", "--reference", "0.5,half"], "reference '0.5,half'"),
        (["--prompt", "ab", "--responses", "two.txt"], "3 responses but there are 2"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(run, tmp_path, options, words):
    good = json.dumps({"prompt": "ab", "responses": ["cd", "ef", "g"]})
    (tmp_path / "bad.jsonl").write_text(good + "\n{")
    (tmp_path / "odd.jsonl").write_text('{"prompt": "ab", "responses": "cd"}')
    (tmp_path / "two.txt").write_text("cd\nef")
    code, printed = run(*options)
    assert code == 2
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_no_round_at_all_is_written_too(run, tmp_path):
    code, printed = run("--prompt", "ab", "--rounds", "0", "--out", "new/folder")
    assert (code, printed.err) == (0, "")
    assert len((tmp_path / "new" / "folder" / "rounds.csv").read_text().splitlines()) == 1 + 3


def test_a_file_in_the_place_of_the_folder_is_found_before_training(run, tmp_path, monkeypatch):
    (tmp_path / "out").write_text("")
    monkeypatch.setattr("prefdyn.llm.mrs_rounds", None)
    code, printed = run("--prompt", "ab", "--out", "out")
    assert code == 2
    assert printed.err == "prefdyn: out is a file: give a folder to write to.\n"
