"""``prefdyn sweep``: configurations, plans, interruption, and what is said about mistakes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray

import prefdyn
from prefdyn import InputError
from prefdyn.cli import main
from prefdyn.cli._sweep_config import read_config
from prefdyn.games import rock_paper_scissors

RULE = """[rule]
id = "mrs_ipo"
game = "rps:0.4"
alpha = 0.5
lam = 1.0
"""
CONFIG = f"""rounds = 30
reducers = ["entropy", "spectral_radius"]
{RULE}
[axes]
beta = {{ from = 0.1, to = 1.0, number = 3, spacing = "log" }}
start = {{ random = 2, seed = 1 }}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a configuration into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = CONFIG) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def test_a_configuration_is_a_sweep(config, capsys):
    config()
    assert main(["sweep", "config.toml", "--out", "maps.zarr", "--json"]) == 0
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    found = xarray.open_zarr("maps.zarr")
    rule = prefdyn.MRSIPO(rock_paper_scissors(0.4), 0.1, 0.5, 1.0)
    starts = np.random.default_rng(1).dirichlet(np.ones(3), 2)
    np.testing.assert_allclose(found.start_policy, starts)
    np.testing.assert_allclose(found.beta, np.geomspace(0.1, 1.0, 3))
    expected = prefdyn.ensemble(rule, starts, 30)["entropy"]
    np.testing.assert_allclose(found.entropy.isel(beta=0), expected, rtol=1e-9)
    assert found.attrs["command"] == "prefdyn sweep config.toml --out maps.zarr"
    assert said["axes"] == {"beta": 3, "start": 2}
    assert said["points"] == 6
    assert said["blocks"] == 1
    assert [known["name"] for known in said["variables"]] == ["entropy", "spectral_radius"]
    assert said["variables"][1]["dims"] == ["beta"]
    assert said["variables"][1]["missing"] == 0
    assert said["refused"] is None


def test_the_same_command_begins_and_goes_on(config, capsys):
    config()
    command = ["sweep", "config.toml", "--out", "maps.zarr", "--resume"]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert re.search(r"spectral_radius +beta ", first)
    assert "1 block, 6 points.  Written: maps.zarr" in first


