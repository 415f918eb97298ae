"""Random models for hypothesis: everything a scenario can ask for, at every scale of time, small enough to shrink.

Times are whole ticks, from 1 ns to 5 ms: on coarse ticks nearly everything happens at once, which is where two engines
part first. The processes of a scenario add times between the ticks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from pydantic import TypeAdapter

from calibration.profile import Profile
from simulator.arrival_spec import Arrivals
from simulator.clock import NEVER, NS_PER_S
from simulator.model import UNBOUNDED, FleetModel, Model, Noise, WorkloadModel
from simulator.noise import empirical, lognormal
from simulator.policies import batching, routing
from simulator.policies.service import NOISE_LEVELS, PPM
from tests.models import Drawn, Given, Thinking, table_noise

TICKS = (1, 1_000, 1_000_000, 5_000_000)
HORIZON_TICKS = 200
MOST_REQUESTS = 60
"""Expected requests of one open workload."""

ROUTERS = (routing.SCHEDULE, routing.RANDOM, routing.LEAST, routing.TWO, routing.WORK)
INSTANCES = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 33, 40, 64, 65)
"""Few, so that queues form; or more than are scanned one by one, so that the trees of minima are used."""

OPEN_PROCESSES = ("given", "poisson", "deterministic", "gamma", "mmpp", "rate_series", "trace")

ticks = st.sampled_from(TICKS)


def durations(tick_ns: int, least: int = 0, most: int = 20) -> st.SearchStrategy[int]:
    """Whole ticks in ns."""
    return st.integers(least, most).map(lambda count: count * tick_ns)


@st.composite
def curves(draw: st.DrawFn, tick_ns: int, largest: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Service times by items: they never fall; some are flat, a few longer than everything else."""
    first = draw(durations(tick_ns, 1, 30) | durations(tick_ns, 1, 150))
    steps = draw(st.lists(durations(tick_ns, 0, 10), min_size=largest - 1, max_size=largest - 1))
    return np.cumsum([0, first, *steps]).astype(np.int64)


@st.composite
def parts(draw: st.DrawFn, tick_ns: int, largest: int) -> dict[str, Any]:
    """Overheads by items, each absent more often than not."""
    names = draw(st.sets(st.sampled_from(("frontend_ns", "enqueue_ns", "dispatch_ns", "release_ns", "reply_ns"))))
    rows = st.lists(durations(tick_ns, 0, 4), min_size=largest, max_size=largest)
    return {name: np.array([0, *draw(rows)], dtype=np.int64) for name in sorted(names)}


@st.composite
def noises(draw: st.DrawFn, largest: int) -> Noise:
    """Scatter of every kind: lognormal, resampled from measurements, or any table."""
    kind = draw(st.sampled_from(("lognormal", "empirical", "table")))
    if kind == "lognormal":
        spreads = st.lists(st.sampled_from((0.0, 0.1, 1.0)), min_size=largest, max_size=largest)
        return lognormal(np.array(draw(spreads)))
    if kind == "empirical":
        profile = Profile.model_validate(
            {"batch": [1, 4], "latency_ms": [2.0, 4.0], "samples_ms": [[1.0, 2.0, 3.0], [4.0]]}
        )
        return empirical(profile, np.arange(1, largest + 1))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    factors = np.sort(generator.uniform(0.5, 2.0, (2, NOISE_LEVELS + 1)), axis=1)
    rows = draw(st.lists(st.integers(0, 1), min_size=largest + 1, max_size=largest + 1))
    return table_noise(list(factors), rows)


@st.composite
def slowdowns(draw: st.DrawFn, model_instances: int) -> tuple[int, ...]:
    """Of overlapping executions: shared (the default), independent, or anything that rises."""
    rising = st.lists(st.integers(PPM, 3 * PPM), min_size=model_instances - 1, max_size=model_instances - 1)
    own = rising.map(lambda factors: (PPM, *sorted(factors)))
    return draw(st.just(()) | st.just((PPM,) * model_instances) | own)


