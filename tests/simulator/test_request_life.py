"""Every part of a request's life, worked out by hand and held against both engines: who waits where, and for what.

Unless an example says otherwise an execution takes 10 ms, requests go one at a time, and times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simulator.log import COMPLETED, NOWHERE, REJECTED, TIMED_OUT, RunLog
from simulator.model import FleetModel, Noise
from simulator.policies import batching, routing
from simulator.policies.service import NOISE_LEVELS, PPM
from tests.models import MS, agreed, arriving, by_items, executions_ms, left_ms, looping, model_of


def one_at_a_time(*takes_ms: float, **rest: Any) -> FleetModel:
    return FleetModel(by_items(*(takes_ms or (10,))), **rest)


def in_ms(column: npt.NDArray[np.int64]) -> list[float]:
    return [time / MS if time != NOWHERE else NOWHERE for time in column.tolist()]


def batch_rows(log: RunLog) -> list[tuple[float, ...]]:
    """(taken, start, end, free) of every execution."""
    columns = (log.batches.taken_ns, log.batches.start_ns, log.batches.end_ns, log.batches.free_ns)
    return list(zip(*map(in_ms, columns), strict=True))


# The way to the queue


def test_the_front_end_takes_one_request_at_a_time() -> None:
    """A front end that served in parallel would hide the ceiling of every Python server.

    Two at 0 leave the front end at 2 and 4; one at 10 finds it free and leaves at 12. All are queued 1 ms later.
    """
    fleet = one_at_a_time(frontend_ns=by_items(2), enqueue_ns=by_items(1))
    log = agreed(model_of(fleet, arriving(0, 0, 10)))
    assert [3, 5, 13] == in_ms(log.requests.queued_ns)
    assert [(3, 13, 1), (13, 23, 1), (23, 33, 1)] == executions_ms(log)


def test_the_front_end_takes_as_long_as_the_items_of_the_request_say() -> None:
    """One item takes 2 ms, two take 5: queued at 2, 7, 9. Each instance has a front end of its own."""
    fleet = one_at_a_time(1, 1, frontend_ns=by_items(2, 5))
    streams = (arriving(0), arriving(0.5, items=(2,)), arriving(1))
    assert [2, 7, 9] == in_ms(agreed(model_of(fleet, streams)).requests.queued_ns)
    two = one_at_a_time(1, 1, frontend_ns=by_items(2, 5), instances=2)
    assert [2, 5.5, 4] == in_ms(agreed(model_of(two, streams)).requests.queued_ns)


def test_enqueue_delays_run_beside_each_other_and_may_turn_the_order_round() -> None:
    """Serial enqueueing would be a second front end. Who is queued first is served first, whoever was sent first.

    Five items are on their way for 5 ms, one item for 1: sent at 0, 0 and 1, queued at 5, 5 and 2.
    """
    fleet = one_at_a_time(10, 10, 10, 10, 10, enqueue_ns=by_items(1, 2, 3, 4, 5))
    log = agreed(model_of(fleet, (arriving(0, 0, items=(5,)), arriving(1))))
    assert [5, 5, 2] == in_ms(log.requests.queued_ns)
    assert [12, 22, 2] == in_ms(log.requests.start_ns)


# The model instance


def test_dispatch_and_release_occupy_the_model_instance_and_the_reply_does_not() -> None:
    """Without the gap between executions capacity is overstated by a tenth; with the reply in it, understated.

    Dispatch 2, execution 10, release 3, reply 4. The second is taken at 15, before the first has left.
    """
    fleet = one_at_a_time(dispatch_ns=by_items(2), release_ns=by_items(3), reply_ns=by_items(4))
    log = agreed(model_of(fleet, arriving(0, 0)))
    assert [(0, 2, 12, 15), (15, 17, 27, 30)] == batch_rows(log)
    assert [16, 31] == left_ms(log)


def test_dispatch_release_and_reply_follow_the_items_of_the_batch() -> None:
    """Constant overheads miss the p50 of a busy server by 7 per cent: they grow with the batch.

    Two requests of one item make a batch of two at 1: dispatch 3, execution 20, release 5, reply 7. The third goes
    alone at 29: dispatch 2, execution 10, release 4, reply 6.
    """
    fleet = FleetModel(
        by_items(10, 20),
        rule=batching.TEXTBOOK,
        max_batch=2,
        delay_ns=5 * MS,
        dispatch_ns=by_items(2, 3),
        release_ns=by_items(4, 5),
        reply_ns=by_items(6, 7),
    )
    log = agreed(model_of(fleet, arriving(0, 1, 2)))
    assert [(1, 4, 24, 29), (29, 31, 41, 45)] == batch_rows(log)
    assert [31, 31, 47] == left_ms(log)


# From (0, 4) with 10 ms of work each. Alone from 0 to 4: 4 ms done, 6 left.
OVERLAPS: dict[tuple[int, ...], list[tuple[float, ...]]] = {
    # Half the speed: the first ends at 4 + 12 = 16; the second did 6 until then and does its last 4 alone.
    (PPM, 2 * PPM): [(0, 0, 16, 16), (4, 4, 20, 20)],
    # They do not disturb one another.
    (PPM, PPM): [(0, 0, 10, 10), (4, 4, 14, 14)],
    # Two thirds of the speed: the first ends at 4 + 9 = 13; the second did 6 and does its last 4 alone.
    (PPM, 3 * PPM // 2): [(0, 0, 13, 13), (4, 4, 17, 17)],
}


@pytest.mark.parametrize("slow_ppm", OVERLAPS, ids=["shared", "independent", "between"])
def test_executions_that_overlap_slow_one_another_down(slow_ppm: tuple[int, ...]) -> None:
    """Two model instances taken for two GPUs predict twice the throughput that NVIDIA measured."""
    log = agreed(model_of(one_at_a_time(model_instances=2, slow_ppm=slow_ppm), arriving(0, 4)))
    assert OVERLAPS[slow_ppm] == batch_rows(log)


def test_model_instances_share_the_accelerator_unless_told_otherwise() -> None:
    """The default slow-down is 1, 2, 3: three executions take three times as long.

    From 0, 2 and 4, 10 ms of work each. At 2 the first has 8 left, at 4 the first two have 7 and 9. At a third of the
    speed the first ends at 25, when the others have 2 and 3 left; at half the speed the second ends at 29, the third
    has 1 left and ends at 30.
    """
    log = agreed(model_of(one_at_a_time(model_instances=3), arriving(0, 2, 4)))
    assert [25, 29, 30] == in_ms(log.batches.end_ns)


def test_dispatch_and_release_do_not_slow_other_executions_down() -> None:
    """They are the host's work: hiding them is what a second model instance is for.

    Dispatch 2, release 9. The first executes from 2; the second is taken at 4 and executes from 6, when the first has
    6 left and ends at 18, the second has 4 left and ends at 22. While they release, a third waits until 27, and
    executes from 29 to 39 although the second model instance releases until 31.
    """
    fleet = one_at_a_time(model_instances=2, dispatch_ns=by_items(2), release_ns=by_items(9))
    log = agreed(model_of(fleet, arriving(0, 4, 5)))
    assert [(0, 2, 18, 27), (4, 6, 22, 31), (27, 29, 39, 48)] == batch_rows(log)


# Giving up, and being refused


def test_a_request_that_no_model_instance_took_in_time_is_given_up() -> None:
    """In the queue at 1 + 8. The one whose time is up at 10 is taken at 10: a model instance becomes free first."""
    log = agreed(model_of(one_at_a_time(), arriving(0, 1, 2, timeout_ns=8 * MS)))
    assert [COMPLETED, TIMED_OUT, COMPLETED] == log.requests.outcome.tolist()
    assert [10, 9, 20] == left_ms(log)
    assert [0, NOWHERE, 10] == in_ms(log.requests.start_ns)


def test_a_request_that_is_taken_is_not_given_up() -> None:
    """Dispatch, execution and reply take 5 + 10 + 5 ms, the timeout is 1 ms: only the wait counts."""
    fleet = one_at_a_time(dispatch_ns=by_items(5), reply_ns=by_items(5))
    log = agreed(model_of(fleet, arriving(0, timeout_ns=MS)))
    assert [20] == left_ms(log)


def test_a_request_may_be_given_up_on_its_way_to_the_queue_and_has_used_the_front_end_all_the_same() -> None:
    """The front end does not know that nobody waits any more.

    5 ms each in the front end from 0: queued at 5, 10; the third would be at 15 and is given up at 12. The one sent at
    13 leaves the front end at 20.
    """
    fleet = one_at_a_time(1, frontend_ns=by_items(5))
    log = agreed(model_of(fleet, arriving(0, 0, 0, 13, timeout_ns=12 * MS)))
    assert [5, 10, NOWHERE, 20] == in_ms(log.requests.queued_ns)
    assert [6, 11, 12, 21] == left_ms(log)
    assert [COMPLETED, COMPLETED, TIMED_OUT, COMPLETED] == log.requests.outcome.tolist()


def test_a_request_that_reaches_a_free_model_instance_at_its_deadline_is_served() -> None:
    """Requests that reach the queue come before deadlines: 8 ms on the way, 8 ms of patience."""
    log = agreed(model_of(one_at_a_time(enqueue_ns=by_items(8)), arriving(0, timeout_ns=8 * MS)))
    assert [18] == left_ms(log)


def test_a_request_given_up_leaves_the_batch_it_would_have_joined() -> None:
    """Its time as the oldest must not count either.

    Up to 4 wait for 20 ms from when the oldest was queued. That of 0 gives up at 7, so the oldest is that of 5: 25.
    """
    fleet = FleetModel(by_items(10, 10, 10, 10), rule=batching.TEXTBOOK, max_batch=4, delay_ns=20 * MS)
    log = agreed(model_of(fleet, (arriving(0, timeout_ns=7 * MS), arriving(5, 6))))
    assert [7, 35, 35] == left_ms(log)
    assert [(25, 35, 2)] == executions_ms(log)


def test_a_full_queue_refuses_and_has_room_again_when_a_batch_was_taken() -> None:
    """One executes, one waits, and that of 2 is refused. At 10 the waiting one is taken before the next arrives."""
    log = agreed(model_of(one_at_a_time(max_queue=1), arriving(0, 1, 2, 10, 10)))
    assert [COMPLETED, COMPLETED, REJECTED, COMPLETED, REJECTED] == log.requests.outcome.tolist()
    assert [10, 20, 2, 30, 10] == left_ms(log)
    assert [0, 1, NOWHERE, 10, NOWHERE] == in_ms(log.requests.queued_ns)


def test_a_request_is_refused_when_it_reaches_the_queue_and_not_when_it_is_sent() -> None:
    """3 ms on the way: queued at 3 and 4; the third finds the queue full at 5. The reply time is not the refusal's."""
    fleet = one_at_a_time(max_queue=1, enqueue_ns=by_items(3), reply_ns=by_items(1))
    log = agreed(model_of(fleet, arriving(0, 1, 2)))
    assert [14, 24, 5] == left_ms(log)


