"""Where does the time of an execution go? PyTorch's profiler by operator, and a verdict by the roofline.

:func:`profile_ops` measures; :mod:`calibration.ops_page` shows. The profiler slows the host down, so the time that a
verdict is about is measured without it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from calibration.backends.protocol import OutOfMemoryError, Session, UnavailableError, Variant
from calibration.roofline import OVERHEAD_BELOW, Ceilings, Verdict, measure_ceilings, verdict
from calibration.traffic import Work, count_work

if TYPE_CHECKING:
    import torch

    from calibration.console import Watch

MOST_OPERATORS: Final = 15
"""Operators that a table names; what the others take is added up."""

OUTSIDE: Final = "(host, outside operators)"
"""Python and the framework between two operators."""

UNLINKED: Final = "(device, linked to no operator)"

_TIMED_S: Final = 0.5
_TIMED: Final = (3, 50)
"""Fewest and most executions that are timed."""
_PROFILED: Final = (1, 10)

_SPAN: Final = "execution"


class TorchExecution(Protocol):
    """What this module needs of an execution: only PyTorch's has it."""

    module: Callable[..., Any]
    """What is executed."""
    inputs: tuple[torch.Tensor, ...]
    """What it is given."""
    device: torch.device
    """Where."""

    def run(self) -> None:
        """Execute once, and wait for the device."""


@dataclass(frozen=True, kw_only=True)
class OpTime:
    """One operator, in one execution on average."""

    name: str
    """As PyTorch names it, for instance ``aten::addmm``."""
    calls: float
    cpu_ms: float
    """Time on the host, without that of operators it calls."""
    device_ms: float | None
    """Time of its kernels on the device; None on a CPU."""
    share: float
    """Share of the execution: of the device's time, or of the host's where that is the device."""


@dataclass(frozen=True, kw_only=True)
class BatchOps:
    """One batch size."""

    batch: int
    measured_ms: float
    """Shortest time of an execution, without the profiler."""
    executions: int
    """Executions behind the operators' times."""
    operators: tuple[OpTime, ...]
    """The longest first, at most MOST_OPERATORS."""
    rest: OpTime | None
    """All others together; ``name`` says how many they are."""
    device_busy: float | None
    """Share of ``measured_ms`` in which kernels ran; None on a CPU."""
    work: Work
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class OpsReport:
    """All batch sizes."""

    variant: Mapping[str, Any]
    """The fields of :class:`~calibration.backends.protocol.Variant` that are set."""
    device: str
    fused: bool
    """Whether a compiler may have fused operators, so that only bytes of weights, inputs and outputs are certain."""
    ceilings: Ceilings
    batches: tuple[BatchOps, ...]
    """In the order measured."""
    warnings: tuple[str, ...] = ()
    """Sentences about what could mislead."""

    def as_object(self) -> dict[str, Any]:
        """The report as one JSON-able object; the formulas stand in :mod:`calibration.traffic`."""
        ceilings = {**asdict(self.ceilings), "ridge": self.ceilings.ridge}
        return {"schema_version": 1, **asdict(self), "ceilings": ceilings, "overhead_bound_below": OVERHEAD_BELOW}


def profile_ops(
    session: Session,
    batches: Iterable[int],
    variant: Variant,
    *,
    trace: Path | None = None,
    watch: Watch | None = None,
) -> OpsReport:
    """Where does the time go at each batch size, and what bounds it?

    Parameters
    ----------
    session
        A model that PyTorch runs.
    batches
        Batch sizes, from small to large.
    variant
        How it is run: the precision decides which matrix product is the ceiling.
    trace
        Where to write one execution of each batch size as a Chrome trace (chrome://tracing, Perfetto).
    watch
        Is told which batch size is profiled.

    Raises
    ------
    UnavailableError
        When it is not PyTorch that runs the model.
    OutOfMemoryError
        When not even the first batch fits; at a later one the report says so, and ends there.
    """
    ceilings: Ceilings | None = None
    fused = variant.runtime == "torch-compile"
    found: list[BatchOps] = []
    warnings: list[str] = []
    events: list[dict[str, Any]] = []
    for batch in batches:
        if watch is not None:
            watch.stage(f"profiling the operators at batch {batch}")
        try:
            execution = _torch_execution(session.prepare(batch), variant)
            measured_ms = timed_ms(execution)
            work = count_work(execution.module, execution.inputs)
            if ceilings is None:
                ceilings = measure_ceilings(
                    execution.device, variant.precision, tf32=_as_tf32(execution, variant, work)
                )
            found.append(
                _batch_ops(execution, batch, measured_ms, work, verdict(work, measured_ms, ceilings, fused=fused))
            )
            if trace is not None:
                events += _traced(execution, batch)
        except OutOfMemoryError as error:
            if not found:
                raise
            warnings.append(f"batch {batch} and larger were not profiled: {error}")
            break
    if ceilings is None:
        raise ValueError("there must be a batch size to profile")
    if trace is not None:
        trace.write_text(json.dumps({"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": events}), "utf-8")
    if not any(one.work.flops for one in found):
        warnings.append("no matrix product, convolution or attention was seen: only the memory can be judged")
    if any(one.device_busy == 0 for one in found):
        warnings.append("the profiler saw nothing on the device: CUPTI is missing, or may not be used by this user")
    return OpsReport(
        variant={field.name: value for field in fields(variant) if (value := getattr(variant, field.name)) is not None},
        device=str(session.provenance().get("device", execution.device)),
        fused=fused,
        ceilings=ceilings,
        batches=tuple(found),
        warnings=tuple(warnings),
    )


