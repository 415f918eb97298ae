"""Figures of a recommendation: demand beside what is committed, and what the months cost.

matplotlib is imported when a figure is asked for. Colours are those of Okabe and Ito, line styles differ too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from calibration.figures import OKABE_ITO
from optimizer.budget.of_study import UNIT, Year
from optimizer.commitments.study import Study
from optimizer.forecast.levels import WEEK_H

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

MOST_WEEKS: Final = 104
"""Weeks shown of the past, and as many of what is to come."""


def commitment_figure(study: Study) -> Figure:
    """What was wanted, what may be wanted, and how much of it the purchases cover at most, week by week?"""
    recommendation = study.recommendation
    market, problem = recommendation.market, recommendation.problem
    ahead_h = min(problem.demand.shape[1], MOST_WEEKS * WEEK_H)
    past = _weekly((study.history.demand[-MOST_WEEKS * WEEK_H :] @ market.on_demand_usd)[None])
    ahead = _weekly(problem.demand[:, :ahead_h] @ market.on_demand_usd)
    figure, ax = _figure()
    before = _days(study.history.end.replace(tzinfo=None), -past.shape[1], 0)
    after = _days(recommendation.start.replace(tzinfo=None), 0, ahead.shape[1])
    low, middle, high = np.quantile(ahead, (0.1, 0.5, 0.9), axis=0)
    ax.plot(before, past[0], color=OKABE_ITO["black"], linewidth=1.2, label="history")
    ax.fill_between(after, low, high, color=OKABE_ITO["blue"], alpha=0.2, linewidth=0, label="8 of 10 futures")
    ax.plot(after, middle, "--", color=OKABE_ITO["blue"], linewidth=1.6, label="middle future")
    ax.step(
        after,
        _weekly(committed(study, ahead_h)[None])[0],
        where="post",
        color=OKABE_ITO["vermilion"],
        linewidth=1.8,
        label="committed",
    )
    ax.set_ylim(0, 1.2 * max(float(high.max(initial=0)), float(past.max(initial=0)), 1e-9))
    same = len(set(market.on_demand_usd.tolist())) == 1 and not market.in_dollars
    ax.set_ylabel("instances, mean of a week" if same else "USD an hour at on-demand prices")
    ax.yaxis.set_major_formatter("{x:,.0f}" if same else "${x:,.4g}")
    ax.legend(frameon=False, fontsize=9, ncols=4, loc="upper left")
    figure.suptitle("Demand, and what is committed", fontsize=11)
    _note(figure, "all pools together; committed: at most what the purchases cover")
    return figure


def months_figure(year: Year) -> Figure:
    """What does each month cost with the purchases, how sure is that, and what would it cost on demand?"""
    figure, ax = _figure()
    names = [month.name for month in year.months]
    x = np.arange(len(names))
    low, high, mean = ([getattr(month.effective, key) for month in year.months] for key in ("p10", "p90", "mean"))
    without = [month.without_usd for month in year.months]
    ax.fill_between(x, low, high, color=OKABE_ITO["blue"], alpha=0.2, linewidth=0, label="8 of 10 futures")
    ax.plot(x, mean, "o-", color=OKABE_ITO["blue"], linewidth=1.6, markersize=4, label="mean, with the purchases")
    ax.plot(x, without, "s--", color=OKABE_ITO["vermilion"], linewidth=1.2, markersize=4, label="mean, all on demand")
    ax.set_xticks(x, names, rotation=45 if len(x) > 8 else 0)
    ax.set_ylim(0, 1.25 * max(*high, *without))
    ax.set_ylabel("effective cost (USD a month)" if year.in_dollars else "effective cost a month")
    ax.yaxis.set_major_formatter("${x:,.0f}" if year.in_dollars else "{x:,.0f}")
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="upper left")
    figure.suptitle("What the months cost", fontsize=11)
    _note(figure, f"{year.futures} futures" + ("" if year.in_dollars else f"; amounts are {UNIT}"))
    return figure


def committed(study: Study, hours: int) -> Floats:
    """(T,) what the purchases cover at most, at on-demand prices."""
    market = study.recommendation.market
    price = dict(zip(market.pools, market.on_demand_usd.tolist(), strict=True))
    level = np.zeros(hours)
    for one in study.recommendation.bought:
        offer = one.offer
        worth = max((price[pool] / rate for pool, rate in offer.rates.items()), default=0.0)
        if offer.kind == "instances":
            worth = price[offer.pool]
        level[one.start_h : one.start_h + offer.term_h] += one.units * worth
    return level


def _weekly(hourly: Floats) -> Floats:
    """(S, W) means of whole weeks, the last ones."""
    weeks = hourly.shape[1] // WEEK_H
    whole = hourly[:, hourly.shape[1] - weeks * WEEK_H :] if weeks else hourly
    means: Floats = whole.reshape(len(hourly), max(weeks, 1), -1).mean(axis=2)
    return means


def _days(day: Any, first: int, after: int) -> npt.NDArray[np.datetime64]:
    days: npt.NDArray[np.datetime64] = np.datetime64(day, "D") + 7 * np.arange(first, after).astype("timedelta64[D]")
    return days


def _figure() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    ax = figure.subplots()
    ax.grid(visible=True, which="major", axis="y", color="#dddddd", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _note(figure: Figure, words: str) -> None:
    figure.supxlabel(words, fontsize=7.5, color="#555555", x=0.01, ha="left")
