"""The charts of a budget: demand and its futures, a usual week, what is covered, the months, what moves it, who pays.

The first part of each function's docstring is the question that its chart answers; ``..._alt`` says the same in words.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget import NOBODY, Budget, Period
from optimizer.budget.demand_history import DemandHistory
from optimizer.budget.sensitivity import Sensitivity, Variant
from optimizer.budget.typical_week import TypicalWeek
from presentation.numbers import signed_usd, usd
from presentation.palette import ACCENT, HEIGHT_PX, LIMIT, QUIET, SERIES, laid_out, shade
from simulator.render import significant
from simulator.wording import percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Floats = npt.NDArray[np.float64]

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

WEEKS_BACK: Final = 104
"""Past weeks shown beside a forecast."""

_WEEK_H: Final = 168
_DARK_FILL: Final = 0.30
_FILL: Final = 0.16
_MOST_TICKS: Final = 7
_MOST_SHARES: Final = 9
"""Bars of one tag that have room."""


def weekly(hourly: Floats) -> Floats:
    """(S, W) means of whole weeks of (S, H) hours, the last ones; of less than a week the mean.

    >>> weekly(np.ones((1, 400))).shape
    (1, 2)
    """
    weeks = hourly.shape[1] // _WEEK_H
    if not weeks:
        return np.asarray(hourly.mean(axis=1, keepdims=True))
    means: Floats = hourly[:, hourly.shape[1] - weeks * _WEEK_H :].reshape(len(hourly), weeks, _WEEK_H).mean(axis=2)
    return means


def days_of(start: dt.datetime, hours: int, weeks: int) -> list[dt.date]:
    """First day of each of the last whole weeks of so many hours."""
    first = start + dt.timedelta(hours=max(hours - weeks * _WEEK_H, 0))
    return [(first + dt.timedelta(days=7 * week)).date() for week in range(weeks)]


def forecast_chart(name: str, past: DemandHistory, start: dt.datetime, ahead: Floats | None) -> Figure:
    """What was asked, week by week, and what may be asked in the budget: half and eight in ten of the futures."""
    import plotly.graph_objects as go

    figure = go.Figure()
    back = weekly(past.rps[None, -WEEKS_BACK * _WEEK_H :])[0]
    days = days_of(past.start, len(past.rps), len(back))
    figure.add_scatter(x=days, y=back, mode="lines", name="past", line={"color": QUIET, "width": 1.6},
                       hovertemplate="%{y:,.4s} requests/s")  # fmt: skip
    title = f"{name}: past demand"
    if ahead is not None:
        title = f"{name}: demand, past and forecast"
        found = weekly(ahead)
        after = days_of(start, ahead.shape[1], found.shape[1])
        low, lower, middle, upper, high = np.quantile(found, (0.1, 0.25, 0.5, 0.75, 0.9), axis=0)
        _band(figure, after, low, high, "8 of 10 futures", _FILL)
        _band(figure, after, lower, upper, "half of them", _DARK_FILL)
        figure.add_scatter(x=after, y=middle, mode="lines", name="middle",
                           line={"color": ACCENT, "width": 2, "dash": "dash"},
                           hovertemplate="%{y:,.4s} requests/s")  # fmt: skip
    laid_out(figure, title, "week", "requests/s, mean of a week")
    figure.update_yaxes(rangemode="tozero", tickformat="~s")
    return figure


def forecast_alt(name: str, past: DemandHistory, ahead: Floats | None) -> str:
    """The same in words."""
    year = float(past.rps[-8_760:].mean())
    said = f"{name}: {significant(year)} requests a second in the last year of the past"
    if ahead is None:
        return f"{said}."
    low, high = np.quantile(ahead.mean(axis=1), (0.1, 0.9))
    return f"{said}; {significant(float(ahead.mean()))} in the budget, in eight of ten futures {significant(low)} to {significant(high)}."  # noqa: E501


def _band(figure: Figure, x: Sequence[object], low: Floats, high: Floats, name: str, opacity: float) -> None:
    figure.add_scatter(x=x, y=low, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(x=x, y=high, mode="lines", line={"width": 0}, name=name, fill="tonexty",
                       fillcolor=shade(ACCENT, opacity), hoverinfo="skip")  # fmt: skip


def week_chart(week: TypicalWeek) -> Figure:
    """Which machines run in each hour of a usual week, and how many of them are promised?"""
    import plotly.graph_objects as go

    figure = go.Figure()
    hours = np.arange(_WEEK_H)
    types = {name for _, name in week.columns}
    order = sorted(range(len(week.columns)), key=lambda place: -float(week.mean[:, place].mean()))
    for number, place in enumerate(order):
        workload, name = week.columns[place]
        colour = SERIES[number % len(SERIES)]
        figure.add_scatter(
            x=hours, y=week.mean[:, place], mode="lines", stackgroup="one", line={"width": 0.8, "color": colour},
            fillcolor=shade(colour, 0.55), name=workload if len(types) == 1 else f"{workload} on {name}",
            hovertemplate="%{y:.3s}",
        )  # fmt: skip
    figure.add_scatter(x=hours, y=week.p90, mode="lines", name="P90 of all weeks", hovertemplate="%{y:.3s}",
                       line={"color": QUIET, "width": 1.2, "dash": "dot"})  # fmt: skip
    if week.promised > 0:
        figure.add_scatter(x=[0, _WEEK_H - 1], y=[week.promised] * 2, mode="lines", hoverinfo="skip",
                           name=f"promised: {significant(week.promised)}",
                           line={"color": LIMIT, "width": 2, "dash": "dash"})  # fmt: skip
    of = f" of {next(iter(types))}" if len(types) == 1 else ""
    laid_out(figure, f"A usual week: instances{of}", "hour of the week (UTC)", "instances, mean")
    figure.update_xaxes(tickvals=[24 * day + 12 for day in range(7)], ticktext=list(DAYS), range=[0, _WEEK_H - 1])
    figure.update_yaxes(rangemode="tozero")
    return figure


def week_alt(week: TypicalWeek) -> str:
    """The same in words."""
    total = week.total
    busy = int(total.argmax())
    return (
        f"In a usual week {significant(float(total.min()))} to {significant(float(total.max()))} instances run, most "
        f"on {DAYS[busy // 24]} at {busy % 24}:00 UTC; {significant(week.promised)} are promised."
    )


def fan_chart(months: Sequence[Period], *, promised: bool, dollars: bool = True) -> Figure:
    """What does each month cost, how sure is that, and what would it be all on demand?"""
    import plotly.graph_objects as go

    figure = go.Figure()
    x = [month_text(month.name) for month in months]
    low, middle, high = (np.array([getattr(month.effective, key) for month in months]) for key in ("p10", "p50", "p90"))
    _band(figure, x, low, high, "8 of 10 futures", _FILL + 0.06)
    figure.add_scatter(x=x, y=middle, mode="lines+markers", name="middle", hovertemplate=_amount(dollars),
                       line={"color": ACCENT, "width": 2.5}, marker={"size": 6},
                       customdata=np.stack([low, high], axis=1))  # fmt: skip
    if promised:
        figure.add_scatter(x=x, y=[month.without_usd for month in months], mode="lines+markers",
                           name="all on demand", line={"color": LIMIT, "width": 1.5, "dash": "dash"},
                           marker={"size": 5, "symbol": "square"}, hovertemplate=_amount(dollars))  # fmt: skip
    laid_out(figure, "What the months cost", "month", "USD a month, effective" if dollars else "effective cost a month")
    figure.update_yaxes(rangemode="tozero", tickformat="$~s" if dollars else "~s")
    figure.update_xaxes(tickangle=0, nticks=_MOST_TICKS)
    return figure


def fan_alt(months: Sequence[Period], *, dollars: bool = True) -> str:
    """The same in words."""
    said = "; ".join(
        f"{month_text(month.name)} {money(month.effective.p10, dollars)} to {money(month.effective.p90, dollars)}"
        for month in months[:12]
    )
    return f"Effective cost of a month in eight of ten futures: {said}."


def coverage_chart(months: Sequence[Period], total: Period, *, dollars: bool = True) -> Figure:
    """What of each month is promised and used, bought on demand, and, apart, promised and not used?"""
    import plotly.graph_objects as go

    figure = go.Figure()
    x = [month_text(month.name) for month in months]
    parts = (
        ("used", ACCENT, "", [month.used_usd for month in months]),
        ("on demand", SERIES[1], "", [month.on_demand_usd for month in months]),
        ("not used", LIMIT, "/", [-month.unused_usd for month in months]),
    )
    for name, colour, pattern, amounts in parts:
        if any(amounts):
            figure.add_bar(x=x, y=amounts, name=name, customdata=np.abs(amounts),
                           hovertemplate=_amount(dollars, "%{customdata:,.0f}"),
                           marker={"color": shade(colour, 0.85), "line": {"width": 0},
                                   "pattern": {"shape": pattern, "size": 6, "solidity": 0.5}})  # fmt: skip
    title = "Everything is bought on demand"
    if total.utilisation is not None:
        title = f"Promises cover {percent(total.coverage)}, and {percent(total.utilisation)} of them is used"
    laid_out(figure, title, "month", "USD a month, mean" if dollars else "cost a month, mean")
    figure.update_layout(barmode="relative", bargap=0.2)
    figure.update_xaxes(tickangle=0, nticks=_MOST_TICKS)
    figure.update_yaxes(tickformat="$~s" if dollars else "~s")
    return figure


def coverage_alt(months: Sequence[Period], *, dollars: bool = True) -> str:
    """The same in words."""
    said = "; ".join(
        f"{month_text(month.name)} {percent(month.coverage)} covered"
        + (f", {percent(month.utilisation)} used" if month.utilisation is not None else "")
        + f", {money(month.unused_usd, dollars)} not used"
        for month in months[:12]
    )
    return f"Share of the usage that promises cover: {said}."


def tornado_chart(found: Sequence[Sensitivity]) -> Figure:
    """Which input moves the budget most? The mean of the whole budget when one of them is lower or higher."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [one.name for one in found]
    base = found[0].base_usd if found else 0.0
    sides = (("lower", SERIES[1], "/", [one.low for one in found]), ("higher", ACCENT, "", [one.high for one in found]))
    labels = [_labels(one) for one in found]
    for place, (side, colour, pattern, variants) in enumerate(sides):
        change = [(one.usd if one.usd is not None else base) - base for one in variants]
        figure.add_bar(
            y=names, x=change, base=[base] * len(names), orientation="h", name=f"{side} input", cliponaxis=False,
            text=[pair[place] for pair in labels], textposition="outside", textfont={"size": 11},
            marker={"color": shade(colour, 0.85), "line": {"width": 0},
                    "pattern": {"shape": pattern, "size": 6, "solidity": 0.5}},
            customdata=[one.words for one in found], hovertemplate="%{customdata}<br>%{text}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(base, line={"color": QUIET, "width": 1.5})
    laid_out(figure, f"What moves the {usd(base)}", "USD, mean of the whole budget; promises stay as they are", "")
    reach = max((one.reach_usd for one in found), default=1.0)
    ends = [variant.usd for one in found for variant in (one.low, one.high) if variant.usd is not None] or [base]
    figure.update_xaxes(range=[min(*ends, base) - 0.85 * reach, max(*ends, base) + 0.85 * reach], tickformat="$~s")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(barmode="overlay", bargap=0.35, hovermode="closest")
    return figure


def tornado_alt(found: Sequence[Sensitivity]) -> str:
    """The same in words."""
    said = "; ".join(
        f"{one.name} {_moved(one.low, one.base_usd)} and {_moved(one.high, one.base_usd)} ({one.words})"
        for one in found
    )
    return f"How the mean moves with one input at a time: {said}."


def _labels(one: Sensitivity) -> tuple[str, str]:
    """What is written at the bars of a lower and a higher input; of two bars on one side the longer has both.

    >>> from optimizer.budget.sensitivity import Sensitivity, Variant
    >>> _labels(Sensitivity("SLO", "latency objectives", Variant(0.8, 104.0), Variant(1.25, 101.0), 100.0))
    ('−20%: +$4.00; +25%: +$1.00', '')
    """
    base = one.base_usd
    low, high = (_moved(variant, base) for variant in (one.low, one.high))
    below, above = ((base if variant.usd is None else variant.usd) - base for variant in (one.low, one.high))
    if below * above < 0:
        return low, high
    both = f"{low}; {high}"
    return (both, "") if abs(below) >= abs(above) else ("", both)


def _moved(variant: Variant, base: float) -> str:
    """By how much the input and the budget move."""
    if variant.usd is None:
        return f"{variant.label}: no fleet holds it"
    change = variant.usd - base
    return f"{variant.label}: {signed_usd(change) if abs(change) >= 0.5 else 'no change'}"


def shares_chart(budget: Budget) -> Figure:
    """What does each team and model pay, and how sure is that? What is promised and not used is nobody's."""
    import plotly.graph_objects as go

    tags = [tag for tag in budget.shares if tag != "workload" or len(budget.shares) == 1]
    figure = go.Figure()
    for tag in tags:
        shares = budget.shares[tag][:_MOST_SHARES]
        mean = np.array([one.effective.mean for one in shares])
        own = [one.value != NOBODY for one in shares]
        figure.add_bar(
            y=[[tag] * len(shares), [one.value.strip("()") for one in shares]], x=mean, orientation="h", name=tag,
            marker={"color": [shade(ACCENT if mine else LIMIT, 0.85) for mine in own],
                    "line": {"width": 0},
                    "pattern": {"shape": ["" if mine else "/" for mine in own], "size": 6, "solidity": 0.5}},
            error_x={"type": "data", "symmetric": False, "thickness": 1.2, "color": QUIET,
                     "array": [max(one.effective.p90 - one.effective.mean, 0) for one in shares],
                     "arrayminus": [max(one.effective.mean - one.effective.p10, 0) for one in shares]},
            text=[f"{usd(amount)} ({percent(amount / budget.total.effective.mean)})" for amount in mean],
            textposition="inside", insidetextanchor="start", textangle=0,
        insidetextfont={"color": "white", "size": 11},
            hovertemplate="%{text}<extra></extra>", showlegend=False,
        )  # fmt: skip
    laid_out(figure, f"Who pays: by {' and by '.join(tags)}", "USD, mean of the whole budget; lines: 8 of 10 futures",
             "")  # fmt: skip
    figure.update_xaxes(tickformat="$~s", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        hovermode="closest", bargap=0.25, margin={"t": 34}, uniformtext={"minsize": 10, "mode": "hide"}
    )
    return figure


def shares_alt(budget: Budget) -> str:
    """The same in words."""
    said = [
        f"{tag} {one.value}: {usd(one.effective.mean)}, {usd(one.effective.p10)} to {usd(one.effective.p90)}"
        for tag, shares in budget.shares.items()
        for one in shares[:_MOST_SHARES]
    ]
    return f"Who pays, mean and eight of ten futures. {'; '.join(said)}."


def rules_chart(shares: Mapping[str, float], title: str, chosen: str) -> Figure:
    """What do other rules of buying cost, as a share of everything on demand? The cheapest first."""
    import plotly.graph_objects as go

    order = sorted(shares, key=lambda name: shares[name])
    figure = go.Figure()
    figure.add_bar(
        y=order, x=[100 * shares[name] for name in order], orientation="h", showlegend=False,
        marker={"color": [shade(ACCENT if name == chosen else QUIET, 0.85) for name in order], "line": {"width": 0}},
        text=[f"{shares[name]:.1%}" for name in order], textposition="inside", insidetextanchor="start", textangle=0,
        insidetextfont={"color": "white", "size": 11},
        hovertemplate="%{y}: %{x:.1f}%<extra></extra>",
    )  # fmt: skip
    figure.add_vline(100, line={"color": QUIET, "dash": "dash", "width": 1.2})
    laid_out(figure, title, "cost, share of all on demand (%)", "")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(hovermode="closest", bargap=0.25, margin={"t": 34}, height=HEIGHT_PX)
    return figure


def rules_alt(shares: Mapping[str, float]) -> str:
    """The same in words."""
    order = sorted(shares, key=lambda name: shares[name])
    return f"Cost as a share of all on demand. {'; '.join(f'{name} {shares[name]:.1%}' for name in order)}."


def month_text(name: str) -> str:
    """A month as an axis has it.

    >>> month_text("2027-01"), month_text("total")
    ('Jan 27', 'total')
    """
    try:
        return f"{dt.datetime.strptime(name, '%Y-%m'):%b %y}"
    except ValueError:
        return name


def money(amount: float, dollars: bool) -> str:
    """Dollars, or a number of what the amounts count."""
    return usd(amount) if dollars else significant(amount)


def _amount(dollars: bool, value: str = "%{y:,.0f}") -> str:
    return f"{'$' if dollars else ''}{value}"
