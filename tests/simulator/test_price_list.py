"""Price lists: every row that must not be billed is refused by name, and what is written reads back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from calibration.csv_sheet import MAX_FILE_BYTES
from calibration.problems import InputError
from simulator.price_cells import SENTINELS_USD, write_catalogue
from simulator.price_list import COLUMNS, Price
from simulator.prices import find_price, load_catalogue

HEADER = ",".join(COLUMNS)


def price(instance_type: str = "g6.xlarge", usd: float = 0.8048, **other: str) -> Price:
    place = {"provider": "aws", "region": "us-east-1", "price_type": "on_demand", "as_of": "2026-01-19"}
    return Price(
        usd, instance_type=instance_type, accelerator="L4", accelerator_count=1.0, source="list", **place | other
    )


def written(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def messages(path: Path) -> list[str]:
    """What loading says, without the directory."""
    with pytest.raises(InputError) as caught:
        load_catalogue(path)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


# --- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("", "g6.xlarge has no price. Write"),
        ("0", "the price of g6.xlarge must be greater than 0, got 0. Nothing is free"),
        ("0.000", "the price of g6.xlarge must be greater than 0, got 0.000."),
        ("-1", "the price of g6.xlarge must be greater than 0, got -1."),
        ("1e-400", "the price of g6.xlarge must be greater than 0, got 1e-400."),
        ("nan", "the price of g6.xlarge must be a finite number, got nan."),
        ("-Infinity", "the price of g6.xlarge must be a finite number, got -Infinity."),
        ("1e999", "the price of g6.xlarge must be below 1,000,000 USD per hour, got 1e999."),
        ("1e6", "the price of g6.xlarge must be below 1,000,000 USD per hour, got 1e6."),
        ("n/a", "the price of g6.xlarge must be a number, got n/a."),
        ("$0.80", "the price of g6.xlarge must be a number, got $0.80."),
        ('"0,80"', "the price of g6.xlarge must be a number, got 0,80."),
        ("1_0", "the price of g6.xlarge must be a number, got 1_0."),
        ("٣", "the price of g6.xlarge must be a number, got ٣."),
        ("700.0", 'the price of g6.xlarge must be a real one: 700 stands for "not offered" in price lists, got 700.0.'),
        ("7.0e2", 'the price of g6.xlarge must be a real one: 700 stands for "not offered" in price lists, got 7.0e2.'),
        ("99999", "must be a real one: 99999 stands for"),
    ],
)
def test_a_price_that_cannot_be_billed_is_refused_by_the_name_of_its_instance(
    tmp_path: Path, cell: str, says: str
) -> None:
    """A fleet would look free, or cost 700 dollars an hour."""
    (message,) = messages(written(tmp_path, f"aws,us-east-1,g6.xlarge,L4,1,on_demand,{cell},2026-01-19,list"))
    assert message.startswith("prices.csv:2:40: usd_per_hour: ")
    assert says in message


def test_every_stand_in_for_not_offered_is_refused(tmp_path: Path) -> None:
    rows = [f"gcp,r{row},tpu-v6e-1,,,spot,{usd!r},2026,list" for row, usd in enumerate(SENTINELS_USD)]
    assert len(SENTINELS_USD) == sum("price of tpu-v6e-1" in message for message in messages(written(tmp_path, *rows)))


def test_a_price_beside_a_stand_in_is_a_price(tmp_path: Path) -> None:
    path = written(tmp_path, "aws,us-east-1,big,,,on_demand,700.01,2026-01-19,list")
    assert 700.01 == find_price([load_catalogue(path)], "big").usd_per_hour


@pytest.mark.parametrize("blank", ["provider", "instance_type", "price_type", "as_of", "source"])
def test_a_row_must_say_whose_price_it_is_of_when_and_from_where(tmp_path: Path, blank: str) -> None:
    cells = dict.fromkeys(COLUMNS, "1") | {"instance_type": "g6.xlarge", "as_of": "2026-01-19"}
    path = written(tmp_path, ",".join((cells | {blank: ""}).values()))
    (message,) = messages(path)
    assert f": {blank}: {'this row' if blank == 'instance_type' else 'g6.xlarge'} has no {blank}. Write" in message


@pytest.mark.parametrize(
    "when", ["19/01/2026", "2026-13-01", "2026-02-30", "yesterday", "26-01-19", "2026-01-19T00:00"]
)
def test_a_date_that_is_not_iso_is_refused(tmp_path: Path, when: str) -> None:
    (message,) = messages(written(tmp_path, f"aws,,g6.xlarge,,,on_demand,0.8,{when},list"))
    assert message == (
        f"prices.csv:2:32: as_of: as_of of g6.xlarge must be an ISO date, got {when}. "
        "Write it as 2026-01-19, 2026-01 or 2026."
    )


@pytest.mark.parametrize("count", ["-1", "many", "nan", "1e999"])
def test_a_number_of_accelerators_that_is_none_is_refused(tmp_path: Path, count: str) -> None:
    (message,) = messages(written(tmp_path, f"aws,,g6.xlarge,L4,{count},on_demand,0.8,2026,list"))
    assert "accelerator_count of g6.xlarge must be a number, 0 or greater" in message


def test_all_bad_rows_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A person would mend a list of 300 rows one run at a time."""
    rows = [
        "aws,us-east-1,a,,,on_demand,0,2026-01-19,list",
        "aws,us-east-1,b,,,on_demand,1.0,2026-01-19,list",
        ",us-east-1,c,,,on_demand,,soon,",
        "aws,us-east-1,b,,,on_demand,1.5,2026-01-19,list",
    ]
    places = [message.split(" ")[0:2] for message in messages(written(tmp_path, *rows))]
    assert [
        ["prices.csv:2:29:", "usd_per_hour:"],
        ["prices.csv:4:1:", "provider:"],
        ["prices.csv:4:26:", "usd_per_hour:"],
        ["prices.csv:4:27:", "as_of:"],
        ["prices.csv:4:32:", "source:"],
        ["prices.csv:5:1:", "usd_per_hour:"],
    ] == places


