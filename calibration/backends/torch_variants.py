"""What a variant means to PyTorch: which device, which model, made ready how."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import UnavailableError
from calibration.models.batches import Item, items, kv_cache
from calibration.models.sizes import sizes_of

if TYPE_CHECKING:
    import torch

    from calibration.backends.protocol import Variant


@dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A network with its inputs, ready to be executed."""

    module: Callable[..., Any]
    """Takes the inputs of a batch, then what stays on the device."""
    items: Callable[[int], Sequence[Item]]
    """Inputs of each request of a batch, on the host."""
    resident: Callable[[int], Sequence[Any]]
    """Arrays that stay on the device between executions: a KV cache."""
    dtype: torch.dtype
    """Of floating-point inputs."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """What ``--size`` chose, or the built-in model's own."""
    parameters: int | None = None
    """Numbers trained."""
    notes: tuple[str, ...] = ()
    """What whoever reads the figures should know."""

    def as_precision(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor in the precision of the model, where it holds floating-point numbers."""
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def imported_torch() -> ModuleType:
    """PyTorch, or an UnavailableError that says how to get it."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        remedy = "Install it: pip install 'headroom-sim[torch]'."
        raise UnavailableError(f"PyTorch cannot be imported ({error}). {remedy}") from None


def found_device(torch: ModuleType, name: str) -> torch.device:
    """The device of this name, if PyTorch can use it here."""
    kind, _, number = name.partition(":")
    if kind == "tpu":
        raise UnavailableError("PyTorch runs on cpu and cuda here. For a TPU give --runtime jax.")
    if kind not in {"cpu", "cuda"} or (number and not number.isdecimal()):
        raise UnavailableError(f"There is no device '{name}': PyTorch runs on cpu, cuda or cuda:N here.")
    if kind == "cpu":
        on_cpu: torch.device = torch.device("cpu")
        return on_cpu
    if not torch.cuda.is_available():
        built = "this PyTorch is built without CUDA" if torch.version.cuda is None else "it finds no CUDA device"
        remedy = "Install a build with CUDA (https://pytorch.org), check nvidia-smi, or give --device cpu."
        raise UnavailableError(f"PyTorch cannot use CUDA: {built}. {remedy}")
    count = torch.cuda.device_count()
    if int(number or 0) >= count:
        raise UnavailableError(f"There is no device '{name}': PyTorch finds cuda:0 to cuda:{count - 1}.")
    on_cuda: torch.device = torch.device("cuda", int(number or 0))
    return on_cuda


_PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8")


def check_precision(variant: Variant, device: torch.device) -> None:
    """Raise UnavailableError when PyTorch cannot execute in this precision on this device."""
    if variant.precision not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise UnavailableError(f"There is no precision '{variant.precision}' for PyTorch; there are {known}.")
    if variant.precision == "int8" and device.type == "cuda":
        remedy = "Give --precision fp16 or bf16, or --device cpu."
        raise UnavailableError(f"PyTorch's dynamic quantisation to int8 runs on a CPU only. {remedy}")


def load(variant: Variant, device: torch.device) -> TorchModel:
    """The model of a variant on its device, in its precision, made ready for its runtime."""
    from calibration.models.torch_models import build

    sizes = sizes_of(variant.model, variant.sizes)
    module = build(variant.model, sizes, variant.seed)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    import torch

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(variant.precision, torch.float32)
    return TorchModel(
        module=module.to(device=device, dtype=dtype),
        items=lambda batch: items(variant.model, sizes, variant.seed, batch),
        resident=lambda batch: kv_cache(variant.model, sizes, variant.seed, batch),
        dtype=dtype,
        sizes=sizes,
        parameters=parameters,
    )


def leaves(produced: Any, batch: int) -> list[torch.Tensor]:
    """The floating-point tensors in what a network gave whose first axis is the batch."""
    import torch

    if isinstance(produced, torch.Tensor):
        of_batch = produced.is_floating_point() and produced.dim() > 0 and produced.shape[0] == batch
        return [produced] if of_batch else []
    if isinstance(produced, Mapping):
        produced = list(produced.values())
    if isinstance(produced, Sequence) and not isinstance(produced, str):
        return [leaf for part in produced for leaf in leaves(part, batch)]
    return []


def versions(torch: ModuleType) -> dict[str, str]:
    """Versions of what computes."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if torch.version.cuda is not None:
        found["cuda"] = str(torch.version.cuda)
        cudnn = torch.backends.cudnn.version()
        if cudnn is not None:
            found["cudnn"] = str(cudnn)
    return found
