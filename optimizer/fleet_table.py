"""The fleets of a plan as a table: a row for each candidate, hour by hour as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import numpy as np

from calibration.page import paragraph, per_cent, significant, table
from optimizer.plan import Plan, PlannedFleet
from optimizer.wording import usd

WIDTH: Final = 80
"""Columns of the report."""

MOST_BARS: Final = 24
"""Columns of a row of bars; more hours than that share them."""

MOST_SETTINGS: Final = 4
"""Settings of a candidate shown one by one."""

LONGEST_NAME: Final = 24
"""Columns of the name of a fleet."""

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = ".:-=+*%#"


def fleet_lines(plan: Plan, unicode: bool) -> list[str]:
    """What runs, hour by hour? A row for each candidate and its settings, then what is asked, then the extremes."""
    many = len(plan.hours) > 1
    span = f"{clock(plan.hours[0])} to {clock(plan.hours[-1])}" if many else ""
    rows: list[tuple[str, ...]] = [("Fleets", span, "instances", "full", "USD/month")]
    ordered = sorted(plan.fleets, key=lambda fleet: fleet.candidate)
    groups = [(name, list(fleets)) for name, fleets in groupby(ordered, key=lambda fleet: fleet.candidate)]
    groups.sort(key=lambda group: -sum(fleet.usd_per_hour for fleet in group[1]))
    month_h = sum(plan.weight_h)
    for name, fleets in groups:
        fleets.sort(key=lambda fleet: -fleet.usd_per_hour)
        if len(fleets) == 1:
            rows.append(_fleet_row(short(fleet_name(fleets[0])), fleets, month_h, many, unicode))
            continue
        rows.append(_fleet_row(short(name), fleets, month_h, many, unicode))
        shown = fleets if len(fleets) <= MOST_SETTINGS else fleets[: MOST_SETTINGS - 1]
        rows += [_fleet_row(short(f"  {_setting(fleet)}"), [fleet], month_h, many, unicode) for fleet in shown]
        if len(shown) < len(fleets):
            rest = fleets[len(shown) :]
            rows.append(_fleet_row(f"  {len(rest)} more settings", rest, month_h, many, unicode))
    lines = _without_empty(rows, "llrrr")
    series = {f"{name}, requests/s": plan.demand_rps[name] for name in plan.workloads}
    if many and len(groups) > 1:
        series = {"all, USD/hour": plan.usd_by_hour, **series}
    asked = [("", "", "")]
    for words, values in series.items():
        asked.append((short(words), sparkline(values, unicode=unicode) if many else "", _spread(values)))
    # Under the bars of the fleets, hour by hour.
    widths = [max(len(row[place]) for row in (*rows, *asked)) for place in (0, 1)]
    for name, bars, spread in asked[1:]:
        lines.append("  ".join((name.ljust(widths[0]), *([bars.ljust(widths[1])] if many else []), spread)))
    if many and plan.usd_by_hour:
        lines += paragraph(_extremes(plan, dict(groups)), mark="  ", width=WIDTH)
    return lines


def sparkline(values: Sequence[float], *, unicode: bool = True, most: int = MOST_BARS) -> str:
    """A row of bars, one a value: the tallest is the largest, a dot is 0. Of too many, neighbours share one.

    >>> sparkline([0, 1, 2, 4]), sparkline([0, 1, 2, 4], unicode=False), sparkline([1, 2, 3, 4], most=2)
    ('·▂▄█', ' :=#', '▄█')
    """
    heights = np.array(values, dtype=float)
    if len(heights) > most:
        heights = np.array([part.max() for part in np.array_split(heights, most)])
    top = heights.max(initial=0.0)
    steps, nothing = (_BARS, "·") if unicode else (_PLAIN_BARS, " ")
    return "".join(
        nothing if height <= 0 else steps[max(0, int(np.ceil(len(steps) * height / top)) - 1)] for height in heights
    )


def _extremes(plan: Plan, groups: Mapping[str, Sequence[PlannedFleet]]) -> str:
    """What runs in the dearest and in the cheapest hour."""
    spent = list(plan.usd_by_hour)
    words = []
    for what, t in (("dearest", spent.index(max(spent))), ("cheapest", spent.index(min(spent)))):
        held = {name: sum(fleet.instances_by_hour[t] for fleet in fleets) for name, fleets in groups.items()}
        running = ", ".join(f"{count} {name}" for name, count in held.items() if count) or "nothing"
        words.append(f"{what} hour {plan.hours[t]}: {running} ({usd(spent[t])})")
    return "; ".join(words)


def _without_empty(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """A table without the columns that hold nothing."""
    kept = [place for place in range(len(align)) if any(row[place] for row in rows)]
    return table([[row[place] for place in kept] for row in rows], "".join(align[place] for place in kept))


def _setting(fleet: PlannedFleet) -> str:
    """The setting alone; told by the workloads that it serves rather than by its profile, whose name is long."""
    words = fleet.name.removeprefix(f"{fleet.candidate}: ")
    kept, profile, _ = words.partition(", profile ")
    served = ", ".join(name for name, share in fleet.share.items() if share > 0)
    return f"{served}: {kept}" if profile else words


def fleet_name(fleet: PlannedFleet) -> str:
    """Which candidate with which setting, as short as it is clear?"""
    words = _setting(fleet)
    return fleet.candidate if words == fleet.name else f"{fleet.candidate}: {words}"


def _fleet_row(name: str, fleets: Sequence[PlannedFleet], month_h: float, many: bool, unicode: bool) -> tuple[str, ...]:
    counts = np.array([fleet.instances_by_hour for fleet in fleets]).sum(axis=0)
    fewest, most = int(counts.min()), int(counts.max())
    held = f"{most}" if fewest == most else f"{fewest}-{most}"
    bars = sparkline(counts.tolist(), unicode=unicode) if many else ""
    cost = usd(month_h * sum(fleet.usd_per_hour for fleet in fleets)).lstrip("$")
    return name, bars, held, per_cent(max(fleet.load for fleet in fleets)), cost


def _spread(values: Sequence[float]) -> str:
    low, high = significant(min(values)), significant(max(values))
    return high if low == high else f"{low}-{high}"


def clock(hour: str) -> str:
    """Name of an hour, without a date that would not fit."""
    return hour if len(hour) <= 12 else hour.split(" ", 1)[-1]


def short(name: str, width: int = LONGEST_NAME) -> str:
    """A name that fits its column, marked where it is cut.

    >>> short("bert-large-tensorrt-int8", 10)
    'bert-larg~'
    """
    return name if len(name) <= width else f"{name[: width - 1]}~"
