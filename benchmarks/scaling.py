"""What a request costs as there are more requests, and more instances."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from benchmarks import ours
from benchmarks.measure import Lap, Timing, alternate
from benchmarks.spec import BenchSpec, Effort, Figure, Outcome


def _by_size(spec: BenchSpec, effort: Effort) -> dict[int, Timing]:
    """Time the compiled engine at every size of the axis, streamed, so that memory does not decide."""

    def contender(prepared: ours.Prepared) -> Callable[[], Lap]:
        return lambda: ours.engine_lap(prepared)

    contenders = {f"{size:,} {spec.axis}": contender(ours.prepare(spec.build(size))) for size in effort.sizes}
    for run_once in contenders.values():
        run_once()
    return dict(zip(effort.sizes, alternate(contenders, effort.rounds).values(), strict=True))


def measure_requests(spec: BenchSpec, effort: Effort) -> Outcome:
    """Does a request cost the same in a long run as in a short one?"""
    timings = _by_size(spec, effort)
    first, last = effort.sizes[0], effort.sizes[-1]
    figure = Figure("largest over smallest", timings[last].over(timings[first]), "x")
    return Outcome(tuple(timings.values()), (figure,))


def measure_instances(spec: BenchSpec, effort: Effort) -> Outcome:
    """How does the cost of a request grow with the number of instances, at the same load each?"""
    timings = _by_size(spec, effort)
    first = effort.sizes[0]
    figures = tuple(
        Figure(f"{size} over {first}", timings[size].over(timings[first]), "x") for size in effort.sizes[1:]
    )
    growth = ", ".join(
        f"{few} to {many}: {(timings[many].cpu_ns - timings[few].cpu_ns) / math.log2(many / few):+.1f}"
        for few, many in pairwise(effort.sizes)
    )
    note = f"CPU ns more per doubling of the instances (the same everywhere if the cost is logarithmic): {growth}."
    return Outcome(tuple(timings.values()), figures, (note,))
