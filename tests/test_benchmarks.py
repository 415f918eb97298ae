"""The benchmarks measure what they say: the peers do the same work, and every target has its figure.

Nothing here is timed: sizes are tiny, and only results and structure are compared.
"""

from __future__ import annotations

import doctest
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import benchmarks
from benchmarks import ours, processes
from benchmarks.__main__ import main
from benchmarks.commitments import Commitments
from benchmarks.measure import Lap, Timing, alternate
from benchmarks.peers import cpp
from benchmarks.planning import Planning
from benchmarks.registry import SPECS
from benchmarks.side_by_side import must_agree
from benchmarks.spec import BenchSpec, DisagreementError, Effort, Figure, Outcome, Target, verdict
from benchmarks.work import Batching, Hello, MultiServer
from optimizer.history import load_history
from optimizer.plan_file import load_plan
from simulator.scenario import load_scenario

needs_compiler = pytest.mark.skipif(cpp.compiler() is None, reason="there is no C++ compiler on the path")


def arrivals(work: Batching, n_requests: int, *, tick_ns: int = 1, seed: int = 3) -> cpp.Int64s:
    """Poisson arrival times at the work's rate, rounded up to whole ticks."""
    gap_ns = np.random.default_rng(seed).exponential(1e9 / work.rate_rps, n_requests)
    ticks = np.ceil(np.cumsum(gap_ns) / tick_ns).astype(np.int64)
    return ticks * tick_ns


