"""Basins of attraction: which starts end where, what share of them, and how soon."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefdyn._errors import InputError, InsufficientData
from prefdyn._inputs import count, distribution, positive
from prefdyn._progress import working
from prefdyn._stability._attractors import Attractor, attractors
from prefdyn._stability._long_run import advance, moments, side_by_side, some_of
from prefdyn._stability.fixed_points import tangent
from prefdyn.rules._rule import Rule, a_rule

FIRST = 240
"""Rounds after which the runs are looked at for the first time; then after twice as many, ...  The
windows hold whole turns of cycles of order 2, 3, 4, 5, 6 and 8."""
NUDGE = 1e-3
"""Push that a run must withstand for what it is on to be called an attractor."""
MOST = 64
"""More groups of runs than this are no attractors: something drifts, or does not settle."""
STEP = 1.05
"""Ratio of the rounds at which it is asked whether a run has arrived."""


@dataclass(frozen=True)
class Basins:
    """Where many starts end.

    Attributes
    ----------
    starts
        Probabilities (m, K).
    labels
        Index of each start's attractor (m,); -1 if none was reached in time.
    attractors
        Attractors, the largest basin first.
    fractions, fraction_errors
        Share of the starts that end on each, with one standard error of a binomial share (Wilson);
        for a grid, whose points are not drawn, that is more than the error of the area.
    undecided
        Share of the starts without attractor.
    rounds
        Rounds after which each start stays within `tolerance` of its attractor (m,), known to 5 %;
        NaN where undecided or on the way to the boundary.
    tolerance
        Largest difference of a probability that counts as none.
    sampling
        How the starts were chosen, as a sentence.
    """

    starts: np.ndarray
    labels: np.ndarray
    attractors: tuple[Attractor, ...]
    fractions: np.ndarray
    fraction_errors: np.ndarray
    undecided: float
    rounds: np.ndarray
    tolerance: float
    sampling: str


@working("following starts")
def basins(
    rule: Rule,
    resolution: int = 50,
    *,
    starts: Any = None,
    rounds: int = 15_360,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> Basins:
    """Basins of attraction over the simplex.

    Starts run side by side, each until mean and standard deviation of every probability agree in
    two successive windows, of which each is as long as all that went before; runs that agree in
    both are on one attractor.  One run of each is then followed much longer, with a push and
    without: runs that were still on their way join those they come to, and starts that sat on
    something that does not withstand the push (an unstable fixed point) are undecided.  What kind
    of attractor it is, is read off returns, the largest Lyapunov exponent and the 0-1 test.  Two
    attractors that agree in means and standard deviations to `tolerance` are taken for one.

    Parameters
    ----------
    rule
        A rule without batch.
    resolution
        Cells along an edge of the simplex: ``resolution (resolution + 1) / 2`` starts for three
        responses, about as many for more, `resolution` for two.
    starts
        Probabilities (m, K) to use instead.
    rounds
        Most rounds that the starts are followed.
    tolerance
        Largest difference of a probability that counts as none.
    seed
        Seed of the sample for more than three responses.

    Raises
    ------
    InputError
        For a batched rule, or starts that are no rows of positive probabilities.
    InsufficientData
        If the runs end in more than 64 different ways.
    """
    rule = a_rule(rule).skeleton
    tolerance = float(positive(tolerance, "tolerance"))
    if starts is None:
        starts, sampling = simplex_starts(rule.K, count(resolution, "resolution"), seed)
    else:
        starts = np.atleast_2d(distribution(starts, rule.K, "starts", interior=True))
        if starts.ndim != 2 or not len(starts):
            raise InputError(f"starts has shape {starts.shape}: give one policy a row, (m, K).")
        sampling = f"{len(starts)} starts as given"
    family, begun = side_by_side(rule, starts)
    rounds = count(rounds, "rounds", least=2 * FIRST)
    states, features, followed = _settled(family, begun, rounds, tolerance)
    groups = _groups(features, followed > 0, tolerance)
    labels, settled = _lasting(family, states, groups, rounds, tolerance)
    sizes = np.bincount(labels[labels >= 0], minlength=labels.max() + 1)
    order = np.argsort(-sizes, kind="stable")
    labels = np.append(np.argsort(order), -1)[labels]  # -1, undecided, stays -1
    found = tuple(attractors(some_of(family, len(order)), settled[order])) if len(order) else ()
    arrival = _arrivals(family, begun, labels, found, followed, rounds, tolerance)
    fractions = sizes[order] / len(starts)
    return Basins(
        starts,
        labels,
        found,
        fractions,
        share_error(fractions, len(starts)),
        float(np.mean(labels < 0)),
        arrival,
        tolerance,
        sampling,
    )


def simplex_starts(K: int, resolution: int, seed: int) -> tuple[np.ndarray, str]:
    """Starts (m, K) spread evenly over the simplex, and how, as a sentence."""
    if K == 2:
        first = (np.arange(resolution) + 0.5) / resolution
        return np.stack([first, 1 - first], axis=-1), f"{resolution} midpoints of equal intervals"
    if K == 3:
        i, j = (x.ravel() for x in np.indices((resolution, resolution)))
        inside = i + j < resolution
        corners = np.stack([i, j, resolution - 1 - i - j], axis=-1)[inside]
        return (corners + 1 / 3) / resolution, (
            f"{len(corners)} points of a triangular grid, {resolution} along an edge"
        )
    from scipy.stats import qmc

    doublings = max(1, round(np.log2(resolution * (resolution + 1) / 2)))
    cuts = np.sort(qmc.Sobol(K - 1, rng=seed).random_base2(doublings), axis=-1)
    spacings = np.diff(cuts, axis=-1, prepend=0.0, append=1.0)
    # A start on the edge is none: what Sobol's points leave out there is less than 1e-9.
    starts = np.maximum(spacings, 1e-9)
    return starts / starts.sum(axis=-1, keepdims=True), (
        f"{len(starts)} points of a scrambled Sobol sequence (seed {seed}), as spacings: "
        "uniform on the simplex, Dirichlet(1, ..., 1)"
    )


def share_error(share: Any, number: int) -> np.ndarray:
    """Standard error of a binomial share (Wilson's, which is not 0 at 0 and 1)."""
    share = np.asarray(share, dtype=float)
    return np.sqrt(share * (1 - share) / number + 1 / (4 * number**2)) / (1 + 1 / number)


def _settled(family: Rule, states: np.ndarray, most: int, tolerance: float) -> tuple[Any, ...]:
    """Last states, features of the last window, and rounds followed until steady (m,), else 0.

    Features (m, 2K) are means and standard deviations of the policies in a window.
    """
    length = FIRST // 2
    states, *window = moments(family, states, length)
    features, rounds = np.concatenate(window, axis=-1), np.zeros(len(states), dtype=int)
    while (active := np.flatnonzero(rounds == 0)).size and 2 * length <= most:
        states[active], *window = moments(some_of(family, len(active)), states[active], length)
        now = np.concatenate(window, axis=-1)
        length *= 2
        with np.errstate(invalid="ignore"):
            steady = np.abs(now - features[active]).max(axis=-1) < tolerance / 4
        rounds[active[steady]] = length
        features[active] = now
    return states, features, rounds


def _groups(features: np.ndarray, steady: np.ndarray, tolerance: float) -> np.ndarray:
    """Number of each run's group (m,), -1 where unsteady: runs near the first one of a group."""
    labels = np.full(len(features), -1)
    for group in range(MOST + 1):
        left = np.flatnonzero(steady & (labels < 0))
        if not len(left):
            return labels
        near = np.abs(features[left] - features[left[0]]).max(axis=-1) < tolerance
        labels[left[near]] = group
    raise InsufficientData(
        f"the runs end in more than {MOST} different ways: nothing attracts them (a line of fixed "
        "points, or alpha = 1), or they have not settled; raise rounds or tolerance."
    )


def _lasting(
    family: Rule, states: np.ndarray, labels: np.ndarray, rounds: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Labels after a longer look at one run of each group, and the runs' states then."""
    number = labels.max() + 1
    if number == 0:
        return labels, states[:0]
    chosen = [int(np.flatnonzero(labels == k)[0]) for k in range(number)]
    basis = tangent(family)
    push = NUDGE * basis @ np.cos(1.0 + np.arange(basis.shape[1]))
    twice = some_of(family, 2 * number)
    both = advance(twice, np.concatenate([states[chosen], states[chosen] + push]), rounds // 2)
    both, *window = moments(twice, both, rounds // 4)
    alone, pushed = np.split(np.concatenate(window, axis=-1), 2)
    with np.errstate(invalid="ignore"):
        stands = np.abs(pushed - alone).max(axis=-1) < tolerance
        near = np.abs(alone[:, None] - alone).max(axis=-1) < tolerance
    # Those that were still on their way are now where another group is: the first one stands for
    # both, unless a push drives it off.
    first = np.array([np.flatnonzero(stands & row)[:1].sum() for row in near])
    kept = np.unique(first[stands])
    renumbered = np.where(stands, np.searchsorted(kept, first), -1)
    return np.append(renumbered, -1)[labels], both[kept]


def _arrivals(
    family: Rule,
    states: np.ndarray,
    labels: np.ndarray,
    found: tuple[Attractor, ...],
    followed: np.ndarray,
    most: int,
    tolerance: float,
) -> np.ndarray:
    """Rounds (m,) from which on each run was near its attractor whenever it was looked at."""
    from scipy.spatial import KDTree

    trees = [KDTree(attractor.policies) for attractor in found]
    arrived, last = np.full(len(labels), np.nan), 0
    kinds = np.array([attractor.kind for attractor in found] + [""])[labels]
    moves = ~np.isin(kinds, ["", "boundary"])
    for now in _ladder(most):
        active = np.flatnonzero(moves & ((followed >= now) | np.isnan(arrived)))
        if not len(active):
            break
        states[active] = advance(some_of(family, len(active)), states[active], now - last)
        policies = np.exp(family.log_policy(states))
        for k, tree in enumerate(trees):
            mine = active[labels[active] == k]
            distance, _ = tree.query(policies[mine], p=np.inf)
            first = np.where(np.isnan(arrived[mine]), now, arrived[mine])
            arrived[mine] = np.where(distance < tolerance, first, np.nan)
        last = now
    return arrived


def _ladder(horizon: int) -> list[int]:
    """Rounds 0, 1, 2, ... up to the horizon, from some on 5 % apart."""
    steps = np.geomspace(1, horizon, max(2, int(np.log(horizon) / np.log(STEP))))
    return [0, *np.unique(np.round(steps).astype(int)).tolist()]