def test_two_prices_for_one_thing_on_one_day_are_refused(tmp_path: Path) -> None:
    rows = [
        f"{who},us-east-1,g6.xlarge,L4,1,on_demand,{usd},2026-01-19,list" for who, usd in (("aws", 0.8), ("AWS", 0.9))
    ]
    (message,) = messages(written(tmp_path, *rows))
    assert message == (
        "prices.csv:3:1: usd_per_hour: the on-demand price of g6.xlarge in AWS us-east-1 on 2026-01-19 must be stated "
        "once, line 2 says 0.8, got 0.9. Delete one of the two rows, or date them."
    )


def test_a_row_said_twice_counts_once_and_is_noted(tmp_path: Path) -> None:
    row = "aws,us-east-1,g6.xlarge,L4,1,on_demand,0.8,2026-01-19,list"
    path = written(tmp_path, row, row)
    loaded = load_catalogue(path)
    assert (1, (f"{path}: 1 repeated row ignored",)) == (len(loaded.prices), loaded.notes)


def test_columns_may_stand_in_any_order_and_others_are_ignored_with_a_note(tmp_path: Path) -> None:
    header = "vcpus,source,as_of,usd_per_hour,price_type,instance_type,provider"
    path = written(tmp_path, "", '4,"a, list",2026-01-19,0.8048,On-Demand,g6.xlarge,aws', ",,,,,,", header=header)
    loaded = load_catalogue(path)
    found = Price(0.8048, "aws", "", "g6.xlarge", "", None, "on_demand", "2026-01-19", "a, list")
    assert (found,) == loaded.prices
    assert (str(path), 3) == (loaded.prices[0].file, loaded.prices[0].line)
    assert (f"{path}: columns ignored: vcpus",) == loaded.notes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must not be empty"),
        (HEADER.encode(), "must hold a price"),
        (
            b"instance_type,usd_per_hour\ng6,1\n",
            "must have the columns provider, price_type, as_of, source, got instance_type",
        ),
        (HEADER.replace(",", ";").encode(), "in its first row, separated by commas."),
        (f"{HEADER},source\n".encode(), "source: must stand once in the header"),
        (f"{HEADER}\naws,g6\n".encode(), "prices.csv:2: must have 9 cells like the header, got 2."),
        (f'{HEADER}\n"aws,g6\n'.encode(), "must be a CSV file: unexpected end of data"),
        (f"{HEADER}\naws,é\n".encode("latin-1"), "must be UTF-8 text, byte"),
        (b"\xff\xfe\x00\x01", "must be UTF-8 text, byte 0 is not"),
    ],
)
def test_a_file_that_is_no_price_list_says_what_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    assert says in "\n".join(messages(path))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "must be a file that exists" in messages(tmp_path / "absent.csv")[0]
    assert "not a directory" in messages(tmp_path)[0]
    assert "must be a regular file" in messages(Path("/dev/null"))[0]
    assert "must be a file that can be read" in messages(tmp_path / ("x" * 300))[0]
    assert "must be a file that can be read" in messages(Path("prices\0.csv"))[0]


