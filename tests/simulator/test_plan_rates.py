"""Rates of purchase plans: what is listed is known, what is not is named, and nothing is taken for what it is not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from simulator.plan_rates import PlanRates, rates_of
from simulator.price_list import Price
from simulator.prices import PriceCatalogue, PriceError, catalogue_of, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE, PLANS, PurchasePlan


def price(price_type: str, usd: float, instance_type: str = "g6.xlarge", **other: Any) -> Price:
    place = {"provider": "aws", "region": "us-east-1", "as_of": "2026-01-19", "file": "mine.csv"}
    return Price(
        usd, instance_type=instance_type, accelerator="L4", accelerator_count=1.0, price_type=price_type,
        source="list", **place | other,
    )  # fmt: skip


def catalogue(*prices: Price, name: str = "mine.csv") -> PriceCatalogue:
    return catalogue_of(prices, name)


def shipped(instance_type: str, today: dt.date | None = None) -> PlanRates:
    return rates_of([shipped_catalogue()], instance_type, today=today)


def test_googles_published_rates_are_known_and_the_rest_is_named() -> None:
    """Cyclenerd's price file of 2026-07-30: g2-standard-4 at .7068, .3973 spot, .4453 and .3181 promised."""
    rates = shipped("g2-standard-4")
    assert {"on_demand": 0.706832, "spot": 0.397336, "cud_1y": 0.445304, "cud_3y": 0.318075} == {
        rate.plan.price_type: rate.usd_per_hour for rate in rates.known
    }
    assert ["spend_cud_1y", "spend_cud_3y"] == [missing.plan.price_type for missing in rates.missing]
    assert [0.318075, 0.445304] == [rate.usd_per_hour for rate in rates.promises]
    assert () == rates.notes


def test_the_one_machine_of_aws_with_all_rates_has_the_ratios_of_its_source() -> None:
    """m6a.xlarge: .81 savings plan, .66 and .63 one year, .45 and .42 three years."""
    ratios = {rate.plan.price_type: round(rate.ratio or 0.0, 2) for rate in shipped("m6a.xlarge").promises}
    assert {
        "reserved_3y_partial_upfront": 0.42,
        "reserved_3y_no_upfront": 0.45,
        "reserved_1y_partial_upfront": 0.63,
        "reserved_1y_no_upfront": 0.66,
        "savings_plan_compute_1y_no_upfront": 0.81,
    } == ratios


def test_a_missing_rate_says_how_to_get_it_and_is_never_made_up() -> None:
    """Most reservation rates of AWS's GPUs are public only in AWS's own files."""
    rates = shipped("p5.48xlarge")
    assert ["on_demand"] == [rate.plan.price_type for rate in rates.known]
    described = [missing.describe() for missing in rates.missing]
    assert (
        "the reserved_3y_all_upfront rate of p5.48xlarge in aws us-east-1 is in no price list: fetch AWS's EC2 price "
        "list of the region: simulate import-prices aws-price-list." in described
    )
    with pytest.raises(PriceError, match=r"p5\.48xlarge must have a cud_1y rate, the price lists have on_demand"):
        rates.of(PurchasePlan("committed_use", years=1))


def test_every_plan_that_is_asked_for_is_known_or_missing() -> None:
    for instance_type in ("g6.xlarge", "a3-highgpu-8g", "Standard_NC40ads_H100_v5", "m6a.xlarge"):
        rates = rates_of([shipped_catalogue()], instance_type, plans=PLANS)
        assert sorted(plan.price_type for plan in PLANS) == sorted(
            [rate.plan.price_type for rate in rates.known] + [missing.plan.price_type for missing in rates.missing]
        )


def test_plans_that_a_provider_does_not_sell_are_not_missing() -> None:
    """Twelve savings plans that Google lacks would bury the rate that is worth asking for."""
    kinds = {missing.plan.kind for missing in shipped("a3-ultragpu-8g").missing}
    assert {"committed_use", "spend_commitment"} == kinds
    azure = shipped("Standard_NC40ads_H100_v5").missing
    assert {"reserved_1y_no_upfront", "savings_plan_compute_3y_all_upfront"} < {
        missing.plan.price_type for missing in azure
    }
    assert not any("partial" in missing.plan.price_type for missing in azure)


def test_all_rates_are_of_one_region() -> None:
    """The on-demand price of one region beside the reservation of another would be a discount that nobody gives."""
    listed = catalogue(price("on_demand", 0.8), price("reserved_1y_no_upfront", 0.4, region="us-east-2"))
    rates = rates_of([listed], "g6.xlarge")
    assert ["on_demand"] == [rate.plan.price_type for rate in rates.known]
    assert ("aws", "us-east-1") == (rates.missing[0].provider, rates.missing[0].region)
    assert 0.4 == rates_of([listed], "g6.xlarge", region="us-east-2").promises[0].usd_per_hour


