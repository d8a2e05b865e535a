"""Experiment: rounds of preference optimisation converge, orbit or collapse where theory says."""

import copy
from typing import Any

import numpy as np

import prefdyn
from prefdyn import games
from prefdyn._errors import InsufficientData
from prefdyn.llm._encoding import Tokens
from prefdyn.llm._forward import log_probs
from prefdyn.llm._parameters import at_rest, select_parameters
from prefdyn.llm.models import LanguageModel
from prefdyn.llm.rounds._candidates import gather
from prefdyn.llm.rounds._inner import Inner, fit, measured
from prefdyn.llm.rounds._iterate import LanguageModelOrbit, mrs_rounds
from prefdyn.llm.rounds._population import Newton
from prefdyn.llm.sampling import continuations
from prefdyn.llm.validate._draws import fresh, own_prompts
from prefdyn.llm.validate._rounds_view import draw, records
from prefdyn.policies.softmax import centre, log_softmax
from prefdyn.rules import MRSDPO, MRSIPO

__all__ = ["CAPTION", "CLAIMS", "TITLE", "draw", "measure", "predict", "records"]

TITLE = "Rounds on a language model: where they converge, orbit and collapse"
CAPTION = """
Three completions of one prompt, written by the model, under rock-paper-scissors preferences (win
probability 0.9; alpha = 0.5, lam = 1, uniform reference). a, b: policy among the completions over
the rounds at a beta (the pull to the reference) above and below the predicted threshold; lines are
the tabular orbit, simulated before training, dots the model, its parameters trained to the minimum
of each round's loss (open squares: with Adam). c: growth per round of a small perturbation of the
fixed point against beta, predicted (lines) and measured on the model (dots), for IPO, for DPO, and
for IPO on several prompts that share the parameters; it crosses 1 at the predicted threshold
(dotted). Rounds are trained by Gauss-Newton, to their minimum, unless Adam is named. Purple:
under-trained rounds of 10 gradient steps; the dash is predicted from the share of a round that they
reach. d: an orbit just below the threshold, probability of the first completion. e: entropy on a
strongly transitive game; the dotted line is the predicted limit. f: probability that the model
gives to the three completions together, of which the theory knows the shares only; where it is tiny
the model writes other things.
"""
CLAIMS = ("MRS-1", "MRS-4", "MRS-5", "MRS-7", "MRS-11", "DPO-8", "RND-2", "RND-4")

GAME = "rps:0.4"
RECIPE: dict[str, Any] = {"alpha": 0.5, "lam": 1.0}
RULES: dict[str, Any] = {"ipo": MRSIPO, "dpo": MRSDPO}
ABOVE, BELOW, ONSET = 1.8, 0.6, 0.95
"""Beta as a multiple of the predicted threshold: of the converging, the orbiting run, and one just
below."""
BRACKET, NARROW = (0.5, 2.0), (0.9, 1.12)
"""Where the threshold is searched, as multiples of the predicted one; on several prompts."""
TRANSITIVE = [[0.5, 0.7, 0.9], [0.3, 0.5, 0.8], [0.1, 0.2, 0.5]]
COLLAPSING = 0.1
"""Beta on the transitive game."""
PROMPT, LENGTH, DRAWN, K, APART = 6, 6, 8, 3, 1.0
"""Tokens of a prompt and of a completion; completions drawn, of which those K are kept whose
log-probabilities span nearest to this many nats: at the fixed point itself nothing would move."""
NEAR, LINEAR = 0.03, 0.4
"""Nats by which small perturbations move a log-odds, and up to which they count as small."""
UNDERTRAINED, STEPS, SHARE = 0.8, 10, 0.4
"""Beta of the under-trained rounds as a multiple of the threshold, gradient steps a round, and the
share of a round that the program sets their rate for."""
SIZES: dict[str, dict[str, int]] = {
    "quick": {"rounds": 12, "near": 10, "halvings": 3, "onset": 32, "adam": 6, "prompts": 2},
    "default": {"rounds": 24, "near": 14, "halvings": 5, "onset": 72, "adam": 12, "prompts": 4},
}
TIGHT = Inner(residual=3e-5)
ADAM = Inner("adam", rate=5e-4, steps=80)


