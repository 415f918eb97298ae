"""When how much must be carried: hours, their weights, and rates that hold in their busiest minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import demand as demand_module
from optimizer.demand import Demand, demand, hourly_rps
from simulator.clock import NS_PER_S
from simulator.rate_series import RateSeries
from tests.optimizer.questions import asked, plan, problems_in, question

HOUR_S = 3_600


def of(content: dict[str, Any], folder: str | Path = ".") -> Demand:
    return demand(question(content, folder))


def series(requests: list[float], interval: str = "1h", **keys: Any) -> dict[str, Any]:
    return {"process": "rate_series", "requests": requests, "interval": interval} | keys


@pytest.mark.parametrize(
    ("arrivals", "rate_rps"),
    [
        ({"process": "poisson", "rate": 7}, 7),
        ({"process": "deterministic", "rate": 7}, 7),
        ({"process": "gamma", "rate": 7, "cv": 3}, 7),
        # 30 s at 2 and 10 s at 22 requests per second: (60 + 220) / 40
        ({"process": "mmpp", "rates": [2, 22], "mean_durations": ["30s", "10s"]}, 7),
    ],
)
def test_traffic_that_does_not_change_is_one_hour_at_its_mean_rate(arrivals: dict[str, Any], rate_rps: float) -> None:
    found = of(asked(plan(), arrivals=arrivals))
    assert (("all day",), [730.0], [[rate_rps]]) == (found.hours, found.weight_h.tolist(), found.demand_rps.tolist())
    assert not found.cyclic


def test_a_trace_is_planned_at_its_mean_rate(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arrival_s\n0\n1\n2\n4\n")
    arrivals = {"process": "trace", "file": "t.csv"}
    assert 1.0 == pytest.approx(of(asked(plan(), arrivals=arrivals), tmp_path).demand_rps[0, 0])
    faster = of(asked(plan(), arrivals=arrivals | {"speed": 3}), tmp_path)
    assert 3.0 == pytest.approx(faster.demand_rps[0, 0])
    assert any("planned at its mean rate" in note for note in faster.notes)


def test_a_day_of_hours_keeps_its_hours() -> None:
    rates = [float(hour) for hour in range(24)]
    found = of(asked(plan(), arrivals=series([rate * HOUR_S for rate in rates], repeat=True)))
    assert ("00:00", "13:00", "23:00") == (found.hours[0], found.hours[13], found.hours[23])
    assert rates == found.demand_rps[0].tolist()
    assert 730.0 == pytest.approx(found.weight_h.sum())
    assert found.weight_h[0] == found.weight_h[23]
    assert found.cyclic


def test_an_hour_must_carry_its_busiest_five_minutes() -> None:
    """A fleet for the mean of the hour would be overloaded in a part of it."""
    minutes = [60.0] * 60 + [0.0] * 55 + [600.0] * 5
    found = of(asked(plan(), arrivals=series(minutes, "1min")))
    assert [1.0, 10.0] == found.demand_rps[0].tolist()
    assert ["w: every hour is planned for the mean rate of its busiest 5 minutes"] == list(found.notes)


def test_a_busy_second_is_chance_and_not_a_rate() -> None:
    seconds = [0.0] * HOUR_S + [0.0] * HOUR_S
    seconds[10] = 300.0
    assert [1.0, 0.0] == of(asked(plan(), arrivals=series(seconds, "1s"))).demand_rps[0].tolist()


@pytest.mark.parametrize(("interval", "rates"), [("4h", [1, 1, 1, 1, 3, 3, 3, 3]), ("90min", [1, 3, 3])])
def test_longer_intervals_hold_for_each_of_their_hours(interval: str, rates: list[float]) -> None:
    """The hour in the middle of two intervals must carry the busier one."""
    per_rate = {"4h": 4 * HOUR_S, "90min": 1.5 * HOUR_S}[interval]
    found = of(asked(plan(), arrivals=series([per_rate, 3 * per_rate], interval)))
    assert rates == found.demand_rps[0].tolist()


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=200).filter(any),
    st.sampled_from([1, 7, 60, 299, 300, 301, 900, 2_700, 3_600, 5_400, 86_400]),
)
def test_planned_rates_are_never_below_the_mean_of_their_hour(requests: list[int], interval_s: int) -> None:
    found = RateSeries(np.array(requests, dtype=np.float64), interval_s * NS_PER_S)
    busiest, length_h = hourly_rps(found)
    mean = sum(requests) / (len(requests) * interval_s)
    assert float(busiest @ length_h) / length_h.sum() >= mean * (1 - 1e-9)
    assert len(requests) * interval_s == pytest.approx(length_h.sum() * HOUR_S)
    assert busiest.max() <= max(requests) / interval_s * (1 + 1e-9)


def test_hours_of_a_file_with_dates_are_named_by_them(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01T{hour:02}:00:00Z,{3600 * (hour + 1)}\n" for hour in range(11, 14))
    (tmp_path / "day.csv").write_text("start,requests\n" + rows)
    found = of(asked(plan(), arrivals={"process": "rate_series", "file": "day.csv"}), tmp_path)
    assert ("2024-01-01 11:00", "2024-01-01 12:00", "2024-01-01 13:00") == found.hours
    assert [12.0, 13.0, 14.0] == found.demand_rps[0].tolist()
    assert not found.cyclic, "a history does not repeat"


def test_the_horizon_says_how_much_of_a_series_is_planned() -> None:
    content = asked(plan(), arrivals=series([HOUR_S * 1.0, HOUR_S * 2.0, HOUR_S * 9.0]))
    assert [1.0, 2.0] == of(content | {"horizon": "2h"}).demand_rps[0].tolist()
    half = of(content | {"horizon": "150min"})
    assert [1.0, 2.0, 9.0] == half.demand_rps[0].tolist()
    assert [2.0, 2.0, 1.0] == pytest.approx((half.weight_h / half.weight_h[2]).tolist())


def test_a_shorter_series_repeats_beside_a_longer_one() -> None:
    content = asked(plan(), arrivals=series([HOUR_S * 1.0, HOUR_S * 2.0]))
    content = asked(content, "v", arrivals=series([HOUR_S * float(hour) for hour in range(1, 5)]))
    content = asked(content, "steady")
    found = of(content)
    assert [[1, 2, 1, 2], [1, 2, 3, 4], [10, 10, 10, 10]] == found.demand_rps.tolist()
    assert ("w", "v", "steady") == found.workloads


def test_series_with_dates_are_laid_beside_one_another_by_them(tmp_path: Path) -> None:
    """The peak of one at noon must not fall on the other's at midnight."""

    def day(first: int) -> str:
        rows = (
            f"2024-01-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,{HOUR_S * (hour % 24 == 12)}\n"
            for hour in range(first, first + 24)
        )
        return "start,requests\n" + "".join(rows)

    (tmp_path / "a.csv").write_text(day(0))
    (tmp_path / "b.csv").write_text(day(6))
    content = asked(plan(), arrivals={"process": "rate_series", "file": "a.csv"})
    content = asked(content, "v", arrivals={"process": "rate_series", "file": "b.csv"})
    found = of(content, tmp_path).demand_rps
    assert [12, 12] == found.argmax(axis=1).tolist()


def test_series_that_do_not_fit_together_are_refused() -> None:
    content = asked(plan(), arrivals=series([HOUR_S * 1.0] * 3))
    (problem,) = problems_in(asked(content, "v", arrivals=series([HOUR_S * 1.0] * 7)))
    assert ("workloads.w.arrivals", "3 hours") == (problem.path, problem.value)
    assert "must be as long as the series of 'v' (7 hours), or divide it" == problem.rule


def test_a_plan_is_at_most_a_year_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand_module, "MOST_HOURS", 2)
    (problem,) = problems_in(asked(plan(), arrivals=series([HOUR_S * 1.0] * 3)))
    assert ("workloads.w.arrivals", "3 hours") == (problem.path, problem.value)


def test_more_than_a_day_without_dates_counts_the_days() -> None:
    found = of(asked(plan(), arrivals=series([HOUR_S * 1.0] * 48)))
    assert ("day 1 00:00", "day 2 23:00") == (found.hours[0], found.hours[47])
    assert len(set(found.hours)) == 48


def test_nobody_can_write_into_a_demand() -> None:
    with pytest.raises(ValueError, match="read-only"):
        of(plan()).demand_rps[0, 0] = 3