# Closed loops


def test_clients_of_a_closed_loop_think_send_and_wait_until_the_horizon() -> None:
    """A load generator that did not wait for answers would be another load.

    Two clients think 5 ms before every request, the first one too. Answers at 15, 25, 35, 45, 55 and 65; the next
    request of the first client would be at 60, the horizon.
    """
    log = agreed(model_of(one_at_a_time(), looping(2, 5), horizon_ns=60 * MS))
    assert [5, 5, 20, 30, 40, 50] == in_ms(log.requests.arrival_ns)
    assert [15, 25, 35, 45, 55, 65] == left_ms(log)


def test_a_client_waits_for_the_reply_and_not_for_the_end_of_the_execution() -> None:
    """One client that does not think, 10 ms of execution and 2 of reply: every 12 ms."""
    log = agreed(model_of(one_at_a_time(reply_ns=by_items(2)), looping(1), horizon_ns=36 * MS))
    assert [0, 12, 24] == in_ms(log.requests.arrival_ns)
    assert [12, 24, 36] == left_ms(log)


def test_a_client_that_is_refused_thinks_and_tries_again() -> None:
    """Three clients, room for one to execute and one to wait. All send at 5; the third is refused, at 10 again.

    At 15 the second is taken before the third sends: it waits until 25. The first, answered at 15, is refused at 20,
    and waits from 25 to 35. Nobody sends at 30 or later.
    """
    log = agreed(model_of(one_at_a_time(max_queue=1), looping(3, 5), horizon_ns=30 * MS))
    assert [5, 5, 5, 10, 15, 20, 25] == in_ms(log.requests.arrival_ns)
    assert [15, 25, 5, 10, 35, 20, 45] == left_ms(log)
    assert [0, 0, 1, 1, 0, 1, 0] == log.requests.outcome.tolist()


