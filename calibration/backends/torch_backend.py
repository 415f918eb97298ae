"""PyTorch on a CPU or on CUDA: eager, compiled, TorchScript; fp32, fp16, bf16, int8 by dynamic quantisation.

:func:`open_torch` loads a model; everything is executed in inference mode. On CUDA the parts are timed by events on
the stream, copies go through pinned memory, and the peak is the allocator's. On a CPU nothing is copied, so there are
no parts ``input`` and ``output``.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from calibration.backends import torch_variants
from calibration.backends.host import cpu_name, memory_errors, nvidia_driver, peak_memory_bytes, reset_peak_memory
from calibration.backends.sources import items_with, model_error
from calibration.backends.torch_runtimes import first_execution

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from calibration.backends.protocol import Variant
    from calibration.backends.torch_variants import TorchModel
    from calibration.models.batches import Item

Tensors = tuple["torch.Tensor", ...]


def open_torch(variant: Variant) -> TorchSession:
    """Load a model with PyTorch as the variant says.

    Raises
    ------
    UnavailableError
        When PyTorch, the device or the precision cannot be had.
    InputError
        When there is no such model, or the sizes do not fit it.
    """
    torch_variants.check_torch()
    import torch

    device = torch_variants.found_device(variant.device)
    torch_variants.check_precision(variant, device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # events are recorded where PyTorch stands
    threads = torch.get_num_threads()
    if variant.threads is not None:
        torch.set_num_threads(variant.threads)
    try:
        with memory_errors(None, str(device)):
            model = torch_variants.load(variant, device)
    except BaseException:
        torch.set_num_threads(threads)
        raise
    return TorchSession(variant, model, device, threads)


class TorchSession:
    """A model in PyTorch, loaded on a device."""

    module: Callable[..., Any]
    """What is executed: the network as the runtime and the precision made it."""
    device: torch.device
    """Where it is executed."""

    def __init__(self, variant: Variant, model: TorchModel, device: torch.device, threads_before: int) -> None:
        self.variant = variant
        self.module = model.module
        self.device = device
        self._model = model
        self._threads_before = threads_before

    def prepare(self, batch: int) -> TorchExecution:
        """Make a batch of inputs from the seed; raises OutOfMemoryError when the device cannot hold it."""
        import torch

        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            reset_peak_memory()
        if self.variant.runtime == "torch-compile":
            # Shapes are compiled one by one; what was compiled for others would count towards a limit of 8, after
            # which PyTorch silently runs eagerly.
            torch.compiler.reset()
        with memory_errors(batch, str(self.device)):
            return TorchExecution(self._model, self.variant.model, batch, self.device)

    def provenance(self) -> Mapping[str, Any]:
        """What runs, on what: device, driver, versions, sizes, parameters, threads, settings of matrix products."""
        import torch

        variant, model = self.variant, self._model
        on_cuda = self.device.type == "cuda"
        found: dict[str, Any] = {
            **{"model": variant.model, "runtime": variant.runtime, "precision": variant.precision},
            **{"seed": variant.seed, "sizes": dict(model.network.sizes), "parameters": model.parameters},
            "device": torch.cuda.get_device_name(self.device) if on_cuda else cpu_name(),
            "cpu": cpu_name(),
            "versions": torch_variants.versions(),
            "threads": torch.get_num_threads(),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
        }
        if on_cuda:
            found["driver"] = nvidia_driver()
            found["device_uuid"] = str(getattr(torch.cuda.get_device_properties(self.device), "uuid", "")) or None
            found["cudnn_allow_tf32"] = torch.backends.cudnn.allow_tf32
        if model.notes:
            found["notes"] = list(model.notes)
        return {key: value for key, value in found.items() if value is not None}

    def memory_bytes(self) -> float | None:
        """Most memory since the last ``prepare``: of CUDA's allocator; on a CPU of the process as a whole."""
        import torch

        if self.device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self.device))
        return peak_memory_bytes()

    def close(self) -> None:
        """Give the device back, and PyTorch its threads."""
        import torch

        torch.set_num_threads(self._threads_before)
        if self.variant.runtime == "torch-compile":
            torch.compiler.reset()
        del self.module, self._model
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


