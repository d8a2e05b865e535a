"""Figure: every pair ranked right while the distribution collapses, and the repair."""

from typing import Any

import numpy as np

from analysis.stable_preference_optimisation.population import DATA, PROMPTS, D, population
from prefdyn import Pair, objectives
from prefdyn.plots.house import BLACK, GREY, PALETTE, figure, panel
from prefdyn.policies import LogLinear

TITLE = "A population: pair accuracy, collapse, and the repair"
CAPTION = """
Simulated: 40 prompts with 10 responses of the data and 50 unlikely others, a log-linear policy of
12 shared features, chosen = the data's best, rejected = its median, 1,000 steps of gradient descent
at rate 0.5 from the reference. Lengths are 3 tokens for chosen and 1 for rejected responses. Solid:
the loss alone; dashed: with the constraint of stable preference optimisation as a penalty, nu = 1
times the likelihood loss of the data. (a) Probability outside the data against the step; (b) mean
probability of the chosen responses. (c) Probability outside at the end without (filled) and with
(open) the penalty, and the predicted bound 1 - exp(-(L_SFT - H(q))) (bars) where it is below 0.9;
numbers: share of pairs ranked right, without and with. (d) NOT ours: GSM8K accuracy of large
language models published in arXiv 2507.07723 (version 2, Table 2), fine-tuned model (bars), then
without and with SPO. Direction only: neither quantity nor value can be compared with the toy's.
beta is the pull to the reference in DPO, DPOP and R-DPO (0.5) and a margin scale in CPO (0.5),
SimPO (2) and AlphaDPO (2.5); CPO holds the chosen responses with a likelihood term of its own, DPOP
with a hinge.
"""
CLAIMS = ("SPO-8", "SPO-9")