def test_regions_that_differ_ask_for_one() -> None:
    two = [price("on_demand", usd, region=region) for usd, region in ((0.8, "us-east-1"), (0.9, "eu-west-1"))]
    with pytest.raises(PriceError, match="Choose one with region:"):
        rates_of([catalogue(*two)], "g6.xlarge")
    spot = [price("spot", usd, region=region) for usd, region in ((0.2, "us-east-1"), (0.3, "eu-west-1"))]
    with pytest.raises(PriceError, match="listed in eu-west-1, us-east-1 without an on-demand price"):
        rates_of([catalogue(*spot)], "g6.xlarge")
    with pytest.raises(PriceError, match="must be in a price catalogue"):
        rates_of([catalogue(*two)], "g7.xlarge")


def test_a_rate_without_an_on_demand_price_has_no_ratio() -> None:
    rates = rates_of([catalogue(price("reserved_1y_no_upfront", 0.4))], "g6.xlarge")
    assert (None, None) == (rates.promises[0].ratio, rates.on_demand_usd_per_hour)
    assert ("g6.xlarge: no on-demand price is listed, so no saving can be told",) == rates.notes
    assert "on_demand" in [missing.plan.price_type for missing in rates.missing]


def test_what_is_paid_upfront_is_as_listed_or_as_the_payment_says() -> None:
    """Half is assumed of a partial payment that no list states, and said."""
    rates = rates_of(
        [
            catalogue(
                price("on_demand", 1.0),
                price("reserved_1y_no_upfront", 0.7),
                price("reserved_1y_partial_upfront", 0.66, upfront_usd=2_900.0),
                price("reserved_1y_all_upfront", 0.6),
                price("reserved_3y_partial_upfront", 0.5),
            )
        ],
        "g6.xlarge",
    )
    upfront = {rate.plan.price_type: (rate.upfront_usd, round(rate.upfront_share, 3)) for rate in rates.known}
    assert {
        "on_demand": (0.0, 0.0),
        "reserved_1y_no_upfront": (0.0, 0.0),
        "reserved_1y_partial_upfront": (2_900.0, 0.502),
        "reserved_1y_all_upfront": (pytest.approx(5_256.0), 1.0),
        "reserved_3y_partial_upfront": (pytest.approx(6_570.0), 0.5),
    } == upfront
    (note,) = rates.notes
    assert "reserved_3y_partial_upfront states no upfront_usd; 50% of the term's price is taken" in note


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (("reserved_1y_no_upfront", 1.0), "committed price not below the on-demand price (reserved_1y_no_upfront, 1"),
        (("spot", 1.0), "spot price equal to the on-demand price (spot, 1 beside 1 USD/h)"),
        (("spot", 0.1), "spot price exactly 10 % of the on-demand price"),
    ],
)
def test_a_rate_that_looks_like_none_is_noted(prices: tuple[str, float], says: str) -> None:
    (note,) = rates_of([catalogue(price("on_demand", 1.0), price(*prices))], "g6.xlarge").notes
    assert says in note


def test_dates_and_lists_that_are_mixed_are_said() -> None:
    """An on-demand price from before a cut makes every promise look better than it is."""
    own = catalogue(price("on_demand", 0.9, as_of="2026-10-01"), name="mine.csv")
    other = catalogue(price("reserved_1y_no_upfront", 0.5, file="/a/list.csv"), name="the list of January")
    dates, lists = rates_of([own, other], "g6.xlarge").notes
    assert "on_demand 2026-10-01, reserved_1y_no_upfront 2026-01-19; prices may have moved" in dates
    assert "the on-demand price is of mine.csv, committed rates are of the list of January" in lists


def test_an_old_price_says_its_age_where_the_day_is_told() -> None:
    assert () == shipped("g6.xlarge").notes
    assert ("g6.xlarge: the on_demand price is 10 months old (2026-01-19)",) == shipped(
        "g6.xlarge", dt.date(2026, 11, 22)
    ).notes


def test_a_price_per_request_is_no_rate_of_an_instance() -> None:
    listed = catalogue(price("on_demand", 0.8), price("serverless", 0.25, unit="1k_requests"))
    assert ["on_demand"] == [rate.plan.price_type for rate in rates_of([listed], "g6.xlarge").known]


def test_a_type_of_no_plan_is_never_a_plans_rate() -> None:
    listed = catalogue(price("on_demand", 0.8), price("sp_compute_or_ec2_1y_no_upfront", 0.5))
    rates = rates_of([listed], "g6.xlarge", plans=PLANS)
    assert ["on_demand"] == [rate.plan.price_type for rate in rates.known]
    assert "sp_compute_or_ec2_1y_no_upfront" not in PLAN_BY_PRICE_TYPE
