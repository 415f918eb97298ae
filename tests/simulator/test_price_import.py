"""Importers: what comes out can be billed and loads as a price list; what must not be billed is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.problems import InputError
from simulator.price_cells import SENTINELS_USD
from simulator.price_import import IMPORTERS, ImportOptions, import_own_csv, import_prices
from simulator.price_list import PriceImport
from simulator.prices import find_price, load_catalogue
from simulator.skypilot import import_skypilot

SAMPLE = Path(__file__).resolve().parents[2] / "../shared/samples/in/skypilot_aws_vms.csv"

AWS = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch"
)
LAMBDA = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice"
GCP = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice"
GPU_INFO = "\"{'Gpus': [{'Name': 'A10G', 'Manufacturer': 'NVIDIA', 'Count': 4, 'MemoryInfo': {'SizeInMiB': 22888}}]}\""


def written(tmp_path: Path, header: str, *rows: str) -> Path:
    path = tmp_path / "vms.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def imported(tmp_path: Path, header: str, *rows: str) -> PriceImport:
    return import_skypilot(written(tmp_path, header, *rows), "aws", "2026-01-19")


def usd_by_type(result: PriceImport) -> dict[tuple[str, str], float]:
    return {(price.instance_type, price.price_type): price.usd_per_hour for price in result.rows}


def problems_of(error: pytest.ExceptionInfo[InputError]) -> str:
    return "\n".join(str(problem) for problem in error.value.problems)


# --- SkyPilot ---------------------------------------------------------------------------------------------------


def test_the_sample_goes_through_a_price_list_to_a_price(tmp_path: Path) -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples/in/skypilot_aws_vms.csv is absent")
    out = tmp_path / "prices.csv"
    result = import_prices("skypilot", SAMPLE, out, ImportOptions(provider="aws", as_of="2026-01-19"))
    catalogue = load_catalogue(out)
    assert (result.rows, ()) == (catalogue.prices, catalogue.notes)
    found = find_price([catalogue], "g5.xlarge", region="us-east-1")
    assert (1.006, "A10G", 1.0, "aws", "us-east-1", "2026-01-19") == (
        found.usd_per_hour,
        found.accelerator,
        found.accelerator_count,
        found.provider,
        found.region,
        found.as_of,
    )
    assert found.source == "SkyPilot catalogue skypilot_aws_vms.csv"
    assert 0.1432 == find_price([catalogue], "c7i.2xlarge", price_type="spot").usd_per_hour


def test_the_order_of_the_columns_does_not_matter(tmp_path: Path) -> None:
    """It differs from cloud to cloud: a position would read memory as a price."""
    aws = imported(tmp_path, AWS, "g5.12xlarge,A10G,4.0,48,192,,5.672,2.0453,us-east-1,use1-az2,x86_64")
    other = imported(tmp_path, LAMBDA, "g5.12xlarge,A10G,4.0,48,192,5.672,us-east-1,,2.0453")
    assert aws.rows == other.rows


def test_a_file_without_spot_prices_or_zones_is_read(tmp_path: Path) -> None:
    result = imported(tmp_path, "Region,Price,InstanceType", "eu,2.95,gpu-h100")
    assert {("gpu-h100", "on_demand"): 2.95} == usd_by_type(result)
    assert {} == result.skipped


def test_gpu_info_tells_the_accelerator_where_its_columns_do_not(tmp_path: Path) -> None:
    """It is a Python literal, not JSON."""
    row = imported(tmp_path, AWS, f"g5.12xlarge,,,48,192,{GPU_INFO},5.672,,us-east-1,a,").rows[0]
    assert ("A10G", 4.0) == (row.accelerator, row.accelerator_count)


@pytest.mark.parametrize("text", ["{'Gpus': []}", "{broken", "{'Gpus': 3}", "{}", "__import__('os')", "{" * 200])
def test_gpu_info_that_is_none_leaves_the_accelerator_blank(tmp_path: Path, text: str) -> None:
    row = imported(tmp_path, AWS, f'g5,,,48,192,"{text}",5.672,,us-east-1,a,').rows[0]
    assert ("", 0.0) == (row.accelerator, row.accelerator_count)


def test_blank_prices_are_not_offered_and_are_counted(tmp_path: Path) -> None:
    result = imported(tmp_path, AWS, "a,,,,,,1.0,,us-east-1,z1,", "b,,,,,,,0.3,us-east-1,z1,", "c,,,,,,,,us-east-1,z1,")
    assert {("a", "on_demand"): 1.0, ("b", "spot"): 0.3} == usd_by_type(result)
    assert {"no SpotPrice: not offered": 2, "no Price: not offered": 2} == result.skipped
    assert () == result.refused


@pytest.mark.parametrize("cell", ["0", "0.0", *map(repr, SENTINELS_USD), "7e2", "nan", "-1", "free"])
def test_a_price_that_stands_for_none_is_refused_by_name_and_the_rest_imported(tmp_path: Path, cell: str) -> None:
    """SkyPilot lists TPU slices at 700.0 where a zone has none, and once listed the H200 at 0 (issue 4657)."""
    result = imported(tmp_path, AWS, f"p5e.48xlarge,H200,8,,,,{cell},,us-east-1,z1,", "a,,,,,,1.0,,us-east-1,z1,")
    assert {("a", "on_demand"): 1.0} == usd_by_type(result)
    (problem,) = result.refused
    assert ("Price", 2) == (problem.path, problem.line)
    assert "the price of p5e.48xlarge must be" in problem.rule
    assert "refused: " in result.describe()


def test_a_refused_spot_price_does_not_take_the_on_demand_price_with_it(tmp_path: Path) -> None:
    result = imported(tmp_path, AWS, "a,,,,,,2.7,700.0,us-east-1,z1,")
    assert {("a", "on_demand"): 2.7} == usd_by_type(result)
    assert [("SpotPrice", "700.0")] == [(problem.path, problem.value) for problem in result.refused]


def test_a_number_of_accelerators_that_is_none_is_refused(tmp_path: Path) -> None:
    result = imported(tmp_path, AWS, "b,T4,lots,,,,1.0,,us-east-1,z1,", "a,,,,,,1.0,,us-east-1,z1,")
    assert {("a", "on_demand"): 1.0} == usd_by_type(result)
    assert ["accelerator_count of b must be a number, 0 or greater"] == [problem.rule for problem in result.refused]


def test_one_rule_broken_in_many_zones_is_one_refusal(tmp_path: Path) -> None:
    rows = [f"tpu,,,,,,700.0,,r{row},z{row}," for row in range(30)]
    (problem,) = imported(tmp_path, AWS, "a,,,,,,1.0,,us-east-1,z1,", *rows).refused
    assert problem.rule.endswith("(and in 29 more rows)")


@pytest.mark.parametrize(
    ("spot", "kind"),
    [
        ("0.616", "equal to the on-demand price"),
        ("0.7", "above the on-demand price"),
        ("0.0616", "exactly 10 % of the on-demand price"),
        ("0.061600", "exactly 10 % of the on-demand price"),
    ],
)
def test_a_spot_price_that_looks_like_a_placeholder_is_imported_with_a_note(
    tmp_path: Path, spot: str, kind: str
) -> None:
    """AWS ca-central-1 and eu-south-2 had such rows: a plan on spot would rest on them."""
    result = imported(tmp_path, AWS, f"g4dn.xlarge,T4,1,,,,0.616,{spot},eu-south-2,eus2-az2,")
    assert float(spot) == usd_by_type(result)["g4dn.xlarge", "spot"]
    assert result.notes == (f"spot price {kind} in 1 row (g4dn.xlarge in eus2-az2): check it before planning with it",)


def test_an_ordinary_spot_price_is_not_noted(tmp_path: Path) -> None:
    assert () == imported(tmp_path, AWS, "g4dn.xlarge,T4,1,,,,0.616,0.0974,eu-south-1,eus1-az3,").notes


def test_a_region_whose_zones_differ_has_the_price_of_its_median_zone(tmp_path: Path) -> None:
    """The cheapest zone is where stale prices are: us-west-2's local zones list a T4 at a third of the others."""
    spot = ["0.2464", "0.2479", "0.2386", "0.0631", "0.0723"]
    rows = [f"g4dn.xlarge,T4,1,,,,0.526,{usd},us-west-2,z{zone}," for zone, usd in enumerate(spot)]
    on_demand, median = imported(tmp_path, AWS, *rows).rows
    assert (0.526, "SkyPilot catalogue vms.csv") == (on_demand.usd_per_hour, on_demand.source)
    assert (0.2386, "SkyPilot catalogue vms.csv; median of 5 zones, 0.0631 to 0.2479") == (
        median.usd_per_hour,
        median.source,
    )


