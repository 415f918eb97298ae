"""Money laws: what is billed for instance intervals, and the rates made of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.billing import (
    MINIMUM_NS,
    PLANS,
    FleetBill,
    Intervals,
    always_on,
    bill_fleet,
    billed_ns,
    on_demand_usd,
    total_cost,
    usd_per_1k_requests,
    usd_per_month,
)
from simulator.clock import NS_PER_HOUR, NS_PER_S

YEAR_NS = 365 * 24 * NS_PER_HOUR

lengths_ns = st.lists(st.integers(0, YEAR_NS), min_size=1, max_size=20)
prices = st.floats(1e-3, 1e4)


def column(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def exact_usd(lengths: list[int], usd_per_hour: float, minimum_ns: int, granularity_ns: int) -> Fraction:
    """The bill in rational arithmetic, from the rule in words."""
    hours = Fraction(0)
    for length in lengths:
        steps = -(-length // granularity_ns)
        hours += Fraction(max(minimum_ns, steps * granularity_ns), NS_PER_HOUR)
    return hours * Fraction(usd_per_hour)


@settings(deadline=None)
@given(
    lengths_ns, prices, st.sampled_from([0, 60 * NS_PER_S, 300 * NS_PER_S]), st.sampled_from([1, NS_PER_S, NS_PER_HOUR])
)
def test_the_bill_is_that_of_exact_arithmetic(lengths: list[int], price: float, minimum: int, granularity: int) -> None:
    """Rounding of floats would show in dollars."""
    usd = on_demand_usd(column(*lengths), price, minimum_ns=minimum, granularity_ns=granularity)
    assert usd == pytest.approx(float(exact_usd(lengths, price, minimum, granularity)), rel=1e-15 * 4, abs=0)


@settings(deadline=None)
@given(lengths_ns, lengths_ns, prices)
def test_the_bill_of_two_fleets_at_one_price_is_the_sum_of_their_bills(
    one: list[int], other: list[int], price: float
) -> None:
    """A fleet's cost would depend on how it is written down."""
    together = on_demand_usd(column(*one, *other), price)
    assert on_demand_usd(column(*one), price) + on_demand_usd(column(*other), price) == pytest.approx(
        together, rel=1e-14
    )


@settings(deadline=None)
@given(lengths_ns, st.integers(0, YEAR_NS), prices)
def test_the_bill_never_falls_when_an_instance_stays_longer(lengths: list[int], more: int, price: float) -> None:
    longer = [lengths[0] + more, *lengths[1:]]
    assert on_demand_usd(column(*lengths), price) <= on_demand_usd(column(*longer), price)


@settings(deadline=None)
@given(lengths_ns, prices, st.floats(1.0, 10.0))
def test_the_bill_grows_in_proportion_to_the_price(lengths: list[int], price: float, factor: float) -> None:
    assert factor * on_demand_usd(column(*lengths), price) == pytest.approx(
        on_demand_usd(column(*lengths), factor * price), rel=1e-14
    )


@pytest.mark.parametrize(
    ("length_ns", "seconds"),
    [
        (0, 60),
        (1, 60),
        (60 * NS_PER_S, 60),
        (60 * NS_PER_S + 1, 61),
        (61 * NS_PER_S, 61),
        (3_600 * NS_PER_S, 3_600),
        (YEAR_NS + 1, 365 * 86_400 + 1),
    ],
)
def test_a_launch_is_billed_by_the_second_and_a_minute_at_least(length_ns: int, seconds: int) -> None:
    """EC2 announcement of 2 October 2017: one second increments, with a minimum of 60 seconds."""
    assert [seconds * NS_PER_S] == billed_ns(column(length_ns)).tolist()


def test_the_minimum_is_billed_for_each_launch() -> None:
    """Ten launches of six seconds would cost as much as one of a minute."""
    assert 10 * MINIMUM_NS == billed_ns(column(*[6 * NS_PER_S] * 10)).sum()


def test_a_provider_with_another_minimum_is_billed_by_it() -> None:
    assert [300 * NS_PER_S, 301 * NS_PER_S] == billed_ns(
        column(NS_PER_S, 301 * NS_PER_S), minimum_ns=300 * NS_PER_S
    ).tolist()


def test_no_launch_costs_nothing() -> None:
    assert on_demand_usd(column(), 1.0) == 0.0


