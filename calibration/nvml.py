"""A GPU of NVIDIA while a model runs on it: power, clocks and what holds them down, memory, utilisation, temperature.

Through nvidia-ml-py (``import pynvml``), imported when a GPU is opened. A thread asks the device every 50 ms; it spends
its time waiting and inside the driver, so it takes next to nothing from what is measured. Energy comes from the
device's own counter (Volta and later), else from the sampled power. NVML averages power over up to a second, and its
counter moves in steps of 10 to 100 ms: windows of several seconds tell more than short ones.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from calibration.meter import Reading

INTERVAL_S: Final = 0.05
"""From one sample to the next."""

TRUSTED_S: Final = 2.0
"""A shorter window is as long as NVML's own averaging, and its power says more about what was before."""

REASONS: Final[Mapping[int, str]] = {
    0x001: "gpu idle",
    0x002: "application clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "hardware power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h: nvmlClocksEventReasons), formerly throttle reasons."""

HARMFUL: Final = frozenset(
    {"hardware slowdown", "software thermal slowdown", "hardware thermal slowdown", "hardware power brake"}
)
"""Reasons that say the device cannot do what it should; a power cap is how it is sold."""


class NvmlUnavailableError(RuntimeError):
    """The device cannot be watched; the message says why."""


def reasons_in(bits: int) -> tuple[str, ...]:
    """Which reasons do these bits hold?

    >>> reasons_in(0x44), reasons_in(0), reasons_in(0x1000)
    (('power cap', 'hardware thermal slowdown'), (), ('unknown (0x1000)',))
    """
    named = tuple(words for bit, words in REASONS.items() if bits & bit)
    unknown = bits & ~sum(REASONS)
    return (*named, f"unknown (0x{unknown:X})") if unknown else named


class NvmlMeter:
    """Watches one GPU. Made by :func:`open_nvml`."""

    def __init__(self, nvml: Any, handle: Any, clock: Callable[[], float], interval_s: float) -> None:
        self._nvml = nvml
        self._handle = handle
        self._clock = clock
        self._interval_s = interval_s
        self._window: _Window | None = None

    def start(self) -> None:
        """Begin a window: one sample at once, then one every interval."""
        self._window = _Window(self._nvml, self._handle, self._clock, self._interval_s)

    def stop(self) -> Reading:
        """End the window with a last sample."""
        window, self._window = self._window, None
        if window is None:
            return Reading(seconds=0.0)
        return window.end()

    def describe(self) -> Mapping[str, Any]:
        """Name, driver, power limit and highest clocks of the device: what its figures hold for."""
        nvml, handle = self._nvml, self._handle
        found = {
            "gpu": _text(_asked(nvml, "nvmlDeviceGetName", handle)),
            "driver": _text(_asked(nvml, "nvmlSystemGetDriverVersion")),
            "power_limit_w": _scaled(_asked(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle), 1e-3),
            "max_sm_mhz": _asked(nvml, "nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM),
            "max_memory_mhz": _asked(nvml, "nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_MEM),
            "power_from": "NVML",
        }
        return {key: value for key, value in found.items() if value is not None}

    def close(self) -> None:
        """Stop a window that is still open, and let go of NVML."""
        self.stop()
        _asked(self._nvml, "nvmlShutdown")


def open_nvml(
    device: str,
    *,
    name: str | None = None,
    uuid: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    interval_s: float = INTERVAL_S,
) -> NvmlMeter:
    """Watch the GPU that the framework calls ``device``.

    Parameters
    ----------
    device
        ``cuda`` or ``cuda:1``, counted as CUDA counts: only what CUDA_VISIBLE_DEVICES leaves.
    name
        What the framework calls the device, by which a wrong one is noticed.
    uuid
        The device's UUID, where the framework tells it: then nothing is counted.

    Raises
    ------
    NvmlUnavailableError
        When nvidia-ml-py, the driver or the device cannot be had, or when it is not clear which device is meant.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise NvmlUnavailableError("nvidia-ml-py is not installed (pip install 'headroom-sim[gpu]')") from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NvmlUnavailableError(f"NVML does not start: {error}") from None
    try:
        handle = _handle(nvml, device, name, uuid)
    except BaseException:
        _asked(nvml, "nvmlShutdown")
        raise
    return NvmlMeter(nvml, handle, clock, interval_s)


def _handle(nvml: Any, device: str, name: str | None, uuid: str | None) -> Any:
    """The device by its UUID, else by its place among those that CUDA may see."""
    try:
        if uuid is not None:
            return nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
        handle = _handle_by_place(nvml, device)
        found = _text(nvml.nvmlDeviceGetName(handle))
    except nvml.NVMLError as error:
        raise NvmlUnavailableError(f"NVML does not know {device}: {error}") from None
    if name and found and not _same_device(name, found):
        words = f"{device} is {name} to the framework and {found} to NVML; set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        raise NvmlUnavailableError(words)
    return handle


