"""What does every setting carry? Capacity curves for a plan, found by simulation, kept, and found only once.

The curve of one setting for one workload is one piece of work (:mod:`optimizer.search`). The pieces do not depend on
one another, so that they run on one core, on all of them or on a cluster with the same numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.console import Unwatched, Watch
from optimizer.cache import CapacityCache, key_of
from optimizer.demand import demand
from optimizer.evidence import Capacity, Evidence
from optimizer.problem import CapacityCurve
from optimizer.search import Asked, complete, search
from simulator.compiled import is_warm
from simulator.compiling import compile_model
from simulator.replicate import SHORT_S, connect
from simulator.run import warm_up

if TYPE_CHECKING:
    from optimizer.plan_file import Question
    from optimizer.settings import Setting
    from simulator.model import Model

NOT_WORTH_A_STEP: Final = 1e-9
"""Relative gain below which a larger fleet gets no row of its own in the curve."""


@dataclass(frozen=True)
class _Piece:
    """One workload on one setting, with what is known of it and where to keep it."""

    place: int
    """Which setting, by number."""
    asked: Asked
    key: str | None
    known: Evidence | None
    cache: CapacityCache | None

    def work(self) -> Evidence:
        """Find what is not known yet, and keep every part as soon as it is found."""
        return search(self.asked, self.known, self.keep)

    def keep(self, evidence: Evidence) -> None:
        """Keep what is known by now, if there is a place for it."""
        if self.cache is not None and self.key is not None:
            self.cache.keep(self.key, evidence)


def capacity_curves(
    question: Question,
    settings: Sequence[Setting],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> list[CapacityCurve]:
    """How many requests per second do n instances of each setting carry? As :func:`capacities`, the curves alone."""
    return [
        found.curve for found in capacities(question, settings, jobs=jobs, cluster=cluster, cache=cache, watch=watch)
    ]


def capacities(
    question: Question,
    settings: Sequence[Setting],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> list[Capacity]:
    """What does each setting carry within every objective, and how is that known?

    Parameters
    ----------
    question
        Says which workloads there are, and how much of each is asked at most: larger fleets are not simulated.
    settings
        What could serve. Where the capacity is stated it is taken as it is, nothing is simulated.
    jobs, cluster
        Where the work is done: processes of this machine (None: one a core, or none at all when the work is short),
        or the workers of the Dask scheduler at that address. The numbers are the same to the last bit.
    cache
        Folder where capacities are kept (:func:`optimizer.cache.default_folder`), and where an interrupted search goes
        on; None keeps none.
    watch
        Is told how far the work is.

    Returns
    -------
    list of Capacity
        One a setting, in their order.

    Raises
    ------
    InputError
        No cluster answers at that address.
    """
    watch = watch if watch is not None else Unwatched()
    names = tuple(question.workloads)
    peaks_rps = dict(zip(names, demand(question).demand_rps.max(axis=1).tolist(), strict=True))
    kept = None if cache is None else CapacityCache(cache)
    found: list[dict[str, Evidence]] = [{} for _ in settings]
    pieces = list(_pieces(settings, peaks_rps, kept))
    for done, (piece, evidence) in enumerate(_worked(pieces, jobs, cluster, watch), start=1):
        found[piece.place][piece.asked.workload] = evidence
        watch.done(done / len(pieces))
    return [_capacity(setting, names, found[place]) for place, setting in enumerate(settings)]


def _pieces(
    settings: Sequence[Setting], peaks_rps: Mapping[str, float], cache: CapacityCache | None
) -> Iterator[_Piece]:
    for place, setting in enumerate(settings):
        for workload in setting.workloads if setting.profile is not None else ():
            if peaks_rps[workload] > 0:
                asked = Asked(setting, workload, peaks_rps[workload])
                key = None if cache is None else key_of(setting, workload)
                known = None if cache is None or key is None else cache.get(key, workload)
                yield _Piece(place, asked, key, known, cache)


def _worked(
    pieces: Sequence[_Piece], jobs: int | None, cluster: str | None, watch: Watch
) -> Iterator[tuple[_Piece, Evidence]]:
    """Every piece with its answer: those that are known first, the others in the order in which they come."""
    left = []
    for piece in pieces:
        if piece.known is not None and complete(piece.known, piece.asked.peak_rps):
            yield piece, piece.known
        else:
            left.append(piece)
    if not left:
        return
    if cluster is not None:
        yield from _on_cluster(left, cluster)
        return
    _compile_engine(left, watch)
    start = time.perf_counter()
    yield left[0], left[0].work()
    rest = left[1:]
    processes = jobs
    if processes is None:
        expected_s = (time.perf_counter() - start) * len(rest)
        processes = 1 if expected_s < SHORT_S else len(os.sched_getaffinity(0))
    if min(processes, len(rest)) <= 1:
        for piece in rest:
            yield piece, piece.work()
        return
    from joblib import Parallel, delayed

    work = (delayed(_numbered)(number, piece) for number, piece in enumerate(rest))
    parallel = Parallel(n_jobs=min(processes, len(rest)), return_as="generator_unordered", batch_size=1)
    for number, evidence in parallel(work):
        yield rest[number], evidence


def _work(piece: _Piece) -> Evidence:
    """What a worker of a cluster does."""
    return piece.work()


def _numbered(number: int, piece: _Piece) -> tuple[int, Evidence]:
    """What a process of this machine does; answers come in any order."""
    return number, piece.work()


def _on_cluster(pieces: Sequence[_Piece], address: str) -> Iterator[tuple[_Piece, Evidence]]:
    """The same on the workers of a Dask cluster. They may have other disks: what they find is kept here."""
    with connect(address) as client:
        futures = [client.submit(_work, replace(piece, cache=None), pure=False) for piece in pieces]
        for piece, future in zip(pieces, futures, strict=True):
            evidence = future.result()
            piece.keep(evidence)
            yield piece, evidence


def _compile_engine(pieces: Sequence[_Piece], watch: Watch) -> None:
    """Compile what the pieces need, once, before several processes do so at the same time."""
    forms: dict[bool, Model] = {}
    for piece in pieces:
        scenario = piece.asked.setting.scenario(1, {piece.asked.workload: 1.0}, requests=1)
        model = compile_model(scenario)
        forms.setdefault(model.plain, model)
    for plain, model in forms.items():
        if not is_warm(plain):
            watch.stage("compiling the engine, once (about 20 s) ...")
            warm_up(model)


def _capacity(setting: Setting, names: Sequence[str], evidence: Mapping[str, Evidence]) -> Capacity:
    if setting.profile is None:
        stated = setting.candidate.capacity_rps or {}
        rates = np.array([[float(stated.get(name, 0.0))] for name in names])
        return Capacity(setting, CapacityCurve(np.array([1]), rates))
    return Capacity(setting, curve_of(names, evidence), dict(evidence))


def curve_of(names: Sequence[str], evidence: Mapping[str, Evidence]) -> CapacityCurve:
    """The curve through what was found, never above it.

    Larger fleets were not simulated for a workload where its last point was enough: each of their instances carries
    what it carried there. A row holds up to the next one, which is safe as long as what each instance carries never
    falls as the fleet grows. Where it was found to fall (by chance, or with a router that does not pool) the smaller
    fleets get the smaller number: ``k_i = min over i' >= i of what was found at i'``.
    """
    counts = sorted({1} | {point.instances for found in evidence.values() for point in found.points})
    rates = np.zeros((len(names), len(counts)))
    for row, name in enumerate(names):
        for point in evidence[name].points if name in evidence else ():
            rates[row, counts.index(point.instances) :] = point.rps_per_instance
        rates[row] = np.minimum.accumulate(rates[row, ::-1])[::-1]
    gains = (np.diff(rates, axis=1) > NOT_WORTH_A_STEP * rates[:, 1:]).any(axis=0)
    rows = np.concatenate(([True], gains))
    return CapacityCurve(np.array(counts)[rows], rates[:, rows])
