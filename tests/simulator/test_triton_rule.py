"""What Triton's batcher does, fact by fact, and that without a delay it is the textbook rule.

The facts are those of :mod:`simulator.policies.triton`. Batches hold up to 4 items, the delay is 5 ms, and every
execution takes 20 ms (or 100) whatever its size; one is written (taken, end, requests) in milliseconds. Most examples
begin with a lone request at 0, which is formed and taken at 5, so that the model instance is busy until 25 (or 105).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import NEVER
from simulator.model import UNBOUNDED, FleetModel, Model, WorkloadModel
from simulator.policies import batching
from simulator.policies.service import PPM
from simulator.run import run
from tests.models import MS, Given, agreed, arriving, assert_same, by_items, executions_ms, model_of

Executions = list[tuple[float, float, int]]

TWO_ALONE: dict[str, Any] = {"model_instances": 2, "slow_ppm": (PPM, PPM)}


def executions(
    *streams: WorkloadModel, takes_ms: float = 20, delay_ms: float = 5, max_batch: int = 4, **rest: Any
) -> Executions:
    """What both engines execute of these streams."""
    rest = {"rule": batching.TRITON, "max_batch": max_batch, "delay_ns": round(delay_ms * MS), **rest}
    return executions_ms(agreed(model_of(FleetModel(by_items(*[takes_ms] * max_batch), **rest), streams)))


def test_a_batch_is_formed_while_the_model_instance_is_busy() -> None:
    """Forming only when free would make batches larger and latency lower than Triton's.

    The request of 10 is formed at 15. Those of 16 and 17 come later and do not wake the batcher, which hopes for 4; the
    model instance takes {10} at 25 before the batcher is woken, so they are formed then, and taken at 45. The textbook
    rule takes all three at 25.
    """
    stream = arriving(0, 10, 16, 17)
    assert [(5, 25, 1), (25, 45, 1), (45, 65, 2)] == executions(stream)
    assert [(5, 25, 1), (25, 45, 3)] == executions(stream, rule=batching.TEXTBOOK)


def test_the_first_request_after_an_overdue_batch_was_formed_joins_it_and_later_ones_wait_for_a_whole_fill() -> None:
    """The lazy batcher is what makes Triton's batches smaller under load.

    As above until 25, when {16, 17} is formed because it is overdue: the batcher hopes for nothing yet. So 30 wakes it
    and joins, and it now hopes for the 2 that fit beside the 2 of the batch when it last looked. 32 does not wake it;
    33 does: 32 joins, 33 does not fit any more and is formed at 38. {16, 17, 30, 32} goes at 45, {33} at 65. Without
    33, nothing wakes the batcher, and {32} is what goes at 65.
    """
    before: Executions = [(5, 25, 1), (25, 45, 1)]
    assert [*before, (45, 65, 4), (65, 85, 1)] == executions(arriving(0, 10, 16, 17, 30, 32, 33))
    assert [*before, (45, 65, 3), (65, 85, 1)] == executions(arriving(0, 10, 16, 17, 30, 32))


# Three items at 10 and two at 11 do not fit into one batch of 4: the three are formed at 11, the two at 16.
THREE_AND_TWO = (arriving(10, items=(3,)), arriving(11, items=(2,)))


def test_at_most_two_batches_wait_and_then_the_batcher_is_blocked() -> None:
    """With more room the batcher would fill batches that the real one cannot touch.

    {3 items} and {2 items} wait: there is no third place, and 20, 21, 22 and 23 wake nobody, though two of them fit
    beside the two items. At 105 the three items are taken, the two do not fit beside them and are frozen, and the four
    become a batch of their own, taken after them.
    """
    expected = [(5, 105, 1), (105, 205, 1), (205, 305, 1), (305, 405, 4)]
    assert expected == executions(arriving(0, 20, 21, 22, 23), *THREE_AND_TWO, takes_ms=100)


def test_while_a_place_is_free_the_newest_batch_is_filled() -> None:
    """The counterpart: the same requests without the three items in front.

    {2 items} is formed at 16; the fourth item queued wakes the batcher at 23: 20 and 21 join, 22 and 23 are formed at
    27. At 105 the full batch is taken.
    """
    expected = [(5, 105, 1), (105, 205, 3), (205, 305, 2)]
    assert expected == executions(arriving(0, 20, 21, 22, 23), arriving(11, items=(2,)), takes_ms=100)


def test_two_model_instances_have_room_for_four_batches_and_take_them_in_order() -> None:
    """The second queue grows with the model instances: 2 x model_instances.

    0 and 6 keep both busy until 105 and 111. {3 items} is formed at 11, {2 items} at 16; two places are free, so 23
    wakes the batcher: 20 and 21 join the two items, {22, 23} is formed at 27. Taken at 105, 111 and 205. With room for
    two the batches would be of 1, 1 and 4 requests.
    """
    expected = [(5, 105, 1), (11, 111, 1), (105, 205, 1), (111, 211, 3), (205, 305, 2)]
    streams = (arriving(0, 6, 20, 21, 22, 23), arriving(11, items=(3,)), arriving(11.5, items=(2,)))
    assert expected == executions(*streams, takes_ms=100, **TWO_ALONE)


def test_a_batch_that_waited_longer_than_the_delay_is_swallowed_if_it_fits() -> None:
    """Without merging, small batches formed ahead would be executed alone.

    At 105 the three items go, and {2 items} is frozen. A request of 199 is formed at 204; at 205 it has waited 6 ms and
    goes with the two items. One of 200 has waited the delay and no longer at 205: it goes alone. So does one that does
    not fit: three more items.
    """
    before: Executions = [(5, 105, 1), (105, 205, 1)]
    assert [*before, (205, 305, 2)] == executions(arriving(0, 199), *THREE_AND_TWO, takes_ms=100)
    assert [*before, (205, 305, 1), (305, 405, 1)] == executions(arriving(0, 200), *THREE_AND_TWO, takes_ms=100)
    large = (arriving(0), *THREE_AND_TWO, arriving(150, items=(3,)))
    assert [*before, (205, 305, 1), (305, 405, 1)] == executions(*large, takes_ms=100)


def test_an_overdue_batch_that_does_not_fit_can_no_longer_grow() -> None:
    """Freezing is the difference between Triton and what its documentation says.

    At 105 the two items do not fit beside the three. Four requests from 106 on fill a batch of their own, though two of
    them fit beside the two items. While the three items are not there the same batch grows, until it is full at 23.
    """
    expected = [(5, 105, 1), (105, 205, 1), (205, 305, 1), (305, 405, 4)]
    assert expected == executions(arriving(0, 106, 107, 108, 109), *THREE_AND_TWO, takes_ms=100)


@pytest.mark.parametrize("policy", [{"max_queue": 10}, {"timeout_ns": 500 * MS}, {}], ids=["bound", "timeout", "none"])
def test_with_a_bounded_queue_or_a_timeout_nothing_is_formed_ahead(policy: dict[str, int]) -> None:
    """Triton turns forming ahead off for these, and batches get larger.

    Two items at 2 do not fit beside the three of 1, which go at once. With a bound or a timeout the batcher now waits
    for the model instance: at 22 it finds {2 items, 3, 10} full. Else {2 items, 3} was formed at 7, when the two
    items were overdue; 10 does not wake the batcher, and goes alone.
    """
    timeout = {key: policy[key] for key in policy if key == "timeout_ns"}
    bound = {key: policy[key] for key in policy if key == "max_queue"}
    streams = (arriving(1, items=(3,), **timeout), arriving(2, items=(2,), **timeout), arriving(3, 10, **timeout))
    expected = [(2, 22, 1), (22, 42, 3)] if policy else [(2, 22, 1), (22, 42, 2), (42, 62, 1)]
    assert expected == executions(*streams, **bound)


@pytest.mark.parametrize("policy", [{"max_queue": 10}, {"timeout_ns": 900 * MS}], ids=["bound", "timeout"])
def test_without_forming_ahead_an_idle_model_instance_wakes_the_batcher(policy: dict[str, int]) -> None:
    """A model instance must not stand idle beside requests that are overdue, asleep though the batcher may be.

    At 5 the batcher found nothing more and fell asleep. 10, 16 and 17 come while the model instance is busy and do not
    wake it; its end at 25 does, and they go at once. 30 comes while it is busy again and goes at 45.
    """
    timeout = {key: policy[key] for key in policy if key == "timeout_ns"}
    bound = {key: policy[key] for key in policy if key == "max_queue"}
    assert [(5, 25, 1), (25, 45, 3)] == executions(arriving(0, 10, 16, 17, **timeout), **bound)
    assert [(5, 25, 1), (25, 45, 3), (45, 65, 1)] == executions(arriving(0, 10, 16, 17, 30, **timeout), **bound)


def test_a_batcher_that_nobody_wakes_looks_every_500_ms() -> None:
    """Requests that do not wake the batcher join the open batch when it looks of its own accord.

    The first execution lasts until 2005. {10} is formed at 15, the last look. 20 does not wake the batcher, but it
    looks at 515: 20 joins. So does 600 at 1015. 1600 would at 2015, but the batch is taken at 2005 without it.
    """
    expected = [(5, 2005, 1), (2005, 4005, 3), (4005, 6005, 1)]
    assert expected == executions(arriving(0, 10, 20, 600, 1600), takes_ms=2000)


PREFERRED: dict[str, Any] = {"max_batch": 8, "preferred": (4, 8)}


def test_a_preferred_size_is_formed_at_once_and_grows_to_the_next() -> None:
    """Preferred sizes replace max_batch_size as what a batch waits for.

    Idle: the fourth request starts the batch at 4. Busy: {6, 7, 8, 9} is formed at 9, and the batcher hopes for 4 more:
    they come at 13 and make it 8. Three more do not wake it, and go after the four.
    """
    assert [(4, 24, 4)] == executions(arriving(1, 2, 3, 4), **PREFERRED)
    assert [(5, 25, 1), (25, 45, 8)] == executions(arriving(0, *range(6, 14)), **PREFERRED)
    assert [(5, 25, 1), (25, 45, 4), (45, 65, 3)] == executions(arriving(0, *range(6, 13)), **PREFERRED)


@pytest.mark.parametrize(
    ("last", "then"),
    [
        (7, [(40, 60, 3)]),
        (8, [(40, 60, 4)]),
        (9, [(40, 60, 4), (60, 80, 1)]),
        (11, [(40, 60, 4), (60, 80, 3)]),
        (12, [(40, 60, 8)]),
        (13, [(40, 60, 8), (60, 80, 1)]),
    ],
)
def test_without_a_delay_a_batch_that_reaches_a_preferred_size_closes(last: int, then: Executions) -> None:
    """So preferred sizes change what Triton does even where it never waits.

    0 goes at once. {1, 2, 3, 4} closes at 4, {5} is formed at 5, and no place is left until 20. Then the batcher finds
    the requests from 5 on: up to 4 make one batch, of 5 to 7 it takes 4, of 8 or more 8; the rest is the next batch.
    """
    expected = [(0, 20, 1), (20, 40, 4), *then]
    assert expected == executions(arriving(*range(last + 1)), delay_ms=0, **PREFERRED)


@contextmanager
def the_machine_itself() -> Iterator[None]:
    """Let Triton's batcher run where the engines would take the textbook rule instead."""

    def own_rule(fleet: FleetModel) -> int:
        return fleet.rule

    with (
        mock.patch("simulator.model.effective_rule", own_rule),
        mock.patch("simulator.reference.effective_rule", own_rule),
    ):
        yield


