"""How much longer do k executions take when they share one device? From throughput at saturation, 1 to k at once.

Throughput is the better witness than the server's own compute times: where a framework only queues work on the device
and returns, these stop before the work does.

An execution holds its model instance for longer than it holds the device (dispatch, release). While one instance is
between two executions the others run the faster, so slowdown_k = k throughput_1 / throughput_k holds only where that
time is nothing; otherwise the slow-down is the one with which k instances, followed from execution to execution, turn
over what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.observation import Observation
from calibration.saturation import LIMITED, alone_ms, items_each, merges

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

RESAMPLES: Final = 2_000
"""Resamples of the bootstrap."""

DIFFERS: Final = 0.15
"""Spread over the batch sizes from which on one number for all of them is doubtful."""

_ROUNDS: Final = 40
_HALVINGS: Final = 30


@dataclass(frozen=True, kw_only=True)
class Slowdown:
    """How many times as long each of k executions takes when k share the device."""

    factors: tuple[float, ...]
    """One for each k from 1: starts with 1, does not decrease."""
    ci95: tuple[tuple[float, float], ...]
    """95 % interval of each, from resampling loads."""
    basis: str = ""
    """What they rest on, in a sentence."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""


def fit_slowdown(
    rows: Sequence[Observation], *, held_ms: Callable[[float], float] = lambda _batch: 0.0, seed: int = 0
) -> Slowdown | None:
    """Which slow-down explains how the throughput grows with the model instances?

    Parameters
    ----------
    rows
        Closed loops of various ``model_instances``; those with at least twice as many executions' worth of requests
        outstanding as model instances count.
    held_ms
        By batch size, for how long an execution holds its model instance but not the device.
    seed
        Of the bootstrap.

    Returns
    -------
    Slowdown or None
        None where only one number of model instances was measured. The factors are medians over the batch sizes;
        where a number of model instances was not measured, the slow-down goes on as before it.

    Examples
    --------
    >>> rates = {1: 216.0, 2: 224.0}
    >>> rows = [Observation(model_instances=k, concurrency=8, throughput_rps=rate) for k, rate in rates.items()]
    >>> fit_slowdown(rows).factors
    (1.0, 1.9286)
    """
    ratios = _throughput_ratios(rows)
    if not ratios:
        return None
    rng = np.random.default_rng(seed)
    factors = [1.0]
    intervals = [(1.0, 1.0)]
    warnings = []
    for count in range(2, max(ratios) + 1):
        if count not in ratios:
            factors.append(factors[-1] + (factors[-1] - factors[-2] if len(factors) > 1 else 1.0))
            intervals.append((factors[-1], factors[-1]))
            warnings.append(f"{count} executions at once were not measured: their slow-down goes on as before")
            continue
        drawn = {
            batch: _drawn(values, _Alone(cycle, held_ms(batch)), factors, rng)
            for batch, (cycle, values) in ratios[count].items()
        }
        middle = {batch: float(np.median(found)) for batch, (found, _) in drawn.items()}
        medians = np.median(np.stack([resampled for _, resampled in drawn.values()]), axis=0)
        low, high = np.quantile(medians, (0.025, 0.975))
        factor = max(float(np.median(list(middle.values()))), factors[-1])
        factors.append(factor)
        intervals.append((min(float(low), factor), max(float(high), factor)))
        warnings += _differences(count, middle)
    return Slowdown(
        factors=tuple(round(factor, 4) for factor in factors),
        ci95=tuple((round(low, 4), round(high, 4)) for low, high in intervals),
        basis=_basis(ratios, intervals),
        warnings=tuple(warnings),
    )


def turnover(alone_ms: float, held_ms: float, slowdown: Sequence[float]) -> float:
    """How many executions a ms do k model instances of one device turn over, never waiting for requests?

    Parameters
    ----------
    alone_ms
        Time of an execution that has the device to itself.
    held_ms
        Time between two executions of one model instance.
    slowdown
        For 1 to k executions at once; k is its length.

    Notes
    -----
    Each execution advances at 1 / slowdown_n while n run. All times are constant; the model instances begin evenly
    spread over an execution, since in step with one another (all pause at once) they stay only without any scatter.
    The last half of 40 executions an instance is counted.

    >>> turnover(1.0, 0.0, [1.0, 2.0]), turnover(3.0, 1.0, [1.0])
    (1.0, 0.25)
    """
    count = len(slowdown)
    left = [alone_ms * (index + 1) / count for index in range(count)]
    resting = [0.0] * count
    now, done, since = 0.0, 0, (0.0, 0)
    total = _ROUNDS * count
    while done < total:
        running = [i for i in range(count) if resting[i] <= 0]
        pace = slowdown[len(running) - 1] if running else 1.0
        ends = [left[i] * pace for i in running]
        starts = [resting[i] for i in range(count) if resting[i] > 0]
        step = min(ends + starts)
        now += step
        for i in range(count):
            if resting[i] > 0:
                resting[i] -= step
                resting[i] = 0.0 if resting[i] < 1e-12 * alone_ms else resting[i]
            else:
                left[i] -= step / pace
                if left[i] <= 1e-12 * alone_ms:
                    left[i], resting[i] = alone_ms, held_ms
                    done += 1
        if since[1] == 0 and done >= total // 2:
            since = now, done
    return (done - since[1]) / (now - since[0])


