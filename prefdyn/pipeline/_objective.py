"""What a trainer minimises, and the same on a table of responses."""

from typing import Any, NamedTuple

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn._inputs import choice, share
from prefdyn.objectives import Objective
from prefdyn.pipeline._config import Config
from prefdyn.pipeline._rows import TEMPERATURE, Row
from prefdyn.pipeline._values import last_number, number, yes
from prefdyn.pipeline.trl_losses import DEFAULTS, trl_equivalent

PER_TOKEN = {"ipo_mean": "ipo", "dpo_norm": "dpo", "simpo": "simpo"}
"""Objectives on means per token, and what they are on sums where responses are equally long."""
DRIVEN = ("ipo", "dpo")
"""Objectives whose optimum is the reference plus a push divided by beta."""
WORDS = ("loss_type", "f_divergence_type")


class Found(NamedTuple):
    """The objective, its form on a table, and how it was found."""

    objective: Objective
    on_table: str | Objective
    beta: float | None
    reference: bool
    mixture: float | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def translated_objective(config: Config, tokens: float | None) -> Found:
    """Objective and beta of a trainer.

    Parameters
    ----------
    config
        The trainer and its settings.
    tokens
        Mean number of tokens of a response.

    Raises
    ------
    InputError
        For a loss that has no counterpart.
    """
    if config.trainer in ("online_dpo", "nash_md", "xpo"):
        return _online(config)
    settings = {name: _value(config, name) for name in DEFAULTS[config.trainer]}
    given = {name: value for name, value in settings.items() if value is not None}
    equivalent = trl_equivalent(config.trainer, **given)
    objective: Any = equivalent.objective
    apart = ("beta",) if objective.takes("beta") else ()  # has a row of its own
    loss = (
        " ".join(f"{name}={_brief(value)}" for name, value in given.items() if name not in apart)
        or "default loss"
    )
    notes = []
    if not equivalent.exact:
        notes.append("ORPO's likelihood runs over the prompt, too; here it is the response's.")
    if not equivalent.reference and yes(config.settings, "sync_ref_model"):
        notes.append("This loss has no reference, so moving one changes nothing.")
    if objective.id == "dpo" and given.get("label_smoothing"):
        notes.append(
            "label_smoothing does nothing to TRL's sigmoid loss (in earlier versions it made it "
            "conservative DPO)."
        )
    rows = [
        Row(
            f"{config.trainer}: {loss}",
            f"objective {objective.id}",
            "The trainer's loss, held to TRL's own on the same batch.",
        )
    ]
    if not objective.takes("beta"):
        return Found(objective, objective, None, equivalent.reference, None, tuple(rows), (*notes,))
    beta = float(objective.beta)
    setting = f"beta={beta:g}"
    if objective.id not in PER_TOKEN:
        rows.append(Row(setting, f"beta = {beta:g}", "The loss is on summed log-probabilities."))
        on_table = objective if objective.id not in ("ipo", "dpo") else objective.id
        return Found(
            objective, on_table, beta, equivalent.reference, None, tuple(rows), tuple(notes)
        )
    summed = PER_TOKEN[objective.id]
    on_table = summed if summed != "simpo" else objective
    here = None if tokens is None else beta / tokens
    rows.append(
        Row(
            setting if tokens is None else f"{setting}, {tokens:g} tokens",
            f"beta = {beta:g} / tokens" if here is None else f"beta = {here:.4g}",
            "The loss is on means per token: for responses of n tokens it is that on sums at "
            "beta / n.",
            "Responses are equally long; if not, the pushes are as 1/n_w to 1/n_l.",
            "IPO-9",
        )
    )
    return Found(objective, on_table, here, equivalent.reference, None, tuple(rows), tuple(notes))


def _online(config: Config) -> Found:
    """Online DPO and what derives from it, whose losses are on sums."""
    settings = config.settings
    beta = last_number(settings, "beta", 0.1)
    kind = choice(str(_value(config, "loss_type") or "sigmoid"), ("sigmoid", "ipo"), "loss_type")
    id = {"sigmoid": "dpo", "ipo": "ipo"}[kind]
    notes = []
    if isinstance(settings.get("beta"), list) and len(settings["beta"]) > 1:
        notes.append("beta changes by epoch: the last one, which stays, is judged.")
    if settings.get("reward_model_path"):
        notes.append(
            "A reward model ranks by one number: its game is strongly transitive, and rounds on "
            "such games hardly ever turn (MRS-13); the games below are of pairwise judgements."
        )
    temperature = number(settings, "temperature", TEMPERATURE)
    if temperature != 1:
        notes.append(
            f"Sampling is at temperature {temperature:g}: what is said for every game allows for "
            "it, verdicts on single games are for temperature 1."
        )
    if config.trainer == "nash_md":
        mixture = float(share(last_number(settings, "mixture_coef", 0.5), "mixture_coef"))
        objective = objectives.get("ipo", beta=beta)
        return Found(
            objective,
            "ipo",
            beta,
            True,
            mixture,
            (
                Row(
                    f"nash_md: beta={beta:g}, mixture_coef={mixture:g}",
                    f"best response at tau = beta = {beta:g}, mixture {mixture:g}",
                    "The policy gradient against the mixture rests at the best response to it: "
                    "rounds move towards that.",
                    "mixture_coef mixes next-token logits; on a table it is the geometric mixture "
                    "of whole responses.",
                    "GAME-6",
                ),
            ),
            tuple(notes),
        )
    if config.trainer == "xpo":
        bonus = last_number(settings, "alpha", 1e-5)
        notes.append(f"XPO's exploration term (alpha={bonus:g}) is left out: none is known here.")
    objective = objectives.get(id, beta=beta)
    rows = (
        Row(f"{config.trainer}: loss_type={kind}", f"objective {id}", "On summed log-ratios."),
        Row(f"beta={beta:g}", f"beta = {beta:g}", "The loss is on summed log-probabilities."),
    )
    return Found(objective, id, beta, True, None, rows, tuple(notes))


def _value(config: Config, name: str) -> Any:
    """A setting of the loss in the type that it has."""
    value = config.settings.get(name)
    if value is None:
        return None
    if name in WORDS:
        words = value if isinstance(value, list) else [value]
        if not words:
            raise InputError(f"{name} is an empty list: name a loss.")
        words = [str(word) for word in words]
        return words[0] if len(words) == 1 else tuple(words)
    if name == "loss_weights":
        kinds = config.settings.get("loss_type")
        expected = len(kinds) if isinstance(kinds, list) else 1
        if not isinstance(value, list) or len(value) != expected:
            raise InputError(f"loss_weights needs one number for each of {expected} losses.")
        return tuple(number({name: weight}, name, 1.0) for weight in value)
    if name == "use_weighting":
        return yes(config.settings, name)
    return number(config.settings, name)


def _brief(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
