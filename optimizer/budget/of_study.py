"""The budget of a recommendation: what its first year costs, month by month, team by team, in every future.

:func:`year_of` settles the futures that the recommendation was made for by the one ledger, as
:mod:`optimizer.budget.chain` does for a whole budget file. Where only price ratios are known, amounts count instance
hours at the on-demand price: 1.0 is what one instance costs in one hour on demand.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget import Period, PurchaseLine, Share, Spread
from optimizer.budget.focus import FocusMean
from optimizer.budget.monthly import Columns, Settled, periods, settle_paths, shares, spread
from optimizer.budget.tags_file import NO_TAGS, Tags
from optimizer.commitments.recommend import Bought
from optimizer.commitments.study import Study
from optimizer.commitments.use import commitment
from simulator.focus_rows import Row
from simulator.purchase_plan import HOURS_PER_YEAR

Floats = npt.NDArray[np.float64]

NO_CURRENCY: Final = 3 * "X"
"""ISO 4217's code where no currency is meant."""

UNIT: Final = "instance hours at the on-demand price"
"""What amounts count where no price in dollars is known."""


@dataclass(frozen=True)
class Year:
    """The first year of a recommendation (all of it, where the terms are shorter)."""

    start: dt.datetime
    hours: int
    futures: int
    in_dollars: bool
    """Whether amounts are US dollars; otherwise :data:`UNIT`."""
    months: tuple[Period, ...]
    total: Period
    without_usd: Spread
    """Everything on demand."""
    purchases: tuple[PurchaseLine, ...]
    """All of them; what they save is of these hours alone."""
    shares: Mapping[str, tuple[Share, ...]]
    """By tag: who pays."""
    focus: tuple[Row, ...]
    present_value: float | None
    """Mean of what is billed, in money of the first hour; None without a cost of capital."""

    @property
    def end(self) -> dt.datetime:
        """The hour after the last."""
        return self.start + dt.timedelta(hours=self.hours)


def year_of(study: Study, tags: Tags | None = None) -> Year:
    """What does the first year cost, and who pays?

    Parameters
    ----------
    study
        The recommendation.
    tags
        Owners of pools; without them nobody is named.
    """
    recommendation = study.recommendation
    demand = recommendation.problem.demand
    hours = min(demand.shape[1], HOURS_PER_YEAR)
    columns, spread_out = _columns(study, tags or NO_TAGS)
    made = [one for one in recommendation.bought if one.start_h < hours]
    commitments = [commitment(one, number) for number, one in enumerate(made)]
    focus = FocusMean()
    settled = settle_paths(
        (future[:hours] @ spread_out for future in demand),
        columns,
        commitments,
        cost_of_capital=study.preferences.cost_of_capital,
        watch=focus.add,
    )
    without = settle_paths((future[:hours] @ spread_out for future in demand), columns)
    months, total = periods(settled, without)
    in_dollars = recommendation.market.in_dollars
    return Year(
        start=recommendation.start,
        hours=hours,
        futures=len(demand),
        in_dollars=in_dollars,
        months=months,
        total=total,
        without_usd=spread(without.total_usd),
        purchases=tuple(_lines(study, settled, made)),
        shares={} if tags is None else {key: shares(settled, key) for key in tags.keys},
        focus=tuple(_row(row, in_dollars=in_dollars) for row in focus.rows()),
        present_value=float(settled.present_usd.mean()) if study.preferences.cost_of_capital > 0 else None,
    )


def _columns(study: Study, tags: Tags) -> tuple[Columns, Floats]:
    """A column for each owner of a pool, and (P, J) what each gets of it."""
    market = study.recommendation.market
    owned = [(p, part) for p, pool in enumerate(market.pools) for part in tags.of(pool)]
    spread_out = np.zeros((len(market.pools), len(owned)))
    for column, (p, part) in enumerate(owned):
        spread_out[p, column] = part.share
    described = Columns(
        start=study.recommendation.start,
        instance_types=tuple(market.pools[p] for p, _ in owned),
        tags=tuple({"pool": market.pools[p], **part.tags} for p, part in owned),
        usd_per_hour=np.array([market.on_demand_usd[p] for p, _ in owned]),
    )
    return described, spread_out


def _row(row: Row, *, in_dollars: bool) -> Row:
    """A row of the bill that says what its amounts count."""
    if in_dollars:
        return row | {"x_AmountUnit": "USD"}
    return row | {"BillingCurrency": NO_CURRENCY, "x_AmountUnit": UNIT}


def _lines(study: Study, settled: Settled, made: list[Bought]) -> Iterator[PurchaseLine]:
    recommendation = study.recommendation
    market = recommendation.market
    on_demand = dict(zip(market.pools, market.on_demand_usd.tolist(), strict=True))
    saved = {
        id(one): float((settled.covered_usd[:, place] - settled.promised_usd[:, place]).mean())
        for place, one in enumerate(made)
    }
    for number, (one, used) in enumerate(zip(recommendation.bought, study.use.utilisation, strict=True)):
        offer = one.offer
        start = recommendation.begins(one)
        in_dollars = offer.kind == "spend"
        best = max((on_demand[pool] / rate for pool, rate in offer.rates.items()), default=1.0)
        yield PurchaseLine(
            name=commitment(one, number).name,
            pool=", ".join(offer.rates) if in_dollars else offer.pool,
            provider="",
            region="",
            plan=offer.plan,
            unit="USD/h" if in_dollars else "instances",
            units=one.units,
            start=start.date(),
            end=(start + dt.timedelta(hours=offer.term_h)).date(),
            usd_per_hour=offer.usd_per_hour,
            on_demand_usd_per_hour=best if in_dollars else on_demand[offer.pool],
            upfront_usd=one.upfront_usd,
            term_usd=one.units * offer.usd_per_hour * offer.term_h,
            utilisation=used,
            saved_usd=saved.get(id(one), 0.0),
            source=offer.source,
        )


def year_json(year: Year) -> dict[str, Any]:
    """The budget under the names that other programs rely on."""
    return {
        "start": f"{year.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{year.end:%Y-%m-%dT%H:%M:%SZ}",
        "amounts_in": "USD" if year.in_dollars else UNIT,
        "total": _period(year.total),
        "months": [_period(month) for month in year.months],
        "without_commitments": year.without_usd._asdict(),
        "present_value": year.present_value,
        "shares": {
            key: [
                {"value": one.value, "effective": one.effective._asdict(), "months": list(one.months_usd)}
                for one in owners
            ]
            for key, owners in year.shares.items()
        },
    }


def _period(period: Period) -> dict[str, Any]:
    return {
        "period": period.name,
        "billed": period.billed._asdict(),
        "effective": period.effective._asdict(),
        "list": period.list_usd,
        "on_demand": period.on_demand_usd,
        "used_commitment": period.used_usd,
        "unused_commitment": period.unused_usd,
        "without_commitments": period.without_usd,
        "coverage": period.coverage,
        "utilisation": period.utilisation,
    }
