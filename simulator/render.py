"""A report as text for people: first whether each SLO is met and by how much, then why, then what it costs.

Everything shown is read from a :class:`~simulator.outcome.Report`; nothing is computed here beyond rounding, the
grouping of batch sizes and the share of a margin in its target. The order is the order of the questions: the
verdict, what could mislead about it, the bottleneck, latency, fleets, lost requests, cost, assumptions.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import IO, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.outcome import FleetReport, Latencies, Report, WorkloadReport
from simulator.purchase_report import PurchaseReport
from simulator.wording import percent, percentile

PLAIN_WIDTH: Final = 80
"""Columns of a report that does not go to a terminal."""
_WIDEST: Final = 100
"""Columns beyond which a report is no easier to read."""
_NARROWEST: Final = 60
_BAR: Final = 24
"""Columns of the longest bar of a histogram."""
_MOST_BARS: Final = 8
"""Distinct batch sizes shown one by one; more are grouped by powers of two."""


def report_text(report: Report, *, width: int = PLAIN_WIDTH) -> str:
    """Give the report as plain text, as a file or a pipe gets it."""
    out = io.StringIO()
    print_report(report, file=out, width=width)
    return out.getvalue()


def print_report(report: Report, *, file: IO[str], width: int | None = None) -> None:
    """Write the report to ``file``: coloured on a terminal (unless NO_COLOR is set), plain everywhere else."""
    console = Console(file=file, highlight=False, emoji=False, markup=False, soft_wrap=False)
    columns = width if width is not None else console.width if console.is_terminal else PLAIN_WIDTH
    console.width = max(_NARROWEST, min(columns, _WIDEST))
    unicode = _says_unicode(file)
    with console.capture() as captured:
        console.print(_report(report, unicode))
    # Rich pads table cells to their column; nobody wants the blanks in a file or a diff.
    file.write("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")) + "\n")


def significant(value: float, digits: int = 3) -> str:
    """Format a number to ``digits`` significant digits, never dropping digits before the point.

    >>> [significant(x) for x in (0.012345, 1.0, 12.345, 123.45, 12345.6)]
    ['0.0123', '1.00', '12.3', '123', '12,346']
    """
    if value == 0:
        return "0"
    # Through the rounded value: 9.996 has four digits before rounding decides that it is 10.0.
    exponent = int(f"{abs(value):.{digits - 1}e}".rsplit("e", 1)[1])
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def duration(milliseconds: float) -> str:
    """Format a time in the unit a person would say it in.

    >>> [duration(ms) for ms in (0.25, 42.26, 2500.0, 183_000.0)]
    ['0.250 ms', '42.3 ms', '2,500 ms', '183 s']
    """
    return f"{significant(milliseconds)} ms" if milliseconds < 10_000 else f"{significant(milliseconds / 1e3)} s"


def usd(amount: float) -> str:
    """Format an amount of money: cents where they matter, three digits below a dollar.

    >>> [usd(amount) for amount in (1920.4, 2.63, 0.000381)]
    ['$1,920', '$2.63', '$0.000381']
    """
    if amount >= 1000:
        return f"${amount:,.0f}"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${significant(amount)}"


def _says_unicode(file: IO[str]) -> bool:
    """Whether ``file`` can write a tick and a block; a StringIO has no encoding and takes everything."""
    try:
        "✓✗█·".encode(getattr(file, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _report(report: Report, unicode: bool) -> Group:
    """All parts of the report, in order, with a blank line between them."""
    parts: list[RenderableType] = [_headline(report)]
    verdicts = _verdicts(report, unicode)
    if verdicts is not None:
        parts += ["", verdicts]
    if report.cautions:
        parts += ["", _bullets(((caution.text for caution in report.cautions)), "!", "yellow")]
    if report.bottleneck:
        parts += ["", Text(report.bottleneck, style="bold")]
    parts += ["", _latency_table(report), "", *_fleets(report, unicode)]
    lost = _lost(report.workloads)
    if lost is not None:
        parts += ["", _title("Requests"), lost]
    parts += ["", _title("Cost"), _cost(report), "", _title("Assumptions"), _assumptions(report)]
    return Group(*parts)


def _title(words: str) -> Text:
    """Head of a part."""
    return Text(words, style="bold cyan")


def _indented(what: RenderableType) -> Padding:
    """Two columns to the right."""
    return Padding(what, (0, 0, 0, 2), expand=False)


def _bullets(lines: Iterable[str], mark: str, style: str) -> Table:
    """Paragraphs with a mark and a hanging indent."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style=style, no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(mark, line)
    return table


