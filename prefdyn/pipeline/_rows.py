"""Settings of a pipeline, one at a time: what they mean, why, and on which assumption."""

from collections.abc import Iterator
from dataclasses import dataclass

from prefdyn.pipeline._config import Config
from prefdyn.pipeline._values import number

TEMPERATURE = 0.9
"""At which TRL's online trainers sample where nothing else is said."""


@dataclass(frozen=True)
class Row:
    """One step of a translation.

    Attributes
    ----------
    setting : str
        What the configuration says.
    quantity : str
        What it is in the theory.
    why : str
        The reason.
    assumption : str or None
        What has to be true for it.
    claim : str or None
        Id of the claim behind it.
    """

    setting: str
    quantity: str
    why: str
    assumption: str | None = None
    claim: str | None = None


def reference_of(
    config: Config,
    kind: str,
    has_reference: bool,
    alpha: float,
    rounds_from: str | None,
    mixing: float | None,
    every: int,
) -> Row:
    """What the reference of a round is."""
    if not has_reference:
        return Row("no reference", "alpha plays no part", "The loss does not look at a reference.")
    if kind in ("drift", "tracking"):
        return Row(
            f"sync_ref_model, ref_model_mixup_alpha={mixing:g}, ref_model_sync_steps={every}",
            f"ref <- {mixing:g} policy + {1 - (mixing or 0):.3g} ref every {every} steps",
            "Every update forgets some of the first reference, so in the long run nothing anchors "
            "the policy: not alpha of mixed references, which keeps it, but alpha = 1 with a lag.",
            "Mixed weights are mixed logits: true of a table and of log-linear policies, of a deep "
            "network only while policy and reference are close.",
            "PIPE-1",
        )
    if kind == "one round" or config.trainer in ("online_dpo", "nash_md", "xpo"):
        return Row(
            "reference model", "alpha = 0" if kind != "one round" else "fixed", "It never moves."
        )
    words = {"current": "is the policy it starts from", "fixed": "is that of the first round"}
    return Row(
        f"rounds_from={rounds_from}" if rounds_from else "alpha (given)",
        f"alpha = {alpha:g}",
        f"The reference of a round {words[rounds_from]}."
        if rounds_from
        else "Share of the policy in the next reference, as given.",
        None
        if rounds_from
        else "References mix log-probabilities (geometrically), not probabilities.",
        "MRS-1",
    )


def sampled_from(config: Config, kind: str, lam: float, given: bool) -> Row:
    """Where pairs come from."""
    if config.trainer in ("online_dpo", "nash_md", "xpo") and not given:
        return Row(
            f"{config.trainer} trainer{_sharpened(config)}",
            "lam = 1",
            "Both responses of a pair are drawn anew from the policy for every step."
            if config.trainer != "nash_md"
            else "One response is the policy's, the other the mixture's, anew for every step.",
            "Pairs come from the policy itself, or at a temperature T from its power 1/T, which "
            "turns like rounds at beta T; truncated sampling is not modelled.",
            "MRS-1",
        )
    if given:
        return Row(
            "lam (given)",
            f"lam = {lam:g}",
            "Share of new pairs from the policy; the rest come from a fixed set.",
            "Replayed pairs are a fixed mixture, not a growing memory of past rounds."
            if 0 < lam < 1
            else None,
            "MRS-1",
        )
    if kind == "rounds":
        return Row(
            "data of a round",
            "lam = 1",
            "No setting says where a round's pairs come from.",
            "All pairs of a round are new and from the policy, which turns most; give lam if some "
            "are replayed.",
            "MRS-1",
        )
    return Row("train_dataset", "lam = 0", "The pairs are a fixed set.")


def executed(config: Config, kind: str, kappa: float | None, steps: int | None) -> Row:
    """How much of the way to a round's optimum its steps go."""
    rate = number(config.settings, "learning_rate")
    words = [
        None if rate is None else f"learning_rate={rate:g}",
        None if steps is None else f"{steps} steps",
    ]
    setting = " x ".join(word for word in words if word) or "steps x learning_rate"
    if kappa is not None:
        return Row(
            "kappa (given)",
            f"kappa = {kappa:g}",
            "Fraction of the way to the optimum that a round goes.",
            "kappa is the same for all responses.",
            "RND-1",
        )
    return Row(
        setting,
        "kappa unknown, in (0, 1]",
        "On a table of K responses n steps go 1 - (1 - 4 rate/K)^n of the way; on a language model "
        "the scale is that of its gradients (and of Adam), which no setting tells: prefdyn iterate "
        "measures it.",
        None,
        "RND-4",
    )


def periods_of(kind: str, rounds: int | None, periods: float | None, every: int) -> Iterator[Row]:
    """How many rounds there are."""
    if kind in ("drift", "tracking"):
        text = "unknown: give the steps of the run" if periods is None else f"{int(periods)}"
        yield Row(f"steps / {every}", f"updates of the reference: {text}", "One period each.")
    elif rounds is not None:
        yield Row(f"rounds={rounds}", f"{rounds} rounds", "One run of the trainer each.")


def _sharpened(config: Config) -> str:
    temperature = number(config.settings, "temperature", TEMPERATURE)
    return f", temperature={temperature:g}"
