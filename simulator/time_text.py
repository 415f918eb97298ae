"""Times written as text, read to the exact nanosecond, whole columns at once.

A float keeps 15 to 17 digits: seconds since 1970 lose everything below 100 ns in it, and Python's datetime
keeps six fractional digits of the seven that Azure writes. So digits become integers here without a float in
between. Text that is not plain ``digits.digits`` (an exponent, a sign, very many digits) takes a slower exact way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.clock import LATEST_NS, NS_PER_S

Cells = npt.NDArray[np.bytes_]
Int64s = npt.NDArray[np.int64]
Verdicts = npt.NDArray[np.int8]

READ: Final = 0
BLANK: Final = 1
NOT_A_NUMBER: Final = 2
NEGATIVE: Final = 3
TOO_LATE: Final = 4
NOT_A_TIMESTAMP: Final = 5
RULES: Final = {
    BLANK: "must not be blank",
    NOT_A_NUMBER: "must be a decimal number",
    NEGATIVE: "must not be negative",
    TOO_LATE: "must be within 146 years of the start",
    NOT_A_TIMESTAMP: "must be a timestamp such as 2023-11-16 18:17:03.9799600",
}
"""The rule that a cell broke, by verdict."""

DIGITS_BY_UNIT: Final = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Decimal places of each unit of time down to the nanosecond."""

LONGEST_CELL: Final = 64
"""No number or timestamp is longer; a longer cell is shortened, which makes it unreadable."""

_EXACT_DIGITS: Final = 18
"""So many decimal digits always fit into an int64."""
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_CONTEXT: Final = Context(prec=2 * LONGEST_CELL, rounding=ROUND_HALF_UP)
_ZONE: Final = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?", re.ASCII)
_FRACTION_AT: Final = len("2023-11-16 18:17:03")