class TorchExecution:
    """One batch for a model in PyTorch."""

    module: Callable[..., Any]
    """What is executed, in inference mode: ``module(*inputs)``."""
    inputs: Tensors
    """Its inputs, on the device."""
    device: torch.device
    """Where they are."""

    def __init__(self, model: TorchModel, name: str, batch: int, device: torch.device) -> None:
        self.module = model.module
        self.device = device
        self._batch = batch
        self._model = model
        self._model_name = name
        self._items = model.network.items(batch)
        self._columns = _columns(self._items)
        self._on_cuda = device.type == "cuda"
        self._pinned: Tensors = ()
        self._landing: Tensors = ()
        resident = torch_variants.residents_of(model, batch, device)
        self.inputs = (*(tensor.to(device) for tensor in self._stage()), *resident)
        self._produced: Any = None

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Take these in place of the inputs drawn: one array an input, one row an item; what is not given stays."""
        self._items = items_with(self._items, arrays, self._model_name)
        self._columns = _columns(self._items)
        staged = self._stage()
        self.inputs = (*(tensor.to(self.device) for tensor in staged), *self.inputs[len(staged) :])
        self._produced = None

    def run(self) -> None:
        """Execute once, inputs and outputs on the device, and wait for it."""
        import torch

        with memory_errors(self._batch, str(self.device)), torch.inference_mode():
            self._execute(self.inputs)
            if self._on_cuda:
                torch.cuda.synchronize(self.device)

    def run_parts(self) -> Mapping[str, float]:
        """Execute once from single items on the host to single answers on the host; ms a part."""
        import torch

        with memory_errors(self._batch, str(self.device)), torch.inference_mode():
            return self._parts_on_cuda() if self._on_cuda else self._parts_on_cpu()

    def outputs(self) -> npt.NDArray[np.float64]:
        """What the last execution gave: one row an item, all its floating-point outputs side by side."""
        import numpy as np
        import torch

        if self._produced is None:
            self.run()
        with torch.inference_mode():
            rows = [leaf.reshape(self._batch, -1).double().cpu().numpy() for leaf in self._answers()]
        return np.concatenate(rows, axis=1)

    def _execute(self, inputs: Tensors) -> None:
        if self._produced is None:
            with first_execution():
                self._produced = self.module(*inputs)
        else:
            self._produced = self.module(*inputs)

    def _answers(self) -> list[torch.Tensor]:
        found = torch_variants.leaves(self._produced, self._batch)
        if not found:
            rule = f"gave no tensor whose first axis is the batch ({self._batch})"
            raise model_error(self._model_name, rule, "Let it return one row for each item.")
        return found

    def _stage(self) -> Tensors:
        """Make the tensors of a batch from its items, in the precision of the model: a server's work on the host."""
        import torch

        made = tuple(self._model.as_precision(torch.stack(column)) for column in self._columns)
        if not self._on_cuda:
            return made
        if not self._pinned:
            self._pinned = tuple(_pinned_like(tensor) for tensor in made)
        for pinned, tensor in zip(self._pinned, made, strict=True):
            pinned.copy_(tensor)  # a server keeps its pinned memory: to allocate it costs more than to fill it
        return self._pinned

    def _parts_on_cpu(self) -> Mapping[str, float]:
        started = perf_counter()
        staged = self._stage()
        staged_at = perf_counter()
        self._execute((*staged, *self.inputs[len(staged) :]))
        computed_at = perf_counter()
        self._split(self._answers())
        done = perf_counter()
        return {
            "preprocess": (staged_at - started) * 1e3,
            "compute": (computed_at - staged_at) * 1e3,
            "postprocess": (done - computed_at) * 1e3,
        }

    def _parts_on_cuda(self) -> Mapping[str, float]:
        import torch

        started = perf_counter()
        staged = self._stage()
        staged_at = perf_counter()
        event: Any = torch.cuda.Event
        marks = [event(enable_timing=True) for _ in range(4)]
        marks[0].record()
        for tensor, pinned in zip(self.inputs, staged, strict=False):  # what stays on the device comes after
            tensor.copy_(pinned, non_blocking=True)
        marks[1].record()
        self._execute(self.inputs)
        marks[2].record()
        answers = self._answers()
        if [leaf.shape for leaf in answers] != [leaf.shape for leaf in self._landing]:
            self._landing = tuple(_pinned_like(leaf) for leaf in answers)
        for landing, leaf in zip(self._landing, answers, strict=True):
            landing.copy_(leaf, non_blocking=True)
        marks[3].record()
        torch.cuda.synchronize(self.device)
        split_from = perf_counter()
        self._split(self._landing)
        done = perf_counter()
        return {
            "preprocess": (staged_at - started) * 1e3,
            "input": float(marks[0].elapsed_time(marks[1])),
            "compute": float(marks[1].elapsed_time(marks[2])),
            "output": float(marks[2].elapsed_time(marks[3])),
            "postprocess": (done - split_from) * 1e3,
        }

    def _split(self, leaves: Sequence[torch.Tensor]) -> list[tuple[npt.NDArray[Any], ...]]:
        """Cut the answers of a batch into those of its items, copied: a server's work on the host."""
        arrays = [(leaf.float() if leaf.is_floating_point() else leaf).numpy() for leaf in leaves]
        return [tuple(array[row].copy() for array in arrays) for row in range(self._batch)]


def _columns(items: Sequence[Item]) -> list[list[torch.Tensor]]:
    """The values of each input, item by item."""
    import torch

    return [[torch.from_numpy(array) for array in column] for column in zip(*items, strict=True)]


def _pinned_like(tensor: torch.Tensor) -> torch.Tensor:
    """Memory of the host that the device can copy from and to by itself."""
    import torch

    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
