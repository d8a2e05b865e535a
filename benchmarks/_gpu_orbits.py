"""Ensembles of tabular orbits: the kernel that keeps them on the chip, and eager torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks._gpu_cases import Candidate, Log, compare
from benchmarks._gpu_place import Place, Timed
from benchmarks._gpu_results import OURS, PEER
from prefdyn.llm import kernels

ALPHA = 0.5
AGREED = 20
"""Rounds after which results are compared: on a limit cycle rounding drifts apart along it."""


def mrs_ipo(place: Place, log: Log) -> None:
    """MRS-IPO on a cyclic game under which orbits keep moving."""
    for K in place.sizes.policies:
        _orbits(place, log, K, fitted=False)


def mrs_dpo(place: Place, log: Log) -> None:
    """MRS-DPO on the same game."""
    for K in place.sizes.policies:
        _orbits(place, log, K, fitted=True)


def _orbits(place: Place, log: Log, K: int, fitted: bool) -> None:
    # A fit costs far more than a round of MRS-IPO, and eager torch can hold fewer orbits for it.
    sizes, share = place.sizes, 10 if fitted else 1
    n, rounds = max(2, sizes.orbits // share), max(2, sizes.rounds // share)
    few = max(2, n // share)
    theta = torch.randn(n, K, dtype=torch.double, device=place.device)
    theta -= theta.mean(-1, keepdim=True)
    game = _cycle(K).to(place.device)
    recipes = {many: _recipe(game, K, fitted, many) for many in (n, few)}

    def kernel(rounds: int, many: int) -> Tensor:
        return kernels.mixed_orbits(rounds=rounds, theta=theta[:many], **recipes[many]).theta

    def eager(rounds: int, many: int) -> Tensor:
        if not fitted:
            return _mixed(theta[:many], rounds, game, K)
        with kernels.using("torch"):
            return kernel(rounds, many)

    truth = eager(min(AGREED, rounds), few)

    def off(run: Callable[..., Tensor]) -> dict[str, float]:
        found = run(min(AGREED, rounds), few)
        return {"error": float((found - truth).norm() / truth.norm())}

    def candidate(name: str, kind: str, run: Callable[..., Tensor], many: int) -> Candidate:
        return Candidate(
            name,
            lambda: Timed(lambda: run(rounds, many), note=f"{many} orbits"),
            kind,
            lambda _: off(run),
            {"orbit_rounds": float(many * rounds)},
            ("error",),
        )

    name = "MRS-DPO" if fitted else "MRS-IPO"
    compare(
        place,
        log,
        "orbits",
        f"{name}, K = {K}, {rounds} rounds",
        [
            candidate("mixed_orbits", OURS, kernel, n),
            candidate("eager torch", PEER, eager, few),
        ],
    )


def _cycle(K: int) -> Tensor:
    """Probabilities (K, K) that i beats j: each beats the half of the others that follow it."""
    ahead = (torch.arange(K) - torch.arange(K)[:, None]) % K
    wins = 0.4 * ((ahead > 0) & (2 * ahead < K)).double()
    return 0.5 + wins - wins.T


def _recipe(game: Tensor, K: int, fitted: bool, many: int) -> dict[str, Any]:
    """Arguments of `mixed_orbits` for so many orbits, fully on policy, uniform reference."""
    ones = torch.ones(many, dtype=torch.double, device=game.device)
    nothing = ones.new_zeros(many, K)
    return {
        "games": (game if fitted else game - 0.5)[None],
        "which": torch.zeros_like(ones, dtype=torch.int64),
        "gain": ones / _beta(K, fitted),
        "alpha": ALPHA * ones,
        "lam": ones,
        "drift": nothing,
        "offline": nothing,
        "fitted": fitted,
    }


def _mixed(theta: Tensor, rounds: int, game: Tensor, K: int) -> Tensor:
    """MRS-IPO as one would write it."""
    drive = (game - 0.5).T / _beta(K, fitted=False)
    for _ in range(rounds):
        theta = ALPHA * theta + theta.softmax(-1) @ drive
    return theta - theta.mean(-1, keepdim=True)


def _beta(K: int, fitted: bool) -> float:
    """Small enough for orbits to keep moving, so that no implementation may stop early."""
    return (2 if fitted else 0.6) / K
