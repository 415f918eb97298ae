"""Laws of every run, and laws between runs: what a change of the model may and may not do to the log.

Where a law holds request by request it is asserted so; where only on average (a p99 falls when an instance is added),
over replications with common random numbers, with fixed seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.arrival_spec import PoissonArrivals
from simulator.arrivals import ArrivalStream
from simulator.clock import NEVER
from simulator.log import REJECTED, TIMED_OUT
from simulator.model import FleetModel, Model, Noise, WorkloadModel
from simulator.noise import lognormal
from simulator.policies import batching, routing, triton
from simulator.policies.service import PPM
from simulator.run import run
from tests.laws import check_laws
from tests.models import COMPILED, MS, Drawn, S, Thinking, agreed, arriving, assert_same, by_items, looping, model_of
from tests.strategies import ROUTERS, models

FEW = settings().max_examples
HORIZON_S = 20.0 if COMPILED else 1.0
Int64s = npt.NDArray[np.int64]


@settings(max_examples=FEW)
@given(models())
def test_every_run_keeps_the_laws(model: Model) -> None:
    """A log that breaks one of them reports what cannot have happened."""
    check_laws(model, run(model))


@settings(max_examples=max(FEW // 5, 5))
@given(models())
def test_every_run_of_the_reference_keeps_the_laws(model: Model) -> None:
    """Two engines that agree could still both be wrong."""
    check_laws(model, run(model, "reference"))


@dataclass(frozen=True)
class Stretched:
    """The arrivals of another stream with all times multiplied."""

    arrivals: Callable[[np.random.SeedSequence], Any]
    factor: int

    def __call__(self, seeds: np.random.SeedSequence) -> ArrivalStream:
        """Open the stream."""
        return ArrivalStream(iter([self.arrivals(seeds).take(NEVER) * self.factor]), NEVER)


def think_ns(workload: WorkloadModel) -> int:
    """Mean think time of a closed loop."""
    assert isinstance(workload.think, Thinking)
    return workload.think.mean_ns


def stretched(model: Model, factor: int) -> Model:
    """The model with every time of it multiplied."""
    fleets = tuple(
        replace(
            fleet,
            delay_ns=fleet.delay_ns * factor,
            **{
                name: getattr(fleet, name) * factor
                for name in ("service_ns", "frontend_ns", "enqueue_ns", "dispatch_ns", "release_ns", "reply_ns")
                if getattr(fleet, name) is not None
            },
        )
        for fleet in model.fleets
    )
    workloads = tuple(
        replace(
            workload,
            arrivals=workload.arrivals and Stretched(workload.arrivals, factor),
            think=Thinking(think_ns(workload) * factor) if workload.clients else None,
            timeout_ns=workload.timeout_ns if workload.timeout_ns == NEVER else workload.timeout_ns * factor,
        )
        for workload in model.workloads
    )
    return replace(model, fleets=fleets, workloads=workloads, horizon_ns=model.horizon_ns * factor)


def without_rounding(model: Model) -> Model:
    """The model without what rounds to a nanosecond: noise, shared accelerators, expected work, random thinking."""
    fleets = tuple(
        replace(
            fleet,
            noise=None,
            slow_ppm=(PPM,) * fleet.model_instances,
            router=routing.LEAST if fleet.router == routing.WORK else fleet.router,
        )
        for fleet in model.fleets
    )
    workloads = tuple(
        replace(workload, think=Thinking(think_ns(workload))) if workload.clients else workload
        for workload in model.workloads
    )
    return replace(model, fleets=fleets, workloads=workloads)


@given(models(), st.sampled_from((2, 3, 1000)))
def test_all_times_twice_as_long_make_a_run_twice_as_long(drawn: Model, factor: int) -> None:
    """Units of time are nobody's business: a result that depends on them has a constant hidden somewhere."""
    model = without_rounding(drawn)
    log = run(model)
    last_ns = max((int(column.max(initial=0)) for column in (log.requests.left_ns, log.batches.free_ns)), default=0)
    polls = any(fleet.rule == batching.TRITON for fleet in model.fleets)
    assume(not polls or max(last_ns, model.horizon_ns) * factor < triton.POLL_NS)
    longer = run(stretched(model, factor))
    for table in ("requests", "batches"):
        before, after = vars(getattr(log, table)), vars(getattr(longer, table))
        for column, values in before.items():
            expected = np.where(values < 0, values, values * factor) if column.endswith("_ns") else values
            assert expected.tolist() == after[column].tolist(), column


@given(models(plain=True), st.integers(1, 3))
def test_nobody_waits_longer_when_a_model_instance_is_added(drawn: Model, more: int) -> None:
    """First come first served, one at a time, undisturbed: one server more makes nobody later.

    J. Kiefer and J. Wolfowitz (1955), "On the theory of queues with many servers", Trans. AMS 78, 1-18.
    """
    fleets = tuple(
        replace(fleet, rule=batching.NONE, instances=1, weights=(), slow_ppm=(PPM,) * 4) for fleet in drawn.fleets
    )
    before, after = (
        run(replace(drawn, fleets=tuple(replace(fleet, model_instances=k) for fleet in fleets))) for k in (1, 1 + more)
    )
    assert (after.requests.start_ns <= before.requests.start_ns).all()
    assert (after.requests.left_ns <= before.requests.left_ns).all()


