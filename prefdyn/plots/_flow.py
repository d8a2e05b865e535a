"""Where one round moves a policy: the displacement over the simplex, and its streamlines."""

from typing import Any

import numpy as np

from prefdyn._inputs import count
from prefdyn.rules import Rule

STEP = 0.012
"""Arc length of one step along a streamline, in units of probability."""
CLOSEST = 0.045
"""Streamlines come no closer to each other than about this."""
SHORTEST = 0.12
"""Streamlines shorter than this are left out."""
LONGEST = 0.9
"""Streamlines are cut at this length on either side of where they were started."""
EDGE = 1e-3
"""Streamlines end where a probability falls below this."""


def displacement(rule: Rule, policies: Any) -> np.ndarray:
    """How far one round moves each policy (..., K), as a difference of probabilities.

    This is the map's own step, not a derivative: where a round makes a large turn, orbits jump
    across the streamlines instead of following them.

    Parameters
    ----------
    rule
        A single `Rule`; one with memory is started afresh at every policy, and one with random
        rounds is replaced by its expectation where it offers one (``skeleton``).
    policies
        Interior policies (..., K).
    """
    rule = rule.skeleton
    policies = np.asarray(policies, dtype=float)
    state = rule.init(policies)
    return np.exp(rule.log_policy(rule.step(state, 0, None))) - policies


def lattice(n: int) -> np.ndarray:
    """Interior points (n (n + 1) / 2, 3) of a triangular lattice with n points along each side."""
    n = count(n, "n")
    i, j = (index.ravel() for index in np.mgrid[0:n, 0:n])
    return (np.stack([i, j, n - 1 - i - j], axis=-1)[i + j < n] + 1 / 3) / n


def streamlines(rule: Rule) -> np.ndarray:
    """Evenly spaced streamlines of the displacement over a simplex of three responses.

    Parameters
    ----------
    rule
        A single rule over three responses.

    Returns
    -------
    ndarray, shape (lines, n, 3)
        Policies in the direction of motion, shorter lines filled up with NaN.
    """
    seeds = lattice(30)
    seeds = seeds[np.argsort(((seeds - 1 / 3) ** 2).sum(axis=-1), kind="stable")]  # central first
    ahead = _trace(rule, seeds, +1.0)
    behind = _trace(rule, seeds, -1.0)
    taken: set[tuple[int, int]] = set()
    lines = []
    for forward, backward in zip(ahead, behind, strict=True):
        own: set[tuple[int, int]] = set()
        head = _free_part(forward, taken, own)
        tail = _free_part(backward, taken, own)
        line = np.concatenate([tail[:0:-1], head])
        if len(line) * STEP >= SHORTEST:
            taken |= own
            lines.append(line)
    longest = max(map(len, lines), default=0)
    padded = np.full((len(lines), longest, 3), np.nan)
    for row, line in zip(padded, lines, strict=True):
        row[: len(line)] = line
    return padded


def _trace(rule: Rule, seeds: np.ndarray, sign: float) -> np.ndarray:
    """Lines (seeds, n, 3) of equal arc steps, by the midpoint rule; NaN once they have ended."""
    points = seeds
    lines = [points]
    for _ in range(round(LONGEST / STEP)):
        middle = _advance(rule, points, points, sign * STEP / 2)
        following = _advance(rule, points, middle, sign * STEP)
        # A line that turns sharply within one step has come to rest, or circles a focus.
        straight = _cosine(middle - points, following - points) > 0.9
        points = np.where(straight[:, None], following, np.nan)
        lines.append(points)
    return np.stack(lines, axis=1)


def _advance(rule: Rule, points: np.ndarray, where: np.ndarray, step: float) -> np.ndarray:
    """Points moved by an arc step along the displacement at `where`; NaN stays NaN."""
    alive = np.isfinite(where[:, 0])
    safe = np.where(alive[:, None], where, 1 / 3)
    move = displacement(rule, safe)
    length = np.linalg.norm(move, axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = points + step * move / length
    alive &= (moved > EDGE).all(axis=-1)  # also false where the displacement vanishes
    moved = np.where(alive[:, None], moved, np.nan)
    return moved / moved.sum(axis=-1, keepdims=True)


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return (first * second).sum(axis=-1) / lengths


def _free_part(line: np.ndarray, taken: set, own: set) -> np.ndarray:
    """The beginning of a line up to where it ends, or comes close to another or to itself."""
    cells = np.floor(np.nan_to_num(line[:, :2], nan=-1) / CLOSEST).astype(int)
    previous = None
    for n, cell in enumerate(map(tuple, cells)):
        ended = not np.isfinite(line[n, 0])
        if ended or cell in taken or (cell in own and cell != previous and n > 0):
            return line[:n]
        own.add(cell)
        previous = cell
    return line
