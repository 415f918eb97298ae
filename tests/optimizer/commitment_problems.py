"""Small questions of what to commit, drawn at random, and their answers by the program with every hour written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimizer import highs
from optimizer.commitments.direct import build
from optimizer.commitments.program import CommitmentProblem, Floats, Purchase, RiskMeasure

NO_RISK = RiskMeasure()


def pool(demand: list[list[float]], *purchases: Purchase, on_demand_usd: float = 1.0, **rest: Any) -> CommitmentProblem:
    """One pool; demand by scenario and hour, each hour an hour, scenarios equally likely."""
    table = np.array(demand, dtype=np.float64)[:, :, None]
    given = {"weight_h": np.ones(table.shape[1]), "probability": np.full(len(table), 1 / len(table))} | rest
    return CommitmentProblem(("a",), np.array([on_demand_usd]), table, purchases=purchases, **given)


def reserved(hours: int, usd_per_h: float, **rest: Any) -> Purchase:
    """Instances of the first type, active in all hours unless said otherwise."""
    given: dict[str, Any] = {"name": "reserved", "active": np.ones(hours, dtype=bool), "instance_type": 0} | rest
    return Purchase(kind="instances", usd_per_h=usd_per_h, **given)


def spend(rates: list[float], hours: int, **rest: Any) -> Purchase:
    """A dollar an hour at these rates, NaN for what it does not cover; any part of it."""
    given: dict[str, Any] = {"name": "spend", "active": np.ones(hours, dtype=bool), "unit": 0.0, "usd_per_h": 1.0}
    return Purchase(kind="spend", rates=np.array(rates), **(given | rest))


def drawn(
    seed: int,
    *,
    agree: bool = True,
    unit: float = 0.0,
    risk: RiskMeasure = NO_RISK,
    falling_prices: bool = False,
    scenarios: int = 3,
    **limits: float,
) -> CommitmentProblem:
    """Three types, twelve weighted hours, and a ladder of two starts: reservations, narrow and two wide commitments.

    Parameters
    ----------
    seed
        Of everything that is drawn.
    agree
        Whether the spend commitments agree about which type saves most: their rates are then multiples of each other,
        and the providers' order is the best use.
    unit
        What instances are sold in.
    risk, limits
        As the problem has them.
    falling_prices
        Whether prices on demand differ by scenario and fall half way.
    scenarios
        How many.
    """
    rng = np.random.default_rng(seed)
    hours, types = 12, 3
    on_demand = rng.uniform(0.5, 4, types)
    wide = on_demand * rng.uniform(0.6, 0.9, types)
    others = [wide * 0.8, wide * 0.7] if agree else [on_demand * rng.uniform(0.4, 0.8, types) for _ in range(2)]
    narrow = np.where(np.arange(types) < 2, others[0], np.nan)
    purchases = []
    for k, active in enumerate((np.ones(hours, dtype=bool), np.arange(hours) >= 5)):
        for j in range(types):
            price = on_demand[j] * rng.uniform(0.4, 0.8)
            name = f"type {j} start {k}"
            purchases.append(
                Purchase(name, "instances", price, active, instance_type=j, unit=unit, upfront_usd=6 * price)
            )
        for name, rates in (("narrow", narrow), ("wide", wide), ("long", others[1])):
            purchases.append(
                Purchase(f"{name} start {k}", "spend", 1.0, active, rates=rates, wide=name != "narrow", unit=0.0)
            )
    demand = rng.integers(0, 9, (scenarios, hours, types)) * rng.uniform(0.5, 2, (scenarios, 1, types))
    prices = on_demand
    if falling_prices:
        cut = np.where(np.arange(hours) >= 6, rng.uniform(0.7, 1, (scenarios, 1)), 1.0)
        prices = on_demand * cut[:, :, None]
    chance = rng.uniform(0.5, 1, scenarios)
    weight = rng.uniform(0.5, 3, hours)
    return CommitmentProblem(
        tuple("abc"), prices, demand, weight, chance / chance.sum(), tuple(purchases), risk, **limits
    )


def answered_directly(
    problem: CommitmentProblem, *, relaxed: bool = False, hindsight_usd: Floats | None = None
) -> tuple[float, Floats]:
    """Objective and units of the program with every hour written out; the objective is infinite where there is none."""
    program = build(problem, relaxed=relaxed, hindsight_usd=hindsight_usd)
    whole = not relaxed and any(purchase.unit > 0 for purchase in problem.purchases)
    verdict = highs.run(program.model, whole=whole)
    values = [column.value() or 0.0 for column in program.units]
    steps = [purchase.unit or 1.0 for purchase in problem.purchases]
    return verdict.objective, np.array(values) * steps
