"""``prefdyn stability``: the verdict on a recipe, with thresholds, proofs and uncertainty."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from prefdyn._errors import InputError
from prefdyn.cli._recipe import Flag, Recipe, described_game, one_game

if TYPE_CHECKING:
    from prefdyn import Advice, PreferenceMatrix

SHOWN = 8
"""Multipliers, or skipped prompts, listed before "and more"."""


@dataclass(frozen=True, kw_only=True)
class Stability(Recipe):
    """Say whether a recipe converges, oscillates or collapses on a game.

    Without --beta: where the boundary lies.
    With --alpha 1: collapse and its rate, or cycling and its speed.

    For example:
      prefdyn stability rps:0.4 --alpha 0.5 --lam 1 --beta 0.15
      prefdyn stability arxiv --objective dpo --alpha 0.5 --lam 1
      prefdyn stability votes.csv --alpha 0.5 --lam 1 --beta 0.1 --per-prompt
    """

    beta: Annotated[float | None, arg(metavar="BETA", help_behavior_hint="")] = None
    """Pull to the reference, above 0; larger stays closer."""
    range: Annotated[tuple[float, float] | None, arg(metavar="LO HI", help_behavior_hint="")] = None
    """Range of beta searched for instability, 0.001 to 100 by default."""
    far_starts: Annotated[int, arg(metavar="N")] = 64
    """Starts far from the fixed point that must come home before a recipe passes."""
    draws: Annotated[int, arg(metavar="N")] = 200
    """Games drawn from the posterior of the votes, where there are votes."""
    per_prompt: Flag = False
    """Judge every prompt of a votes file on its own instead of pooling them."""

    def answer(self) -> dict[str, Any]:
        """One game's advice, or a survey of many prompts."""
        from prefdyn._inputs import count, positive

        count(self.seed, "seed", least=0)
        count(self.far_starts, "far-starts")
        count(self.draws, "draws")
        if self.range is not None:
            positive(self.range, "range")
        return self._survey() if self.per_prompt else self._advice()

    def rendered(self, answer: dict[str, Any], width: int) -> Iterator[Any]:
        """Sentences first, then the numbers."""
        yield from _survey_tables(answer) if self.per_prompt else _advice_tables(answer)

    def _advice(self) -> dict[str, Any]:
        import prefdyn

        game = one_game(self.game)
        advice = prefdyn.advise(
            game,
            self.objective,
            alpha=self.alpha,
            lam=self.lam,
            beta=self.beta,
            range=self.range,
            far_starts=self.far_starts,
            draws=self.draws,
            seed=self.seed,
            **self.fixed(),
        )
        return {
            "game": described_game(self.game, game),
            "recipe": self.described(),
            **_numbers(advice),
        }

    def _survey(self) -> dict[str, Any]:
        import prefdyn

        beta = self.beta
        if beta is None:
            raise InputError("per-prompt judges a whole recipe on every prompt: give a beta.")
        alone = {"range": self.range, "reference": self.reference, "offline": self.offline}
        for option, value in alone.items():
            if value is not None:
                raise InputError(f"{option} is about a single game: leave it or per-prompt out.")
        games = _prompts(self.game)
        found = prefdyn.survey(
            games,
            self.objective,
            alpha=self.alpha,
            lam=self.lam,
            beta=beta,
            far_starts=self.far_starts,
            seed=self.seed,
        )
        columns = (found.prompts, found.outcome, found.spectral_radius, found.top_mass)
        names = ("prompt", "outcome", "spectral_radius", "top_mass")
        return {
            "file": self.game,
            "recipe": self.described(),
            "shares": found.shares,
            "prompts": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
            "worst": found.worst,
            "skipped": found.skipped,
        }


def _prompts(spec: str) -> "dict[str, PreferenceMatrix]":
    from prefdyn import games
    from prefdyn.games.builtin import pandalm_prompts

    return pandalm_prompts() if spec == "pandalm" else games.load_votes(spec, per_prompt=True)


def _numbers(advice: "Advice") -> dict[str, Any]:
    """Advice as plain data; what was not asked for or does not exist is None."""
    judged, beta = advice.verdict, advice.beta_intervals
    linear = judged and judged.stability
    return {
        "verdict": judged and judged.word,
        "linear": linear
        and {
            "spectral_radius": linear.spectral_radius,
            "kind": linear.kind,
            "period": linear.period,
            "multipliers": linear.multipliers.astype(complex),
            "jacobian_by": linear.jacobian_by,
        },
        "fixed_point": linear
        and {
            "policy": linear.point.policy,
            "entropy": advice.entropy,
            "residual": linear.point.residual,
            "method": linear.point.method,
        },
        "stable_beta": beta and {"range": beta.range, "intervals": beta.intervals},
        "stable_above": advice.stable_above,
        "stable_share": advice.stable_share,
        "margin": advice.margin,
        "certificates": [asdict(known) for known in judged.certificates] if judged else [],
        "far_starts": judged and judged.far_starts and asdict(judged.far_starts),
        "last_iterate": advice.last_iterate and asdict(advice.last_iterate),
        "posterior": advice.posterior and asdict(advice.posterior),
        "cures": [
            {
                "name": cure.name,
                "setting": cure.setting,
                "spectral_radius": cure.spectral_radius,
                "evaluations": cure.evaluations,
                "word": cure.word,
                "claim": cure.claim,
            }
            for cure in advice.cures
        ],
        "sentences": advice.sentences,
    }


