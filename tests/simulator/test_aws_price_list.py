"""AWS's own price lists: the machines that a fleet pays for, their effective prices, and what must not be billed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from calibration.problems import InputError
from simulator.aws_price_list import import_aws_price_list
from simulator.aws_savings_plans import import_aws_savings_plan
from simulator.json_entries import entries
from simulator.plan_rates import rates_of
from simulator.price_cells import write_catalogue
from simulator.price_import import ImportOptions, import_prices
from simulator.price_list import PriceImport
from simulator.prices import load_catalogue

SAMPLES = Path(__file__).resolve().parents[2] / "../shared/samples/in"

LINUX = {
    "servicecode": "AmazonEC2", "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared",
    "preInstalledSw": "NA", "capacitystatus": "Used", "operation": "RunInstances",
}  # fmt: skip


def product(sku: str, instance_type: str, **other: str) -> dict[str, Any]:
    return {
        "sku": sku,
        "productFamily": "Compute Instance",
        "attributes": LINUX | {"instanceType": instance_type} | other,
    }


def offer(
    sku: str, hourly: str | None, upfront: str | None = None, currency: str = "USD", **terms: str
) -> dict[str, Any]:
    code = "".join(terms.values()).replace(" ", "") or "JRTCKXETXF"
    dimensions = {}
    for unit, amount in (("Hrs", hourly), ("Quantity", upfront)):
        if amount is not None:
            dimensions[f"{sku}.{code}.{unit}"] = {"unit": unit, "pricePerUnit": {currency: amount}}
    return {"sku": sku, "offerTermCode": code, "termAttributes": terms, "priceDimensions": dimensions}


def reserved(sku: str, payment: str, hourly: str | None, upfront: str | None = None, **other: str) -> dict[str, Any]:
    terms = {"LeaseContractLength": "1yr", "OfferingClass": "standard", "PurchaseOption": payment}
    currency = other.pop("currency", "USD")
    return offer(sku, hourly, upfront, currency, **(terms | other))


def price_list(
    folder: Path, products: list[dict[str, Any]], on_demand: list[dict[str, Any]], promised: list[dict[str, Any]]
) -> Path:
    terms: dict[str, dict[str, dict[str, Any]]] = {"OnDemand": {}, "Reserved": {}}
    for market, offers in (("OnDemand", on_demand), ("Reserved", promised)):
        for one in offers:
            terms[market].setdefault(one["sku"], {})[f"{one['sku']}.{one['offerTermCode']}"] = one
    content = {
        "offerCode": "AmazonEC2",
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
        "products": {one["sku"]: one for one in products},
        "terms": terms,
    }
    path = folder / "ec2.json"
    path.write_text(json.dumps(content))
    return path


def usd(result: PriceImport) -> dict[tuple[str, str], tuple[float, float | None]]:
    return {(price.instance_type, price.price_type): (price.usd_per_hour, price.upfront_usd) for price in result.rows}


def test_the_sample_of_aws_goes_through_a_price_list_to_rates(tmp_path: Path) -> None:
    if not SAMPLES.exists():
        pytest.skip("../shared/samples is absent")
    out = tmp_path / "prices.csv"
    options = ImportOptions(price_lists=[SAMPLES / "aws_price_list_ec2.json"])
    result = import_prices("aws-savings-plan", SAMPLES / "aws_savings_plan_price_list.json", out, options)
    assert ((), ()) == (result.refused, result.notes)
    rates = rates_of([load_catalogue(out)], "g5.xlarge")
    assert {
        "on_demand": 1.006,
        "reserved_1y_no_upfront": 0.634,
        "savings_plan_compute_1y_no_upfront": 0.7042,
    } == {rate.plan.price_type: rate.usd_per_hour for rate in rates.known}
    assert {"2026-11-01"} == {rate.price.as_of for rate in rates.known}


def test_a_reservation_has_its_effective_price_and_its_fee(tmp_path: Path) -> None:
    """An hour of a reservation paid in part at once costs its hourly part and a share of the fee.

    The figures of c4.large, one year, partly upfront, are those of AWS's list of 2016: 263 USD and 0.03 an hour.
    """
    offers = [
        reserved("S", "No Upfront", "0.0650000000"),
        reserved("S", "Partial Upfront", "0.0300000000", "263"),
        reserved("S", "All Upfront", "0.0000000000", "515"),
        reserved("S", "All Upfront", None, "1150", LeaseContractLength="3yr"),
        reserved("S", "No Upfront", "0.0800000000", OfferingClass="convertible"),
    ]
    result = import_aws_price_list(
        price_list(tmp_path, [product("S", "c4.large")], [offer("S", "0.1000000000")], offers)
    )
    assert {
        ("c4.large", "on_demand"): (0.1, None),
        ("c4.large", "reserved_1y_no_upfront"): (0.065, 0.0),
        ("c4.large", "reserved_1y_partial_upfront"): (pytest.approx(0.03 + 263 / 8_760), 263.0),
        ("c4.large", "reserved_1y_all_upfront"): (pytest.approx(515 / 8_760), 515.0),
        ("c4.large", "reserved_3y_all_upfront"): (pytest.approx(1_150 / 26_280), 1_150.0),
        ("c4.large", "reserved_convertible_1y_no_upfront"): (0.08, 0.0),
    } == usd(result)
    assert result.rows[0].source == "AWS EC2 price list ec2.json, version 20261101000000"
    write_catalogue(result.rows, tmp_path / "out.csv")
    assert result.rows == load_catalogue(tmp_path / "out.csv").prices


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("operatingSystem", "Windows"),
        ("tenancy", "Dedicated"),
        ("preInstalledSw", "SQL Std"),
        ("capacitystatus", "UnusedCapacityReservation"),
        ("operation", "RunInstances:0010"),
        ("marketoption", "CapacityBlock"),
    ],
)
def test_only_what_a_linux_fleet_pays_for_is_imported(tmp_path: Path, attribute: str, value: str) -> None:
    """A machine is listed dozens of times; without the filter it would have several prices (Infracost issue 3397)."""
    products = [product("S", "g5.xlarge"), product("T", "g5.xlarge", **{attribute: value})]
    result = import_aws_price_list(price_list(tmp_path, products, [offer("S", "1.006"), offer("T", "9.9")], []))
    assert {("g5.xlarge", "on_demand"): (1.006, None)} == usd(result)
    assert {"products that are not Linux, shared, without software and in use": 1} == result.skipped


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (offer("S", "0.0000000000"), "the on_demand price of bad in us-east-1 must be greater than 0 per hour"),
        (offer("S", "5.1", currency="CNY"), "the on_demand price of bad in us-east-1 must be in US dollars, got CNY"),
        (offer("S", "700.0"), 'must be a real one: 700 stands for "not offered"'),
        (offer("S", "-1"), "must be a number, 0 or greater, got -1"),
        (offer("S", None), "must be greater than 0 per hour, with nothing upfront."),
        (reserved("S", "Partial Upfront", "0.03"), "must have a fee at the start and a price per hour"),
        (reserved("S", "Partial Upfront", None, "263"), "must have a fee at the start and a price per hour"),
        (reserved("S", "All Upfront", "0.03", "263"), "must have a fee at the start and nothing per hour"),
        (reserved("S", "No Upfront", "0.03", "263"), "with nothing upfront"),
    ],
)
def test_an_offer_that_cannot_be_billed_is_refused_by_name(tmp_path: Path, bad: dict[str, Any], says: str) -> None:
    promised = [bad] if bad["termAttributes"] else []
    on_demand = [offer("G", "1.0"), *([] if promised else [bad])]
    result = import_aws_price_list(
        price_list(tmp_path, [product("S", "bad"), product("G", "good")], on_demand, promised)
    )
    assert {("good", "on_demand"): (1.0, None)} == usd(result)
    (problem,) = result.refused
    assert says in str(problem)


def test_two_prices_for_one_machine_are_both_refused(tmp_path: Path) -> None:
    products = [product("S", "a"), product("T", "a"), product("G", "good")]
    on_demand = [offer("S", "1.0"), offer("T", "2.0"), offer("G", "3.0")]
    result = import_aws_price_list(price_list(tmp_path, products, on_demand, []))
    assert {("good", "on_demand"): (3.0, None)} == usd(result)
    assert "the on_demand price of a in us-east-1 must be stated once, got 1 and 2" in str(result.refused[0])


def test_a_reservation_that_saves_nothing_is_noted(tmp_path: Path) -> None:
    result = import_aws_price_list(
        price_list(tmp_path, [product("S", "a")], [offer("S", "1.0")], [reserved("S", "No Upfront", "1.0")])
    )
    (note,) = result.notes
    assert "committed price not below the on-demand price in 1 row (a in us-east-1)" in note


def test_reservations_that_are_sold_no_longer_are_counted(tmp_path: Path) -> None:
    old = [
        reserved("S", "Heavy Utilization", "0.1", "10"),
        reserved("S", "No Upfront", "0.5", LeaseContractLength="2yr"),
    ]
    result = import_aws_price_list(price_list(tmp_path, [product("S", "a")], [offer("S", "1.0")], old))
    assert {"reservations of a kind that is sold no longer": 2} == result.skipped


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "must not be empty"),
        ("[1]", "must be a JSON object"),
        ('{"products": {"S": {"a": 1}', "must be valid JSON"),
        ('{"products": {}, "terms": {}} x', "ec2.json:1:31: must be valid JSON: extra data"),
        ('{"products": {}, "terms": {}}', "must be an EC2 price list: products with the family Compute Instance"),
        ('{"a": ' + "[" * 100_000, "must not be nested so deeply"),
        (
            '{"products": {"S": {"productFamily": "Compute Instance", "attributes": [1]}}}',
            "--as-of: must be an ISO date",
        ),
        (
            '{"publicationDate": "2026-11-01T00:00:00Z", "products": {"S": {"productFamily": "Compute Instance"}}}',
            "must hold a price of a Linux machine on shared hardware that can be billed",
        ),
    ],
)
def test_a_file_that_is_no_price_list_of_aws_says_what_is_wrong(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "ec2.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        import_aws_price_list(path)
    assert says in "\n".join(map(str, caught.value.problems))


def test_members_are_told_at_the_depth_that_is_asked_for() -> None:
    text = '{"x": {"deep": {"er": [1, {}]}}, "a": {"b": {"c": [1], "d": 2}, "e": 3}, "l": [{"k": 1}, 2]}'
    assert [(("a", "b", "c"), [1]), (("a", "b", "d"), 2)] == list(entries(text, "f", {"a": 3}))
    assert [(("l", "0"), {"k": 1}), (("l", "1"), 2)] == list(entries(text, "f", {"l": 2}))


# --- savings plans ------------------------------------------------------------------------------------------------


def savings_plan(folder: Path, *plans: dict[str, Any], region: str = "us-east-1", day: str = "2026-11-01") -> Path:
    content = {
        "version": "20261101000000",
        "publicationDate": f"{day}T00:00:00Z",
        "regionCode": region,
        "products": [plan["product"] for plan in plans],
        "terms": {"savingsPlan": [plan["term"] for plan in plans]},
    }
    path = folder / "sp.json"
    path.write_text(json.dumps(content))
    return path


def plan(
    rates: dict[str, str],
    family: str = "ComputeSavingsPlans",
    payment: str = "No Upfront",
    years: int = 1,
    **other: Any,
) -> dict[str, Any]:
    sku = f"{family}{payment}{years}"
    currency = other.pop("currency", "USD")
    duration = other.pop("duration", years)
    return {
        "product": {
            "sku": sku,
            "productFamily": family,
            "attributes": {"purchaseOption": payment, "purchaseTerm": f"{years}yr"} | other,
        },
        "term": {
            "sku": sku,
            "leaseContractLength": {"duration": duration, "unit": "year"},
            "rates": [
                {"discountedSku": unit, "discountedServiceCode": "AmazonEC2", "rateCode": f"{sku}.{unit}",
                 "unit": "Hrs", "discountedRate": {"price": amount, "currency": currency}}
                for unit, amount in rates.items()
            ],
        },
    }  # fmt: skip


@pytest.fixture
def ec2(tmp_path: Path) -> Path:
    products = [
        product("S", "g5.xlarge"),
        product("W", "g5.xlarge", operatingSystem="Windows"),
        product("M", "m6a.xlarge"),
    ]
    return price_list(tmp_path, products, [offer("S", "1.006"), offer("M", "0.1728")], [])


def test_both_kinds_of_savings_plans_are_imported_with_the_prices_that_they_discount(tmp_path: Path, ec2: Path) -> None:
    """A savings plan's rate is the effective one, whatever of it is paid upfront."""
    file = savings_plan(
        tmp_path,
        plan({"S": "0.7042", "W": "0.9"}),
        plan({"S": "0.66", "M": "0.11"}, payment="All Upfront", years=3),
        plan({"S": "0.6"}, family="EC2InstanceSavingsPlans", payment="Partial Upfront", instanceType="g5"),
    )
    result = import_aws_savings_plan(file, [ec2])
    assert {
        ("g5.xlarge", "on_demand"): (1.006, None),
        ("m6a.xlarge", "on_demand"): (0.1728, None),
        ("g5.xlarge", "savings_plan_compute_1y_no_upfront"): (0.7042, 0.0),
        ("g5.xlarge", "savings_plan_compute_3y_all_upfront"): (0.66, pytest.approx(0.66 * 26_280)),
        ("m6a.xlarge", "savings_plan_compute_3y_all_upfront"): (0.11, pytest.approx(0.11 * 26_280)),
        ("g5.xlarge", "savings_plan_ec2_instance_1y_partial_upfront"): (0.6, None),
    } == usd(result)
    assert {"rates of units that no price list given holds as Linux, shared and in use": 1} == result.skipped
    assert (5, ()) == (result.read, result.refused)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (plan({"S": "0.7"}, currency="EUR"), "g5.xlarge in us-east-1 must be in US dollars, got EUR"),
        (plan({"S": "0"}), "g5.xlarge in us-east-1 must be greater than 0"),
        (plan({"S": "0.7"}, duration=3), "must have a family, a payment option and one term of 1 or 3 years"),
        (plan({"S": "0.7"}, payment="Some Upfront"), "must have a family, a payment option and one term"),
        (
            plan({"S": "0.6"}, family="EC2InstanceSavingsPlans", payment="All Upfront", instanceType="p5"),
            "must be of the plan's family p5, got g5.xlarge",
        ),
    ],
)
def test_a_rate_that_cannot_be_billed_is_refused_by_name(
    tmp_path: Path, ec2: Path, bad: dict[str, Any], says: str
) -> None:
    good = plan({"M": "0.13965"}, payment="Partial Upfront", years=3)
    result = import_aws_savings_plan(savings_plan(tmp_path, good, bad), [ec2])
    assert ("m6a.xlarge", "savings_plan_compute_3y_partial_upfront") in usd(result)
    assert says in str(result.refused[0])


