"""Where each rule stops settling, in the plane of the pull tau and the step eta."""

import numpy as np
from matplotlib.figure import Figure

from prefdyn import (
    EGPO,
    IPOMD,
    NashMD,
    NashMDPG,
    OnlineIPO,
    Rule,
    fixed_point,
    online_mirror_descent,
    orbit,
    stability,
)
from prefdyn.games import PreferenceMatrix, rock_paper_scissors
from prefdyn.plots.house import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PREDICTED,
    SIMULATED,
    VERMILION,
    figure,
    panel,
)
from prefdyn.policies import centre, log_softmax

TITLE = "Where each rule cycles"
CAPTION = """
The step eta (in logits) beyond which the rest point no longer attracts and a rule cycles, against
tau, the KL strength of the regularised game (the pull to the reference). Nash-MD cycles inside its
tongue only: with large steps it comes back to the reference. Lines: predicted, the modulus of the
multipliers is 1; dots: simulated, by bisection on whether a perturbation of 1e-3 dies out. Mirror
descent is also INPO, and MRS-IPO with beta = 1/eta, alpha = 1 - eta tau. Gradient rules are shown
at the rate that is a step of eta at the uniform policy, rate = 3 eta tau/4 (IPO forms) or 3 eta
(policy gradient); half of the reference is mixed into the opponent of IPO-MD and Nash-MD-PG. Beyond
eta tau = 1 (grey) a mirror step would overshoot the reference; that is not searched. a:
rock-paper-scissors with win rates 1/2 +- 0.4 and a uniform reference: closed forms, in which the
gradient rules share two lines. b: an uneven cycle and a skewed reference: multipliers of the
Jacobian at the rest point; there gradient rules differ, because they move rare responses less.
"""
CLAIMS = ("GAME-3", "GAME-4", "GAME-5", "GAME-6")

STRENGTH = 0.4
UNEVEN = PreferenceMatrix([[0.5, 0.98, 0.3], [0.02, 0.5, 0.8], [0.7, 0.2, 0.5]])
REFERENCE = np.array([0.6, 0.3, 0.1])
MIXTURE = 0.5
FINE = np.geomspace(0.01, 0.5, 60)
COARSE = np.geomspace(0.01, 0.5, 15)
"""Values of tau at which the Jacobian gives the lines of panel b; every second one is simulated."""
TAU = COARSE[::2]
LOW, HIGH = 0.3, 60.0
"""Range of eta that is searched; below it one turn takes longer than the simulation's windows."""
SCAN, HALVINGS = 20, 7
ROUNDS, WINDOW = 600, 200
COLOURS = {
    "mirror descent": BLUE,
    "EGPO": VERMILION,
    "Nash-MD": GREEN,
    "online IPO": GREY,
    "IPO-MD": ORANGE,
    "Nash-MD-PG": "#7A4FA3",
}


def rule_of(name: str, game: PreferenceMatrix, eta, tau, reference) -> Rule:
    """One rule with a step of eta; arrays are a batch."""
    share = eta * tau
    return {
        "mirror descent": lambda: online_mirror_descent(game, eta, tau, reference),
        "EGPO": lambda: EGPO(game, eta, tau, reference),
        "Nash-MD": lambda: NashMD(game, eta, tau, reference),
        "online IPO": lambda: OnlineIPO(game, 0.75 * share, tau, reference=reference),
        "IPO-MD": lambda: IPOMD(game, 0.75 * share, tau, MIXTURE, reference=reference),
        "Nash-MD-PG": lambda: NashMDPG(game, 3 * eta, tau, MIXTURE, reference=reference),
    }[name]()


def steps(tau: np.ndarray, number: int) -> np.ndarray:
    """Values (number, taus) of eta to look at, up to ``eta tau = 1``."""
    return np.geomspace(np.full_like(tau, LOW), np.minimum(HIGH, 0.999 / tau), number)


def closed_form(name: str, tau: np.ndarray) -> np.ndarray:
    """Ends (1 or 2, taus) of the cycling steps on rock-paper-scissors; infinite without any."""
    s = STRENGTH / np.sqrt(3)
    share = MIXTURE if name in ("IPO-MD", "Nash-MD-PG") else 0.0

    def grows(eta):
        m, y = 1 - eta * tau, eta * s
        if name == "EGPO":
            return np.hypot(m - y**2, m * y) > 1
        if name == "Nash-MD":
            return m * np.hypot(1, y) > 1
        return np.hypot(m, (1 - share) * y) > 1

    return ends(name, grows, steps(tau, 2000))


def by_multipliers(name: str, game: PreferenceMatrix, tau: np.ndarray, reference) -> np.ndarray:
    """The same from the spectral radius at the rest point."""

    def grows(eta):
        return np.asarray(stability(rule_of(name, game, eta, tau, reference)).spectral_radius) > 1

    return ends(name, grows, steps(tau, SCAN))


