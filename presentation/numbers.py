"""How the app writes numbers: $12,340, 98.7 ms, 1.2 M requests; and differences with their sign.

An infinite latency is that of a queue that grows for as long as the run lasts; what is not known is a dash.
"""

from __future__ import annotations

import math
from typing import Final

from simulator.render import duration, significant
from simulator.render import usd as plain_usd
from simulator.wording import percent

UNKNOWN: Final = "–"
INFINITE: Final = "∞"

_MAGNITUDES: Final = ((1e9, " G"), (1e6, " M"), (1e4, " k"))
_MINUS: Final = "−"


def usd(amount: float | None) -> str:
    """An amount of money: whole dollars from a hundred on, cents below, three digits below a dollar.

    >>> usd(12_340.4), usd(2.104), usd(0.00123), usd(None)
    ('$12,340', '$2.10', '$0.00123', '–')
    """
    if amount is None:
        return UNKNOWN
    return f"${amount:,.0f}" if amount >= 100 else plain_usd(amount)


def ms(milliseconds: float | None) -> str:
    """A latency to three digits.

    >>> ms(98.74), ms(0.25), ms(15_300.0), ms(float("inf")), ms(None)
    ('98.7 ms', '0.250 ms', '15.3 s', '∞', '–')
    """
    if milliseconds is None:
        return UNKNOWN
    return duration(milliseconds) if math.isfinite(milliseconds) else INFINITE


def between(low_ms: float, high_ms: float) -> str:
    """An interval of latencies.

    >>> between(48.61, 52.04)
    '48.6–52.0 ms'
    """
    return f"{ms(low_ms).removesuffix(' ms')}–{ms(high_ms)}"


def count(number: float) -> str:
    """A number of things to three digits at most beyond ten thousand.

    >>> count(1_210_000), count(102_417), count(954), count(12.5)
    ('1.21 M', '102 k', '954', '12.5')
    """
    for size, letter in _MAGNITUDES:
        if abs(number) >= size:
            return f"{significant(number / (1e3 if size == 1e4 else size))}{letter}"
    return f"{number:,.0f}" if float(number).is_integer() else significant(number)


def rate(per_second: float) -> str:
    """Requests a second.

    >>> rate(475.9), rate(0.5)
    ('476 requests/s', '0.500 requests/s')
    """
    return f"{significant(per_second)} requests/s"


def signed(text: str, amount: float) -> str:
    """A size with the sign of what it belongs to; no difference has none.

    >>> signed("$0.53", 0.53), signed("$0.53", -0.53), signed("$0", 0.0)
    ('+$0.53', '−$0.53', '±$0')
    """
    return f"{'+' if amount > 0 else _MINUS if amount < 0 else '±'}{text}"


def signed_usd(amount: float) -> str:
    """A difference of money.

    >>> signed_usd(0.526), signed_usd(-384.0)
    ('+$0.526', '−$384')
    """
    return signed(usd(abs(amount)), amount)


def signed_ms(milliseconds: float) -> str:
    """A difference of latencies.

    >>> signed_ms(12.34), signed_ms(-0.5)
    ('+12.3 ms', '−0.500 ms')
    """
    return signed(ms(abs(milliseconds)), milliseconds)


def signed_percent(share: float) -> str:
    """A relative difference.

    >>> signed_percent(0.25), signed_percent(-0.082), signed_percent(2.5)
    ('+25%', '−8%', '+250%')
    """
    return signed(percent(abs(share)) if abs(share) <= 1 else f"{100 * abs(share):,.0f}%", share)
