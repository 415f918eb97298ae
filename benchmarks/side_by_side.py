"""The same requests through our engines and through everybody else's, one round each in turn."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks import ours
from benchmarks.measure import Lap, Timing, alternate, lap
from benchmarks.peers import cpp
from benchmarks.spec import BenchSpec, DisagreementError, Effort, Figure, Outcome
from benchmarks.work import Batching, MultiServer

Column = npt.NDArray[np.int64] | npt.NDArray[np.int32]

COMPILED: Final = "compiled, textbook rule"
TRITON: Final = "compiled, triton rule"
REFERENCE: Final = "reference"
WHOLE: Final = "compiled, drawing and log included"
CPP: Final = "C++ loop"
SIMPY: Final = "SimPy, a process a request"
CIW: Final = "Ciw"
OURS_MM8: Final = "compiled"
KIEFER_WOLFOWITZ: Final = "C++ loop (Kiefer-Wolfowitz)"


def must_agree(what: str, mine: Column, theirs: Column) -> None:
    """Compare two columns of the same requests.

    Raises
    ------
    DisagreementError
        They differ; the text names the first request.
    """
    if mine.shape != theirs.shape:
        raise DisagreementError(f"{what}: {len(mine)} requests against {len(theirs)}")
    different = np.flatnonzero(mine != theirs)
    if len(different):
        first = int(different[0])
        raise DisagreementError(
            f"{what}: {len(different)} of {len(mine)} requests differ, the first is request {first}: "
            f"{mine[first]} ns against {theirs[first]} ns"
        )


def has(module: str) -> bool:
    """Whether a peer is installed here."""
    return importlib.util.find_spec(module) is not None


def cpp_lap(work: Batching, arrival_ns: cpp.Int64s, into: cpp.Columns) -> Lap:
    """One turn of the C++ loop on these arrivals; only the loop is timed."""

    def loop() -> int:
        cpp.batching(arrival_ns, work.instances, work.max_batch, work.max_delay_ns, work.service_ns, into)
        return len(arrival_ns)

    return lap(loop)


def simpy_lap(work: Batching, arrival_ns: list[int], into: dict[str, list[int]]) -> Lap:
    """One turn of the idiomatic SimPy model on these arrivals; its starts and ends are left in ``into``."""
    from benchmarks.peers import simpy_batching

    service_ns = [int(time) for time in work.service_ns]

    def model() -> int:
        into["start_ns"], into["end_ns"] = simpy_batching.simulate(
            arrival_ns, work.instances, work.max_batch, work.max_delay_ns, service_ns
        )
        return len(arrival_ns)

    return lap(model)


def measure_batching(spec: BenchSpec, effort: Effort) -> Outcome:
    """Time one batching fleet in every engine; the C++ loop and SimPy must agree with ours request by request."""
    work = spec.build(effort.sizes[-1])
    assert isinstance(work, Batching)
    textbook = ours.prepare(work)
    triton = ours.prepare(replace(work, rule="triton"))
    few = ours.prepare(replace(work, requests=effort.peer_requests))
    log = ours.run(textbook).requests
    arrival_ns = log.arrival_ns.copy()
    contenders: dict[str, Callable[[], Lap]] = {
        COMPILED: lambda: ours.engine_lap(textbook),
        WHOLE: lambda: ours.whole_lap(textbook),
        TRITON: lambda: ours.engine_lap(triton),
        REFERENCE: lambda: ours.whole_lap(few, engine="reference"),
    }
    notes = [
        "Compiled and C++ are timed on their loops, where draws and columns are ready; the reference draws too; "
        "SimPy gets its arrivals as a list."
    ]
    columns = cpp.Columns.of(len(arrival_ns))
    try:
        cpp.load_batching()
        contenders[CPP] = lambda: cpp_lap(work, arrival_ns, columns)
    except cpp.NoCompilerError as absent:
        notes.append(f"C++ loop skipped: {absent}.")
    simpy_columns: dict[str, list[int]] = {}
    peer_arrival_ns = arrival_ns[: effort.peer_requests].tolist()
    if has("simpy"):
        contenders[SIMPY] = lambda: simpy_lap(work, peer_arrival_ns, simpy_columns)
    else:
        notes.append("SimPy model skipped: simpy is not installed.")
    for contender in contenders.values():
        contender()
    timings = alternate(contenders, effort.rounds)
    if CPP in timings:
        must_agree("start by the C++ loop", log.start_ns, columns.start_ns)
        must_agree("end by the C++ loop", log.end_ns, columns.end_ns)
        must_agree("instance by the C++ loop", log.instance, columns.instance)
        must_agree("batch by the C++ loop", log.batch, columns.batch)
        notes.append(f"Ours and the C++ loop agree on start, end, instance and batch of all {len(log):,} requests.")
    if SIMPY in timings:
        # Beyond the last arrival that SimPy saw, the two no longer simulate the same thing.
        settled = np.flatnonzero(log.start_ns[: len(peer_arrival_ns)] < peer_arrival_ns[-1])
        must_agree("end by SimPy", log.end_ns[settled], np.array(simpy_columns["end_ns"], dtype=np.int64)[settled])
        notes.append(f"Ours and SimPy agree on the end of all {len(settled):,} requests that both simulate.")
    figures = (
        _ratio("SimPy over compiled", timings, SIMPY, COMPILED),
        _ratio("SimPy over compiled, all included", timings, SIMPY, WHOLE),
        _ratio("compiled over C++", timings, COMPILED, CPP),
        _ratio("triton over textbook", timings, TRITON, COMPILED),
        _ratio("reference over compiled", timings, REFERENCE, COMPILED),
    )
    return Outcome(tuple(timings.values()), figures, tuple(notes))


def measure_mm8(spec: BenchSpec, effort: Effort) -> Outcome:
    """Time M/M/8 in ours, in Ciw and in the textbook recursion; the waits are compared with Erlang's formula."""
    work = spec.build(effort.sizes[-1])
    assert isinstance(work, MultiServer)
    prepared = ours.prepare(work)
    log = ours.run(prepared).requests
    arrival_ns, service_ns = log.arrival_ns.copy(), log.end_ns - log.start_ns
    contenders: dict[str, Callable[[], Lap]] = {OURS_MM8: lambda: ours.engine_lap(prepared)}
    waits_ms = {OURS_MM8: float((log.start_ns - log.arrival_ns).mean()) / 1e6}
    notes = []
    start_ns, end_ns = np.empty_like(arrival_ns), np.empty_like(arrival_ns)
    try:
        cpp.load_multi_server()

        def recursion() -> int:
            cpp.multi_server(arrival_ns, service_ns, work.servers, start_ns, end_ns)
            return len(arrival_ns)

        contenders[KIEFER_WOLFOWITZ] = lambda: lap(recursion)
    except cpp.NoCompilerError as absent:
        notes.append(f"C++ loop skipped: {absent}.")
    if has("ciw"):
        from benchmarks.peers import ciw_queue

        def customers() -> int:
            waits_ms[CIW] = 1e3 * ciw_queue.mean_wait_s(
                work.servers, work.rate_rps, 1e3 / work.service_ms, effort.peer_requests, work.seed
            )
            return effort.peer_requests

        contenders[CIW] = lambda: lap(customers)
    else:
        notes.append("Ciw skipped: it is not installed.")
    for contender in contenders.values():
        contender()
    timings = alternate(contenders, effort.rounds)
    if KIEFER_WOLFOWITZ in timings:
        must_agree("start by the recursion", log.start_ns, start_ns)
        must_agree("end by the recursion", log.end_ns, end_ns)
        notes.append(f"Ours and the recursion agree on start and end of all {len(log):,} requests.")
    waits = ", ".join(f"{name} {wait_ms:.2f} ms" for name, wait_ms in waits_ms.items())
    notes.append(f"Mean wait: {waits}; Erlang's C formula {work.mean_wait_ms:.2f} ms.")
    figures = (
        _ratio("Ciw over compiled", timings, CIW, OURS_MM8),
        _ratio("compiled over C++", timings, OURS_MM8, KIEFER_WOLFOWITZ),
    )
    return Outcome(tuple(timings.values()), figures, tuple(notes))


def _ratio(name: str, timings: dict[str, Timing], slow: str, quick: str) -> Figure:
    """Figure of one contender over another; without a value where either was skipped."""
    both = slow in timings and quick in timings
    return Figure(name, timings[slow].over(timings[quick]) if both else None, "x")
