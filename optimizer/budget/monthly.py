"""Every future's bill, settled by the one ledger, and what they say together: months, teams, promises.

:func:`settle_paths` settles one future after the other and keeps sums by month, so that memory does not grow with the
futures times the hours. Means of sums are sums of means: what is shown as a mean adds up over months, teams and rows.
Quantiles do not: that of the year is taken of the futures' years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget import NOBODY, Period, Share, Spread
from simulator.commitment import Commitment
from simulator.ledger import Ledger, Rates, Usage, settle
from simulator.ledger_lines import CHARGES, itemise

Floats = npt.NDArray[np.float64]

_ON_DEMAND, _USED, _UNUSED = (CHARGES.index(charge) for charge in ("on_demand", "used", "unused"))


@dataclass(frozen=True)
class Columns:
    """What the columns of a usage are: an instance type each, of one workload."""

    start: datetime
    instance_types: tuple[str, ...]
    """(J,)"""
    tags: tuple[Mapping[str, str], ...]
    """(J,)"""
    usd_per_hour: Floats
    """(J,) or (T, J) on demand."""


@dataclass(frozen=True)
class Settled:
    """All futures' bills by month. S futures, M months, J columns, K promises."""

    columns: Columns
    commitments: tuple[Commitment, ...]
    months: tuple[str, ...]
    """(M,) as ``2027-01``."""
    billed_usd: Floats
    """(S, M)"""
    effective_usd: Floats
    """(S, M, 3, J + 1): on demand, used and unused promises, by column; the last is what belongs to none."""
    list_usd: Floats
    """(S, M, 3, J + 1)"""
    covered_usd: Floats
    """(S, K): what each promise's use would have cost on demand."""
    used_share: Floats
    """(S, K): share of each promise that was used; 0 where none of its term is in the hours."""
    promised_usd: Floats
    """(S, K): effective cost of each promise in these hours."""
    present_usd: Floats
    """(S,) what is billed, in dollars of the first hour."""

    @property
    def total_usd(self) -> Floats:
        """(S,) effective cost of each future."""
        total: Floats = self.effective_usd.sum(axis=(1, 2, 3))
        return total


def settle_paths(
    futures: Iterable[Floats],
    columns: Columns,
    commitments: Sequence[Commitment] = (),
    *,
    cost_of_capital: float = 0.0,
    watch: Callable[[Ledger], None] | None = None,
) -> Settled:
    """What is billed in each future?

    Parameters
    ----------
    futures
        (T, J) instances of each future.
    columns
        What these are, and what they cost on demand.
    commitments
        What was promised.
    cost_of_capital
        A year, for the present value.
    watch
        Is given every ledger before it is let go.
    """
    rates = Rates(columns.usd_per_hour)
    kept: list[tuple[Floats, ...]] = []
    months: tuple[str, ...] = ()
    for instances in futures:
        usage = Usage(columns.start, columns.instance_types, instances, tags=columns.tags)
        ledger = settle(usage, rates, commitments)
        kept.append(_sums(ledger, cost_of_capital))
        months = tuple(str(month) for month in ledger.months)
        if watch is not None:
            watch(ledger)
    if not kept:
        raise ValueError("futures must hold at least one")
    return Settled(columns, tuple(commitments), months, *(np.stack(part) for part in zip(*kept, strict=True)))