STEPS, RATE, NU = 1_000, 0.5, 1.0
CHOSEN_LENGTH, REJECTED_LENGTH = 3.0, 1.0
METHODS = {
    "DPO": {"id": "dpo", "beta": 0.5},
    "CPO": {"id": "cpo", "beta": 0.5},
    "DPOP": {"id": "dpop", "beta": 0.5, "lam": 5.0},
    "R-DPO": {"id": "r_dpo", "beta": 0.5},
    "SimPO": {"id": "simpo"},
    "AlphaDPO": {"id": "alpha_dpo", "ema_std": 1.0},
}
MODELS = ("Qwen-2.5-0.5B", "LLaMA-3.2-1B", "LLaMA-3-8B")
PUBLISHED_SFT = np.array([42.7, 49.8, 73.5])
PUBLISHED = np.array(
    [
        [[35.2, 43.2], [49.6, 54.4], [63.8, 76.5]],
        [[33.5, 41.3], [48.4, 49.9], [73.2, 77.1]],
        [[43.1, 44.1], [53.6, 53.9], [74.6, 77.2]],
        [[34.3, 43.8], [42.2, 55.0], [65.4, 75.5]],
        [[22.3, 43.9], [26.9, 52.2], [37.4, 76.0]],
        [[34.7, 40.3], [32.9, 42.3], [33.5, 70.2]],
    ]
)
"""GSM8K, %: method, model, without and with SPO; arXiv 2507.07723v2, Table 2."""


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Masses and accuracy at the saved steps, (saved, method, without/with the penalty)."""
    policy, chosen, rejected, _ = population(seed)
    saved = np.unique(np.r_[0, np.geomspace(1, STEPS, 60).round()].astype(int))
    logs = trained(policy, chosen, rejected, saved)
    outside = policy.by_prompt(np.exp(logs))[..., DATA:].sum(axis=-1)
    likelihood_loss = -policy.by_prompt(logs)[..., :DATA].mean(axis=(-2, -1))
    return {
        "step": saved,
        "outside": outside.mean(axis=-1),
        "chosen": np.exp(logs[..., chosen]).mean(axis=-1),
        "fell": np.mean(logs[..., chosen] < logs[0, 0, 0, chosen], axis=-1),
        "accuracy": np.mean(logs[..., chosen] > logs[..., rejected], axis=-1),
        "bound": 1 - np.exp(-(likelihood_loss - np.log(DATA))),
        "published": PUBLISHED,
    }


def trained(
    policy: LogLinear, chosen: np.ndarray, rejected: np.ndarray, saved: np.ndarray
) -> np.ndarray:
    """Log-probabilities (saved, method, without/with the penalty, K) of gradient descent."""
    losses = [objectives.get(**kind) for kind in METHODS.values()]
    stats = [[loss.initial_stats()] * 2 for loss in losses]
    likelihood = np.zeros((2, policy.n_prompts, policy.n_responses))
    likelihood[1, :, :DATA] = NU / DATA  # q is uniform on the data
    likelihood = likelihood.reshape(2, policy.K, 1)
    reference, params = policy.log_probs(), np.zeros((len(losses), 2, D))
    ends = reference[chosen], reference[rejected]
    kept = []
    for step in range(STEPS + 1):
        logs = policy.log_probs(params)
        if step in saved:
            kept.append(logs)
        pushes = np.broadcast_to(likelihood, (*logs.shape, 1)).copy()
        up, down = preference_pushes(losses, stats, logs[..., chosen], logs[..., rejected], *ends)
        pushes[..., chosen, 0] += up
        pushes[..., rejected, 0] -= down
        params = params + RATE / PROMPTS * policy.direction(params, pushes)
    return np.array(kept)


def preference_pushes(
    losses: list, stats: list, chosen: np.ndarray, rejected: np.ndarray, *reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pushes (method, run, prompts) of all losses by one differentiation; `stats` move along."""
    import torch

    logs = [torch.tensor(side, requires_grad=True) for side in (chosen, rejected)]
    constants = [torch.as_tensor(side) for side in reference]
    total = torch.zeros((), dtype=torch.float64)
    for m, loss in enumerate(losses):
        for k in (0, 1) if stats[m][0] else (slice(None),):  # each run has its own statistics
            pair = Pair(
                chosen=logs[0][m, k],
                rejected=logs[1][m, k],
                ref_chosen=constants[0],
                ref_rejected=constants[1],
                chosen_length=CHOSEN_LENGTH,
                rejected_length=REJECTED_LENGTH,
            )
            if stats[m][0]:
                stats[m][k] = loss.update(stats[m][k], pair)
            total = total + loss.loss(pair, stats=stats[m][k] if stats[m][0] else None).sum()
    by_chosen, by_rejected = torch.autograd.grad(total, logs)
    return -by_chosen.numpy(), by_rejected.numpy()


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """What the penalty repairs, and whether the bound was ever crossed."""
    outside, accuracy, fell = (data[name][-1] for name in ("outside", "accuracy", "fell"))
    names = list(METHODS)
    worst = names[int(outside[:, 0].argmax())]
    crossed = int((data["outside"] > data["bound"] + 1e-12).sum())
    return [
        f"Without the penalty {accuracy[:, 0].min():.0%} to {accuracy[:, 0].max():.0%} of pairs "
        f"are ranked right, with {outside[:, 0].min():.2f} to {outside[:, 0].max():.3f} of the "
        f"probability outside the data (most for {worst}); {fell[:, 0].min():.0%} to "
        f"{fell[:, 0].max():.0%} of chosen responses fell.",
        f"With it {accuracy[:, 1].min():.0%} to {accuracy[:, 1].max():.0%} are ranked right, "
        f"{outside[:, 1].min():.2f} to {outside[:, 1].max():.2f} is outside and "
        f"{fell[:, 1].min():.0%} to {fell[:, 1].max():.0%} fell.",
        "Published (LLMs, GSM8K %, without -> with SPO, for "
        + ", ".join(MODELS)
        + "): "
        + "; ".join(f"{name} {_arrows(row)}" for name, row in zip(names, PUBLISHED, strict=True))
        + f". There {_gains_most(PUBLISHED[..., 1] - PUBLISHED[..., 0])} gain most from SPO, here "
        f"{_gains_most((outside[:, 0] - outside[:, 1])[:, None])}.",
        f"The bound on the mass outside was crossed {crossed} times in "
        f"{data['outside'].size} policies of all methods and steps saved.",
    ]


