"""The machine under a framework: which processor, how much memory this process took, and what its errors mean."""

from __future__ import annotations

import importlib
import os
import platform
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from calibration.backends.protocol import OutOfMemoryError

_SELF: Final = Path("/proc/self")


def cpu_name() -> str:
    """Which processor is this? Its name as Linux gives it, else as Python does."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(\S.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def reset_peak_memory() -> None:
    """Forget the most memory that this process has had in use, where the kernel lets it (Linux, proc(5) clear_refs)."""
    try:
        (_SELF / "clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> float | None:
    """Most memory that this process had in RAM since the reset, its framework included; None where none can tell."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", (_SELF / "status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return float(found.group(1)) * 1024 if found else None


def nvidia_driver() -> str | None:
    """Version of NVIDIA's driver, where NVML or the kernel module tells it."""
    version = _from_nvml(lambda nvml: nvml.nvmlSystemGetDriverVersion())
    return version or _kernel_module_version()


def nvidia_device(number: int) -> str | None:
    """Name of this CUDA device, where NVML tells it.

    CUDA numbers the devices that CUDA_VISIBLE_DEVICES leaves it, NVML all of them; so the name stands only where that
    makes no difference.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        return None
    return _from_nvml(lambda nvml: nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(number)))


def _from_nvml(ask: Callable[[Any], Any]) -> str | None:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        try:
            return str(ask(nvml))
        finally:
            nvml.nvmlShutdown()
    except Exception:  # NVML raises errors of its own where there is no driver, and ImportError where it is absent
        return None


def _kernel_module_version() -> str | None:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"\s(\d{3,}\.\d+[.\d]*)\s", text)
    return found.group(1) if found else None


_SIGNS: Final = re.compile(
    r"out of memory|(?:can't|cannot|failed to|unable to) allocate|RESOURCE_EXHAUSTED|bad_alloc|not enough memory",
    re.IGNORECASE,
)
"""How frameworks say that memory ran out: CUDA and PyTorch, NumPy, ONNX Runtime, XLA, the C++ library."""


@contextmanager
def memory_errors(batch: int | None, device: str) -> Iterator[None]:
    """Raise OutOfMemoryError for whatever a framework raises when a batch does not fit; let all else through.

    Without a batch it is the model that is being loaded.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and not _SIGNS.search(str(error)):
            raise
        # Their locals hold what did fit: without this a smaller batch would find the memory still taken.
        traceback.clear_frames(error.__traceback__)
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        what = "the model" if batch is None else f"a batch of {batch}"
        raise OutOfMemoryError(f"{device} has not enough memory for {what}: {said}") from None
