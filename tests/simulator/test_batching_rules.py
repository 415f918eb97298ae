"""When each batching rule takes a batch, worked out by hand and held against both engines.

An execution is written (taken, end, requests) in milliseconds. Service takes 5 ms and 1 ms more for each item.
"""

from __future__ import annotations

from typing import Any

import pytest

from simulator.log import COMPLETED, IN_FLIGHT
from simulator.model import FleetModel
from simulator.policies import batching
from simulator.policies.service import PPM
from tests.models import MS, agreed, arriving, by_items, executions_ms, model_of

Executions = list[tuple[float, float, int]]

DYNAMIC = (batching.TEXTBOOK, batching.COLLECT, batching.WINDOW, batching.CARRY, batching.TRITON)
ALONE: dict[str, Any] = {"model_instances": 2, "slow_ppm": (PPM, PPM)}
"""Two model instances that do not disturb one another."""


def fleet(rule: int, *, max_batch: int = 3, delay_ms: float = 5, **rest: Any) -> FleetModel:
    service_ns = by_items(*(5 + items for items in range(1, max_batch + 1)))
    return FleetModel(service_ns, rule=rule, max_batch=max_batch, delay_ns=round(delay_ms * MS), **rest)


def rule_ids(rule: int) -> str:
    return batching.RULES[rule]


ARRIVALS = (1, 9, 19, 21, 22, 22.5, 28, 50)

# The same eight requests under every rule: batches of up to 3, a delay of 5 ms.
BY_RULE: dict[int, Executions] = {
    # One at a time, 6 ms each.
    batching.NONE: [
        (1, 7, 1), (9, 15, 1), (19, 25, 1), (25, 31, 1), (31, 37, 1), (37, 43, 1), (43, 49, 1), (50, 56, 1),
    ],
    # Three at a time: the third comes at 19; the sixth at 22.5, and the model instance is free at 27. Two are left.
    batching.STATIC: [(19, 27, 3), (27, 35, 3)],
    # From when the oldest was queued: 1 + 5, 9 + 5. Three wait at 22. Of the next two the oldest, of 22.5, is overdue
    # when the model instance is free at 30. 50 + 5.
    batching.TEXTBOOK: [(6, 12, 1), (14, 20, 1), (22, 30, 3), (30, 37, 2), (55, 61, 1)],
    # From when the worker turns to the queue: 1 + 5; back at 12, finds the request of 9: 12 + 5. Back at 23 finds
    # four, three go at once; back at 31 finds two, and waits for a third until 36. Idle, takes the last at 50: 55.
    batching.COLLECT: [(6, 12, 1), (17, 23, 1), (23, 31, 3), (36, 43, 2), (55, 61, 1)],
    # Windows of 5 from 0: 5. From 11: 16. From 22: the request of that instant is the third. From 30: 35. From 42:
    # 47 finds nobody, 52 does.
    batching.WINDOW: [(5, 11, 1), (16, 22, 1), (22, 30, 3), (35, 42, 2), (52, 58, 1)],
    # As COLLECT, but the batch of 23 leaves a request behind: its 5 ms run out at 28, during the execution.
    batching.CARRY: [(6, 12, 1), (17, 23, 1), (23, 31, 3), (31, 38, 2), (55, 61, 1)],
    # As the textbook, but the request of 22.5 is formed into a batch at 27.5, while the model instance is busy; the
    # one of 28 does not wake the batcher until its own batch is due.
    batching.TRITON: [(6, 12, 1), (14, 20, 1), (22, 30, 3), (30, 36, 1), (36, 42, 1), (55, 61, 1)],
}  # fmt: skip


@pytest.mark.parametrize("rule", BY_RULE, ids=rule_ids)
def test_every_rule_takes_the_same_requests_at_its_own_times(rule: int) -> None:
    """A rule that is another server's rule predicts another server's latency."""
    assert BY_RULE[rule] == executions_ms(agreed(model_of(fleet(rule), arriving(*ARRIVALS))))


def test_all_rules_differ_on_these_requests() -> None:
    """Were two rules alike here, the table above could not tell them apart."""
    assert len(batching.RULES) == len({tuple(executions) for executions in BY_RULE.values()})


