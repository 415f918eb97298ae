"""What a server's own counters say of the requests between two looks at them: parts of their life, and batches formed.

The statistics extension of the KServe v2 protocol counts, for a model since it was loaded, requests and executions
and the time spent in each part, in ns. Times of requests are added up per request: ten requests in one batch of 5 ms
count 50 ms of compute. Times by batch size are added up per execution.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from calibration.observation import Observation, Observations

EXECUTIONS: Final = "executions"
"""Note of a row: the executions behind it, by batch size."""

FEW: Final = 30
"""Executions of one size below which their mean is not much to go by."""

_PARTS: Final = {"input": "compute_input", "compute": "compute_infer", "output": "compute_output"}
"""Our names of the parts of an execution, and Triton's."""


@dataclass(frozen=True)
class ModelStatistics:
    """Counters of one model, since it was loaded or between two looks."""

    requests: int
    """Requests answered well."""
    items: int
    """Items in them."""
    executions: int
    """Executions of the model."""
    total_ns: Mapping[str, int]
    """Time of ``success`` (the whole request in the server), ``queue``, ``input``, ``compute``, ``output``."""
    by_batch: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """``count`` of executions of each size, and the time of their ``input``, ``compute`` and ``output`` in ns."""

    def since(self, before: ModelStatistics) -> ModelStatistics:
        """What was counted after an earlier look."""
        return ModelStatistics(
            self.requests - before.requests,
            self.items - before.items,
            self.executions - before.executions,
            _less(self.total_ns, before.total_ns),
            {size: _less(counted, before.by_batch.get(size, {})) for size, counted in self.by_batch.items()},
        )

    @property
    def mean_batch(self) -> float | None:
        """Items in an execution, on average."""
        return self.items / self.executions if self.executions > 0 else None

    def parts_ms(self, client_ms: float | None = None) -> dict[str, float]:
        """Mean time of a request's parts; the network is what the client waited beyond the server's own total."""
        if self.requests <= 0:
            return {}
        mean = {name: ns / 1e6 / self.requests for name, ns in self.total_ns.items()}
        inside = mean.pop("success", None)
        if client_ms is not None and inside is not None:
            mean["network"] = max(client_ms - inside, 0.0)
        return mean

    def executions_note(self) -> dict[str, list[float]]:
        """Executions by batch size, a column each: ``batch``, ``count`` and the mean time of each part in ms."""
        sizes = sorted(size for size, counted in self.by_batch.items() if counted.get("count", 0) > 0)
        note: dict[str, list[float]] = {"batch": [*sizes], "count": [self.by_batch[size]["count"] for size in sizes]}
        for part in _PARTS:
            note[f"{part}_ms"] = [self._mean_ms(size, part) for size in sizes]
        return note if sizes else {}

    def _mean_ms(self, size: int, part: str) -> float:
        counted = self.by_batch[size]
        return counted.get(part, 0) / 1e6 / counted["count"]


def read_statistics(body: bytes) -> ModelStatistics | None:
    """Which counters does this answer of the statistics endpoint hold? None when it is none.

    >>> counted = {"count": 2, "ns": 8_000_000}
    >>> model = {"inference_count": 4, "execution_count": 1, "inference_stats": {"success": counted, "queue": counted}}
    >>> statistics = read_statistics(json.dumps({"model_stats": [model]}).encode())
    >>> statistics.mean_batch, statistics.parts_ms(client_ms=5.0)
    (4.0, {'queue': 4.0, 'network': 1.0})
    """
    try:
        model = json.loads(body)["model_stats"][0]
        times = model["inference_stats"]
        total = {"success": times["success"], "queue": times.get("queue")}
        total |= {ours: times.get(theirs) for ours, theirs in _PARTS.items()}
        return ModelStatistics(
            requests=int(times["success"]["count"]),
            items=int(model["inference_count"]),
            executions=int(model["execution_count"]),
            total_ns={name: int(counted["ns"]) for name, counted in total.items() if counted is not None},
            by_batch={int(each["batch_size"]): _of_size(each) for each in model.get("batch_stats") or ()},
        )
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _of_size(each: Mapping[str, Any]) -> dict[str, int]:
    counted = {"count": int(each["compute_infer"]["count"])}
    return counted | {ours: int(each[theirs]["ns"]) for ours, theirs in _PARTS.items() if theirs in each}


def executions_of(measured: Observations) -> Observations | None:
    """How long did the server's own executions take, by batch size, over all loads? None where it did not tell.

    The device's side of a measurement through a server: what a fit needs beside the rows of clients. Times are means
    over the executions of all loads, those of the largest batches at saturation among them.
    """
    pooled: dict[int, dict[str, float]] = {}
    for row in measured.rows:
        note = row.notes.get(EXECUTIONS)
        if not isinstance(note, Mapping):
            continue
        for index, size in enumerate(note["batch"]):
            into = pooled.setdefault(int(size), {"count": 0.0, **dict.fromkeys(_PARTS, 0.0)})
            count = note["count"][index]
            into["count"] += count
            for part in _PARTS:
                into[part] += count * note[f"{part}_ms"][index]
    if not pooled:
        return None
    often = {size: times for size, times in pooled.items() if times["count"] >= FEW}
    rows = tuple(_execution(size, times) for size, times in sorted((often or pooled).items()))
    method = "mean times of executions by batch size, from the server's statistics"
    return Observations(
        rows=rows,
        scope="device",
        provenance={**measured.provenance, "method": method},
        warnings=() if often == pooled else (_few_of([size for size in sorted(pooled) if size not in often], often),),
    )


def _execution(size: int, pooled: Mapping[str, float]) -> Observation:
    parts = {part: pooled[part] / pooled["count"] for part in _PARTS}
    return Observation(
        batch=size,
        requests=int(pooled["count"]),
        latency_ms={"mean": sum(parts.values())},
        parts_ms=parts,
    )


def _few_of(sizes: Sequence[int], often: Mapping[int, Any]) -> str:
    which = ", ".join(map(str, sizes))
    consequence = "they are left out" if often else "their means are not much to go by"
    return (
        f"the server executed fewer than {FEW} batches of {which}: {consequence}; loads between one request at a time"
        " and saturation form other batches (--concurrency)"
    )


def _less(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in after.items()}