def test_a_client_that_gives_up_thinks_and_tries_again() -> None:
    """Two clients, 20 ms of execution, 5 of patience, 3 of thinking.

    The second gives up at 8 and 16, is taken at 23 after 19; the first, answered at 23, gives up at 31.
    """
    log = agreed(model_of(one_at_a_time(20), looping(2, 3, timeout_ns=5 * MS), horizon_ns=30 * MS))
    assert [3, 3, 11, 19, 26] == in_ms(log.requests.arrival_ns)
    assert [23, 8, 16, 43, 31] == left_ms(log)


# Several fleets and workloads


def test_workloads_share_a_fleet_and_fleets_share_nothing() -> None:
    """Instances are numbered through all fleets, and each queue is its fleet's.

    Fleet 0 has two instances of 10 ms, fleet 1 one of 4 ms. Workloads 0 and 2 go to fleet 1, workload 1 to fleet 0.
    """
    fleets = (one_at_a_time(instances=2), one_at_a_time(4))
    log = agreed(model_of(fleets, (arriving(0, 1, fleet=1), arriving(0, 1, 2), arriving(2, fleet=1))))
    assert [0, 1, 0, 1, 1, 2] == log.requests.workload.tolist()
    assert [1, 0, 1, 0, 0, 1] == log.requests.fleet.tolist()
    assert [2, 0, 2, 1, 0, 2] == log.requests.instance.tolist()
    assert [4, 10, 8, 11, 20, 12] == left_ms(log)


