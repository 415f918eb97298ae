"""Was the machine left to what was timed on it? By the counts of the Linux kernel, which disturb nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Disturbance:
    """What came between, as shares of the time."""

    waiting: float = 0.0
    """Something of this process, or of one it started, was ready to run and had to wait for a processor; or a virtual
    machine had none to give. In processors: it may be more than 1."""
    others: float = 0.0
    """Processor time that other programs used, of all there was. They use caches and memory, too, and the other half of
    a core that runs two threads, so that what computes is slower without ever waiting."""

    def __str__(self) -> str:
        """Say it in two columns."""
        return f"{self.waiting:7.1%} {self.others:7.1%}"


@contextmanager
def watched() -> Iterator[Disturbance]:
    """Tell afterwards what came between meanwhile; zero where the kernel keeps no such counts."""
    found = Disturbance()
    before, start = _counted(), time.monotonic()
    yield found
    took_s = time.monotonic() - start
    waited_s, own_s, busy_s = (after - at for after, at in zip(_counted(), before, strict=True))
    found.waiting = max(waited_s, 0.0) / took_s
    found.others = max(busy_s - own_s, 0.0) / took_s / (os.cpu_count() or 1)


def _counted() -> tuple[float, float, float]:
    """Seconds so far: waited for a processor, used by this process and what it started, used by everybody."""
    times = os.times()
    waited_ns, used_ns = 0, 0
    for pid in (os.getpid(), *_descendants(os.getpid())):
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            used, waited, _ = map(int, task.read_text(encoding="ascii").split())
            used_ns, waited_ns = used_ns + used, waited_ns + waited
    try:
        ticks = [int(count) for count in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]]
    except OSError:
        return 0.0, 0.0, 0.0
    user, nice, system, *_, stolen, _, _ = ticks
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    own_s = used_ns / 1e9 + times.children_user + times.children_system
    return waited_ns / 1e9 + stolen * tick_s, own_s, (user + nice + system) * tick_s


def _descendants(pid: int) -> list[int]:
    """Processes that this one started, and those that they started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text(encoding="ascii").split()):
            found += [child, *_descendants(child)]
    return found
