"""Quantities as people write them: ``5ms`` and ``24GiB``; a bare number is refused, since nobody knows what it means.

Durations become int nanoseconds, memory becomes int bytes. Both are read exactly, without a float in between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

NS_BY_UNIT: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60 * 1_000_000_000,
    "h": 3_600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
"""Nanoseconds in each unit of time that a duration may carry."""

BYTES_BY_UNIT: Final[Mapping[str, int]] = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Bytes in each unit of memory."""

LONGEST_NS: Final = 3_650 * NS_BY_UNIT["d"]
"""No duration may be longer: ten years."""

LARGEST_BYTES: Final = 1 << 60
"""No memory may be larger: an exbibyte."""

_QUANTITY = re.compile(r"(?P<sign>[-+]?)(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?)\s*(?P<unit>[^\s0-9]*)")
_LONGEST_TEXT: Final = 40
_DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?\s*(ns|us|\u00b5s|\u03bcs|ms|s|min|h|d)$"
_MEMORY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?\s*([kMGT]?B|[KMGT]iB)$"


def refusal(rule: str, remedy: str = "") -> PydanticCustomError:
    """Give the error a validator raises: the rule as a sentence without a full stop, and how to mend it."""
    return PydanticCustomError("refused", "{rule}", {"rule": rule, "remedy": remedy})


def duration_ns(text: object) -> int:
    """How many nanoseconds is this duration?

    Parameters
    ----------
    text
        A number and a unit (``ns us ms s min h d``), or 0, which needs none.

    Raises
    ------
    PydanticCustomError
        When there is no unit, an unknown one, a part of a nanosecond, a negative or an absurdly long time.

    Examples
    --------
    >>> duration_ns("1.5s"), duration_ns("250us"), duration_ns(0)
    (1500000000, 250000, 0)
    """
    return _amount(text, NS_BY_UNIT, "5ms", "nanosecond", LONGEST_NS, "ten years (3650d)")


def positive_duration_ns(text: object) -> int:
    """How many nanoseconds is this duration, which must be longer than 0?"""
    ns = duration_ns(text)
    if ns == 0:
        raise refusal("must be longer than 0", "Give a time and its unit, for instance 5ms.")
    return ns


def memory_bytes(text: object) -> int:
    """How many bytes is this amount of memory?

    >>> memory_bytes("24GiB")
    25769803776
    """
    return _amount(text, BYTES_BY_UNIT, "24GiB", "byte", LARGEST_BYTES, "2^60 bytes")


def _amount(text: object, by_unit: Mapping[str, int], example: str, atom: str, most: int, most_in_words: str) -> int:
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise refusal(f"must be a number and a unit, for instance {example}", f"Units are {_listed(by_unit)}.")
    if text == 0:
        return 0
    match = _QUANTITY.fullmatch(str(text).strip()) if len(str(text)) <= _LONGEST_TEXT else None
    if match is None:
        raise refusal(f"must be a number and a unit, for instance {example}", f"Units are {_listed(by_unit)}.")
    unit = match["unit"].replace("\u00b5", "u").replace("\u03bc", "u")
    number = Decimal(match["number"])
    if not unit:
        if number == 0:
            return 0
        raise refusal(f"needs a unit, for instance {example}", f"Units are {_listed(by_unit)}.")
    if unit not in by_unit:
        raise refusal(f"has an unknown unit '{unit}'", _near_unit(unit, by_unit))
    amount = number * by_unit[unit]
    if match["sign"] == "-" and amount:
        raise refusal("must not be negative", f"Give 0 or more, for instance {example}.")
    if amount > most:
        raise refusal(f"must not be more than {most_in_words}", "Give less.")
    if amount != int(amount):
        raise refusal(f"must be a whole number of {atom}s", f"The {atom} is the smallest step.")
    return int(amount)


def _near_unit(unit: str, by_unit: Mapping[str, int]) -> str:
    listed = f"Units are {_listed(by_unit)}."
    if unit == "m" and "min" in by_unit:
        return f"Write ms for milliseconds, min for minutes. {listed}"
    alike = [known for known in by_unit if known.lower() == unit.lower()]
    spelt_out = [known for known in ("ms", "us", "ns", "min", "s", "h", "d") if unit in _SPELT_OUT[known]]
    near = [known for known in (*alike, *spelt_out) if known in by_unit]
    return f"Did you mean {near[0]}? {listed}" if near else listed


_SPELT_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "us": ("usec", "usecs", "micros", "microsecond", "microseconds"),
    "ns": ("nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"),
    "min": ("mins", "minute", "minutes"),
    "s": ("sec", "secs", "second", "seconds"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}


def _listed(by_unit: Mapping[str, int]) -> str:
    *most, last = by_unit
    return f"{', '.join(most)} and {last}"


def _schema(pattern: str, examples: list[str], *, zero: bool) -> dict[str, Any]:
    written = {"type": "string", "pattern": pattern, "examples": examples}
    return {"anyOf": [written, {"const": 0}]} if zero else written


_DURATIONS: Final = ["5ms", "1.5s", "250us", "2min", "1h", "1d"]

DurationNs = Annotated[
    int, BeforeValidator(duration_ns), WithJsonSchema(_schema(_DURATION_PATTERN, _DURATIONS, zero=True))
]
"""A time of 0 or more, in ns; written ``5ms``, or 0."""

PositiveDurationNs = Annotated[
    int, BeforeValidator(positive_duration_ns), WithJsonSchema(_schema(_DURATION_PATTERN, _DURATIONS, zero=False))
]
"""A time longer than 0, in ns; written ``5ms``."""

MemoryBytes = Annotated[
    int, BeforeValidator(memory_bytes), WithJsonSchema(_schema(_MEMORY_PATTERN, ["24GiB", "512MiB"], zero=True))
]
"""An amount of memory in bytes; written ``24GiB``."""