def _handle_by_place(nvml: Any, device: str) -> Any:
    _, _, written = device.partition(":")
    place = int(written) if written.isdecimal() else 0
    visible = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if not visible:
        return nvml.nvmlDeviceGetHandleByIndex(place)
    if place >= len(visible):
        raise NvmlUnavailableError(f"CUDA_VISIBLE_DEVICES names {len(visible)} device(s), none is {device}")
    chosen = visible[place]
    if chosen.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(chosen))
    return nvml.nvmlDeviceGetHandleByUUID(chosen)


def _same_device(ours: str, theirs: str) -> bool:
    """Frameworks and NVML differ in ``NVIDIA`` before the name."""
    first, second = (name.lower().replace("nvidia", "").split() for name in (ours, theirs))
    return first == second


class _Window:
    """Samples from its making to its end, in a thread of its own."""

    def __init__(self, nvml: Any, handle: Any, clock: Callable[[], float], interval_s: float) -> None:
        self._nvml = nvml
        self._handle = handle
        self._clock = clock
        self._interval_s = interval_s
        self._powers: list[tuple[float, float]] = []
        self._columns: dict[str, list[float]] = {name: [] for name in ("memory", "busy", "sm", "mem", "celsius")}
        self._reasons: Counter[str] = Counter()
        self._samples = 0
        self._ended = threading.Event()
        self._began_s = clock()
        self._counter_mj = self._energy_mj()
        self._sample()
        self._thread = threading.Thread(target=self._keep_sampling, name="nvml", daemon=True)
        self._thread.start()

    def end(self) -> Reading:
        self._ended.set()
        self._thread.join()
        self._sample()
        counter_mj = self._energy_mj()
        seconds = self._clock() - self._began_s
        energy_j, source = self._energy_j(counter_mj, seconds)
        busy, columns = self._columns["busy"], self._columns
        return Reading(
            seconds=seconds,
            samples=self._samples,
            energy_j=energy_j,
            energy_from=source,
            memory_bytes=max(columns["memory"], default=None),
            utilisation=sum(busy) / len(busy) / 100 if busy else None,
            sm_mhz=_spread(columns["sm"]),
            memory_mhz=_spread(columns["mem"]),
            temperature_c=max(columns["celsius"], default=None),
            slowed_by={reason: count / self._samples for reason, count in sorted(self._reasons.items())},
        )

    def _keep_sampling(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._sample()

    def _sample(self) -> None:
        nvml, handle = self._nvml, self._handle
        power_mw = _asked(nvml, "nvmlDeviceGetPowerUsage", handle)
        if power_mw is not None:
            self._powers.append((self._clock(), power_mw * 1e-3))
        memory = _asked(nvml, "nvmlDeviceGetMemoryInfo", handle)
        rates = _asked(nvml, "nvmlDeviceGetUtilizationRates", handle)
        seen = {
            "memory": None if memory is None else memory.used,
            "busy": None if rates is None else rates.gpu,
            "sm": _asked(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM),
            "mem": _asked(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_MEM),
            "celsius": _asked(nvml, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
        }
        for name, value in seen.items():
            if value is not None:
                self._columns[name].append(float(value))
        self._reasons.update(reasons_in(self._clock_reasons() or 0))
        self._samples += 1

    def _clock_reasons(self) -> int | None:
        """Both names of the question: drivers before 535 know only the older one."""
        for question in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits = _asked(self._nvml, question, self._handle)
            if bits is not None:
                return int(bits)
        return None

    def _energy_mj(self) -> int | None:
        found = _asked(self._nvml, "nvmlDeviceGetTotalEnergyConsumption", self._handle)
        return None if found is None else int(found)

    def _energy_j(self, counter_mj: int | None, seconds: float) -> tuple[float | None, str | None]:
        """The counter's difference, where it moved; else the sampled power over time, by trapezia."""
        if counter_mj is not None and self._counter_mj is not None and counter_mj > self._counter_mj:
            return (counter_mj - self._counter_mj) * 1e-3, "counter"
        if not self._powers:
            return None, None
        times, watts = zip(*self._powers, strict=True)
        covered_s = times[-1] - times[0]
        if covered_s <= 0:
            return watts[-1] * seconds, "power"
        joules = sum(
            (later - earlier) * (before + after) / 2
            for earlier, later, before, after in zip(times, times[1:], watts, watts[1:], strict=False)
        )
        return joules / covered_s * seconds, "power"


def _asked(nvml: Any, question: str, *words: Any) -> Any:
    """The device's answer, or None when the device, the driver or the library does not know this question."""
    function = getattr(nvml, question, None)
    if function is None:
        return None
    try:
        return function(*words)
    except nvml.NVMLError:
        return None


def _spread(values: list[float]) -> tuple[float, float, float] | None:
    return (min(values), sum(values) / len(values), max(values)) if values else None


def _text(value: Any) -> str | None:
    """Older versions of the library give bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