def predict(lm: LanguageModel, size: str, seed: int) -> dict[str, Any]:
    """Draw prompts and completions, and predict thresholds, periods, orbits and the limit."""
    budget = SIZES[size]
    prompts = own_prompts(lm, budget["prompts"], PROMPT, seed)
    completions = [_apart(lm, prompt, seed) for prompt in prompts]
    found = gather(lm.model, lm.tokenizer, prompts, completions)
    start = log_softmax(measured(lm.model, found.responses, found.prompts))
    thresholds = {name: _threshold(name) for name in RULES}
    critical = thresholds["ipo"]["beta"]
    near = log_softmax(centre(np.zeros(K)) + NEAR * np.array([1.0, -1.0, 0.0]))
    wide = log_softmax(np.array([0.45, -0.35, -0.1]))
    orbits = {
        "above": _orbit(ABOVE * critical, start[0], budget["rounds"]),
        "below": _orbit(BELOW * critical, start[0], budget["rounds"]),
        "onset": _orbit(ONSET * critical, wide, budget["onset"]),
        "transitive": _orbit(COLLAPSING, start[0], budget["rounds"], TRANSITIVE),
        "several": _orbit(BELOW * critical, start, budget["adam"]),
    }
    return {
        "prompts": [lm.tokenizer.decode(prompt) for prompt in prompts],
        "prompt_tokens": prompts,
        "completions": [[lm.tokenizer.decode(x) for x in group] for group in completions],
        "tokens": completions,
        "start": start,
        "near": near,
        "thresholds": thresholds,
        "orbits": orbits,
        "budget": budget,
    }


def _apart(lm: LanguageModel, prompt: Tokens, seed: int) -> list[Tokens]:
    """Of the completions that the model writes, K neighbours in log-probability."""
    drawn = continuations(lm.model, lm.tokenizer, prompt, DRAWN, length=LENGTH, seed=seed)
    values = log_probs(lm.model, drawn).detach().double().numpy()
    order = np.argsort(-values)
    spread = values[order[: len(order) - K + 1]] - values[order[K - 1 :]]
    first = int(np.argmin(np.abs(spread - APART)))
    return [drawn.tokens[i] for i in order[first : first + K]]


def _rule(name: str, beta: float, game: Any = GAME) -> Any:
    matrix = games.load(game) if isinstance(game, str) else games.PreferenceMatrix(game)
    return RULES[name](matrix, beta, **RECIPE)


def _threshold(name: str) -> dict[str, Any]:
    """Critical beta, period at onset, and the growth of perturbations around it."""
    beta = float(prefdyn.critical(_rule(name, 1.0), "beta").value)
    betas = np.geomspace(0.4, 2.5, 41) * beta
    growth = [float(prefdyn.stability(_rule(name, b)).spectral_radius) for b in betas]
    period = float(prefdyn.stability(_rule(name, beta)).period)
    return {"beta": beta, "period": period, "betas": betas, "growth": growth}


def _orbit(beta: float, start: np.ndarray, rounds: int, game: Any = GAME) -> dict[str, Any]:
    """The tabular run, its fixed point, and what is read off them."""
    rule = _rule("ipo", beta, game)
    run = prefdyn.orbit(rule, log_start=start, rounds=rounds, tolerance=0)
    point = prefdyn.fixed_point(rule)
    bounds = [c.value for c in rule.certificates() if c.claim == "MRS-11"]
    return {
        "beta": beta,
        "start": start,
        "policies": run.policies,
        "point": point.policy,
        "kind": str(prefdyn.stability(rule).kind),
        "entropy": _entropy(point.policy),
        "period": _period(run.policies),
        "bound": bounds[0] if bounds else None,
    }


def _entropy(policy: np.ndarray) -> float:
    return float(-(policy * np.log(policy)).sum())


