"""How money, hours and instances are written in what is said about a plan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from calibration.page import significant


def usd(amount: float) -> str:
    """An amount of money: whole dollars from a thousand on, cents from one on, three digits below.

    >>> [usd(amount) for amount in (1920.4, 2.631, 0.000381, -12.0, 0.0)]
    ['$1,920', '$2.63', '$0.000381', '-$12.00', '$0']
    """
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if amount >= 1000:
        return f"{sign}${amount:,.0f}"
    return f"{sign}${amount:,.2f}" if amount >= 1 else f"{sign}${significant(amount)}"


def usd_per_hour(amount: float) -> str:
    """A price of an hour: cents, or more digits where cents would hide what it is.

    >>> usd_per_hour(1.006), usd_per_hour(0.61), usd_per_hour(0.0114), usd_per_hour(55.04)
    ('$1.006', '$0.61', '$0.0114', '$55.04')
    """
    if amount == 0 or amount >= 1000:
        return usd(amount)
    if amount < 0.1:
        return f"${significant(amount)}"
    return f"${amount:.3f}".removesuffix("0") if amount < 10 else f"${amount:.2f}"


def instances(count: int, name: str = "") -> str:
    """A number of instances.

    >>> instances(1), instances(3, "l4")
    ('1 instance', '3 instances of l4')
    """
    return f"{count:,} instance{'s' * (count != 1)}" + (f" of {name}" if name else "")


def setting(name: str) -> str:
    """Name of a setting without its profile, which is long and told elsewhere.

    >>> setting("l4: batch 16, wait 5 ms, profile bert-large-l4"), setting("l4")
    ('l4: batch 16, wait 5 ms', 'l4')
    """
    return name.partition(", profile ")[0]


def when(names: Sequence[str], hours: Sequence[int]) -> str:
    """Some of the hours of a plan, in words: neighbours from the first to the last, at most three groups.

    Parameters
    ----------
    names
        Of all hours.
    hours
        Indices, increasing.

    >>> day = [f"{hour:02}:00" for hour in range(24)]
    >>> when(day, [9, 10, 11, 14]), when(day, range(24)), when(["all day"], [0])
    ('at 09:00-11:00 and 14:00', 'in every hour', 'all day')
    >>> when(day, [0, 2, 4, 6, 8])
    'in 5 of 24 hours, first 00:00'
    """
    if len(names) == 1:
        return names[0]
    if len(hours) == len(names):
        return "in every hour"
    groups: list[list[int]] = [[hours[0]]]
    for before, hour in pairwise(hours):
        if hour == before + 1:
            groups[-1].append(hour)
        else:
            groups.append([hour])
    if len(groups) > 3:
        return f"in {len(hours)} of {len(names)} hours, first {names[hours[0]]}"
    words = [names[g[0]] if len(g) == 1 else f"{names[g[0]]}-{names[g[-1]]}" for g in groups]
    return "at " + (words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}")
