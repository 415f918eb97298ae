"""The answer of a plan in a sentence, a few figures, and tables: what a planner shows in a meeting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from optimizer.demand import demand
from optimizer.fleet_table import clock, fleet_name
from optimizer.pareto import FACTORS, Frontier
from optimizer.plan import Miss, Plan, PlannedFleet, Verified
from optimizer.plan_file import Question
from optimizer.wording import instances as counted
from presentation.numbers import between, ms, signed_usd, usd
from simulator.render import significant
from simulator.wording import listed, percent, percentile

_NO_GAP: Final = 5e-7
_OF_PROFILE: Final = "profile "


@dataclass(frozen=True)
class Verdict:
    """What to say first."""

    colour: str
    badge: str
    sentence: str


class Card(NamedTuple):
    """One figure, with what stands below it."""

    label: str
    value: str
    below: str
    help: str


def verdict(plan: Plan) -> Verdict:
    """Is there a plan, does it hold, what does it cost, and could another be cheaper?"""
    if not plan.feasible:
        return Verdict("red", "no plan", f"{plan.name}: no fleet meets what is asked")
    colour, badge = {
        True: ("green", "every SLO held in simulation"),
        False: ("red", "an SLO missed in simulation"),
        None: ("gray", "capacities stated, not simulated"),
    }[plan.met]
    if plan.met and any(one is None or one.stated_share > 0 for one in (plan.verified or {}).values()):
        badge = "every SLO held, simulated where not stated"
    return Verdict(colour, badge, f"{usd(plan.usd_per_month)} a month: {bought(plan)}")


def bought(plan: Plan) -> str:
    """Which instances, by candidate, in words.

    The fewest and the most in an hour where they come and go.
    """
    parts = []
    for name, fleets in _by_candidate(plan):
        low, high = _range(_total(fleets))
        parts.append(f"{_span(low, high)} × {name}")
    return _listed(parts) or "nothing"


def closeness(plan: Plan) -> str:
    """How much cheaper could a plan still be? Nothing where there is none."""
    if plan.gap is None:
        return ""
    if plan.status == "feasible":
        return f"time was up: a plan may be up to {_gap(plan.gap)} cheaper"
    return "no other plan is cheaper" if plan.gap < _NO_GAP else f"no plan is more than {_gap(plan.gap)} cheaper"


def cards(plan: Plan) -> list[Card]:
    """The figures of a plan that exists, in the order of the questions."""
    if not plan.feasible or not plan.usd_by_hour:
        return []
    return [
        Card("Cost/month", usd(plan.usd_per_month), "730 hours", "What the plan costs, with fees and starts."),
        Card("Cost/hour", usd(plan.usd_per_hour), _by_hour(plan), "Mean over the hours of the month."),
        _saving(plan),
        _nearest(plan),
        Card("Cheapest?", "proven" if plan.status == "optimal" else f"within {_gap(plan.gap or 0.0)}", closeness(plan),
             "The solver's lower bound: with these capacities no plan costs less than that."),
    ]  # fmt: skip


def asked_rows(question: Question) -> list[dict[str, str]]:
    """What is asked, a row a workload: for a reader who has no plan yet."""
    asked = demand(question)
    rows = []
    for place, (name, workload) in enumerate(question.workloads.items()):
        rates = asked.demand_rps[place]
        targets = [f"{percentile(key)} {ms(ns / 1e6)}" for key, ns in workload.slo.targets_ns.items()]
        rows.append({
            "workload": name,
            "hours": f"{len(rates):,}",
            "requests/s": _span_of(float(rates.min()), float(rates.max())),
            "SLO": _listed(targets) or "as the candidates state",
        })  # fmt: skip
    return rows


def month_change(plan: Plan, before: Plan | None) -> tuple[str, bool]:
    """What a month costs more or less than before, and whether it is more; nothing where there is nothing to say."""
    if before is None or before.usd_per_month is None or plan.usd_per_month is None:
        return "", False
    more = plan.usd_per_month - before.usd_per_month
    if abs(more) < 1e-3 * before.usd_per_month:
        return "", False
    return signed_usd(more), more > 0


def fleet_rows(plan: Plan) -> list[dict[str, Any]]:
    """What runs, a row a fleet, the dearest first."""
    month_h = sum(plan.weight_h)
    return [
        {
            "fleet": fleet_name(fleet),
            "instance type": fleet.instance_type or "–",
            "instances": _span(*_range(fleet.instances_by_hour)),
            "by hour": list(fleet.instances_by_hour),
            "serves": _listed([f"{percent(share)} of {name}" for name, share in fleet.share.items() if share > 0]),
            "full": percent(fleet.load),
            "busy": "stated" if fleet.busy is None else percent(fleet.busy),
            "bought": _listed([f"{count} {how.replace('_', '-')}" for how, count in fleet.purchase.items()]),
            "USD/month": round(month_h * fleet.usd_per_hour, 2),
        }
        for fleet in sorted(plan.fleets, key=lambda fleet: -fleet.usd_per_hour)
    ]


def hour_rows(plan: Plan) -> list[dict[str, Any]]:
    """What runs and what is asked in each hour: the columns of the command line's hours.csv."""
    columns: dict[str, Sequence[Any]] = {
        "hour": plan.hours,
        "weight_h": plan.weight_h,
        "usd_per_hour": plan.usd_by_hour,
        **{f"{name} rps": plan.demand_rps[name] for name in plan.workloads},
        **{f"{fleet.name} instances": fleet.instances_by_hour for fleet in plan.fleets},
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def verified_rows(plan: Plan) -> list[dict[str, str]]:
    """What simulation showed of every objective, where it is nearest to its target."""
    rows = []
    for name, found in (plan.verified or {}).items():
        if found is None:
            rows.append({"workload": name, "objective": "capacities stated", "seen": "not simulated"})
            continue
        rows += [_verified_row(name, found, key) for key in found.targets_ms]
    return rows


def round_rows(plan: Plan) -> list[dict[str, str]]:
    """What simulation made of the solver's plans, a row a round."""
    return [
        {
            "round": f"{number}",
            "cost/hour": usd(one.usd_per_hour),
            "fleets simulated": f"{one.simulated:,}",
            "missed": f"{len(one.misses):,}",
            "worst": _miss(max(one.misses, key=lambda miss: miss.value / miss.target)) if one.misses else "all hold",
        }
        for number, one in enumerate(plan.rounds, start=1)
    ]


def single_rows(plan: Plan) -> list[dict[str, str]]:
    """The plan beside each candidate alone."""
    singles = plan.explanation.single_types if plan.explanation else ()
    rows = [{"fleet": "this plan", "a month": usd(plan.usd_per_month), "against the plan": "–", "note": bought(plan)}]
    for one in singles:
        dearer = "–" if one.dearer is None else f"{'+' if one.dearer >= 0 else '−'}{percent(abs(one.dearer))}"
        note = one.why
        if one.usd_per_month is not None:
            held = {True: "holds in simulation", False: "does not hold", None: "not simulated"}[one.proven]
            note = f"up to {counted(one.most_instances or 0)}, {held}"
        rows.append({"fleet": f"{one.candidate} alone", "a month": usd(one.usd_per_month), "against the plan": dearer,
                     "note": note})  # fmt: skip
    return rows


def alternative_rows(plan: Plan) -> list[dict[str, str]]:
    """Plans that cost nearly as little."""
    found = plan.explanation.alternatives if plan.explanation else ()
    return [
        {
            "what is different": one.difference,
            "a month": usd(one.usd_per_month),
            "dearer by": percent(one.dearer),
            "instances": _listed([f"{_span(*span)} × {name}" for name, span in one.instances.items()]),
            "simulated": {True: "holds", False: "misses", None: "no"}[one.proven],
        }
        for one in found
    ]


def reasons(plan: Plan) -> dict[str, list[str]]:
    """Why it is this plan, in sentences by heading; headings without any are absent."""
    found = plan.explanation
    if found is None:
        return {}
    prices = [one.words for one in found.request_prices]
    prices += [one.words for one in found.slo_prices] + [one.words for one in found.limit_prices]
    said = {
        "What binds": [limit.words for limit in found.binding],
        "What more would cost": prices,
        "Why not the others": [one.words.replace(one.candidate, f"**{one.candidate}**", 1) for one in found.not_chosen],
        "Not looked into: time was up": list(found.left_out),
    }
    return {head: [_sentence(words) for words in lines] for head, lines in said.items() if lines}


def relax_rows(plan: Plan) -> list[dict[str, str]]:
    """What leaves no plan, as it stands, and the nearest value with which there is one."""
    return [
        {
            "limit": limit.limit.replace("_", " "),
            "of": limit.where,
            "as it stands": "–" if limit.value is None else significant(limit.value),
            "nearest that works": "no value helps" if limit.needed is None else significant(limit.needed),
        }
        for limit in plan.binding
    ]


def relax_words(plan: Plan) -> list[str]:
    """The same in sentences."""
    return [_sentence(limit.words) for limit in plan.binding]


def warnings(plan: Plan) -> tuple[list[str], list[str]]:
    """What could mislead about this plan; and what is true of its profiles whoever uses them."""
    own = [text for text in plan.warnings if not text.startswith(_OF_PROFILE)]
    return own, [text for text in plan.warnings if text.startswith(_OF_PROFILE)]


def frontier_rows(frontier: Frontier) -> list[dict[str, str]]:
    """The frontier as a table, strictest first."""
    stated = next((point.usd_per_month for point in frontier.points if point.stated), None)
    rows = []
    for point in frontier.points:
        cost, change = point.usd_per_month, ""
        if cost is not None and stated is not None and not point.stated:
            change = signed_usd(cost - stated) if abs(cost - stated) >= 0.005 else "the same"
        rows.append({
            value_head(frontier): value_words(frontier, point.value),
            "a month": "no plan" if cost is None else usd(cost),
            "against the plan": "this plan" if point.stated else change,
            "instances at most": _listed([f"{count} × {name}" for name, count in point.instances.items()]) or point.why,
        })  # fmt: skip
    return rows


def frontier_words(plan: Plan) -> str:
    """How much work a frontier is, for who may ask for one."""
    each_s = sum(seconds for stage, seconds in plan.timing_s.items() if stage != "explain")
    total_s = each_s * (len(FACTORS) - 1)
    time = f"about {max(1, round(total_s / 60))} minutes" if total_s > 90 else "about a minute, or less"
    return (
        f"{len(FACTORS)} plans, each simulated: from half of the stated objectives to three times them; {time}. "
        "It can be stopped."
    )


def value_head(frontier: Frontier) -> str:
    """What is varied along a frontier."""
    if frontier.kind == "accuracy":
        return f"least accuracy of {frontier.workload}"
    one = only_target(frontier)
    return "objectives" if one is None else f"{percentile(one[1])} of {one[0]}"


def value_words(frontier: Frontier, value: float) -> str:
    """One value of it: a latency where there is a single objective, else a multiple of the stated ones."""
    if frontier.kind == "accuracy":
        return f"{value:g}"
    one = only_target(frontier)
    return f"× {value:g}" if one is None else ms(value * one[2])


def only_target(frontier: Frontier) -> tuple[str, str, float] | None:
    """Workload, objective and target in ms where a latency frontier has one objective in all."""
    targets = [(name, key, ms) for name, row in frontier.targets_ms.items() for key, ms in row.items()]
    return targets[0] if len(targets) == 1 and frontier.kind == "latency" else None


def _by_candidate(plan: Plan) -> Iterator[tuple[str, list[PlannedFleet]]]:
    """Fleets by candidate, the dearest candidate first."""
    ordered = sorted(plan.fleets, key=lambda fleet: fleet.candidate)
    groups = [(name, list(fleets)) for name, fleets in groupby(ordered, key=lambda fleet: fleet.candidate)]
    yield from sorted(groups, key=lambda group: -sum(fleet.usd_per_hour for fleet in group[1]))


def instances_by_candidate(plan: Plan) -> dict[str, list[int]]:
    """Instances hour by hour of each candidate, the dearest first."""
    return {name: _total(fleets) for name, fleets in _by_candidate(plan)}


def _total(fleets: Sequence[PlannedFleet]) -> list[int]:
    return [sum(hour) for hour in zip(*(fleet.instances_by_hour for fleet in fleets), strict=True)]


def _range(counts: Sequence[int]) -> tuple[int, int]:
    return min(counts, default=0), max(counts, default=0)


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _span_of(low: float, high: float) -> str:
    return significant(low) if low == high else f"{significant(low)}–{significant(high)}"


def _gap(gap: float) -> str:
    return f"{100 * gap:.2g}%"


def _by_hour(plan: Plan) -> str:
    low, high = min(plan.usd_by_hour), max(plan.usd_by_hour)
    if len(plan.hours) == 1:
        return "all hours alike"
    return f"{usd(low)} to {usd(high)}, dearest at {clock(plan.hours[plan.usd_by_hour.index(high)])}"


def _saving(plan: Plan) -> Card:
    best = plan.explanation.best_single_type if plan.explanation else None
    help = "Against the cheapest plan with one candidate alone, all its settings allowed."
    if best is None or best.usd_per_month is None or plan.usd_per_month is None:
        return Card("Mix saves", "–", "no type can do it alone" if plan.explanation else "not asked", help)
    saved = best.usd_per_month - plan.usd_per_month
    if len({fleet.candidate for fleet in plan.fleets}) < 2:
        return Card("Mix saves", "$0", "one type alone is cheapest", help)
    share = saved / best.usd_per_month
    return Card("Mix saves", usd(saved), f"a month, {percent(share)} of {best.candidate} alone", help)


def _nearest(plan: Plan) -> Card:
    """The objective that is nearest to its target."""
    seen = [
        (found.one_run_ms.get(key, found.values_ms[key]) / target, name, key, found)
        for name, found in (plan.verified or {}).items()
        if found is not None
        for key, target in found.targets_ms.items()
    ]
    if not seen:
        return Card("Tightest SLO", "–", "capacities are stated, not simulated", "Nothing was simulated.")
    _, name, key, found = max(seen, key=lambda one: one[0])
    objective = percentile(key.removesuffix("_ms"))
    below = f"{objective} of {name}, SLO {ms(found.targets_ms[key])}"
    interval = between(*found.ci95[key]) if key in found.ci95 else "unknown"
    help = (
        f"In the worst hour, on the worst fleet: {found.fleet}. 95% interval {interval}; "
        f"39 of 40 further runs stay below {ms(found.one_run_ms.get(key))}."
    )
    return Card("Tightest SLO", ms(found.values_ms[key]), below, help)


def _verified_row(name: str, found: Verified, key: str) -> dict[str, str]:
    return {
        "workload": name,
        "objective": percentile(key.removesuffix("_ms")),
        "seen": ms(found.values_ms[key]),
        "95% interval": between(*found.ci95[key]) if key in found.ci95 else "–",
        "39 of 40 runs below": ms(found.one_run_ms.get(key)),
        "SLO": ms(found.targets_ms[key]),
        "answered in time": percent(found.attainment),
        "worst at": f"{found.fleet.partition(', profile ')[0]}, {found.hour}",
    }


def _miss(miss: Miss) -> str:
    fleet = miss.fleet.partition(", profile ")[0]
    objective = percentile(miss.objective.removesuffix("_ms"))
    late = miss.objective.endswith("_ms")
    written = ms if late else significant
    return (
        f"{counted(miss.instances, fleet)} at {miss.hour}: {objective} of {miss.workload} {written(miss.value)}, "
        f"{'SLO' if late else 'at most'} {written(miss.target)}"
    )


def _listed(parts: Sequence[str]) -> str:
    return listed(parts) if parts else ""


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"
