"""ONNX Runtime on a CPU or on CUDA: a file, or a network of PyTorch exported to one; fp32, fp16, int8.

Times are the host's: ONNX Runtime shows no events of the device, so on CUDA every part is synchronised before the next
begins. On a CPU nothing is copied.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from calibration.backends import onnx_models
from calibration.backends.host import (
    cpu_name,
    memory_errors,
    nvidia_device,
    nvidia_driver,
    peak_memory_bytes,
    reset_peak_memory,
)
from calibration.backends.input_specs import draw_items
from calibration.backends.onnx_exports import context_of, export, kept_export, quantise
from calibration.backends.protocol import UnavailableError
from calibration.backends.sources import check_runtime, items_with, model_error, stacked
from calibration.backends.torch_variants import check_torch, network_of
from calibration.models.batches import items, kv_cache
from calibration.models.sizes import sizes_of
from calibration.models.weights import parameters

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from calibration.backends.protocol import Variant
    from calibration.models.batches import Item


def open_onnx(variant: Variant) -> OnnxSession:
    """Load a model with ONNX Runtime as the variant says, exporting it first where it is no file.

    Raises
    ------
    UnavailableError
        When ONNX Runtime, its provider for the device or the precision cannot be had.
    InputError
        When there is no such model, or its sizes or inputs do not fit it.
    """
    kind = check_runtime(variant)
    runtime = _imported()
    providers = _providers(runtime, variant)
    with memory_errors(None, variant.device), TemporaryDirectory(prefix="headroom-onnx-") as folder:
        if kind == "onnx":
            path, notes = _file(variant, Path(folder))
            executable = _executable(runtime, variant, path, providers)
            source = _inputs_of_file(variant, executable, notes)
        else:
            path, source = _built_in(variant) if kind == "built-in" else _function(variant, Path(folder))
            executable = _executable(runtime, variant, path, providers)
    return OnnxSession(variant, executable, source)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the inputs of a model come from, and what is known of it."""

    items: Callable[[int], Sequence[Item]]
    """Inputs of each request of a batch."""
    resident: Callable[[int], Sequence[npt.NDArray[Any]]] = lambda _: ()
    """What stays on the device: a KV cache."""
    facts: Mapping[str, Any]
    """For the provenance."""
    notes: tuple[str, ...] = ()
    """What whoever reads the figures should know."""
    fixed_batch: int | None = None
    """The only batch size that the file takes, where its first axis is not free."""


class OnnxSession:
    """A model in ONNX Runtime, loaded on a device."""

    def __init__(self, variant: Variant, executable: Any, source: Source) -> None:
        self.variant = variant
        self._executable = executable
        self._source = source

    def prepare(self, batch: int) -> OnnxExecution:
        """Make a batch of inputs from the seed; raises OutOfMemoryError when the device cannot hold it."""
        fixed = self._source.fixed_batch
        if fixed is not None and fixed != batch:
            remedy = f"Give --batch {fixed}, or export it with a free first axis."
            raise model_error(self.variant.model, f"has a batch of {fixed} built in, and takes none of {batch}", remedy)
        reset_peak_memory()
        with memory_errors(batch, self.variant.device):
            return OnnxExecution(self._executable, self._source, self.variant, batch)

    def provenance(self) -> Mapping[str, Any]:
        """What runs, on what: device, providers, versions, sizes, parameters, threads."""
        variant, runtime = self.variant, _imported()
        on_cuda = variant.device != "cpu"
        found: dict[str, Any] = {
            **{"model": variant.model, "runtime": variant.runtime, "precision": variant.precision},
            **{"seed": variant.seed, **self._source.facts},
            "device": _cuda_name(variant.device) if on_cuda else cpu_name(),
            "cpu": cpu_name(),
            "driver": nvidia_driver() if on_cuda else None,
            "providers": list(self._executable.get_providers()),
            "versions": {"python": platform.python_version(), "onnxruntime": str(runtime.__version__)},
            "threads": variant.threads,
            "notes": list(self._source.notes) or None,
        }
        return {key: value for key, value in found.items() if value is not None}

    def memory_bytes(self) -> float | None:
        """Most memory of this process since the last ``prepare``; None on CUDA, where ONNX Runtime does not tell."""
        return peak_memory_bytes() if self.variant.device == "cpu" else None

    def close(self) -> None:
        """Give the device back."""
        del self._executable


