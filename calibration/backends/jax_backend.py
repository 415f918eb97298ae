"""JAX on a CPU, a GPU or a TPU: the same code, the platform chosen by the device's name; fp32, fp16, bf16.

A model is compiled for each batch when it is first executed. Times are the host's, and every part waits until its
arrays are ready. On a CPU nothing is copied, so there are no parts ``input`` and ``output``.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.host import cpu_name, memory_errors, nvidia_driver, peak_memory_bytes, reset_peak_memory
from calibration.backends.protocol import UnavailableError
from calibration.backends.sources import call, check_runtime, items_of, items_with, model_error, stacked
from calibration.models.batches import Item, items, kv_cache
from calibration.models.sizes import sizes_of
from calibration.models.weights import draw, parameters, weights_of

if TYPE_CHECKING:
    import jax
    import numpy as np
    import numpy.typing as npt

    from calibration.backends.protocol import Variant


def open_jax(variant: Variant) -> JaxSession:
    """Load a model with JAX as the variant says.

    Raises
    ------
    UnavailableError
        When JAX, the platform or the precision cannot be had.
    InputError
        When there is no such model, or its sizes do not fit it.
    """
    check_runtime(variant)
    _check_jax()
    device = _found_device(variant.device)
    if variant.threads is not None:
        remedy = "Leave --threads out, and start the command under 'taskset -c 0-3' instead."
        raise UnavailableError(f"JAX takes a thread for each processor that the process may use. {remedy}")
    with memory_errors(None, variant.device):
        return JaxSession(variant, _load(variant, device), device)


@dataclass(frozen=True, kw_only=True)
class JaxModel:
    """A function for JAX to compile, with its weights on the device and its inputs."""

    function: Callable[..., Any]
    """Takes the weights, the inputs of a batch, then what stays on the device; gives the answers and the latter."""
    weights: Any
    """Arrays on the device."""
    items: Callable[[int], Sequence[Item]]
    """Inputs of each request of a batch, on the host."""
    resident: Callable[[int], Sequence[npt.NDArray[Any]]] = lambda _: ()
    """What stays on the device between executions: a KV cache."""
    dtype: Any = None
    """Of floating-point inputs; None leaves them as they are."""
    facts: Mapping[str, Any]
    """For the provenance."""


class JaxSession:
    """A model in JAX, loaded on a device."""

    def __init__(self, variant: Variant, model: JaxModel, device: jax.Device) -> None:
        self.variant = variant
        self.device = device
        self._model = model
        self._last: JaxExecution | None = None
        self._compile_s: dict[str, float] = {}

    def prepare(self, batch: int) -> JaxExecution:
        """Make a batch of inputs from the seed; raises OutOfMemoryError when the device cannot hold it."""
        self._last = None
        reset_peak_memory()
        with memory_errors(batch, self.variant.device):
            self._last = JaxExecution(self._model, self.variant, batch, self.device, self._compile_s)
        return self._last

    def provenance(self) -> Mapping[str, Any]:
        """What runs, on what: device, versions, sizes, parameters, precision of products, seconds to compile."""
        import jax

        variant = self.variant
        on_cpu = self.device.platform == "cpu"
        versions = {name: str(importlib.import_module(name).__version__) for name in ("jax", "jaxlib")}
        found = {
            **{"model": variant.model, "runtime": variant.runtime, "precision": variant.precision},
            **{"seed": variant.seed, **self._model.facts},
            "device": cpu_name() if on_cpu else str(self.device.device_kind),
            "cpu": cpu_name(),
            "driver": nvidia_driver() if self.device.platform == "gpu" else None,
            "versions": {"python": platform.python_version(), **versions},
            "platform": str(self.device.platform),
            "platform_version": " ".join(str(self.device.client.platform_version).split())[:200],
            "matmul_precision": str(getattr(jax.config, "jax_default_matmul_precision", None) or "default"),
            "compile_s": dict(self._compile_s) or None,
            "notes": None if on_cpu or variant.precision != "fp32" else [_FAST_PRODUCTS],
        }
        return {key: value for key, value in found.items() if value is not None}

    def memory_bytes(self) -> float | None:
        """Most memory since the last ``prepare``: of the compiled program; on a CPU of the process as a whole."""
        if self.device.platform == "cpu":
            return peak_memory_bytes()
        return None if self._last is None else self._last.memory_bytes()

    def close(self) -> None:
        """Give the device back."""
        self._last = None
        del self._model


_FAST_PRODUCTS: Final = (
    "XLA's default computes products of fp32 matrices in less than fp32 on a TPU (bf16) and on new GPUs (TF32); "
    "JAX_DEFAULT_MATMUL_PRECISION=highest changes that"
)


class JaxExecution:
    """One batch for a model in JAX."""

    def __init__(
        self, model: JaxModel, variant: Variant, batch: int, device: jax.Device, compile_s: dict[str, float]
    ) -> None:
        import jax

        self._model = model
        self._variant = variant
        self._batch = batch
        self._device = device
        self._compile_s = compile_s
        self._items = model.items(batch)
        self._inputs = jax.device_put(self._stage(), device)
        self._resident = tuple(jax.device_put(self._as_precision(array), device) for array in model.resident(batch))
        self._program: Any = None
        self._produced: Any = None

    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Take these in place of the inputs drawn: one array an input, one row an item; what is not given stays."""
        import jax

        self._items = items_with(self._items, arrays, self._variant.model)
        self._inputs = jax.device_put(self._stage(), self._device)
        self._produced = None

    def run(self) -> None:
        """Execute once, inputs and outputs on the device, and wait for it; compile before where it is the first."""
        with memory_errors(self._batch, self._variant.device):
            self._execute(self._inputs)

    def run_parts(self) -> Mapping[str, float]:
        """Execute once from single items on the host to single answers on the host; ms a part, on the host's clock."""
        import jax

        marks = [("", perf_counter())]

        def mark(part: str) -> None:
            marks.append((part, perf_counter()))

        with memory_errors(self._batch, self._variant.device):
            staged = self._stage()
            mark("preprocess")
            if self._device.platform == "cpu":
                self._execute(staged)
                mark("compute")
                answers = self._answers()
            else:
                self._inputs = _ready(jax.device_put(staged, self._device))
                mark("input")
                self._execute(self._inputs)
                mark("compute")
                answers = self._answers()
                mark("output")
            self._split(answers)
            mark("postprocess")
        return {part: (end - marks[before][1]) * 1e3 for before, (part, end) in enumerate(marks[1:])}

    def outputs(self) -> npt.NDArray[np.float64]:
        """What the last execution gave: one row an item, all its outputs side by side."""
        import numpy as np

        if self._produced is None:
            self.run()
        rows = [array.reshape(self._batch, -1).astype(np.float64) for array in self._answers()]
        return np.concatenate(rows, axis=1)

    def memory_bytes(self) -> float | None:
        """What the compiled program needs of the device: weights, inputs, outputs and all between them."""
        analysis = None if self._program is None else self._program.memory_analysis()
        if analysis is None:
            return None
        sizes = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
        return float(sizes - analysis.alias_size_in_bytes)

    def _execute(self, inputs: Sequence[Any]) -> None:
        import jax

        arguments = (self._model.weights, *inputs, *self._resident)
        if self._program is None:
            started = perf_counter()
            # What stays on the device is given away and comes back, so that it is written in place.
            donated = tuple(range(1 + len(inputs), len(arguments)))
            self._program = jax.jit(self._model.function, donate_argnums=donated).lower(*arguments).compile()
            self._compile_s[str(self._batch)] = perf_counter() - started
        self._produced, self._resident = _ready(self._program(*arguments))

    def _stage(self) -> tuple[npt.NDArray[Any], ...]:
        """Make the arrays of a batch from its items: a server's work on the host."""
        return tuple(self._as_precision(array) for array in stacked(self._items))

    def _as_precision(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import numpy as np

        if array.dtype == np.int64:  # JAX counts in 32 bits unless told otherwise
            return array.astype(np.int32)
        return array.astype(self._model.dtype) if self._model.dtype is not None and array.dtype.kind == "f" else array

    def _answers(self) -> list[npt.NDArray[Any]]:
        """The answers on the host."""
        import jax

        found = [
            array
            for array in jax.device_get(jax.tree_util.tree_leaves(self._produced))
            if getattr(array, "shape", ()) and array.shape[0] == self._batch
        ]
        if not found:
            rule = f"gave no array whose first axis is the batch ({self._batch})"
            raise model_error(self._variant.model, rule, "Let it return one row for each item.")
        return found

    def _split(self, arrays: Sequence[npt.NDArray[Any]]) -> list[tuple[npt.NDArray[Any], ...]]:
        """Cut the answers of a batch into those of its items, copied: a server's work on the host."""
        return [tuple(array[row].copy() for array in arrays) for row in range(self._batch)]


def _ready(arrays: Any) -> Any:
    """The arrays, once they have been computed."""
    import jax

    wait: Any = jax.block_until_ready
    return wait(arrays)


def _check_jax() -> None:
    try:
        importlib.import_module("jax")
    except ImportError as error:
        remedy = "Install it: pip install 'headroom-sim[jax]' (for a TPU 'jax[tpu]', for CUDA 'jax[cuda12]')."
        raise UnavailableError(f"JAX cannot be imported ({error}). {remedy}") from None


_PLATFORMS: Final = {"cpu": "cpu", "cuda": "gpu", "tpu": "tpu"}
"""What JAX calls a device."""


def _found_device(name: str) -> jax.Device:
    """The device of this name, if JAX has its platform; else an UnavailableError that says what there is."""
    import jax

    kind, _, number = name.partition(":")
    if kind not in _PLATFORMS or (number and not number.isdecimal()):
        raise UnavailableError(f"There is no device '{name}': JAX runs on cpu, cuda and tpu (cuda:1 for the second).")
    try:
        devices = jax.devices(_PLATFORMS[kind])
    except RuntimeError:
        there = ", ".join(sorted({f"{device.platform} ({device.device_kind})" for device in jax.devices()}))
        remedy = {"tpu": "Install 'jax[tpu]' on a TPU machine", "cuda": "Install 'jax[cuda12]' and check nvidia-smi"}
        advice = f"{remedy.get(kind, 'Unset JAX_PLATFORMS')}, or give --device cpu."
        raise UnavailableError(f"JAX finds no {kind} here, only {there}. {advice}") from None
    if int(number or 0) >= len(devices):
        raise UnavailableError(f"There is no device '{name}': JAX finds {len(devices)} of {kind}.")
    return devices[int(number or 0)]


def _load(variant: Variant, device: jax.Device) -> JaxModel:
    """The model of a variant with its weights on the device."""
    import jax
    import jax.numpy as jnp

    if check_runtime(variant) == "function":
        called = call(variant, with_precision=True)
        return JaxModel(
            function=lambda _, *inputs: (called.model(*inputs), ()),
            weights=(),
            items=lambda batch: items_of(called.inputs(batch), batch),
            facts={"sizes": dict(called.sizes)},
        )
    from calibration.models.jax_models import model_of

    kinds: dict[str, Any] = {"fp32": jnp.float32, "fp16": jnp.float16, "bf16": jnp.bfloat16}
    if variant.precision not in kinds:
        remedy = f"Give --precision {', '.join(kinds)}, or --runtime torch or onnxruntime on a CPU."
        raise UnavailableError(f"The built-in models of JAX do not compute in {variant.precision}. {remedy}")
    name, seed, dtype = variant.model, variant.seed, kinds[variant.precision]
    sizes = sizes_of(name, variant.sizes)
    drawn = draw(weights_of(name, sizes), seed)
    return JaxModel(
        function=model_of(name, sizes),
        weights={key: jax.device_put(array.astype(dtype), device) for key, array in drawn.items()},
        items=lambda batch: items(name, sizes, seed, batch),
        resident=lambda batch: kv_cache(name, sizes, seed, batch),
        dtype=dtype,
        facts={"sizes": sizes, "parameters": parameters(name, sizes)},
    )
