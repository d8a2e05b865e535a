"""``prefdyn iterate``: train a language model through rounds, beside what the table predicts."""

import csv
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from prefdyn._errors import InputError, NoOptimum
from prefdyn.cli._model import ModelOptions
from prefdyn.cli._recipe import Recipe, Text, described_game, labels, one_game, probabilities

if TYPE_CHECKING:
    from prefdyn.llm import LanguageModelOrbit


@dataclass(frozen=True, kw_only=True)
class Iterate(ModelOptions, Recipe):
    """Train a language model through rounds of preference optimisation.

    The policy among the responses of every round is set beside the orbit of the table that starts
    from the same policy.  The model on disk is not changed.

    For example:
      prefdyn iterate rps:0.4 --prompt "One day" --reference uniform --alpha 0.5 --lam 1 --beta 0.15
      prefdyn iterate votes.csv --prompt "Q: Is it" --alpha 0.5 --lam 1 --beta 0.3 --out run
    """

    beta: Annotated[float, arg(metavar="BETA")]
    """Pull to the reference, above 0; larger stays closer."""
    prompt: Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")] = None
    """The prompt; needed unless the file of responses names prompts."""
    responses: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Text file with a response per line, or JSONL with objects of "prompt" and "responses", all of
    them trained at once; by default the model writes them."""
    length: Annotated[int, arg(metavar="N")] = 12
    """Most tokens of a response that the model writes."""
    rounds: Annotated[int, arg(metavar="N")] = 12
    """Rounds to train."""
    votes: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Estimate the game afresh in every round from N votes per pair."""
    reference: Text = None
    """Fixed part of the reference: probabilities, or uniform; the model's own at the start by
    default."""
    offline: Text = None
    """Fixed part of the sampler: probabilities, or initial; uniform by default."""
    optimiser: Literal["gauss_newton", "adamw", "adam", "rmsprop", "sgd"] = "gauss_newton"
    """What trains a round."""
    rate: Annotated[float, arg(metavar="RATE")] = 5e-4
    """Learning rate of a round; gauss_newton has none."""
    steps: Annotated[int, arg(metavar="N")] = 80
    """Most steps of a round."""
    residual: Annotated[float, arg(metavar="NATS")] = 1e-3
    """A round ends when its loss is this near to its minimum."""
    parameters: Annotated[str, arg(metavar="NAME,…")] = "all"
    """What is trained: all, trainable, head, or names and patterns."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder for the checkpoint of every round, from which a killed run goes on, rounds.csv,
    rounds.png and the trained model."""

    def answer(self) -> dict[str, Any]:
        """Train, compare with the table, and write the files asked for."""
        from prefdyn._files import exclusive

        with nullcontext() if self.out is None else exclusive(self.out):
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        import numpy as np

        from prefdyn import llm

        game = one_game(self.game)
        inner = llm.Inner(self.optimiser, self.rate, self.steps, self.residual)
        material = self._material()
        lm = llm.load(self.model, device=self.device, dtype=self.dtype, adapter=self.adapter)
        prompt, responses = material or self._written(lm, game.K)
        chosen = self.parameters.split(",")
        run = llm.mrs_rounds(
            *lm,
            prompt,
            responses,
            game,
            beta=self.beta,
            alpha=self.alpha,
            lam=self.lam,
            rounds=self.rounds,
            objective=self.objective,
            votes=self.votes,
            inner=inner,
            parameters=chosen[0] if len(chosen) == 1 else chosen,
            seed=self.seed,
            checkpoint=self.out,
            **self.fixed(),
        )
        table = _tabular(run, self.votes, self.seed)
        return {
            "game": described_game(self.game, game),
            "recipe": self.described(votes=self.votes),
            "inner": {name: getattr(self, name) for name in _INNER},
            "model": self.model,
            "prompts": [prompt] if isinstance(prompt, str) else list(prompt),
            "responses": [lm.tokenizer.decode(x) for x in run.responses.tokens],
            "rounds": len(run.steps),
            "reason": run.reason,
            "policies": run.policies,
            "predicted_policies": None if table is None else table.policies,
            "deviation": (
                None if table is None else float(np.abs(run.policies - table.policies).max())
            ),
            **_linear(run),
            "kappa": run.kappa,
            "cosine": run.cosine,
            "residuals": run.residuals,
            "steps": run.steps,
            "mass": run.mass,
            "files": list(self._write(lm, run, table, labels(game))),
        }

    def fixed(self) -> dict[str, Any]:
        """Reference and offline sampler, as words or as numbers."""
        words = ("initial", "uniform")
        given = {"reference": self.reference, "offline": self.offline}
        return {k: v if v in words else probabilities(v, k) for k, v in given.items()}

    def interrupted(self) -> tuple[str, list[str] | None]:
        """What is kept, and what the command needs to go on."""
        if self.out is None:
            return "nothing was kept, which takes an --out", None
        return f"finished rounds are kept in {self.out}", []

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """Why it stopped, how near the table it went, and where it ended."""
        import numpy as np

        from prefdyn.cli._output import facts, number, policy_table

        yield answer["reason"][0].upper() + answer["reason"][1:] + "."
        kappa = answer["kappa"][np.isfinite(answer["kappa"])]
        mass = answer["mass"].reshape(len(answer["mass"]), -1).mean(-1)
        yield facts(
            game=f"{answer['game']['name']} ({answer['game']['K']} responses)",
            prompts=len(answer["prompts"]),
            rounds=answer["rounds"],
            predicted=answer["predicted"],
            deviation=(
                None
                if answer["deviation"] is None
                else f"{number(answer['deviation'])} at most from the table's orbit"
            ),
            kappa=f"{np.median(kappa):.4f} of a round executed (median)" if len(kappa) else None,
            mass=f"{mass[0]:.3g} on the responses at the start, {mass[-1]:.3g} at the end",
        )
        K, last = answer["game"]["K"], answer["policies"][-1].reshape(-1, answer["game"]["K"])
        for n, prompt in enumerate(answer["prompts"]):
            yield f"\n{prompt!r}"
            names = [repr(text) for text in answer["responses"][n * K : (n + 1) * K]]
            yield policy_table(names, last[n], f"share in round {answer['rounds']}")
        for file in answer["files"]:
            yield f"Written: {file}"

    def _material(self) -> tuple[Any, Any] | None:
        """Prompts and responses from the file; None where the model is to write responses."""
        from prefdyn.games._text import read_text

        if self.responses is None or self.responses.suffix != ".jsonl":
            if self.prompt is None:
                raise InputError("There is no prompt: give --prompt TEXT.")
            if self.responses is None:
                return None
            lines = read_text(self.responses).splitlines()
            return self.prompt, [line for line in lines if line.strip()]
        if self.prompt is not None:
            raise InputError(f"Leave out --prompt: {self.responses.name} names its prompts.")
        rows = enumerate(read_text(self.responses).split("\n"), 1)
        pairs = [_row(row, f"{self.responses.name} line {n}") for n, row in rows if row.strip()]
        return [prompt for prompt, _ in pairs], [many for _, many in pairs]

    def _written(self, lm: Any, number: int) -> tuple[Any, Any]:
        from prefdyn.llm import continuations

        assert self.prompt is not None
        settings: dict[str, Any] = {"length": self.length, "seed": self.seed}
        drawn = continuations(lm.model, lm.tokenizer, self.prompt, number, **settings)
        return self.prompt, drawn.tokens

    def _write(
        self, lm: Any, run: "LanguageModelOrbit", table: Any, names: list[str]
    ) -> Iterator[str]:
        from prefdyn._files import write_atomically, write_folder
        from prefdyn.llm._hub import quiet

        if self.out is None:
            return
        write_atomically(self.out / "rounds.csv", lambda path: _write_csv(path, run))
        if run.policies.ndim == 2:
            write_atomically(self.out / "rounds.png", lambda path: _draw(path, run, table, names))

        def save(folder: Path) -> None:
            with quiet():
                lm.model.save_pretrained(folder)
                lm.tokenizer.save_pretrained(folder)

        write_folder(self.out / "model", save)
        kept = ("rounds.safetensors", "rounds.csv", "rounds.png", "model")
        yield from (str(self.out / name) for name in kept if (self.out / name).exists())


