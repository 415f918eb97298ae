"""What a device draws, how hot, how busy and how fast it is while a model runs on it.

A :class:`Meter` is started just before a window of executions and stopped just after. A GPU's is
:mod:`calibration.nvml`; a CPU's reads RAPL, Linux' counters of its energy, where this user may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Protocol

POWERCAP: Final = Path("/sys/class/powercap")
"""Where Linux shows RAPL."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a meter saw in one window; None where it cannot tell."""

    seconds: float
    """Length of the window."""
    samples: int = 0
    """How often the device was asked."""
    energy_j: float | None = None
    """Energy that the device took in the window."""
    energy_from: str | None = None
    """``counter`` (the device's own), ``power`` (sampled power over time)."""
    memory_bytes: float | None = None
    """Most memory of the device in use, by whomever."""
    utilisation: float | None = None
    """Share of the time in which the device was busy."""
    sm_mhz: tuple[float, float, float] | None = None
    """Lowest, mean and highest clock of the cores."""
    memory_mhz: tuple[float, float, float] | None = None
    """Lowest, mean and highest clock of the memory."""
    temperature_c: float | None = None
    """Highest temperature."""
    slowed_by: Mapping[str, float] = field(default_factory=dict)
    """Why the clocks were not higher: reason to the share of samples that gave it."""

    @property
    def power_w(self) -> float | None:
        """Mean power."""
        return None if self.energy_j is None or self.seconds <= 0 else self.energy_j / self.seconds


class Meter(Protocol):
    """Watches a device during a window."""

    def start(self) -> None:
        """Begin a window."""

    def stop(self) -> Reading:
        """End it, and say what was seen."""

    def describe(self) -> Mapping[str, Any]:
        """Say what watches, and what of the device stays the same: limits, driver, a reason why nothing is seen."""

    def close(self) -> None:
        """Let go of the device."""


