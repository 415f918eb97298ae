"""The charts of the what-if and the comparison: functions from reports, sweeps and looks to plotly figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from calibration.text_plot import ticks
from presentation.answer import answer_of, fleet_of, workload_of
from presentation.look import Course, Distribution
from presentation.numbers import ms
from presentation.palette import ACCENT, DASHES, GOOD, HEIGHT_PX, LIMIT, MARKS, QUIET, SERIES, laid_out, shade
from presentation.sweep import Sweep
from simulator.outcome import Report
from simulator.render import significant
from simulator.wording import percent, percentile

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LOG_STEPS: Final = 20.0
"""A latency axis that reaches further than this factor is logarithmic."""


def load_chart(found: Sweep) -> Figure:
    """Load against the percentile of the objective, with the SLO, the knee and where the scenario stands."""
    import plotly.graph_objects as go

    name = percentile(found.percentile)
    steady = [point for point in found.points if point.value_ms is not None]
    figure = go.Figure()
    figure.add_scatter(
        x=[point.load for point in steady], y=[point.value_ms for point in steady], mode="lines+markers", name=name,
        line={"color": ACCENT, "width": 2.5}, marker={"size": 5}, hovertemplate="%{y:.3s} ms",
    )  # fmt: skip
    values = [point.value_ms or 0.0 for point in steady]
    beyond = [point.load for point in found.points if point.value_ms is None]
    if found.target_ms is not None and found.points:
        # A trace and not a line across: on a logarithmic axis plotly reads the place of a label as an exponent.
        ends = [found.points[0].load, found.points[-1].load]
        figure.add_scatter(x=ends, y=[found.target_ms] * 2, mode="lines", name=f"SLO {ms(found.target_ms)}",
                           line={"color": LIMIT, "dash": "dash", "width": 1.5}, hoverinfo="skip")  # fmt: skip
    if values and max(values) > _LOG_STEPS * min(values):
        low, high = min(values), max(*values, found.target_ms or 0.0)
        marks_ms = ticks(low / 1.2, high * 1.2)
        figure.update_yaxes(type="log", tickvals=marks_ms, ticktext=[f"{mark:,g}" for mark in marks_ms])
    if beyond and steady:
        figure.add_vrect(steady[-1].load, beyond[-1], fillcolor=shade(QUIET, 0.25), line_width=0)
        figure.add_annotation(x=beyond[-1], y=0.04, xref="x", yref="paper", xanchor="right", showarrow=False,
                              text="the queue grows", font={"size": 11})  # fmt: skip
    marks = [("knee", found.knee.load, found.knee.value_ms, "diamond", GOOD)] if found.knee is not None else []
    now = found.now
    if now is not None and now.value_ms is not None:
        marks.append(("now", now.load, now.value_ms, "circle", LIMIT if _missed(found, now.value_ms) else ACCENT))
    elif now is not None:
        figure.add_vline(now.load, line={"color": LIMIT, "dash": "dot", "width": 1.5}, annotation={"text": "now"})
    for label, x, y, symbol, colour in marks:
        figure.add_scatter(x=[x], y=[y], mode="markers", name=label, hovertemplate=f"{label}: %{{y:.3s}} ms",
                           marker={"symbol": symbol, "size": 12, "color": colour,
                                   "line": {"width": 1.5, "color": "white"}})  # fmt: skip
    unit = "requests/s" if found.unit == "requests/s" else "clients at once"
    most = found.largest_load
    whole = found.unit == "clients"
    title = f"Load against {name}"
    if most is not None:
        title = f"SLO holds up to {f'{int(most):,}' if whole else significant(most)} {found.unit}"
    return laid_out(figure, title, f"load ({unit})", f"{name} (ms)")


def load_alt(found: Sweep) -> str:
    """The same in words, for who cannot see it."""
    parts = [f"{point.load:.4g} {found.unit}: {ms(point.value_ms)}" for point in found.points if point.value_ms]
    most = found.largest_load
    held = "" if most is None else f" The SLO holds up to {most:.4g} {found.unit}."
    return f"{percentile(found.percentile)} by load. {'; '.join(parts)}.{held}"


def distribution_chart(found: Distribution | None, report: Report, workload: str) -> Figure:
    """How latencies are spread, with the median, the p99 and the target."""
    import plotly.graph_objects as go

    figure = go.Figure()
    if found is not None:
        middles = (found.edges_ms[:-1] + found.edges_ms[1:]) / 2
        figure.add_bar(x=middles, y=100 * found.shares, width=found.edges_ms[1] - found.edges_ms[0],
                       marker={"color": shade(ACCENT, 0.75), "line": {"width": 0}}, showlegend=False,
                       name="requests", hovertemplate="%{y:.2f}% at %{x:.3s} ms<extra></extra>")  # fmt: skip
        answer = answer_of(report, workload)
        lines = [] if answer.target_ms is None else [(answer.target_ms, "SLO", LIMIT, "dash", 0.78)]
        told = workload_of(report, workload).latency_ms
        if told is not None:
            lines += [(told.p50, "p50", QUIET, "dot", 0.99), (told.p99, "p99", ACCENT, "solid", 0.99)]
        for x, name, colour, dash, height in lines:
            if x <= 3 * found.edges_ms[-1]:
                figure.add_vline(x, line={"color": colour, "dash": dash, "width": 1.5},
                                 annotation={"text": f"{name} {ms(x)}", "font": {"size": 11},
                                             "yref": "paper", "y": height})  # fmt: skip
    fleet = workload_of(report, workload).fleet
    grows = ": grows with the run" if fleet_of(report, fleet).unstable else ""
    return laid_out(figure, f"Latency{grows or ' distribution'}", "latency (ms)", "requests (%)")


def distribution_alt(report: Report, workload: str) -> str:
    """The same in words."""
    told = workload_of(report, workload).latency_ms
    if told is None:
        return f"No request of {workload} was answered."
    return (
        f"Latencies of {workload}: half within {ms(told.p50)}, 90% within {ms(told.p90)}, 99% within {ms(told.p99)}, "
        f"99.9% within {ms(told.p999)}."
    )


def course_chart(course: Course, fleet: str) -> Figure:
    """Requests waiting, and items of the batches, over simulated time."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    figure.add_scatter(x=course.time_s, y=course.waiting, mode="lines", name="requests waiting", fill="tozeroy",
                       line={"color": SERIES[0], "width": 1}, fillcolor=shade(SERIES[0], 0.25),
                       hovertemplate="%{y:.0f}", row=1, col=1)  # fmt: skip
    figure.add_scatter(x=course.time_s, y=course.batch_items, mode="lines", name="items in a batch",
                       line={"color": SERIES[1], "width": 1.2}, connectgaps=True,
                       hovertemplate="%{y:.3s}", row=2, col=1)  # fmt: skip
    laid_out(figure, f"Queue and batches of {fleet}", "", "")
    figure.update_yaxes(title_text="requests", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="items", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title={"text": "simulated time (s)", "standoff": 4}, row=2, col=1)
    return figure


