"""Any callable of Python, timed on the host until it returns: whatever framework, language or service is behind it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.host import cpu_name, memory_errors, peak_memory_bytes, reset_peak_memory
from calibration.backends.protocol import UnavailableError
from calibration.backends.sources import Called, as_numpy, call, check_runtime, model_error

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from calibration.backends.protocol import Variant


def open_python(variant: Variant) -> PythonSession:
    """Call the user's function for a model and its inputs.

    Raises
    ------
    UnavailableError
        When a number of threads is asked for, which only the callable itself could set.
    InputError
        When the function cannot be had, or returns something else.
    """
    check_runtime(variant)
    if variant.threads is not None:
        remedy = "Leave --threads out, and set OMP_NUM_THREADS or what your library reads."
        raise UnavailableError(f"How many threads a callable takes is its own affair. {remedy}")
    with memory_errors(None, variant.device):
        return PythonSession(variant, call(variant, with_precision=True))


class PythonSession:
    """A callable, and the inputs that it takes."""

    def __init__(self, variant: Variant, called: Called) -> None:
        self.variant = variant
        self._called = called

    def prepare(self, batch: int) -> PythonExecution:
        """Have the user's function make a batch of inputs."""
        reset_peak_memory()
        with memory_errors(batch, self.variant.device):
            return PythonExecution(self._called, self.variant, batch)

    def provenance(self) -> Mapping[str, Any]:
        """What runs, on what; versions of the frameworks that the callable has imported."""
        variant = self.variant
        loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in _FRAMEWORKS}
        return {
            **{"model": variant.model, "runtime": variant.runtime, "precision": variant.precision},
            **{"seed": variant.seed, "sizes": dict(self._called.sizes)},
            "device": cpu_name() if variant.device == "cpu" else variant.device,
            "cpu": cpu_name(),
            "versions": {
                "python": platform.python_version(),
                **{name: str(version) for name, version in loaded.items() if version is not None},
            },
            "notes": ["timed on the host's clock until the callable returned"],
        }

    def memory_bytes(self) -> float | None:
        """Most memory of this process since the last ``prepare``; None where the device is another."""
        return peak_memory_bytes() if self.variant.device == "cpu" else None

    def close(self) -> None:
        """Let the callable go."""
        del self._called


_FRAMEWORKS: Final = ("numpy", "scipy", "torch", "onnxruntime", "jax", "tensorflow", "sklearn", "xgboost", "lightgbm")


class PythonExecution:
    """One batch for a callable."""

    def __init__(self, called: Called, variant: Variant, batch: int) -> None:
        self._model = called.model
        self._inputs = called.inputs(batch)
        self._variant = variant
        self._batch = batch
        self._produced: Any = None

    def run(self) -> None:
        """Call it once."""
        with memory_errors(self._batch, self._variant.device):
            self._produced = self._model(*self._inputs)

    def run_parts(self) -> Mapping[str, float]:
        """Call it once; nobody can tell its parts, so that all is ``compute``."""
        started = perf_counter()
        self.run()
        return {"compute": (perf_counter() - started) * 1e3}

    def outputs(self) -> npt.NDArray[np.float64]:
        """What the last call gave: one row an item, all its outputs side by side."""
        import numpy as np

        if self._produced is None:
            self.run()
        arrays = [as_numpy(leaf) for leaf in _leaves(self._produced)]
        rows = [
            array.reshape(self._batch, -1).astype(np.float64)
            for array in arrays
            if array.ndim and array.shape[0] == self._batch and array.dtype.kind in "fiub"
        ]
        if not rows:
            rule = f"gave no numbers whose first axis is the batch ({self._batch})"
            raise model_error(self._variant.model, rule, "Let it return an array with one row for each item.")
        return np.concatenate(rows, axis=1)


def _leaves(produced: Any) -> Sequence[Any]:
    """The arrays in what a callable gave; a list of numbers, or of lists of them, is one."""
    if isinstance(produced, Mapping):
        return [leaf for part in produced.values() for leaf in _leaves(part)]
    if isinstance(produced, tuple):
        return [leaf for part in produced for leaf in _leaves(part)]
    return [produced]
