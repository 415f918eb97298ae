"""Where each router sends each request, worked out by hand and held against both engines.

Instances are numbered from 0, times are milliseconds, and requests go one at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.draws import WorkloadDraws
from simulator.log import COMPLETED, REJECTED, TIMED_OUT, RunLog
from simulator.model import FleetModel, WorkloadModel, item_work_ns, turn_order
from simulator.policies import batching, routing
from simulator.policies.service import PPM
from simulator.state import SCAN
from tests.models import MS, Given, agreed, arriving, by_items, left_ms, model_of

ROUTERS = (routing.SCHEDULE, routing.RANDOM, routing.LEAST, routing.TWO, routing.WORK)


def routed(fleet: FleetModel, *streams: WorkloadModel) -> RunLog:
    return agreed(model_of(fleet, streams))


def chosen(fleet: FleetModel, *streams: WorkloadModel) -> list[int]:
    """The instance of every request, in the order in which they were sent."""
    instances: list[int] = routed(fleet, *streams).requests.instance.tolist()
    return instances


def servers(router: int, instances: int, *takes_ms: float, **rest: Any) -> FleetModel:
    return FleetModel(by_items(*takes_ms), instances=instances, router=router, **rest)


@pytest.mark.parametrize("router", ROUTERS)
def test_one_instance_gets_everything(router: int) -> None:
    """Whatever the router: a fleet of one needs none."""
    assert [0, 0, 0] == chosen(servers(router, 1, 10), arriving(0, 0, 5))


# In turn


def test_round_robin_takes_each_in_turn_whatever_they_do() -> None:
    """All are idle again at 100, and it is still the turn of instance 2."""
    assert [0, 1, 2, 0, 1, 2, 0] == chosen(servers(routing.SCHEDULE, 3, 10), arriving(0, 0, 0, 0, 0, 100, 100))


def test_weighted_round_robin_spreads_every_instance_over_the_round() -> None:
    """Weights 5, 1, 1 as nginx's upstreams do it: a burst of five to the large one would queue there.

    Credits, the richest pays 7: (5,1,1) 0, (3,2,2) 0, (1,3,3) 1, (6,-3,4) 0, (4,-2,5) 2, (9,-1,-1) 0, (7,0,0) 0.
    """
    expected = [0, 0, 1, 0, 2, 0, 0]
    assert expected == turn_order((5, 1, 1))
    fleet = servers(routing.SCHEDULE, 3, 10, weights=(5, 1, 1))
    assert [*expected, *expected, 0] == chosen(fleet, arriving(*range(15)))


def test_workloads_of_one_fleet_share_its_turns() -> None:
    """The router sees one stream: workload 1 goes on where workload 0 stopped."""
    assert [0, 1, 0, 1, 0] == chosen(servers(routing.SCHEDULE, 2, 10), arriving(0, 2, 4), arriving(1, 3))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_round_holds_every_instance_as_often_as_its_weight_says(weights: list[int]) -> None:
    """And no two of its prefixes differ from the exact shares by a whole round."""
    order = turn_order(tuple(weights))
    share = [weight / sum(weights) for weight in weights]
    for turns in range(1, len(order) + 1):
        counts = np.bincount(order[:turns], minlength=len(weights))
        assert all(abs(counts[i] - turns * share[i]) < len(weights) for i in range(len(weights)))
    exact = len(order) / sum(weights)
    assert [exact * weight for weight in weights] == np.bincount(order, minlength=len(weights)).tolist()


# Least outstanding


def test_the_instance_with_the_fewest_requests_is_next_and_among_equals_the_one_chosen_longest_ago() -> None:
    """The lowest number among equals would send every request of a quiet fleet to instance 0.

    Executions take 10. 0, 1 and 2 find somebody who was never chosen. At 3 all have one: 0 was chosen longest ago. At 4
    it is 1 of {1, 2}; at 5 it is 2. At 11.5 instance 0 and 1 have one left each, 2 has two: 0. Then 1, and at 12.5,
    when 2 has one left and the others two, it is 2. At 100 nobody has any, and 0 was chosen longest ago: then 1, 2.
    """
    arrivals = (0, 1, 2, 3, 4, 5, 11.5, 11.6, 12.5, 100, 120, 140, 160)
    assert [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0] == chosen(servers(routing.LEAST, 3, 10), arriving(*arrivals))


def test_fewer_outstanding_beats_longer_ago() -> None:
    """Two items take 50, one takes 10. 0 is busy until 50, so everything goes to 1 as long as it keeps up.

    At 21 instance 1 is idle for the second time; at 22 both have one, and 0 was chosen longest ago.
    """
    fleet = servers(routing.LEAST, 2, 10, 50)
    assert [0, 1, 1, 1, 0] == chosen(fleet, arriving(0, items=(2,)), arriving(0, 10, 21, 22))


def test_a_request_is_outstanding_from_when_it_is_sent_until_its_execution_ends() -> None:
    """Not from when it is queued: a burst would go to one instance. Not until its reply is read: that is no load.

    2 ms on the way: the second request knows of the first. Replies take 100: instance 1 has none at 15 although its
    client waits until 112, instance 0 executes until 52.
    """
    overheads = {"enqueue_ns": by_items(2, 2), "reply_ns": by_items(100, 100)}
    fleet = servers(routing.LEAST, 2, 10, 50, **overheads)
    log = routed(fleet, arriving(0, items=(2,)), arriving(0, 15))
    assert [0, 1, 1] == log.requests.instance.tolist()
    assert [152, 112, 127] == left_ms(log)


def test_a_request_that_gave_up_is_no_longer_outstanding() -> None:
    """Executions take 100. 2 waits at 0, and 3 at 1 until it gives up at 7: at 8 instance 1 has one, 0 has two."""
    log = routed(servers(routing.LEAST, 2, 100), arriving(0, 1, 2, 8), arriving(3, timeout_ns=4 * MS))
    assert [0, 1, 0, 1, 1] == log.requests.instance.tolist()
    assert TIMED_OUT == log.requests.outcome[3]


def test_a_request_that_was_refused_is_no_longer_outstanding() -> None:
    """One executes and one waits at each. Two items take 10, one takes 100.

    0 and 1 go to the instances 0 and 1, 2 and 3 wait there, and 4 is refused at 0. At 10 instance 0 takes what waits:
    it has one at 11, instance 1 has two. Had the refused one counted, both had two, and 1 was chosen longer ago.
    """
    fleet = servers(routing.LEAST, 2, 100, 10, max_queue=1)
    log = routed(fleet, arriving(0, items=(2,)), arriving(1, 2, 3, 4, 11))
    assert [0, 1, 0, 1, 0, 0] == log.requests.instance.tolist()
    assert [COMPLETED, COMPLETED, COMPLETED, COMPLETED, REJECTED, COMPLETED] == log.requests.outcome.tolist()


# By chance


def coin(first: int, second: int) -> int:
    """A coin from its two halves."""
    return first | second << routing.COIN_BITS


@contextmanager
def given_coins(*coins: int) -> Iterator[None]:
    """Let these coins be what chance draws."""

    def columns(self: WorkloadDraws, n: int) -> tuple[Any, Any, Any]:  # noqa: ARG001
        assert n in (0, len(coins))
        return np.zeros(n, np.int32), np.array(coins[:n], np.int64), np.zeros(0)

    with mock.patch.object(WorkloadDraws, "_columns", columns):
        yield


def test_a_coin_names_one_instance_and_another_one() -> None:
    """Drawn twice the same, power of two would be random. Of 3: the next but (second half mod 2) after the first."""
    assert [0, 1, 2, 0, 1] == [routing.drawn(coin(first, 5), 3) for first in (0, 1, 2, 3, (1 << 31) - 1)]
    assert [1, 2, 2, 0, 0, 1] == [routing.drawn_other(coin(k // 2, k % 2), 3) for k in range(6)]
    assert 0 == routing.drawn_other(coin(4, 4), 1)


@given(st.integers(0, (1 << 2 * routing.COIN_BITS) - 1), st.integers(2, 100))
def test_the_two_instances_of_a_coin_differ(both: int, instances: int) -> None:
    """Whatever the coin and the fleet."""
    one, other = routing.drawn(both, instances), routing.drawn_other(both, instances)
    assert one != other
    assert 0 <= one < instances
    assert 0 <= other < instances


def test_the_random_router_goes_by_the_first_half_of_the_coin() -> None:
    """Whatever the instances do."""
    with given_coins(coin(2, 0), coin(5, 1), coin(0, 9), coin(8, 8), coin((1 << 31) - 1, 7)):
        assert [2, 2, 0, 2, 1] == chosen(servers(routing.RANDOM, 3, 10), arriving(0, 1, 2, 3, 4))


def test_power_of_two_takes_the_less_loaded_of_two_and_the_first_among_equals() -> None:
    """Mitzenmacher (2001), "The power of two choices in randomized load balancing".

    Executions take 100; the pair drawn, and what each instance then has:
    (0,1) 0: 1 0 0. (0,1) 1: 1 1 0. (1,0) 1: 1 2 0. (1,2) 2: 1 2 1. (1,0) 0: 2 2 1. (0,2) 2: 2 2 2. At 150 each has
    executed one: 1 1 1. (2,0) 2: 1 1 2. (2,1) 1: 1 2 2. (2,1) 2: 1 2 3.
    """
    pairs = [(0, 1), (0, 1), (1, 0), (1, 2), (1, 0), (0, 2), (2, 0), (2, 1), (2, 1)]
    coins = [coin(first, (second - first - 1) % 3) for first, second in pairs]
    with given_coins(*coins):
        log = chosen(servers(routing.TWO, 3, 100), arriving(0, 1, 2, 3, 4, 5, 150, 151, 152))
    assert [0, 1, 1, 2, 0, 2, 2, 1, 2] == log


# Least expected work


def test_least_expected_work_books_items_and_picks_the_account_that_ends_first() -> None:
    """Counting requests would send one item behind sixteen.

    An item is booked with 4 ms. 0: five items to 0, until 20. 1, 2 and 3: one item each to 1, until 5, 9, 13. 4: two
    items to 1, until 21. 5: 20 against 21: 0, until 24. 60: both accounts are in the past, 1's ended first: until 64.
    61: to 0, until 65. 62: to 1.
    """
    fleet = servers(routing.WORK, 2, 4, 8, 12, 16, 20)
    streams = (arriving(0, items=(5,)), arriving(1, 2, 3, 5, 60, 61, 62), arriving(4, items=(2,)))
    assert [0, 1, 1, 1, 1, 0, 1, 0, 1] == chosen(fleet, *streams)


def test_the_expected_work_of_an_item_is_its_share_of_a_full_batch_on_the_whole_instance() -> None:
    """A full batch of 4 takes 12: 3 an item.

    Two model instances that share the accelerator change nothing, two that do not halve it. An item is never booked
    with less than 1 ns.
    """

    def booked_ns(*takes_ms: float, **rest: Any) -> int:
        return item_work_ns(FleetModel(by_items(*takes_ms), rule=batching.TEXTBOOK, **rest))

    assert 3 * MS == booked_ns(9, 10, 11, 12, max_batch=4)
    assert 3 * MS == booked_ns(9, 10, 11, 12, max_batch=4, model_instances=2)
    assert 3 * MS // 2 == booked_ns(9, 10, 11, 12, max_batch=4, model_instances=2, slow_ppm=(PPM, PPM))
    assert 9 * MS == booked_ns(9, 10, 11, 12, max_batch=1)
    assert 1 == booked_ns(1e-6, 1e-6, max_batch=2)


# Many instances


def least_outstanding(times_ms: Sequence[int], takes_ms: int, instances: int) -> list[int]:
    """What the router should do, as plainly as it can be said."""
    ends: list[list[int]] = [[] for _ in range(instances)]
    free_ms, last_pick = [0] * instances, [-1] * instances
    order = []
    for pick, now_ms in enumerate(times_ms):
        for own in ends:
            while own and own[0] <= now_ms:
                heapq.heappop(own)
        best = min(range(instances), key=lambda i: (len(ends[i]), last_pick[i], i))
        last_pick[best] = pick
        free_ms[best] = max(free_ms[best], now_ms) + takes_ms
        heapq.heappush(ends[best], free_ms[best])
        order.append(best)
    return order


def least_work(times_ms: Sequence[int], takes_ms: int, instances: int) -> list[int]:
    """The same for the accounts; one item is booked with exactly what it takes."""
    account_ms = [0] * instances
    order = []
    for now_ms in times_ms:
        best = account_ms.index(min(account_ms))
        account_ms[best] = max(account_ms[best], now_ms) + takes_ms
        order.append(best)
    return order


MANY = (SCAN, SCAN + 1, 2 * SCAN, 2 * SCAN + 1, 100)


@pytest.mark.parametrize("instances", MANY)
@pytest.mark.parametrize(("router", "plainly"), [(routing.LEAST, least_outstanding), (routing.WORK, least_work)])
def test_a_tree_of_minima_finds_what_a_plain_search_finds(router: int, plainly: Any, instances: int) -> None:
    """Large fleets are searched another way than small ones, which must not be seen.

    On whole milliseconds, so that many instances are equal: first half as many again as the fleet can take, 3 an
    instance within 14 ms of 7 ms each, and after a pause a sixth of it, 3 an instance within 126 ms.
    """
    generator = np.random.default_rng(instances)
    burst = generator.integers(0, 14, 3 * instances)
    quiet = 60 + generator.integers(0, 126, 3 * instances)
    times_ms = np.sort(np.concatenate((burst, quiet))).tolist()
    stream = WorkloadModel(0, Given(tuple(time * MS for time in times_ms)))
    assert plainly(times_ms, 7, instances) == chosen(servers(router, instances, 7), stream)
