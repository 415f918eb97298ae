"""Counters and gauges of one server become windows of time, in each of which so much was done.

A counter tells by its increase from one sample to the next. Where it falls the server began anew, and what happened
in between is not known: that interval is left out. Many intervals are joined to windows of like load, so that the
means inside a window are of one load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from calibration.importers.prometheus_series import Series

MOST_WINDOWS: Final = 32
"""Windows of one server; more intervals than that are joined, the nearest in load together."""

APART: Final = frozenset({"le", "quantile", "reason", "finished_reason"})
"""Labels that tell parts of one metric apart, not servers."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Window:
    """What happened in some time."""

    seconds: float
    increase: Mapping[str, float]
    """Increase of each counter."""
    mean: Mapping[str, float]
    """Mean of each gauge, over time."""


@dataclass
class Server:
    """All metrics with the same labels: of one model on one server."""

    labels: Mapping[str, str]
    file: str
    series: dict[str, list[Series]] = field(default_factory=dict)
    """By name, as the reader normalised it; several where a metric has parts."""
    resets: int = 0
    """Intervals that were left out since a counter fell."""
    idle: int = 0
    """Intervals that were left out since nothing was asked for."""
    partial: list[str] = field(default_factory=list)
    """Counters that were left out since they lack samples."""

    def has(self, name: str) -> bool:
        """Whether the metric is there."""
        return name in self.series

    def windows(self, load: str, needed: Sequence[str], others: Iterable[str], gauges: Iterable[str]) -> list[Window]:
        """Windows of time in which something was asked for.

        Parameters
        ----------
        load
            The counter by whose rate intervals are joined; intervals in which it stands still are left out.
        needed
            Counters that must be there: only times at which all of them were sampled count.
        others
            Counters that may be there: those that were not sampled at all these times are left out.
        gauges
            Gauges that may be there.
        """
        counters = {name: _summed(self.series[name]) for name in needed}
        times = sorted(set.intersection(*(set(samples) for samples in counters.values())))
        for name in others:
            if name in self.series and name not in counters:
                samples = _summed(self.series[name])
                if all(time in samples for time in times):
                    counters[name] = samples
                else:
                    self.partial.append(name)
        means = {name: _summed(self.series[name]) for name in gauges if name in self.series}
        intervals = []
        for start, end in pairwise(times):
            increase = {name: samples[end] - samples[start] for name, samples in counters.items()}
            if any(value < 0 for value in increase.values()):
                self.resets += 1
            elif increase[load] <= 0:
                self.idle += 1
            else:
                inside = {
                    name: [value for time, value in samples.items() if start < time <= end]
                    for name, samples in means.items()
                }
                mean = {name: sum(values) / len(values) for name, values in inside.items() if values}
                intervals.append(Window(end - start, increase, mean))
        return joined(intervals, load)


def servers_of(series: Iterable[tuple[str, Series]]) -> list[Server]:
    """Series by server: those whose labels agree but for the parts of a metric."""
    found: dict[Labels, Server] = {}
    for name, one in series:
        labels = {key: value for key, value in one.labels.items() if key not in APART}
        server = found.setdefault(frozenset(labels.items()), Server(labels, one.file))
        server.series.setdefault(name, []).append(one)
    return list(found.values())


def agree(labels: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether all labels that both have are equal.

    >>> agree({"model": "m", "instance": "a"}, {"instance": "a", "gpu": "0"})
    True
    """
    return all(labels[label] == others[label] for label in set(labels) & set(others))


def joined(intervals: Sequence[Window], load: str) -> list[Window]:
    """At most MOST_WINDOWS windows, each of intervals of like load, in order of load."""
    ordered = sorted(intervals, key=lambda one: one.increase[load] / one.seconds)
    count = min(MOST_WINDOWS, len(ordered))
    edges = [round(index * len(ordered) / count) for index in range(count + 1)] if count else []
    return [_together(ordered[low:high]) for low, high in pairwise(edges)]


def _together(windows: Sequence[Window]) -> Window:
    increase = {name: sum(one.increase[name] for one in windows) for name in windows[0].increase}
    mean = {}
    for name in {name for one in windows for name in one.mean}:
        parts = [(one.seconds, one.mean[name]) for one in windows if name in one.mean]
        mean[name] = sum(seconds * value for seconds, value in parts) / sum(seconds for seconds, _ in parts)
    return Window(sum(one.seconds for one in windows), increase, mean)


def _summed(parts: Sequence[Series]) -> dict[float, float]:
    """Sum over the parts of a metric, at the times at which all of them were sampled."""
    times = set.intersection(*(set(part.samples) for part in parts))
    return {time: sum(part.samples[time] for part in parts) for time in sorted(times)}