@pytest.mark.parametrize("rule", DYNAMIC, ids=rule_ids)
def test_without_a_delay_every_rule_takes_what_waits_when_it_is_free(rule: int) -> None:
    """A delay of 0 that waited would cost every request of an unbatched fleet.

    1: {1} until 7. 7: {2, 3, 4} until 15. 15: {5} until 21. 21: {20} until 27.
    """
    model = model_of(fleet(rule, delay_ms=0), arriving(1, 2, 3, 4, 5, 20))
    assert [(1, 7, 1), (7, 15, 3), (15, 21, 1), (21, 27, 1)] == executions_ms(agreed(model))


@pytest.mark.parametrize("rule", [batching.STATIC, *DYNAMIC], ids=rule_ids)
def test_a_full_batch_goes_at_once(rule: int) -> None:
    """A full batch that waited for its delay would waste the delay: nobody can join it.

    Three come at 1 and go until 9; three more wait since 2 and go at 9.
    """
    model = model_of(fleet(rule), arriving(1, 1, 1, 2, 2, 2))
    assert [(1, 9, 3), (9, 17, 3)] == executions_ms(agreed(model))


@pytest.mark.parametrize("rule", [batching.STATIC, *DYNAMIC], ids=rule_ids)
def test_the_request_that_fills_a_batch_starts_it(rule: int) -> None:
    """Batches under load would be late by what is left of the delay."""
    model = model_of(fleet(rule, delay_ms=500), arriving(1, 2, 4))
    assert [(4, 12, 3)] == executions_ms(agreed(model))


def test_a_static_batch_waits_however_long_and_the_last_ones_never_finish() -> None:
    """Requests of a batch that never fills must be counted as in flight, not lost and not completed.

    Four at a time: {1, 2, 3, 700} go at 700; the delay of 5 ms is nothing to a static batch. 800 and 900 stay.
    """
    log = agreed(model_of(fleet(batching.STATIC, max_batch=4), arriving(1, 2, 3, 700, 800, 900)))
    assert [(700, 709, 4)] == executions_ms(log)
    assert [COMPLETED] * 4 + [IN_FLIGHT] * 2 == log.requests.outcome.tolist()
    assert [-1, -1] == log.requests.left_ns[4:].tolist()
    assert [800 * MS, 900 * MS] == log.requests.queued_ns[4:].tolist()


# Requests of several items: three items at 1, two at 2, one at 3; batches hold up to 4 items. At 2 five items wait, so
# the oldest goes at once; the two items do not fit beside its three and start the next batch.
OF_SEVERAL_ITEMS: dict[int, Executions] = {
    # By request: 8 ms for three items, 7 for two, 6 for one.
    batching.NONE: [(1, 9, 1), (9, 16, 1), (16, 22, 1)],
    # Four items or more wait at 2; the three that are left afterwards never fill a batch.
    batching.STATIC: [(2, 10, 1)],
    # Free at 10; the oldest of {two items, one item} has waited since 2.
    batching.TEXTBOOK: [(2, 10, 1), (10, 18, 2)],
    batching.COLLECT: [(2, 10, 1), (15, 23, 2)],
    # The worker is back at 10, and its first window ends at 15.
    batching.WINDOW: [(2, 10, 1), (15, 23, 2)],
    # The two items were left over at 2, and the next delay ran out at 7.
    batching.CARRY: [(2, 10, 1), (10, 18, 2)],
    # {two items} is formed at 7, with the one item that was queued then.
    batching.TRITON: [(2, 10, 1), (10, 18, 2)],
}


@pytest.mark.parametrize("rule", OF_SEVERAL_ITEMS, ids=rule_ids)
def test_a_request_that_does_not_fit_starts_the_next_batch(rule: int) -> None:
    """A request torn in two would be executed as nobody executes it; one squeezed in would not fit the memory."""
    streams = (arriving(1, items=(3,)), arriving(2, items=(2,)), arriving(3, items=(1,)))
    assert OF_SEVERAL_ITEMS[rule] == executions_ms(agreed(model_of(fleet(rule, max_batch=4), streams)))


@pytest.mark.parametrize("rule", DYNAMIC, ids=rule_ids)
def test_nobody_overtakes_a_request_that_does_not_fit(rule: int) -> None:
    """A small request that slipped past a large one would make the large one wait for ever under load.

    One item from 1 to 7. Then three items, two and one wait, in this order: the one would fit beside the three, but
    stands behind the two. Without a delay: {3} from 7 to 15, {2, 1} from 15 to 23.
    """
    streams = (arriving(1, items=(1,)), arriving(2, items=(3,)), arriving(3, items=(2,)), arriving(4, items=(1,)))
    log = agreed(model_of(fleet(rule, max_batch=4, delay_ms=0), streams))
    assert [(1, 7, 1), (7, 15, 1), (15, 23, 2)] == executions_ms(log)
    assert [1, 3, 3, 3] == log.batches.items[log.requests.batch].tolist()


