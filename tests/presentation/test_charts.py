"""A chart shows the numbers it was given, with a unit on every axis, and says the same in words."""

from __future__ import annotations

from typing import Any

import pytest

from calibration.catalogue import shipped
from calibration.compare import compare
from calibration.points import points_of
from calibration.profile_file import read_profile_file
from presentation import charts
from presentation.palette import SERIES
from presentation.profile_charts import curve_alt, curve_chart, speed_up_chart, throughput_chart
from tests.presentation.sample_looks import OVERLOADED, look_at, sweep_of


def trace(figure: Any, name: str) -> Any:
    """One row of marks of a figure."""
    return next(one for one in figure.data if one.name == name)


def axis_titles(figure: Any) -> list[str]:
    """Titles of all axes that have one."""
    layout = figure.to_dict()["layout"]
    axes = [value for key, value in layout.items() if key.startswith(("xaxis", "yaxis"))]
    return [axis["title"]["text"] for axis in axes if axis.get("title", {}).get("text")]


def test_the_load_curve_shows_every_steady_load_and_the_objective() -> None:
    found = sweep_of("hello", "search")
    figure = charts.load_chart(found)
    steady = [point for point in found.points if point.value_ms is not None]
    assert [point.value_ms for point in steady] == list(trace(figure, "p99").y)
    assert [80.0, 80.0] == list(trace(figure, "SLO 80.0 ms").y)
    assert found.knee is not None
    assert [found.knee.load] == list(trace(figure, "knee").x)
    assert ["load (requests/s)", "p99 (ms)"] == axis_titles(figure)
    assert "The SLO holds up to" in charts.load_alt(found)


def test_a_scenario_beyond_its_curve_is_still_marked() -> None:
    """At a load where the queue grows there is no latency to put a mark at: a line says where it is."""
    figure = charts.load_chart(sweep_of("hello", "search", OVERLOADED))
    assert not [one for one in figure.data if one.name == "now"]
    assert any(shape.x0 == pytest.approx(900, rel=0.03) for shape in figure.layout.shapes if shape.x0 == shape.x1)


def test_the_distribution_adds_up_to_all_requests() -> None:
    seen = look_at("hello")
    figure = charts.distribution_chart(seen.distributions["search"], seen.report, "search")
    assert pytest.approx(100, abs=0.2) == sum(figure.data[0].y)
    assert ["latency (ms)", "requests (%)"] == axis_titles(figure)
    assert "99% within" in charts.distribution_alt(seen.report, "search")


def test_latencies_that_say_only_how_long_the_run_was_are_marked_as_such() -> None:
    seen = look_at("hello", OVERLOADED)
    figure = charts.distribution_chart(seen.distributions["search"], seen.report, "search")
    assert "Latency: grows with the run" == figure.layout.title.text


def test_the_course_has_queue_and_batches() -> None:
    seen = look_at("hello")
    figure = charts.course_chart(seen.courses["gpu"], "gpu")
    assert list(seen.courses["gpu"].waiting) == list(trace(figure, "requests waiting").y)
    assert ["simulated time (s)", "requests", "items"] == sorted(axis_titles(figure), key=len, reverse=True)
    assert "requests waited on gpu" in charts.course_alt(seen.courses["gpu"], "gpu")


def test_utilisation_is_that_of_the_report() -> None:
    report = look_at("closed_loop").report
    figure = charts.utilisation_chart(report)
    assert [100 * fleet.utilisation for fleet in report.fleets] == list(trace(figure, "busy").x)
    assert ["share of capacity (%)"] == axis_titles(figure)
    assert charts.utilisation_alt(report).startswith("c1 is ")


def test_compared_scenarios_differ_in_colour_and_in_mark() -> None:
    reports = {"A": look_at("hello").report, "B": look_at("hello", "fleets.gpu.instances=2").report}
    figure = charts.compared_chart(reports)
    assert list(SERIES[:2]) == [one.marker.color for one in figure.data]
    assert 2 == len({one.marker.symbol for one in figure.data})
    assert [report.cost.usd_per_month for report in reports.values()] == [one.y[0] for one in figure.data]


@pytest.mark.parametrize(
    "name", ["bert-large-triton-fp16-t4", "bert-base-torch-int8-cpu", "resnet50-tensorrt-int8-h100"]
)
def test_a_profile_is_drawn_at_its_points(name: str) -> None:
    file = read_profile_file(shipped()[name])
    figure = curve_chart(file)
    points = points_of(file)
    seen = [point.measured_ms for point in points if point.measured_ms is not None]
    assert seen == list(trace(figure, "measured").y)
    assert ["batch (items)", "time (ms)"] == axis_titles(figure)
    assert [point.items_per_s for point in points] == list(throughput_chart(file).data[0].y)
    assert file.name in curve_alt(file)


def test_a_curve_with_an_interval_shows_it() -> None:
    file = read_profile_file(shipped()["bert-base-torch-int8-cpu"])
    assert "95% interval" in [one.name for one in curve_chart(file).data]


def test_a_speed_up_is_drawn_with_its_interval() -> None:
    a, b = (read_profile_file(shipped()[f"bert-base-torch-{kind}-cpu"]) for kind in ("fp32", "int8"))
    found = compare(a, b)
    figure = speed_up_chart(found)
    assert [row.speed_up for row in found.rows] == list(figure.data[0].y)
    assert [row.interval[1] - row.speed_up for row in found.rows if row.interval] == list(figure.data[0].error_y.array)