def _torch_execution(execution: Any, variant: Variant) -> TorchExecution:
    if not all(hasattr(execution, name) for name in ("module", "inputs", "device")):
        rule = f"Operators are profiled with PyTorch's own profiler, and {variant.runtime} runs without PyTorch."
        raise UnavailableError(f"{rule} Measure with --runtime torch, torch-compile or torchscript.")
    checked: TorchExecution = execution
    return checked


def timed_ms(execution: TorchExecution, clock: Callable[[], float] = perf_counter) -> float:
    """How long does one execution take at best, as the ceilings are the best of a few? After one that does not count.

    ``clock`` gives seconds.
    """
    execution.run()
    times: list[float] = []
    began = clock()
    while len(times) < _TIMED[0] or (clock() - began < _TIMED_S and len(times) < _TIMED[1]):
        started = clock()
        execution.run()
        times.append(1000 * (clock() - started))
    return min(times)


def _as_tf32(execution: TorchExecution, variant: Variant, work: Work) -> bool:
    """Whether most of the arithmetic is convolutions in fp32, which cuDNN computes in TF32 unless told not to."""
    if execution.device.type != "cuda" or variant.precision != "fp32":
        return False
    import torch

    return work.convolution_share > 0.5 and torch.backends.cudnn.allow_tf32


def _batch_ops(execution: TorchExecution, batch: int, measured_ms: float, work: Work, judged: Verdict) -> BatchOps:
    executions = min(max(round(1000 * _TIMED_S / measured_ms), _PROFILED[0]), _PROFILED[1])
    with _profiler(execution.device) as profiler:
        for _ in range(executions):
            _run_in_span(execution, _SPAN)
    on_device = execution.device.type != "cpu"
    operators = operator_times(profiler.key_averages(), executions, on_device=on_device)
    shown, others = operators[:MOST_OPERATORS], operators[MOST_OPERATORS:]
    device_ms = sum(one.device_ms or 0.0 for one in operators)
    return BatchOps(
        batch=batch,
        measured_ms=measured_ms,
        executions=executions,
        operators=tuple(shown),
        rest=_together(others) if others else None,
        device_busy=device_ms / measured_ms if on_device else None,
        work=work,
        verdict=judged,
    )


def operator_times(events: Iterable[Any], executions: int, *, on_device: bool) -> list[OpTime]:
    """What does each operator take, in one execution on average? The longest first.

    Parameters
    ----------
    events
        ``torch.profiler.profile.key_averages()``: times in us. Operators carry the time of the kernels they started;
        the kernels stand beside them once more, with a device type of their own.
    executions
        How many were profiled.
    on_device
        Whether the model runs on a device other than the CPU.
    """
    host: list[tuple[str, float, float, float]] = []
    kernels_us = 0.0
    for event in events:
        is_host = getattr(event.device_type, "name", str(event.device_type)) == "CPU"
        device_us = float(event.self_device_time_total) if on_device else 0.0
        if not is_host:
            kernels_us += 0.0 if event.is_user_annotation else device_us
            continue
        # A span of ours has no kernels of its own beyond those that its operators carry already.
        name, own_us = (OUTSIDE, 0.0) if event.is_user_annotation else (event.key, device_us)
        host.append((name, float(event.count), float(event.self_cpu_time_total), own_us))
    unlinked_us = kernels_us - sum(own_us for *_, own_us in host)
    if on_device and unlinked_us > 0.01 * kernels_us:
        host.append((UNLINKED, 0.0, 0.0, unlinked_us))
    whole_us = sum(own_us if on_device else cpu_us for _, _, cpu_us, own_us in host) or 1.0
    scale = 1e-3 / executions
    found = [
        OpTime(
            name=name,
            calls=calls / executions,
            cpu_ms=cpu_us * scale,
            device_ms=own_us * scale if on_device else None,
            share=(own_us if on_device else cpu_us) / whole_us,
        )
        for name, calls, cpu_us, own_us in host
    ]
    return sorted(found, key=lambda one: (-one.share, -one.cpu_ms, one.name))


def _together(others: Sequence[OpTime]) -> OpTime:
    told = [one.device_ms for one in others if one.device_ms is not None]
    return OpTime(
        name=f"{len(others)} others",
        calls=sum(one.calls for one in others),
        cpu_ms=sum(one.cpu_ms for one in others),
        device_ms=sum(told) if told else None,
        share=sum(one.share for one in others),
    )


def _traced(execution: TorchExecution, batch: int) -> list[dict[str, Any]]:
    """One execution as events of a Chrome trace."""
    with _profiler(execution.device) as profiler:
        _run_in_span(execution, f"batch {batch}")
    descriptor, name = tempfile.mkstemp(suffix=".json")
    os.close(descriptor)
    try:
        profiler.export_chrome_trace(name)
        events: list[dict[str, Any]] = json.loads(Path(name).read_text("utf-8"))["traceEvents"]
        return events
    finally:
        os.unlink(name)


def _run_in_span(execution: TorchExecution, name: str) -> None:
    from torch.profiler import record_function

    with record_function(name):
        execution.run()


@contextmanager
def _profiler(device: torch.device) -> Iterator[Any]:
    """PyTorch's profiler of the host and the device."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    profiler: Any = profile(activities=activities)
    with _hushed():
        profiler.start()
    try:
        yield profiler
    finally:
        with _hushed():
            profiler.stop()


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what the profiler's C++ library writes to the process's stderr, at every start and stop, from the user."""
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(silence)
        os.close(kept)
