"""What is said about a plan is what trying it out would show."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from optimizer.alternatives import alternatives
from optimizer.binding import binding, used_of_last
from optimizer.explain import explain
from optimizer.marginal import limit_prices, looser_ms, request_prices, slo_price
from optimizer.not_chosen import at_hours, dearness, not_chosen
from optimizer.plan import plan_json
from optimizer.problem import PlanProblem, Quota
from optimizer.shadow_price import shadow_prices
from optimizer.single_type import single_types
from optimizer.solution import Solution, broken_rules
from optimizer.solve import solve
from tests.optimizer.plan_problems import option, problems, question

SMALL = option("small", 1.0, [10.0], hours=2)
BIG = option("big", 3.0, [40.0], hours=2)
MID = option("mid", 2.5, [20.0], hours=2)


def mixed(*options: object, **rest: object) -> PlanProblem:
    """15 requests per second, then 90. Two small ones cost 2; two big ones and a small one cost 7."""
    return question([[15.0, 90.0]], *(options or (SMALL, BIG, MID)), **rest)  # type: ignore[arg-type]


def solved(problem: PlanProblem) -> Solution:
    return solve(problem, gap=0.0)


def test_single_types_cost_what_counting_says() -> None:
    """Small alone needs 2 and 9, big alone 1 and 3, mid alone 1 and 5."""
    found, _ = single_types(mixed(), solved(mixed()))
    assert [("small", 11.0), ("big", 12.0), ("mid", 15.0)] == [(one.candidate, one.usd_per_month) for one in found]
    assert 11 / 9 - 1 == pytest.approx(found[0].dearer)
    assert "small alone: $11.00 a month (+22%), up to 9 instances" == found[0].words


def test_a_type_that_cannot_serve_alone_says_why() -> None:
    other = option("other", 0.1, [0.0], hours=2)
    few = replace(BIG, name="few", candidate="few", max_instances=1)
    problem = mixed(SMALL, few, other)
    found, _ = single_types(problem, solved(problem), refusals={"other": ["p99 of w0 cannot be 5 ms: it takes 9 ms"]})
    assert ["small", "few", "other"] == [one.candidate for one in found]
    assert "its limits let it carry 44% of the requests at 01:00" == found[1].why
    assert "p99 of w0 cannot be 5 ms: it takes 9 ms" == found[2].why
    assert None is found[2].usd_per_month


def test_the_best_single_type_is_the_cheapest_after_its_proof() -> None:
    """One whose mending made it dearer than the next is no longer the best."""
    problem = mixed()

    def mended(_: PlanProblem, one: Solution) -> tuple[Solution, bool | None]:
        extra = 2.0 if one.usd_per_month == 11.0 else 0.0
        return replace(one, usd_per_month=one.usd_per_month + extra), True

    found, _ = single_types(problem, solved(problem), mend=mended)
    assert [("big", 12.0, True), ("small", 13.0, True)] == [
        (one.candidate, one.usd_per_month, one.proven) for one in found[:2]
    ]


def test_a_candidate_enters_below_the_price_at_which_it_replaces_two_small_ones() -> None:
    """For 15 requests per second one mid replaces two small ones at 1 dollar each."""
    (found,) = not_chosen(mixed(), solved(mixed()))
    assert ("mid", "dominated", 2.5) == (found.candidate, found.reason, found.usd_per_hour)
    assert found.entry_usd_per_hour is not None
    assert 2.0 == pytest.approx(found.entry_usd_per_hour, rel=0.011)
    assert {"w0": 125.0} == found.usd_per_1k_rps
    cheaper = replace(MID, usd_per_hour=np.full(2, found.entry_usd_per_hour))
    assert solved(mixed(SMALL, BIG, cheaper)).running[2].any()


def test_what_keeps_a_candidate_out_is_told_apart() -> None:
    slow = option("slow", 0.1, [0.0], hours=2)
    banned = replace(MID, name="banned", candidate="banned", max_instances=0)
    problem = mixed(SMALL, BIG, slow, banned)
    said = {"slow": ["p99 of w0 cannot be 20 ms: service alone takes 24 ms"]}
    reasons = {one.candidate: one.reason for one in not_chosen(problem, solved(problem), refusals=said)}
    assert {"slow": "cannot_meet_slo", "banned": "not_allowed"} == reasons
    assert ["serves_nothing"] == [
        one.reason for one in not_chosen(mixed(SMALL, BIG, slow), solved(mixed(SMALL, BIG, slow)))
    ]


def test_a_thousand_requests_cost_price_over_capacity() -> None:
    assert [[100.0], [75.0], [125.0]] == dearness(mixed()).tolist()


def test_one_more_of_a_limit_saves_what_the_cheaper_plan_costs_less() -> None:
    """With one big one the second hour costs 3 and 5 small ones, 8; with two of them 7."""
    few = replace(BIG, max_instances=1)
    problem = mixed(SMALL, few)
    (found,), missed = limit_prices(problem, solved(problem), gap=0.0)
    assert ("big", 1, ()) == (found.name, found.max_instances, missed)
    assert 1.0 == pytest.approx(found.saves_usd_per_month)
    assert "one more than 1 instance of big saves $1.00 a month" == found.words


def test_a_larger_quota_lifts_the_limits_that_repeat_it() -> None:
    """A limit that a plan file states over several settings is on every one of them, too."""
    one, other = (replace(BIG, name=name, max_instances=1) for name in ("big 4", "big 8"))
    problem = mixed(SMALL, one, other, quotas=(Quota("max_instances of big", (1, 2), 1),))
    (found,), _ = limit_prices(problem, solved(problem), gap=0.0)
    assert 1.0 == pytest.approx(found.saves_usd_per_month)


def test_surviving_a_loss_has_a_price() -> None:
    problem = question([[15.0]], option("small", 1.0, [10.0], spare=1))
    (found,), _ = limit_prices(problem, solved(problem), gap=0.0)
    assert 1.0 == pytest.approx(found.saves_usd_per_month)
    assert "not having to survive the loss of an instance saves $1.00 a month" == found.words


def test_one_more_request_costs_the_share_of_an_instance_that_serves_it() -> None:
    """On instances of 10 requests per second at 1 dollar: 0.1 dollar an hour, in every hour."""
    problem = mixed(SMALL)
    (found,) = request_prices(problem, shadow_prices(problem, solved(problem)))
    assert [0.1, 0.1] == pytest.approx(found.usd_per_hour)
    assert "one more request per second of w0 costs $0.10 an hour at any time" == found.words


def test_a_looser_objective_saves_what_solving_again_says() -> None:
    """With a fifth more capacity 15 and 90 requests per second need 2 and 8 instances, not 2 and 9."""
    problem = mixed(SMALL)

    def looser(workload: str, objective: str, more_ms: float) -> PlanProblem:
        assert ("w0", "p99", 10.0) == (workload, objective, more_ms)
        return mixed(replace(SMALL, curve=SMALL.curve.scaled(1.2)))

    found = slo_price(solved(problem), "w0", "p99", 100.0, looser, gap=0.0)
    assert 1.0 == pytest.approx(found.saves_usd_per_month)
    assert "10 ms more for the p99 of w0 (100 ms) saves $1.00 a month" == found.words


@pytest.mark.parametrize("target_ms", [0.5, 3.0, 39.0, 40.0, 500.0, 501.0, 60_000.0])
def test_a_looser_objective_is_a_change_that_shows_and_no_other_objective(target_ms: float) -> None:
    assert 0.015 <= looser_ms(target_ms) / target_ms <= 0.25


def test_a_plan_within_two_per_cent_that_is_all_different_is_shown() -> None:
    near, far = option("near", 1.01, [10.0], hours=2), option("far", 1.03, [10.0], hours=2)
    problem = mixed(SMALL, near, far)
    (found, *_), missed = alternatives(problem, solved(problem), gap=0.0)
    assert ("without small, more near (+$11.11)", ()) == (found.difference, missed)
    assert 0.01 == pytest.approx(found.dearer)
    assert 2 * (9 + 2) * 1.005 / (2 * 11 * 1.01) == pytest.approx(found.differs)
    assert {"near": (2, 9)} == found.instances
    assert "not simulated" in found.words


def test_no_plan_is_shown_that_costs_more_than_it_may() -> None:
    far = option("far", 1.03, [10.0], hours=2)
    problem = mixed(SMALL, far)
    found, _ = alternatives(problem, solved(problem), gap=0.0)
    assert () == tuple(one for one in found if one.dearer > 0.02)
    assert all("far" in one.instances and "small" in one.instances for one in found)


def test_an_alternative_takes_the_plans_own_hours_where_it_misses() -> None:
    """What is shown beside the plan holds in every hour, too; where no hour of its own holds, nothing is shown."""
    near = option("near", 1.01, [10.0], hours=2)
    problem = mixed(SMALL, near)
    (found, *_), _ = alternatives(problem, solved(problem), gap=0.0, simulate=lambda _, one: (one, frozenset({0})))
    assert ({"small": (0, 2), "near": (0, 9)}, True) == (found.instances, found.proven)
    assert "not simulated" not in found.words
    none, _ = alternatives(problem, solved(problem), gap=0.0, simulate=lambda _, one: (one, frozenset({0, 1})))
    assert () == none


def test_an_alternative_that_misses_in_hours_that_hang_together_is_not_shown() -> None:
    kept = [replace(one, min_up_hours=2) for one in (SMALL, option("near", 1.01, [10.0], hours=2))]
    problem = mixed(*kept)
    assert () != alternatives(problem, solved(problem), gap=0.0)[0]
    assert () == alternatives(problem, solved(problem), gap=0.0, simulate=lambda _, one: (one, frozenset({0})))[0]


def test_limits_that_are_touched_are_named_with_their_hours() -> None:
    few = replace(BIG, max_instances=1)
    problem = mixed(SMALL, few, max_usd_per_hour=8.0)
    found = {one.limit: one.words for one in binding(problem, solved(problem))}
    assert "all 1 instance of big that are allowed run at 01:00" == found["max_instances"]
    assert "the budget of $8.00 an hour is spent at 01:00" == found["budget"]
    assert "of the last small, 50% is needed at 00:00" in found["whole_instances"]


def test_a_floor_of_accuracy_binds_where_a_mixture_just_reaches_it() -> None:
    """Half of 20 requests per second on the exact model make 0.8 of 0.7 and 0.9."""
    plain = option("plain", 1.0, [10.0], accuracy=[0.7])
    exact = option("exact", 5.0, [10.0], accuracy=[0.9])
    tight, loose = (question([[20.0]], plain, exact, min_accuracy=np.array([floor])) for floor in (0.8, 0.7))
    (found,) = binding(tight, solved(tight))
    assert ("accuracy", "w0", 0.8) == (found.limit, found.where, found.value)
    assert () == binding(loose, solved(loose))


def test_what_is_needed_of_the_last_instance_is_what_the_others_leave() -> None:
    problem = mixed(SMALL)
    assert 0.5 == pytest.approx(used_of_last(problem, solved(problem), 0, 0))
    assert 1.0 == pytest.approx(used_of_last(problem, solved(problem), 0, 1))


def test_hours_that_hang_together_are_not_torn_apart() -> None:
    with pytest.raises(ValueError, match="depend on those before"):
        at_hours(mixed(replace(SMALL, start_usd=1.0)), [0])
    assert ("01:00",) == at_hours(mixed(), [1]).hours


def test_questions_that_time_does_not_allow_are_named() -> None:
    problem = mixed(SMALL, BIG, MID)
    found = explain(problem, solved(problem), time_limit_s=0.0, objectives={"w0": ("p99", 100.0)}, looser=_never)
    assert {"plans without small", "the price at which mid would enter", "what the p99 of w0 costs"} <= set(
        found.left_out
    )
    assert () == found.alternatives
    assert None is found.best_single_type


def _never(workload: str, objective: str, more_ms: float) -> PlanProblem:
    raise AssertionError(f"{workload} {objective} {more_ms}")


def test_nothing_explains_a_plan_that_does_not_exist() -> None:
    problem = mixed(replace(SMALL, max_instances=1))
    with pytest.raises(ValueError, match="no plan"):
        explain(problem, solved(problem))


@settings(max_examples=40)
@given(problems())
def test_every_explanation_can_be_checked_against_the_problem(problem: PlanProblem) -> None:
    """A single type or an alternative that breaks a rule, or is cheaper than any plan can be, is no plan."""
    plan = solved(problem)
    if plan.status == "infeasible":
        return
    plans: list[Solution] = []

    def kept(_: PlanProblem, one: Solution) -> tuple[Solution, bool | None]:
        plans.append(one)
        return one, True

    def tried(_: PlanProblem, one: Solution) -> tuple[Solution, frozenset[int] | None]:
        plans.append(one)
        return one, frozenset()

    found = explain(problem, plan, usd_per_rps_h=shadow_prices(problem, plan), mend=kept, simulate=tried, gap=0.0)
    for one in plans:
        assert [] == broken_rules(problem, one.running, one.survivors, one.share)
        assert one.usd_per_month >= plan.usd_per_month * (1 - 1e-6) - 1e-6
    assert all(one.usd_per_month <= plan.usd_per_month * 1.02 + 1e-6 for one in found.alternatives)
    assert all(price.saves_usd_per_month >= 0 for price in found.limit_prices)
    chosen = {problem.options[j].candidate for j in np.flatnonzero(plan.running.any(axis=1))}
    assert {option.candidate for option in problem.options} - chosen == {one.candidate for one in found.not_chosen}
    said = [one.words for one in found.binding] + [one.words for one in found.single_types]
    said += [one.words for one in found.alternatives] + [one.words for one in found.not_chosen]
    assert not any(words.endswith(".") or "nan" in words for words in said)


def test_an_explanation_is_json_without_a_number_that_json_has_not() -> None:
    from optimizer.plan import Plan

    problem = mixed(SMALL, BIG, option("slow", 0.1, [0.0], hours=2))
    plan = solved(problem)
    found = explain(problem, plan, usd_per_rps_h=shadow_prices(problem, plan))
    shown = Plan("p", "optimal", 4.5, 9.0, 4.5, 0.0, ("w0",), problem.hours, (1.0, 1.0), {"w0": (15.0, 90.0)})
    document = plan_json(replace(shown, explanation=found))
    assert "small" == document["best_single_type"]["candidate"]
    assert ["requests", "slo", "limits"] == list(document["shadow_prices"])
    assert None is document["single_types"][-1]["usd_per_month"]


def test_time_spent_is_held_to_the_limit_roughly() -> None:
    """Questions already begun may end; none is begun after the limit."""
    begun = time.monotonic()
    explain(mixed(), solved(mixed()), time_limit_s=0.0)
    assert time.monotonic() - begun < 5.0