def _arrows(values: np.ndarray) -> str:
    return ", ".join(f"{before:g} -> {after:g}" for before, after in values)


def _gains_most(gains: np.ndarray) -> str:
    """The two methods with the largest mean gains."""
    first, second = np.argsort(-gains.mean(axis=-1))[:2]
    return f"{list(METHODS)[first]} and {list(METHODS)[second]}"


def draw(data: dict[str, np.ndarray]) -> Any:
    """Two panels over steps, one of ends, one of published numbers."""
    drawing = figure(5.9)
    axes = drawing.subplots(2, 2)
    for ax, name in zip(axes[0], ("outside", "chosen"), strict=True):
        for m, label in enumerate(METHODS):
            for k, line in enumerate(("solid", "dashed")):
                curve = data[name][:, m, k]
                ax.plot(data["step"], curve, color=PALETTE[m], linestyle=line, label=label)
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
        ax.set(xlabel="step", xlim=(0, STEPS))
    axes[0, 0].set(ylabel="probability outside the data", ylim=(0, 1.02))
    axes[0, 1].set(ylabel="mean probability of chosen", ylim=(0, None))
    panel(axes[0, 0], "a", "mass that leaves the data")
    panel(axes[0, 1], "b", "chosen responses")
    _draw_ends(axes[1, 0], data)
    _draw_published(axes[1, 1], data["published"])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    black = {"color": BLACK}
    styles = [axes[0, 0].plot([], [], linestyle=line, **black)[0] for line in ("-", "--")]
    drawing.legend(
        [*handles[::2], *styles],
        [*labels[::2], "loss alone", "with penalty"],
        loc="outside upper center",
        ncols=8,
        columnspacing=1.0,
        handlelength=1.6,
    )
    return drawing


def _rows(ax: Any) -> np.ndarray:
    rows = np.arange(len(METHODS))[::-1]
    ax.set_yticks(rows, list(METHODS))
    ax.set_ylim(-0.6, len(METHODS) - 0.4)
    return rows


def _draw_ends(ax: Any, data: dict[str, np.ndarray]) -> None:
    outside, bound, accuracy = (data[name][-1] for name in ("outside", "bound", "accuracy"))
    for m, row in enumerate(_rows(ax)):
        for k, face in enumerate((PALETTE[m], "white")):
            ax.plot(outside[m, k], row, "o", color=PALETTE[m], markerfacecolor=face, zorder=3)
            if bound[m, k] < 0.9:
                ax.plot(bound[m, k], row, "|", color=BLACK, markersize=11, zorder=2)
        ax.plot(outside[m], [row, row], color=PALETTE[m], linewidth=0.8, zorder=1)
        text = f"{accuracy[m, 0]:.0%}, {accuracy[m, 1]:.0%}"
        ax.text(1.05, row, text, fontsize=7.5, va="center", color=GREY)
    ax.text(1.05, len(METHODS) - 0.35, "ranked right", fontsize=7.5, color=GREY)
    ax.set(xlabel="probability outside the data at the end", xlim=(0, 1.03))
    panel(ax, "c", "without (filled), with (open)")


def _draw_published(ax: Any, published: np.ndarray) -> None:
    for m, row in enumerate(_rows(ax)):
        for i, marker in enumerate("osD"):
            height = row + 0.25 * (1 - i)
            style = {"color": PALETTE[m], "marker": marker, "markersize": 4, "linestyle": "none"}
            ax.plot(published[m, i], [height] * 2, color=PALETTE[m], linewidth=0.8)
            ax.plot(published[m, i, 0], height, **style)
            ax.plot(published[m, i, 1], height, **style, markerfacecolor="white")
            fine_tuned = {"color": GREY, "marker": "|", "markersize": 7, "linestyle": "none"}
            ax.plot(PUBLISHED_SFT[i], height, **fine_tuned)
    for marker, model in zip("osD", MODELS, strict=True):
        ax.plot([], [], marker, color=GREY, markersize=4, label=model)
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.22), ncols=3, handletextpad=0.1)
    ax.set(xlabel="GSM8K accuracy, % (published LLM results)", xlim=(15, 85))
    panel(ax, "d", "published: direction only")
