"""When a price is paid, for how long, per what and in which currency: what contradicts its plan is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.problems import InputError
from simulator.price_cells import write_catalogue
from simulator.price_import import import_own_csv
from simulator.price_list import COLUMNS, MORE_COLUMNS, Price
from simulator.price_table import price_table
from simulator.price_types import normal_price_type
from simulator.prices import find_price, load_catalogue
from simulator.purchase_plan import PLANS

HEADER = "provider,instance_type,price_type,usd_per_hour,as_of,source,upfront_usd,term_h,zone,interruption_rate,unit"


def loaded(tmp_path: Path, *rows: str, header: str = HEADER) -> tuple[Price, ...]:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return load_catalogue(path).prices


def messages(tmp_path: Path, *rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, *rows, header=header)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_an_upfront_part_is_read_beside_the_effective_price(tmp_path: Path) -> None:
    """m6a.xlarge, one year, partly upfront: 477 USD at once and 0.054435 an hour make 0.10889 effective."""
    (price,) = loaded(tmp_path, "aws,m6a.xlarge,reserved_1y_partial_upfront,0.108887,2026-10-01,list,477,,,,")
    assert (0.108887, 477.0) == (price.usd_per_hour, price.upfront_usd)


def test_a_spot_price_may_be_of_a_zone_with_its_interruptions(tmp_path: Path) -> None:
    (price,) = loaded(tmp_path, "aws,g5.xlarge,spot,0.44,2026-10-01,list,,,use1-az2,0.0002,")
    assert ("use1-az2", 0.0002, None) == (price.zone, price.interruption_rate, price.upfront_usd)


def test_a_capacity_block_says_its_length_and_is_paid_upfront(tmp_path: Path) -> None:
    (price,) = loaded(tmp_path, "aws,p5.48xlarge,capacity_block,39.33,2024-Q4,list,943.92,24,,,")
    assert (24, 943.92) == (price.term_h, price.upfront_usd)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("on_demand,1,2026,l,5,,,,", "must have nothing paid upfront on its on-demand price, got 5. Delete it"),
        ("reserved_1y_no_upfront,1,2026,l,5,,,,", "must have nothing paid upfront on its reserved-1y-no-upfront"),
        (
            "reserved_1y_partial_upfront,0.05,2026,l,477,,,,",
            "upfront_usd of a must be within the 438.00 USD that the term costs, got 477. usd_per_hour is the "
            "effective price: what is paid each hour plus upfront_usd / 8,760 h.",
        ),
        ("reserved_1y_partial_upfront,0.1,2026,l,876,,,,", "must be a part of the 876.00 USD"),
        ("reserved_3y_all_upfront,0.1,2026,l,100,,,,", "must be the 2,628.00 USD that the term costs: all is paid"),
        ("reserved_3y_all_upfront,0,2026,l,2628,,,,", "the price of a must be greater than 0"),
        ("cud_1y,1,2026,l,x,,,,", "upfront_usd of a must be a number, 0 or greater, got x."),
        ("cud_1y,1,2026,l,-5,,,,", "upfront_usd of a must be a number, 0 or greater, got -5."),
        ("cud_1y,1,2026,l,,24,,,", "term_h of a must be the 8,760 hours of cud_1y, got 24."),
        ("spot,1,2026,l,,24,,,", "term_h of a must be a whole number of hours of a plan with a term, got 24."),
        ("capacity_block,1,2026,l,,1.5,,,", "term_h of a must be a whole number of hours"),
        ("spot,1,2026,l,,,,5,", "interruption_rate of a must be a number, within 0 and 1, got 5. Write reclaims per"),
        ("on_demand,1,2026,l,,,,0.1,", "a must have an interruption_rate on its spot price only"),
        ("serverless,1,2026,l,,,,,second", "the unit of a must be one of hour, 1k_requests, got second."),
        ("on_demand,1,2026,l,,,,,1k_requests", "a must have a price of type serverless to be paid by the request"),
    ],
)
def test_what_contradicts_the_plan_is_refused(tmp_path: Path, row: str, says: str) -> None:
    (message,) = messages(tmp_path, f"aws,a,{row}")
    assert says in message


# --- currencies ---------------------------------------------------------------------------------------------------


def test_a_price_in_another_currency_is_refused_by_name_and_so_is_a_mixture(tmp_path: Path) -> None:
    """Forty euros read as forty dollars would be a discount."""
    header = "provider,instance_type,price_type,usd_per_hour,as_of,source,currency"
    rows = [
        f"aws,{name},on_demand,1,2026,list,{currency}" for name, currency in (("a", "USD"), ("b", "EUR"), ("c", ""))
    ]
    (message,) = messages(tmp_path, *rows, header=header)
    assert "prices.csv:3:29: currency: the price of b must be in US dollars, got EUR. Convert it at the rate" in message
    assert 2 == len(loaded(tmp_path, rows[0], rows[2], header=header))


@pytest.mark.parametrize(("cell", "currency"), [("0.80 EUR", "EUR"), ("€0.80", "EUR"), ("£1", "GBP"), ("5 CNY", "CNY")])
def test_a_cell_that_names_a_currency_says_which(tmp_path: Path, cell: str, currency: str) -> None:
    (message,) = messages(tmp_path, f"aws,a,on_demand,{cell},2026,list,,,,,")
    assert f"the price of a must be in US dollars, not {currency}, got {cell}." in message


def test_a_column_that_is_called_after_another_currency_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quote.csv"
    path.write_text("machine,Price (EUR/h)\np5.48xlarge,39.8\n")
    with pytest.raises(InputError, match="must hold US dollars, its name says EUR"):
        import_own_csv(
            path,
            {"instance_type": "machine", "usd_per_hour": "Price (EUR/h)"},
            {"provider": "aws", "as_of": "2026-10-01"},
        )


# --- names of plans -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.price_type)
def test_the_name_of_a_plan_is_its_own_spelling(plan: object) -> None:
    name = plan.price_type  # type: ignore[attr-defined]
    assert name == normal_price_type(name) == normal_price_type(name.replace("_", " ").upper())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("preemptible", "spot"),
        ("RI 3 year all upfront", "reserved_3y_all_upfront"),
        ("Reserved-Standard-36mo-Full Upfront", "reserved_3y_all_upfront"),
        ("Compute Savings Plan 1yr Partial Upfront", "savings_plan_compute_1y_partial_upfront"),
        ("EC2 Instance Savings Plan 3yr No Upfront", "savings_plan_ec2_instance_3y_no_upfront"),
        ("committed_use_3yr", "cud_3y"),
        ("flex_cud_1y", "spend_cud_1y"),
    ],
)
def test_a_name_that_can_mean_one_plan_only_is_read_as_it(text: str, name: str) -> None:
    assert name == normal_price_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "reserved",
        "reserved_1y",
        "reserved_convertible_1y_no_upfront",
        "sp_1y_no_upfront",
        "spot_min_az",
        "cud",
        "cud_2y",
    ],
)
def test_a_name_that_could_mean_another_thing_is_no_plan(text: str) -> None:
    """A reservation that may be exchanged costs more; a savings plan of unknown scope may not cover the machine."""
    assert text == normal_price_type(text)


def test_the_mean_of_the_zones_is_the_regions_spot_price_and_says_so(tmp_path: Path) -> None:
    rows = [
        f"aws,g5.xlarge,{name},{usd},2026,list,,,,," for name, usd in (("spot_min_az", 0.43), ("spot_mean_az", 0.44))
    ]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    catalogue = load_catalogue(path)
    found = find_price([catalogue], "g5.xlarge", price_type="spot")
    assert (0.44, "list; spot_mean_az: the mean of its zones") == (found.usd_per_hour, found.source)
    assert "no purchase plan is called spot_min_az (1 row): never taken for a plan's rate" in catalogue.notes[0]


# --- a CSV of one's own, and writing ------------------------------------------------------------------------------


def test_ones_own_csv_may_name_the_upfront_column_and_is_told_what_is_odd(tmp_path: Path) -> None:
    path = tmp_path / "quote.csv"
    path.write_text(
        "machine,plan,effective,down\np5.48xlarge,on_demand,39.8,\np5.48xlarge,reserved_1y_partial_upfront,39.9,150000\n"
        "p5.48xlarge,reserved_1y,30,\n"
    )
    named = {"instance_type": "machine", "price_type": "plan", "usd_per_hour": "effective", "upfront_usd": "down"}
    result = import_own_csv(path, named, {"provider": "aws", "as_of": "2026-10-01"})
    assert [None, 150_000.0, None] == [price.upfront_usd for price in result.rows]
    unplanned, odd = result.notes
    assert unplanned.startswith("no purchase plan is called reserved_1y (1 row, near reserved_1y_")
    assert "committed price not below the on-demand price in 1 row (p5.48xlarge)" in odd


def test_two_rows_that_differ_in_what_is_paid_upfront_contradict_each_other(tmp_path: Path) -> None:
    rows = [f"aws,a,reserved_1y_partial_upfront,0.1,2026,list,{upfront},,,," for upfront in (400, 500)]
    (message,) = messages(tmp_path, *rows)
    assert "must be stated once, line 2 says 0.1 with 400 upfront, got 0.1 with 500 upfront." in message


def test_columns_that_no_row_fills_are_not_written_and_those_filled_read_back(tmp_path: Path) -> None:
    plain = Price(1.0, "aws", "r", "a", "", None, "on_demand", "2026", "list")
    write_catalogue([plain], tmp_path / "plain.csv")
    assert ",".join(COLUMNS) == (tmp_path / "plain.csv").read_text().splitlines()[0]
    prices = (
        plain,
        Price(0.5, "aws", "r", "a", "", None, "spot", "2026", "list", zone="z1", interruption_rate=1e-4),
        Price(0.4, "aws", "r", "a", "", None, "capacity_block", "2026", "list", upfront_usd=9.6, term_h=24),
        Price(0.2, "x", "", "endpoint", "", None, "serverless", "2026", "list", unit="1k_requests"),
    )
    write_catalogue(prices, tmp_path / "all.csv")
    assert prices == load_catalogue(tmp_path / "all.csv").prices
    header = (tmp_path / "all.csv").read_text().splitlines()[0].split(",")
    assert [*COLUMNS, *(name for name in MORE_COLUMNS if name != "currency")] == header


def test_the_table_for_people_says_what_is_upfront_and_what_is_not_per_hour() -> None:
    table = price_table(
        [
            Price(0.1, "aws", "r", "a", "", None, "reserved_1y_all_upfront", "2026", "list", upfront_usd=876.0),
            Price(0.2, "aws", "r", "b", "", None, "serverless", "2026", "list", unit="1k_requests"),
            Price(0.3, "aws", "r", "c", "", None, "spot", "2026", "list", zone="z1"),
        ]
    ).splitlines()
    assert ["instance", "type", "accelerator", "USD/h", "upfront", "USD"] == table[0].split()[:6]
    assert ["a", "0.1", "876", "reserved_1y_all_upfront", "aws", "r"] == table[1].split()[:6]
    assert ["b", "0.2", "per", "1k", "requests", "serverless"] == table[2].split()[:6]
    assert ["c", "0.3", "spot", "aws", "z1"] == table[3].split()[:5]
