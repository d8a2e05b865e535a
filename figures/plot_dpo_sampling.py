"""When DPO does not care about the sampler, and when it does."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import MRS, PreferenceMatrix
from prefdyn.games import bradley_terry
from prefdyn.plots.house import BLUE, GREEN, GREY, PREDICTED, SIMULATED, VERMILION, figure, panel

TITLE = "DPO and its sampler"
CAPTION = """
One round of DPO from a uniform reference, beta = 1 (the pull to the reference), as sampling mass
moves to the best of four responses. a: on Bradley-Terry preferences the optimum is the rewards
(predicted, lines) whatever the sampler; simulated (dots) by minimising the loss. b: the same game
with a cycle added to it (strength 0.05 among the best three): the log-odds follow the sampler even
with unlimited data; predicted (lines) to first order in the cycle. c: largest change of a
log-probability over 20 random samplers against the size of a random disturbance of the game: none
at size 0 and in proportion to it beyond, for DPO around Bradley-Terry (first-order prediction) and
for IPO around additive preferences (exact prediction).
"""
CLAIMS = ("DPO-1", "DPO-2", "DPO-5", "IPO-8")

REWARDS = np.array([1.2, 0.4, 0.0, -0.6])
ADDITIVE = np.array([0.12, 0.06, -0.02, -0.16])
CYCLE = 0.05
MASS = np.linspace(0.25, 0.97, 13)
SIZES = np.geomspace(1e-4, 0.1, 7)
SAMPLERS = 20
COLOURS = (BLUE, GREEN, VERMILION)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Gaps of the DPO optimum by sampler, and its spread by distance from Bradley-Terry."""
    K = len(REWARDS)
    mu = np.column_stack([MASS, *[(1 - MASS) / (K - 1)] * (K - 1)])
    fitted = bradley_terry(REWARDS)
    ring = np.zeros((K, K))
    ring[:3, :3] = np.roll(np.eye(3), 1, axis=1) - np.roll(np.eye(3), -1, axis=1)
    data = {"mass": MASS, "sizes": SIZES}
    for name, size in (("on", 0.0), ("off", CYCLE)):
        disturbance = size * ring
        game = PreferenceMatrix(fitted.P + disturbance)
        data[f"{name}_predicted"] = -np.diff(REWARDS + shift(REWARDS, mu, disturbance), axis=-1)
        data[f"{name}_simulated"] = -np.diff(minimiser(game, mu, "dpo"), axis=-1)

    rng = np.random.default_rng(seed)
    samplers = 0.9 * rng.dirichlet(np.ones(K), size=SAMPLERS) + 0.1 / K
    upper = np.triu(rng.uniform(-1, 1, size=(K, K)), 1)
    noise = upper - upper.T
    additive = 0.5 + ADDITIVE[:, None] - ADDITIVE
    first_order = _centred(shift(REWARDS, samplers, noise))
    data["dpo_spread_predicted"] = SIZES * np.ptp(first_order, axis=0).max()
    data["ipo_spread_predicted"] = SIZES * np.ptp(_centred(samplers @ noise.T), axis=0).max()
    for name, P in (("dpo", fitted.P), ("ipo", additive)):
        spreads = [
            np.ptp(_centred(minimiser(PreferenceMatrix(P + size * noise), samplers, name)), axis=0)
            for size in (0.0, *SIZES)
        ]
        data[f"{name}_spread_at_0"], *rest = np.max(spreads, axis=-1)
        data[f"{name}_spread_simulated"] = np.array(rest)
    return data


def minimiser(game: PreferenceMatrix, mu: np.ndarray, objective: str) -> np.ndarray:
    """Log-probabilities of the policy that minimises the loss at beta = 1, by Newton's method."""
    rule = MRS(game, objective, beta=1.0, alpha=0.0, lam=0.0, offline=mu)
    return rule.log_policy(rule.step(rule.init(np.full(game.K, 1 / game.K)), 0, None))


def shift(rewards: np.ndarray, mu: np.ndarray, disturbance: np.ndarray) -> np.ndarray:
    """First-order change of the DPO scores when P leaves Bradley-Terry by a skew disturbance.

    It solves ``sum_j mu_j sigma'(r_i - r_j) (dr_i - dr_j) = (D mu)_i`` (claim DPO-5, with P in the
    place of mu), for samplers (..., K).
    """
    half = 0.5 * (rewards[:, None] - rewards)
    weights = mu[..., None, :] / (4 * np.cosh(half) ** 2)
    laplacian = np.eye(len(rewards)) * weights.sum(axis=-1)[..., None] - weights
    # The null space is the constants; adding 1 mu^T fixes the constant and nothing else.
    system = laplacian + mu[..., None, :]
    return np.linalg.solve(system, (mu @ disturbance.T)[..., None])[..., 0]


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=-1, keepdims=True)


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """What is left of the dependence where there should be none."""
    return [
        f"At size 0 the spread over samplers is {data['dpo_spread_at_0']:.1e} for DPO on "
        f"Bradley-Terry and {data['ipo_spread_at_0']:.1e} for IPO on additive preferences."
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """On Bradley-Terry, off it, and the way between."""
    drawing = figure(2.9)
    axes = drawing.subplots(1, 3, width_ratios=(1, 1, 1.1))
    titles = ("Bradley-Terry", "with a cycle")
    for k, (name, title) in enumerate(zip(("on", "off"), titles, strict=True)):
        for i, colour in enumerate(COLOURS):
            predicted, simulated = data[f"{name}_predicted"], data[f"{name}_simulated"]
            label = f"{i + 1} over {i + 2}"
            axes[k].plot(data["mass"], predicted[:, i], color=colour, label=label, **PREDICTED)
            axes[k].plot(data["mass"], simulated[:, i], color=colour, **SIMULATED)
        axes[k].set(xlabel="mass on the best response", ylim=(-0.1, 1.6))
        panel(axes[k], "ab"[k], title)
    axes[0].set_ylabel("gap in log-probability (nats)")
    axes[0].legend(title="responses", loc="upper left")
    for name, colour, label in (("dpo", BLUE, "DPO"), ("ipo", VERMILION, "IPO")):
        axes[2].loglog(
            data["sizes"], data[f"{name}_spread_predicted"], color=colour, label=label, **PREDICTED
        )
        axes[2].plot(data["sizes"], data[f"{name}_spread_simulated"], color=colour, **SIMULATED)
    axes[2].set(xlabel="size of the disturbance of P", ylabel="spread over samplers (nats)")
    axes[2].legend()
    axes[2].grid(color=GREY, alpha=0.2)
    panel(axes[2], "c", "how much it matters")
    return drawing