def _headline(report: Report) -> Text:
    """Scenario and overall verdict."""
    judged = [
        (slo.met is not None, slo.met is not None and _is_met(slo.values[key], target))
        for slo in (workload.slo for workload in report.workloads)
        if slo is not None
        for key, target in slo.targets.items()
    ]
    missed = sum(known and not met for known, met in judged)
    unknown = sum(not known for known, _ in judged)
    if not judged:
        verdict, style = "no SLO to judge", "bold yellow"
    elif missed:
        verdict, style = (
            "the SLO is MISSED" if len(judged) == 1 else f"{missed} of {len(judged)} SLOs MISSED",
            "bold red",
        )
    elif unknown:
        verdict, style = f"{unknown} of {len(judged)} SLOs cannot be judged", "bold yellow"
    else:
        verdict, style = "the SLO is met" if len(judged) == 1 else f"all {len(judged)} SLOs are met", "bold green"
    return Text.assemble((report.scenario, "bold"), ": ", (verdict, style), overflow="fold")


def _verdicts(report: Report, unicode: bool) -> Table | None:
    """One line a target: tick or cross, value, target, margin, interval; and the attainment under it."""
    tick, cross = ("✓", "✗") if unicode else ("ok", "NO")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for workload in report.workloads:
        slo = workload.slo
        if slo is None:
            continue
        for key, target in slo.targets.items():
            met = slo.met is not None and _is_met(slo.values[key], target)
            mark = Text(tick, "bold green") if met else Text("?" if slo.met is None else cross, "bold red")
            table.add_row(mark, Text(workload.name, "bold"), _verdict(report, workload, key, target))
        if slo.attainment is not None:
            goodput = (
                "" if workload.goodput_rps is None else f", goodput {significant(workload.goodput_rps)} requests/s"
            )
            within = max(slo.targets.values())
            table.add_row("", "", f"{percent(slo.attainment)} of requests answered within {within:g} ms{goodput}")
    return table if table.row_count else None


def _is_met(value: float | None, target: float) -> bool:
    return value is not None and value <= target


def _verdict(report: Report, workload: WorkloadReport, key: str, target: float) -> str:
    """One target in words: ``p99 42.1 ms, target 50 ms: 7.9 ms (16%) to spare``."""
    slo = workload.slo
    assert slo is not None
    name, limit = percentile(key.removesuffix("_ms")), f"target {target:g} ms"
    value, margin = slo.values[key], slo.margin_ms[key]
    if slo.met is None:
        return f"{name} {limit}: no request arrived after the warm-up"
    if value is None or margin is None:
        lost = ", ".join(
            f"{workload.outcomes[o]:,} {_OUTCOME_WORDS[o]}" for o in _OUTCOME_WORDS if workload.outcomes[o]
        )
        grows = any(fleet.unstable for fleet in report.fleets if fleet.name == workload.fleet)
        why = "the queue grows while requests come" if grows else f"too many requests were never answered ({lost})"
        return f"{name} is infinite, {limit}: {why}"
    side = "to spare" if margin >= 0 else "too slow"
    line = f"{name} {duration(value)}, {limit}: {duration(abs(margin))} ({abs(margin) / target:.0%}) {side}"
    interval = (workload.ci95 or {}).get(key)
    # The interval is about the answered requests; it says nothing about a target judged with lost ones in it.
    if interval is None or workload.outcomes["arrived"] != workload.outcomes["completed"]:
        return line
    low, high = interval
    open_question = "; it contains the target: not decided" if low <= target <= high else ""
    return f"{line}\n95% CI {significant(low)} to {duration(high)}{open_question}"


