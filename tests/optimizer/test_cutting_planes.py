"""The master program bounds from below at all times, its proposals may be bought, and the search between the two."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from optimizer.commitments import cutting_planes
from optimizer.commitments.cutting_planes import Aim, Master, most_useful_units
from optimizer.commitments.program import CommitmentProblem, Purchase, RiskMeasure
from optimizer.commitments.search import Search, broken_limits, rounded, whole
from optimizer.commitments.second_stage import SecondStage
from tests.optimizer.commitment_problems import answered_directly, drawn, pool, reserved, spend


def begun(problem: CommitmentProblem, seconds: float = 60.0) -> Search:
    """A search that has settled the scenarios without any commitment beyond what must be."""
    stage = SecondStage(problem)
    aim = Aim(tuple(range(len(problem.demand))), problem.probability, problem.risk)
    search = Search(stage, Master(stage, aim, most_useful_units(problem)), time.monotonic() + seconds)
    search.look(problem.min_units)
    return search


@pytest.mark.parametrize("risk", [RiskMeasure(), RiskMeasure("cvar_cost", 0.7, 0.6)], ids=["mean", "tail"])
@pytest.mark.parametrize("unit", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_rises_with_every_cut_and_never_passes_the_optimum(seed: int, unit: float, risk: RiskMeasure) -> None:
    """A bound above the optimum would call something optimal that is not."""
    problem = drawn(seed, unit=unit, risk=risk)
    optimum, _ = answered_directly(problem)
    search = begun(problem)
    if unit:
        search.master.whole()
    bounds = []
    for _ in range(12):
        proposal = search.master.propose(limit_s=60.0)
        assert proposal.finished
        bounds.append(proposal.bound_usd)
        search.look(proposal.units)
    assert all(later >= earlier - 1e-7 * optimum for earlier, later in pairwise(bounds))
    assert bounds[-1] <= optimum * (1 + 1e-7)
    assert bounds[-1] > 0.8 * optimum


@pytest.mark.parametrize("risk", [RiskMeasure(), RiskMeasure("cvar_cost", 0.7, 0.6)], ids=["mean", "tail"])
@pytest.mark.parametrize("shared", [True, False], ids=["a commitment for all", "nothing shared"])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_added_up_cuts_lead_to_the_same_optimum(
    most: int, shared: bool, risk: RiskMeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenarios that share a cut, and parts that do, save time in the master program and nothing else."""
    monkeypatch.setattr(cutting_planes, "MOST_CUTS", most)
    monkeypatch.setattr(cutting_planes, "MOST_IN_PARTS", most)
    problem = drawn(2, risk=risk, scenarios=4)
    if not shared:
        problem = replace(problem, purchases=tuple(p for p in problem.purchases if p.kind == "instances"))
    optimum, _ = answered_directly(problem)
    search = begun(problem)
    search.in_parts(1e-8)
    assert optimum == pytest.approx(search.best_usd, rel=1e-7)
    assert optimum == pytest.approx(search.bound_usd, rel=1e-7)


def test_types_are_in_one_part_where_a_commitment_covers_both() -> None:
    """A cut of a part may leave out only what has nothing to do with it."""
    demand, active = np.ones((1, 1, 4)), np.ones(1, dtype=bool)
    last = Purchase("d", "instances", 0.5, active, instance_type=3)
    purchases = spend([0.5, np.nan, 0.5, np.nan], 1), last
    problem = CommitmentProblem(tuple("abcd"), np.ones(4), demand, np.ones(1), np.ones(1), purchases)
    stage = SecondStage(problem)
    assert [0, 1, 0, 2] == stage.part.tolist()
    assert [0, 2] == stage.part_of_purchase.tolist()
    assert [[2.0, 1.0, 1.0]] == stage.settle(np.zeros(2)).constant_of_parts_usd.tolist()


def test_proposals_keep_to_every_limit() -> None:
    """The favourite of the master program is settled and may be bought: it may break nothing."""
    problem = drawn(3, max_upfront_usd=20.0, max_committed_share=0.4)
    few = tuple(replace(p, min_units=0.5, max_units=3.0) for p in problem.purchases)
    problem = replace(problem, purchases=few, max_upfront_usd=60.0)
    search = begun(problem)
    for _ in range(8):
        units = search.master.propose(limit_s=60.0).units
        assert (units >= 0.5 - 1e-6).all()
        assert (units <= 3.0 + 1e-6).all()
        assert [] == broken_limits(problem, units * (1 - 1e-6))
        search.look(units)


def test_more_than_the_peak_is_never_of_use() -> None:
    """The most that could be used in any hour in which the purchase is active, whole where it is sold whole."""
    later = np.array([False, True, True])
    purchases = (
        reserved(3, 0.5, name="whole"),
        reserved(3, 0.5, name="part", unit=0.0, active=later),
        reserved(3, 0.5, name="limited", max_units=2.5),
        reserved(3, 0.5, name="must", min_units=20.0),
        spend([0.5], 3),
    )
    assert [9, 5.5, 2, 20, 4.25] == most_useful_units(pool([[8.5, 1, 2], [0, 5.5, 1]], *purchases)).tolist()


def test_units_are_rounded_to_what_may_be_bought() -> None:
    """The nearest whole units where the limits allow it, and the next below in any case."""
    demand = [[8.0, 8.0]]
    problem = pool(demand, reserved(2, 0.5, upfront_usd=10.0), spend([0.5], 2), max_upfront_usd=30.0)
    assert [[2.0, 0.7]] == [each.tolist() for each in rounded(problem, np.array([2.2, 0.7]))][:1]
    assert [[2.0, 0.7]] == [
        each.tolist() for each in rounded(replace(problem, max_upfront_usd=25.0), np.array([2.6, 0.7]))
    ]
    assert [3.0, 0.7] == whole(problem, np.array([2.6, 0.7])).tolist()


def test_what_is_best_in_parts_is_within_the_gap_and_no_round_is_wasted() -> None:
    """In-out rounds end as soon as the gap is reached, and the best is the best that was settled."""
    search = begun(drawn(7))
    search.in_parts(1e-3)
    assert search.within(1e-3)
    rounds = search.rounds
    search.in_parts(1e-3)
    assert rounds == search.rounds


def test_a_search_stops_where_only_the_providers_order_is_in_its_way() -> None:
    """Rounds without end would not close a gap that the cuts do not know of."""
    held_up = 0
    for seed in range(8):
        search = begun(drawn(seed, agree=False))
        search.in_parts(1e-7)
        assert search.within(1e-7) or search.held_up_by_order(1e-7)
        held_up += not search.within(1e-7)
        assert search.rounds < 200
    assert held_up > 0


def test_a_search_out_of_time_settles_nothing_more() -> None:
    """The deadline is looked at before every round."""
    search = begun(drawn(7), seconds=-1.0)
    search.in_parts(1e-9)
    assert 1 == search.rounds
    assert search.late()