@pytest.mark.parametrize("price", [0.0, -0.0, -1.0, float("nan"), float("inf")])
def test_a_price_that_is_not_one_never_reaches_a_bill(price: float) -> None:
    """A missing price would make the dearest fleet look free."""
    intervals = always_on(1, NS_PER_HOUR)
    with pytest.raises(ValueError, match=r"usd_per_hour must be a finite number greater than 0"):
        on_demand_usd(intervals.length_ns, price)
    with pytest.raises(ValueError, match=r"usd_per_hour must be a finite number greater than 0"):
        bill_fleet(intervals, NS_PER_HOUR, price)


def test_an_hour_of_a_fleet_costs_its_price_times_its_mean_number_of_instances() -> None:
    """Two instances, one of which joins at half time, are 1.5 instances."""
    intervals = Intervals(column(0, NS_PER_HOUR // 2), column(NS_PER_HOUR, NS_PER_HOUR))
    bill = bill_fleet(intervals, NS_PER_HOUR, 2.0)
    assert FleetBill(usd=3.0, usd_per_hour=3.0, billed_hours=1.5, instances_mean=1.5) == bill


def test_the_rate_does_not_depend_on_the_horizon_of_a_steady_fleet() -> None:
    """Short what-if runs would show other dollars an hour than long ones."""
    rates = {bill_fleet(always_on(4, ns), ns, 0.8048).usd_per_hour for ns in (NS_PER_S, 60 * NS_PER_S, YEAR_NS)}
    assert {4 * 0.8048} == rates


def test_a_run_shorter_than_the_minimum_is_billed_the_minimum_and_says_so() -> None:
    bill = bill_fleet(always_on(3, 10 * NS_PER_S), 10 * NS_PER_S, 36.0)
    assert (1.8, 108.0) == (pytest.approx(bill.usd), bill.usd_per_hour)
    assert bill.note == "3 of 3 launches billed the minimum of 60 s"


def test_what_lies_outside_the_horizon_is_billed_but_is_not_part_of_the_rate() -> None:
    bill = bill_fleet(Intervals(column(-NS_PER_HOUR), column(2 * NS_PER_HOUR)), NS_PER_HOUR, 1.0)
    assert (3.0, 1.0) == (bill.usd, bill.usd_per_hour)


def test_a_month_is_730_hours() -> None:
    assert 730.0 == usd_per_month(1.0)


def test_the_total_is_that_of_all_fleets_for_all_requests() -> None:
    bills = [bill_fleet(always_on(n, NS_PER_HOUR), NS_PER_HOUR, usd) for n, usd in ((4, 0.8048), (1, 55.04))]
    cost = total_cost(bills, completions_per_hour=3.6e6)
    rate = 4 * 0.8048 + 55.04
    assert (rate, 730 * rate, rate / 3_600) == pytest.approx(
        (cost.usd_per_hour, cost.usd_per_month, cost.usd_per_1k_requests), rel=1e-15
    )


@pytest.mark.parametrize("completions", [0.0, float("nan")])
def test_requests_that_never_complete_have_no_price_each(completions: float) -> None:
    assert usd_per_1k_requests(3.2, completions) is None


def test_every_purchase_plan_bills_nothing_for_nothing_and_more_for_more() -> None:
    for name, plan in PLANS.items():
        one, two = (plan(always_on(n, YEAR_NS).length_ns, 1.0) for n in (1, 2))
        assert plan(column(), 1.0) == 0.0, name
        assert 0.0 < one <= two, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bill_fleet(always_on(1, 1), 1, 1.0, plan="barter"),
            "plan must be one of on_demand, spot, got 'barter'",
        ),
        (lambda: bill_fleet(always_on(1, 1), 0, 1.0), "horizon_ns must be greater than 0, got 0"),
        (lambda: always_on(-1, 1), "instances and horizon_ns must be 0 or greater, got -1 and 1"),
        (lambda: Intervals(column(5), column(4)), "interval 0 must not end before it starts, got 5 ns to 4 ns"),
        (lambda: Intervals(column(5), column(6, 7)), "must be columns of one length"),
        (lambda: billed_ns(column(-1)), "length_ns must be 0 or greater, got -1"),
        (lambda: billed_ns(column(1), granularity_ns=0), "granularity_ns must be at least 1"),
    ],
)
def test_what_cannot_be_billed_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
