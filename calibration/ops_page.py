"""Where the time of an execution goes, for people: the verdict at each batch size, then the operators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from calibration.ops import BatchOps, OpsReport, OpTime
from calibration.page import Heading, bar, count, paragraph, per_cent, significant, table
from calibration.roofline import OVERHEAD_BELOW

_MEANING: Final = {
    "compute-bound": "matrix products, convolutions and attention set the time: a coarser precision or less work helps",
    "memory-bound": "reading weights and activations sets the time: a larger batch, smaller numbers or fusing helps",
    "overhead-bound": (
        f"less than {per_cent(OVERHEAD_BELOW)} of the roof is reached, so neither arithmetic nor memory sets the time: "
        "launching many small operators does, or operators that use the device badly, or other programs on it"
    ),
}

_NAME_WIDTH: Final = 52


def ops_lines(report: OpsReport, *, unicode: bool = True) -> list[str]:
    """What does a person want to know of where the time goes? Operators of the smallest and the largest batch."""
    variant, ceilings = report.variant, report.ceilings
    named = ", ".join(str(variant[key]) for key in ("model", "precision", "runtime"))
    lines: list[str] = [*map(Heading, paragraph(f"Operators of {named} on {report.device}"))]
    lines += paragraph(
        f"ceilings measured here: {significant(ceilings.flops_per_s / 1e9)} GFLOP/s (matrix product of "
        f"{ceilings.product}), {significant(ceilings.bytes_per_s / 1e9)} GB/s (read or copied); they meet at "
        f"{significant(ceilings.ridge)} FLOP a byte",
        mark="  ",
    )
    for warning in report.warnings:
        lines += paragraph(warning, mark="! ")
    lines += ["", *_verdicts(report), ""]
    for limit in dict.fromkeys(one.verdict.limit for one in report.batches):
        lines += paragraph(f"{limit}: {_MEANING[limit]}.", mark="  ")
    moved = "weights, inputs and outputs once" if report.fused else "what each operator reads and writes, once"
    lines += paragraph(f"MB moved are a lower bound: {moved}; caches can save some of it.", mark="  ")
    chosen = list(dict.fromkeys((report.batches[0].batch, report.batches[-1].batch)))
    for one in report.batches:
        if one.batch in chosen:
            lines += ["", *_operators(one, unicode)]
    return lines


def _verdicts(report: OpsReport) -> list[str]:
    rows = [
        ("batch", "ms at best", "GFLOP", "MB moved", "FLOP/byte", "GFLOP/s", "of the roof", "device busy", "verdict")
    ]
    for one in report.batches:
        moved = one.work.moved_bytes(fused=report.fused)
        rows.append(
            (
                f"{one.batch}",
                significant(one.measured_ms),
                significant(one.work.flops / 1e9),
                significant(moved / 1e6),
                significant(one.verdict.intensity),
                significant(one.work.flops / one.measured_ms / 1e6),
                per_cent(one.verdict.share),
                "" if one.device_busy is None else per_cent(min(one.device_busy, 1.0)),
                one.verdict.limit,
            )
        )
    told = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    return table([tuple(row[index] for index in told) for row in rows], "".join("rrrrrrrrl"[index] for index in told))


def _operators(one: BatchOps, unicode: bool) -> Iterator[str]:
    yield Heading(f"Batch {one.batch}: where the time goes, an execution (mean of {one.executions}, profiled)")
    on_device = one.device_busy is not None
    heads = ("operator", "calls", "CPU ms", *(["device ms"] if on_device else []), "share", "")
    rows: list[tuple[str, ...]] = [heads]
    for op in (*one.operators, *([one.rest] if one.rest else [])):
        device = [_ms(op.device_ms or 0.0)] if on_device else []
        share = "" if op is one.rest else bar(op.share, unicode=unicode)
        rows.append((_name(op), count(op.calls), _ms(op.cpu_ms), *device, per_cent(op.share), share))
    yield from table(rows, "lrrrrl" if on_device else "lrrrl")


def _name(op: OpTime) -> str:
    return op.name if len(op.name) <= _NAME_WIDTH else op.name[: _NAME_WIDTH - 3] + "..."


def _ms(value: float) -> str:
    """Milliseconds to a microsecond: what the profiler resolves."""
    return significant(value) if value >= 1 else f"{value:.3f}"
