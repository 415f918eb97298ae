"""Durations and memory as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from calibration.units import (
    BYTES_BY_UNIT,
    LONGEST_NS,
    NS_BY_UNIT,
    DurationNs,
    MemoryBytes,
    PositiveDurationNs,
    duration_ns,
)

DURATION = TypeAdapter(DurationNs)
POSITIVE = TypeAdapter(PositiveDurationNs)
MEMORY = TypeAdapter(MemoryBytes)


def refusal_of(adapter: TypeAdapter[int], value: object) -> tuple[str, str]:
    """Rule and remedy with which the value is refused."""
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value)
    (detail,) = caught.value.errors()
    return detail["ctx"]["rule"], detail["ctx"]["remedy"]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5ms", 5_000_000),
        ("1h", 3_600_000_000_000),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("250\u03bcs", 250_000),
        ("2min", 120_000_000_000),
        ("1d", 86_400_000_000_000),
        ("1.5s", 1_500_000_000),
        ("100ns", 100),
        (" 5 ms ", 5_000_000),
        ("1e3us", 1_000_000),
        ("0.1ms", 100_000),
        ("0.3s", 300_000_000),
        ("0", 0),
        ("0s", 0),
        (0, 0),
        (0.0, 0),
    ],
)
def test_a_duration_is_read_exactly(text: object, ns: int) -> None:
    assert ns == DURATION.validate_python(text)


@given(st.integers(0, 10**7), st.integers(0, 999), st.sampled_from(sorted(NS_BY_UNIT)))
def test_every_whole_number_of_nanoseconds_is_read_without_rounding(whole: int, thousandths: int, unit: str) -> None:
    """A float in between would lose nanoseconds of long times."""
    exact = (whole + Fraction(thousandths, 1000)) * NS_BY_UNIT[unit]
    text = f"{whole}.{thousandths:03d}{unit}"
    if exact.denominator == 1 and exact <= LONGEST_NS:
        assert exact == duration_ns(text)
    else:
        with pytest.raises(Exception, match=r"whole number of nanoseconds|more than ten years"):
            duration_ns(text)


@pytest.mark.parametrize("bare", [5, 5.0, "5", "60", 1e9])
def test_a_bare_number_is_refused_since_nobody_knows_its_unit(bare: object) -> None:
    rule, remedy = refusal_of(DURATION, bare)
    assert "needs a unit, for instance 5ms" == rule
    assert "Units are ns, us, ms, s, min, h and d." == remedy


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("5m", "Write ms for milliseconds, min for minutes."),
        ("5sec", "Did you mean s?"),
        ("5MS", "Did you mean ms?"),
        ("2hours", "Did you mean h?"),
        ("2fortnights", "Units are ns, us, ms, s, min, h and d."),
    ],
)
def test_an_unknown_unit_is_named_with_the_one_meant(text: str, hint: str) -> None:
    rule, remedy = refusal_of(DURATION, text)
    assert rule.startswith("has an unknown unit")
    assert hint in remedy


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("-5ms", "must not be negative"),
        ("0.5ns", "must be a whole number of nanoseconds"),
        ("11000d", "must not be more than ten years (3650d)"),
        ("1e99h", "must not be more than ten years (3650d)"),
        ("5ms 3s", "must be a number and a unit, for instance 5ms"),
        ("ms", "must be a number and a unit, for instance 5ms"),
        ("", "must be a number and a unit, for instance 5ms"),
        ("1" * 1000 + "s", "must be a number and a unit, for instance 5ms"),
        (True, "must be a number and a unit, for instance 5ms"),
        (None, "must be a number and a unit, for instance 5ms"),
        (["5ms"], "must be a number and a unit, for instance 5ms"),
        (float("nan"), "must be a number and a unit, for instance 5ms"),
    ],
)
def test_what_is_no_duration_is_refused_with_its_rule(value: object, rule: str) -> None:
    found, remedy = refusal_of(DURATION, value)
    assert rule == found
    assert remedy


def test_a_time_that_must_pass_is_not_zero() -> None:
    assert ("must be longer than 0", "Give a time and its unit, for instance 5ms.") == refusal_of(POSITIVE, "0ms")


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("24GiB", 25_769_803_776), ("80GB", 80_000_000_000), ("512 MiB", 536_870_912), ("0", 0)]
)
def test_memory_is_read_exactly(text: str, n_bytes: int) -> None:
    assert n_bytes == MEMORY.validate_python(text)


def test_memory_needs_a_unit_too() -> None:
    assert "needs a unit, for instance 24GiB" == refusal_of(MEMORY, 24)[0]
    assert "Did you mean GB?" in refusal_of(MEMORY, "24gb")[1]


@pytest.mark.parametrize(("adapter", "units"), [(DURATION, NS_BY_UNIT), (MEMORY, BYTES_BY_UNIT)])
def test_the_json_schema_admits_what_the_reader_admits(adapter: TypeAdapter[int], units: dict[str, int]) -> None:
    """An editor that checks against the schema would otherwise mark good values, or miss bad ones."""
    written, zero = adapter.json_schema()["anyOf"]
    assert "string" == written["type"]
    assert {"const": 0} == zero
    for text in [*written["examples"], *(f"1.5{unit}" for unit in units), "3 " + next(iter(units))]:
        assert re.search(written["pattern"], text), text
    for text in ("5", "", "5 parsecs", "-5ms", "ms"):
        assert not re.search(written["pattern"], text), text
    for text in written["examples"]:
        adapter.validate_python(text)


def test_a_time_that_must_pass_is_a_string_in_the_json_schema() -> None:
    assert "string" == POSITIVE.json_schema()["type"]