class OnnxExecution:
    """One batch for a model in ONNX Runtime."""

    def __init__(self, executable: Any, source: Source, variant: Variant, batch: int) -> None:
        self._executable = executable
        self._batch = batch
        self._variant = variant
        self._items = source.items(batch)
        given = executable.get_inputs()
        self._names = [value.name for value in given]
        self._types = ["float16" if value.type == "tensor(float16)" else None for value in given]
        staged = self._stage()
        resident = source.resident(batch)
        halves = self._types[len(staged) :]
        kept = [array if half is None else array.astype(half) for array, half in zip(resident, halves, strict=True)]
        self._feeds = dict(zip(self._names, (*staged, *kept), strict=True))
        self._on_cuda = variant.device != "cpu"
        if self._on_cuda:
            self._bind()
        self._produced: list[Any] | None = None

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Take these in place of the inputs drawn: one array an input, one row an item; what is not given stays."""
        self._items = items_with(self._items, arrays, self._variant.model)
        self._feed(self._stage())
        self._produced = None

    def run(self) -> None:
        """Execute once, inputs and outputs on the device, and wait for it."""
        with memory_errors(self._batch, self._variant.device):
            if self._on_cuda:
                self._executable.run_with_iobinding(self._binding)
                self._binding.synchronize_outputs()
                self._produced = []
            else:
                self._produced = self._executable.run(None, self._feeds)

    def run_parts(self) -> Mapping[str, float]:
        """Execute once from single items on the host to single answers on the host; ms a part, on the host's clock."""
        marks = [("", perf_counter())]

        def mark(part: str) -> None:
            marks.append((part, perf_counter()))

        with memory_errors(self._batch, self._variant.device):
            staged = self._stage()
            mark("preprocess")
            self._feed(staged)
            if self._on_cuda:
                mark("input")
                self.run()
                mark("compute")
                produced = self._binding.copy_outputs_to_cpu()
                mark("output")
            else:
                self.run()
                mark("compute")
                produced = self._produced
            self._split(self._answers(produced))
            mark("postprocess")
        return {part: (end - marks[before][1]) * 1e3 for before, (part, end) in enumerate(marks[1:])}

    def outputs(self) -> npt.NDArray[np.float64]:
        """What the last execution gave: one row an item, all its outputs side by side."""
        import numpy as np

        if self._produced is None:
            self.run()
        produced = self._binding.copy_outputs_to_cpu() if self._on_cuda else self._produced
        rows = [array.reshape(self._batch, -1).astype(np.float64) for array in self._answers(produced)]
        return np.concatenate(rows, axis=1)

    def _stage(self) -> list[npt.NDArray[Any]]:
        """Make the arrays of a batch from its items: a server's work on the host."""
        made = stacked(self._items)
        halves = self._types[: len(made)]
        return [array if half is None else array.astype(half) for array, half in zip(made, halves, strict=True)]

    def _feed(self, staged: Sequence[npt.NDArray[Any]]) -> None:
        """Hand the inputs over; what stays on the device comes after them, and stays."""
        if not self._on_cuda:
            self._feeds.update(zip(self._names, staged, strict=False))
            return
        for name, array in zip(self._names, staged, strict=False):
            self._on_device[name].update_inplace(array)
        self._binding.synchronize_inputs()

    def _bind(self) -> None:
        """Put the inputs on the device, and leave the outputs there."""
        runtime = _imported()
        number = _device_number(self._variant.device)
        self._binding = self._executable.io_binding()
        self._on_device = {
            name: runtime.OrtValue.ortvalue_from_numpy(array, "cuda", number) for name, array in self._feeds.items()
        }
        for name, value in self._on_device.items():
            self._binding.bind_ortvalue_input(name, value)
        for output in self._executable.get_outputs():
            self._binding.bind_output(output.name, "cuda", number)

    def _answers(self, produced: Sequence[Any] | None) -> list[npt.NDArray[Any]]:
        found = [array for array in produced or [] if getattr(array, "shape", ()) and array.shape[0] == self._batch]
        if not found:
            rule = f"gave no array whose first axis is the batch ({self._batch})"
            raise model_error(self._variant.model, rule, "Let it return one row for each item.")
        return found

    def _split(self, arrays: Sequence[npt.NDArray[Any]]) -> list[tuple[npt.NDArray[Any], ...]]:
        """Cut the answers of a batch into those of its items, copied: a server's work on the host."""
        return [tuple(array[row].copy() for array in arrays) for row in range(self._batch)]


def _imported() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        remedy = "Install it: pip install 'headroom-sim[onnx]' (and onnxruntime-gpu in its place for CUDA)."
        raise UnavailableError(f"ONNX Runtime cannot be imported ({error}). {remedy}") from None


