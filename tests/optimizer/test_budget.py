"""A budget adds up: over months, teams and rows, under every rule, with and without promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.budget.budget import NOBODY, Budget, budget_json
from optimizer.budget.chain import budget
from optimizer.budget.monthly import Columns, settle_paths
from optimizer.budget.purchases import Bought, Needs, default_buyer, newsvendor
from optimizer.commitments.offers import Offer
from simulator.commitment import Reservation
from tests.optimizer.budget_questions import question, steps

G2_ON_DEMAND, G2_1Y, G2_3Y = 0.706832, 0.445304, 0.318075
"""USD/h of g2-standard-4 in us-central1 on 2026-07-30, as in the shipped catalogue."""


def made(folder: Path, **changes: Any) -> Budget:
    """A small budget, bought by the textbook's rule: the solver has its own tests."""
    return budget(question(folder, **changes), forecaster=steps, buyer=newsvendor)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Budget:
    cut = {"name": "cut", "first": "2027-02-01", "share": 0.33}
    gone = {"name": "gone", "workload": "chat", "first": "2027-01-02", "factor": 0.01}
    return made(tmp_path_factory.mktemp("budget"), price_cuts=[cut], demand_scenarios=[gone])


def test_deciles_are_in_order(small: Budget) -> None:
    for period in (*small.months, small.total):
        for spread in (period.billed, period.effective):
            assert 0 < spread.p10 <= spread.p50 <= spread.p90


def test_means_of_months_add_up_to_the_year(small: Budget) -> None:
    assert ["2027-01", "2027-02"] == [month.name for month in small.months]
    for name in ("list_usd", "on_demand_usd", "used_usd", "unused_usd", "without_usd", "savings_usd"):
        total = sum(getattr(month, name) for month in small.months)
        assert total == pytest.approx(getattr(small.total, name), rel=1e-12)
    assert sum(month.effective.mean for month in small.months) == pytest.approx(small.total.effective.mean)
    assert sum(month.billed.mean for month in small.months) == pytest.approx(small.total.billed.mean)


def test_parts_of_a_month_are_its_effective_cost(small: Budget) -> None:
    for month in (*small.months, small.total):
        assert month.on_demand_usd + month.used_usd + month.unused_usd == pytest.approx(month.effective.mean)


@pytest.mark.parametrize("tag", ["team", "model", "workload"])
def test_teams_add_up_to_the_total(small: Budget, tag: str) -> None:
    shares = small.shares[tag]
    assert NOBODY == shares[-1].value
    assert sum(one.effective.mean for one in shares) == pytest.approx(small.total.effective.mean)
    assert sum(one.list_usd for one in shares) == pytest.approx(small.total.list_usd)
    assert sum(one.on_demand_usd for one in shares) == pytest.approx(small.total.on_demand_usd)
    for number, month in enumerate(small.months):
        assert sum(one.months_usd[number] for one in shares) == pytest.approx(month.effective.mean)


def test_focus_rows_sum_to_the_table(small: Budget) -> None:
    """Two columns of all rows, so that the planned rows can be laid beside the provider's export."""
    for number, month in enumerate(small.months):
        start = f"{month.name}-01T00:00:00Z"
        rows = [row for row in small.focus if row["BillingPeriodStart"] == start]
        assert rows, number
        assert sum(float(row["EffectiveCost"] or 0) for row in rows) == pytest.approx(month.effective.mean)
        assert sum(float(row["BilledCost"] or 0) for row in rows) == pytest.approx(month.billed.mean)
        usage = [row for row in rows if row["ChargeCategory"] == "Usage"]
        usage = [row for row in usage if row["CommitmentDiscountStatus"] != "Unused"]
        assert sum(float(row["ListCost"] or 0) for row in usage) == pytest.approx(month.list_usd)


def test_own_columns_of_focus_rows_begin_with_x(small: Budget) -> None:
    from simulator.focus_rows import COLUMNS

    for row in small.focus:
        assert all(name in COLUMNS or name.startswith("x_") for name in row)
        assert float(row["x_EffectiveCostP10"] or 0) <= float(row["x_EffectiveCostP90"] or 0)


def test_without_purchases_a_budget_is_pure_on_demand(tmp_path: Path) -> None:
    bare = made(tmp_path, purchases=None)
    assert () == bare.purchases
    assert bare.total.effective == pytest.approx(bare.without_usd)
    assert bare.total.effective == pytest.approx(bare.total.billed)
    assert bare.total.effective.mean == pytest.approx(bare.total.list_usd) == pytest.approx(bare.total.on_demand_usd)
    assert bare.total.utilisation is None
    assert () == bare.what_ifs


def test_a_longer_horizon_is_never_cheaper(tmp_path: Path) -> None:
    one, two, three = (made(tmp_path, horizon=f"{months}mo", purchases=None) for months in (1, 2, 3))
    assert one.total.effective.mean < two.total.effective.mean < three.total.effective.mean
    for longer in (two, three):
        assert one.months[0].effective == pytest.approx(longer.months[0].effective)


def test_promises_that_pay_cost_less_than_none(small: Budget) -> None:
    """The textbook's quantile over the very futures it is judged by cannot lose over the term."""
    assert small.purchases
    assert small.rules["chosen"] < small.rules["none"]
    assert {"lookback_7d", "lookback_30d", "lookback_60d", "newsvendor"} < set(small.rules)
    for line in small.purchases:
        assert G2_3Y == line.usd_per_hour
        assert line.break_even == pytest.approx(G2_3Y / G2_ON_DEMAND)


