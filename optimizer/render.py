"""A plan as text for people: what to run and what it costs, the proof, then why it is this plan.

Everything shown is read from a :class:`~optimizer.plan.Plan`. The order is the order of the questions: the verdict, the
fleets, the proof, one type alone, what more would cost, what binds, other plans, the candidates left out, the rounds of
proof, assumptions. At most 80 columns, so that it fits a mail and a diff.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Final

from calibration.page import Heading, paragraph, per_cent, print_page, says_unicode, significant, table
from optimizer.fleet_table import WIDTH, clock, fleet_lines, fleet_name, short
from optimizer.pareto import Frontier
from optimizer.plan import Plan, Verified
from optimizer.wording import instances, usd
from simulator.wording import percentile

_OF_PROFILE: Final = "profile "
_SOURCES: Final = (" on demand ", " an instance, the user's own price")
"""How the source of a price begins: what stands before is the price itself."""


def plan_text(plan: Plan, frontiers: Sequence[Frontier] = (), *, unicode: bool = True) -> str:
    """Give the report as plain text, as a file or a pipe gets it."""
    return "".join(f"{line}\n" for line in plan_lines(plan, frontiers, unicode=unicode))


def print_plan(plan: Plan, frontiers: Sequence[Frontier] = (), *, file: IO[str]) -> None:
    """Write the report to ``file``: headings in colour on a terminal (unless NO_COLOR is set), plain elsewhere."""
    print_page(plan_lines(plan, frontiers, unicode=says_unicode(file)), file)


def plan_lines(plan: Plan, frontiers: Sequence[Frontier] = (), *, unicode: bool = True) -> list[str]:
    """Lines of the report; those that are a :class:`~calibration.page.Heading` head a part."""
    parts = [_verdict(plan), _warnings(plan)]
    if plan.feasible:
        parts += [fleet_lines(plan, unicode), _proof(plan, unicode)]
        parts += [_single_type(plan), _prices(plan), _binding(plan), _alternatives(plan), _not_chosen(plan)]
    else:
        parts += [_to_relax(plan)]
    parts += [_frontier(frontier) for frontier in frontiers]
    parts += [_rounds(plan), _assumptions(plan), _profiles(plan)]
    lines: list[str] = []
    for part in filter(None, parts):
        lines += ["", *part] if lines else part
    return lines


def _verdict(plan: Plan) -> list[str]:
    """What it costs, whether it is proven, and how much cheaper a plan could still be."""
    if not plan.feasible or plan.usd_per_month is None or plan.usd_per_hour is None:
        return [Heading(f"{plan.name}: no plan meets what is asked")]
    cost = f"{usd(plan.usd_per_month)} a month ({usd(plan.usd_per_hour)} an hour on average)"
    simulated = [found for found in (plan.verified or {}).values() if found is not None]
    if not simulated:
        proof = "Capacities are stated in the file, so nothing was simulated."
    elif plan.met:
        proof = "Simulated: every objective is met in every hour."
        if any(found is None or found.stated_share > 0 for found in (plan.verified or {}).values()):
            proof = "Simulated, where capacities are not stated: every objective is met in every hour."
    else:
        proof = "SIMULATED, AND NOT EVERY OBJECTIVE IS MET."
    gap = plan.gap or 0.0
    if plan.status == "optimal":
        closeness = "no other plan is cheaper" if gap < 5e-7 else f"no plan is more than {_gap(gap)} cheaper"
    else:
        closeness = f"the solver's time was up: a plan may be up to {_gap(gap)} cheaper"
    return [Heading(f"{plan.name}: {cost}"), *paragraph(f"{proof} {closeness[0].upper()}{closeness[1:]}.", width=WIDTH)]


def _gap(gap: float) -> str:
    return f"{100 * gap:.2g}%"


def _warnings(plan: Plan) -> list[str]:
    """What could mislead about this plan; what is true of a profile whoever uses it comes at the end."""
    return _bullets((text for text in plan.warnings if not text.startswith(_OF_PROFILE)), "! ")


def _profiles(plan: Plan) -> list[str]:
    """What profiles warn of, a paragraph each."""
    by_profile: dict[str, list[str]] = {}
    for text in plan.warnings:
        if text.startswith(_OF_PROFILE):
            name, _, warning = text.removeprefix(_OF_PROFILE).partition(": ")
            by_profile.setdefault(name, []).append(warning)
    lines = _bullets((f"{name}: {'; '.join(said)}" for name, said in by_profile.items()), "  ! ")
    return [Heading("What profiles warn of"), *lines] if lines else []


def _bullets(lines: Iterable[str], mark: str = "  ") -> list[str]:
    """Sentences with a hanging indent."""
    return [line for text in lines for line in paragraph(text, mark=mark, width=WIDTH)]


def _proof(plan: Plan, unicode: bool) -> list[str]:
    """One line an objective: tick or cross, value, interval, target, and where it is nearest to its target."""
    tick, cross = ("✓", "✗") if unicode else ("ok", "NO")
    rows: list[tuple[str, ...]] = [("", "Simulated", "", "ms", "95% interval", "next run", "target", "nearest")]
    notes: list[str] = []
    for name, found in (plan.verified or {}).items():
        if found is None:
            notes.append(f"{name}: the capacities of its fleets are stated, nothing was simulated")
            continue
        for key, target in found.targets_ms.items():
            rows.append((tick if _holds(found, key) else cross, *_proof_row(name, found, key, target, plan)))
        notes += _proof_notes(name, found)
    if len(rows) == 1:
        return []
    simulated = [found for found in (plan.verified or {}).values() if found is not None]
    runs, hours = min(found.replications for found in simulated), max(found.hours for found in simulated)
    fleets = f"every fleet in {hours} hours" if hours > 1 else "every fleet"
    notes.append(f"{runs} runs or more of {fleets}; 39 of 40 further runs stay below 'next run'")
    busy = [fleet for fleet in plan.fleets if fleet.utilisation is not None]
    if busy:
        fullest = max(busy, key=lambda fleet: fleet.utilisation or 0.0)
        notes.append(
            f"the fullest fleet, {fleet_name(fullest)}, gets up to {per_cent(fullest.utilisation or 0.0)} of what its "
            "accelerators can do"
        )
    return [*table(rows, "lllrrrrl", gap=" "), *_bullets(notes)]


def _holds(found: Verified, key: str) -> bool:
    return found.met or found.one_run_ms.get(key, float("inf")) <= found.targets_ms[key]


def _proof_row(name: str, found: Verified, key: str, target: float, plan: Plan) -> tuple[str, ...]:
    low, high = found.ci95.get(key, (float("nan"), float("nan")))
    interval = f"{_ms(low)}-{_ms(high)}" if low == low else ""
    where = found.hour if len(plan.hours) > 1 else ""
    values = found.values_ms[key], found.one_run_ms.get(key, float("nan"))
    return (short(name, 16), percentile(key.removesuffix("_ms")), _ms(values[0]), interval, _ms(values[1]),
            _ms(target), clock(where))  # fmt: skip


def _ms(value: float) -> str:
    return "" if value != value else "infinite" if value == float("inf") else significant(value)


def _proof_notes(name: str, found: Verified) -> list[str]:
    notes = []
    if found.after_loss_ms:
        values = ", ".join(
            f"{percentile(key.removesuffix('_ms'))} {_ms(ms)} ms" for key, ms in found.after_loss_ms.items()
        )
        notes.append(f"{name}, after the worst loss: {values}")
    if found.stated_share > 0:
        notes.append(f"{name}: {per_cent(found.stated_share)} of it goes where the capacity is stated, unsimulated")
    return notes


def _single_type(plan: Plan) -> list[str]:
    """The best single type beside the plan, and what became of the others."""
    singles = plan.explanation.single_types if plan.explanation else ()
    best = plan.explanation.best_single_type if plan.explanation else None
    if len(singles) < 2 or plan.usd_per_month is None:
        return []
    mixed = len({fleet.candidate for fleet in plan.fleets}) > 1
    lines: list[str] = [Heading("One type alone")]
    if best is None:
        lines += _bullets(["no candidate can serve everything alone"])
    elif mixed and best.usd_per_month is not None and best.dearer is not None and best.dearer > 0:
        saved, share = best.usd_per_month - plan.usd_per_month, 1 - plan.usd_per_month / best.usd_per_month
        lines += _bullets(
            [f"the mix saves {usd(saved)} a month ({per_cent(share)}) over the best single type, {best.candidate}"]
        )
    elif not mixed:
        lines += _bullets(["the plan is a single type: no mix is cheaper"])
    return lines + _bullets((single.words for single in singles), "  - ")


def _prices(plan: Plan) -> list[str]:
    found = plan.explanation
    if found is None:
        return []
    words = [one.words for one in found.request_prices]
    if words:
        words[-1] += " (in shares of instances: alone it may find room, or need a whole one)"
    words += [one.words for one in found.slo_prices]
    words += [one.words for one in found.limit_prices]
    return [Heading("What more would cost"), *_bullets(words, "  - ")] if words else []


def _binding(plan: Plan) -> list[str]:
    limits = plan.explanation.binding if plan.explanation else plan.binding
    return [Heading("What binds"), *_bullets((limit.words for limit in limits), "  - ")] if limits else []


def _to_relax(plan: Plan) -> list[str]:
    """Why there is no plan, and with which limits there would be one."""
    lines = []
    for limit in plan.binding:
        lines += paragraph(limit.words, mark="  - ", width=WIDTH)
    return lines


def _alternatives(plan: Plan) -> list[str]:
    found = plan.explanation.alternatives if plan.explanation else ()
    if not found:
        return []
    return [Heading("Other plans that cost nearly as little"), *_bullets((one.words for one in found), "  - ")]


def _not_chosen(plan: Plan) -> list[str]:
    found = plan.explanation
    if found is None:
        return []
    lines = [*_bullets((one.words for one in found.not_chosen), "  - ")]
    if found.left_out:
        lines += _bullets([f"not looked into, time was up: {'; '.join(found.left_out)}"])
    return [Heading("Not chosen"), *lines] if lines else []


def _frontier(frontier: Frontier) -> list[str]:
    """Cost against objectives, as a table."""
    latency = frontier.kind == "latency"
    what = "latency objectives" if latency else f"accuracy of {frontier.workload}"
    rows: list[tuple[str, ...]] = [
        ("", "times stated" if latency else "at least", "USD/month", "", "instances at most")
    ]
    stated = next((point.usd_per_month for point in frontier.points if point.stated), None)
    for point in frontier.points:
        mark = ">" if point.stated else ""
        value = f"{point.value:g}"
        if point.usd_per_month is None:
            rows.append((mark, value, "no plan", "", ""))
            continue
        more = "" if stated is None or point.stated else per_cent(point.usd_per_month / stated - 1, signed=True)
        held = ", ".join(f"{count} {name}" for name, count in point.instances.items())
        if point.met is False:
            held += " (does not hold in simulation)"
        rows.append((mark, value, usd(point.usd_per_month).lstrip("$"), more, held))
    lines: list[str] = [Heading(f"Cost against {what}"), *table(rows, "lrrrl")]
    refused = next((point.why for point in frontier.points if point.usd_per_month is None and point.why), None)
    return lines + (_bullets([f"no plan: {refused}"]) if refused else [])


def _rounds(plan: Plan) -> list[str]:
    """What simulation made of the solver's plans, one line a round."""
    if len(plan.rounds) < 2 and not any(one.misses for one in plan.rounds):
        return []
    lines: list[str] = [Heading("Rounds: solve, simulate, tighten what missed")]
    for number, one in enumerate(plan.rounds, start=1):
        words = f"{number}. {usd(one.usd_per_hour)} an hour, {one.simulated} fleets simulated: "
        words += f"{len(one.misses)} missed" if one.misses else "all hold"
        if one.misses:
            worst = max(one.misses, key=lambda miss: miss.value / miss.target)
            words += f", worst {instances(worst.instances, worst.fleet.partition(', profile ')[0])} at {worst.hour}: "
            words += f"{worst.workload} {percentile(worst.objective.removesuffix('_ms'))} {_ms(worst.value)}, "
            words += f"target {_ms(worst.target)}"
        lines += paragraph(words, mark="  ", width=WIDTH)
    return lines


def _assumptions(plan: Plan) -> list[str]:
    """What the numbers rest on; prices from the same source together."""
    prices: dict[str, list[str]] = {}
    others = []
    for name, what in plan.assumptions.items():
        if not name.startswith("price "):
            others.append(f"{name}: {what}")
            continue
        cut = next((place for words in _SOURCES if (place := what.find(words)) >= 0), len(what))
        prices.setdefault(what[cut:], []).append(f"{name.removeprefix('price ')} {what[:cut]}")
    said = [f"prices: {', '.join(each)}{source}" for source, each in prices.items()]
    lines = _bullets((*said, *others), "  - ")
    return [Heading("Assumptions"), *lines] if lines else []