def _advice_tables(answer: dict[str, Any]) -> Iterator[Any]:
    from prefdyn.cli._output import facts, policy_table, table

    yield "\n".join(answer["sentences"])
    yield ""
    yield facts(**_source(answer), **_judged(answer), **_thresholds(answer))
    if point := answer["fixed_point"]:
        yield policy_table(
            answer["game"]["names"], point["policy"], "probability at the fixed point"
        )
    if answer["certificates"]:
        yield table(
            "certificate",
            "claim",
            "value",
            "holds",
            "statement",
            rows=(
                (
                    known["name"].replace("_", " "),
                    known["claim"],
                    float(known["value"]),
                    "yes" if known["holds"] else "no",
                    known["statement"],
                )
                for known in answer["certificates"]
            ),
        )


def _source(answer: dict[str, Any]) -> dict[str, Any]:
    game = answer["game"]
    votes = "" if game["votes"] is None else f", {game['votes']:,g} votes"
    return {"game": f"{game['name']} ({game['K']} responses{votes})", "source": game["source"]}


def _judged(answer: dict[str, Any]) -> dict[str, Any]:
    from prefdyn._stability.fixed_points import TOLERANCE

    linear = answer["linear"]
    if linear is None:
        return {}
    period = float(linear["period"])
    return {
        "verdict": answer["verdict"],
        "spectral_radius": float(linear["spectral_radius"]),
        "kind": str(linear["kind"]).replace("_", "-"),
        "period": f"{period:.4g} rounds per turn" if period < float("inf") else None,
        "multipliers": _listed(linear["multipliers"].tolist()),
        "Jacobian": linear["jacobian_by"],
        "fixed_point": f"{answer['fixed_point']['method']}, residual below {TOLERANCE:g}",
        "entropy_there": f"{answer['fixed_point']['entropy']:.4g} nats",
    }


def _thresholds(answer: dict[str, Any]) -> dict[str, Any]:
    beta, posterior, lam = answer["stable_beta"], answer["posterior"], answer["stable_share"]
    if beta is None:
        return {}
    low, high = beta["range"]
    pieces = " and ".join(f"{a:.4g} to {b:.4g}" for a, b in beta["intervals"]) or "none"
    above = answer["stable_above"]
    return {
        "stable_beta": f"{pieces} (searched {low:g} to {high:g})",
        "locally_stable_above": "all of the range is" if above is None else float(above),
        "margin": answer["margin"] and f"{answer['margin']:.4g} (beta over that)",
        "largest_stable_on-policy_share": lam and float(lam),
        "posterior": posterior and _band(posterior),
    }


def _band(posterior: dict[str, Any]) -> str:
    text = f"unstable somewhere with probability {posterior['unstable']:.2g}"
    if posterior["beta"] is not None:
        low, median, high = posterior["beta"]
        text += f"; then below beta = {median:.3g} ({low:.3g} to {high:.3g})"
    return f"{text}; {posterior['draws']} draws"


def _complex(value: complex) -> str:
    return f"{value.real:.4g} ± {value.imag:.4g}i" if value.imag else f"{value.real:.4g}"


def _listed(multipliers: list[complex]) -> str:
    """Multipliers in words, a conjugate pair as one."""
    words = [_complex(value) for value in multipliers if value.imag >= 0]
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _survey_tables(answer: dict[str, Any]) -> Iterator[Any]:
    from prefdyn.cli._output import table

    prompts = {row["prompt"]: row for row in answer["prompts"]}
    yield f"{len(prompts)} prompts judged, {len(answer['skipped'])} skipped."
    yield table(
        "outcome",
        "share of prompts",
        rows=((outcome, f"{share:.1%}") for outcome, share in answer["shares"].items()),
    )
    yield table(
        "worst prompts",
        "outcome",
        "spectral radius",
        "mass on the top response",
        rows=(
            (name, row["outcome"], float(row["spectral_radius"]), float(row["top_mass"]))
            for name, row in ((name, prompts[name]) for name in answer["worst"])
        ),
    )
    skipped = list(answer["skipped"].items())
    if skipped:
        yield table("skipped", "because", rows=skipped[:SHOWN])
    if len(skipped) > SHOWN:
        yield f"{len(skipped) - SHOWN} more were skipped; all are in --json."
