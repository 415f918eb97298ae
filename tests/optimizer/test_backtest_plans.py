"""Backtests and offers of every kind of plan: dollars beside instances, terms of hours, one family in two regions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED, backtest
from optimizer.commitments.offers import Market, Offer, market_by_prices, market_by_ratio
from optimizer.history import History, load_history
from simulator.prices import load_catalogue

START = datetime(2026, 1, 5, tzinfo=UTC)
YEAR = 8_760


def day_and_night(folder: Path, days: int = 120) -> History:
    """A: 10 by day and 4 by night; B: 3 by day and 12 by night."""
    lines = ["timestamp,pool,demand"]
    for hour in range(days * 24):
        at = f"{datetime.fromtimestamp(START.timestamp() + 3600 * hour, UTC):%Y-%m-%dT%H:%M:%SZ}"
        lines += [f"{at},A,{10 if hour % 24 < 12 else 4}", f"{at},B,{3 if hour % 24 < 12 else 12}"]
    path = folder / "demand.csv"
    path.write_text("\n".join(lines) + "\n")
    return load_history(path)


def test_a_savings_plan_is_tested_on_the_past_as_it_would_have_been_applied(tmp_path: Path) -> None:
    """By hand: 4 reserved A (0.55) and 4.80 dollars an hour (A 0.60, B 0.40) cover every hour; on demand is 10.75."""
    plan = Offer("sp", "spend", "*", YEAR, 1.0, rates={"A": 0.60, "B": 0.40})
    offers = (Offer("ri", "instances", "A", YEAR, 0.55), plan)
    market = Market(("A", "B"), np.array([1.0, 0.5]), offers, in_dollars=True)
    (period,) = backtest(day_and_night(tmp_path), market, futures=20).periods
    assert (4 * 0.55 + 4.80) / 10.75 == pytest.approx(period.share[HINDSIGHT], rel=1e-3)
    assert period.share[HINDSIGHT] - 1e-9 <= period.share[RECOMMENDED] < period.share["lookback_30d"]


def test_dollars_alone_are_tested_too(tmp_path: Path) -> None:
    market = Market(
        ("A", "B"), np.ones(2), (Offer("sp", "spend", "*", YEAR, 1.0, rates={"A": 0.6, "B": 0.6}),), in_dollars=True
    )
    found = backtest(day_and_night(tmp_path), market, futures=20)
    assert found.beats_lookback is True


@pytest.mark.parametrize("hours", [96, 100, 150, 193])
@pytest.mark.parametrize("term", [1, 10, 24, 60])
def test_a_short_term_is_never_tested_on_too_little_history(tmp_path: Path, hours: int, term: int) -> None:
    history = day_and_night(tmp_path, days=10).between(0, hours)
    found = backtest(history, market_by_ratio(("A", "B"), 0.6, term), futures=5)
    assert all(96 <= period.known_h for period in found.periods)
    assert found.periods or "too short" in found.note


def test_a_plan_of_one_family_covers_one_region(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    rows = ["provider,region,instance_type,accelerator,accelerator_count,price_type,usd_per_hour,as_of,source"]
    for region, kind in (("us-east-1", "g9.large"), ("eu-west-1", "g9.xlarge")):
        rows += [
            f"aws,{region},{kind},GPU,1,on_demand,1.0,2026-01-05,quote",
            f"aws,{region},{kind},GPU,1,savings_plan_ec2_instance_1y_no_upfront,0.7,2026-01-05,quote",
        ]
    prices.write_text("\n".join(rows) + "\n")
    offers = market_by_prices(("g9.large", "g9.xlarge"), [load_catalogue(prices)]).offers
    assert [{"g9.large"}, {"g9.xlarge"}] == [set(offer.rates) for offer in offers]
    assert 2 == len({offer.plan for offer in offers})
