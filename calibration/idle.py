"""What a lone request goes through: the parts of rows in which nothing waited, made to add up to their latency.

Published parts are often rounded to 0.1 ms and then add up to more or less than the latency beside them. Each is
moved within its rounding first; throughput tells the latency of a closed loop more exactly than a rounded mean does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from calibration.observation import PARTS, Observation

DELAY: Final = "max_queue_delay_ms"
"""Note of a row: how long the server lets a lone request wait for others."""

START: Final = "execution_start_ms"
"""Note of a row: mean time from sending a request to the start of its execution, where the server logs it."""

ANSWER: Final = "execution_end_to_answer_ms"
"""Note of a row: mean time from the end of an execution to the answer, where the server logs it."""

EXECUTION: Final = ("input", "compute", "output")
"""Parts that are the execution on the device."""

_FINEST: Final = 4
_ROUNDING_MATTERS: Final = 0.005


@dataclass(frozen=True, kw_only=True)
class IdlePoint:
    """Requests with this many items, one at a time."""

    batch: int
    """Items in each request."""
    latency_ms: float
    """Mean time from sending to the answer, the server's own delay taken off."""
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    """Mean time of some of PARTS; they add up to the latency where ``compute`` is among them."""
    inferred: bool = False
    """Whether ``compute`` is not the server's own figure but follows from others."""
    start_ms: float | None = None
    """Mean time from sending to the start of the execution, without the delay."""
    requests: int | None = None
    """Requests behind the figures."""
    samples_ms: tuple[float, ...] = ()
    """Single latencies or their quantiles, without the delay."""
    statistics_ms: Mapping[str, float] = field(default_factory=dict)
    """Percentiles of the latency, without the delay, and ``std``."""

    @property
    def execution_ms(self) -> float | None:
        """Time of the execution with its copies, as far as anything but the latency tells it."""
        if "compute" not in self.parts_ms:
            return None
        return sum(self.parts_ms.get(name, 0.0) for name in EXECUTION)


def is_idle(row: Observation) -> bool:
    """Whether nothing waited: one request at a time, not merged with others, and its latency is known."""
    return row.idle and not row.merged and row.mean_ms is not None and float(row.batch).is_integer()


def idle_points(rows: Sequence[Observation], *, waited: float = 1.0) -> list[IdlePoint]:
    """What did lone requests go through? One entry a row that has a latency, in the order of the rows.

    Of a row that was not idle, what the server counts as waiting is taken off, and its percentiles tell nothing.

    Parameters
    ----------
    rows
        What clients saw.
    waited
        Share of the server's delay that a lone request waits: half of it where the delay is a polling window.

    Examples
    --------
    >>> row = Observation(latency_ms={"mean": 6.0}, parts_ms={"queue": 0.5, "compute": 5.0}, concurrency=1)
    >>> (point,) = idle_points([row])
    >>> point.parts_ms
    {'queue': 0.5, 'compute': 5.0, 'network': 0.5}
    """
    step = _step_of(value for row in rows for value in (*row.parts_ms.values(), *row.latency_ms.values()))
    return [_idle_point(row, step, waited) for row in rows if row.mean_ms is not None and float(row.batch).is_integer()]


def exact_mean_ms(row: Observation, step: float) -> float:
    """Mean latency of a closed loop; from its throughput where the mean is rounded too coarsely.

    Notes
    -----
    Little's law: concurrency = throughput x mean latency.

    >>> round(exact_mean_ms(Observation(concurrency=1, throughput_rps=1561.0, latency_ms={"mean": 0.6}), 0.1), 4)
    0.6406
    """
    mean = row.mean_ms or 0.0
    if not row.concurrency or not row.throughput_rps or step / 2 <= _ROUNDING_MATTERS * mean:
        return mean
    by_throughput = 1000 * row.concurrency / row.throughput_rps
    return by_throughput if abs(by_throughput - mean) <= step / 2 + 0.01 * mean else mean


