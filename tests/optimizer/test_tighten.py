"""A miss takes capacity down where it missed, and gives workloads that do not mix fleets of their own."""

from __future__ import annotations

import numpy as np

from optimizer.problem import CapacityCurve, PlanProblem, Quota
from optimizer.solution import Solution, broken_rules
from optimizer.tighten import Tightening, gathered, separated, tightened
from tests.optimizer.plan_problems import option, question


def problem(**rest: object) -> PlanProblem:
    both = option("l4", 1.0, [[10.0, 12.0, 13.0], [20.0, 21.0, 22.0]], counts=(1, 2, 4), **rest)
    return question([[30.0], [30.0]], both)


def miss(*workloads: int, survivors: int = 2, passing: float = 0.9, load: float = 2.0) -> Tightening:
    return Tightening(0, survivors, workloads, load, passing, workloads[0])


def rates(found: PlanProblem, j: int = 0) -> list[list[float]]:
    return np.round(found.options[j].curve.rps_per_instance, 6).tolist()


def test_capacity_falls_at_the_count_that_missed_and_is_no_higher_below_it() -> None:
    assert [[10.0, 10.8, 13.0], [20.0, 21.0, 22.0]] == rates(tightened(problem(), [miss(0)]))
    assert [[6.0, 6.0, 13.0], [20.0, 21.0, 22.0]] == rates(tightened(problem(), [miss(0, passing=0.5)]))


def test_workloads_that_missed_together_both_carry_less() -> None:
    assert [[9.6, 9.6, 13.0], [16.8, 16.8, 22.0]] == rates(tightened(problem(), [miss(0, 1, passing=0.8)]))


def test_a_fleet_that_missed_before_it_was_full_loses_what_it_had_to_spare_too() -> None:
    half_full = miss(0, load=1.0, passing=0.9)
    assert 0.45 == half_full.factor
    assert [5.4, 5.4, 13.0] == rates(tightened(problem(), [half_full]))[0]


def test_what_missed_is_no_longer_allowed() -> None:
    missed = miss(0, load=1.7, passing=0.99)
    before = problem()
    rate = missed.load * before.options[0].curve.rps_per_instance[0, 1]
    assert rate > tightened(before, [missed]).options[0].curve.rps(0, missed.survivors)


def test_after_several_rounds_a_miss_counts_at_every_count() -> None:
    assert [[9.0, 10.8, 11.7], [20.0, 21.0, 22.0]] == rates(tightened(problem(), [miss(0)], everywhere=True))


def test_workloads_that_mix_badly_may_have_fleets_of_their_own_at_the_capacity_of_each() -> None:
    wider, names = separated(problem(), [miss(0, 1)])
    assert ("l4",) == names
    assert ["l4", "l4 (w0 alone)", "l4 (w1 alone)"] == [one.name for one in wider.options]
    assert [[10.0, 12.0, 13.0], [0.0, 0.0, 0.0]] == rates(wider, 1)
    assert [[0.0, 0.0, 0.0], [20.0, 21.0, 22.0]] == rates(wider, 2)


def test_what_was_separated_is_not_separated_again() -> None:
    wider, _ = separated(problem(), [miss(0, 1)])
    assert (wider, ()) == separated(wider, [miss(0, 1)])


def test_workloads_that_mix_well_and_single_ones_stay_together() -> None:
    before = problem()
    assert (before, ()) == separated(before, [miss(0, 1, passing=0.98), miss(0)])


def test_limits_hold_for_a_fleet_and_its_parts_together() -> None:
    limited = problem(max_instances=5)
    wider, _ = separated(PlanProblem(**{**vars(limited), "quotas": (Quota("all", (0,), 7),)}), [miss(0, 1)])
    assert [("all", (0, 1, 2), 7), ("max_instances of l4", (0, 1, 2), 5)] == [
        (quota.name, quota.options, quota.max_instances) for quota in wider.quotas
    ]


def test_nothing_that_is_given_is_written_to() -> None:
    before = problem()
    kept = before.options[0].curve.rps_per_instance.copy()
    tightened(before, [miss(0, 1)])
    assert np.array_equal(kept, before.options[0].curve.rps_per_instance)
    assert isinstance(before.options[0].curve, CapacityCurve)


def test_two_fleets_of_one_setting_that_serve_the_same_become_one() -> None:
    shared = option("l4", 1.0, [[10.0], [20.0]], detail=object())
    wider, _ = separated(question([[20.0], [80.0]], shared), [miss(0, 1, survivors=4, load=4.0)])
    share = np.zeros((2, 3, 1))
    share[:, :, 0] = [[0.0, 1.0, 0.0], [0.25, 0.0, 0.75]]
    counts = np.array([[1], [2], [3]])
    split = Solution("optimal", 6.0, 6.0, counts, counts, share, np.zeros((2, 1)), 0.0, 0.0)
    found = gathered(wider, split)
    assert [[0], [2], [4]] == found.running.tolist()
    assert [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] == found.share[:, :, 0].tolist()
    assert 6.0 == found.usd_per_month
    assert [] == broken_rules(wider, found.running, found.survivors, found.share)


def test_fleets_that_serve_different_workloads_stay_apart() -> None:
    shared = option("l4", 1.0, [[10.0], [20.0]], detail=object())
    wider, _ = separated(question([[20.0], [80.0]], shared), [miss(0, 1, survivors=4, load=4.0)])
    share = np.zeros((2, 3, 1))
    share[:, :, 0] = [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    counts = np.array([[5], [1], [0]])
    mixed = Solution("optimal", 6.0, 6.0, counts, counts, share, np.zeros((2, 1)), 0.0, 0.0)
    assert gathered(wider, mixed) is mixed
