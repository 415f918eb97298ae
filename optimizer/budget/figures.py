"""Figures of a budget: what the months cost and how sure that is, what promises cover, and the demand behind it.

matplotlib is imported when a figure is asked for. Colours are those of Okabe and Ito, marks and line styles differ too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from calibration.figures import OKABE_ITO
from optimizer.budget.budget import Budget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_WEEK: Final = 168
_MOST_WEEKS_BACK: Final = 104
"""Past weeks shown beside a forecast."""


def fan_figure(budget: Budget) -> Figure:
    """What does each month cost, how sure is that, and what would it be without promises?"""
    figure, axes = _figure(1)
    (ax,) = axes
    names = [month.name for month in budget.months]
    x = np.arange(len(names))
    low, middle, high, mean = (
        [getattr(month.effective, key) for month in budget.months] for key in ("p10", "p50", "p90", "mean")
    )
    without = [month.without_usd for month in budget.months]
    blue = OKABE_ITO["blue"]
    ax.fill_between(x, low, high, color=blue, alpha=0.2, linewidth=0, label="8 of 10 futures (P10 to P90)")
    ax.plot(x, middle, "o-", color=blue, linewidth=1.6, markersize=5, label="P50")
    ax.plot(x, mean, ":", color=OKABE_ITO["black"], linewidth=1.2, label="mean")
    if budget.purchases:
        ax.plot(x, without, "s--", color=OKABE_ITO["vermilion"], markersize=4, label="mean, all on demand")
    ax.set_ylim(0, 1.25 * max(*high, *without))
    ax.set_xticks(x, names, rotation=45 if len(names) > 8 else 0)
    _money(ax, "effective cost (USD a month)")
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
    figure.suptitle(f"{budget.name}: what the months cost", fontsize=11)
    _note(figure, f"{budget.paths} futures of the demand, each billed hour by hour; promises spread over their terms")
    return figure


def coverage_figure(budget: Budget) -> Figure:
    """What of each month's cost is promised and used, promised and not used, and bought on demand?"""
    figure, axes = _figure(1)
    (ax,) = axes
    x = np.arange(len(budget.months))
    parts = (
        ("promised and used", "blue", "", [month.used_usd for month in budget.months]),
        ("promised, not used", "vermilion", "///", [month.unused_usd for month in budget.months]),
        ("on demand", "green", "...", [month.on_demand_usd for month in budget.months]),
    )
    below = np.zeros(len(x))
    for label, colour, hatch, usd in parts:
        ax.bar(
            x, usd, bottom=below, color=OKABE_ITO[colour], hatch=hatch, edgecolor="white", linewidth=0.5, label=label
        )
        below = below + np.array(usd)
    ax.set_xticks(x, [month.name for month in budget.months], rotation=45 if len(x) > 8 else 0)
    ax.set_ylim(0, 1.25 * float(below.max()))
    _money(ax, "mean effective cost (USD a month)")
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="upper left")
    figure.suptitle(f"{budget.name}: what promises cover", fontsize=11)
    _note(figure, "means over all futures")
    return figure


def demand_figure(budget: Budget) -> Figure:
    """What was asked, and what may be asked, week by week? A panel each workload."""
    assert budget.demand is not None, "made with the budget"
    figure, axes = _figure(len(budget.demand.rps))
    for ax, (name, paths) in zip(axes, budget.demand.rps.items(), strict=True):
        past = budget.past[name]
        weeks = _weekly(past.rps[None, -_MOST_WEEKS_BACK * _WEEK :])[0]
        end: np.datetime64 = np.datetime64(past.end.replace(tzinfo=None), "D")
        before = end - np.arange(7 * len(weeks), 0, -7).astype("timedelta64[D]")
        ax.plot(before, weeks, color=OKABE_ITO["black"], linewidth=1.2, label="past demand")
        ahead = _weekly(paths)
        start = np.datetime64(budget.start.replace(tzinfo=None), "D")
        days = start + np.arange(0, 7 * ahead.shape[1], 7).astype("timedelta64[D]")
        low, middle, high = np.quantile(ahead, (0.1, 0.5, 0.9), axis=0)
        ax.fill_between(days, low, high, color=OKABE_ITO["blue"], alpha=0.2, linewidth=0, label="P10 to P90")
        ax.plot(days, middle, "--", color=OKABE_ITO["blue"], linewidth=1.6, label="P50")
        ax.set_ylim(0, 1.1 * max(float(high.max()), float(weeks.max())))
        ax.set_ylabel(f"{name}\n(requests/s, mean of a week)")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.xaxis.set_major_locator(_half_years())
    axes[0].legend(frameon=False, fontsize=9, ncols=3, loc="upper left")
    figure.suptitle(f"{budget.name}: demand", fontsize=11)
    _note(figure, f"{budget.paths} futures; one path is one future of all workloads")
    return figure


def _half_years() -> Any:
    from matplotlib.dates import MonthLocator

    return MonthLocator(bymonth=(1, 7))  # type: ignore[no-untyped-call]


def _weekly(rps: Floats) -> Floats:
    """(S, W) means of whole weeks."""
    weeks = rps.shape[1] // _WEEK
    means: Floats = rps[:, rps.shape[1] - weeks * _WEEK :].reshape(len(rps), weeks, _WEEK).mean(axis=2)
    return means


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.2 + 2.8 * panels), layout="constrained")
    axes: list[Any] = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
    for ax in axes:
        ax.grid(visible=True, which="major", axis="y", color="#dddddd", linewidth=0.7)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _money(ax: Axes, label: str) -> None:
    ax.set_ylabel(label)
    ax.yaxis.set_major_formatter("${x:,.0f}")


def _note(figure: Figure, words: str) -> None:
    figure.supxlabel(words, fontsize=7.5, color="#555555", x=0.01, ha="left")
