"""The answer of a report in a few figures, and how it differs from another's, with signs and in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from presentation.numbers import ms, rate, signed_ms, signed_percent, signed_usd, usd
from simulator.outcome import FleetReport, Report, WorkloadReport
from simulator.wording import listed, percent, percentile

_SAME: Final = 1e-3
"""Amounts that differ by less than this share are the same to a reader."""


@dataclass(frozen=True)
class Answer:
    """What a planner asks of one workload."""

    percentile: str
    """Which percentile ``value_ms`` is: that of the objective, else p99."""
    value_ms: float | None
    """Infinite where the queue grows or too many requests are lost; None where nothing was answered."""
    interval_ms: tuple[float, float] | None
    """95 % interval of it; None where it is unknown or not finite."""
    target_ms: float | None
    attainment: float | None
    usd_per_hour: float | None
    usd_per_month: float | None
    usd_per_1k_requests: float | None

    @property
    def met(self) -> bool | None:
        """Whether the objective is met; None without one, or without an answer."""
        if self.target_ms is None or self.value_ms is None:
            return None
        return self.value_ms <= self.target_ms

    @property
    def decided(self) -> bool:
        """Whether the interval leaves the target on one side."""
        if self.target_ms is None or self.interval_ms is None:
            return True
        return not self.interval_ms[0] <= self.target_ms <= self.interval_ms[1]

    @property
    def headroom_ms(self) -> float | None:
        """Target less value."""
        return None if self.target_ms is None or self.value_ms is None else self.target_ms - self.value_ms

    @property
    def headroom_share(self) -> float | None:
        """The same as a share of the target."""
        return None if self.headroom_ms is None or self.target_ms is None else self.headroom_ms / self.target_ms


def answer_of(report: Report, workload: str) -> Answer:
    """What does the report say of this workload, and of the bill?"""
    found = workload_of(report, workload)
    key = _judged(found)
    unstable = fleet_of(report, found.fleet).unstable
    if found.slo is not None and found.slo.met is not None:
        told = found.slo.values[f"{key}_ms"]
        value: float | None = math.inf if told is None else told
    elif found.latency_ms is None:
        value = None
    else:
        value = math.inf if unstable else getattr(found.latency_ms, key)
    interval = (found.ci95 or {}).get(f"{key}_ms")
    lost = found.outcomes["arrived"] != found.outcomes["completed"]
    cost = report.cost
    return Answer(
        percentile=percentile(key),
        value_ms=value,
        interval_ms=None if interval is None or lost or value is None or math.isinf(value) else interval,
        target_ms=None if found.slo is None else found.slo.targets.get(f"{key}_ms"),
        attainment=None if found.slo is None else found.slo.attainment,
        usd_per_hour=cost.usd_per_hour,
        usd_per_month=cost.usd_per_month,
        usd_per_1k_requests=cost.usd_per_1k_requests,
    )


def workload_of(report: Report, name: str) -> WorkloadReport:
    """One workload of a report."""
    return next(one for one in report.workloads if one.name == name)


def fleet_of(report: Report, name: str) -> FleetReport:
    """One fleet of a report."""
    return next(one for one in report.fleets if one.name == name)


def _judged(found: WorkloadReport) -> str:
    """The objective that leaves least room, as a share of its target; p99 without one."""
    if found.slo is None:
        return "p99"
    room = {
        key: -math.inf if found.slo.margin_ms[key] is None else (found.slo.margin_ms[key] or 0.0) / target
        for key, target in found.slo.targets.items()
    }
    return min(room, key=lambda key: room[key]).removesuffix("_ms")


def latency_change(now: float | None, before: float | None) -> tuple[str, bool | None]:
    """How a latency changed, in words, and whether it rose; None where it did not or nobody knows.

    >>> latency_change(50.0, 40.0), latency_change(float("inf"), 40.0), latency_change(40.0, 40.0)
    (('+10.0 ms (+25%)', True), ('was 40.0 ms', True), ('', None))
    """
    if now is None or before is None or now == before:
        return "", None
    if math.isinf(now) or math.isinf(before):
        return f"was {ms(before)}", now > before
    return f"{signed_ms(now - before)} ({signed_percent(now / before - 1)})", now > before


def money_change(now: float | None, before: float | None) -> tuple[str, bool | None]:
    """How an amount of money changed, in words, and whether it rose.

    >>> money_change(2.63, 2.104), money_change(2.0, 2.0), money_change(None, 2.0)
    (('+$0.526 (+25%)', True), ('', None), ('', None))
    """
    if now is None or before is None or math.isclose(now, before, rel_tol=_SAME):
        return "", None
    return f"{signed_usd(now - before)} ({signed_percent(now / before - 1)})", now > before


def verdict(report: Report, workload: str) -> str:
    """The answer in one sentence.

    The interval decides: where it holds the target, another run could say the opposite.
    """
    found = answer_of(report, workload)
    at = f"{workload} at {rate(workload_of(report, workload).offered_rps)}"
    what = f"{at}: {found.percentile} {ms(found.value_ms)}"
    if found.value_ms is None:
        return f"{workload}: no request was answered"
    if found.target_ms is None:
        return f"{what}; no objective is stated"
    limit = f"target {ms(found.target_ms)}"
    if math.isinf(found.value_ms):
        return f"{at}: the queue grows or requests are lost, so no latency holds; {limit}"
    room = found.headroom_ms or 0.0
    side = "to spare" if room >= 0 else "too slow"
    return f"{what}, {limit}: {ms(abs(room))} ({percent(abs(room) / found.target_ms)}) {side}"


def headroom(found: Answer) -> str:
    """What is left to the target, with a minus where it is missed."""
    if found.headroom_ms is None or found.headroom_share is None:
        return "–"
    if math.isinf(found.headroom_ms):
        return "none"
    sign = "−" if found.headroom_ms < 0 else ""
    return f"{sign}{ms(abs(found.headroom_ms))} ({sign}{percent(abs(found.headroom_share))})"


def changed_keys(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Which keys of two scenarios differ? Dotted path, value before and now; None where one has no such key.

    >>> list(changed_keys({"fleets": {"gpu": {"instances": 4}}}, {"fleets": {"gpu": {"instances": 3}}, "seed": 1}))
    [('fleets.gpu.instances', 4, 3), ('seed', None, 1)]
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*before, *now)):
            yield from changed_keys(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield path, before, now


def explained(before: Report, now: Report, names: tuple[str, str] = ("A", "B")) -> list[str]:
    """Why do two reports differ? Sentences on money, latency and load, of what both have."""
    first, second = names
    lines = [*_money(before, now, first, second)]
    shared = [one.name for one in before.workloads if one.name in {other.name for other in now.workloads}]
    for name in shared:
        lines += _latency(before, now, name, second)
    for fleet in (one.name for one in before.fleets if one.name in {other.name for other in now.fleets}):
        lines += _load(fleet_of(before, fleet), fleet_of(now, fleet))
    if now.bottleneck and now.bottleneck != before.bottleneck:
        lines.append(f"In {second}, {now.bottleneck}")
    return lines


def _money(before: Report, now: Report, first: str, second: str) -> Iterator[str]:
    change, rose = money_change(now.cost.usd_per_hour, before.cost.usd_per_hour)
    if rose is None:
        same = now.cost.usd_per_hour is not None and before.cost.usd_per_hour is not None
        yield f"{second} costs the same as {first}." if same else "A price is missing: the bills cannot be compared."
        return
    hour = abs((now.cost.usd_per_hour or 0) - (before.cost.usd_per_hour or 0))
    month = abs((now.cost.usd_per_month or 0) - (before.cost.usd_per_month or 0))
    share = change[change.index("(") :]
    yield f"{second} costs {usd(hour)} an hour {'more' if rose else 'less'} than {first} {share}: {usd(month)} a month."


def _latency(before: Report, now: Report, name: str, second: str) -> Iterator[str]:
    old, new = answer_of(before, name), answer_of(now, name)
    change, rose = latency_change(new.value_ms, old.value_ms)
    if rose is None or new.percentile != old.percentile:
        return
    overlap = _overlap(old.interval_ms, new.interval_ms)
    sure = " The intervals overlap: the difference may be chance." if overlap else ""
    flipped = ""
    if old.met is not None and new.met is not None and old.met != new.met:
        flipped = f", and the SLO is {'met' if new.met else 'missed'} where it was {'met' if old.met else 'missed'}"
    yield f"{second}: {name}'s {new.percentile} is {ms(new.value_ms)}, {change}{flipped}.{sure}"
    parts = [
        f"{words} {ms(a.p99)} to {ms(b.p99)}"
        for words, a, b in _parts(workload_of(before, name), workload_of(now, name))
        if not math.isclose(a.p99, b.p99, rel_tol=0.05)
    ]
    if parts and new.value_ms is not None and math.isfinite(new.value_ms):
        yield f"At the p99 of each part, {listed(parts)}."


def _parts(before: WorkloadReport, now: WorkloadReport) -> Iterator[tuple[str, Any, Any]]:
    for words, a, b in (
        ("queue delay goes from", before.queue_ms, now.queue_ms),
        ("service goes from", before.service_ms, now.service_ms),
    ):
        if a is not None and b is not None:
            yield words, a, b


def _load(before: FleetReport, now: FleetReport) -> Iterator[str]:
    if abs(now.offered_load - before.offered_load) < 0.005 and abs(now.utilisation - before.utilisation) < 0.005:
        return
    text = (
        f"{now.name} is {percent(now.utilisation)} busy (was {percent(before.utilisation)}) at "
        f"{percent(now.offered_load)} of its capacity (was {percent(before.offered_load)})"
    )
    if before.batch_size_mean and now.batch_size_mean:
        text += f"; batches hold {now.batch_size_mean:.3g} items (were {before.batch_size_mean:.3g})"
    yield f"{text}."


def _overlap(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one is not None and other is not None and one[0] <= other[1] and other[0] <= one[1]


def comparison_rows(reports: Mapping[str, Report]) -> list[dict[str, str]]:
    """Reports side by side: a row for each figure, a column for each report; differences from the first in brackets."""
    names = list(reports)
    rows: list[dict[str, str]] = []
    workloads = dict.fromkeys(one.name for report in reports.values() for one in report.workloads)
    fleets = dict.fromkeys(one.name for report in reports.values() for one in report.fleets)
    for workload in workloads:
        rows += _workload_rows(workload, reports, names)
    for fleet in fleets:
        rows += _fleet_rows(fleet, reports, names)
    prices = (("an hour", "usd_per_hour"), ("a month", "usd_per_month"), ("1,000 requests", "usd_per_1k_requests"))
    for label, key in prices:
        costs = [getattr(reports[name].cost, key) for name in names]
        rows.append({"figure": f"cost of {label}", **_cells(names, costs, usd, money_change)})
    return rows


def _workload_rows(workload: str, reports: Mapping[str, Report], names: Sequence[str]) -> Iterator[dict[str, str]]:
    found = [
        answer_of(report, workload) if any(one.name == workload for one in report.workloads) else None
        for report in reports.values()
    ]
    held = ["–" if one is None or one.met is None else ("met" if one.met else "missed") for one in found]
    yield {"figure": f"{workload}: SLO", **dict(zip(names, held, strict=True))}
    words = listed(list(dict.fromkeys(one.percentile for one in found if one is not None)))
    values = [None if one is None else one.value_ms for one in found]
    yield {"figure": f"{workload}: {words}", **_cells(names, values, ms, latency_change)}
    rooms = ["–" if one is None else headroom(one) for one in found]
    yield {"figure": f"{workload}: SLO headroom", **dict(zip(names, rooms, strict=True))}


def _fleet_rows(fleet: str, reports: Mapping[str, Report], names: Sequence[str]) -> Iterator[dict[str, str]]:
    found = [next((one for one in report.fleets if one.name == fleet), None) for report in reports.values()]
    count = ["–" if one is None else f"{one.instances_mean:g} × {one.instance_type or 'own price'}" for one in found]
    busy = ["–" if one is None else percent(one.utilisation) for one in found]
    asked = ["–" if one is None else percent(one.offered_load) for one in found]
    yield {"figure": f"{fleet}: instances", **dict(zip(names, count, strict=True))}
    yield {"figure": f"{fleet}: utilisation", **dict(zip(names, busy, strict=True))}
    yield {"figure": f"{fleet}: load, of capacity", **dict(zip(names, asked, strict=True))}


def _cells(names: Sequence[str], values: Sequence[float | None], written: Any, change: Any) -> dict[str, str]:
    cells = {}
    for name, value in zip(names, values, strict=True):
        difference, _ = change(value, values[0])
        cells[name] = written(value) + (f" · {difference}" if difference else "")
    return cells