def _latency_table(report: Report) -> Table:
    """Latency, queue delay and service of each workload."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold cyan", show_edge=False)
    table.add_column("Latency, ms", overflow="fold", ratio=None)
    for name in ("mean", "p50", "p90", "p95", "p99", "p99.9", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    unstable = {fleet.name for fleet in report.fleets if fleet.unstable}
    for workload in report.workloads:
        # A latency that only says how long the run was would be read as the fleet's.
        if workload.latency_ms is None or workload.fleet in unstable:
            table.add_row(Text(workload.name, "bold"), *["-"] * 7)
            continue
        table.add_row(Text(workload.name, "bold"), *_cells(workload.latency_ms))
        for words, part in (("  queue delay", workload.queue_ms), ("  service", workload.service_ms)):
            if part is not None:
                table.add_row(words, *_cells(part))
    return table


def _cells(latencies: Latencies) -> list[str]:
    names = ("mean", "p50", "p90", "p95", "p99", "p999", "max")
    return [significant(getattr(latencies, name)) for name in names]


def _fleets(report: Report, unicode: bool) -> list[RenderableType]:
    """Each fleet: how many instances, how busy, and its batches."""
    parts: list[RenderableType] = [_title("Fleets")]
    for fleet in report.fleets:
        kind = fleet.instance_type or "instance" + ("s" if fleet.instances_mean != 1 else "")
        lines = Text.assemble(
            (fleet.name, "bold"),
            f": {fleet.instances_mean:g} x {kind}" if fleet.instance_type else f": {fleet.instances_mean:g} {kind}",
            f", utilisation {percent(fleet.utilisation)}, offered load {percent(fleet.offered_load)} of capacity",
        )
        parts.append(_indented(lines))
        offered = [_offered(workload) for workload in report.workloads if workload.fleet == fleet.name]
        parts += [_indented(_indented(line)) for line in offered]
        if fleet.batch_size_mean is not None:
            parts.append(_indented(_indented(f"batch size: mean {significant(fleet.batch_size_mean)} items")))
            parts.append(_indented(_indented(_histogram(fleet, unicode))))
    return parts


def _offered(workload: WorkloadReport) -> str:
    """Traffic of one workload in one line."""
    return (
        f"{workload.name}: {significant(workload.offered_rps)} requests/s offered, "
        f"{significant(workload.throughput_rps)} answered ({significant(workload.items_per_s)} items/s)"
    )


def _histogram(fleet: FleetReport, unicode: bool) -> Table:
    """Share of the executions by batch size, as bars."""
    groups = batch_groups(fleet.batch_size_histogram)
    total = sum(groups.values())
    most = max(groups.values(), default=1)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for sizes, count in groups.items():
        bar = ("█" if unicode else "#") * round(_BAR * count / most) or ("·" if unicode else ".")
        share = "<0.1%" if count < total / 1000 else percent(count / total)
        table.add_row(sizes, share, Text(bar, "blue"))
    return table


def batch_groups(histogram: Mapping[int, int]) -> dict[str, int]:
    """Group batch sizes so that they fit a few lines: one by one, or else by powers of two.

    >>> batch_groups({1: 20, 8: 400})
    {'1': 20, '8': 400}
    >>> batch_groups({size: 1 for size in range(1, 11)})
    {'1': 1, '2': 1, '3-4': 2, '5-8': 4, '9-10': 2}
    """
    sizes = sorted(histogram)
    if len(sizes) <= _MOST_BARS:
        return {str(size): histogram[size] for size in sizes}
    groups: dict[str, int] = {}
    power = 1
    while power < 2 * sizes[-1]:
        inside = [size for size in sizes if power // 2 < size <= power]
        if inside:
            first, last = max(power // 2 + 1, sizes[0]), min(power, sizes[-1])
            groups[f"{first}" if first == last else f"{first}-{last}"] = sum(histogram[size] for size in inside)
        power *= 2
    return groups


_OUTCOME_WORDS: Final = {"rejected": "rejected", "timed_out": "timed out", "in_flight": "still in flight at the end"}


def _lost(workloads: tuple[WorkloadReport, ...]) -> RenderableType | None:
    """What became of the requests, when not all were answered."""
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    for workload in workloads:
        arrived = workload.outcomes["arrived"]
        parts = [
            f"{workload.outcomes[name]:,} {words} ({percent(workload.outcomes[name] / arrived)})"
            for name, words in _OUTCOME_WORDS.items()
            if workload.outcomes[name]
        ]
        if parts:
            answered = workload.outcomes["completed"]
            table.add_row(f"{workload.name}: {arrived:,} arrived, {answered:,} answered, " + ", ".join(parts))
    return _indented(table) if table.row_count else None


def _cost(report: Report) -> RenderableType:
    """Money: an hour, a month, a thousand requests; and where each price comes from."""
    cost = report.cost
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    if cost.usd_per_hour is None or cost.usd_per_month is None:
        table.add_row("unknown: a fleet has no price (give instance_type or usd_per_hour)")
    else:
        thousand = cost.usd_per_1k_requests
        per_thousand = "no request answered" if thousand is None else f"{usd(thousand)} per 1,000 requests"
        table.add_row(
            Text(f"{usd(cost.usd_per_hour)} an hour, {usd(cost.usd_per_month)} a month (730 h), {per_thousand}", "bold")
        )
    by_note: dict[str, list[str]] = {}
    for fleet in report.fleets:
        bill = "" if fleet.cost_usd_per_hour is None else f" {usd(fleet.cost_usd_per_hour)} an hour"
        by_note.setdefault(fleet.price_note, []).append(fleet.name + bill)
    for note, bills in by_note.items():
        table.add_row(f"{', '.join(bills)}: {note}")
    if cost.purchases is None:
        return _indented(table)
    return _indented(Group(table, "", _four_costs(cost.purchases), "", _purchases(cost.purchases)))


def _four_costs(purchases: PurchaseReport) -> Table:
    """The same hour looked at in four ways."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, amount, words in (
        ("list", purchases.list_usd_per_hour, "what runs, at public prices"),
        ("contracted", purchases.contracted_usd_per_hour, "the same less negotiated discounts"),
        ("effective", purchases.effective_usd_per_hour, "with commitments, used or not, spread over their terms"),
        ("billed", purchases.billed_usd_per_hour, "what such an hour is invoiced: without what was paid upfront"),
    ):
        table.add_row(name, f"{usd(amount)} an hour", f"{usd(730 * amount)} a month", words)
    return table


