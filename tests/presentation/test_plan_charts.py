"""The charts of a plan show its numbers, with a unit on every axis, and say the same in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from presentation import plan_charts as charts
from tests.presentation.sample_plans import BY_HOUR, IMPOSSIBLE, plan_of
from tests.presentation.test_plan_look import FRONTIER


def trace(figure: Any, name: str) -> Any:
    """One row of marks of a figure."""
    return next(one for one in figure.data if one.name == name)


def axis_titles(figure: Any) -> list[str]:
    """Titles of all axes that have one."""
    layout = figure.to_dict()["layout"]
    axes = [value for key, value in layout.items() if key.startswith(("xaxis", "yaxis"))]
    return sorted(axis["title"]["text"] for axis in axes if axis.get("title", {}).get("text"))


def test_fleets_are_stacked_hour_by_hour_over_what_is_asked() -> None:
    figure = charts.fleets_chart(plan_of(BY_HOUR))
    assert [0, 1, 1, 2] == list(trace(figure, "big").y)
    assert [10.0, 20.0, 30.0, 40.0] == list(trace(figure, "chat, asked").y)
    assert ["hour of the plan", "instances", "requests/s"] == axis_titles(figure)
    assert "Dearest hour 2026-01-01 03:00: 2 big for $6.00." in charts.fleets_alt(plan_of(BY_HOUR))


def test_many_hours_are_areas() -> None:
    plan = plan_of(BY_HOUR)
    times = 30
    long = replace(
        plan,
        hours=plan.hours * times,
        weight_h=plan.weight_h * times,
        usd_by_hour=plan.usd_by_hour * times,
        demand_rps={name: row * times for name, row in plan.demand_rps.items()},
        fleets=tuple(replace(one, instances_by_hour=one.instances_by_hour * times) for one in plan.fleets),
    )
    figure = charts.fleets_chart(long)
    assert "fleets" == trace(figure, "big").stackgroup
    assert 8 >= len(figure.layout.xaxis.tickvals)


def test_a_single_hour_shows_where_the_money_goes_beside_one_type_alone() -> None:
    plan = plan_of()
    figure = charts.fleets_chart(plan)
    assert plan.usd_per_month == pytest.approx(trace(figure, "big").x[0] + trace(figure, "little").x[0])
    assert [4380.0, 4380.0, 197_100.0] == pytest.approx(sorted(trace(figure, "one type alone").x))
    assert ["cost (USD a month)"] == axis_titles(figure)


def test_no_plan_has_no_fleets_to_tell() -> None:
    assert "There is no plan." == charts.fleets_alt(plan_of(IMPOSSIBLE))


def test_the_frontier_marks_the_plan_its_objective_and_what_has_no_plan() -> None:
    figure = charts.frontier_chart(FRONTIER)
    assert ([200.0, 400.0], [3650.0, 2190.0]) == (list(figure.data[0].x), list(figure.data[0].y))
    assert ([200.0], [3650.0]) == (list(trace(figure, "this plan").x), list(trace(figure, "this plan").y))
    assert [100.0] == list(trace(figure, "no plan exists").x)
    assert any(shape.x0 == 200.0 for shape in figure.layout.shapes)
    assert ["cost (USD a month)", "p99 that chat is promised (ms)"] == axis_titles(figure)
    assert ("100", "200", "400") == figure.layout.xaxis.ticktext
    assert "100 ms: no plan; 200 ms: $3,650; 400 ms: $2,190." in charts.frontier_alt(FRONTIER)


def test_objectives_that_are_varied_together_are_multiples() -> None:
    several = replace(FRONTIER, targets_ms={"chat": {"p99": 200.0, "p50": 90.0}})
    figure = charts.frontier_chart(several)
    assert [1.0, 2.0] == list(figure.data[0].x)
    assert "objectives (multiple of chat p99 200 ms, chat p50 90.0 ms)" in axis_titles(figure)


def test_accuracy_is_an_axis_of_its_own() -> None:
    figure = charts.frontier_chart(replace(FRONTIER, kind="accuracy", workload="chat", targets_ms={}))
    assert "least mean accuracy of chat (share of 1)" in axis_titles(figure)
    assert figure.layout.xaxis.type is None