def test_a_file_too_large_to_be_a_price_list_is_not_read(tmp_path: Path) -> None:
    """A trace given by mistake would fill the memory."""
    path = tmp_path / "prices.csv"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # sparse
    assert messages(path) == ["prices.csv: must be smaller than 256 MiB. Keep only the rows that are needed."]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """Spreadsheets write both."""
    path = tmp_path / "prices.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\naws,,g6.xlarge,L4,1,on_demand,0.8,2026-01-19,list\r\n".encode())
    assert 0.8 == find_price([load_catalogue(path)], "g6.xlarge").usd_per_hour


def test_the_line_of_a_row_after_a_cell_of_several_lines_is_right(tmp_path: Path) -> None:
    rows = ['aws,,a,,,on_demand,1,2026,"two\nlines"', "aws,,b,,,on_demand,0,2026,list"]
    (message,) = messages(written(tmp_path, *rows))
    assert message.startswith("prices.csv:4:20: usd_per_hour: the price of b ")
    (message,) = messages(written(tmp_path, 'aws,"two\nlines",b,,,on_demand,0,2026,list'))
    assert message.startswith("prices.csv:2:1: usd_per_hour: the price of b ")


# --- writing ----------------------------------------------------------------------------------------------------


def test_a_written_catalogue_reads_back_to_the_same_prices(tmp_path: Path) -> None:
    prices = (
        price(usd=0.1 + 0.2),
        price('odd, "name"', usd=1e-7, region="", as_of="2024-Q4 (page of that quarter)"),
        Price(3.0, "azure", "centralus", "NV12ads", "A10 (1/3 GPU)", 1 / 3, "spot", "2026", "list\nof two lines"),
        Price(3.0, "gcp", "us", "c3", "", None, "cud_1y", "2026-07", "list"),
    )
    write_catalogue(prices, tmp_path / "out.csv")
    read = load_catalogue(tmp_path / "out.csv").prices
    assert prices[:2] == read[:2]
    assert [price.accelerator_count for price in prices] == pytest.approx([price.accelerator_count for price in read])
    assert ["out.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Half a price list would be billed without complaint."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(AttributeError):
        write_catalogue([price(), None], path)  # type: ignore[list-item]
    assert ("old", ["out.csv"]) == (path.read_text(), [path.name for path in tmp_path.iterdir()])


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "out.csv", Path("/dev/null")):
        with pytest.raises(InputError, match="must be a file that can be written"):
            write_catalogue([price()], path)


# --- age --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "today", "says"),
    [
        ("2026-01-19", "2026-11-22", "price is 10 months old (2026-01-19)"),
        ("2026-01-19", "2026-07-19", None),
        ("2026-01-19", "2026-07-20", "price is 6 months old (2026-01-19)"),
        ("2026-01-19", "2026-01-01", None),
        ("2025-01-19", "2027-01-18", "price is 23 months old (2025-01-19)"),
        ("2026", "2026-11-22", "price may be 10 months old (2026)"),
        ("2024-Q4", "2025-11-22", "price may be 13 months old (2024-Q4)"),
    ],
)
def test_a_price_older_than_six_months_says_its_age(as_of: str, today: str, says: str | None) -> None:
    assert says == price(as_of=as_of).age_note(dt.date.fromisoformat(today))


def test_a_price_made_by_hand_without_a_date_has_no_age() -> None:
    with pytest.raises(ValueError, match=r"as_of of g6\.xlarge must be an ISO date, got 'soon'"):
        price(as_of="soon").age_note(dt.date(2026, 11, 22))
