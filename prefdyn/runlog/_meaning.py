"""What the numbers of a log mean, which depends on who wrote it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from prefdyn.runlog._columns import split_of
from prefdyn.runlog._log import Series

_EXACT = 1e-3
"""Largest deviation from a line, as a share of the spread, of quantities bound by arithmetic."""
_FEWEST = 4
"""Readings below which a line through them proves nothing."""

_PER_TOKEN_LOSSES = ("simpo", "orpo", "tpo-l")
_RATIO_COLUMNS = ("log_odds_ratio", "odds_ratio_loss")


def interpret(
    series: dict[str, Series], columns: Iterable[str], settings: dict[str, Any], notes: list[str]
) -> dict[str, Series]:
    """Series under the names that they deserve; settings that follow from them are added.

    TRL's ``logps/*`` are sums over tokens and its ``rewards/*`` beta times summed log-ratios,
    whatever the loss.  Means over tokens are logged for SimPO and ORPO, and for IPO by TRL before
    0.29, by its CPO trainer and by LLaMA-Factory; without a reference model rewards are beta times
    log-probabilities.  Read off the sources of TRL 0.7 to 1.9, LLaMA-Factory and OpenRLHF.
    """
    columns = set(columns)
    series = _online(series, columns, notes)
    if any("argmax_prob_logits" in one.column for one in series.values()):
        notes.append(
            "argmax_prob_logits, here greedy, sums the log-probability of the likeliest token at "
            "every place of a given response; it is not the model's own continuation."
        )
    why = _per_token(columns, settings)
    if why:
        notes.append(f"logps/* are taken for means over tokens, not sums: {why}.")
        series = dict(_renamed(series))
    _read_off(series, settings, notes)
    if any(one.split == "train" and one.name == "chosen" for one in series.values()) and not any(
        one.split == "eval" and one.name in ("chosen", "chosen_per_token")
        for one in series.values()
    ):
        notes.append(
            "The log has no evaluations of log-probabilities: those of training are of another "
            "batch every time, which is noise in all that is read off them."
        )
    return series


def _per_token(columns: set[str], settings: dict[str, Any]) -> str:
    """Why log-probabilities must be means over tokens; empty if they are sums."""
    losses = settings.get("loss_type") or ()
    losses = [losses] if isinstance(losses, str) else list(losses)
    for loss in losses:
        if loss in _PER_TOKEN_LOSSES:
            return f"that is what trainers log for {loss}"
    for column in columns:
        if split_of(column)[1] in _RATIO_COLUMNS:
            return f"{column} tells of ORPO, for which trainers log means"
    if "ipo" in losses and not any(split_of(c)[1] == "entropy" for c in columns):
        return (
            "for ipo, TRL before 0.29 (which logs no entropy), its CPO trainer and LLaMA-Factory "
            "log means"
        )
    return ""


def _renamed(series: dict[str, Series]) -> Iterable[tuple[str, Series]]:
    for key, one in series.items():
        if one.name in ("chosen", "rejected") and "probe/" not in one.column:
            name = f"{one.name}_per_token"
            yield f"{one.split}/{name}", replace(one, name=name)
        else:
            yield key, one


def _online(series: dict[str, Series], columns: set[str], notes: list[str]) -> dict[str, Series]:
    """Without what the online trainers of TRL log under names that mean something else."""
    bare = {split_of(column)[1] for column in columns}
    if "objective/entropy" not in bare:
        return series
    notes.append(
        "The responses are drawn anew at every step (an online trainer): log-probabilities are of "
        "other responses each time."
    )
    if not {"mixture_coef", "loss/xpo"} & bare:
        return series
    mixed = ("chosen", "rejected", "reward_chosen", "reward_rejected", "reward_margin", "accuracy")
    notes.append(
        "TRL's Nash-MD and XPO trainers log other quantities as logps/* and rewards/* (of the "
        "model against a mixture or the reference); these were left out."
    )
    return {key: one for key, one in series.items() if one.name not in mixed}


def _read_off(series: dict[str, Series], settings: dict[str, Any], notes: list[str]) -> None:
    """beta, and whether there is a reference, from rewards against log-probabilities.

    On fixed responses ``reward = beta (log pi - log ref)``: a line, with slope beta, and through
    the origin if there is no reference.
    """
    found = [line for side in _SIDES if (line := _line(series, "eval", side))]
    if not found:  # batches differ: only a line through the origin is none by accident
        lines = [_line(series, "train", side) for side in _SIDES]
        found = [line for line in lines if line is not None and line[1]]
    if not found:
        return
    slopes = np.array([slope for slope, _ in found])
    beta = float(np.median(slopes))
    if beta <= 0 or np.ptp(slopes) > 10 * _EXACT * beta:
        return
    if all(free for _, free in found) and not settings.get("reference_free"):
        settings["reference_free"] = True
        notes.append(
            f"Rewards are {beta:.4g} times the log-probabilities: this trainer has no reference "
            "model, and its rewards are no log-ratios."
        )
        summed = "eval/chosen" in series or "train/chosen" in series
        if summed and not settings.get("loss_type"):
            notes.append(
                "Trainers without a reference log sums over tokens or, for SimPO and ORPO, means: "
                "sums were assumed, as the log does not name its loss (loss_type in an args.json "
                "beside it would)."
            )
    given = settings.get("beta")
    if given is None:
        settings["beta"] = float(f"{beta:.4g}")
        notes.append(f"beta = {beta:.4g}, by the rewards' slope over the log-probabilities.")
    elif isinstance(given, (int, float)) and abs(given - beta) > 10 * _EXACT * beta:
        notes.append(
            f"beta was given as {given:g}, but the rewards' slope over the log-probabilities "
            f"is {beta:.4g}: one of them is wrong."
        )


_SIDES = ("chosen", "rejected")


def _line(series: dict[str, Series], split: str, side: str) -> tuple[float, bool] | None:
    """Slope of rewards over log-probabilities, and whether the line meets the origin."""
    logps = series.get(f"{split}/{side}") or series.get(f"{split}/{side}_per_token")
    rewards = series.get(f"{split}/reward_{side}")
    if logps is None or rewards is None or "probe/" in logps.column:
        return None
    _, a, b = np.intersect1d(logps.steps, rewards.steps, return_indices=True)
    x, y = logps.values[a], rewards.values[b]
    if len(x) < _FEWEST:
        return None
    with np.errstate(all="ignore"):  # of values that are equal, or as large as numbers go
        centred = x - x.mean()
        slope = float(centred @ (y - y.mean()) / (centred @ centred))
        start = float(y.mean() - slope * x.mean())
        off = np.abs(y - start - slope * x).max()
        straight = off <= _EXACT * np.ptp(y)
        through = abs(start) <= 10 * _EXACT * np.abs(y).max()
    return (slope, bool(through)) if straight else None
