"""How long is ``12mo``? Spans of a forecast and terms of a promise, as people write them, in hours, and back."""

from __future__ import annotations

import re
from typing import Final

from calibration.problems import InputError
from simulator.price_cells import option_problem

HOURS_BY_UNIT: Final = {"h": 1, "d": 24, "w": 168, "mo": 730, "y": 8_760}
"""A month is 730 hours and a year 8,760, as everywhere in this project."""

MOST_H: Final = 10 * 8_760
"""Nothing is foreseen for more than ten years."""

_SPAN: Final = re.compile(r"(\d{1,6})\s*(h|d|w|mo|y)")


def hours_of(text: str, option: str) -> int:
    """How many hours does a span of an option have?

    Raises
    ------
    InputError
        It is no span, or longer than ten years.

    Examples
    --------
    >>> [hours_of(text, "--term") for text in ("1y", "12mo", "26w", "90d", "8760h")]
    [8760, 8760, 4368, 2160, 8760]
    """
    found = _SPAN.fullmatch(text.strip())
    hours = int(found[1]) * HOURS_BY_UNIT[found[2]] if found else 0
    if not 1 <= hours <= MOST_H:
        remedy = "Write a whole number and a unit: h, d, w, mo or y, at most 10y."
        raise InputError([option_problem(option, "must be a span such as 1y, 12mo, 26w or 8760h", text, remedy)])
    return hours


def in_words(hours: int) -> str:
    """A span as a reader would say it: in years where it is whole ones, else weeks, days, or hours.

    >>> [in_words(hours) for hours in (8760, 26280, 1680, 192, 30, 13140)]
    ['1 year', '3 years', '10 weeks', '8 days', '30 hours', '1.5 years']
    """
    years = hours / HOURS_BY_UNIT["y"]
    if years >= 1.25 or hours == HOURS_BY_UNIT["y"]:
        return counted(round(years, 1), "year")
    for unit, name, least in (("w", "week", 2), ("d", "day", 3)):
        if hours >= least * HOURS_BY_UNIT[unit]:
            return counted(round(hours / HOURS_BY_UNIT[unit]), name)
    return counted(hours, "hour")


def counted(number: float, name: str) -> str:
    """So many of something.

    >>> counted(1, "future"), counted(8760, "hour"), counted(1.5, "year")
    ('1 future', '8,760 hours', '1.5 years')
    """
    return f"{number:,.6g} {name}{'s' * (number != 1)}"
