"""A network of PyTorch made ready: quantised, compiled, traced.

PyTorch 2.13 says of dynamic quantisation and of TorchScript that they are deprecated, yet they work as they did, and
they are what runs in many services; so those warnings are not passed on, and the provenance names the version.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from calibration.backends.protocol import UnavailableError

if TYPE_CHECKING:
    import torch
    from torch import nn


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Keep from the user what PyTorch says of its own future and of tracing."""
    from torch.jit._trace import TracerWarning

    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning, UserWarning, TracerWarning):
            warnings.simplefilter("ignore", kind)
        yield


def quantised(module: nn.Module) -> tuple[nn.Module, str]:
    """The network with its linear and recurrent layers in int8, and a sentence that says how much of it that is.

    Weights are quantised once, activations anew in every execution, from the range of each batch.
    """
    import torch

    weighed = [part for part in module.modules() if _own_weights(part)]
    kinds = (torch.nn.Linear, torch.nn.LSTM, torch.nn.GRU, torch.nn.LSTMCell, torch.nn.RNNCell, torch.nn.GRUCell)
    changed = [part for part in weighed if isinstance(part, kinds)]
    share = sum(map(_own_weights, changed)) / max(sum(map(_own_weights, weighed)), 1)
    if not changed:
        raise UnavailableError(
            "Dynamic quantisation finds no linear or recurrent layer in this model, and would change nothing."
        )
    with without_deprecations():
        quantise: Any = torch.ao.quantization.quantize_dynamic
        made: nn.Module = quantise(module, dtype=torch.qint8)
    note = (
        f"int8 by dynamic quantisation: {len(changed)} of {len(weighed)} layers with weights "
        f"({share:.1%} of the parameters) are computed in int8, the others in fp32"
    )
    return made, note


def _own_weights(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters(recurse=False))


def compiled(module: nn.Module, device: torch.device) -> Callable[..., Any]:
    """The network under torch.compile, for each shape apart; it is compiled when it is first executed."""
    import torch

    if device.type == "cpu":
        compiler = os.environ.get("CXX") or "g++"
        if not any(shutil.which(name) for name in (compiler, "clang++")):
            remedy = "Install one (Debian, Ubuntu: apt-get install g++), or give --runtime torch."
            raise UnavailableError(
                f"torch.compile needs a C++ compiler for a CPU, and there is no {compiler}. {remedy}"
            )
    elif importlib.util.find_spec("triton") is None:
        remedy = "Install the triton that belongs to this PyTorch, or give --runtime torch."
        raise UnavailableError(f"torch.compile needs Triton for CUDA, and it is not installed. {remedy}")
    with without_deprecations():
        made: Callable[..., Any] = torch.compile(module, dynamic=False)
    return made


@contextmanager
def first_execution() -> Iterator[None]:
    """Where torch.compile compiles: what fails there becomes an UnavailableError."""
    try:
        with without_deprecations():
            yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        said = " ".join(str(error).split())[:300]
        raise UnavailableError(f"torch.compile could not compile this model: {said} Give --runtime torch.") from error


def traced(module: nn.Module, example: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
    """The network as TorchScript: traced on an example, its weights frozen in."""
    import torch

    with without_deprecations(), torch.inference_mode():
        trace: Any = torch.jit.trace
        made: Callable[..., Any] = torch.jit.freeze(trace(module, example, check_trace=False, strict=False).eval())
    return made
