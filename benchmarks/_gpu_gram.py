"""Gram matrices of a layer's gradients by response, with and without these gradients."""

import torch
from torch import Tensor

from benchmarks._gpu_cases import Candidate, Log, compare
from benchmarks._gpu_place import Place, Timed
from benchmarks._gpu_results import OURS, PEER
from prefdyn.llm import kernels


def gram(place: Place, log: Log) -> None:
    """One linear layer with d_in = d_out: ours, its twin, and per-response gradients."""
    for width in place.sizes.layers:
        _gram(place, log, width)


def _gram(place: Place, log: Log, width: int) -> None:
    R, T = place.sizes.responses
    N = R * T
    normal = {"device": place.device, "dtype": torch.bfloat16}
    a, d = torch.randn(N, width, **normal), torch.randn(N, width, **normal)
    segments = torch.arange(N, device=place.device) // T
    truth = torch.zeros(R, R, dtype=torch.double, device=place.device)
    # By parts of the layer: the gradients themselves would take 34 GB at d = 8192 in float64.
    for part in d.split(max(1, 2**24 // (R * width)), dim=1):
        each = _gradients(a.double(), part.double(), R).flatten(1)
        truth += each @ each.T

    def off(found: Tensor) -> dict[str, float]:
        return {"error": float((found.double() - truth).norm() / truth.norm())}

    def ours() -> Tensor:
        return kernels.segmented_gram(a, d, segments, R)

    def twin() -> Tensor:
        with kernels.using("torch"):
            return kernels.segmented_gram(a, d, segments, R)

    def by_response() -> Tensor:
        each = _gradients(a, d, R).flatten(1)
        return (each @ each.T).float()

    floor, bounds = {"flop": 2.0 * N * N * 2 * width}, ("error",)
    compare(
        place,
        log,
        "gram",
        f"R = {R}, T = {T}, d = {width}",
        [
            Candidate("segmented_gram", lambda: Timed(ours), OURS, off, floor, bounds),
            Candidate("the same in torch", lambda: Timed(twin), OURS, off, floor, bounds),
            Candidate(
                "gradients by response", lambda: Timed(by_response), PEER, off, floor, bounds
            ),
        ],
    )


def _gradients(a: Tensor, d: Tensor, R: int) -> Tensor:
    """``sum_t d_t a_t^T`` of every response, (R, d_out, d_in)."""
    return d.unflatten(0, (R, -1)).mT @ a.unflatten(0, (R, -1))
