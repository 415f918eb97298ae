"""What is measured, and what should be reached. ``SPECS`` is the list of benchmarks; to add one, add a line.

The bounds are those of the project's design: the compiled engine against an idiomatic SimPy model and against a tuned
C++ loop on the same requests, cost linear in requests and at most logarithmic in instances, replications over two
cores, bounded memory, a command that answers at once, and capacity curves, plans and commitments
while one waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from benchmarks.capacities import Candidates, measure_capacities
from benchmarks.commitments import QUESTIONS, Commitments, measure_commitments
from benchmarks.planning import Planning, measure_plan
from benchmarks.processes import measure_memory, measure_replications, measure_start_up
from benchmarks.scaling import measure_instances, measure_requests
from benchmarks.side_by_side import measure_batching, measure_mm8
from benchmarks.spec import BenchSpec, Effort, Target
from benchmarks.work import Batching, Hello, MultiServer


def _many_instances(instances: int) -> Batching:
    """A million requests through this many instances, each as busy as the four of ``batching-4``."""
    return Batching(1_000_000, instances=instances)


def _replicated(_: int) -> Batching:
    """One replication, however many there are: half a million requests."""
    return Batching(500_000)


def _shipped(_: int) -> Hello:
    """Starting takes what it takes, whatever the size."""
    return Hello()


_ALL: Final = (
    BenchSpec(
        name="batching-4",
        question="what does a request cost through four dynamically batching instances?",
        axis="requests",
        build=Batching,
        measure=measure_batching,
        full=Effort(sizes=(1_000_000,), rounds=9, peer_requests=50_000),
        quick=Effort(sizes=(1_000_000,), rounds=3, peer_requests=20_000),
        targets=(
            Target("SimPy over compiled", "at least", 500),
            Target("compiled over C++", "at most", 1.5),
            Target("triton over textbook", "at most", 3),
        ),
    ),
    BenchSpec(
        name="mm8",
        question="what does a request cost through M/M/8 at rho 0.85?",
        axis="requests",
        build=MultiServer,
        measure=measure_mm8,
        full=Effort(sizes=(1_000_000,), rounds=9, peer_requests=20_000),
        quick=Effort(sizes=(1_000_000,), rounds=3, peer_requests=10_000),
    ),
    BenchSpec(
        name="scaling-requests",
        question="does a request cost the same in a long run as in a short one?",
        axis="requests",
        build=Batching,
        measure=measure_requests,
        full=Effort(sizes=(100_000, 1_000_000, 10_000_000), rounds=5, peer_requests=1),
        quick=Effort(sizes=(100_000, 1_000_000), rounds=3, peer_requests=1),
        targets=(Target("largest over smallest", "at most", 1.25),),
    ),
    BenchSpec(
        name="scaling-instances",
        question="how does the cost of a request grow with the number of instances?",
        axis="instances",
        build=_many_instances,
        measure=measure_instances,
        full=Effort(sizes=(4, 64, 512, 1024, 4096), rounds=5, peer_requests=1),
        quick=Effort(sizes=(4, 64, 512, 1024, 4096), rounds=3, peer_requests=1),
        targets=(Target("1024 over 4", "at most", 8),),
    ),
    BenchSpec(
        name="replications",
        question="how much sooner are replications done by two processes than by one?",
        axis="replications",
        build=_replicated,
        measure=measure_replications,
        full=Effort(sizes=(32,), rounds=5, peer_requests=1),
        quick=Effort(sizes=(16,), rounds=3, peer_requests=1),
        targets=(Target("two processes over one", "at least", 1.7),),
    ),
    BenchSpec(
        name="memory",
        question="how much memory does a long run take beyond what the imports take?",
        axis="requests",
        build=Batching,
        measure=measure_memory,
        full=Effort(sizes=(100_000_000,), rounds=1, peer_requests=1),
        quick=Effort(sizes=(10_000_000,), rounds=1, peer_requests=1),
        targets=(Target("memory of the run", "at most", 100),),
    ),
    BenchSpec(
        name="start-up",
        question="how long does the command take before the simulation counts?",
        axis="requests",
        build=_shipped,
        measure=measure_start_up,
        full=Effort(sizes=(1,), rounds=5, peer_requests=1),
        quick=Effort(sizes=(1,), rounds=3, peer_requests=1),
        targets=(
            Target("simulate --help", "at most", 0.5),
            Target("simulate, warm", "at most", 3),
        ),
    ),
    BenchSpec(
        name="capacity-curves",
        question="how long does it take to find what the settings of a plan carry?",
        axis="settings",
        build=Candidates,
        measure=measure_capacities,
        full=Effort(sizes=(60,), rounds=3, peer_requests=1),
        quick=Effort(sizes=(12,), rounds=1, peer_requests=1),
        targets=(Target("capacity curves", "at most", 60),),
    ),
    BenchSpec(
        name="plan",
        question="how long does the cheapest plan of a week take, for ten models over sixty candidates?",
        axis="hours",
        build=Planning,
        measure=measure_plan,
        full=Effort(sizes=(168,), rounds=1, peer_requests=1),
        quick=Effort(sizes=(12,), rounds=1, peer_requests=1),
        targets=(
            Target("stated capacities: wall time", "at most", 60),
            Target("stated capacities: gap", "at most", 0.1),
            Target("a fleet for each model: wall time", "at most", 60),
            Target("a fleet for each model: gap", "at most", 0.1),
        ),
    ),
    BenchSpec(
        name="commitments",
        question="how long does it take to find what to commit for a year, ten types on four plans and twenty futures?",
        axis="weeks",
        build=Commitments,
        measure=measure_commitments,
        full=Effort(sizes=(52,), rounds=1, peer_requests=1),
        quick=Effort(sizes=(4,), rounds=1, peer_requests=1),
        targets=tuple(
            Target(f"{question}: {figure}", "at most", bound)
            for question in QUESTIONS
            for figure, bound in (("wall time", 60), ("gap", 0.1))
        ),
    ),
)

SPECS: Final[Mapping[str, BenchSpec]] = MappingProxyType({spec.name: spec for spec in _ALL})
"""The benchmarks by name, in the order in which they run."""