def test_plans_for_other_services_are_counted(tmp_path: Path, ec2: Path) -> None:
    file = savings_plan(tmp_path, plan({"S": "0.7"}), plan({"S": "0.5"}, family="MachineLearningSavingsPlans"))
    assert {"rates of MachineLearningSavingsPlans: they cover no EC2 instance": 1} == import_aws_savings_plan(
        file, [ec2]
    ).skipped


def test_a_price_list_of_another_region_says_so(tmp_path: Path, ec2: Path) -> None:
    file = savings_plan(tmp_path, plan({"X": "0.7"}), region="eu-west-1")
    with pytest.raises(InputError, match="price lists given, which are of us-east-1, got eu-west-1"):
        import_aws_savings_plan(file, [ec2])


def test_files_of_different_days_are_said(tmp_path: Path, ec2: Path) -> None:
    file = savings_plan(tmp_path, plan({"S": "0.7"}), day="2026-05-01")
    assert "the files are of different days: 2026-05-01, 2026-11-01" in import_aws_savings_plan(file, [ec2]).notes[0]


def test_a_savings_plans_file_without_a_price_list_names_the_option(tmp_path: Path) -> None:
    file = savings_plan(tmp_path, plan({"S": "0.7"}))
    with pytest.raises(InputError, match="--price-list: must be given: the file names machines by stock-keeping unit"):
        import_aws_savings_plan(file, [])


