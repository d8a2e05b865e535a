"""Which implementation runs."""

import pytest
import torch

from prefdyn.llm import kernels
from prefdyn.llm.kernels import _backend

HERE = torch.zeros(1)


@pytest.mark.parametrize("choice", ["auto", "torch"])
def test_a_processor_takes_the_twin(choice):
    with kernels.using(choice):
        assert not _backend.takes_triton(HERE)


def test_a_block_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv(_backend.SWITCH, "triton")
    with kernels.using("torch"):
        assert not _backend.takes_triton(HERE)
    with pytest.raises(ValueError, match="where they can only be interpreted: set TRITON_INTERPR"):
        _backend.takes_triton(HERE)


def test_an_unknown_choice(monkeypatch):
    with pytest.raises(ValueError, match="choice is 'cuda': choose one of"), kernels.using("cuda"):
        pass
    monkeypatch.setenv(_backend.SWITCH, "gpu")
    with pytest.raises(ValueError, match="PREFDYN_KERNELS is 'gpu': choose one of"):
        _backend.takes_triton(HERE)


def test_triton_that_is_missing(monkeypatch):
    monkeypatch.setattr(_backend, "has_triton", lambda: False)
    with (
        pytest.raises(ModuleNotFoundError, match="asked for but Triton is not installed"),
        kernels.using("triton"),
    ):
        _backend.takes_triton(HERE)