_PRECISIONS: Final = {"cpu": ("fp32", "int8"), "cuda": ("fp32", "fp16")}


def _providers(runtime: Any, variant: Variant) -> list[Any]:
    """ONNX Runtime's execution providers for the device, where they compute in the precision."""
    kind, _, number = variant.device.partition(":")
    if kind not in _PRECISIONS or (number and not number.isdecimal()):
        raise UnavailableError(f"There is no device '{variant.device}': ONNX Runtime runs on cpu, cuda or cuda:N here.")
    if variant.precision not in _PRECISIONS[kind]:
        known = " and ".join(_PRECISIONS[kind])
        remedy = f"Give --precision {known.replace(' and ', ' or ')}, or --runtime torch."
        raise UnavailableError(f"ONNX Runtime computes in {known} on {kind}, not in {variant.precision}. {remedy}")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if _CUDA not in runtime.get_available_providers():
        remedy = "Install onnxruntime-gpu in place of onnxruntime, or give --device cpu."
        raise UnavailableError(f"This ONNX Runtime has no provider for CUDA. {remedy}")
    return [(_CUDA, {"device_id": int(number or 0)}), "CPUExecutionProvider"]


_CUDA: Final = "CUDAExecutionProvider"


def _executable(runtime: Any, variant: Variant, path: Path, providers: list[Any]) -> Any:
    """ONNX Runtime's session, and not one that fell back to the CPU without a word."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors: warnings about where nodes are placed are no news to the user
    if variant.threads is not None:
        options.intra_op_num_threads = variant.threads
    try:
        made = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # errors of ONNX Runtime share no class but this
        said = " ".join(str(error).split())[:300]
        raise model_error(variant.model, f"cannot be loaded by ONNX Runtime: {said}", "") from error
    if variant.device != "cpu" and _CUDA not in made.get_providers():
        remedy = "Install the CUDA and cuDNN that it was built for (onnxruntime.ai, CUDA Execution Provider)."
        raise UnavailableError(f"ONNX Runtime could not start its provider for CUDA. {remedy}")
    return made


def _file(variant: Variant, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The user's file in the precision asked for."""
    held = onnx_models.precision_of(variant.model)
    path = Path(variant.model)
    if held == variant.precision:
        return path, ()
    if held == "fp32" and variant.precision == "int8":
        return folder / "int8.onnx", (quantise(path, folder / "int8.onnx"),)
    remedy = f"Give --precision {held}, or export it in {variant.precision}."
    raise model_error(variant.model, f"holds weights in {held}, which are not turned into {variant.precision}", remedy)


def _built_in(variant: Variant) -> tuple[Path, Source]:
    """The exported file of a built-in model, and its inputs: neither needs PyTorch once it is kept."""
    path, notes = kept_export(variant, sizes_of(variant.model, variant.sizes))
    return path, built_in_source(variant, notes)


def built_in_source(variant: Variant, notes: Sequence[str]) -> Source:
    """The inputs of a built-in model, as its exported file takes them."""
    name, seed = variant.model, variant.seed
    sizes = sizes_of(name, variant.sizes)
    return Source(
        items=lambda batch: items(name, sizes, seed, batch),
        resident=lambda batch: context_of(sizes, kv_cache(name, sizes, seed, batch)),
        facts={"sizes": sizes, "parameters": parameters(name, sizes)},
        notes=tuple(notes),
    )


def _function(variant: Variant, folder: Path) -> tuple[Path, Source]:
    """A network of the user's, exported for this session alone."""
    check_torch()
    network = network_of(variant)
    facts = {"sizes": dict(network.sizes), "parameters": network.parameters}
    path, notes = export(network, variant.precision, folder)
    notes.append("exported anew at every load: what loading takes is more than a service would see")
    return path, Source(items=network.items, facts=facts, notes=tuple(notes))


def _inputs_of_file(variant: Variant, executable: Any, notes: tuple[str, ...]) -> Source:
    specs, fixed = onnx_models.input_specs(variant, executable.get_inputs())
    shapes = {spec.name: [*spec.shape, spec.dtype] for spec in specs}
    return Source(
        items=lambda batch: draw_items(specs, variant.seed, batch),
        facts={"sizes": dict(variant.sizes or {}), "inputs": shapes},
        notes=notes,
        fixed_batch=fixed,
    )


def _device_number(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _cuda_name(device: str) -> str:
    """What NVML calls the device, else its name here."""
    return nvidia_device(_device_number(device)) or device