def cells_from(texts: Sequence[str]) -> Cells:
    """One array of the column's cells, blanks around them removed; what is no ASCII shows as an escape.

    >>> cells_from([" 1.5", "2"])
    array([b'1.5', b'2'], dtype='|S3')
    """
    texts = [text.strip() for text in texts]
    if texts and max(map(len, texts)) > LONGEST_CELL:
        texts = [text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..." for text in texts]
    try:
        return np.array(texts, dtype=np.bytes_)
    except UnicodeEncodeError:
        return np.array([text.encode("ascii", "backslashreplace") for text in texts], dtype=np.bytes_)


def ns_from_decimals(cells: Cells, unit: str) -> tuple[Int64s, Verdicts]:
    """How many nanoseconds is each number of ``unit``, to the nearest (half a nanosecond counts up)?

    Parameters
    ----------
    cells : (n,) bytes
        As from :func:`cells_from`.
    unit
        ``s``, ``ms``, ``us`` or ``ns``.

    Returns
    -------
    ns : (n,) int64
        0 where the cell could not be read.
    verdict : (n,) int8
        READ, BLANK, NOT_A_NUMBER, NEGATIVE or TOO_LATE.

    Examples
    --------
    >>> ns_from_decimals(cells_from(["1.2345678", "1e-3", "0.0000000005"]), "s")[0]
    array([1234567800,    1000000,          1])
    """
    places = DIGITS_BY_UNIT[unit]
    ns = np.zeros(len(cells), dtype=np.int64)
    in_fraction = np.zeros(len(cells), dtype=np.bool_)
    fraction_digits = np.zeros(len(cells), dtype=np.int64)
    digits = np.zeros(len(cells), dtype=np.int64)
    points = np.zeros(len(cells), dtype=np.int64)
    round_up = np.zeros(len(cells), dtype=np.bool_)
    for character in _columns(cells):
        digit = (character - ord("0")).astype(np.uint8)
        is_digit = digit < 10
        is_point = character == ord(".")
        counts = is_digit & (fraction_digits < places)
        np.copyto(ns, ns * 10 + digit, where=counts | (is_digit & ~in_fraction))
        round_up |= is_digit & in_fraction & (fraction_digits == places) & (digit >= 5)
        fraction_digits += is_digit & in_fraction
        digits += is_digit
        points += is_point
        in_fraction |= is_point
    whole_digits = digits - fraction_digits
    plain = (digits > 0) & (points <= 1) & (digits + points == np.strings.str_len(cells))
    plain &= whole_digits + places <= _EXACT_DIGITS
    ns *= 10 ** np.maximum(places - fraction_digits, 0)
    ns += round_up
    verdict = np.zeros(len(cells), dtype=np.int8)
    for row in np.flatnonzero(~plain):
        ns[row], verdict[row] = _ns_from_decimal(cells[row].decode("ascii"), places)
    return ns, verdict


def _ns_from_decimal(text: str, places: int) -> tuple[int, int]:
    if not text:
        return 0, BLANK
    if not _DECIMAL.fullmatch(text):
        return 0, NOT_A_NUMBER
    number = Decimal(text)
    if number < 0:
        return 0, NEGATIVE
    # Compared before scaling: 1e9999 has no int worth making.
    if number.scaleb(places, _CONTEXT) > LATEST_NS:
        return 0, TOO_LATE
    return int(number.scaleb(places, _CONTEXT).to_integral_value(ROUND_HALF_UP)), READ


def ns_from_timestamps(cells: Cells) -> tuple[Int64s, Verdicts]:
    """How many nanoseconds after the start of 1970 (UTC) is each ``2023-11-16 18:17:03.9799600``?

    Up to nine fractional digits and a zone (``Z``, ``+00:00``) may follow the seconds, and a ``T`` may stand
    between date and time; without a zone UTC is meant. Years 1700 to 2199.

    Parameters
    ----------
    cells : (n,) bytes
        As from :func:`cells_from`.

    Returns
    -------
    ns : (n,) int64
        0 where the cell could not be read.
    verdict : (n,) int8
        READ, BLANK or NOT_A_TIMESTAMP.

    Examples
    --------
    >>> ns_from_timestamps(cells_from(["1970-01-01 00:00:01.1234567", "1970-01-01 02:00:00+02:00"]))[0]
    array([1123456700,          0])
    """
    length = np.strings.str_len(cells)
    characters = np.zeros((_FRACTION_AT + 1 + 9 + 7, len(cells)), dtype=np.uint8)
    columns = _columns(cells)[: len(characters)]
    characters[: len(columns)] = columns
    ok = np.ones(len(cells), dtype=np.bool_)
    for at, allowed in ((4, "-"), (7, "-"), (10, " T"), (13, ":"), (16, ":")):
        ok &= np.isin(characters[at], np.frombuffer(allowed.encode(), dtype=np.uint8))
    parts = []
    for at, width in ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2)):
        digits = characters[at : at + width].astype(np.int64) - ord("0")
        ok &= ((digits >= 0) & (digits < 10)).all(axis=0)
        parts.append((digits * 10 ** np.arange(width - 1, -1, -1)[:, np.newaxis]).sum(axis=0))
    year, month, day, hour, minute, second = parts
    ok &= (year >= 1700) & (year < 2200) & (month >= 1) & (month <= 12)
    ok &= (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    first_month = np.where(ok, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    date = first_month.astype("datetime64[D]") + np.where(ok, day - 1, 0)
    ok &= date.astype("datetime64[M]") == first_month
    seconds = date.astype(np.int64) * 86_400 + hour * 3_600 + minute * 60 + second

    in_fraction = characters[_FRACTION_AT] == ord(".")
    has_point = in_fraction.copy()
    fraction_digits = np.zeros(len(cells), dtype=np.int64)
    fraction_ns = np.zeros(len(cells), dtype=np.int64)
    for place in range(9):
        digit = characters[_FRACTION_AT + 1 + place].astype(np.int64) - ord("0")
        in_fraction &= (digit >= 0) & (digit < 10)
        fraction_ns += np.where(in_fraction, digit, 0) * 10 ** (8 - place)
        fraction_digits += in_fraction
    ok &= ~has_point | (fraction_digits > 0)

    zone_at = _FRACTION_AT + np.where(has_point, 1 + fraction_digits, 0)
    ok &= length - zone_at <= len("+00:00")
    zone = np.take_along_axis(characters, zone_at + np.arange(6)[:, np.newaxis], axis=0)
    names, which = np.unique(np.ascontiguousarray(zone.T).view("S6").ravel(), return_inverse=True)
    offsets = [_zone_offset_s(name.decode("latin-1")) for name in names]
    ok &= np.array([offset is not None for offset in offsets], dtype=np.bool_)[which]
    seconds -= np.array([offset or 0 for offset in offsets], dtype=np.int64)[which]

    verdict = np.where(ok, READ, np.where(length == 0, BLANK, NOT_A_TIMESTAMP)).astype(np.int8)
    return np.where(ok, seconds * NS_PER_S + fraction_ns, 0), verdict


def _zone_offset_s(zone: str) -> int | None:
    """Seconds that a zone is ahead of UTC; None when it is none.

    >>> _zone_offset_s("+05:30")
    19800
    """
    if zone in ("", "Z"):
        return 0
    match = _ZONE.fullmatch(zone)
    if not match:
        return None
    offset = int(match["hours"]) * 3_600 + int(match["minutes"] or 0) * 60
    return -offset if match["sign"] == "-" else offset


def _columns(cells: Cells) -> npt.NDArray[np.uint8]:
    """Characters by position, shape (width, n): position first, so that each lies together in memory."""
    width = cells.dtype.itemsize
    return np.ascontiguousarray(cells.view(np.uint8).reshape(len(cells), width).T)
