"""What is measured of whole processes: replications over the cores, memory of a long run, start-up of the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import ours
from benchmarks.measure import Lap, Timing, alternate, is_busy, load_average
from benchmarks.spec import BenchSpec, DisagreementError, Effort, Figure, Outcome
from benchmarks.work import Batching, Hello

ROOT: Final = Path(__file__).resolve().parents[1]
SIMULATE: Final = "from simulator.cli import main; main()"
SPIN: Final = "s = 0\nfor i in range(20_000_000): s += i"
"""Work of about a second that no other process can disturb but by taking the core."""


class CommandError(RuntimeError):
    """A command that is timed failed; the text is what it said."""


def run_python(*words: str, settings: Mapping[str, str] | None = None) -> tuple[float, str, str]:
    """Run this Python with these arguments: wall seconds, standard output, standard error.

    Raises
    ------
    CommandError
        It did not exit with 0.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **(settings or {})}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)
    wall_s = time.perf_counter() - start
    if done.returncode != 0:
        raise CommandError(f"{' '.join(words)} exits with {done.returncode}: {done.stderr.strip()}")
    return wall_s, done.stdout, done.stderr


def two_cores_give() -> float:
    """How much sooner do two processes finish two pieces of pure arithmetic than one after the other, here and now?"""
    apart = sum(run_python("-c", SPIN)[0] for _ in range(2))
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: run_python("-c", SPIN), range(2)))
    return apart / (time.perf_counter() - start)


def measure_replications(spec: BenchSpec, effort: Effort) -> Outcome:
    """Time the same replications in this process and over two; both must report the same numbers."""
    replications = effort.sizes[-1]
    scenario = ours.load(spec.build(replications))
    reports = {}

    def contender(processes: int) -> Lap:
        start, cpu_s = time.perf_counter(), time.process_time()
        report = ours.study(scenario, replications, processes)
        lap = Lap(sum(workload.outcomes["arrived"] for workload in report.workloads), time.perf_counter() - start, 1e-9)
        reports[processes] = replace(report, timing_s={})
        return replace(lap, cpu_s=max(time.process_time() - cpu_s, 1e-9))

    load = load_average()
    possible = two_cores_give()
    contender(2)  # the processes stay, so that their start is not timed again
    names = {"one process": 1, "two processes": 2}
    timings = alternate({name: lambda n=n: contender(n) for name, n in names.items()}, effort.rounds)  # type: ignore[misc]
    if reports[1] != reports[2]:
        raise DisagreementError("one and two processes report different numbers")
    speed_up = timings["one process"].over(timings["two processes"], clock="wall")
    notes = [
        f"{replications} replications; wall time decides, CPU time is of this process only; the reports are equal.",
        f"Two processes of pure arithmetic finish {possible:.2f} times as soon as one after the other here and now.",
    ]
    if is_busy(load):
        notes.append(f"The machine is busy (load average {load:.2f} before the start): the figure says little.")
    return Outcome(tuple(timings.values()), (Figure("two processes over one", speed_up, "x"),), tuple(notes))


def measure_memory(spec: BenchSpec, effort: Effort) -> Outcome:
    """Run a long scenario in a process of its own and ask what it held at most."""
    if not Path("/proc/self/status").exists():
        note = "Skipped: without /proc the most memory that a process held since its imports cannot be told."
        return Outcome((), (Figure("memory of the run", None, "MiB"),), (note,))
    ours.prepare(Batching(1))  # a compile in the child would be its largest need
    timings, figures, notes = [], [], []
    for size in effort.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scenario.yaml"
            path.write_text(spec.build(size).scenario(), encoding="utf-8")
            _, text, _ = run_python("-m", "benchmarks.streamed", str(path))
        found = json.loads(text)
        run = Lap(found["requests"], found["wall_s"], found["cpu_s"])
        timings.append(Timing(f"{size:,} requests, from scenario to report", (run,)))
        figures.append(Figure("memory of the run", found["most_mib"] - found["imported_mib"], "MiB"))
        notes.append(
            f"{found['requests']:,} requests: {found['imported_mib']:.0f} MiB after the imports, "
            f"{found['loaded_mib']:.0f} MiB with the compiled engine loaded, {found['most_mib']:.0f} MiB at most; "
            f"p99 {found['p99_ms']:.2f} ms; the loop itself "
            f"{found['engine_s'] / found['requests'] * 1e9:.0f} ns a request."
        )
    return Outcome(tuple(timings), tuple(figures[-1:]), tuple(notes))


def measure_start_up(spec: BenchSpec, effort: Effort) -> Outcome:
    """Time the command from the shell: its help, a small scenario, and the same before anything was compiled."""
    work = spec.build(effort.sizes[-1])
    assert isinstance(work, Hello)
    scenario = work.path
    with tempfile.TemporaryDirectory() as folder:
        kept = {"NUMBA_CACHE_DIR": folder}
        cold_s, _, said = run_python("-c", SIMULATE, str(scenario), settings=kept)

        def contender(*words: str) -> Lap:
            wall_s, _, _ = run_python("-c", SIMULATE, *words, settings=kept)
            return Lap(1, wall_s, 1e-9)

        timings = alternate(
            {"simulate --help": lambda: contender("--help"), "simulate, warm": lambda: contender(str(scenario))},
            effort.rounds,
        )
    announced = [line.strip() for line in said.splitlines() if "compil" in line]
    notes = [
        f"The scenario is {scenario.name}; wall seconds of the whole process, median of {effort.rounds}.",
        f"The one-time compile announces itself: {announced[0]}" if announced else "The compile is not announced.",
    ]
    figures = [Figure(name, timing.wall_ns / 1e9, "s") for name, timing in timings.items()]
    figures.append(Figure("simulate, before anything was compiled", cold_s, "s"))
    return Outcome((), tuple(figures), tuple(notes))