def test_of_two_zones_the_dearer_one_is_taken(tmp_path: Path) -> None:
    rows = [f"a,,,,,,{usd},,us-east-1,z," for usd in (1.0, 2.0)]
    assert {("a", "on_demand"): 2.0} == usd_by_type(imported(tmp_path, AWS, *rows))


# Google: host 0.73948 and A100 2.93391 in us-central1 are the catalogue's of 2025; together the 3.67339 USD that
# Google's own price list gives for a2-highgpu-1g.
HOST = "a2-highgpu-1g,12.0,85.0,,,,us-central1,us-central1-a,0.73948,0.36975"
A100 = ",,,A100,1.0,A100,us-central1,us-central1-a,2.93391,1.17356"


def test_a_google_machine_costs_its_host_and_its_accelerators(tmp_path: Path) -> None:
    """The host row alone reads as an A100 at a fifth of its price (skypilot-catalog issue 31)."""
    result = imported(tmp_path, GCP, HOST, A100, "n2-standard-4,4,16,,,,us-central1,us-central1-a,0.194236,0.04")
    assert 3.67339 == usd_by_type(result)["a2-highgpu-1g", "on_demand"]
    assert 1.54331 == usd_by_type(result)["a2-highgpu-1g", "spot"]
    assert 0.194236 == usd_by_type(result)["n2-standard-4", "on_demand"]
    assert ("A100", 1.0) == (result.rows[0].accelerator, result.rows[0].accelerator_count)
    assert {"an accelerator alone: its price is part of the machines that have it": 1} == result.skipped