@given(models(plain=True), st.integers(1, 50))
def test_nobody_waits_longer_when_service_is_faster(drawn: Model, percent: int) -> None:
    """The recursion of a single server is monotone: what is done sooner is never in anybody's way.

    D. V. Lindley (1952), "The theory of queues with a single server", Proc. Cambridge Phil. Soc. 48, 277-289.
    """
    slow = replace(drawn, fleets=tuple(replace(f, rule=batching.NONE, instances=1, weights=()) for f in drawn.fleets))
    fast = replace(
        slow, fleets=tuple(replace(f, service_ns=f.service_ns - f.service_ns * percent // 100) for f in slow.fleets)
    )
    assert (run(fast).requests.left_ns <= run(slow).requests.left_ns).all()


@given(models(plain=True))
def test_one_server_follows_lindleys_recursion(drawn: Model) -> None:
    """The simplest queue there is, against two lines of arithmetic: start = max(arrival, end of the one before)."""
    fleets = tuple(replace(fleet, rule=batching.NONE, instances=1, weights=()) for fleet in drawn.fleets)
    log = agreed(replace(drawn, fleets=fleets))
    for f, fleet in enumerate(fleets):
        free_ns = 0
        for row in np.flatnonzero(log.requests.fleet == f):
            start_ns = max(int(log.requests.arrival_ns[row]), free_ns)
            free_ns = start_ns + int(fleet.service_ns[1])
            assert (start_ns, free_ns) == (log.requests.start_ns[row], log.requests.end_ns[row])


@given(models())
def test_fleets_do_not_disturb_one_another(drawn: Model) -> None:
    """What one fleet does must not depend on which others are simulated beside it."""
    alone_ns: list[Int64s] = []
    log = run(drawn)
    for w, workload in enumerate(drawn.workloads):
        assume([workload.fleet for workload in drawn.workloads].count(workload.fleet) == 1)
        idle = WorkloadModel(workload.fleet, lambda seeds: ArrivalStream(iter([]), NEVER))  # noqa: ARG005
        others = tuple(workload if k == w else replace(idle, fleet=o.fleet) for k, o in enumerate(drawn.workloads))
        alone_ns.append(run(replace(drawn, workloads=others)).requests.left_ns)
    for w, left_ns in enumerate(alone_ns):
        assert left_ns.tolist() == log.requests.left_ns[log.requests.workload == w].tolist()


def busy_model(*, rate: float = 150.0, instances: int = 2, horizon_s: float = HORIZON_S, **rest: Any) -> Model:
    """Poisson requests to a fleet of batching instances that could do 320 a second."""
    spec = PoissonArrivals(process="poisson", rate=rate)
    fleet = FleetModel(by_items(10, 15, 20, 25), instances=instances, rule=batching.TEXTBOOK, max_batch=4)
    horizon_ns = round(horizon_s * S)
    return model_of(replace(fleet, **rest), WorkloadModel(0, Drawn(spec, horizon_ns)), horizon_ns, seed=5)


def p99_ms(model: Model, replications: int = 10) -> float:
    """Pooled p99 of the latency over replications of a model."""
    logs = [run(replace(model, replication=k)).requests for k in range(replications)]
    return float(np.percentile(np.concatenate([log.left_ns - log.arrival_ns for log in logs]), 99)) / MS


def test_p99_falls_when_an_instance_is_added() -> None:
    """A planner that buys an instance and sees a worse p99 would stop buying."""
    by_instances = [p99_ms(busy_model(instances=n, rate=290.0)) for n in (1, 2, 3, 4)]
    assert sorted(by_instances, reverse=True) == by_instances
    assert by_instances[0] > 5 * by_instances[-1]


def test_p99_rises_with_the_rate() -> None:
    """The same pattern of arrivals, only faster, must not be easier to serve."""
    by_rate = [p99_ms(busy_model(rate=rate)) for rate in (50.0, 150.0, 250.0, 300.0)]
    assert sorted(by_rate) == by_rate


def test_p99_rises_with_scatter() -> None:
    """Service times that scatter more, around the same mean, make queues longer."""
    by_cv = [p99_ms(busy_model(rate=250.0, noise=noise_of(cv))) for cv in (0.0, 0.3, 1.0)]
    assert sorted(by_cv) == by_cv


def noise_of(cv: float) -> Noise | None:
    """Lognormal scatter of batches of up to 4."""
    return lognormal(np.full(4, cv)) if cv else None


def lost(model: Model, outcome: int) -> int:
    """Requests of five replications that ended so."""
    return sum(int((run(replace(model, replication=k)).requests.outcome == outcome).sum()) for k in range(5))


def test_a_longer_queue_refuses_fewer() -> None:
    """More room to wait must not turn more people away."""
    refused = [lost(busy_model(rate=290.0, max_queue=places), REJECTED) for places in (1, 4, 16, 64)]
    assert sorted(refused, reverse=True) == refused
    assert refused[0] > refused[-1]


def test_more_patience_gives_up_less() -> None:
    """Clients that wait longer must not give up more often."""
    given_up = []
    for timeout_ms in (5, 20, 80):
        model = busy_model(rate=290.0)
        impatient = replace(model.workloads[0], timeout_ns=timeout_ms * MS)
        given_up.append(lost(replace(model, workloads=(impatient,)), TIMED_OUT))
    assert sorted(given_up, reverse=True) == given_up
    assert given_up[0] > given_up[-1]


@pytest.mark.parametrize("rule", range(len(batching.RULES)), ids=batching.RULES)
@pytest.mark.parametrize("model_instances", [1, 2, 3])
def test_a_backlog_is_worked_off_at_capacity(rule: int, model_instances: int) -> None:
    """Capacity is what a loaded instance does, under every rule: full batches, one after the other.

    S x max_batch items each service(max_batch) x slowdown(S), whatever the delay: nobody waits for a full batch.
    """
    most = 1 if rule == batching.NONE else 4
    fleet = FleetModel(
        by_items(10, 12, 14, 16), model_instances=model_instances, rule=rule, max_batch=most, delay_ns=50 * MS
    )
    batches = 6 * model_instances
    log = agreed(model_of(fleet, arriving(*([0] * (batches * most)))))
    assert batches == len(log.batches)
    assert int(fleet.service_ns[most]) * batches == log.batches.free_ns.max()


DRAWS_LEFT_ALONE: dict[str, dict[str, Any]] = {
    "more instances": {"instances": 7},
    "another rule": {"rule": batching.TRITON, "delay_ns": 3 * MS},
    "a bounded queue": {"max_queue": 1},
    "scatter": {"noise": lognormal(np.full(4, 0.5))},
    "model instances": {"model_instances": 3},
    **{f"router {router}": {"router": router} for router in ROUTERS},
}


@pytest.mark.parametrize("change", DRAWS_LEFT_ALONE)
def test_a_change_of_the_fleet_leaves_the_traffic_alone(change: str) -> None:
    """Common random numbers: otherwise a comparison of two fleets compares two lucks."""
    model = busy_model(horizon_s=2)
    traffic = replace(model.workloads[0], items=(1, 2, 4), item_weights=(3.0, 2.0, 1.0))
    model = replace(model, workloads=(traffic,))
    before = run(model).requests
    after = run(replace(model, fleets=(replace(model.fleets[0], **DRAWS_LEFT_ALONE[change]),))).requests
    assert before.arrival_ns.tolist() == after.arrival_ns.tolist()
    assert before.items.tolist() == after.items.tolist()


def test_another_workload_leaves_the_traffic_alone() -> None:
    """A workload that is added must not shift the draws of those before it."""
    model = busy_model(horizon_s=2)
    before = run(model).requests.arrival_ns
    after = run(replace(model, workloads=(*model.workloads, looping(3, 10), model.workloads[0]))).requests
    assert before.tolist() == after.arrival_ns[after.workload == 0].tolist()
    assert before.tolist() != after.arrival_ns[after.workload == 2].tolist()


def test_replications_are_independent() -> None:
    """Replications that share draws make intervals that are too narrow.

    The gaps of any two replications are uncorrelated: 66 pairs of 10,000 gaps, each within 4.5 standard errors, fails
    by chance once in 2,000 sets of draws.
    """
    n = 10_000
    model = busy_model(horizon_s=70)
    gaps = [np.diff(arrivals_of(replace(model, replication=k)))[:n] for k in range(12)]
    correlation = np.corrcoef(gaps)[np.triu_indices(12, k=1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)


def arrivals_of(model: Model) -> Int64s:
    """Arrival times of the first workload, without a run."""
    opened = model.workloads[0].arrivals
    assert opened is not None
    return opened(model.seeds(0)[0]).take(NEVER)


def test_every_stream_of_draws_is_its_own() -> None:
    """Two purposes that draw from one stream are correlated without anybody noticing."""
    model = busy_model()
    states = {
        tuple(seeds.generate_state(4).tolist())
        for seed in (0, 1)
        for replication in range(5)
        for workload in range(5)
        for seeds in replace(model, seed=seed, replication=replication).seeds(workload)
    }
    assert 2 * 5 * 5 * 5 == len(states)


def test_the_seed_decides_everything() -> None:
    """The same seed repeats a run to the bit, another one does not."""
    model = busy_model(horizon_s=2)
    assert_same(run(model), run(model))
    assert run(model).differences(run(replace(model, seed=6)))
    assert run(model).differences(run(replace(model, replication=1)))