@dataclass(frozen=True)
class _Alone:
    """One model instance: time from one execution to the next, and how much of it is not the execution."""

    cycle_ms: float
    held_ms: float

    def factor(self, ratio: float, fewer: Sequence[float]) -> float:
        """Slow-down of one more execution, given those of fewer, with which throughput grows to ``ratio`` times."""
        count = len(fewer) + 1
        alone = self.cycle_ms - self.held_ms
        if self.held_ms <= 0 or alone <= 0:
            return count / ratio
        low, high = fewer[-1], 2.0 * count / min(ratio, 1.0) * self.cycle_ms / alone
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if turnover(alone, self.held_ms, [*fewer, middle]) * self.cycle_ms > ratio:
                low = middle
            else:
                high = middle
        return (low + high) / 2


_Ratios = dict[int, dict[float, tuple[float, "Floats"]]]
"""By model instances and batch size: cycle of one model instance in ms, and the throughput over its, load by load."""


def _throughput_ratios(rows: Sequence[Observation]) -> _Ratios:
    """Throughput over that of one model instance, by instances and batch size, with the cycle of one instance.

    Loads are compared with the same load and the same largest batch; where there is no such load, the best of each.
    """
    by_setting = _executions_per_s(rows)
    found: dict[int, dict[float, tuple[list[float], list[float]]]] = {}
    for (count, batch, largest), loads in by_setting.items():
        alone = by_setting.get((1, batch, largest))
        if count == 1 or alone is None:
            continue
        common = sorted(set(loads) & set(alone))
        best = max(map(_median, alone.values()))
        ratios = [_median(loads[load]) / _median(alone[load]) for load in common]
        cycles, several = found.setdefault(count, {}).setdefault(batch, ([], []))
        cycles.append(1000.0 / best)
        several += ratios or [max(map(_median, loads.values())) / best]
    return {
        count: {batch: (min(cycles), np.array(several)) for batch, (cycles, several) in by_batch.items()}
        for count, by_batch in found.items()
    }


def _executions_per_s(
    rows: Sequence[Observation],
) -> dict[tuple[int, float, int | None], dict[float, list[float]]]:
    """Executions a second by load, where every model instance is busy; by instances, batch, and largest batch."""
    alone = alone_ms(rows)
    found: dict[tuple[int, float, int | None], dict[float, list[float]]] = {}
    for row in rows:
        if not row.throughput_rps or row.concurrency is None or row.notes.get(LIMITED):
            continue
        largest = row.max_batch_size or 1
        full = largest if row.merged or (row.batch < largest and merges(row, alone)) else 1
        if row.concurrency < 2 * full * row.model_instances:
            continue
        executions = row.throughput_rps * items_each(row) / row.batch
        loads = found.setdefault((row.model_instances, float(round(row.batch)), row.max_batch_size), {})
        loads.setdefault(row.concurrency, []).append(executions)
    return found


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _drawn(ratios: Floats, alone: _Alone, fewer: Sequence[float], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Slow-down by each load, and medians of resampled loads."""
    marks = np.unique(np.quantile(ratios, (0.0, 0.5, 1.0)))
    factors = np.interp(ratios, marks, [alone.factor(float(mark), fewer) for mark in marks])
    return factors, np.median(rng.choice(factors, size=(RESAMPLES, len(factors))), axis=1)


def _differences(count: int, by_batch: Mapping[float, float]) -> list[str]:
    least, most = min(by_batch, key=lambda b: by_batch[b]), max(by_batch, key=lambda b: by_batch[b])
    if by_batch[most] <= (1 + DIFFERS) * by_batch[least]:
        return []
    return [
        f"{count} executions at once slow one another {by_batch[least]:.2f}-fold at batch {least:g} and"
        f" {by_batch[most]:.2f}-fold at batch {most:g}: one number for all batches is doubtful"
    ]


def _basis(ratios: _Ratios, intervals: Sequence[tuple[float, float]]) -> str:
    loads = sum(len(values) for by_batch in ratios.values() for _, values in by_batch.values())
    low, high = intervals[-1]
    return (
        f"throughput at saturation of up to {max(ratios)} model instances, {loads} loads;"
        f" 95% interval of the last {low:.3g} to {high:.3g}"
    )