# Two model instances that do not disturb one another, batches of up to 3, a delay of 5 ms.
FOR_TWO = (1, 2, 7, 8, 30)
BY_TWO: dict[int, Executions] = {
    batching.NONE: [(1, 7, 1), (2, 8, 1), (7, 13, 1), (8, 14, 1), (30, 36, 1)],
    batching.STATIC: [(7, 15, 3)],
    batching.TEXTBOOK: [(6, 13, 2), (12, 19, 2), (35, 41, 1)],
    # One collects at a time. The second turns to the queue at 6 when the first leaves with {1, 2}; it takes the
    # request of 7 and waits until 12.
    batching.COLLECT: [(6, 13, 2), (12, 19, 2), (35, 41, 1)],
    # Windows from 0 end at 5; from 5, when the second turns to the queue, at 10. Then both are busy until the first
    # is back at 12: its windows end at 17, 22, 27, 32. The second, back at 17, does not move them.
    batching.WINDOW: [(5, 12, 2), (10, 17, 2), (32, 38, 1)],
    batching.CARRY: [(6, 13, 2), (12, 19, 2), (35, 41, 1)],
    batching.TRITON: [(6, 13, 2), (12, 19, 2), (35, 41, 1)],
}


@pytest.mark.parametrize("rule", BY_TWO, ids=rule_ids)
def test_two_model_instances_collect_one_after_the_other(rule: int) -> None:
    """Two workers that collected at once would tear every batch in two."""
    assert BY_TWO[rule] == executions_ms(agreed(model_of(fleet(rule, **ALONE), arriving(*FOR_TWO))))


def test_windows_run_on_from_the_worker_that_was_back_first() -> None:
    """A worker that comes back to an idle one must not shift its windows.

    {1} from 5 to 11, {7, 8} from 10 to 17. The first is back at 11, so windows end at 16, 21, 26, 31; counted from
    17, when the second is back, the request of 28 would go at 32.
    """
    model = model_of(fleet(batching.WINDOW, **ALONE), arriving(1, 7, 8, 28))
    assert [(5, 11, 1), (10, 17, 2), (31, 37, 1)] == executions_ms(agreed(model))


def test_the_next_worker_starts_to_wait_when_its_predecessor_leaves() -> None:
    """Under backlog a collecting worker would wait too short if its delay ran from the requests' arrivals.

    Four at 1: three leave at once, and the second worker takes the fourth there and then: 1 + 5. Of the five that
    come at 7 while both are busy (until 9 and 12), the first worker takes three at 9, and leaves two to the second,
    who is back at 12: a collecting worker waits until 12 + 5, one with a carried timer until 9 + 5.
    """
    arrivals = arriving(1, 1, 1, 1, 7, 7, 7, 7, 7)
    expected = {
        batching.TEXTBOOK: [(1, 9, 3), (6, 12, 1), (9, 17, 3), (12, 19, 2)],
        batching.COLLECT: [(1, 9, 3), (6, 12, 1), (9, 17, 3), (17, 24, 2)],
        batching.CARRY: [(1, 9, 3), (6, 12, 1), (9, 17, 3), (14, 21, 2)],
    }
    found = {rule: executions_ms(agreed(model_of(fleet(rule, **ALONE), arrivals))) for rule in expected}
    assert expected == found


def test_the_first_free_model_instance_takes_the_batch() -> None:
    """Which model instance executed what is a column of the log: it must not depend on how the engine keeps them.

    1 and 2 go to the model instances 0 and 1, until 7 and 8; 7.5 finds 0 free, 8.5 finds 1, and 20 finds both.
    """
    log = agreed(model_of(fleet(batching.NONE, **ALONE), arriving(1, 2, 7.5, 8.5, 20)))
    assert [(1, 7, 1), (2, 8, 1), (7.5, 13.5, 1), (8.5, 14.5, 1), (20, 26, 1)] == executions_ms(log)
    assert [0, 1, 0, 1, 0] == log.batches.model_instance.tolist()
