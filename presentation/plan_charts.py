"""The charts of a plan: fleets hour by hour, cost against objectives, one type alone; each with the same in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from optimizer.fleet_table import clock
from optimizer.pareto import Frontier
from optimizer.plan import Plan
from presentation.numbers import ms, usd
from presentation.palette import ACCENT, DASHES, HEIGHT_PX, LIMIT, MARKS, QUIET, SERIES, laid_out
from presentation.plan_look import (
    bought,
    frontier_rows,
    instances_by_candidate,
    only_target,
    value_head,
    value_words,
)
from simulator.wording import percentile

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_BARS: Final = 72
"""Hours up to which each is a bar; more are drawn as areas."""

PLAN_HEIGHT_PX: Final = HEIGHT_PX + 60

_MOST_TICKS: Final = 8

_MOST_NAMED: Final = 4
"""Workloads up to which each line of demand is named in the chart."""


def fleets_chart(plan: Plan) -> Figure:
    """What runs hour by hour, over what is asked; for a plan of a single hour what each candidate costs."""
    return _costs_chart(plan) if len(plan.hours) == 1 else _hours_chart(plan)


def fleets_alt(plan: Plan) -> str:
    """The same in words."""
    if not plan.feasible:
        return "There is no plan."
    words = f"The plan runs {bought(plan)}."
    if len(plan.hours) > 1:
        spent = list(plan.usd_by_hour)
        dearest, cheapest = spent.index(max(spent)), spent.index(min(spent))
        held = instances_by_candidate(plan)
        for what, t in (("Dearest", dearest), ("Cheapest", cheapest)):
            running = ", ".join(f"{counts[t]} {name}" for name, counts in held.items() if counts[t]) or "nothing"
            words += f" {what} hour {plan.hours[t]}: {running} for {usd(spent[t])}."
    return words


def _hours_chart(plan: Plan) -> Figure:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.62, 0.38])
    places = list(range(len(plan.hours)))
    names = [clock(hour) for hour in plan.hours]
    for index, (name, counts) in enumerate(instances_by_candidate(plan).items()):
        colour = _colour(index)
        common: dict[str, Any] = {"x": places, "y": counts, "name": name, "customdata": names,
                                  "hovertemplate": "%{y} instances"}  # fmt: skip
        if len(places) <= MOST_BARS:
            pattern = {"shape": ("", "/", ".", "x")[index % 4], "fillmode": "overlay", "solidity": 0.2,
                       "fgcolor": "rgba(255,255,255,0.6)"}  # fmt: skip
            figure.add_trace(go.Bar(marker={"color": colour, "pattern": pattern}, **common), row=1, col=1)
        else:
            figure.add_trace(go.Scatter(stackgroup="fleets", line={"shape": "hv", "width": 0.5, "color": colour},
                                        **common), row=1, col=1)  # fmt: skip
    for index, (name, rates) in enumerate(plan.demand_rps.items()):
        line = {"color": QUIET, "width": 2, "dash": DASHES[index % 4], "shape": "hvh"}
        figure.add_trace(go.Scatter(x=places, y=rates, name=f"{name}, asked", line=line, mode="lines",
                                    hovertemplate="%{y:.3s} requests/s", showlegend=False), row=2, col=1)  # fmt: skip
        if len(plan.demand_rps) <= _MOST_NAMED:
            figure.add_annotation(x=places[0], y=rates[0], text=name, showarrow=False, xanchor="left",
                                  yanchor="bottom", font={"size": 11}, row=2, col=1)  # fmt: skip
    laid_out(figure, "Instances hour by hour, and what is asked", "", "", height=PLAN_HEIGHT_PX)
    figure.update_layout(barmode="stack", bargap=0.08)
    step = -(-len(places) // _MOST_TICKS)
    figure.update_xaxes(tickvals=places[::step], ticktext=names[::step])
    figure.update_xaxes(title={"text": "hour of the plan", "standoff": 4}, row=2, col=1)
    figure.update_yaxes(title_text="instances", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="requests/s", rangemode="tozero", row=2, col=1)
    return figure


def _costs_chart(plan: Plan) -> Figure:
    """Where the money goes, beside each candidate alone."""
    import plotly.graph_objects as go

    singles = plan.explanation.single_types if plan.explanation else ()
    alone = [one for one in singles if one.usd_per_month is not None]
    labels = ["this plan", *(f"{one.candidate} alone" for one in alone)]
    month_h = sum(plan.weight_h)
    figure = go.Figure()
    for index, (name, counts) in enumerate(instances_by_candidate(plan).items()):
        cost = month_h * sum(fleet.usd_per_hour for fleet in plan.fleets if fleet.candidate == name)
        figure.add_bar(y=labels[:1], x=[cost], orientation="h", name=name, marker={"color": _colour(index)},
                       text=[f"{max(counts)} × {name}"], textposition="inside", insidetextanchor="middle",
                       textangle=0, hovertemplate="$%{x:,.0f} a month")  # fmt: skip
    if alone:
        figure.add_bar(y=labels[1:], x=[one.usd_per_month for one in alone], orientation="h", name="one type alone",
                       marker={"color": QUIET}, text=[f"{one.most_instances} × {one.candidate}" for one in alone],
                       textposition="inside", insidetextanchor="middle", textangle=0,
                       hovertemplate="$%{x:,.0f} a month")  # fmt: skip
    laid_out(figure, "What the plan costs, and one type alone", "cost (USD a month)", "", height=PLAN_HEIGHT_PX)
    figure.update_layout(barmode="stack", hovermode="y unified", legend={"traceorder": "normal"})
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(tickformat="$,.0f", rangemode="tozero")
    return figure


def frontier_chart(frontier: Frontier) -> Figure:
    """What does a month cost, against the objectives? The plan is marked, and so is what has no plan."""
    import plotly.graph_objects as go

    one = only_target(frontier)
    scale = one[2] if one else 1.0
    planned = [point for point in frontier.points if point.usd_per_month is not None]
    without = [scale * point.value for point in frontier.points if point.usd_per_month is None]
    figure = go.Figure()
    figure.add_scatter(
        x=[scale * point.value for point in planned], y=[point.usd_per_month for point in planned],
        mode="lines+markers", name="cheapest plan", line={"color": ACCENT, "width": 2.5, "shape": "hv"},
        marker={"size": 8, "symbol": [MARKS[0] if point.met is not False else MARKS[3] for point in planned]},
        customdata=[", ".join(f"{count} × {name}" for name, count in point.instances.items()) for point in planned],
        hovertemplate="$%{y:,.0f} a month<br>%{customdata}",
    )  # fmt: skip
    for point in planned:
        if point.stated:
            figure.add_vline(scale * point.value, line={"color": LIMIT, "dash": "dash", "width": 1.5})
            figure.add_scatter(
                x=[scale * point.value], y=[point.usd_per_month], mode="markers+text", name="this plan",
                text=[f" {usd(point.usd_per_month)}"], textposition="top right",
                marker={"size": 14, "symbol": MARKS[2], "color": LIMIT, "line": {"width": 1.5, "color": "white"}},
                hovertemplate="this plan: $%{y:,.0f} a month",
            )  # fmt: skip
    if without:
        figure.add_scatter(x=without, y=[0] * len(without), mode="markers", name="no plan exists",
                           marker={"symbol": "x", "size": 10, "color": LIMIT}, hovertemplate="no plan")  # fmt: skip
    title = "Cost against accuracy" if frontier.kind == "accuracy" else "Cost against latency objectives"
    laid_out(figure, title, _axis(frontier), "cost (USD a month)", height=PLAN_HEIGHT_PX)
    values = [scale * point.value for point in frontier.points]
    figure.update_xaxes(tickvals=values, ticktext=[_tick(frontier, point.value) for point in frontier.points])
    if frontier.kind == "latency":
        figure.update_xaxes(type="log")
    figure.update_yaxes(rangemode="tozero", tickformat="$,.0f")
    figure.update_layout(hovermode="closest")
    return figure


def frontier_alt(frontier: Frontier) -> str:
    """The same in words."""
    head = value_head(frontier)
    rows = [f"{row[head]}: {row['a month']}" for row in frontier_rows(frontier)]
    return f"Cost of a month by {head}. {'; '.join(rows)}."


def _axis(frontier: Frontier) -> str:
    if frontier.kind == "accuracy":
        return f"least mean accuracy of {frontier.workload} (share of 1)"
    one = only_target(frontier)
    if one is not None:
        return f"{percentile(one[1])} that {one[0]} is promised (ms)"
    stated = [f"{name} {percentile(key)} {ms(target)}" for name, row in frontier.targets_ms.items()
              for key, target in row.items()]  # fmt: skip
    words = ", ".join(stated[:3]) + (", …" if len(stated) > 3 else "")
    return f"objectives (multiple of {words})"


def _tick(frontier: Frontier, value: float) -> str:
    """Shorter than in the table: the unit stands at the axis.

    >>> _tick(Frontier("latency", "", {"chat": {"p99": 200.0}}, ()), 0.5)
    '100'
    """
    return value_words(frontier, value).removesuffix(" ms")


def _colour(index: int) -> str:
    return (*SERIES, "#56B4E9", "#D55E00")[index] if index < 6 else QUIET
