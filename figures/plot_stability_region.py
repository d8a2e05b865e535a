"""Figure: where MRS-IPO converges, in the plane of alpha and lam/beta, for four games."""

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from prefdyn import MRSIPO, ensemble, fixed_point, games, stability
from prefdyn.plots.house import BLACK, BLUE, CALM, GREEN, MOVING, ORANGE, figure, panel

TITLE = "Where it converges: exact boundary, certificates and simulated verdicts"
CAPTION = """
MRS-IPO with lam = 1, uniform reference and offline sampler. Predicted: the boundary where the
fixed point's spectral radius is 1 (black), and two conditions below which convergence from every
start is proved, contraction (blue, dashed) and mirror descent (green, dotted). Simulated, one
pixel per recipe: 3,000 rounds from next to the fixed point and from far away (0.98 on one
response); a run keeps moving if its variance over the last 1,000 rounds has not fallen below 0.9
times that of the 1,000 before. Games: rock-paper-scissors with winning probability 0.9; the first
random game over five responses, in the order of the seed, without a Condorcet winner; a Condorcet
cycle among five candidates of a real election (close to even, so unstable only for very weak
pulls); the published "cyclic" dueling matrix, whose Condorcet winner leaves only an island of
instability, although runs from afar cycle far beyond it (orange): the boundary is about small
perturbations only. beta is the pull to the reference; the paper's beta is 1/beta.
"""
CLAIMS = ("MRS-2", "MRS-3", "MRS-4", "MRS-5", "MRS-9", "MRS-14", "NS-5")

RANGE = (0.5, 2000.0)
HIGHEST_ALPHA = 0.98
CALM_VARIANCE, DECAYING = 1e-22, 0.9
STABLE_ELSEWHERE = ("pandalm", "arxiv", "arithmetic")
GAMES = ("rock-paper-scissors", "random, five responses", "election cycle", "“cyclic” duels")


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Boundaries from multipliers, certificates by formula, verdicts by simulation."""
    alpha, drive = _grid(*((80, 120) if full else (40, 60)))
    tau = np.geomspace((1 - HIGHEST_ALPHA) / RANGE[1], 1 / RANGE[0], 600)
    chosen = (
        games.rock_paper_scissors(0.4),
        _cyclic_draw(seed),
        games.load("minneapolis"),
        games.load("cyclic"),
    )
    simulated = [_simulate(game, alpha, drive) for game in chosen]
    return {
        "games": np.array(GAMES),
        "alpha": alpha,
        "drive": drive,
        "boundary": np.stack([_boundary(game, tau) for game in chosen]),
        "norm": np.array([np.linalg.norm(game.skew, 2) for game in chosen]),
        "largest": np.array([np.abs(game.skew).max() for game in chosen]),
        "radius": np.stack([radius for radius, _ in simulated]),
        "moving": np.stack([moving for _, moving in simulated]),
        "elsewhere": np.array(STABLE_ELSEWHERE),
        "radius_elsewhere": np.array(
            [_radius(games.load(name), tau).max() for name in STABLE_ELSEWHERE]
        ),
    }


def _grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(0, HIGHEST_ALPHA, columns), np.geomspace(*RANGE, rows)


def _cyclic_draw(seed: int) -> games.PreferenceMatrix:
    """The first random game of the seed that has no Condorcet winner."""
    rng = np.random.default_rng(seed)
    while games.condorcet_winner(game := games.random(5, rng)) is not None:
        pass
    return game


def _radius(game: games.PreferenceMatrix, tau: np.ndarray) -> np.ndarray:
    """Spectral radius at alpha = 0 and beta = tau."""
    return stability(MRSIPO(game, beta=tau, alpha=0.0, lam=1.0)).spectral_radius


def _boundary(game: games.PreferenceMatrix, tau: np.ndarray) -> np.ndarray:
    """The curve (2, tau) of alpha and lam/beta on which the radius is 1.

    The fixed point depends on alpha and beta through tau = (1 - alpha) beta only. With c the radius
    at alpha = 0, the radius along that family is 1 where alpha^2 + c^2 (1 - alpha)^2 = 1; for c < 1
    that alpha is negative, off the plane, and there is no boundary.
    """
    c = _radius(game, tau)
    alpha = (c**2 - 1) / (c**2 + 1)
    return np.stack([alpha, (1 - alpha) / tau])


def _simulate(
    game: games.PreferenceMatrix, alpha: np.ndarray, drive: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted radii (drive, alpha), and whether runs from near and from afar keep moving."""
    rule = MRSIPO(game, beta=1 / drive[:, None], alpha=alpha, lam=1.0)
    point = fixed_point(rule)
    centre = point.log_policy
    nudge = 1e-3 * np.linspace(1, -1, game.K)
    far = np.full(game.K, 0.02 / (game.K - 1))
    far[-1] = 0.98
    log_starts = np.stack([_normalised(centre + nudge), np.broadcast_to(np.log(far), centre.shape)])
    reducers = ("cycle_strength", "last_log_policy")
    before = ensemble(
        rule, log_starts=log_starts, rounds=2_000, burn_in=0.5, reducers=reducers, progress=False
    )
    after = ensemble(
        rule,
        log_starts=before["last_log_policy"],
        rounds=1_000,
        burn_in=0.0,
        reducers=("cycle_strength",),
        progress=False,
    )["cycle_strength"]
    moving = (after > CALM_VARIANCE) & (after > DECAYING * before["cycle_strength"])
    return stability(rule, point).spectral_radius, moving