@st.composite
def fleets(draw: st.DrawFn, tick_ns: int, *, plain: bool = False, triton: bool = False) -> FleetModel:
    """Any fleet; a plain one has nothing that ``Tables.extras`` names."""
    rules = range(batching.TRITON) if plain else (batching.TRITON,) if triton else range(len(batching.RULES))
    rule = draw(st.sampled_from(rules))
    max_batch = draw(st.integers(1, 8))
    largest = max_batch + draw(st.integers(0, 3)) if rule == batching.NONE else max_batch
    instances = draw(st.sampled_from(INSTANCES))
    router = draw(st.sampled_from((routing.SCHEDULE, routing.LEAST, routing.WORK) if plain else ROUTERS))
    weights = st.lists(st.integers(1, 4), min_size=instances, max_size=instances).map(tuple)
    sizes = st.sets(st.integers(1, max_batch), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
    model_instances = 1 if plain else draw(st.sampled_from((1, 1, 2, 3)))
    extras: dict[str, Any] = {}
    if not plain:
        extras = draw(parts(tick_ns, largest)) if draw(st.booleans()) else {}
        extras["slow_ppm"] = draw(slowdowns(model_instances))
        extras["max_queue"] = draw(st.just(UNBOUNDED) | st.integers(1, 6))
        extras["noise"] = draw(st.none() | noises(largest))
    return FleetModel(
        service_ns=draw(curves(tick_ns, largest)),
        instances=instances,
        model_instances=model_instances,
        rule=rule,
        max_batch=max_batch,
        delay_ns=draw(st.just(0) | durations(tick_ns, 1, 40)),
        preferred=draw(st.just(()) | sizes) if rule == batching.TRITON else (),
        router=router,
        weights=draw(st.just(()) | weights) if router == routing.SCHEDULE else (),
        **extras,
    )


@st.composite
def given_times(draw: st.DrawFn, tick_ns: int) -> tuple[int, ...]:
    """Requests at whole ticks, often several at once; possibly none."""
    least = draw(st.sampled_from((10, 20, 40, 0)))
    gaps = draw(st.lists(st.sampled_from((0, 0, 0, 1, 1, 2, 5, 30)), min_size=least, max_size=MOST_REQUESTS))
    return tuple(np.cumsum([gap * tick_ns for gap in gaps], dtype=np.int64).tolist())


@st.composite
def open_arrivals(draw: st.DrawFn, tick_ns: int, horizon_ns: int) -> Given | Drawn:
    """Arrivals of every process that has a stream, and hand-made ones."""
    process = draw(st.sampled_from(OPEN_PROCESSES))
    if process == "given":
        return Given(draw(given_times(tick_ns)))
    rate = draw(st.sampled_from((30, MOST_REQUESTS, 100, 1))) * NS_PER_S / horizon_ns
    spans = [f"{draw(durations(tick_ns, 1, HORIZON_TICKS))}ns" for _ in range(2)]
    keys: dict[str, dict[str, Any]] = {
        "poisson": {"rate": rate},
        "deterministic": {"rate": rate},
        "gamma": {"rate": rate, "cv": draw(st.sampled_from((0.3, 1.0, 3.0)))},
        "mmpp": {"rates": [rate, draw(st.sampled_from((0.0, rate / 4)))], "mean_durations": spans},
        "rate_series": {"requests": draw(st.sampled_from(([20, 0], [0, 5, 1]))), "interval": spans[0], "repeat": True},
        "trace": {"file": "recorded.csv"},
    }
    if process == "rate_series":  # as many as its shortest interval allows
        keys[process]["interval"] = f"{max(horizon_ns // 4, 1)}ns"
    spec: Any = TypeAdapter(Arrivals).validate_python({"process": process, **keys[process]})
    return Drawn(spec, horizon_ns, draw(given_times(tick_ns)) if process == "trace" else ())


@st.composite
def workloads(
    draw: st.DrawFn, tick_ns: int, horizon_ns: int, fleet: FleetModel, f: int, *, plain: bool = False
) -> WorkloadModel:
    """Any stream of requests to fleet number ``f``."""
    if plain:
        return WorkloadModel(f, draw(open_arrivals(tick_ns, horizon_ns)))
    sizes = st.lists(st.integers(1, fleet.largest), min_size=1, max_size=3, unique=True)
    items = tuple(draw(st.just([1]) | sizes))
    common: dict[str, Any] = {
        "items": items,
        "item_weights": tuple(draw(st.sampled_from((1.0, 0.1))) for _ in items),
        "timeout_ns": draw(st.just(NEVER) | durations(tick_ns, 1, 60)),
    }
    if draw(st.sampled_from((True, True, False))):
        return WorkloadModel(f, draw(open_arrivals(tick_ns, horizon_ns)), **common)
    # A client that is refused at once and does not think would send for ever in one instant.
    least = 1 if fleet.max_queue != UNBOUNDED else 0
    thinking = Thinking(draw(durations(tick_ns, least, 30)), draw(st.sampled_from(("constant", "exponential"))))
    return WorkloadModel(f, clients=draw(st.integers(1, 6)), think=thinking, **common)


@st.composite
def models(draw: st.DrawFn, *, plain: bool = False, triton: bool = False) -> Model:
    """Any model: one fleet or two, one workload to three; some of them without a request."""
    tick_ns = draw(ticks)
    horizon_ns = HORIZON_TICKS * tick_ns
    chosen = draw(st.lists(fleets(tick_ns, plain=plain, triton=triton), min_size=1, max_size=2))
    streams = []
    for _ in range(draw(st.integers(1, 3))):
        f = draw(st.integers(0, len(chosen) - 1))
        streams.append(draw(workloads(tick_ns, horizon_ns, chosen[f], f, plain=plain)))
    return Model(
        tuple(chosen),
        tuple(streams),
        horizon_ns,
        seed=draw(st.integers(0, 9)),
        replication=draw(st.integers(0, 2)),
        expected_requests=float(draw(st.integers(0, 200))),
    )