def _period(policies: np.ndarray) -> float | None:
    """Rounds per turn after the first quarter; None where the run does not support it."""
    if policies.ndim > 2:
        return None
    try:
        return float(prefdyn.period(policies, burn_in=0.25))
    except InsufficientData:
        return None


def measure(lm: LanguageModel, predicted: dict[str, Any], size: str, seed: int) -> dict[str, Any]:
    """Train copies of the model through every run."""
    bench = _Bench(lm, predicted)
    budget, orbits = predicted["budget"], predicted["orbits"]
    runs = {
        "above": bench.run(fresh(lm), orbits["above"]["beta"], budget["rounds"]),
        "below": bench.run(fresh(lm), orbits["below"]["beta"], budget["rounds"]),
        "onset": bench.run(
            bench.brought(orbits["onset"]["start"]), orbits["onset"]["beta"], budget["onset"]
        ),
        "transitive": bench.run(fresh(lm), COLLAPSING, budget["rounds"], TRANSITIVE),
        "adam above": bench.run(fresh(lm), orbits["above"]["beta"], budget["adam"], inner=ADAM),
        "adam below": bench.run(fresh(lm), orbits["below"]["beta"], budget["adam"], inner=ADAM),
        "several": bench.run(
            fresh(lm), orbits["several"]["beta"], budget["adam"], several=True, inner=ADAM
        ),
    }
    thresholds = {name: bench.threshold(name, BRACKET, budget["halvings"]) for name in RULES} | {
        "several": bench.threshold("ipo", NARROW, 0, several=True)
    }
    return {
        "runs": {name: _told(run) for name, run in runs.items()},
        "thresholds": thresholds,
        "undertrained": {
            name: bench.undertrained(UNDERTRAINED * bench.beta["ipo"], several=name == "several")
            for name in ("ipo", "several")
        },
    }


def _told(run: LanguageModelOrbit) -> dict[str, Any]:
    return {
        "policies": run.policies,
        "mass": run.mass,
        "kappa": run.kappa,
        "cosine": run.cosine,
        "residuals": run.residuals,
        "steps": run.steps,
        "period": _period(run.policies),
        "reason": run.reason,
    }


