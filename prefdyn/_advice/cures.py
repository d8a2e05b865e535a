"""Cures for a recipe that oscillates: which rounds settle at the same fixed point, and how fast."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from prefdyn._advice._spectra import averaged, extragradient, optimistic, radius, smaller
from prefdyn._errors import InputError, NoOptimum
from prefdyn._inputs import count
from prefdyn._progress import working
from prefdyn._stability import Stability, stability, verdict
from prefdyn.rules import (
    AdaptiveBeta,
    Averaged,
    Extragradient,
    Inexact,
    Optimistic,
    Rule,
    best_fraction,
    carried,
    on_logits,
)
from prefdyn.rules._rule import a_rule

LEAST = 1e-4
"""Smallest fraction of a round, or rate of an average, that is considered."""
HALVINGS = 3
"""How often the best fraction is halved in search of one that also settles from afar."""
MOST_JUDGED = 6
"""Cures followed from far starts, at most, before the search is given up."""
NEARLY_PLAIN = 0.99
"""Setting above which smaller rounds, or an average, are the plain rounds and no cure of them."""
UNTRIED = "locally stable, far starts not tried"


@dataclass(frozen=True)
class Cure:
    """Rounds that settle where the plain ones oscillate, at the same fixed point.

    Attributes
    ----------
    name
        In words.
    setting
        Its parameters: ``kappa``, the fraction of a round; ``rate``, of a running average.
    rule
        The cured rule, ready for `prefdyn.orbit`.
    spectral_radius
        Per round, at the fixed point.
    evaluations
        Optima (trained models, of a language model) that one round takes.
    speed
        ``spectral_radius ** (1/evaluations)``: the factor per optimum, which compares cures.
    word
        As of `prefdyn.Verdict`; ``"locally stable, far starts not tried"`` for those that rank
        behind the first one to pass.
    claim
        Id of the claim with its multipliers and what it makes worse.
    """

    name: str
    setting: dict[str, float]
    rule: Rule
    spectral_radius: float
    evaluations: int
    speed: float
    word: str
    claim: str

    @property
    def passed(self) -> bool:
        """Whether far starts came home, or need not be tried."""
        return self.word == "certified" or self.word.startswith("locally stable, not refuted")

    @property
    def label(self) -> str:
        """Name and setting."""
        setting = ", ".join(f"{name} = {value:.3g}" for name, value in self.setting.items())
        return f"{self.name} ({setting})" if setting else self.name

    @property
    def sentence(self) -> str:
        """All of it in words."""
        cost = "one optimum" if self.evaluations == 1 else f"{self.evaluations} optima"
        return (
            f"{self.label} settle at the same fixed point: "
            f"{self.word}, spectral radius {self.spectral_radius:.4g} per round of {cost} "
            f"({self.claim})."
        )


class _Family(NamedTuple):
    """A cure with one number to choose: how it is built, and its multipliers from x and a."""

    name: str
    claim: str
    parameter: str
    evaluations: int
    build: Callable[[Rule, float], Rule]
    multipliers: Callable[[np.ndarray, Any, np.ndarray], np.ndarray]
    plain_at_one: bool = False


def _fraction(rule: Rule, kappa: Any) -> Rule:
    """A fraction of every round; of a round that is a fraction already, the product."""
    if isinstance(rule, Inexact):
        return Inexact(rule.rule, np.asarray(rule.kappa) * kappa)
    return Inexact(rule, kappa)


SMALLER = _Family(
    "smaller rounds",
    "RND-2",
    "kappa",
    1,
    _fraction,
    lambda x, a, kappa: smaller(x, kappa),
    plain_at_one=True,
)
ON_LOGITS = (
    _Family(
        "small optimistic rounds",
        "CURE-2, CURE-6",
        "kappa",
        1,
        lambda rule, kappa: Optimistic(_fraction(rule, kappa)),  # pyright: ignore[reportArgumentType]
        lambda x, a, kappa: optimistic(smaller(x, kappa), smaller(a, kappa)),
    ),
    _Family(
        "small extragradient rounds",
        "CURE-3",
        "kappa",
        2,
        lambda rule, kappa: Extragradient(_fraction(rule, kappa)),  # pyright: ignore[reportArgumentType]
        lambda x, a, kappa: extragradient(smaller(x, kappa), smaller(a, kappa)),
    ),
    _Family(
        "rounds against a running average of the policies",
        "CURE-4",
        "rate",
        1,
        lambda rule, rate: Averaged(rule, rate=rate),  # pyright: ignore[reportArgumentType]
        averaged,
        plain_at_one=True,
    ),
)


@working("comparing cures")
def cures(
    rule: Rule, *, far_starts: int = 16, seed: int = 0, linear: Stability | None = None
) -> tuple[Cure, ...]:
    """Ways to make a recipe settle at its own fixed point, the best first.

    Smaller rounds, optimism, extragradient and sampling from a running average, each at the
    setting with the smallest spectral radius per optimum, from closed forms of its multipliers
    (claims CURE-1 to CURE-6); an adaptive beta, which needs no setting; and the largest fraction of
    a round for which convergence from every start is proved, if there is one.  None moves the
    fixed point, as a larger beta or a smaller on-policy share would.

    Parameters
    ----------
    rule
        A rule without batch.  Where its state is more than the logits, only smaller rounds are
        known to be a cure.
    far_starts, seed
        Starts far from the fixed point that must come home, and their seed.  Cures are tried in the
        order of their speed until one passes; fractions that do not are halved.
    linear
        The plain rule's `stability`, if already computed.

    Returns
    -------
    tuple of Cure
        First the fastest that passed, then the others by speed; empty if none is locally stable.

    Raises
    ------
    InputError
        For a batch.
    NoOptimum
        If the rule has no fixed point to settle at.

    Examples
    --------
    >>> from prefdyn import MRSIPO, games
    >>> best = cures(MRSIPO(games.rock_paper_scissors(0.4), beta=0.1, alpha=0.5, lam=1.0))[0]
    >>> best.name, round(best.spectral_radius, 2)
    ('small optimistic rounds', 0.67)
    """
    rule = a_rule(rule).skeleton
    if rule.batch_shape:
        raise InputError("cures are chosen for one recipe on one game: pass a rule without batch.")
    number = count(far_starts, "far_starts")
    linear = linear or stability(rule)
    candidates = sorted(_candidates(rule, linear.multipliers), key=lambda cure: cure.speed)
    judged: list[Cure] = []
    for candidate in candidates[:MOST_JUDGED]:
        judged.append(_judged(candidate, number, seed))
        if judged[-1].passed:
            break
    first = [cure for cure in judged if cure.passed]
    seen = {cure.name for cure in first}
    others = []
    for cure in (*judged, *candidates[len(judged) :]):
        if cure.name not in seen:
            others.append(cure)
            seen.add(cure.name)
    return (*first, *sorted(others, key=lambda cure: cure.speed))


def _judged(cure: Cure, far_starts: int, seed: int) -> Cure:
    try:
        return replace(cure, word=verdict(cure.rule, far_starts, seed).word)
    except NoOptimum:
        return replace(cure, word="no verdict: some start runs off until no optimum exists")


def _candidates(rule: Rule, x: np.ndarray) -> Iterator[Cure]:
    """Every cure that is locally stable, at its best setting and at smaller ones."""
    kappa = float(best_fraction(x, LEAST))
    yield from _halved(SMALLER, rule, x, 1.0, kappa)
    for proved in _proved(rule):
        for cure in _stable(SMALLER, rule, x, 1.0, proved):
            yield replace(cure, name="proved smaller rounds", word="certified")
    if not on_logits(rule):
        return
    a = float(carried(rule))
    best = float(radius(smaller(x, kappa)))
    if best < 1:
        adaptive = AdaptiveBeta(rule, least=LEAST)  # pyright: ignore[reportArgumentType]
        yield Cure("rounds of adaptive beta", {}, adaptive, best, 1, best, UNTRIED, "CURE-5")
    for family in ON_LOGITS:
        yield from _halved(family, rule, x, a, _best(family, x, a))


def _best(family: _Family, x: np.ndarray, a: float) -> float:
    """The setting of a family with the smallest spectral radius, by two nested grids."""
    grid = np.geomspace(LEAST, 1.0, 400)
    for _ in range(2):
        k = int(np.argmin(radius(family.multipliers(x, a, grid[:, None]))))
        best = float(grid[k])
        grid = np.geomspace(grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)], 41)
    return best


def _halved(family: _Family, rule: Rule, x: np.ndarray, a: float, setting: float) -> Iterator[Cure]:
    plain = family.plain_at_one and setting > NEARLY_PLAIN
    for halving in range(int(plain), HALVINGS + 1):
        yield from _stable(family, rule, x, a, max(setting / 2**halving, LEAST))


def _stable(family: _Family, rule: Rule, x: np.ndarray, a: float, setting: float) -> Iterator[Cure]:
    """The cure at a setting, if it is locally stable there."""
    found = float(radius(family.multipliers(x, a, np.asarray(setting))))
    if found < 1:
        yield Cure(
            family.name,
            {family.parameter: setting},
            family.build(rule, setting),
            found,
            family.evaluations,
            found ** (1 / family.evaluations),
            UNTRIED,
            family.claim,
        )


def _proved(rule: Rule) -> Iterator[float]:
    """The largest fraction on a grid with a global certificate, where the whole round has none."""
    fractions = np.geomspace(1.0, LEAST, 400)
    certified = np.zeros(len(fractions), bool)
    for known in getattr(_fraction(rule, fractions), "certificates", tuple)():
        if known.proves == "global":
            certified |= np.broadcast_to(known.holds, certified.shape)
    if certified.any() and not certified[0]:
        yield float(fractions[np.argmax(certified)])