_INNER = ("optimiser", "rate", "steps", "residual", "parameters")


def _row(text: str, where: str) -> tuple[str, list[str]]:
    from prefdyn.games._text import parse_json

    row = parse_json(text, where)
    good = isinstance(row, dict) and isinstance(row.get("prompt"), str)
    many = row.get("responses") if good else None
    if not isinstance(many, list) or not all(isinstance(one, str) for one in many):
        example = json.dumps({"prompt": "…", "responses": ["…", "…"]}, ensure_ascii=False)
        raise InputError(f"{where} is not an object such as {example}.")
    return row["prompt"], many


def _tabular(run: "LanguageModelOrbit", votes: int | None, seed: int) -> Any:
    """The table's orbit from the same start on the same votes; None where it does not exist."""
    from prefdyn import FiniteSample, orbit

    rule = run.rule if votes is None else FiniteSample(run.rule, votes)
    try:
        return orbit(
            rule, log_start=run.log_policies[0], rounds=len(run.steps), tolerance=0, seed=seed
        )
    except NoOptimum:
        return None


def _linear(run: "LanguageModelOrbit") -> dict[str, Any]:
    """What the linear theory says of the recipe, prompt by prompt."""
    import numpy as np

    from prefdyn import stability

    try:
        theory = stability(run.rule)
    except NoOptimum as error:
        return {"predicted": f"no prediction: {error}", "spectral_radius": None}
    radius = np.asarray(theory.spectral_radius)
    word = "converges" if np.all(radius < 1) else "moves away from its fixed point"
    return {
        "predicted": f"{word} (spectral radius {float(radius.max()):.3f})",
        "spectral_radius": radius,
    }


def _write_csv(path: Path, run: "LanguageModelOrbit") -> None:
    import numpy as np

    K = run.policies.shape[-1]
    policies, raw = (x.reshape(len(x), -1, K) for x in (run.policies, run.log_probs))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["round", "prompt", "response", "policy", "log_prob"])
        for t, n, k in np.ndindex(policies.shape):
            rows.writerow([t, n, k, float(policies[t, n, k]), float(raw[t, n, k])])


def _draw(path: Path, run: "LanguageModelOrbit", table: Any, names: list[str]) -> None:
    import matplotlib

    matplotlib.use("agg")  # a file needs no display
    from matplotlib import pyplot

    from prefdyn import plots

    with matplotlib.rc_context({"text.parse_math": False}):
        figure = pyplot.figure(figsize=(8, 4.5), layout="constrained")
        ax = figure.add_subplot()
        if table is not None:
            plots.orbit(table, ax, legend=False, marker="", alpha=0.6)
        plots.orbit(run, ax, legend=False, linestyle="none", marker="o")
        dots = list(ax.lines)[-len(names) :]
        ax.legend(dots, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False)
        ax.set_title("dots: the model; lines: the table", loc="right", fontsize="small")
        try:
            figure.savefig(path, dpi=200)
        finally:
            pyplot.close(figure)