def test_effective_and_billed_are_the_same_money_over_a_whole_term() -> None:
    from datetime import UTC, datetime

    hours = 96
    rng = np.random.default_rng(7)
    futures = [rng.integers(0, 9, (hours, 1)).astype(np.float64) for _ in range(5)]
    columns = Columns(datetime(2027, 1, 30, tzinfo=UTC), ("l4",), ({"team": "a"},), np.array([1.0]))
    upfront = Reservation("ri", "l4", 4, usd_per_hour=0.6, start_h=0, term_h=hours, upfront_usd=0.6 * hours)
    settled = settle_paths(futures, columns, [upfront])
    assert settled.billed_usd.sum(axis=1) == pytest.approx(settled.total_usd)
    assert (settled.billed_usd[:, 0] > settled.effective_usd[:, 0].sum(axis=(1, 2))).all()


def test_a_price_cut_and_lost_demand_take_from_what_promises_save(small: Budget) -> None:
    by_name = {one.name: one for one in small.what_ifs}
    assert {"nothing of it", "cut", "gone", "the worst tenth of the futures"} == set(by_name)
    usual = by_name["nothing of it"]
    assert usual.with_usd == pytest.approx(small.total.effective.mean)
    assert usual.without_usd == pytest.approx(small.without_usd.mean)
    for name in ("cut", "gone"):
        assert by_name[name].saved_usd < usual.saved_usd
    assert by_name["gone"].saved_usd < 0


def test_limits_hold(tmp_path: Path) -> None:
    free = made(tmp_path)
    bound = made(tmp_path, limits={"max_committed_share": 0.1})
    assert 0 < sum(line.units for line in bound.purchases) < sum(line.units for line in free.purchases)


def needs(instances: Any, offers: tuple[Offer, ...], **changes: Any) -> Needs:
    from datetime import UTC, datetime

    from optimizer.budget.budget_spec import LimitsSpec, RiskSpec
    from optimizer.commitments.offers import Market

    market = Market(("l4",), np.array([1.0]), offers, in_dollars=True)
    wanted = np.asarray(instances, dtype=np.float64)[:, :, None]
    given = Needs(datetime(2027, 1, 1, tzinfo=UTC), wanted, wanted[0], market, LimitsSpec(), RiskSpec())
    return replace(given, **changes)


def test_the_textbook_rule_buys_the_quantile() -> None:
    """Arrow, Harris and Marschak (1951): commit to F^-1(1 - r). Of demand 1 to 10 with r = 0.7 that is 3."""
    offer = Offer("cud", "instances", "l4", 10, 0.69)
    (bought,) = newsvendor(needs([np.arange(1.0, 11.0)], (offer,)))
    assert 4.0 == bought.units  # 7 of 10 hours reach 4, and 0.7 > 0.69
    (dearer,) = newsvendor(needs([np.arange(1.0, 11.0)], (replace(offer, usd_per_hour=0.71),)))
    assert 3.0 == dearer.units


def test_the_recommendation_agrees_with_the_textbook_where_only_the_mean_counts() -> None:
    rng = np.random.default_rng(3)
    futures = rng.integers(0, 12, (6, 200)).astype(np.float64)
    given = needs(futures, (Offer("cud", "instances", "l4", 200, 0.55),))
    assert [one.units for one in newsvendor(given)] == [one.units for one in default_buyer(given)]


def test_a_plan_of_dollars_becomes_a_promise_of_dollars() -> None:
    from simulator.commitment import SpendCommitment

    offer = Offer("savings_plan_compute_1y_all_upfront", "spend", "*", 8_760, 1.0, 8_760.0, {"l4": 0.6})
    promise = Bought("sp", offer, 2.5).commitment
    assert isinstance(promise, SpendCommitment)
    assert (2.5, 1.0, {"l4": 0.6}) == (promise.usd_per_hour, promise.upfront_share, dict(promise.rates))


def test_a_scenario_with_a_probability_is_in_its_share_of_the_futures(tmp_path: Path) -> None:
    half = {"name": "half", "workload": "chat", "first": "2027-01-01", "factor": 0.5, "probability": 0.5}
    with_it = made(tmp_path, demand_scenarios=[half])
    assert with_it.demand is not None
    assert 6 == with_it.demand.scenario.count("half")
    usual = made(tmp_path)
    assert usual.demand is not None
    ratio = with_it.demand.rps["chat"] / usual.demand.rps["chat"]
    assert sorted([0.5] * 6 + [1.0] * 6) == pytest.approx(sorted(ratio.mean(axis=1)))
    assert np.array_equal(with_it.demand.rps["tags"], usual.demand.rps["tags"])


def test_stated_growth_and_events_change_the_level_and_nothing_else(tmp_path: Path) -> None:
    usual = made(tmp_path)
    event = {"name": "launch", "workload": "tags", "first": "2027-01-10", "last": "2027-01-11", "factor": 3.0}
    changed = made(tmp_path, growth={"chat": {"yearly": 1.0}}, events=[event])
    assert usual.demand is not None
    assert changed.demand is not None
    ratio = changed.demand.rps["tags"] / usual.demand.rps["tags"]
    assert 48 * [3.0] == pytest.approx(ratio[0, 9 * 24 : 11 * 24])
    assert 1.0 == pytest.approx(ratio[0, : 9 * 24])
    level = changed.demand.rps["chat"].mean()
    # 117.5 is the mean of the last four weeks; the budget lies one to three months after it.
    assert 117.5 * 2 ** (32 / 365) < level < 117.5 * 2 ** (93 / 365)


def test_the_json_names_what_a_program_reads(small: Budget) -> None:
    import json

    written = json.loads(json.dumps(budget_json(small), allow_nan=False))
    assert 1 == written["schema_version"]
    assert {"pool", "units", "start", "term"} < set(written["commitments"][0])
    assert ("g2-standard-4", "2027-01-01T00:00:00Z", "3y") == tuple(
        written["commitments"][0][key] for key in ("pool", "start", "term")
    )