def by_simulation(name: str, game: PreferenceMatrix, tau: np.ndarray, reference) -> np.ndarray:
    """The same from whether a perturbation grows."""

    def grows(eta):
        rule = rule_of(name, game, eta, tau, reference)
        point = fixed_point(rule).log_policy
        start = log_softmax(point + 1e-3 * np.array([1.0, -1.0, 0.0]))
        run = orbit(rule, log_start=start, rounds=ROUNDS, tolerance=0)
        size = np.linalg.norm(centre(run.log_policies - point), axis=-1)
        return size[-WINDOW:].mean(0) > size[:WINDOW].mean(0)

    return ends(name, grows, steps(tau, SCAN))


def ends(name: str, grows, eta: np.ndarray) -> np.ndarray:
    """First step that `grows` and, for Nash-MD, the last one; refined between two of eta."""
    up = np.asarray(grows(eta))
    first, last = np.argmax(up, axis=0), len(up) - 1 - np.argmax(up[::-1], axis=0)
    found = []
    for inside, outside in ((first, first - 1), (last, last + 1))[: 1 + (name == "Nash-MD")]:
        known = up.any(axis=0) & (outside >= 0) & (outside < len(up))
        high, low = (
            np.take_along_axis(eta, np.clip(k, 0, len(up) - 1)[None], axis=0)[0]
            for k in (inside, outside)
        )
        for _ in range(HALVINGS):
            middle = np.sqrt(low * high)
            here = grows(middle)
            low, high = np.where(here, low, middle), np.where(here, middle, high)
        found.append(np.where(known, np.sqrt(low * high), np.inf))
    return np.stack(found)


def compute(seed: int, full: bool = False) -> dict[str, np.ndarray]:
    """Critical steps of every rule on both games."""
    even = rock_paper_scissors(STRENGTH)
    data: dict[str, np.ndarray] = {"tau": TAU, "fine": FINE, "coarse": COARSE}
    for name in COLOURS:
        data[f"even line {name}"] = closed_form(name, FINE)
        data[f"even line at dots {name}"] = closed_form(name, TAU)
        data[f"even dots {name}"] = by_simulation(name, even, TAU, None)
        line = by_multipliers(name, UNEVEN, COARSE, REFERENCE)
        data[f"uneven line {name}"], data[f"uneven line at dots {name}"] = line, line[:, ::2]
        data[f"uneven dots {name}"] = by_simulation(name, UNEVEN, TAU, REFERENCE)
    return data


def findings(data: dict[str, np.ndarray]) -> list[str]:
    """How exact the boundaries are, and who can take larger steps."""
    errors = []
    for name in COLOURS:
        for kind in ("even", "uneven"):
            predicted, found = data[f"{kind} line at dots {name}"], data[f"{kind} dots {name}"]
            both = np.isfinite(predicted) & np.isfinite(found)
            errors.append(np.abs(found[both] / predicted[both] - 1).max(initial=0.0))
    k = int(np.argmin(np.abs(data["tau"] - 0.05)))
    egpo, plain = (data[f"uneven line at dots {name}"][0, k] for name in ("EGPO", "mirror descent"))
    return [
        f"Predicted and simulated boundaries differ by at most {max(errors):.1%}.",
        f"On the uneven cycle at tau = {data['tau'][k]:.2g} EGPO takes steps "
        f"{egpo / plain:.1f} times those of mirror descent before it cycles.",
    ]


def draw(data: dict[str, np.ndarray]) -> Figure:
    """Two panels, one per game."""
    drawing = figure(3.5)
    axes = drawing.subplots(1, 2, sharey=True)
    for ax, kind, x in ((axes[0], "even", data["fine"]), (axes[1], "uneven", data["coarse"])):
        ax.fill_between(data["fine"], 1 / data["fine"], HIGH, color=GREY, alpha=0.15, linewidth=0)
        for k, (name, colour) in enumerate(COLOURS.items()):
            line = data[f"{kind} line {name}"].T
            dashes = "solid" if k < 3 else (0, (4, 2))
            line = np.where(np.isfinite(line), line, np.nan)
            ax.plot(x, line, color=colour, linestyle=dashes, **PREDICTED)
            ax.plot([], [], color=colour, linestyle=dashes, label=name)
            dots = data[f"{kind} dots {name}"].T
            ax.plot(
                data["tau"], np.where(np.isfinite(dots), dots, np.nan), color=colour, **SIMULATED
            )
        ax.set(xscale="log", yscale="log", xlabel=r"$\tau$ (KL strength)", ylim=(LOW, HIGH))
    axes[0].set_ylabel(r"step $\eta$ at which cycles begin")
    panel(axes[0], "a", "even cycle")
    panel(axes[1], "b", "uneven cycle, skewed reference")
    axes[0].legend(loc="lower right", fontsize=7)
    return drawing
