"""Times written as text become the exact nanosecond, or are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import LATEST_NS, NS_PER_S
from simulator.time_text import (
    BLANK,
    DIGITS_BY_UNIT,
    NEGATIVE,
    NOT_A_NUMBER,
    NOT_A_TIMESTAMP,
    READ,
    TOO_LATE,
    cells_from,
    ns_from_decimals,
    ns_from_timestamps,
)


@given(
    st.decimals(0, 10**9, allow_nan=False, allow_infinity=False), st.sampled_from(sorted(DIGITS_BY_UNIT)), st.booleans()
)
def test_a_decimal_is_read_to_the_nearest_nanosecond(number: Decimal, unit: str, plain: bool) -> None:
    """A float in between would move requests, and move them apart or together, from 100 ns on."""
    text = f"{number:f}" if plain else f"{number:e}"
    if len(text) > 64:
        return
    exact = int((Decimal(text) * 10 ** DIGITS_BY_UNIT[unit]).to_integral_value(ROUND_HALF_UP))
    ns, verdict = ns_from_decimals(cells_from([text, "1"]), unit)
    assert [READ, READ] == verdict.tolist()
    assert exact == ns[0]


@pytest.mark.parametrize(
    ("text", "ns", "verdict"),
    [
        ("1.2345678", 1_234_567_800, READ),
        ("0.0000000005", 1, READ),
        ("0.00000000049999999999999999999", 0, READ),
        ("5.", 5 * NS_PER_S, READ),
        (".5", NS_PER_S // 2, READ),
        ("+2", 2 * NS_PER_S, READ),
        ("-0", 0, READ),
        (" 3 ", 3 * NS_PER_S, READ),
        ("1E3", 1000 * NS_PER_S, READ),
        ("1699999999.1234567", 1_699_999_999_123_456_700, READ),
        ("0000000000000000000000000000012", 12 * NS_PER_S, READ),
        ("4611686018.427387904", LATEST_NS, READ),
        ("4611686018.427387905", 0, TOO_LATE),
        ("1e9999", 0, TOO_LATE),
        ("9" * 64, 0, TOO_LATE),
        ("", 0, BLANK),
        ("-1", 0, NEGATIVE),
        ("-1e-300", 0, NEGATIVE),
        *(
            (text, 0, NOT_A_NUMBER)
            for text in ("nan", "inf", ".", "1.2.3", "1_000", "1,5", "0x10", "ä", "1 2", "१", "1e")
        ),
        ("1\x002", 0, NOT_A_NUMBER),
        ("1" * 65, 0, NOT_A_NUMBER),
    ],
)
def test_a_number_is_read_exactly_or_refused(text: str, ns: int, verdict: int) -> None:
    found, verdicts = ns_from_decimals(cells_from([text]), "s")
    assert (ns, verdict) == (int(found[0]), int(verdicts[0]))


@given(
    st.datetimes(datetime(1700, 1, 2), datetime(2199, 12, 30)),
    st.integers(0, 999),
    st.integers(0, 9),
    st.sampled_from(["", "Z", "+00:00", "-0530", "+14"]),
    st.sampled_from(" T"),
)
def test_a_timestamp_is_read_exactly(moment: datetime, more_ns: int, places: int, zone: str, between: str) -> None:
    """Azure writes seven fractional digits, of which datetime keeps six."""
    fraction = f"{moment.microsecond:06d}{more_ns:03d}"[:places]
    text = f"{moment:%Y-%m-%d}".zfill(10) + between + f"{moment:%H:%M:%S}" + (f".{fraction}" if places else "") + zone
    offset = {"-0530": -timedelta(hours=5, minutes=30), "+14": timedelta(hours=14)}.get(zone, timedelta(0))
    whole = moment.replace(microsecond=0, tzinfo=timezone(offset)) - datetime(1970, 1, 1, tzinfo=UTC)
    exact = whole // timedelta(seconds=1) * NS_PER_S + int(fraction.ljust(9, "0"))
    ns, verdict = ns_from_timestamps(cells_from([text, "1970-01-01 00:00:00"]))
    assert [READ, READ] == verdict.tolist()
    assert [exact, 0] == ns.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29 00:00:00",
        "2023-13-01 00:00:00",
        "2023-00-01 00:00:00",
        "2023-01-00 00:00:00",
        "2023-01-01 24:00:00",
        "2023-01-01 00:60:00",
        "2023-01-01 00:00:60",
        "2023-01-01 00:00:00.",
        "2023-01-01 00:00:00.1234567890",
        "2023-01-01 00:00:00 +00:00",
        "2023-01-01 00:00:00+00:00:00",
        "2023-01-01 00:00:00+1",
        "2023-01-01x00:00:00",
        "2023-01-01",
        "1699-12-31 00:00:00",
        "2200-01-01 00:00:00",
        "12",
        "nan",
    ],
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    assert [NOT_A_TIMESTAMP] == ns_from_timestamps(cells_from([text]))[1].tolist()


def test_a_leap_day_is_a_day() -> None:
    ns, verdict = ns_from_timestamps(cells_from(["2024-02-29 00:00:00", "2024-03-01 00:00:00", ""]))
    assert [READ, READ, BLANK] == verdict.tolist()
    assert 86_400 * NS_PER_S == ns[1] - ns[0]