def _sums(ledger: Ledger, cost_of_capital: float) -> tuple[Floats, ...]:
    """One future's sums, in the order of the fields of :class:`Settled` from ``billed_usd`` on."""
    lines = itemise(ledger)
    wide, many = len(ledger.usage.instance_types) + 1, len(ledger.commitments)
    shape = (len(ledger.months), 3, wide)
    used = lines.charge < 3
    column = np.where(lines.column < 0, wide - 1, lines.column)
    cell = (lines.period * 3 + lines.charge) * wide + column

    def summed(usd: Floats) -> Floats:
        total = np.bincount(cell[used], weights=usd[used], minlength=int(np.prod(shape)))
        return total.astype(np.float64).reshape(shape)

    def by_promise(usd: Floats, own: npt.NDArray[np.bool_]) -> Floats:
        own = own & (lines.promise >= 0)
        total: Floats = np.bincount(lines.promise[own], weights=usd[own], minlength=many).astype(np.float64)
        return total

    billed = np.bincount(lines.period, weights=lines.billed_usd, minlength=shape[0]).astype(np.float64)
    is_used, is_unused = lines.charge == _USED, lines.charge == _UNUSED
    spent, idle = by_promise(lines.effective_usd, is_used), by_promise(lines.effective_usd, is_unused)
    promised = spent + idle
    share = np.divide(spent, promised, out=np.zeros(many), where=promised > 0)
    present = np.array(ledger.present_value_usd(cost_of_capital))
    covered = by_promise(lines.contracted_usd, is_used)
    return billed, summed(lines.effective_usd), summed(lines.list_usd), covered, share, promised, present


def spread(amounts: Floats) -> Spread:
    """Mean and deciles of an amount over all futures.

    >>> spread(np.arange(11.0))
    Spread(mean=5.0, p10=1.0, p50=5.0, p90=9.0)
    """
    p10, p50, p90 = np.quantile(amounts, (0.1, 0.5, 0.9))
    return Spread(float(amounts.mean()), float(p10), float(p50), float(p90))


def periods(settled: Settled, without: Settled) -> tuple[tuple[Period, ...], Period]:
    """What does each month cost, and all of them? Beside it, the mean without any promise."""
    bare = without.effective_usd.sum(axis=(2, 3)).mean(axis=0).tolist()
    months = tuple(
        _period(name, settled.billed_usd[:, m], settled.effective_usd[:, m], settled.list_usd[:, m], bare[m])
        for m, name in enumerate(settled.months)
    )
    whole = (settled.billed_usd.sum(axis=1), settled.effective_usd.sum(axis=1), settled.list_usd.sum(axis=1))
    return months, _period("total", *whole, sum(bare))


def _period(name: str, billed: Floats, effective: Floats, listed: Floats, without_usd: float) -> Period:
    """From sums by future (S,) and by future, kind and column (S, 3, J + 1)."""
    mean, mean_list = effective.sum(axis=2).mean(axis=0), listed.sum(axis=2).mean(axis=0)
    return Period(
        name=name,
        billed=spread(billed),
        effective=spread(effective.sum(axis=(1, 2))),
        list_usd=float(mean_list.sum()),
        on_demand_usd=float(mean[_ON_DEMAND]),
        used_usd=float(mean[_USED]),
        unused_usd=float(mean[_UNUSED]),
        covered_list_usd=float(mean_list[_USED]),
        without_usd=without_usd,
    )


def shares(settled: Settled, tag: str) -> tuple[Share, ...]:
    """Who pays, by the values of one tag? Last, what was promised and not used, which is nobody's.

    Columns without the tag are under ``(untagged)``.
    """
    values = [tags.get(tag, "(untagged)") for tags in settled.columns.tags]
    nobody = len(values)
    found = []
    for value in (*dict.fromkeys(values), NOBODY):
        own = [nobody] if value == NOBODY else [j for j, one in enumerate(values) if one == value]
        effective, listed = settled.effective_usd[..., own], settled.list_usd[..., own]
        if value == NOBODY and not effective.any():
            continue
        found.append(
            Share(
                value=value,
                effective=spread(effective.sum(axis=(1, 2, 3))),
                months_usd=tuple(effective.sum(axis=(2, 3)).mean(axis=0).tolist()),
                list_usd=float(listed.sum(axis=(1, 2, 3)).mean()),
                on_demand_usd=float(effective[:, :, _ON_DEMAND].sum(axis=(1, 2)).mean()),
            )
        )
    return tuple(found)