def batching_in_python(work: Batching, arrival_ns: list[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Start, end, instance and batch of each request, by the rules as batching.cpp states them and nothing clever."""
    n = work.instances
    service_ns = work.service_ns.tolist()
    waiting: list[list[int]] = [[] for _ in range(n)]
    inside = [0] * n
    chosen = [-1] * n
    busy_until: list[int | None] = [None] * n
    executing = [0] * n
    start = [-1] * len(arrival_ns)
    end, instance_of, batch_of = start.copy(), start.copy(), start.copy()
    batches = 0

    def next_event(i: int) -> int | None:
        if busy_until[i] is not None:
            return busy_until[i]
        return arrival_ns[waiting[i][0]] + work.max_delay_ns if waiting[i] else None

    def launch_if_due(i: int, now: int) -> None:
        nonlocal batches
        due = len(waiting[i]) >= work.max_batch or (
            bool(waiting[i]) and now >= arrival_ns[waiting[i][0]] + work.max_delay_ns
        )
        if busy_until[i] is None and due:
            members, waiting[i] = waiting[i][: work.max_batch], waiting[i][work.max_batch :]
            executing[i], busy_until[i] = len(members), now + service_ns[len(members)]
            for member in members:
                start[member], end[member], batch_of[member] = now, now + service_ns[len(members)], batches
            batches += 1

    def until(limit: int | None) -> None:
        while True:
            events = [(time, i) for i in range(n) if (time := next_event(i)) is not None]
            if not events or (limit is not None and min(events)[0] > limit):
                return
            now, i = min(events)
            if busy_until[i] is not None:
                inside[i] -= executing[i]
                busy_until[i] = None
            launch_if_due(i, now)

    for request, now in enumerate(arrival_ns):
        until(now)
        i = min(range(n), key=lambda each: (inside[each], chosen[each], each))
        inside[i] += 1
        chosen[i] = request
        instance_of[request] = i
        waiting[i].append(request)
        launch_if_due(i, now)
    until(None)
    return start, end, instance_of, batch_of


@needs_compiler
@pytest.mark.parametrize("tick_ns", [1, 1_000_000, 5_000_000], ids=["no ties", "1 ms ticks", "5 ms ticks"])
@pytest.mark.parametrize("load", [0.1, 0.8, 1.3])
@pytest.mark.parametrize("instances", [1, 4, 33])
def test_the_cpp_loop_follows_the_stated_rules(instances: int, load: float, tick_ns: int) -> None:
    """A loop that is quick because it does something else would make every ratio against it worthless."""
    work = Batching(2_000, instances=instances, load=load)
    arrival_ns = arrivals(work, work.requests, tick_ns=tick_ns)
    columns = cpp.Columns.of(work.requests)
    cpp.batching(arrival_ns, work.instances, work.max_batch, work.max_delay_ns, work.service_ns, columns)
    start, end, instance, batch = batching_in_python(work, arrival_ns.tolist())
    assert start == columns.start_ns.tolist()
    assert end == columns.end_ns.tolist()
    assert instance == columns.instance.tolist()
    assert batch == columns.batch.tolist()


@needs_compiler
def test_the_cpp_loop_never_waits_without_a_delay() -> None:
    """With a delay of 0 a free instance that is given a request must start on that instant."""
    work = Batching(500, load=0.05, max_delay_ns=0)
    arrival_ns = arrivals(work, work.requests)
    columns = cpp.Columns.of(work.requests)
    cpp.batching(arrival_ns, work.instances, work.max_batch, work.max_delay_ns, work.service_ns, columns)
    assert arrival_ns[0] == columns.start_ns[0]
    start, end, instance, batch = batching_in_python(work, arrival_ns.tolist())
    assert (start, end) == (columns.start_ns.tolist(), columns.end_ns.tolist())
    assert (instance, batch) == (columns.instance.tolist(), columns.batch.tolist())


@needs_compiler
def test_the_idiomatic_simpy_model_does_the_work_of_the_cpp_loop() -> None:
    """If the slow peer modelled anything else, the speed-up over it would compare two different simulations."""
    simpy_batching = pytest.importorskip("benchmarks.peers.simpy_batching")
    work = Batching(3_000)
    arrival_ns = arrivals(work, work.requests)
    columns = cpp.Columns.of(work.requests)
    cpp.batching(arrival_ns, work.instances, work.max_batch, work.max_delay_ns, work.service_ns, columns)
    start, end = simpy_batching.simulate(
        arrival_ns.tolist(), work.instances, work.max_batch, work.max_delay_ns, work.service_ns.tolist()
    )
    assert start == columns.start_ns.tolist()
    assert end == columns.end_ns.tolist()


@needs_compiler
@pytest.mark.parametrize(
    ("column", "complaint"),
    [(np.zeros(3, np.int32), "int32"), (np.zeros(6, np.int64)[::2], "contiguous")],
    ids=["wrong type", "with gaps"],
)
def test_a_column_that_cpp_cannot_walk_along_is_refused(column: cpp.Int64s, complaint: str) -> None:
    """A wrong dtype or stride would be read as other numbers, silently."""
    work = Batching(3)
    with pytest.raises(ValueError, match=complaint):
        cpp.batching(column, 4, work.max_batch, 0, work.service_ns, cpp.Columns.of(3))


@needs_compiler
def test_the_recursion_serves_in_order_at_the_server_that_is_free_first() -> None:
    """If the Kiefer-Wolfowitz loop were wrong, agreeing with it would prove nothing: three requests by hand."""
    arrival_ns = np.array([0, 1, 2, 3], np.int64)
    service_ns = np.array([10, 3, 5, 1], np.int64)
    start_ns, end_ns = np.empty(4, np.int64), np.empty(4, np.int64)
    cpp.multi_server(arrival_ns, service_ns, 2, start_ns, end_ns)
    assert [0, 1, 4, 9] == start_ns.tolist()
    assert [10, 4, 9, 10] == end_ns.tolist()


def test_ciw_waits_as_erlang_says() -> None:
    """Ciw's model must be the queue whose formula we print beside it."""
    ciw_queue = pytest.importorskip("benchmarks.peers.ciw_queue")
    work = MultiServer(20_000, load=0.5)
    wait_s = ciw_queue.mean_wait_s(work.servers, work.rate_rps, 1e3 / work.service_ms, 4_000, seed=5)
    assert work.mean_wait_ms / 1e3 == pytest.approx(wait_s, rel=0.5)


def test_erlangs_formula_gives_the_published_probability_of_waiting() -> None:
    """A slip in the formula would make a wrong engine look right; C(2, 1) = 1/3, so the wait is a third of the service.

    L. Kleinrock, Queueing Systems I (1975), section 3.5: for c = 2, C = 2 rho^2 / (1 + rho).
    """
    rho = 0.5
    all_busy = 2 * rho**2 / (1 + rho)
    assert all_busy * 10.0 / (2 * (1 - rho)) == pytest.approx(MultiServer(1, servers=2, load=rho).mean_wait_ms)


def test_contenders_take_turns_in_alternating_order() -> None:
    """Were one always first, the machine's drift within a round would favour it."""
    turns: list[str] = []

    def contender(name: str) -> Lap:
        turns.append(name)
        return Lap(1, 1.0, 1.0)

    timings = alternate({name: lambda name=name: contender(name) for name in "abc"}, rounds=3)  # type: ignore[misc]
    assert list("abccbaabc") == turns
    assert [3, 3, 3] == [len(timing.laps) for timing in timings.values()]


def test_a_ratio_is_taken_within_rounds() -> None:
    """A machine that is slower in one round must not move a ratio of two that were both slowed."""
    slow = Timing("slow", (Lap(10, 2.0, 2.0), Lap(10, 20.0, 20.0), Lap(10, 2.0, 2.0)))
    quick = Timing("quick", (Lap(10, 1.0, 1.0), Lap(10, 10.0, 10.0), Lap(10, 1.0, 1.0)))
    assert slow.over(quick) == 2.0
    assert slow.cpu_ns == 2e8


@pytest.mark.parametrize("work", [Batching(1_000, instances=4), Batching(1_000, instances=64)])
def test_the_load_of_the_batching_work_is_what_it_says(work: Batching) -> None:
    """A rate that drifted from the capacity would time an idle fleet, or a queue that grows for ever."""
    capacity_rps = work.instances * work.max_batch / (int(work.service_ns[work.max_batch]) / 1e9)
    assert work.load * capacity_rps == work.rate_rps
    assert all(small < large for small, large in pairwise(work.service_ns))


TINY: Mapping[str, Effort] = {
    "batching-4": Effort((1_500,), rounds=2, peer_requests=300),
    "mm8": Effort((1_500,), rounds=2, peer_requests=200),
    "scaling-requests": Effort((500, 1_000), rounds=2, peer_requests=1),
    "scaling-instances": Effort((1, 40), rounds=1, peer_requests=1),
    "replications": Effort((3,), rounds=1, peer_requests=1),
    "memory": Effort((2_000,), rounds=1, peer_requests=1),
    "start-up": Effort((1,), rounds=1, peer_requests=1),
    "capacity-curves": Effort((2,), rounds=1, peer_requests=1),
    "plan": Effort((2,), rounds=1, peer_requests=1),
    "commitments": Effort((1,), rounds=1, peer_requests=1),
}
IN_PROCESS = ("batching-4", "mm8", "scaling-requests", "scaling-instances", "capacity-curves", "plan", "commitments")


def measured(name: str) -> Outcome:
    """What a spec measures at a size at which nothing can be learnt of speed."""
    spec = SPECS[name]
    if name == "scaling-instances":
        spec = replace(spec, build=lambda instances: Batching(1_000, instances=instances))
    if name == "replications":
        spec = replace(spec, build=lambda _: Batching(500))
    if name == "plan":
        spec = replace(spec, build=lambda hours: Planning(hours, models=2, candidates=4))
    if name == "commitments":
        spec = replace(spec, build=lambda weeks: Commitments(weeks, types=2, futures=2))
    return spec.measure(spec, TINY[name])


def test_every_spec_is_known_by_its_name() -> None:
    """A spec filed under another name could not be asked for."""
    assert list(SPECS) == [spec.name for spec in SPECS.values()]
    assert set(TINY) == set(SPECS)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_every_scenario_of_a_spec_loads(spec: BenchSpec, tmp_path: Path) -> None:
    """A benchmark whose scenario ``simulate`` refuses, or whose plan ``optimize``, could be repeated by nobody."""
    path = tmp_path / "scenario.yaml"
    path.write_text(spec.build(spec.full.sizes[0]).scenario(), encoding="utf-8")
    if spec.axis == "weeks":
        history = load_history(path)
        assert (8736, 10) == history.demand.shape
        return
    assert (load_plan(path) if spec.axis in {"settings", "hours"} else load_scenario(str(path))).workloads


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_spec_measures_what_its_targets_judge(name: str) -> None:
    """A target without its figure would be reported as reached by nobody noticing."""
    outcome = measured(name)
    assert outcome.timings
    assert all(timing.units > 0 and timing.laps for timing in outcome.timings)
    assert len(outcome.figures) == len(outcome.by_name)
    figures = {figure.name for figure in outcome.figures}
    expected = {target.figure for target in SPECS[name].targets}
    if name == "scaling-instances":
        expected = {"40 over 1"}
    assert expected <= figures


@needs_compiler
def test_our_engine_equals_the_cpp_loop_request_by_request() -> None:
    """Times of two loops that answer differently cannot be compared."""
    work = Batching(5_000, instances=3, load=0.9)
    log = ours.run(ours.prepare(work)).requests
    columns = cpp.Columns.of(len(log))
    arrival_ns = log.arrival_ns.copy()
    cpp.batching(arrival_ns, work.instances, work.max_batch, work.max_delay_ns, work.service_ns, columns)
    assert columns.start_ns.tolist() == log.start_ns.tolist()
    assert columns.end_ns.tolist() == log.end_ns.tolist()
    assert columns.instance.tolist() == log.instance.tolist()
    assert columns.batch.tolist() == log.batch.tolist()


def test_replications_over_processes_report_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A speed-up by doing something else is none; and the reader must be told what the machine could give."""
    monkeypatch.setattr(processes, "SPIN", "pass")
    outcome = measured("replications")
    assert ["two processes over one"] == list(outcome.by_name)
    assert any("reports are equal" in note for note in outcome.notes)


def test_memory_is_that_of_the_run_alone() -> None:
    """Memory of the imports, or of the process that measures, would hide what a long run needs."""
    outcome = measured("memory")
    figure = outcome.by_name["memory of the run"]
    if figure.value is None:
        pytest.skip(outcome.notes[0])
    assert 0 < figure.value < 1_000


@pytest.mark.slow
def test_start_up_is_measured_cold_and_warm() -> None:
    """The first run compiles: were it among the warm ones, their median would be of something else."""
    outcome = measured("start-up")
    assert {target.figure for target in SPECS["start-up"].targets} < set(outcome.by_name)
    assert any("announces itself" in note for note in outcome.notes)


def test_a_command_that_fails_is_not_timed() -> None:
    """A crash is quick: taken for a result, it would be a record."""
    with pytest.raises(processes.CommandError, match="no such thing"):
        processes.run_python("-c", "raise SystemExit('no such thing')")


def test_columns_that_differ_are_an_error_that_names_the_request() -> None:
    """A peer that disagrees must stop the benchmark, not lend it a ratio."""
    same, other = np.array([5, 6, 7], np.int64), np.array([5, 6, 8], np.int64)
    must_agree("end", same, same)
    with pytest.raises(
        DisagreementError, match="end: 1 of 3 requests differ, the first is request 2: 7 ns against 8 ns"
    ):
        must_agree("end", same, other)


@pytest.mark.parametrize(
    ("value", "expected"), [(1.5, "reached"), (1.51, "missed"), (None, "not measured")], ids=["at", "beyond", "absent"]
)
def test_a_verdict_is_computed_from_the_figure(value: float | None, expected: str) -> None:
    """A miss by little is a miss, and what was not measured is not reached."""
    assert expected == verdict(Target("ratio", "at most", 1.5), Figure("ratio", value, "x"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "Batching 4"}, "lower-case words"),
        ({"full": Effort((10, 5), 1, 1)}, "increasing"),
        ({"quick": Effort((), 1, 1)}, "increasing"),
        ({"quick": Effort((5,), 0, 1)}, "at least 1"),
    ],
)
def test_a_spec_that_measures_nothing_is_refused(change: Mapping[str, object], complaint: str) -> None:
    """A misspelt spec should fail where it is written, not after minutes."""
    with pytest.raises(ValueError, match=complaint):
        replace(SPECS["mm8"], **change)


def test_the_command_prints_verdicts_and_writes_every_lap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads the text and who reads the JSON must be told the same."""
    spec = replace(SPECS["scaling-requests"], quick=TINY["scaling-requests"])
    monkeypatch.setattr("benchmarks.__main__.SPECS", {spec.name: spec})
    path = tmp_path / "figures.json"
    assert 0 == main(["--quick", "--json", str(path)])
    printed = capsys.readouterr().out
    assert "scaling-requests: does a request cost the same" in printed
    document = json.loads(path.read_text(encoding="utf-8"))
    found = document["benchmarks"]["scaling-requests"]
    (target,) = found["targets"]
    assert f"target at most 1.25 x: {target['verdict']}" in printed
    assert [2, 2] == [len(timing["laps"]) for timing in found["timings"].values()]
    assert [path] == list(tmp_path.iterdir())


def test_the_command_prints_a_scenario_that_simulate_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is timed must be something that anyone can run."""
    assert 0 == main(["mm8", "--scenario", "1000"])
    path = tmp_path / "mm8.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    (fleet,) = load_scenario(str(path)).fleets.values()
    assert 8 == fleet.model_instances


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["batching-5"], "there is no benchmark batching-5"),
        (["--scenario", "10"], "takes one NAME"),
        (["mm8", "--scenario", "0"], "takes one NAME"),
        (["--json", "absent/figures.json"], "there is no folder absent"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_told_at_once(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error noticed after ten minutes of measuring costs ten minutes."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert 2 == stopped.value.code
    assert complaint in capsys.readouterr().err


def test_the_scenario_that_start_up_times_is_the_one_that_ships() -> None:
    """The command is judged by what a newcomer runs first."""
    assert "name: hello" in Hello().scenario()


@pytest.mark.parametrize("name", [found.name for found in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")])
def test_the_examples_in_docstrings_hold(name: str) -> None:
    """An example that no longer holds misleads whoever reads it."""
    if name.endswith(("ciw_queue", "simpy_batching")):
        pytest.importorskip(name)
    assert 0 == doctest.testmod(import_module(name)).failed