def _normalised(log_policy: np.ndarray) -> np.ndarray:
    return log_policy - np.log(np.exp(log_policy).sum(axis=-1, keepdims=True))


def draw(data: dict[str, np.ndarray]) -> Any:
    """One panel per game."""
    drawing = figure(6.4)
    verdicts = ListedColormap([CALM, ORANGE, MOVING])
    for k, ax in enumerate(drawing.subplots(2, 2, sharex=True, sharey=True).flat):
        near, far = data["moving"][k].astype(int)
        ax.pcolormesh(
            data["alpha"],
            data["drive"],
            np.where(near == 1, 2, far),
            cmap=verdicts,
            vmin=0,
            vmax=2,
            rasterized=True,
        )
        ax.plot(*data["boundary"][k], color=BLACK, linewidth=1.6)
        alpha = np.linspace(0, HIGHEST_ALPHA, 200)
        contraction, mirror = _certificates(alpha, data["norm"][k], data["largest"][k])
        ax.plot(alpha, contraction, color=BLUE, linestyle="--")
        ax.plot(alpha, mirror, color=GREEN, linestyle=":", linewidth=2)
        ax.set(yscale="log", ylim=RANGE, xlim=(0, HIGHEST_ALPHA))
        panel(ax, "abcd"[k], str(data["games"][k]))
        if k > 1:
            ax.set_xlabel("α, share of the current policy in the reference")
        if k % 2 == 0:
            ax.set_ylabel("λ/β  (λ = 1)")
    drawing.legend(handles=_legend(), loc="outside lower center", ncols=3)
    return drawing


def _certificates(alpha: np.ndarray, norm: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """The largest lam/beta that contraction and that mirror descent allow."""
    return 2 * (1 - alpha) / norm, np.sqrt(alpha * (1 - alpha)) / largest


def _legend() -> list[Any]:
    return [
        Line2D([], [], color=BLACK, linewidth=1.6, label="predicted: radius = 1"),
        Line2D([], [], color=BLUE, linestyle="--", label="proved below: contraction"),
        Line2D(
            [], [], color=GREEN, linestyle=":", linewidth=2, label="proved below: mirror descent"
        ),
        Patch(facecolor=CALM, edgecolor="#999", linewidth=0.5, label="simulated: settles"),
        Patch(facecolor=MOVING, label="simulated: keeps moving"),
        Patch(facecolor=ORANGE, label="simulated: moves from afar only"),
    ]


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """Agreement of pixels with the boundary and the certificates, and the games not shown."""
    alpha, drive = data["alpha"], data["drive"]
    sentences, broken = [], 0
    for k, name in enumerate(data["games"]):
        near, far = data["moving"][k]
        agreeing = np.sum(near == (data["radius"][k] > 1))
        sentences.append(
            f"{name}: next to the fixed point {agreeing:,} of {near.size:,} simulated verdicts are "
            f"the predicted ones; {np.sum(far & ~near):,} recipes settle there but move from afar."
        )
        certified = drive[:, None] < np.maximum(
            *_certificates(alpha, data["norm"][k], data["largest"][k])
        )
        broken += int(np.sum(certified & (near | far)))
    sentences.append(f"Certified recipes that keep moving, in all games: {broken}.")
    calm = ", ".join(
        f"{name} ({radius:.3f})"
        for name, radius in zip(data["elsewhere"], data["radius_elsewhere"], strict=True)
    )
    sentences.append(
        "Without any unstable recipe on the plane shown, and so left out (in brackets the largest "
        f"radius at alpha = 0): {calm}."
    )
    return sentences
