"""What a variant means to PyTorch: which device, which network, made ready how."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.host import emulated_on_cpu
from calibration.backends.input_specs import draw_items, parse_inputs
from calibration.backends.protocol import UnavailableError
from calibration.backends.sources import call, check_runtime, items_of, model_error
from calibration.backends.torch_runtimes import compiled, quantised, traced, without_deprecations
from calibration.models.batches import Item, items, kv_cache
from calibration.models.sizes import sizes_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from calibration.backends.protocol import Variant

Tensors = tuple["torch.Tensor", ...]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of PyTorch as it comes: in fp32, on the CPU, with its inputs."""

    module: nn.Module
    """Takes the inputs of a batch, then what stays on the device."""
    items: Callable[[int], Sequence[Item]]
    """Inputs of each request of a batch, on the host."""
    resident: Callable[[int], Sequence[Any]] = lambda _: ()
    """Arrays of NumPy that stay on the device between executions: a KV cache."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """What ``--size`` chose, and the built-in model's own."""

    @property
    def parameters(self) -> int | None:
        """Numbers trained; None where the network does not tell them apart (a frozen file)."""
        return sum(parameter.numel() for parameter in self.module.parameters()) or None


@dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A network on its device, in its precision, made ready for its runtime."""

    network: Network
    module: Callable[..., Any]
    """What is executed."""
    dtype: torch.dtype
    """Of floating-point inputs."""
    parameters: int | None
    """Of the network before it was quantised or frozen."""
    notes: tuple[str, ...] = ()
    """What whoever reads the figures should know."""

    def as_precision(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor in the precision of the model, where it holds floating-point numbers."""
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def check_torch() -> None:
    """Raise UnavailableError, which says how to get it, when PyTorch cannot be imported."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        remedy = "Install it: pip install 'headroom-sim[torch]'."
        raise UnavailableError(f"PyTorch cannot be imported ({error}). {remedy}") from None


def found_device(name: str) -> torch.device:
    """The device of this name, if PyTorch can use it here; else an UnavailableError that says what there is."""
    import torch

    kind, _, number = name.partition(":")
    if kind == "tpu":
        raise UnavailableError("PyTorch runs on cpu and cuda here. For a TPU give --runtime jax.")
    if kind not in {"cpu", "cuda"} or (number and not number.isdecimal()):
        raise UnavailableError(f"There is no device '{name}': PyTorch runs on cpu, cuda or cuda:N here.")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = "this PyTorch is built without CUDA" if torch.version.cuda is None else "it finds no CUDA device"
        remedy = "Install a build with CUDA (https://pytorch.org), check nvidia-smi, or give --device cpu."
        raise UnavailableError(f"PyTorch cannot use CUDA: {built}. {remedy}")
    count = torch.cuda.device_count()
    if int(number or 0) >= count:
        raise UnavailableError(f"There is no device '{name}': PyTorch finds cuda:0 to cuda:{count - 1}.")
    return torch.device("cuda", int(number or 0))


_PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8")


def check_precision(variant: Variant, device: torch.device) -> None:
    """Raise UnavailableError when PyTorch cannot execute in this precision on this device."""
    if variant.precision not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise UnavailableError(f"There is no precision '{variant.precision}' for PyTorch; there are {known}.")
    if variant.precision == "int8" and device.type == "cuda":
        remedy = "Give --precision fp16 or bf16, or --device cpu."
        raise UnavailableError(f"PyTorch's dynamic quantisation to int8 runs on a CPU only. {remedy}")


def network_of(variant: Variant) -> Network:
    """The network that a variant names: built in, or made by a function of the user's.

    Raises
    ------
    InputError
        When there is none, and when its sizes do not fit.
    """
    import torch

    name, seed = variant.model, variant.seed
    if check_runtime(variant) == "built-in":
        from calibration.models.torch_models import build

        sizes = sizes_of(name, variant.sizes)
        return Network(
            module=build(name, sizes, seed),
            items=lambda batch: items(name, sizes, seed, batch),
            resident=lambda batch: kv_cache(name, sizes, seed, batch),
            sizes=sizes,
        )
    called = call(variant)
    if not isinstance(called.model, torch.nn.Module):
        remedy = "Give --runtime python to time any callable, or --runtime jax for a function of JAX."
        raise model_error(name, f"gave a {type(called.model).__name__}, not a torch.nn.Module", remedy)
    return Network(
        module=called.model.eval().requires_grad_(False),
        items=lambda batch: items_of(called.inputs(batch), batch),
        sizes=called.sizes,
    )


def load(variant: Variant, device: torch.device) -> TorchModel:
    """The model of a variant on its device, in its precision, made ready for its runtime."""
    import torch

    network = _file(variant, device) if check_runtime(variant) == "torchscript" else network_of(variant)
    parameters, notes = network.parameters, list[str]()
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(variant.precision, torch.float32)
    module = network.module.to(device=device, dtype=dtype)
    if variant.precision == "int8":
        module, note = quantised(module)
        notes.append(note)
    if slow := _emulated(variant.precision, device):
        notes.append(slow)
    if variant.model == "resnet50" and device.type == "cuda" and dtype != torch.float32:
        lay: Any = module.to
        module = lay(memory_format=torch.channels_last)
        notes.append("weights lie channels last, as the tensor cores' convolutions read them")
    made = TorchModel(network=network, module=module, dtype=dtype, parameters=parameters, notes=tuple(notes))
    if variant.runtime == "torch-compile":
        return replace(made, module=compiled(module, device))
    if isinstance(module, torch.jit.ScriptModule) or variant.runtime != "torchscript":
        return made
    return replace(made, module=traced(module, inputs_of(made, _TRACED_BATCH, device)))


def _emulated(precision: str, device: torch.device) -> str | None:
    """A sentence for a precision that the device has no arithmetic for."""
    import torch

    if device.type == "cpu":
        return emulated_on_cpu(precision)
    if precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return "this GPU has no arithmetic in bf16: it is emulated, which is slow"


_TRACED_BATCH: Final = 2
"""A batch of one may take a path of its own."""


def inputs_of(model: TorchModel, batch: int, device: torch.device) -> Tensors:
    """Everything that the module takes for a batch, on the device."""
    import torch

    columns = zip(*model.network.items(batch), strict=True)
    made = [torch.stack([torch.from_numpy(array) for array in column]) for column in columns]
    return (*(model.as_precision(tensor).to(device) for tensor in made), *residents_of(model, batch, device))


def residents_of(model: TorchModel, batch: int, device: torch.device) -> Tensors:
    """What stays on the device between the executions of a batch."""
    import torch

    arrays = model.network.resident(batch)
    return tuple(model.as_precision(torch.from_numpy(array)).to(device) for array in arrays)


def _file(variant: Variant, device: torch.device) -> Network:
    """A network that was saved as TorchScript."""
    import torch

    if not variant.inputs:
        remedy = "Give --input name=shape:type for each, in order, for instance --input tokens=128:int64:30522."
        raise model_error(variant.model, "does not say which inputs it takes", remedy)
    specs = parse_inputs(variant.inputs)
    try:
        with without_deprecations():
            read: Any = torch.jit.load
            module = read(variant.model, map_location=device)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        remedy = "Save it with torch.jit.save: a state dict or a pickled module says too little to be executed."
        raise model_error(variant.model, f"is no TorchScript file: {reason}", remedy) from None
    if variant.precision == "int8":
        raise UnavailableError("A TorchScript file cannot be quantised any more: quantise before it is saved.")
    if variant.precision != "fp32" and not list(module.parameters()):
        raise UnavailableError(f"The weights of a frozen file cannot be cast: save it in {variant.precision}.")
    return Network(module=module.eval(), items=lambda batch: draw_items(specs, variant.seed, batch))


def leaves(produced: Any, batch: int) -> list[torch.Tensor]:
    """The tensors of numbers in what a network gave whose first axis is the batch."""
    import torch

    if isinstance(produced, torch.Tensor):
        return [produced] if produced.dim() > 0 and produced.shape[0] == batch else []
    if isinstance(produced, Mapping):
        produced = list(produced.values())
    if isinstance(produced, Sequence) and not isinstance(produced, str):
        return [leaf for part in produced for leaf in leaves(part, batch)]
    return []


def versions() -> dict[str, str]:
    """Versions of what computes."""
    import torch

    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if torch.version.cuda is not None:
        found["cuda"] = str(torch.version.cuda)
        cudnn_version: Any = torch.backends.cudnn.version
        cudnn = cudnn_version()
        if cudnn is not None:
            found["cudnn"] = str(cudnn)
    return found
