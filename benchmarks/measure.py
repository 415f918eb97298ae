"""Timing that can be believed on a machine with other things to do.

Contenders take turns, round after round and in alternating order, so that a slow minute slows all of them. CPU time
decides (wall time is shown beside it), and a ratio is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

BUSY_LOAD_PER_CORE: Final = 0.4
"""Above this load average per core, before anything of ours runs, the machine counts as busy."""


@dataclass(frozen=True)
class Lap:
    """One timed piece of work."""

    units: int
    """How many of what is counted (requests, mostly) it did."""
    wall_s: float
    cpu_s: float

    def per_unit_s(self, clock: Literal["cpu", "wall"]) -> float:
        """Seconds a unit by one of the two clocks."""
        return (self.cpu_s if clock == "cpu" else self.wall_s) / self.units


@dataclass(frozen=True)
class Timing:
    """The laps of one contender, a round each."""

    contender: str
    laps: tuple[Lap, ...]

    @property
    def units(self) -> int:
        """Units of one lap."""
        return self.laps[0].units

    @property
    def cpu_ns(self) -> float:
        """CPU time a unit in ns, median over the rounds."""
        return statistics.median(lap.per_unit_s("cpu") for lap in self.laps) * 1e9

    @property
    def wall_ns(self) -> float:
        """Wall time a unit in ns, median over the rounds."""
        return statistics.median(lap.per_unit_s("wall") for lap in self.laps) * 1e9

    def over(self, other: Timing, clock: Literal["cpu", "wall"] = "cpu") -> float:
        """How many times the time of ``other`` a unit takes: median over rounds of the ratio within a round.

        >>> slow, quick = Timing("a", (Lap(10, 2.0, 2.0),)), Timing("b", (Lap(100, 1.0, 1.0),))
        >>> slow.over(quick)
        20.0
        """
        return statistics.median(
            mine.per_unit_s(clock) / its.per_unit_s(clock) for mine, its in zip(self.laps, other.laps, strict=True)
        )


def lap(units: Callable[[], int]) -> Lap:
    """Time one call, which returns how many units it did; rubbish of earlier work is collected before."""
    gc.collect()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    done = units()
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    # A clock that has not ticked yet would make a ratio infinite.
    return Lap(done, max(wall_s, 1e-9), max(cpu_s, 1e-9))


def alternate(contenders: Mapping[str, Callable[[], Lap]], rounds: int) -> dict[str, Timing]:
    """Let the contenders take turns for some rounds, every other round in reverse order; one Timing each, by name."""
    laps: dict[str, list[Lap]] = {name: [] for name in contenders}
    for turn in range(rounds):
        order: Iterable[str] = reversed(list(contenders)) if turn % 2 else contenders
        for name in order:
            laps[name].append(contenders[name]())
    return {name: Timing(name, tuple(taken)) for name, taken in laps.items()}


def load_average() -> float | None:
    """Processes that wanted to run during the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def is_busy(load: float | None) -> bool:
    """Whether this load average leaves too little of the machine to measure parallel work."""
    return load is not None and load > BUSY_LOAD_PER_CORE * (os.cpu_count() or 1)


def cpu_model() -> str:
    """What the processor calls itself."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def version_of(distribution: str) -> str:
    """Installed version of a distribution, or that it is absent."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def machine() -> dict[str, str]:
    """Where figures come from: processor, system and versions, since only ratios travel between machines."""
    from benchmarks.peers import cpp

    load = load_average()
    return {
        "processor": cpu_model(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "load_average": "unknown" if load is None else f"{load:.2f}",
        "busy": "yes" if is_busy(load) else "no",
        "python": platform.python_version(),
        **{name: version_of(name) for name in ("numpy", "numba", "simpy", "ciw", "joblib")},
        "compiler": cpp.compiler_version(),
    }
