"""A report as text: what a planner reads first, and that nothing misleads."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.outcome import (
    Caution,
    CostReport,
    FleetReport,
    Latencies,
    Report,
    SloReport,
    WorkloadReport,
)
from simulator.render import batch_groups, print_report, report_text, significant

LATENCY = Latencies(mean=12.345, p50=10.2, p90=20.1, p95=28.4, p99=42.123, p999=60.7, max=98.1)
QUEUE = Latencies(mean=4.2, p50=2.2, p90=10.1, p95=18.4, p99=32.1, p999=50.7, max=90.1)
SERVICE = Latencies(mean=8.1, p50=7.9, p90=10.1, p95=10.4, p99=10.9, p999=11.7, max=12.1)


def a_report(
    *, target_ms: float = 50.0, value_ms: float | None = 42.123, ci95: tuple[float, float] | None = None, lost: int = 0
) -> Report:
    """Report of one workload on one fleet."""
    met = value_ms is not None and value_ms <= target_ms
    slo = SloReport(
        targets={"p99_ms": target_ms},
        values={"p99_ms": value_ms},
        met=met,
        attainment=0.9951,
        margin_ms={"p99_ms": None if value_ms is None else target_ms - value_ms},
    )
    workload = WorkloadReport(
        name="search",
        fleet="gpu",
        offered_rps=900.1,
        throughput_rps=899.7,
        goodput_rps=895.3,
        items_per_s=899.7,
        latency_ms=LATENCY,
        queue_ms=QUEUE,
        service_ms=SERVICE,
        ci95=None if ci95 is None else {"p99_ms": ci95},
        slo=slo,
        outcomes={"arrived": 50_000, "completed": 50_000 - lost, "rejected": lost, "timed_out": 0, "in_flight": 0},
        measured=45_000 - lost,
    )
    fleet = FleetReport(
        name="gpu",
        instance_type="g6.xlarge",
        instances_mean=4.0,
        utilisation=0.814,
        offered_load=0.853,
        batch_size_mean=7.3,
        batch_size_histogram={1: 20, 8: 380},
        cost_usd=0.05,
        cost_usd_per_hour=3.2192,
        price_note="0.8048 USD/h on demand (aws us-east-1, 2026-01-19, a list)",
    )
    return Report(
        scenario="peak",
        seed=7,
        engine="compiled",
        replications=1 if ci95 is None else 10,
        horizon_s=60.0,
        warmup_s=10.0,
        workloads=(workload,),
        fleets=(fleet,),
        cost=CostReport(usd_per_hour=3.2192, usd_per_month=2350.016, usd_per_1k_requests=0.000994),
        timing_s={"run": 0.1},
        cautions=(Caution("too_few_requests", "search: only 45 requests lie beyond the p99.9."),),
        bottleneck="gpu is 81% busy; the p99 is queueing, not service.",
        assumptions={"profile": "toy (made up)", "seed": "7", "horizon": "60 s, of which 10 s warm-up"},
    )


def test_the_verdict_comes_first_then_cautions_bottleneck_latency_cost_assumptions() -> None:
    """A reader in a hurry would read a cost before knowing whether the fleet holds."""
    text = report_text(a_report())
    parts = ["the SLO is met", "✓ search p99 42.1 ms", "! search: only 45", "gpu is 81% busy", "Latency, ms",
             "queue delay", "batch size: mean 7.30", "$3.22 an hour", "Assumptions", "toy (made up)"]  # fmt: skip
    places = [text.find(part) for part in parts]
    assert -1 not in places, text
    assert sorted(places) == places


def test_the_margin_is_said_in_ms_and_as_a_share_of_the_target() -> None:
    assert "p99 42.1 ms, target 50 ms: 7.88 ms (16%) to spare" in report_text(a_report())


def test_a_missed_slo_says_by_how_much() -> None:
    text = report_text(a_report(target_ms=40.0))
    assert "peak: the SLO is MISSED" in text
    assert "✗ search p99 42.1 ms, target 40 ms: 2.12 ms (5%) too slow" in text


def test_a_percentile_among_lost_requests_is_infinite_not_fast() -> None:
    """Leaving rejected requests out of the p99 would make an overloaded fleet look quick."""
    text = " ".join(report_text(a_report(value_ms=None, lost=5_000)).split())
    assert "p99 is infinite, target 50 ms: too many requests were never answered (5,000 rejected)" in text
    assert "search: 50,000 arrived, 45,000 answered, 5,000 rejected (10%)" in text


def test_an_interval_that_contains_the_target_decides_nothing() -> None:
    assert "95% CI 41.0 to 43.0 ms\n" in report_text(a_report(ci95=(41.0, 43.0)))
    assert "it contains the target: not decided" in report_text(a_report(ci95=(38.0, 51.0)))


def test_without_slo_there_is_no_verdict() -> None:
    report = a_report()
    text = report_text(replace(report, workloads=(replace(report.workloads[0], slo=None, goodput_rps=None),)))
    assert text.startswith("peak: no SLO to judge\n")
    assert "✓" not in text


def test_a_workload_that_answered_nothing_has_no_latency() -> None:
    report = a_report()
    nothing = replace(report.workloads[0], latency_ms=None, queue_ms=None, service_ms=None)
    rows = report_text(replace(report, workloads=(nothing,))).splitlines()
    assert ["search", *"-------"] in [row.split() for row in rows]


def test_an_overloaded_fleet_has_no_latency_to_show() -> None:
    """A p99 that only measures how long the run was would be read as the fleet's."""
    report = a_report(value_ms=None)
    text = report_text(replace(report, fleets=(replace(report.fleets[0], unstable=True),)))
    assert "p99 is infinite, target 50 ms: the queue grows while requests come" in text
    assert "42.1" not in text


