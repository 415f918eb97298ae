"""Given commitments, an hour costs what the ledger's order makes of it, and the bound holds wherever one stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.commitments import second_stage
from optimizer.commitments.program import CommitmentProblem, Floats
from optimizer.commitments.second_stage import SecondStage
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.dispatch import cover
from tests.optimizer.commitment_problems import answered_directly, drawn, pool, reserved, spend

SEEDS = range(6)


def some_units(problem: CommitmentProblem, seed: int) -> Floats:
    """Units of every purchase, some of them none, between nothing and more than anybody could use."""
    rng = np.random.default_rng(seed)
    count = len(problem.purchases)
    return rng.uniform(0, 8, count) * (rng.random(count) < 0.7)


def as_bought(problem: CommitmentProblem, units: Floats) -> list[Commitment]:
    """The same commitments as values of the ledger."""
    found: list[Commitment] = []
    for purchase, count in zip(problem.purchases, units, strict=True):
        start, term = int(np.argmax(purchase.active)), int(purchase.active.sum())
        if count > 0 and purchase.rates is None:
            kind = problem.types[purchase.instance_type]
            found.append(Reservation(purchase.name, kind, count, purchase.usd_per_h, start, term))
        elif count > 0 and purchase.rates is not None:
            rates = {problem.types[j]: float(purchase.rates[j]) for j in np.flatnonzero(purchase.covers)}
            found.append(SpendCommitment(purchase.name, count, rates, start, term, wide=purchase.wide))
    return found


@pytest.mark.parametrize("falling_prices", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_hours_cost_what_the_ledger_makes_of_them(seed: int, falling_prices: bool) -> None:
    """Commitments that the optimizer applies in another order than the bill would be chosen for another bill."""
    problem = drawn(seed, agree=False, falling_prices=falling_prices)
    units = some_units(problem, seed)
    found = SecondStage(problem).settle(units).on_demand_usd
    prices = np.broadcast_to(problem.prices_of_hours, problem.demand.shape)
    for s, wanted in enumerate(problem.demand):
        left = cover(wanted, as_bought(problem, units), prices[s], problem.types).on_demand
        assert problem.weight_h @ (left * prices[s]).sum(axis=1) == pytest.approx(found[s], rel=1e-12)


@given(seed=st.integers(0, 10_000), agree=st.booleans(), falling_prices=st.booleans())
def test_a_cut_lies_below_the_cost_everywhere(seed: int, agree: bool, falling_prices: bool) -> None:
    """A cut that lay above the cost somewhere could cut off the best commitments."""
    problem = drawn(seed, agree=agree, falling_prices=falling_prices)
    stage = SecondStage(problem)
    here = stage.settle(some_units(problem, seed))
    for other in range(5):
        there = some_units(problem, seed + 1 + other)
        cost = stage.settle(there).on_demand_usd
        assert (here.constant_usd - here.saved_usd @ there <= cost * (1 + 1e-9) + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_lies_below_the_best_use_of_commitments(seed: int) -> None:
    """The cost is that of the providers' order; the bound must hold for the linear program, which may do better."""
    problem = drawn(seed, agree=False)
    stage = SecondStage(problem)
    here, there = stage.settle(some_units(problem, seed)), some_units(problem, seed + 1)
    fixed = tuple(
        replace(purchase, min_units=count, max_units=count)
        for purchase, count in zip(problem.purchases, there, strict=True)
    )
    best_use, _ = answered_directly(replace(problem, purchases=fixed), relaxed=True)
    cuts = problem.probability @ (here.constant_usd - here.saved_usd @ there)
    assert problem.usd_of_a_unit @ there + cuts <= best_use * (1 + 1e-7)


@given(seed=st.integers(0, 10_000), falling_prices=st.booleans())
def test_a_cut_touches_the_cost_where_commitments_agree(seed: int, falling_prices: bool) -> None:
    """Were a cut loose where it was made, cutting planes would stop short of the optimum."""
    problem = drawn(seed, falling_prices=falling_prices)
    units = some_units(problem, seed)
    found = SecondStage(problem).settle(units)
    assert found.on_demand_usd == pytest.approx(found.constant_usd - found.saved_usd @ units, rel=1e-9, abs=1e-9)


def test_disagreeing_commitments_are_bounded_by_their_best_use() -> None:
    """The narrow plan takes what it saves most on; the wide one would have had more of it. Worked out by hand.

    Dollar for dollar the narrow plan covers a (2.00 of on-demand) before b (1.90), and leaves b to the wide one, which
    covers 1.10 of it. The other way round 1.90 and 1.50 are covered.
    """
    rates = {"narrow": [1 / 2.0, 1 / 1.9], "wide": [1 / 1.5, 1 / 1.1]}
    purchases = tuple(spend(each, 1, name=name, wide=name == "wide") for name, each in rates.items())
    problem = CommitmentProblem(("a", "b"), np.ones(2), np.array([[[2.0, 1.9]]]), np.ones(1), np.ones(1), purchases)
    found, units = SecondStage(problem).settle(np.ones(2)), np.ones(2)
    assert 3.9 - 2.0 - 1.1 == pytest.approx(found.on_demand_usd[0])
    assert found.constant_usd[0] - found.saved_usd[0] @ units <= 3.9 - 1.9 - 1.5 + 1e-9


def test_a_unit_more_saves_the_hours_in_which_it_is_wanted() -> None:
    """Three of four hours want a fifth instance: it saves three hours on demand, weights counted."""
    problem = pool([[5, 6, 2, 9]], reserved(4, 0.6), on_demand_usd=2.0, weight_h=np.array([1.0, 2.0, 3.0, 4.0]))
    found = SecondStage(problem).settle(np.array([4.0]))
    assert 2.0 * (1 + 2 * 2 + 5 * 4) == found.on_demand_usd[0]
    assert 2.0 * (1 + 2 + 4) == found.saved_usd[0, 0]


def test_purchases_count_only_while_they_are_active() -> None:
    """A purchase of next month covers nothing this month."""
    later = np.array([False, False, True, True])
    problem = pool([[3, 3, 3, 3]], reserved(4, 0.6, active=later))
    found = SecondStage(problem).settle(np.array([2.0]))
    assert 3 + 3 + 1 + 1 == found.on_demand_usd[0]
    assert 2.0 == found.saved_usd[0, 0]


def test_payment_options_of_one_plan_are_one_commitment() -> None:
    """Plans that differ in nothing but the price of a dollar cover together what one of them would."""
    two = pool([[4, 1, 7]], spend([0.7], 3), spend([0.7], 3, name="upfront", usd_per_h=0.95))
    one = pool([[4, 1, 7]], spend([0.7], 3))
    assert (1, 1) == SecondStage(two).rates.shape
    apart, together = SecondStage(two).settle(np.array([1.0, 0.5])), SecondStage(one).settle(np.array([1.5]))
    assert together.on_demand_usd[0] == apart.on_demand_usd[0]


def test_scenarios_side_by_side_cost_what_they_cost_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads save time, and change nothing."""
    problem = drawn(3, agree=False, scenarios=5)
    stage, units = SecondStage(problem), some_units(problem, 3)
    alone = stage.settle(units)
    monkeypatch.setattr(second_stage, "SIDE_BY_SIDE", 0)
    for one, other in zip(vars(alone).values(), vars(stage.settle(units)).values(), strict=True):
        assert np.array_equal(one, other)
    some = stage.settle(units, [4, 1])
    assert np.array_equal(alone.on_demand_usd[[4, 1]], some.on_demand_usd)
