"""How numbers are written in the sentences of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float) -> str:
    """A share of 1 in per cent: whole where that says enough, finer near 0 and near 1.

    >>> percent(0.912), percent(0.0123), percent(0.99949), percent(0.00004), percent(1.0)
    ('91%', '1.2%', '99.95%', '0.004%', '100%')
    """
    part = 100 * min(abs(share), abs(1 - share))
    digits = 0 if part >= 3 or part == 0 else 1 if part >= 1 else 2 if part >= 0.01 else 3
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text) + "%"


def milliseconds(part: float, whole: float | None = None) -> str:
    """A duration in ms, or a part of one, to as many digits as matter.

    >>> milliseconds(97.31), milliseconds(4.812), milliseconds(0.2034), milliseconds(81.9, 97.31)
    ('97 ms', '4.8 ms', '0.2 ms', '82 of 97 ms')
    """
    scale = part if whole is None else whole
    digits = 0 if scale >= 10 else 1 if scale >= 1 else 2
    # A digit after the point that says nothing is left out of a single number, and kept where two are compared.
    if whole is not None:
        return f"{part:,.{digits}f} of {whole:,.{digits}f} ms"
    text = f"{part:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text) + " ms"


def span(seconds: float) -> str:
    """A length of simulated time that one might ask for, rounded up to two digits, as YAML wants it.

    >>> span(0.0234), span(111.2), span(1_111), span(11_112), span(400_000)
    ('24ms', '120s', '19min', '3.1h', '120h')
    """
    units = (("ms", 0.001, 1_000.0), ("s", 1.0, 180.0), ("min", 60.0, 180.0), ("h", 3_600.0, math.inf))
    unit, amount = next((unit, seconds / size) for unit, size, enough in units if seconds / size < enough)
    step = 10.0 ** (len(str(int(amount))) - 2)
    return f"{-(-amount // step) * step:.{1 if step < 1 else 0}f}{unit}".replace(".0", "")


def listed(parts: Sequence[str]) -> str:
    """Words in a row: "a", "a and b", "a, b and c".

    >>> listed(["p95", "p99", "p99.9"])
    'p95, p99 and p99.9'
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def percentile(name: str) -> str:
    """A percentile as people write it: ``p999`` is p99.9.

    >>> percentile("p999"), percentile("p99"), percentile("mean")
    ('p99.9', 'p99', 'mean')
    """
    return f"{name[:3]}.{name[3:]}" if len(name) > 3 and name.startswith("p") else name
