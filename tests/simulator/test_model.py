"""What an engine reads of a model: its defaults, its tables, and which of its two compiled forms it runs in."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from simulator.clock import NEVER
from simulator.model import (
    UNBOUNDED,
    FleetModel,
    Model,
    WorkloadModel,
    effective_rule,
    forms_ahead,
    frozen_table,
    needs_coin,
    preferred_sizes,
)
from simulator.noise import lognormal
from simulator.policies import batching, routing
from simulator.policies.service import NOISE_LEVELS, PPM
from simulator.state import PART
from tests.models import MS, Given, arriving, by_items, looping, model_of

SERVER = FleetModel(by_items(2, 3), rule=batching.TEXTBOOK, max_batch=2)
STREAM = arriving(1, 2, 3)
PLAIN = model_of(replace(SERVER, instances=2, reply_ns=by_items(1, 1)), STREAM)

NOT_PLAIN: dict[str, dict[str, Any]] = {
    "model instances": {"model_instances": 2},
    "scatter": {"noise": lognormal(np.array([0.1, 0.1]))},
    "a bounded queue": {"max_queue": 100},
    "a batcher that forms ahead": {"rule": batching.TRITON, "delay_ns": 1},
    "preferred sizes": {"rule": batching.TRITON, "preferred": (1, 2)},
    "a router that throws coins": {"router": routing.RANDOM},
    "another router that throws coins": {"router": routing.TWO},
    "a front end": {"frontend_ns": by_items(1, 1)},
    "a delay before the queue": {"enqueue_ns": by_items(1, 1)},
    "dispatch": {"dispatch_ns": by_items(0, 1)},
    "release": {"release_ns": by_items(1, 0)},
}


@pytest.mark.parametrize("what", NOT_PLAIN)
def test_a_fleet_with_extras_runs_in_the_full_form(what: str) -> None:
    """The plain form leaves them out: such a fleet would be simulated as if it had none."""
    model = replace(PLAIN, fleets=(replace(PLAIN.fleets[0], **NOT_PLAIN[what]),))
    assert not model.plain
    assert model.tables().extras is True


@pytest.mark.parametrize(
    "workload",
    [
        pytest.param(looping(3), id="a closed loop"),
        pytest.param(replace(STREAM, items=(2,)), id="several items"),
        pytest.param(replace(STREAM, items=(1, 2), item_weights=(1.0, 1.0)), id="a mix of items"),
        pytest.param(replace(STREAM, timeout_ns=MS), id="a timeout"),
    ],
)
def test_a_workload_with_extras_runs_in_the_full_form(workload: WorkloadModel) -> None:
    """One such workload is enough, beside as many plain ones as there may be."""
    assert PLAIN.plain
    assert PLAIN.tables().extras is None
    assert not replace(PLAIN, workloads=(STREAM, workload)).plain


def test_chance_does_not_matter_where_there_is_one_instance() -> None:
    """A coin nobody looks at need not be drawn."""
    alone = replace(SERVER, router=routing.RANDOM)
    assert not needs_coin(alone)
    assert needs_coin(replace(alone, instances=2))
    assert model_of(alone, STREAM).plain


def test_triton_without_delay_and_preferred_sizes_is_the_textbook_rule() -> None:
    """The batcher that forms ahead costs three times as much; test_triton_rule shows that it makes no difference."""
    server = replace(SERVER, rule=batching.TRITON)
    assert batching.TEXTBOOK == effective_rule(server)
    assert batching.TEXTBOOK == effective_rule(replace(server, preferred=(2,)))
    assert batching.TRITON == effective_rule(replace(server, delay_ns=1))
    assert batching.TRITON == effective_rule(replace(server, preferred=(1, 2)))
    others = set(range(len(batching.RULES))) - {batching.TRITON}
    assert others == {effective_rule(replace(SERVER, rule=rule)) for rule in others}


def test_batches_are_formed_ahead_unless_the_queue_is_bounded_or_a_client_gives_up() -> None:
    """Of a fleet's own workloads: what another fleet's clients do is no matter."""
    two = model_of((SERVER, SERVER), (STREAM, replace(STREAM, fleet=1, timeout_ns=MS)))
    assert [True, False] == [forms_ahead(two, f) for f in (0, 1)]
    bounded = replace(two, fleets=(replace(SERVER, max_queue=5), SERVER), workloads=two.workloads[:1])
    assert [False, True] == [forms_ahead(bounded, f) for f in (0, 1)]


def test_what_is_not_said_is_the_ordinary() -> None:
    """One instance with one model instance, no bound, nobody gives up, and overlapping executions share the device."""
    fleet, workload = FleetModel(by_items(1, 2, 3)), WorkloadModel(0, Given(()))
    assert (1, 1, UNBOUNDED, NEVER) == (fleet.instances, fleet.model_instances, fleet.max_queue, workload.timeout_ns)
    assert (PPM, 2 * PPM, 3 * PPM) == replace(fleet, model_instances=3).slowdowns
    assert (PPM, PPM) == replace(fleet, model_instances=2, slow_ppm=(PPM, PPM)).slowdowns
    assert 3 == fleet.largest
    assert [0, 0, 0, 0] == fleet.part("release_ns").tolist()
    assert (4,) == preferred_sizes(FleetModel(by_items(1), max_batch=4))
    assert (1, 3) == preferred_sizes(FleetModel(by_items(1), max_batch=4, preferred=(1, 3)))


def test_tables_lay_fleets_side_by_side() -> None:
    """A place counted wrongly makes one fleet read its neighbour's figures.

    3 instances and 5, weights of 4 turns and of 5, batches of up to 2 items and of up to 3.
    """
    first = replace(SERVER, instances=3, router=routing.SCHEDULE, weights=(2, 1, 1), reply_ns=by_items(5, 6))
    second = FleetModel(
        by_items(7, 8, 9),
        instances=5,
        model_instances=2,
        rule=batching.TRITON,
        max_batch=3,
        preferred=(1, 3),
        router=routing.SCHEDULE,
        max_queue=6,
        noise=lognormal(np.array([0.1, 0.2, 0.1])),
    )
    third = replace(second, noise=lognormal(np.array([0.3, 0.3, 0.4])))
    tables = model_of((first, second, third), (STREAM, looping(3), replace(STREAM, fleet=2), looping(4))).tables()
    assert [0, 3, 8] == tables.fleets.first.tolist()
    assert [4, 8, 8] == tables.fleets.half.tolist()
    assert [0, 8, 24] == tables.fleets["keys"].tolist()
    assert [(0, 4), (4, 5), (9, 5)] == list(
        zip(tables.fleets.schedule.tolist(), tables.fleets.turns.tolist(), strict=True)
    )
    assert [0, 1, 2, 0, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4] == tables.schedule.tolist()
    assert [0, 5 * MS, 6 * MS, 0] == tables.parts[0, PART.REPLY].tolist()
    assert [0, 7 * MS, 8 * MS, 9 * MS] == tables.parts[1, PART.SERVICE].tolist()
    assert [[2, 2], [1, 3], [1, 3]] == tables.preferred.tolist()
    assert [[PPM] * 3, [PPM, PPM, 2 * PPM], [PPM, PPM, 2 * PPM]] == tables.slow_ppm.tolist()
    assert (4, NOISE_LEVELS + 1) == tables.noise.shape
    assert [[0, 0, 0, 0], [0, 0, 1, 0], [2, 2, 2, 3]] == tables.noise_row.tolist()
    assert [0, 0, 3, 3] == tables.workloads.first_client.tolist()
    assert [False, True, False, True] == tables.workloads.closed.astype(bool).tolist()


def test_a_model_is_a_value() -> None:
    """Nothing writes into a model, and it travels to other processes for replications."""
    with pytest.raises(FrozenInstanceError):
        PLAIN.seed = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        frozen_table([1, 2])[0] = 3
    travelled: Model = pickle.loads(pickle.dumps(PLAIN))
    assert travelled.workloads == PLAIN.workloads
    assert travelled.fleets[0].service_ns.tolist() == PLAIN.fleets[0].service_ns.tolist()