def test_one_file_given_for_the_other_is_told_apart(tmp_path: Path, ec2: Path) -> None:
    with pytest.raises(InputError, match="must be a price list of savings plans"):
        import_aws_savings_plan(ec2, [ec2])
    with pytest.raises(InputError, match="must be an EC2 price list"):
        import_aws_price_list(savings_plan(tmp_path, plan({"S": "0.7"})))


def test_options_that_the_file_answers_are_refused(tmp_path: Path, ec2: Path) -> None:
    with pytest.raises(InputError) as caught:
        options = ImportOptions(provider="gcp", region="us-east-1", zones=True)
        import_prices("aws-price-list", ec2, tmp_path / "out.csv", options)
    assert ["--provider", "--region", "--zones"] == [problem.path for problem in caught.value.problems]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, member in members for place in places(member, (*path, key)))]


@pytest.mark.parametrize("odd", [None, [], {}, "x", -1.5], ids=repr)
def test_a_value_of_another_kind_anywhere_is_told_or_left_out(tmp_path: Path, ec2: Path, odd: object) -> None:
    """AWS's files are edited by hand and cut by tools: whatever stands in them, no traceback, and what comes loads."""
    plans = savings_plan(tmp_path, plan({"S": "0.7042"}), plan({"M": "0.1"}, payment="All Upfront", years=3))
    for file in (ec2, plans):
        whole = file.read_text()
        for path in places(json.loads(whole))[1:]:
            content = json.loads(whole)
            holder = content
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = odd
            file.write_text(json.dumps(content))
            with suppress(InputError):
                result = import_aws_savings_plan(plans, [ec2])
                write_catalogue(result.rows, tmp_path / "out.csv")
                assert result.rows == load_catalogue(tmp_path / "out.csv").prices
        file.write_text(whole)
