"""Observations made of what a sweep has kept: the same rows whether it ran through or was resumed ten times."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from calibration.meter import Reading, reading_from, together
from calibration.nvml import HARMFUL, TRUSTED_S
from calibration.observation import PARTS, Observation, Observations
from calibration.stability import (
    Doubt,
    doubt_of_clocks,
    doubt_of_load,
    doubts_of_samples,
    raw_quantiles,
    sentences,
    shaky,
    statistics_ms,
)

if TYPE_CHECKING:
    from calibration.store import Store

CAPPED: Final = 0.1
"""Share of samples from which a power cap is worth a word."""

Record = Mapping[str, Any]


def observations_of(store: Store, batches: Sequence[int], repeats: int) -> Observations:
    """What has this sweep measured so far?

    Parameters
    ----------
    store
        What it kept.
    batches
        Batch sizes that were asked for, increasing.
    repeats
        Rounds that each of them was to have.
    """
    rounds = {batch: _rounds(store, batch) for batch in batches}
    measured = {batch: records for batch, records in rounds.items() if records}
    doubts = {batch: doubts_of(records) for batch, records in measured.items()}
    rows = tuple(row_of(batch, records, doubts[batch]) for batch, records in measured.items())
    failed = failures(store, batches, repeats)
    session = (store.kept("session") or [{"provenance": {}, "meter": {}}])[0]
    told, meter = dict(session["provenance"]), dict(session["meter"])
    said_of_model = {"model_notes": told.pop("notes")} if "notes" in told else {}
    driver = {"driver": meter.pop("driver")} if "driver" in meter else {}
    return Observations(
        rows=rows,
        scope="device",
        provenance=driver | told,
        notes={**said_of_model, **meter, **({"failures": failed} if failed else {})},
        warnings=tuple(_warnings(measured, doubts, repeats, failed, meter)),
    )


def failures(store: Store, batches: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Which batch sizes could not be measured, and why? The last failure of each, unless it was measured after all."""
    complete = {batch for batch in batches if len(_rounds(store, batch)) >= repeats}
    last = {record["batch"]: record for record in store.kept("failed")}
    found = []
    for batch, record in sorted(last.items()):
        if batch in batches and batch not in complete:
            untried = [other for other in record["not_tried"] if other in batches and not _rounds(store, other)]
            found.append({**{key: record[key] for key in ("batch", "reason", "words")}, "not_tried": untried})
    return found


def row_of(batch: int, rounds: Sequence[Record], doubts: Sequence[Doubt]) -> Observation:
    """What the rounds of one batch size say together.

    Executions are timed with inputs and outputs on the device, copies and host work apart and less often. The time of
    an execution is told with its copies: their median is added to every execution. The part ``compute`` is the mean
    of the executions themselves, so that it and the copies add up to the mean latency.
    """
    parts_ms, alone_ms = _parts_ms(rounds), [ms for record in rounds for ms in record["samples_ms"]]
    copies_ms = parts_ms.get("input", 0.0) + parts_ms.get("output", 0.0)
    samples_ms = [ms + copies_ms for ms in alone_ms]
    if "compute" in parts_ms:
        parts_ms["compute"] = round(sum(alone_ms) / len(alone_ms), 6)
    executions = sum(len(record["samples_ms"]) * record["loops"] for record in rounds)
    reading = together([reading_from(record["reading"]) for record in rounds])
    energy_j = None if reading is None or reading.energy_j is None else reading.energy_j / executions
    return Observation(
        batch=batch,
        requests=executions,
        latency_ms={name: round(ms, 6) for name, ms in statistics_ms(samples_ms).items()},
        parts_ms=parts_ms,
        samples_ms=tuple(round(ms, 6) for ms in raw_quantiles(samples_ms)),
        memory_bytes=_most(record["memory_bytes"] for record in rounds),
        utilisation=None if reading is None else reading.utilisation,
        power_w=None if reading is None else reading.power_w,
        energy_j=energy_j,
        notes={
            **_sampling_notes(rounds, executions, copies_ms),
            **({} if energy_j is None else {"energy_per_item_j": energy_j / batch}),
            **({} if reading is None else _device_notes(reading)),
            **({"unstable": [doubt.words for doubt in doubts]} if doubts else {}),
        },
    )


def doubts_of(rounds: Sequence[Record]) -> list[Doubt]:
    """Why should this point not be trusted?"""
    found = doubts_of_samples([record["samples_ms"] for record in rounds])
    warm_ups = [record["warm_up"] for record in rounds if record["warm_up"]]
    unsteady = [one for one in warm_ups if not one["steady"]]
    if unsteady:
        found.append(Doubt("not steady", f"not steady after {unsteady[-1]['seconds']:.3g} s"))
    reading = together([reading_from(record["reading"]) for record in rounds])
    if reading is not None:
        if reading.sm_mhz is not None:
            found += doubt_of_clocks(reading.sm_mhz[0], reading.sm_mhz[2])
        found += [Doubt("throttled", reason) for reason in reading.slowed_by if reason in HARMFUL]
    loads = [record["load"] for record in rounds if record["load"] is not None]
    # Only a CPU's meter tells how much of the processors this process got: a GPU's has clocks, and means the GPU.
    got = reading.utilisation if reading is not None and reading.sm_mhz is None else None
    return found + doubt_of_load(max(loads, default=None), os.cpu_count() or 1, got)