def test_each_size_of_a_google_machine_gets_as_many_accelerators_as_it_has(tmp_path: Path) -> None:
    hosts = [f"g2-standard-{size},,,,,,r,z,1,,".rstrip(",") + "," for size in (4, 24, 48, 96)]
    cards = [f",,,L4,{count},,r,z,{count}.5," for count in (1, 2, 4, 8)]
    assert [2.5, 3.5, 5.5, 9.5] == [price.usd_per_hour for price in imported(tmp_path, GCP, *hosts, *cards).rows]


@pytest.mark.parametrize(
    "rows",
    [
        (HOST,),
        (HOST, A100.replace("us-central1-a", "us-central1-f")),
        (HOST, A100.replace(",1.0,", ",2.0,")),
        (HOST, A100.replace("2.93391", "700.0").replace("1.17356", "700.0")),
        (HOST.replace("a2-highgpu-1g", "a9-hypergpu-8g"), A100),
    ],
)
def test_a_google_host_whose_accelerators_have_no_price_is_refused(tmp_path: Path, rows: tuple[str, ...]) -> None:
    result = imported(tmp_path, GCP, "n2-standard-4,4,16,,,,r,z,0.2,", *rows)
    assert {("n2-standard-4", "on_demand"): 0.2} == usd_by_type(result)
    name = rows[0].split(",")[0]
    assert ["Price", "SpotPrice"] == [problem.path for problem in result.refused]
    assert {f"the price of {name} must include its accelerators: it is of the host alone"} == {
        problem.rule for problem in result.refused
    }


def test_a_tpu_slice_is_an_instance_type_of_its_own(tmp_path: Path) -> None:
    result = imported(tmp_path, GCP, ",,,tpu-v6e-8,1,tpu-v6e-8,us-central1,us-central1-a,21.6,4.35366")
    assert {("tpu-v6e-8", "on_demand"): 21.6, ("tpu-v6e-8", "spot"): 4.35366} == usd_by_type(result)


def test_a_file_or_option_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        import_skypilot(written(tmp_path, "a,b", "1,2"), " ", "today")
    said = problems_of(caught)
    assert (
        "vms.csv:1:1: must have the columns InstanceType, Region, Price, got a, b. Name the columns of a SkyPilot"
        in said
    )
    assert "<command line>: --provider: must name the cloud the file is of" in said
    assert "<command line>: --as-of: must be an ISO date, got today." in said


def test_a_file_with_nothing_to_bill_is_refused_with_every_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, AWS, "a,,,,,,0,700.0,us-east-1,z1,")
    assert ["", "Price", "SpotPrice"] == [problem.path for problem in caught.value.problems]