@st.composite
def without_a_delay(draw: st.DrawFn) -> Model:
    """A fleet of Triton servers that do not wait, and up to three streams of requests of any size."""
    max_batch = draw(st.integers(1, 6))
    model_instances = draw(st.integers(1, 3))
    times = st.integers(0, 12).map(lambda tick: tick * MS)
    overheads = st.none() | st.lists(st.integers(0, 3), min_size=max_batch, max_size=max_batch)
    parts: dict[str, Any] = {}
    for name in ("enqueue_ns", "dispatch_ns", "release_ns"):
        values = draw(overheads)
        parts[name] = None if values is None else by_items(*values)
    service_ms = draw(st.lists(st.integers(1, 6), min_size=max_batch, max_size=max_batch))
    fleet = FleetModel(
        by_items(*service_ms),
        model_instances=model_instances,
        slow_ppm=draw(st.just(()) | st.just((PPM,) * model_instances)),
        rule=batching.TRITON,
        max_batch=max_batch,
        max_queue=draw(st.just(UNBOUNDED) | st.integers(1, 6)),
        **parts,
    )
    timeout_ns = draw(st.just(NEVER) | st.integers(1, 9).map(lambda tick: tick * MS))
    sizes = st.just((1,)) | st.integers(1, max_batch).map(lambda items: (items,))
    gaps = st.lists(times.filter(lambda time: time < 6 * MS), min_size=1, max_size=25)
    streams = []
    for _ in range(draw(st.integers(1, 3))):
        at_ns, arrivals = 0, []
        for gap in draw(gaps):
            at_ns += gap
            arrivals.append(at_ns)
        streams.append(WorkloadModel(0, Given(tuple(arrivals)), items=draw(sizes), timeout_ns=timeout_ns))
    return model_of(fleet, streams)


@given(without_a_delay())
def test_without_a_delay_the_batcher_is_the_textbook_rule_request_by_request(model: Model) -> None:
    """The engines take the textbook rule there because it is faster; if it were another rule, so would the answers be.

    One to three model instances, requests of one item and of several, on ticks of 1 ms so that much is simultaneous.
    """
    (fleet,) = model.fleets
    textbook = replace(model, fleets=(replace(fleet, rule=batching.TEXTBOOK),))
    with the_machine_itself():
        assert batching.TRITON == model.tables().fleets[0].rule
        logs = run(model), run(model, "reference")
    expected = run(textbook)
    for log in logs:
        assert_same(expected, log)