def _purchases(purchases: PurchaseReport) -> Table:
    """A paragraph for each commitment and guarantee, and what they cover together."""
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    if purchases.coverage is not None and purchases.utilisation is not None:
        left = f"{usd(purchases.on_demand_usd_per_hour)} an hour is left on demand"
        used = f"of the commitments {percent(purchases.utilisation)} is used"
        table.add_row(f"commitments cover {percent(purchases.coverage)} of what they could, {left}; {used}")
    for name, line in purchases.commitments.items():
        what = f"{line.units:g} x {line.instance_type}" if line.units is not None else "dollars an hour"
        saved = line.saved_usd_per_hour
        verdict = f"saves {usd(saved)}" if saved >= 0 else f"costs {usd(-saved)} more than it replaces"
        pays = line.break_even_utilisation
        from_then = "" if pays is None else f", pays from {percent(pays)}" if pays < 1 else ", never pays"
        upfront = f"; {usd(line.upfront_usd)} was paid upfront" if line.upfront_usd else ""
        used = f"used {usd(line.used_usd_per_hour)}, unused {usd(line.unused_usd_per_hour)}"
        table.add_row(
            f"{name} ({line.plan}, {what}): {usd(line.usd_per_hour)} an hour, {used} "
            f"({percent(line.utilisation)} used{from_then}); {verdict}{upfront}. {line.rate_note}"
        )
    for name, kept in purchases.capacity.items():
        table.add_row(
            f"{name} (capacity {kept.kind}, {kept.units:g} x {kept.instance_type}): {kept.in_use:g} in use, "
            f"{kept.units - kept.in_use:g} idle for {usd(kept.idle_usd_per_hour)} an hour. {kept.rate_note}"
        )
    if purchases.commitments and not purchases.capacity:
        table.add_row("no machine is guaranteed: commitments are prices, not capacity")
    return table


def _assumptions(report: Report) -> RenderableType:
    """What the numbers rest on, one line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", style="dim", max_width=24)
    table.add_column(overflow="fold")
    for name, what in report.assumptions.items():
        table.add_row(name, what)
    return _indented(table)