def course_alt(course: Course, fleet: str) -> str:
    """The same in words."""
    import numpy as np

    if np.isnan(course.batch_items).all():
        return f"Nothing was executed on {fleet}."
    return (
        f"Over {course.time_s[-1]:.3g} s up to {course.waiting.max():.0f} requests waited on {fleet}, "
        f"{course.waiting.mean():.3g} on average; batches held {np.nanmean(course.batch_items):.3g} items."
    )


def utilisation_chart(report: Report) -> Figure:
    """How busy each fleet is, and how much of its capacity is asked."""
    import plotly.graph_objects as go

    names = [fleet.name for fleet in report.fleets]
    busy = [100 * fleet.utilisation for fleet in report.fleets]
    asked = [100 * fleet.offered_load for fleet in report.fleets]
    figure = go.Figure()
    few = len(names) < 3
    figure.add_bar(y=names, x=busy, orientation="h", name="busy", width=0.4 if few else 0.7, textangle=0,
                   marker={"color": [LIMIT if fleet.unstable else ACCENT for fleet in report.fleets]},
                   text=[f"{value:.0f}%" for value in busy], textposition="inside", insidetextanchor="start",
                   hovertemplate="%{x:.1f}% busy")  # fmt: skip
    mark = {"symbol": "line-ns", "size": 26 if few else 12, "line": {"width": 3, "color": SERIES[1]}}
    figure.add_scatter(y=names, x=asked, mode="markers", name="offered load", marker=mark,
                       hovertemplate="%{x:.1f}%")  # fmt: skip
    figure.add_vline(100, line={"color": LIMIT, "dash": "dash", "width": 1.5})
    laid_out(figure, "Utilisation by fleet", "share of capacity (%)", "")
    figure.update_layout(hovermode="y unified")
    figure.update_xaxes(range=[0, max(110.0, *(1.05 * value for value in (*busy, *asked)))])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def utilisation_alt(report: Report) -> str:
    """The same in words."""
    return " ".join(
        f"{fleet.name} is {percent(fleet.utilisation)} busy, offered {percent(fleet.offered_load)} of its capacity."
        for fleet in report.fleets
    )


def compared_chart(reports: Mapping[str, Report]) -> Figure:
    """Cost of a month against the latency that is asked for, one mark a report and workload."""
    import plotly.graph_objects as go

    figure = go.Figure()
    targets: dict[float, None] = {}
    for index, (name, report) in enumerate(reports.items()):
        found = [(one.name, answer_of(report, one.name)) for one in report.workloads]
        shown = [(workload, one) for workload, one in found if one.value_ms is not None and one.value_ms < float("inf")]
        targets.update((one.target_ms, None) for _, one in found if one.target_ms is not None)
        reach: dict[str, Any] = {
            "type": "data", "symmetric": False, "thickness": 1.5,
            "array": [one.interval_ms[1] - (one.value_ms or 0) if one.interval_ms else 0 for _, one in shown],
            "arrayminus": [(one.value_ms or 0) - one.interval_ms[0] if one.interval_ms else 0 for _, one in shown],
        }  # fmt: skip
        figure.add_scatter(
            x=[one.value_ms for _, one in shown], y=[one.usd_per_month for _, one in shown], mode="markers",
            name=name, text=[f" {name}" for _ in shown], textposition="middle right", error_x=reach,
            marker={"size": 13, "color": SERIES[index % 4], "symbol": MARKS[index % 4]},
            customdata=[workload for workload, _ in shown], hovertemplate="%{customdata}: %{x:.3s} ms, $%{y:,.0f}",
        )  # fmt: skip
    for target in targets:
        figure.add_vline(target, line={"color": LIMIT, "dash": DASHES[1], "width": 1.5},
                         annotation={"text": f"SLO {ms(target)}", "font": {"size": 11}})  # fmt: skip
    laid_out(figure, "Cost against latency", "latency that the SLO asks for, else the p99 (ms)", "cost (USD a month)",
             height=HEIGHT_PX + 50)  # fmt: skip
    figure.update_yaxes(rangemode="tozero", tickformat="$,.0f")
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(hovermode="closest")
    return figure


def _missed(found: Sweep, value_ms: float | None) -> bool:
    return found.target_ms is not None and (value_ms is None or value_ms > found.target_ms)