def _rounds(store: Store, batch: int) -> list[dict[str, Any]]:
    return [record for record in store.kept("round") if record["batch"] == batch]


def _parts_ms(rounds: Sequence[Record]) -> dict[str, float]:
    """Median of each part, in the order of PARTS: one slow execution among few would bend a mean."""
    found: dict[str, float] = {}
    for part in PARTS:
        values = [ms for record in rounds for ms in record["parts_ms"].get(part, ())]
        if values:
            found[part] = round(statistics_ms(values)["p50"], 6)
    return found


def _sampling_notes(rounds: Sequence[Record], executions: int, copies_ms: float) -> dict[str, Any]:
    loops = max(record["loops"] for record in rounds)
    notes: dict[str, Any] = {
        "rounds": len(rounds),
        "round_medians_ms": [round(statistics_ms(record["samples_ms"])["p50"], 6) for record in rounds],
        "measured_from": rounds[0]["at"],
        "measured_until": rounds[-1]["at"],
    }
    if loops > 1:
        notes["percentiles_of"] = f"means of {loops} executions: single ones are too short for the clock"
    if shaky(executions):
        notes["too_few_executions_for"] = shaky(executions)
    if copies_ms:
        notes["copies_ms"] = copies_ms
    warm_up = next((record["warm_up"] for record in rounds if record["warm_up"]), None)
    if warm_up is not None:
        notes["warm_up"] = {"first_execution_s": warm_up["first_s"], **{k: warm_up[k] for k in _WARM_UP_NOTES}}
    loads = [record["load"] for record in rounds if record["load"] is not None]
    return {**notes, "load_average": max(loads)} if loads else notes


_WARM_UP_NOTES: Final = ("executions", "seconds", "steady")


def _device_notes(reading: Reading) -> dict[str, Any]:
    found = {
        "energy_from": reading.energy_from,
        "metered_s": reading.seconds if reading.energy_j is not None else None,
        "memory_used_by_all_bytes": reading.memory_bytes,
        "sm_clock_mhz": None if reading.sm_mhz is None else list(reading.sm_mhz),
        "memory_clock_mhz": None if reading.memory_mhz is None else list(reading.memory_mhz),
        "temperature_c": reading.temperature_c,
        "slowed_by": dict(reading.slowed_by) or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _warnings(
    measured: Mapping[int, Sequence[Record]],
    doubts: Mapping[int, Sequence[Doubt]],
    repeats: int,
    failed: Sequence[Record],
    meter: Record,
) -> list[str]:
    said = [failure_sentence(record) for record in failed]
    said += sentences({f"batch {batch}": found for batch, found in doubts.items()})
    short = {batch: len(records) for batch, records in measured.items() if len(records) < repeats}
    if short:
        listed = ", ".join(f"{batch} ({count})" for batch, count in short.items())
        said.append(f"fewer than {repeats} rounds were measured at batch {listed}.")
    counts = {batch: sum(len(r["samples_ms"]) * r["loops"] for r in records) for batch, records in measured.items()}
    few = {batch: count for batch, count in counts.items() if "p99" in shaky(count)}
    if few:
        listed = ", ".join(f"{batch} ({count})" for batch, count in few.items())
        said.append(
            f"fewer than 100 executions at batch {listed}: their p99 is little more than the slowest. "
            "Measure longer to rely on it (--min-time)."
        )
    return said + _meter_warnings(measured, meter)


def _meter_warnings(measured: Mapping[int, Sequence[Record]], meter: Record) -> list[str]:
    said = []
    if meter.get("nvml_unavailable"):
        said.append(f"power and clocks of the GPU were not read: {meter['nvml_unavailable']}.")
    readings = {
        batch: together([reading_from(record["reading"]) for record in records]) for batch, records in measured.items()
    }
    of_gpu = {batch: reading for batch, reading in readings.items() if reading is not None and reading.sm_mhz}
    brief = [batch for batch, reading in of_gpu.items() if reading.energy_j is not None and reading.seconds < TRUSTED_S]
    if brief:
        listed = ", ".join(map(str, brief))
        said.append(
            f"power and energy at batch {listed} rest on less than {TRUSTED_S:g} s, about as long as the device itself "
            "averages over. Measure longer to rely on them (--min-time 5s)."
        )
    capped = [batch for batch, reading in of_gpu.items() if reading.slowed_by.get("power cap", 0.0) >= CAPPED]
    if capped:
        limit = meter.get("power_limit_w")
        words = f" of {limit:.0f} W" if isinstance(limit, int | float) else ""
        listed = ", ".join(map(str, capped))
        said.append(f"at batch {listed} the power limit{words} held the clocks down: the figures hold for that limit.")
    return said


def failure_sentence(record: Record) -> str:
    """Say what failed, in a sentence.

    >>> failure_sentence({"batch": 16, "words": "cpu has not enough memory", "not_tried": [32]})
    'batch 16: cpu has not enough memory; batch 32 was not tried.'
    """
    others = record["not_tried"]
    listed = ", ".join(map(str, others))
    verb = "was" if len(others) == 1 else "were"
    rest = f"; batch {listed} {verb} not tried" if others else ""
    return f"batch {record['batch']}: {record['words']}{rest}."


def _most(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)