class NoMeter:
    """Sees how long a window is, and nothing else."""

    def __init__(self, told: Mapping[str, Any] | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._told = dict(told or {})
        self._clock = clock
        self._began_s = 0.0

    def start(self) -> None:
        """Begin a window."""
        self._began_s = self._clock()

    def stop(self) -> Reading:
        """End it."""
        return Reading(seconds=self._clock() - self._began_s)

    def describe(self) -> Mapping[str, Any]:
        """Give the reason why nothing is seen, if there is one to tell."""
        return self._told

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(frozen=True)
class _Counter:
    """One RAPL domain: energy of one processor package, in microjoules, that wraps around."""

    file: Path
    wraps_at_uj: int

    def read_uj(self) -> int:
        return int(self.file.read_text(encoding="ascii"))


class CpuMeter:
    """The processors of this machine: how busy this process kept them, and their energy where RAPL tells it."""

    def __init__(
        self,
        counters: Sequence[_Counter] = (),
        *,
        cores: int = 1,
        reason: str = "",
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._counters = tuple(counters)
        self._cores = cores
        self._reason = reason
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._before_uj: list[int] | None = None
        self._began_s = self._began_cpu_s = 0.0

    def start(self) -> None:
        """Read clocks and counters."""
        self._before_uj = self._read_uj()
        self._began_s, self._began_cpu_s = self._clock(), self._cpu_clock()

    def stop(self) -> Reading:
        """Read them again; a counter that is lower than before has wrapped around once."""
        cpu_s, seconds = self._cpu_clock() - self._began_cpu_s, self._clock() - self._began_s
        utilisation = min(cpu_s / (seconds * self._cores), 1.0) if seconds > 0 else None
        after_uj = self._read_uj()
        if not self._counters or self._before_uj is None or after_uj is None:
            return Reading(seconds=seconds, utilisation=utilisation)
        spent_uj = sum(
            after - before if after >= before else after - before + counter.wraps_at_uj
            for counter, before, after in zip(self._counters, self._before_uj, after_uj, strict=True)
        )
        return Reading(
            seconds=seconds, samples=2, utilisation=utilisation, energy_j=spent_uj / 1e6, energy_from="counter"
        )

    def describe(self) -> Mapping[str, Any]:
        """RAPL counts whole packages: other programs' share of the energy is in it."""
        if self._counters:
            return {"power_from": f"RAPL, {len(self._counters)} processor package(s), memory modules not included"}
        return {"power_not_read": self._reason} if self._reason else {}

    def close(self) -> None:
        """Files are not kept open."""

    def _read_uj(self) -> list[int] | None:
        try:
            return [counter.read_uj() for counter in self._counters]
        except (OSError, ValueError):
            return None


def cpu_meter(cores: int, folder: Path = POWERCAP) -> CpuMeter:
    """Watch the processors, with their energy where the kernel tells it to this user.

    Only whole packages are read (``intel-rapl:0``, AMD's too): their parts (``intel-rapl:0:0``) are in them.
    """
    counters = []
    reason = "this machine does not tell the energy of its processor"
    for domain in sorted(folder.glob("intel-rapl:[0-9]*")):
        try:
            if domain.name.count(":") != 1 or not _first_line(domain / "name").startswith("package"):
                continue
            counter = _Counter(domain / "energy_uj", int(_first_line(domain / "max_energy_range_uj")))
            counter.read_uj()
        except PermissionError:
            reason = f"only root may read the energy of the processor ({folder})"
        except (OSError, ValueError):
            continue
        else:
            counters.append(counter)
    return CpuMeter(counters, cores=cores, reason=reason)


def _first_line(file: Path) -> str:
    return file.read_text(encoding="ascii").partition("\n")[0]


def together(readings: Sequence[Reading]) -> Reading | None:
    """What several windows of the same work add up to: sums of time and energy, means weighted by time, extremes.

    Energy is told only when every window tells it. None when there are no windows.

    >>> both = together([Reading(seconds=1, energy_j=100.0), Reading(seconds=3, energy_j=500.0)])
    >>> both.energy_j, both.power_w
    (600.0, 150.0)
    """
    if not readings:
        return None
    seconds = sum(one.seconds for one in readings)
    samples = sum(one.samples for one in readings)
    energies = [one.energy_j for one in readings]
    known = [energy for energy in energies if energy is not None]
    sources = sorted({one.energy_from for one in readings if one.energy_from})
    slowed = {reason for one in readings for reason in one.slowed_by}
    return Reading(
        seconds=seconds,
        samples=samples,
        energy_j=sum(known) if len(known) == len(energies) else None,
        energy_from="+".join(sources) or None,
        memory_bytes=_most([one.memory_bytes for one in readings]),
        utilisation=_weighted([(one.utilisation, one.seconds) for one in readings]),
        sm_mhz=_range([(one.sm_mhz, one.seconds) for one in readings]),
        memory_mhz=_range([(one.memory_mhz, one.seconds) for one in readings]),
        temperature_c=_most([one.temperature_c for one in readings]),
        slowed_by={
            reason: sum(one.slowed_by.get(reason, 0.0) * one.samples for one in readings) / max(samples, 1)
            for reason in sorted(slowed)
        },
    )


def reading_from(plain: Mapping[str, Any]) -> Reading:
    """The reading that ``dataclasses.asdict`` made plain, back from JSON."""
    values = {each.name: plain[each.name] for each in fields(Reading) if each.name in plain}
    for name in ("sm_mhz", "memory_mhz"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return Reading(**values)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _weighted(values: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _range(values: Sequence[tuple[tuple[float, float, float] | None, float]]) -> tuple[float, float, float] | None:
    known = [(clocks, weight) for clocks, weight in values if clocks is not None]
    if not known:
        return None
    mean = _weighted([(clocks[1], weight) for clocks, weight in known])
    lowest, highest = min(clocks[0] for clocks, _ in known), max(clocks[2] for clocks, _ in known)
    return lowest, lowest if mean is None else mean, highest
