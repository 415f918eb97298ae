"""Pieces of work that do not depend on one another, on one core, on all of them, or on a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from simulator.replicate import SHORT_S, connect

Result = TypeVar("Result")

Piece = tuple[Callable[..., Result], tuple[Any, ...]]
"""A function of a module, and its arguments."""


def spread(pieces: Sequence[Piece[Result]], *, jobs: int | None = None, cluster: str | None = None) -> Iterator[Result]:
    """Do them all and hand the results out in their order, each as soon as it and those before it are there.

    Parameters
    ----------
    pieces
        Work that travels to other processes.
    jobs
        Processes; None takes one a core, or none at all when the work is short: the first piece tells.
    cluster
        Address of a Dask scheduler; it decides about processes.

    Raises
    ------
    InputError
        No cluster answers at that address.
    """
    if not pieces:
        return
    if cluster is not None:
        with connect(cluster) as client:
            futures = [client.submit(function, *given, pure=False) for function, given in pieces]
            yield from (future.result() for future in futures)
        return
    begun = time.perf_counter()
    function, given = pieces[0]
    yield function(*given)
    rest = pieces[1:]
    short = (time.perf_counter() - begun) * len(rest) < SHORT_S
    processes = min(jobs if jobs is not None else 1 if short else len(os.sched_getaffinity(0)), len(rest))
    if processes <= 1:
        yield from (function(*given) for function, given in rest)
        return
    from joblib import Parallel, delayed

    work = (delayed(function)(*given) for function, given in rest)
    yield from Parallel(n_jobs=processes, backend="loky", return_as="generator", batch_size="auto")(work)