class _Bench:
    """The prompts and completions on which everything is measured."""

    def __init__(self, lm: LanguageModel, predicted: dict[str, Any]):
        self.lm, self.budget = lm, predicted["budget"]
        self.prompts, self.tokens = predicted["prompt_tokens"], predicted["tokens"]
        self.near = np.array(predicted["near"])
        self.beta = {name: told["beta"] for name, told in predicted["thresholds"].items()}

    def material(self, several: bool) -> tuple[Any, Any]:
        return (self.prompts, self.tokens) if several else (self.prompts[0], self.tokens[0])

    def run(
        self,
        model: Any,
        beta: float,
        rounds: int,
        game: Any = GAME,
        *,
        objective: str = "ipo",
        several: bool = False,
        inner: Inner | None = None,
    ) -> LanguageModelOrbit:
        """Rounds of one recipe; the model is changed."""
        return mrs_rounds(
            model,
            self.lm.tokenizer,
            *self.material(several),
            game,
            beta=beta,
            rounds=rounds,
            objective=objective,
            reference="uniform",
            inner=inner,
            progress=False,
            **RECIPE,
        )

    def brought(self, log_policy: Any, several: bool = False) -> Any:
        """A copy of the model, trained until the completions have these log-probabilities."""
        model, goal = fresh(self.lm), centre(np.array(log_policy))
        found = gather(model, self.lm.tokenizer, *self.material(several))

        def newton(now: np.ndarray) -> Newton:
            gap = centre(now) - goal
            return Newton((gap**2).sum(-1) / 2, gap, np.clip(-gap, -2, 2), np.abs(gap).max(-1))

        chosen = select_parameters(model)
        with at_rest(model, chosen):
            fit(model, found.responses, newton, TIGHT, chosen, found.prompts)
        return model

    def undertrained(self, beta: float, several: bool) -> dict[str, Any]:
        """A few gradient steps a round: growth of small perturbations, and what kappa foretells.

        The share of a round that was executed is only known once it is; the prediction is that of
        inexact rounds with the median of the shares measured (claims RND-2, RND-4).
        """
        begun = self.brought(self.near, several)

        def run(rounds: int, rate: float) -> LanguageModelOrbit:
            inner = Inner("sgd", rate=rate, steps=STEPS, residual=0.0)
            model = copy.deepcopy(begun)
            return self.run(model, beta, rounds, several=several, inner=inner)

        rate = 1e-6
        while (share := float(run(1, rate).kappa.mean())) < 0.02:
            rate *= 10
        rate *= float(np.log1p(-SHARE) / np.log1p(-share))  # steps multiply what is left of a round
        orbit = run(self.budget["near"], rate)
        inexact = orbit.inexact()
        theory = prefdyn.stability(inexact)
        paths = orbit.log_policies if several else orbit.log_policies[:, None]
        turns = [multiplier(paths[:, n]) for n in range(paths.shape[1])]
        return {
            "beta": beta,
            "steps": STEPS,
            "rate": rate,
            "kappa": float(np.asarray(inexact.kappa)),
            "cosine": float(np.nanmin(orbit.cosine)),
            "exact": float(np.max(prefdyn.stability(orbit.rule).spectral_radius)),
            "growth": [float(np.max(theory.spectral_radius)), max(map(abs, turns))],
            "period": [float(np.max(theory.period)), _turning(turns)],
        }

    def threshold(
        self, objective: str, bracket: tuple[float, float], halvings: int, *, several: bool = False
    ) -> dict[str, Any]:
        """Where small perturbations neither grow nor shrink, by bisection in log beta.

        Every trial starts near the fixed point.  The last bracket is interpolated.
        """
        begun = self.brought(self.near, several)
        trials: list[dict[str, Any]] = []

        def growth(log_beta: float) -> float:
            run = self.run(
                copy.deepcopy(begun),
                float(np.exp(log_beta)),
                self.budget["near"],
                objective=objective,
                several=several,
                inner=TIGHT,
            )
            paths = run.log_policies if several else run.log_policies[:, None]
            turns = [multiplier(paths[:, n]) for n in range(paths.shape[1])]
            moduli = [abs(turn) for turn in turns]
            trials.append(
                {"beta": np.exp(log_beta), "growth": moduli, "angle": 2 * np.pi / _turning(turns)}
            )
            return float(np.log(moduli).mean())

        low, high = (np.log(share * self.beta[objective]) for share in bracket)
        below, above = growth(low), growth(high)
        for _ in range(halvings):
            middle = (low + high) / 2
            here = growth(middle)
            if here > 0:
                low, below = middle, here
            else:
                high, above = middle, here
        crossed = below > 0 > above
        trials.sort(key=lambda trial: trial["beta"])
        critical = float(np.exp(low + (high - low) * below / (below - above)))
        angles = np.interp(
            np.log(critical), np.log([t["beta"] for t in trials]), [t["angle"] for t in trials]
        )
        return {
            "beta": critical if crossed else None,
            "period": 2 * np.pi / float(angles) if crossed else None,
            "trials": trials,
        }


def _turning(multipliers: list[complex]) -> float:
    """Rounds per turn, by the mean angle."""
    return float(2 * np.pi / np.mean(np.abs(np.angle(multipliers))))


def multiplier(log_policies: np.ndarray) -> complex:
    """Leading eigenvalue of the linear map that fits a run (T + 1, K) of small perturbations best.

    The fixed point is fitted along with it, from the rounds in which they were still small.
    """
    basis = np.linalg.svd(np.eye(log_policies.shape[-1]) - 1 / log_policies.shape[-1])[0][:, :-1]
    away = np.abs(log_policies - log_policies[0]).max(-1) > LINEAR
    small = max(5, int(np.argmax(away))) if away.any() else len(away)
    x = log_policies[:small] @ basis
    before = np.column_stack([x[:-1], np.ones(len(x) - 1)])
    linear = np.linalg.lstsq(before, x[1:], rcond=None)[0][:-1]
    values = np.linalg.eigvals(linear)
    return complex(values[np.argmax(np.abs(values))])
