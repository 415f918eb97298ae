"""Prices as a table for people: one line a price, the sources under it."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.price_list import Price


def price_table(prices: Sequence[Price]) -> str:
    """Lay prices out by instance type, with numbered sources.

    >>> print(price_table([Price(2.5, "gcp", "", "tpu-v6e-1", "TPU v6e", 1, "spot", "2026-07", "a list")]))
    instance type  accelerator  USD/h  price type  where  as of    source
    tpu-v6e-1      1 x TPU v6e  2.5    spot        gcp    2026-07  [1]
    <BLANKLINE>
    [1] a list
    """
    sources = list(dict.fromkeys(price.source for price in prices))
    upfront = any(price.upfront_usd for price in prices)
    header = ["instance type", "accelerator", "USD/h", "price type", "where", "as of", "source"]
    rows = [[*header[:3], *(["upfront USD"] if upfront else []), *header[3:]]]
    for price in sorted(prices, key=lambda price: (price.instance_type, price.provider, price.region)):
        count = "" if price.accelerator_count is None else f"{price.accelerator_count:g} x "
        per = "" if price.unit == "hour" else f" per {price.unit.replace('_', ' ')}"
        rows.append(
            [
                price.instance_type,
                f"{count}{price.accelerator}" if price.accelerator else "",
                f"{price.usd_per_hour:g}{per}",
                *([f"{price.upfront_usd:g}" if price.upfront_usd else ""] if upfront else []),
                price.price_type,
                f"{price.provider} {price.zone or price.region}".strip(),
                price.as_of,
                f"[{1 + sources.index(price.source)}]",
            ]
        )
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *(f"[{number}] {source}" for number, source in enumerate(sources, start=1))])
