"""Looking a price up: the right one, or an error that says what there is instead; never a guess."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import pytest

from simulator.price_checks import oddities
from simulator.price_list import Price, parse_as_of
from simulator.prices import PriceCatalogue, PriceError, catalogue_of, find_price, load_catalogue, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE

PRICES_CSV = Path(__file__).resolve().parents[2] / "../shared/data/prices.csv"


def price(instance_type: str = "g6.xlarge", usd: float = 0.8048, **other: str) -> Price:
    place = {"provider": "aws", "region": "us-east-1", "price_type": "on_demand", "as_of": "2026-01-19"}
    return Price(
        usd, instance_type=instance_type, accelerator="L4", accelerator_count=1.0, source="list", **place | other
    )


def catalogue(*prices: Price, name: str = "prices.csv") -> PriceCatalogue:
    return catalogue_of(prices, name)


def test_the_users_own_catalogue_wins_over_the_shipped_one_even_when_it_is_older() -> None:
    own = catalogue(price(usd=0.5, as_of="2020"))
    assert 0.5 == find_price([own, shipped_catalogue()], "g6.xlarge").usd_per_hour
    assert 0.526 == find_price([own, shipped_catalogue()], "g4dn.xlarge").usd_per_hour


def test_the_next_catalogue_answers_where_the_first_has_another_region_only() -> None:
    own = catalogue(price(usd=0.5, region="eu-west-1"))
    assert 0.8048 == find_price([own, shipped_catalogue()], "g6.xlarge", region="us-east-1").usd_per_hour


def test_of_several_dates_the_newest_is_taken_and_said() -> None:
    dated = catalogue(
        price(usd=98.32, as_of="2024"), price(usd=55.04, as_of="2026-11-09"), price(usd=60.0, as_of="2026-01")
    )
    found = find_price([dated], "g6.xlarge")
    assert (55.04, "the newest of 3 dates") == (found.usd_per_hour, found.note)


def test_an_exact_date_is_newer_than_the_year_it_lies_in() -> None:
    found = find_price([catalogue(price(usd=2.0, as_of="2026-01-01"), price(usd=1.0, as_of="2026"))], "g6.xlarge")
    assert 2.0 == found.usd_per_hour


def test_regions_with_different_prices_ask_for_a_region() -> None:
    """The cheapest region would be billed by chance."""
    regions = catalogue(price(usd=0.9, region="eu-west-1"), price(usd=0.8, region="us-east-1"))
    with pytest.raises(PriceError) as caught:
        find_price([regions], "g6.xlarge")
    assert "region" == caught.value.key
    assert str(caught.value) == (
        "region: g6.xlarge must have one on-demand price, the catalogue lists several in USD per hour: "
        "aws eu-west-1 0.9, aws us-east-1 0.8. Choose one with region: beside instance_type:, or write usd_per_hour:."
    )
    assert 0.9 == find_price([regions], "g6.xlarge", region="EU-West-1").usd_per_hour


def test_providers_with_different_prices_ask_for_a_provider() -> None:
    clouds = catalogue(
        price("H100", 3.49, provider="runpod", region=""), price("H100", 3.85, provider="nebius", region="")
    )
    with pytest.raises(PriceError, match="Choose one with provider: beside instance_type:") as caught:
        find_price([clouds], "H100")
    assert "provider" == caught.value.key
    assert 3.85 == find_price([clouds], "H100", provider="Nebius").usd_per_hour


def test_a_list_of_many_regions_is_cut_short() -> None:
    regions = catalogue(*(price(usd=1.0 + row, region=f"r{row}") for row in range(20)))
    with pytest.raises(PriceError, match=r"aws r13 14 and 14 more\. Choose"):
        find_price([regions], "g6.xlarge")


def test_regions_that_agree_need_no_region() -> None:
    found = find_price([catalogue(price(region="us-east-1"), price(region="us-east-2"))], "g6.xlarge")
    assert (0.8048, "the same in 2 places: aws us-east-1, aws us-east-2") == (found.usd_per_hour, found.note)


def test_a_price_without_a_region_holds_in_every_region_without_one_of_its_own() -> None:
    own = catalogue(price(usd=0.5, region=""), price(usd=0.6, region="eu-west-1"))
    assert [0.5, 0.6] == [
        find_price([own], "g6.xlarge", region=name).usd_per_hour for name in ("ap-south-1", "eu-west-1")
    ]


def test_an_unknown_instance_type_names_near_ones() -> None:
    with pytest.raises(
        PriceError,
        match=r"^instance_type: must be in a price catalogue \(.*\), got G6.xlarg\. Did you mean g6.xlarge or",
    ):
        find_price([shipped_catalogue()], "G6.xlarg")
    with pytest.raises(PriceError, match=r"got zzzz\. Add it to your price list \(prices:\) or write usd_per_hour:"):
        find_price([shipped_catalogue()], "zzzz")


def test_a_missing_region_names_those_that_have_the_type() -> None:
    with pytest.raises(
        PriceError,
        match=r"^region: g6.xlarge must have a listed on-demand price in eu-west-1\. It is listed in aws us-east-1\.",
    ):
        find_price([shipped_catalogue()], "g6.xlarge", region="eu-west-1")
    with pytest.raises(
        PriceError,
        match=r"^provider: g6.xlarge must have a listed on-demand price in gcp\. It is listed in aws us-east-1\.",
    ):
        find_price([shipped_catalogue()], "g6.xlarge", provider="gcp")


def test_a_missing_price_type_names_those_listed() -> None:
    with pytest.raises(PriceError, match=r"g6\.xlarge must have a price of type spot, the catalogue lists on-demand"):
        find_price([shipped_catalogue()], "g6.xlarge", price_type="spot")


def test_a_price_of_a_zone_is_found_by_its_zone_and_the_region_has_the_median() -> None:
    """The cheapest zone is where stale prices gather."""
    spot = {"price_type": "spot"}
    zones = catalogue(*(price(usd=usd, zone=f"use1-az{n}", **spot) for n, usd in enumerate((0.4, 0.2, 0.5, 0.3))))
    assert 0.2 == find_price([zones], "g6.xlarge", price_type="spot", zone="use1-az1").usd_per_hour
    median = find_price([zones], "g6.xlarge", price_type="spot")
    assert (0.4, "zone use1-az0, the median of 4, 0.2 to 0.5") == (median.usd_per_hour, median.note)
    own = catalogue(*zones.prices, price(usd=0.35, **spot))
    assert [0.35, 0.35, 0.2] == [
        find_price([own], "g6.xlarge", price_type="spot", zone=zone).usd_per_hour
        for zone in (None, "use1-az9", "use1-az1")
    ]


def test_a_price_per_request_is_never_taken_for_one_per_hour() -> None:
    """An endpoint at 0.25 dollars for 1,000 requests would be billed 0.25 dollars an hour."""
    listed = catalogue(price("an endpoint", 0.25, price_type="serverless", unit="1k_requests"))
    with pytest.raises(PriceError, match="must have a price of type serverless per hour"):
        find_price([listed], "an endpoint", price_type="serverless")
    found = find_price([listed], "an endpoint", price_type="serverless", unit="1k_requests")
    assert "0.25 USD/1k requests serverless (aws us-east-1, 2026-01-19, list)" == found.describe()


def test_an_error_survives_the_trip_between_processes() -> None:
    error = PriceError("region", "rule", None, "Remedy.")
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


# --- the shipped catalogue, and the project's data ----------------------------------------------------------------


def test_the_shipped_catalogue_has_a_date_and_a_source_for_each_price() -> None:
    """An estimate nobody can check would carry our name."""
    prices = shipped_catalogue().prices
    assert len(prices) >= 24
    for found in prices:
        assert parse_as_of(found.as_of) is not None, found
        assert len(found.source) > 20, found
        assert found.price_type in PLAN_BY_PRICE_TYPE
    assert () == shipped_catalogue().notes


def test_every_type_of_the_shipped_catalogue_has_one_price_without_naming_a_region() -> None:
    """``instance_type: g6.xlarge`` alone would not run."""
    for found in shipped_catalogue().prices:
        assert found == find_price([shipped_catalogue()], found.instance_type, price_type=found.price_type)
        assert "on_demand" == find_price([shipped_catalogue()], found.instance_type).price_type


@pytest.mark.parametrize(
    ("instance_type", "price_type", "usd"),
    [
        ("g4dn.xlarge", "on_demand", 0.526),
        ("g6.xlarge", "on_demand", 0.8048),
        ("p5.48xlarge", "on_demand", 55.04),
        ("tpu-v6e-1", "on_demand", 2.7),
        ("tpu-v6e-1", "spot", 0.59266),
        ("a2-highgpu-1g", "on_demand", 3.67339),
        ("a2-highgpu-1g", "cud_1y", 2.31421),
        ("a3-highgpu-8g", "cud_3y", 38.8644),
        ("m6a.xlarge", "reserved_1y_no_upfront", 0.11431),
        ("m6a.xlarge", "savings_plan_compute_1y_no_upfront", 0.13965),
    ],
)
def test_shipped_prices_are_those_of_their_sources(instance_type: str, price_type: str, usd: float) -> None:
    assert usd == find_price([shipped_catalogue()], instance_type, price_type=price_type).usd_per_hour


def test_no_shipped_price_looks_like_none() -> None:
    """A spot price that copies the on-demand price, or a promise that saves nothing, would be planned with."""
    assert () == oddities(shipped_catalogue().prices)


def test_the_projects_price_table_loads_and_agrees_with_the_shipped_catalogue() -> None:
    """A real list of 263 prices, three notations of a date among them, would be refused."""
    if not PRICES_CSV.exists():
        pytest.skip("../shared/data/prices.csv is absent")
    with PRICES_CSV.open(newline="") as stream:
        rows = sum(1 for _ in csv.DictReader(stream))
    table = load_catalogue(PRICES_CSV)
    assert rows == len(table.prices)
    for found in shipped_catalogue().prices:
        # The table leaves open which savings plan it is; Vantage's own labels say.
        named = {"savings_plan_compute_1y_no_upfront": "sp_compute_or_ec2_1y_no_upfront"}.get(
            found.price_type, found.price_type
        )
        listed = find_price([table], found.instance_type, found.provider, found.region, named)
        assert found.usd_per_hour == listed.usd_per_hour


def test_the_projects_price_table_is_never_taken_for_plans_that_it_does_not_name() -> None:
    """A rate whose term nobody stated would be planned with as a three-year reservation."""
    if not PRICES_CSV.exists():
        pytest.skip("../shared/data/prices.csv is absent")
    (note,) = [note for note in load_catalogue(PRICES_CSV).notes if "no purchase plan" in note]
    assert "spot_min_az (12 rows" in note
    assert "reserved_cheapest_term_unstated (8 rows" in note
    assert "sp_compute_or_ec2_1y_no_upfront (1 row" in note