cells = st.sampled_from(["", "0", "700.0", "0.5", "1.25", "nan", "x", "1e-3"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "a2-highgpu-1g", ""]), cells, cells, st.sampled_from(["r", "R", "s"])),
        min_size=1,
    )
)
def test_whatever_is_imported_loads_as_a_price_list(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    """An import that succeeds would break the scenario that names it."""
    folder = tmp_path_factory.mktemp("import")
    path = written(folder, "InstanceType,Price,SpotPrice,Region", *(",".join(row) for row in rows))
    try:
        result = import_prices("skypilot", path, folder / "out.csv", ImportOptions(provider="gcp", as_of="2026"))
    except InputError:
        assert not (folder / "out.csv").exists()
    else:
        assert result.rows == load_catalogue(folder / "out.csv").prices


# --- a CSV of the user's own --------------------------------------------------------------------------------------


OWN = ["Machine,Price (USD),Where", "g6.xlarge,0.55,us-east-1", "p5.48xlarge,39.80,us-east-1"]
NAMED = {"instance_type": "Machine", "usd_per_hour": "Price (USD)", "region": "Where"}


def test_a_csv_of_ones_own_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    """Negotiated prices come in whatever table procurement keeps."""
    path, out = written(tmp_path, *OWN), tmp_path / "prices.csv"
    result = import_prices("csv", path, out, ImportOptions(provider="aws", as_of="2026-10-01", columns=NAMED))
    found = find_price([load_catalogue(out)], "p5.48xlarge")
    assert (39.8, "on_demand", "2026-10-01", "vms.csv") == (
        found.usd_per_hour, found.price_type, found.as_of, found.source,
    )  # fmt: skip
    assert f"{path}: 2 prices (2 on demand) imported from 2 rows" == result.describe()


def test_a_value_for_all_rows_fills_blank_cells_only(tmp_path: Path) -> None:
    path = written(tmp_path, "provider,instance_type,usd_per_hour,as_of", "aws,a,1,2026-01-01", ",b,2,")
    rows = import_own_csv(path, constants={"provider": "own", "as_of": "2026-10-01"}).rows
    assert [("aws", "2026-01-01"), ("own", "2026-10-01")] == [(row.provider, row.as_of) for row in rows]


def test_bad_rows_of_ones_own_file_are_all_reported_and_nothing_is_written(tmp_path: Path) -> None:
    path, out = written(tmp_path, *OWN, "h,0,", ",1,", "g6.xlarge,0.60,us-east-1"), tmp_path / "prices.csv"
    with pytest.raises(InputError) as caught:
        import_prices("csv", path, out, ImportOptions(provider="aws", as_of="2026-10-01", columns=NAMED))
    said = problems_of(caught)
    assert "vms.csv:4:3: Price (USD): the price of h must be greater than 0, got 0." in said
    assert "vms.csv:5:1: Machine: this row has no instance_type." in said
    assert "g6.xlarge in aws us-east-1 on 2026-10-01 must be stated once, line 2 says 0.55, got 0.6." in said
    assert not out.exists()


def test_columns_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        import_own_csv(written(tmp_path, *OWN), NAMED | {"source": "Quote", "regoin": "Where"})
    said = problems_of(caught)
    assert "<command line>: --column: must name a column of a price list, got regoin. Did you mean region?" in said
    assert "vms.csv:1:1: must have the column 'Quote' for source, got Machine, Price (USD), Where." in said
    assert "vms.csv:1:1: must say provider, as_of, got Machine, Price (USD), Where." in said


def test_a_file_of_ones_own_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a price"):
        import_own_csv(written(tmp_path, OWN[0]), NAMED, {"provider": "aws", "as_of": "2026"})


# --- writing it out -----------------------------------------------------------------------------------------------


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=f"must be a format that can be imported, got xls. Choose one of {', '.join(IMPORTERS)}"
    ):
        import_prices("xls", "in.xls", tmp_path / "out.csv")


def test_an_option_that_a_format_cannot_use_is_refused(tmp_path: Path) -> None:
    """``--region`` would look like a filter and do nothing."""
    path = written(tmp_path, AWS, "a,,,,,,1.0,,us-east-1,z1,")
    with pytest.raises(InputError) as caught:
        import_prices(
            "skypilot", path, tmp_path / "out.csv", ImportOptions("aws", region="us-east-1", columns={"a": "b"})
        )
    assert ["--region", "--column"] == [problem.path for problem in caught.value.problems]


def test_the_file_that_is_read_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, AWS, "a,,,,,,1.0,,us-east-1,z1,")
    with pytest.raises(InputError, match="must be another file than the one that is read"):
        import_prices("skypilot", path, path, ImportOptions(provider="aws", as_of="2026"))
    assert path.read_text().startswith("InstanceType")


def test_an_option_that_is_no_text_is_an_error_of_the_input(tmp_path: Path) -> None:
    """Bytes of a command line that are not UTF-8 arrive as lone surrogates; writing them would end in a traceback."""
    path = written(tmp_path, AWS, "a,,,,,,1.0,,us-east-1,z1,")
    with pytest.raises(InputError, match="must be written in characters of Unicode"):
        import_prices("skypilot", path, tmp_path / "out.csv", ImportOptions(provider="\udcff", as_of="2026"))
    assert ["vms.csv"] == [file.name for file in tmp_path.iterdir()]


@pytest.mark.parametrize("format", IMPORTERS)
def test_every_importer_reports_a_file_that_is_absent(tmp_path: Path, format: str) -> None:
    options = ImportOptions("aws", as_of="2026", price_lists=["absent.json"] if format == "aws-savings-plan" else [])
    with pytest.raises(InputError, match="must be a file that exists"):
        import_prices(format, tmp_path / "absent.csv", tmp_path / "out.csv", options)
    assert [] == list(tmp_path.iterdir())