def test_an_unknown_cost_is_never_zero() -> None:
    report = a_report()
    fleet = replace(report.fleets[0], cost_usd=None, cost_usd_per_hour=None, price_note="")
    text = report_text(replace(report, fleets=(fleet,), cost=CostReport(None, None, None)))
    assert "unknown: a fleet has no price" in text
    assert "$" not in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    """A wider line wraps in the middle of a table and cannot be read."""
    report = a_report(ci95=(38.0, 51.0), lost=3)
    long = "a-name-without-blanks-that-goes-on-" * 6
    report = replace(report, assumptions={"profile": long}, cautions=(Caution("x", long),))
    lines = report_text(report, width=width).splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    assert [line.rstrip() for line in lines] == lines
    shown = "".join(line.strip(" !") for line in lines)
    assert shown.count(long) == 2, "nothing may be cut off"


def test_a_pipe_gets_no_colour_and_a_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in report_text(a_report())
    coloured, plain = Terminal(), Terminal()
    print_report(a_report(), file=coloured)
    assert "\x1b[" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    print_report(a_report(), file=plain)
    assert "\x1b[3" not in plain.getvalue()


def test_a_terminal_without_the_signs_gets_words(tmp_path: Path) -> None:
    """Under LANG=C a tick raises UnicodeEncodeError, and the user gets no report at all."""
    with (tmp_path / "report").open("w", encoding="ascii") as file:
        print_report(a_report(), file=file)
    text = (tmp_path / "report").read_text(encoding="ascii")
    assert "ok search p99 42.1 ms" in text
    assert "95% ####" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (9.996, "10.0"), (99.96, "100"), (0.00009996, "0.000100"), (-3.14159, "-3.14")]
)
def test_three_significant_digits_after_rounding(value: float, text: str) -> None:
    assert text == significant(value)


def test_no_execution_is_lost_in_the_groups() -> None:
    histogram = {size: size for size in range(1, 300, 7)}
    groups = batch_groups(histogram)
    assert sum(histogram.values()) == sum(groups.values())
    assert ["1", "5-8", "9-16", "17-32", "33-64", "65-128", "129-256", "257-295"] == list(groups)
