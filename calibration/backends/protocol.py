"""What the measuring asks of a framework: load a model, make inputs of a size, execute once, time each part.

The measuring (:mod:`calibration.measure`) knows no framework; a backend knows no statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A model, and how it is to be run."""

    model: str
    """``bert-base``, ``resnet50``, ``decoder-prefill``, ``decoder-decode`` (built in), ``module:function``, a file."""
    runtime: str = "torch"
    """``torch`` (eager), ``torch-compile``, ``torchscript``, ``onnxruntime``, ``jax``, ``python`` (any callable)."""
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1``, ``tpu``."""
    precision: str = "fp32"
    """``fp32``, ``fp16``, ``bf16``, ``int8`` (dynamic quantisation)."""
    sizes: Mapping[str, int] | None = None
    """Sizes of a built-in model that differ from its own, for instance ``{"sequence_length": 128}``."""
    inputs: Mapping[str, str] | None = None
    """Inputs of a model that does not say: shape of one item, type, how many whole numbers there are; by name, for
    instance ``{"image": "3x224x224:float32", "tokens": "128:int64:30522"}``."""
    threads: int | None = None
    """Threads of the framework on a CPU; its own default when None."""
    seed: int = 0
    """Seed of weights and inputs."""


class OutOfMemoryError(RuntimeError):
    """The device has not enough memory for a batch of this size."""


class UnavailableError(RuntimeError):
    """The framework, the device or the precision cannot be had here; the message says what would mend it."""


class Execution(Protocol):
    """One batch of inputs, ready to be executed again and again."""

    def run(self) -> None:
        """Execute once and return when the device has finished: inputs on the device, outputs left there."""

    def run_parts(self) -> Mapping[str, float]:
        """Execute once from host to host, and say how many ms each part took.

        Keys are of :data:`calibration.observation.PARTS`: ``preprocess``, ``input``, ``compute``, ``output``,
        ``postprocess``, those that the backend can tell apart; ``compute`` always. On a device with events of its
        own (CUDA) they are timed by those, elsewhere by the host's clock.
        """

    def outputs(self) -> npt.NDArray[np.float64]:
        """Outputs of the last execution on the host, one row an item: what variants are compared by."""


class Session(Protocol):
    """A model loaded on a device."""

    def prepare(self, batch: int) -> Execution:
        """Make a batch of inputs from the seed; raises OutOfMemoryError when the device cannot hold it."""

    def provenance(self) -> Mapping[str, Any]:
        """``device``, ``driver``, ``versions`` of the frameworks, ``sizes`` and ``parameters`` of the model ..."""

    def memory_bytes(self) -> float | None:
        """Most memory of the device in use since the last ``prepare``, or None where the framework cannot tell."""

    def close(self) -> None:
        """Give the device back."""
