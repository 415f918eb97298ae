"""Figures of plans as files: what stricter objectives cost.

matplotlib is imported when a figure is asked for. Colours are those of Okabe and Ito; marks differ, too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from calibration.figures import OKABE_ITO
from optimizer.wording import usd
from simulator.wording import percentile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optimizer.pareto import Frontier, ParetoPoint

_PANEL_HEIGHT: Final = 3.6
_NEAR: Final = 0.15
"""Share of the axis's height below which two amounts need not both be written."""


def pareto_figure(name: str, frontiers: Sequence[Frontier]) -> Figure:
    """What does a month cost, against the latency objectives and against the floors of accuracy? A panel each.

    Parameters
    ----------
    name
        Of the plan.
    frontiers
        At least one.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.8 + _PANEL_HEIGHT * len(frontiers)), layout="constrained")
    panels = figure.subplots(len(frontiers), 1, squeeze=False)[:, 0]
    for axes, frontier in zip(panels, frontiers, strict=True):
        axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _draw(axes, frontier)
    figure.suptitle(textwrap.shorten(f"{name}: what stricter objectives cost", 90, placeholder="..."), fontsize=11)
    notes = (
        "every point is a plan of its own, solved and simulated; a plan for a stricter objective serves a looser one"
    )
    figure.supxlabel(notes, fontsize=7.5, color="#555555", x=0.01, ha="left")
    return figure


def _draw(axes: Axes, frontier: Frontier) -> None:
    latency = frontier.kind == "latency"
    scale, unit = _axis(frontier)
    planned = [(point, scale * point.value) for point in frontier.points if point.usd_per_month is not None]
    without = [scale * point.value for point in frontier.points if point.usd_per_month is None]
    if planned:
        costs = [point.usd_per_month or 0.0 for point, _ in planned]
        axes.step([x for _, x in planned], costs, where="post", color=OKABE_ITO["blue"], linewidth=1.6)
        _marks(axes, planned)
        axes.set_ylim(0, 1.18 * max(costs))
        _amounts(axes, planned)
    if without:
        label = "no plan exists"
        axes.plot(without, [0.02] * len(without), "x", color=OKABE_ITO["vermilion"], markersize=7, label=label,
                  transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
    own = [scale * point.value for point in frontier.points if point.stated]
    for x in own:
        axes.axvline(x, color=OKABE_ITO["vermilion"], linestyle="--", linewidth=1, zorder=0, label="stated objective")
    if latency:
        axes.set_xscale("log")
    values = [scale * point.value for point in frontier.points]
    axes.set_xticks(values, [f"{value:g}" if unit else f"×{value:g}" for value in values], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel(_x_label(frontier, unit))
    axes.set_ylabel("cost (USD a month)")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, loc="best", fontsize=9)


def _marks(axes: Axes, planned: Sequence[tuple[ParetoPoint, float]]) -> None:
    """Chosen plan, other plans, and those that simulation did not confirm."""
    kinds = (
        ("D", "vermilion", 9, "the plan", [one for one in planned if one[0].stated]),
        ("o", "blue", 6, "cheapest plan", [one for one in planned if not one[0].stated and one[0].met is not False]),
        ("s", "grey", 6, "not held in simulation", [one for one in planned if one[0].met is False]),
    )
    for mark, colour, size, label, chosen in kinds:
        if chosen:
            costs = [point.usd_per_month or 0.0 for point, _ in chosen]
            xs = [x for _, x in chosen]
            axes.plot(xs, costs, mark, color=OKABE_ITO[colour], markersize=size, label=label, zorder=3)


def _amounts(axes: Axes, planned: Sequence[tuple[ParetoPoint, float]]) -> None:
    """The amounts at the points, where they differ enough from the last one written."""
    top = axes.get_ylim()[1]
    last: float | None = None
    for point, x in planned:
        cost = point.usd_per_month
        if cost is not None and (point.stated or last is None or abs(last - cost) > _NEAR * top / 3):
            axes.annotate(usd(cost), (x, cost), (4, 6), textcoords="offset points", fontsize=8, color="#333333")
            last = cost


def _axis(frontier: Frontier) -> tuple[float, str]:
    """Factor from a point's value to the axis, and its unit: ms where there is one objective in all."""
    targets = [(key, target) for row in frontier.targets_ms.values() for key, target in row.items()]
    if frontier.kind == "latency" and len(targets) == 1:
        return targets[0][1], "ms"
    return (1.0, "") if frontier.kind == "latency" else (1.0, "1")


def _x_label(frontier: Frontier, unit: str) -> str:
    if frontier.kind == "accuracy":
        return f"least mean accuracy of the answers to {frontier.workload} (share of 1)"
    stated = [
        f"{name} {percentile(key)} {target:g} ms"
        for name, row in frontier.targets_ms.items()
        for key, target in row.items()
    ]
    if unit == "ms":
        (workload,) = frontier.targets_ms
        (objective,) = frontier.targets_ms[workload]
        return f"{percentile(objective)} target of {workload} (ms)"
    words = textwrap.shorten(", ".join(stated), 70, placeholder="...")
    return f"objectives, as a multiple of the stated ones\n({words})"
