"""Many orbits of a rule on a GPU: its numbers as tensors, the kernel, and the results back.

The only module of the mathematics that knows the GPU kernels.  torch and they are imported when an
orbit is advanced.  The functions ``advance_...`` run on any device; on a processor it is the plain
torch twin of the kernel that runs, and tests hold it to ``rule.step``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from prefdyn._errors import InputError, NoOptimum
from prefdyn.objectives import DPO, IPO, ConservativeDPO, RobustDPO
from prefdyn.policies import Tabular
from prefdyn.rules._rule import Advanced

RULES = "MRSIPO, MRSDPO, and GradientStep with a Tabular policy"
"""Which rules have a GPU kernel, as a part of a sentence."""
PUSHES: dict[type, Callable[[Any], tuple]] = {
    IPO: lambda ipo: (1 / ipo.beta, 2.0, 0.0, 0.0),
    DPO: lambda dpo: (0.0, 0.0, dpo.beta, dpo.beta),
    ConservativeDPO: lambda o: (-o.beta * o.label_smoothing, 0.0, o.beta, o.beta),
    RobustDPO: lambda o: (
        o.beta * o.label_smoothing / (1 - 2 * o.label_smoothing),
        0.0,
        o.beta,
        o.beta,
    ),
}
"""Numbers a, b, c, d of objectives whose two pushes are both ``a - b h + c sigmoid(-d h)``."""


def kernel(advance: Callable[..., Advanced], K: int, device: str) -> Callable[..., Advanced]:
    """``advance(rule, theta, rounds)`` on a GPU that is there.

    Raises
    ------
    InputError
        For more responses than a kernel holds, for a GPU that is not there, or without Triton.
    """
    import torch

    from prefdyn.llm.kernels import MOST_RESPONSES, has_triton

    if K > MOST_RESPONSES:
        raise InputError(
            f"the game has {K} responses and a GPU kernel holds at most {MOST_RESPONSES}: use "
            'device="cpu".'
        )
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not gpus:
        raise InputError(
            f"device is {device!r}, but torch finds no CUDA GPU on this machine: use "
            'device="cpu", or a build of torch with CUDA where there is a GPU.'
        )
    if device not in ("cuda", *(f"cuda:{number}" for number in range(gpus))):
        raise InputError(
            f'device is {device!r}, but the GPUs of this machine are "cuda:0" to "cuda:{gpus - 1}".'
        )
    if not has_triton():
        raise InputError(
            f"device is {device!r}, but its kernels need Triton, which is not installed: "
            'pip install triton, or use device="cpu".'
        )

    def on_device(rule: Any, theta: np.ndarray, rounds: int, moments: bool = True) -> Advanced:
        return advance(rule, theta, rounds, device)  # moments are made on the way in any case

    return on_device


def advance_ipo(rule: Any, theta: np.ndarray, rounds: int, device: str) -> Advanced:
    """Advance MRS-IPO orbits; `theta` has shape (..., K) and is not changed."""
    return _advance(rule, theta, rounds, device, rule.game.skew, fitted=False)


def advance_dpo(rule: Any, theta: np.ndarray, rounds: int, device: str) -> Advanced:
    """Advance MRS-DPO orbits.

    Raises
    ------
    NoOptimum
        If Newton's method does not settle in some round.
    """
    return _advance(rule, theta, rounds, device, rule.game.P, fitted=True)


def advance_gradient(rule: Any, theta: np.ndarray, rounds: int, device: str) -> Advanced:
    """Advance the logits (..., K) of `GradientStep`, as far as `gradient_kernel` takes it."""
    from prefdyn.llm import kernels

    K, shape = theta.shape[-1], theta.shape[:-1]
    training = rule.training
    weights = np.zeros((K, K))
    np.add.at(weights, tuple(training.pairs.T), training.weights)
    numbers = PUSHES[type(rule.objective)](rule.objective)
    put = _Put(shape, device)
    moved = kernels.pair_orbits(
        put.tensor(weights),
        put.flat(theta, K),
        rounds,
        rate=put.flat(rule.rate),
        reference=put.flat(training.reference[..., 0], K),
        push=put.tensor(np.stack([np.broadcast_to(x, shape).reshape(-1) for x in numbers])),
    )
    return put.back(moved)


def gradient_kernel(rule: Any, K: int, device: str) -> Callable[..., Advanced]:
    """`advance_gradient` on a GPU, for a rule that it can advance.

    Raises
    ------
    InputError
        For another policy than `Tabular` on one prompt, an objective whose push is not of the form
        above, an optimiser, or pairs with `extra` fields; and as of `kernel`.
    """
    policy, objective = rule.policy, rule.objective
    known = ", ".join(sorted(each.id for each in PUSHES))  # pyright: ignore
    reasons = {
        f"its policy is {type(policy).__name__}": type(policy) is not Tabular,
        "its pairs are of several prompts": getattr(policy, "n_prompts", 1) > 1,
        f"its objective is {objective.id!r}": type(objective) not in PUSHES,
        f"its optimiser is {type(rule.optimiser).__name__}": rule.optimiser is not None,
        "its pairs have extra=": bool(rule.training.extra),
    }
    for reason, holds in reasons.items():
        if holds:
            raise InputError(
                "GradientStep has a GPU kernel for a Tabular policy of one prompt, one of the "
                f"objectives {known}, and neither optimiser nor extra=; {reason}: use "
                'device="cpu".'
            )
    return kernel(advance_gradient, K, device)


def _advance(rule, theta, rounds, device, games, *, fitted: bool) -> Advanced:
    from prefdyn.llm import kernels

    K = theta.shape[-1]
    games = games.reshape(-1, K, K)
    which = np.arange(len(games)).reshape(rule.game.batch_shape)
    log_ref = rule.log_ref - rule.log_ref.mean(axis=-1, keepdims=True)
    put = _Put(theta.shape[:-1], device)
    moved = kernels.mixed_orbits(
        put.tensor(games),
        put.flat(which),
        put.flat(theta, K),
        rounds,
        gain=put.flat(1 / rule.beta),
        alpha=put.flat(rule.alpha),
        lam=put.flat(rule.lam),
        drift=put.flat((1 - rule.alpha)[..., None] * log_ref, K),
        offline=put.flat((1 - rule.lam)[..., None] * rule.mu0, K),
        fitted=fitted,
    )
    if moved.failed.any():
        raise NoOptimum(
            "DPO's Newton iteration did not settle on some orbit: a preference is too close to 0 "
            "or 1; shrink P towards 1/2 or use IPO."
        )
    return put.back(moved)


class _Put:
    """Arrays that broadcast against a batch, as tensors with one row per orbit; and back."""

    def __init__(self, shape: tuple[int, ...], device: str):
        self.shape, self.device = shape, device

    def tensor(self, values: np.ndarray) -> Any:
        import torch

        return torch.tensor(values, device=self.device)

    def flat(self, values: Any, *tail: int) -> Any:
        """(n,) or (n, K) of values that broadcast to (...,) or (..., K)."""
        return self.tensor(np.broadcast_to(values, (*self.shape, *tail)).reshape(-1, *tail))

    def back(self, moved: Any) -> Advanced:
        parts = (moved.theta, moved.mean, moved.deviations)
        return Advanced(*(x.cpu().numpy().reshape(*self.shape, x.shape[-1]) for x in parts))