# Simultaneous events


def test_the_timer_comes_before_a_request_that_reaches_the_queue_at_that_instant() -> None:
    """A batch that is due does not wait for who comes in the same nanosecond, whether sent then or on its way."""
    for enqueue_ms in (0, 1):
        fleet = FleetModel(
            by_items(10, 10),
            rule=batching.TEXTBOOK,
            max_batch=2,
            delay_ns=5 * MS,
            enqueue_ns=by_items(enqueue_ms, enqueue_ms),
        )
        due_ms = 5 + enqueue_ms
        expected = [(due_ms, due_ms + 10, 1), (due_ms + 10, due_ms + 20, 1)]
        assert expected == executions_ms(agreed(model_of(fleet, arriving(0, 5))))


def test_model_instances_that_end_at_once_take_batches_in_their_order() -> None:
    """Both end at 10: model instance 0 takes the older request."""
    log = agreed(model_of(one_at_a_time(model_instances=2, slow_ppm=(PPM, PPM)), arriving(0, 0, 1, 2)))
    assert [0, 1, 0, 1] == log.batches.model_instance.tolist()
    assert [0, 1, 2, 3] == log.requests.batch.tolist()


def test_instances_act_in_their_order() -> None:
    """Weights 1 and 2 send requests to the instances 1, 0, 1, 1, 0. Both end at 10, and instance 0 takes first.

    So the last request to arrive is in execution 2, and that of 1, which went to instance 1, in execution 3.
    """
    fleet = one_at_a_time(instances=2, router=routing.SCHEDULE, weights=(1, 2))
    log = agreed(model_of(fleet, arriving(0, 0, 1, 2, 3)))
    assert [1, 0, 1, 1, 0] == log.requests.instance.tolist()
    assert [0, 1, 3, 4, 2] == log.requests.batch.tolist()