def _idle_point(row: Observation, step: float, waited: float) -> IdlePoint:
    parts = {name: row.parts_ms[name] for name in PARTS if name in row.parts_ms}
    if sum(parts.get(name, 0.0) for name in EXECUTION) <= 0:
        parts = {name: ms for name, ms in parts.items() if name not in EXECUTION}
    latency = exact_mean_ms(row, step)
    delay = (number_in(row.notes, DELAY) or 0.0) * waited
    if "queue" in parts:
        delay = delay if row.idle else parts["queue"]
        parts["queue"] = max(parts["queue"] - delay, 0.0)
    if row.idle or "compute" in parts:
        # Nobody waits longer than all in all: then the server did not wait as it is said to.
        delay = delay if delay < latency else 0.0
        latency -= delay
    start = number_in(row.notes, START)
    return IdlePoint(
        batch=int(row.batch),
        latency_ms=latency,
        parts_ms=adding_up(parts, latency, step) if "compute" in parts else parts,
        start_ms=None if start is None else max(start - delay, 0.0),
        requests=row.requests,
        samples_ms=tuple(sample - delay for sample in row.samples_ms) if row.idle else (),
        statistics_ms={
            name: value if name == "std" else value - delay
            for name, value in row.latency_ms.items()
            if name != "mean" and row.idle
        },
    )


def adding_up(parts: Mapping[str, float], total: float, step: float) -> dict[str, float]:
    """Parts that add up to the total: each moved within its rounding first, then the network takes the rest.

    Parameters
    ----------
    parts
        Some of PARTS, in ms.
    total
        The latency they belong to, in ms.
    step
        Unit of the last digit they were written with; 0 when they were not rounded.

    >>> parts = adding_up({"network": 0.1, "input": 0.1, "compute": 0.5}, 0.64, 0.1)
    >>> {name: round(value, 3) for name, value in parts.items()}
    {'network': 0.08, 'input': 0.08, 'compute': 0.48}
    """
    missing = total - sum(parts.values())
    moved = _within_rounding(parts, missing, step)
    missing = total - sum(moved.values())
    if missing < 0:
        return _scaled_down(moved, -missing)
    return moved | {"network": moved.get("network", 0.0) + missing} if missing > 1e-9 else moved


def _within_rounding(parts: Mapping[str, float], missing: float, step: float) -> dict[str, float]:
    """Parts moved alike by what is missing, none beyond its rounding; as they were when rounding cannot explain it."""
    moved = dict(parts)
    least = {name: max(value - step / 2, 0.0) for name, value in parts.items()}
    room = {name: step / 2 if missing > 0 else value - least[name] for name, value in parts.items()}
    left = abs(missing)
    if left > sum(room.values()):
        return moved
    for index, name in enumerate(sorted(room, key=lambda name: room[name])):
        share = min(left / (len(room) - index), room[name])
        moved[name] += share if missing > 0 else -share
        left -= share
    return moved


def _scaled_down(parts: dict[str, float], excess: float) -> dict[str, float]:
    """Parts whose sum is too large: client and network give first, then all in proportion."""
    outside = [name for name in ("send", "network", "receive") if parts.get(name)]
    given = sum(parts[name] for name in outside)
    if given >= excess:
        return {name: value * (1 - excess / given) if name in outside else value for name, value in parts.items()}
    total = sum(parts.values()) - given
    scale = max(total - (excess - given), 0.0) / total if total > 0 else 0.0
    return {name: 0.0 if name in outside else value * scale for name, value in parts.items()}


def _step_of(values: Iterable[float]) -> float:
    """Unit of the last digit that these figures were written with; 0 when they have many."""
    given = list(values)
    for digits in range(_FINEST):
        if all(abs(value * 10**digits - round(value * 10**digits)) < 1e-6 for value in given):
            return float(10.0**-digits) if given else 0.0
    return 0.0


def number_in(notes: Mapping[str, Any], key: str) -> float | None:
    """A number among the notes of a row, or None."""
    value = notes.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
