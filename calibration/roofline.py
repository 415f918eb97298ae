"""Is an execution bound by arithmetic, by memory, or by neither? The roofline of a device, measured where it runs.

Formulas
--------
FLOPs and bytes: as :mod:`calibration.traffic` counts them.

Intensity is FLOPs over bytes, the ridge the device's FLOP/s over its bytes/s. No execution can be shorter than
``max(FLOPs / FLOP/s, bytes / bytes/s)``; the achieved share is that over the time measured.

References
----------
Williams, S., Waterman, A., Patterson, D. (2009). Roofline: an insightful visual performance model for multicore
architectures. Communications of the ACM 52(4), 65-76.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import torch

    from calibration.traffic import Work

OVERHEAD_BELOW: Final = 0.2
"""Share of the roof below which neither arithmetic nor memory can be what the time goes into."""

_SMALLEST_PRODUCT: Final = 256
_LARGEST_PRODUCT: Final = 8192
_LONG_ENOUGH_S: Final = 0.1
"""A matrix product that takes this long is large enough: larger ones are no faster."""
_TRIES: Final = 4
_MOST_TRIES: Final = 50
_MOVED_BYTES: Final = {"cpu": 1 << 28, "cuda": 1 << 30}
"""Far more than any cache holds."""

Limit = Literal["compute-bound", "memory-bound", "overhead-bound"]


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the device can do at best, measured in the process in which the model runs."""

    flops_per_s: float
    """Of the fastest square matrix product."""
    bytes_per_s: float
    """Of reading or of copying, whichever is faster; a copy reads and writes."""
    product: str
    """Which matrix product it was, for instance ``2048 x 2048, fp32``."""

    @property
    def ridge(self) -> float:
        """FLOPs for each byte from which on arithmetic is the limit."""
        return self.flops_per_s / self.bytes_per_s


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Where an execution stands under the roofline."""

    limit: Limit
    intensity: float
    """FLOPs for each byte moved."""
    roof_ms: float
    """Shortest time that the ceilings allow."""
    share: float
    """Achieved share of the roof: ``roof_ms`` over the measured time. Above 1 the execution beats a ceiling: its data
    stay in a cache, or its products are faster than the one that was measured."""


def verdict(work: Work, measured_ms: float, ceilings: Ceilings, *, fused: bool = False) -> Verdict:
    """Is this execution bound by memory, by arithmetic, or by what lies outside both?

    Examples
    --------
    >>> from calibration.traffic import Work
    >>> ceilings = Ceilings(flops_per_s=100e9, bytes_per_s=20e9, product="")
    >>> work = Work(flops=2e9, weight_bytes=4e8, activation_bytes=1e8, boundary_bytes=1e6)
    >>> verdict(work, 50.0, ceilings)
    Verdict(limit='memory-bound', intensity=4.0, roof_ms=25.0, share=0.5)
    """
    moved = work.moved_bytes(fused=fused)
    compute_ms = 1000 * work.flops / ceilings.flops_per_s
    memory_ms = 1000 * moved / ceilings.bytes_per_s
    roof_ms = max(compute_ms, memory_ms)
    share = roof_ms / measured_ms
    limit: Limit = "compute-bound" if compute_ms >= memory_ms else "memory-bound"
    if share < OVERHEAD_BELOW:
        limit = "overhead-bound"
    return Verdict(limit=limit, intensity=work.flops / moved if moved else math.inf, roof_ms=roof_ms, share=share)


def measure_ceilings(device: torch.device, precision: str, *, tf32: bool = False) -> Ceilings:
    """How fast can this device multiply in this precision, and read or copy? About a second.

    Parameters
    ----------
    device
        Where the model runs; on a CPU with the threads that PyTorch has now.
    precision
        ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    tf32
        Whether fp32 may be multiplied as TF32, as cuDNN's convolutions do by default.
    """
    import torch

    size, best_s = _SMALLEST_PRODUCT, math.inf
    rates: dict[float, int] = {}
    with torch.inference_mode(), _tf32_products(torch, allowed=tf32):
        while True:
            best_s = _best_s(_product(device, precision, size), device)
            rates[2 * size**3 / best_s] = size
            if best_s > _LONG_ENOUGH_S or size >= _LARGEST_PRODUCT:
                break
            size *= 2
        bytes_per_s = _memory_rate(device)
    rate = max(rates)
    name = "tf32" if tf32 else precision
    return Ceilings(flops_per_s=rate, bytes_per_s=bytes_per_s, product=f"{rates[rate]} x {rates[rate]}, {name}")


@contextmanager
def _tf32_products(torch: Any, *, allowed: bool) -> Iterator[None]:
    """Let matrix products be as coarse as the convolutions that they stand for."""
    before = torch.get_float32_matmul_precision()
    if allowed:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        if allowed:
            torch.set_float32_matmul_precision(before)


def _product(device: torch.device, precision: str, size: int) -> Callable[[], object]:
    """A square matrix product, ready to be executed."""
    import torch

    if precision == "int8":
        weight = torch.randn(size, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces the end of its own quantisation at every use
            packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(weight, 0.03, 0, torch.qint8), None)
        rows = torch.randn(size, size)
        return lambda: torch.ops.quantized.linear_dynamic(rows, packed, True)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return lambda: torch.mm(left, right)


def _memory_rate(device: torch.device) -> float:
    """Bytes per second of reading or of copying (read and written), whichever is faster.

    A model reads more than it writes; and a CPU that copies first reads what it is to overwrite, unasked.
    """
    import torch

    size = _MOVED_BYTES.get(device.type, _MOVED_BYTES["cpu"])
    while True:
        try:
            source = torch.ones(size // 4, dtype=torch.float32, device=device)
            target = torch.empty_like(source)
            break
        except RuntimeError:
            if size <= 1 << 20:
                raise
            size //= 2
    return max(2 * size / _best_s(lambda: target.copy_(source), device), size / _best_s(source.sum, device))


def _best_s(execute: Callable[[], object], device: torch.device) -> float:
    """Shortest of some executions, the first one left out: a ceiling is what the device can do, not what it did."""
    import torch

    times: list[float] = []
    began = perf_counter()
    while len(times) <= _TRIES or (perf_counter() - began < _LONG_ENOUGH_S and len(times) <= _MOST_TRIES):
        started = perf_counter()
        execute()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(perf_counter() - started)
    return max(min(times[1:]), 1e-9)