def test_deadlines_come_before_arrivals() -> None:
    """Who gives up at 5 leaves room for who arrives at 5."""
    log = agreed(model_of(one_at_a_time(max_queue=1), (arriving(0, 1, timeout_ns=4 * MS), arriving(5))))
    assert [COMPLETED, TIMED_OUT, COMPLETED] == log.requests.outcome.tolist()
    assert [10, 5, 20] == left_ms(log)


def test_arrivals_of_one_instant_come_by_workload() -> None:
    """And a closed loop is a workload like any other; its clients come in their order."""
    log = agreed(model_of(one_at_a_time(), (arriving(7), looping(2, 7), arriving(7, 7)), horizon_ns=8 * MS))
    assert [0, 1, 1, 2, 2] == log.requests.workload.tolist()
    assert [17, 27, 37, 47, 57] == left_ms(log)


# Scatter

RISING = np.linspace(0.0, 2.0, NOISE_LEVELS + 1)
"""The factor is the position / 512."""
STEADY = np.ones(NOISE_LEVELS + 1)


def scatter(rows: Sequence[int], *positions: float) -> Noise:
    """Requests of every workload draw these positions in turn; ``rows[items]`` is RISING (0) or STEADY (1)."""

    def draw(generator: np.random.Generator, n: int) -> npt.NDArray[np.float64]:  # noqa: ARG001
        return np.resize(np.array(positions, dtype=np.float64), n)

    return Noise(np.array([RISING, STEADY]), np.array(rows, dtype=np.int64), draw)


def test_an_execution_takes_its_mean_times_the_factor_at_the_drawn_position() -> None:
    """Half, once and one and a half times 10 ms; half-way between two levels 512.5 / 512, to the nearest nanosecond."""
    log = agreed(model_of(one_at_a_time(noise=scatter((0, 0), 256, 512, 768)), arriving(0, 100, 200)))
    assert [5, 10, 15] == in_ms(log.batches.work_ns)
    half_way = agreed(model_of(one_at_a_time(noise=scatter((0, 0), 512.5)), arriving(0)))
    assert [10.009766] == in_ms(half_way.batches.work_ns)


def test_the_scatter_of_a_batch_is_that_of_its_size_at_the_position_of_its_oldest_request() -> None:
    """One draw a request, so that another batching rule leaves every request's luck as it was.

    Batches of 1 take 10 ms and scatter, of 2 take 20 and do not, of 3 take 30 and scatter. Positions 768 and 256 in
    turn: a lone request takes 15; two at 100 take 20; three at 200 take half of 30, the oldest drew 256.
    """
    noise = scatter((0, 0, 1, 0), 768, 256)
    fleet = FleetModel(by_items(10, 20, 30), rule=batching.TEXTBOOK, max_batch=3, delay_ns=5 * MS, noise=noise)
    log = agreed(model_of(fleet, arriving(0, 100, 100, 200, 200, 200)))
    assert [(5, 20, 1), (105, 125, 2), (200, 215, 3)] == executions_ms(log)


def test_the_oldest_request_is_the_one_queued_first_and_not_the_one_sent_first() -> None:
    """One item is on its way for 4 ms, two for 1. Sent at 100 and 101, queued at 104 and 102, executed at 104.

    Each workload draws 768, then 256: the two items' second request is the oldest, so 30 ms become 15.
    """
    fleet = FleetModel(
        by_items(10, 20, 30),
        rule=batching.TEXTBOOK,
        max_batch=3,
        delay_ns=5 * MS,
        enqueue_ns=by_items(4, 1, 1),
        noise=scatter((0, 0, 0, 0), 768, 256),
    )
    log = agreed(model_of(fleet, (arriving(100), arriving(0, 101, items=(2,)))))
    assert [(6, 36, 1), (104, 119, 2)] == executions_ms(log)