def test_a_plan_says_how_long_it_takes(config, capsys):
    config()
    assert main(["sweep", "config.toml", "--plan", "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"blocks +1 of 3 beta × 2 start", shown)
    assert re.search(r"expected +\S+ s with 2 workers", shown)
    assert main(["sweep", "config.toml", "--plan", "--workers", "0"]) == 2
    assert "workers is 0" in capsys.readouterr().err
    assert not Path("maps.zarr").exists()
    assert main(["sweep", "config.toml", "--plan", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["expected"] == pytest.approx(np.mean(said["seconds"]) * said["blocks"])
    assert said["together"] == ["beta", "start"]


def test_rules_in_rules_and_paths_with_dots(config):
    given = read_config(
        config(
            """[rule]
id = "finite_sample"
votes = 5
[rule.rule]
id = "inexact"
[rule.rule.rule]
id = "mrs"
game = "rps:0.4"
beta = 0.5
alpha = 0.5
lam = 1.0
objective = { id = "cdpo", label_smoothing = 0.2 }
[axes]
kappa = [0.5, 1.0]
objective.label_smoothing = [0.1, 0.2]
rule.rule.lam = { values = [0.5, 1.0], long_name = "share" }
repeat = 2
"""
        )
    )
    rule = given["rule_factory"]
    assert list(given["axes"]) == ["kappa", "objective.label_smoothing", "rule.rule.lam", "repeat"]
    assert rule.rule.kappa == 0.5
    assert rule.rule.rule.objective.label_smoothing == 0.2
    assert given["axes"]["rule.rule.lam"].long_name == "share"


def test_functions_beside_the_configuration_are_found(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "ours_for_a_sweep.py").write_text(
        "import prefdyn\n"
        "from prefdyn.games import cycle\n"
        "def make(beta, K):\n"
        "    return prefdyn.MRSIPO(cycle(K, 0.4), beta, 0.5, 1.0)\n"
        "def twice(rule):\n"
        "    return 2 * float(rule.beta)\n"
    )
    config(
        """rounds = 20
[rule]
factory = "ours_for_a_sweep:make"
K = 4
[axes]
beta = [0.2, 0.5]
start = { random = 2 }
[questions]
double = "ours_for_a_sweep:twice"
"""
    )
    assert main(["sweep", "config.toml", "--out", "maps.zarr"]) == 0
    found = xarray.open_zarr("maps.zarr")
    np.testing.assert_array_equal(found.double, [0.4, 1.0])
    assert found.sizes["response"] == 4


AXES = "[axes]\nbeta = [1.0]\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("rounds = ", "is not TOML"),
        (f"rouns = 3\n{RULE}{AXES}", "has no key 'rouns' (nearest: rounds)"),
        (f"rounds = 'x'\n{RULE}{AXES}", "rounds is 'x': it must be a whole number"),
        (f"rounds = true\n{RULE}{AXES}", "rounds is True"),
        (f"reducers = 'entropy'\n{RULE}{AXES}", "reducers is 'entropy': it must be a list"),
        (f"rule = 3\n{AXES}", "rule is no table"),
        (AXES, "there is no table [rule]"),
        (RULE, "there is no table [axes]"),
        ("[rule]\nalpha = 1\n" + AXES, "[rule] has no id: give one of"),
        (RULE.replace("mrs_ipo", "mrs_ip") + AXES, "(nearest: mrs_ipo"),
        (RULE + "betta = 1\n" + AXES, "has no key 'betta' (nearest: beta"),
        (RULE.replace("alpha = 0.5\n", "") + AXES, "[rule] mrs_ipo lacks alpha"),
        (RULE.replace("rps:0.4", "rsp:0.4") + AXES, "did you mean 'rps:A'"),
        (RULE + "[axes]\nbeta = { from = 1, to = 2 }", "[axes] beta lacks number"),
        (RULE + "[axes]\nbeta = { form = 1 }", "has no key 'form' (nearest: from)"),
        (RULE + "[axes]\nbeta = { from = 'a', to = 2, number = 2 }", "from is 'a'"),
        (RULE + "[axes]\nbeta = { from = 1, to = 2, number = 0 }", "number is 0"),
        (
            RULE + "[axes]\nbeta = { from = 0, to = 2, number = 2, spacing = 'log' }",
            "let from and to be above 0",
        ),
        (
            RULE + "[axes]\nbeta = { from = 1, to = 2, number = 2, spacing = 'x' }",
            "choose linear or log",
        ),
        (RULE + "[axes]\nbeta = { values = [1.0], from = 1 }", "give one of them"),
        (RULE + "[axes]\nbeta = [1.0]\nstart = { random = 0 }", "start.random is 0"),
        (RULE + "[axes]\nbeta = [1.0]\nstart = { count = 1 }", "start has no key 'count'"),
        (RULE + AXES + "[questions]\nx = 'nothing'", "'nothing' names no function"),
        (RULE + AXES + "[questions]\nx = 'nothing:here'", "cannot be imported"),
        ("[rule]\nfactory = 'os:nothing'\n" + AXES, "cannot be imported"),
        (RULE + "[axes]\nbeta = [1.0, -1.0]", "at beta = -1.0: beta is -1"),
        (RULE + "[axes]\nbta = [1.0]\nbeta = [1.0]", "MRSIPO has no parameter 'bta'"),
        (f"reducers = ['entropie']\n{RULE}{AXES}", "reducer 'entropie' is not known"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_store(config, capsys, text, cause):
    config(text)
    assert main(["sweep", "config.toml", "--out", "maps.zarr"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("prefdyn: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith((".\n", "?\n"))
    assert cause in printed.err
    assert not Path("maps.zarr").exists()


def test_every_key_is_documented(config, capsys):
    config()
    documented = re.findall(r"``(\w+)", sys.modules["prefdyn.cli"].__doc__ or "")
    for options in (["--plan"], ["--out", "maps.zarr"]):
        assert main(["sweep", "config.toml", *options, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert set(said) <= set(documented)
        assert {key for known in said.get("variables", []) for key in known} <= set(documented)


def test_files_that_are_not_there_and_options_that_are_missing(config, capsys):
    path = config()
    assert main(["sweep", "nowhere.toml", "--plan"]) == 2
    said = capsys.readouterr().err
    assert said == "prefdyn: there is no file 'nowhere.toml'; check the path.\n"
    assert main(["sweep", "config.toml"]) == 2
    assert "there is no --out" in capsys.readouterr().err
    assert main(["sweep", "config.toml", "--out", "m.zarr", "--workers", "0"]) == 2
    assert "workers is 0" in capsys.readouterr().err
    main(["sweep", "config.toml", "--out", "m.zarr"])
    capsys.readouterr()
    path.write_text("seed = 5\n" + CONFIG)
    assert main(["sweep", "config.toml", "--out", "m.zarr", "--resume"]) == 2
    assert "belongs to another sweep: its seed is 0, not 5" in capsys.readouterr().err


def test_an_interrupted_sweep_says_how_to_go_on(config, capsys, monkeypatch):
    config(f"work = 1\n{CONFIG}")
    module = sys.modules["prefdyn._sweep.sweep"]
    tracked = module.__dict__["track"]

    def interrupted(items, *arguments, **settings):
        for number, item in enumerate(tracked(items, *arguments, **settings)):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(module, "track", interrupted)
    assert main(["sweep", "config.toml", "--out", "my maps.zarr"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    (command,) = re.findall(
        r"^prefdyn: interrupted; 3 blocks are done, go on with: prefdyn (.*)$", printed.err, re.M
    )
    assert command == "sweep config.toml --out 'my maps.zarr' --resume"
    monkeypatch.setattr(module, "track", tracked)
    assert main(["sweep", "config.toml", "--out", "my maps.zarr", "--resume"]) == 0
    assert xarray.open_zarr("my maps.zarr").entropy.notnull().all()


@pytest.mark.slow
def test_no_scheduler_is_one_sentence(config, capsys):
    config()
    address = "tcp://127.0.0.1:9"
    assert main(["sweep", "config.toml", "--out", "m.zarr", "--cluster", address]) == 2
    assert f"there is no scheduler at {address}" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_by_two_processes(config):
    config()
    command = [sys.executable, "-m", "prefdyn", "sweep", "config.toml", "--out", "m.zarr"]
    config(f"work = 1\n{CONFIG}")
    run = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "6 blocks, 6 points" in run.stdout


def test_errors_of_a_configuration_name_its_file(config):
    with pytest.raises(InputError, match=r"config\.toml: "):
        read_config(config("[axes]\nbeta = [1.0]"))
