"""The mixed-integer program of a plan: one function a constraint, its equation in the docstring.

Sets: workloads b, options j, segments i of an option's capacity curve, hours t. A segment holds for ``lo_ji`` to
``hi_ji`` instances, each of which carries ``k_bji`` requests per second of workload b.

Variables: ``z_bjti`` >= 0, share of workload b that option j serves in hour t on segment i; ``n_jti`` integer,
instances left after any loss that the plan must bear; ``s_jti`` binary, whether the fleet is on segment i; ``a_jt``
integer, instances that run; ``u_jt`` >= 0, instances started; ``y_bjt`` binary, whether b's model is loaded; ``l_bt``
>= 0, share that is left unserved, only where that is asked for.

Segments of more instances than could be of use are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pulp

from optimizer.linear import Terms, times, total
from optimizer.problem import Option, PlanProblem

SECONDS_PER_HOUR: Final = 3600.0

Row = tuple[str, Any]
"""A constraint's name, and the constraint."""


@dataclass
class Segment:
    """Columns of one segment of an option's curve in one hour."""

    index: int
    low: int
    high: int
    survivors: Any
    chosen: Any | None
    """None where the option has this one segment only, from 0 instances on."""
    shares: dict[int, Any]
    """By workload."""


@dataclass
class FleetColumns:
    """Columns of one option in one hour."""

    segments: list[Segment]
    running: Terms
    """a_jt: a column of its own, or the sum that it equals."""
    started: Any | None = None
    hosted: dict[int, Any] = field(default_factory=dict)


@dataclass
class Program:
    """A problem as the solver sees it, with the columns by what they mean."""

    problem: PlanProblem
    model: Any
    fleets: dict[tuple[int, int], FleetColumns] = field(default_factory=dict)
    """By option and hour; absent where the option is of no use."""
    unserved: dict[tuple[int, int], Any] = field(default_factory=dict)
    """l_bt by workload and hour; empty where all must be served."""

    def of_option(self, option: int) -> Iterator[tuple[int, FleetColumns]]:
        """Hours and columns of an option."""
        for hour in range(len(self.problem.hours)):
            if (option, hour) in self.fleets:
                yield hour, self.fleets[option, hour]

    def of_hour(self, hour: int) -> Iterator[tuple[int, FleetColumns]]:
        """Options and columns of an hour."""
        for option in range(len(self.problem.options)):
            if (option, hour) in self.fleets:
                yield option, self.fleets[option, hour]


def build(problem: PlanProblem, *, relaxed: bool = False, tight: bool = False, shortfall: bool = False) -> Program:
    """Which program has the cheapest plan as its optimum?

    Parameters
    ----------
    problem
        What is asked.
    relaxed
        Whether instances may be fractions: the linear program that bounds the cost from below.
    tight
        Whether to add rows that the others imply for whole numbers, but not for fractions.
    shortfall
        Whether requests may be left unserved. The program then asks how few need be, whatever the plan costs.
    """
    program = Program(problem, pulp.LpProblem("plan", pulp.LpMinimize))
    whole = "Continuous" if relaxed else "Integer"
    for j in range(len(problem.options)):
        used = [_segments(program, j, t, whole) for t in range(len(problem.hours))]
        for t, found in enumerate(used):
            if found or (problem.options[j].keeps_instances and any(used)):
                program.fleets[j, t] = _columns(program, j, t, found, whole)
    if shortfall:
        for b, t in np.argwhere(problem.demand_rps > 0).tolist():
            program.unserved[b, t] = program.model.add_variable(f"l_{b}_{t}", 0, 1)
    program.model.setObjective(unserved_requests(program) if shortfall else monthly_cost(program))
    for rule in (*RULES, a_share_needs_its_segment) if tight else RULES:
        for name, row in rule(program):
            program.model.addConstraint(row, name)
    return program


def _segments(program: Program, j: int, t: int, whole: str) -> list[Segment]:
    problem, add = program.problem, program.model.add_variable
    option = problem.options[j]
    rates = option.curve.rps_per_instance
    useful = []
    for i, low, high in problem.segments(j, t):
        served = [b for b in range(len(problem.workloads)) if rates[b, i] > 0 and problem.demand_rps[b, t] > 0]
        if served:
            useful.append((i, low, high, served))
    alone = len(useful) == 1 and useful[0][1] == 1 and option.spare == 0
    return [
        Segment(
            i,
            low,
            high,
            add(f"n_{j}_{t}_{i}", 0, high, whole),
            None if alone else add(f"s_{j}_{t}_{i}", 0, 1, whole),
            {b: add(f"z_{b}_{j}_{t}_{i}", 0, None) for b in served},
        )
        for i, low, high, served in useful
    ]


def _columns(program: Program, j: int, t: int, found: list[Segment], whole: str) -> FleetColumns:
    add, option = program.model.add_variable, program.problem.options[j]
    own = option.keeps_instances or option.zones > 1
    running = [(add(f"a_{j}_{t}", 0, None, whole), 1.0)] if own else _needed(found, option)
    columns = FleetColumns(found, running, add(f"u_{j}_{t}", 0, None) if option.keeps_instances else None)
    able = sorted({b for segment in found for b in segment.shares})
    if option.memory_gib[able].sum() > option.device_memory_gib:
        columns.hosted = {b: add(f"y_{b}_{j}_{t}", 0, 1, whole) for b in able}
    return columns


def _needed(found: Sequence[Segment], option: Option) -> Terms:
    """Survivors and spares: sum_i (n_jti + spare s_jti)."""
    survivors = [(segment.survivors, 1.0) for segment in found]
    return survivors + [(segment.chosen, float(option.spare)) for segment in found if option.spare]


def _spent(program: Program, j: int, t: int, *, hours: float = 1.0, starts: float = 1.0) -> Terms:
    """Dollars of a fleet for so many hours of running and so many of its starts."""
    problem, option, columns = program.problem, program.problem.options[j], program.fleets[j, t]
    terms = times(columns.running, hours * option.usd_per_hour[t])
    for segment in columns.segments:
        for b, share in segment.shares.items():
            terms.append((share, hours * SECONDS_PER_HOUR * option.usd_per_request[b] * problem.demand_rps[b, t]))
    return terms if columns.started is None else [*terms, (columns.started, starts * option.start_usd)]


def monthly_cost(program: Program) -> Any:
    """Dollars a month: sum_t H_t (sum_j c_jt a_jt + 3600 sum_bji e_bj lambda_bt z_bjti) + W sum_jt kappa_j u_jt.

    H_t are the hours of a month that hour t stands for; W, their mean, is how often a month repeats the hours listed.
    """
    problem = program.problem
    repeats = problem.month_h / len(problem.hours)
    return total(*(_spent(program, j, t, hours=problem.weight_h[t], starts=repeats) for j, t in program.fleets))


def unserved_requests(program: Program) -> Any:
    """Requests per second that are left unserved, over all hours, as a share of what is asked.

    sum_bt lambda_bt l_bt / sum_bt lambda_bt
    """
    demand = program.problem.demand_rps
    return total([(left, demand[b, t] / demand.sum()) for (b, t), left in program.unserved.items()])


def everything_is_served(program: Program) -> Iterator[Row]:
    """All of a workload's requests go somewhere: sum_ji z_bjti (+ l_bt) = 1 for every b, t with demand."""
    problem = program.problem
    for t in range(len(problem.hours)):
        terms: dict[int, Terms] = {b: [] for b in range(len(problem.workloads))}
        for _, columns in program.of_hour(t):
            for segment in columns.segments:
                for b, share in segment.shares.items():
                    terms[b].append((share, 1.0))
        for b, shares in terms.items():
            if problem.demand_rps[b, t] > 0:
                left = [(program.unserved[b, t], 1.0)] if program.unserved else []
                yield f"serve_{b}_{t}", total(shares, left) == 1


def no_fleet_carries_more_than_its_capacity(program: Program) -> Iterator[Row]:
    """Load of a fleet: sum_b lambda_bt z_bjti / k_bji <= n_jti for every j, t, i."""
    problem = program.problem
    for (j, t), columns in program.fleets.items():
        rates = problem.options[j].curve.rps_per_instance
        for segment in columns.segments:
            load = [(share, problem.demand_rps[b, t] / rates[b, segment.index]) for b, share in segment.shares.items()]
            yield f"load_{j}_{t}_{segment.index}", total(load, [(segment.survivors, -1.0)]) <= 0


def a_segment_holds_for_its_counts(program: Program) -> Iterator[Row]:
    """Level choice: lo_ji s_jti <= n_jti <= hi_jti s_jti, and sum_i s_jti <= 1, for every j, t.

    Without spares a fleet with one segment from 1 instance on needs no choice: 0 <= n_jt <= hi_jt.
    """
    for (j, t), columns in program.fleets.items():
        choices = []
        for segment in columns.segments:
            if segment.chosen is not None:
                i, n, s = segment.index, segment.survivors, segment.chosen
                choices.append((s, 1.0))
                yield f"least_{j}_{t}_{i}", total([(n, 1.0), (s, -segment.low)]) >= 0
                yield f"most_{j}_{t}_{i}", total([(n, 1.0), (s, -segment.high)]) <= 0
        if len(choices) > 1:
            yield f"one_segment_{j}_{t}", total(choices) <= 1


def a_share_needs_its_segment(program: Program) -> Iterator[Row]:
    """Nothing is served where nothing runs: z_bjti <= s_jti, or z_bjti <= n_jti without a choice of segments.

    Implied for whole numbers by load and level choice. The second is left out where it says no more than the load does.
    """
    problem = program.problem
    for (j, t), columns in program.fleets.items():
        for segment in columns.segments:
            rates = problem.options[j].curve.rps_per_instance[:, segment.index]
            for b, share in segment.shares.items():
                needs = segment.survivors if segment.chosen is None else segment.chosen
                if segment.chosen is not None or problem.demand_rps[b, t] < rates[b]:
                    yield f"only_{b}_{j}_{t}_{segment.index}", total([(share, 1.0), (needs, -1.0)]) <= 0


def a_zone_may_be_lost(program: Program) -> Iterator[Row]:
    """What is left when one of Z zones is lost must carry the load: (Z - 1) a_jt >= Z sum_i (n_jti + spare s_jti).

    Instances are spread evenly: the largest zone holds ceil(a_jt / Z) of them, and a_jt less that is at least the sum
    just when the inequality holds, the sum being whole. With one zone, a_jt >= sum_i (n_jti + spare s_jti).
    """
    for (j, t), columns in program.fleets.items():
        option = program.problem.options[j]
        needed = _needed(columns.segments, option)
        if option.zones > 1 and needed:
            kept = times(columns.running, option.zones - 1)
            yield f"zones_{j}_{t}", total(kept, times(needed, -option.zones)) >= 0
        elif columns.started is not None and needed:
            yield f"running_{j}_{t}", total(columns.running, times(needed, -1)) >= 0


def options_keep_to_their_limits(program: Program) -> Iterator[Row]:
    """Most instances of one option, and quotas over several: a_jt <= A_j, sum_{j in Q} a_jt <= A_Q, for every t."""
    problem = program.problem
    for (j, t), columns in program.fleets.items():
        limit = problem.options[j].max_instances
        if limit is not None:
            yield f"limit_{j}_{t}", total(columns.running) <= limit
    for q, quota in enumerate(problem.quotas):
        for t in range(len(problem.hours)):
            held = [program.fleets[j, t].running for j in sorted(set(quota.options)) if (j, t) in program.fleets]
            if held:
                yield f"quota_{q}_{t}", total(*held) <= quota.max_instances


def answers_are_accurate_enough(program: Program) -> Iterator[Row]:
    """Mean accuracy of the answers to a workload: sum_ji (A_bj - A_b) z_bjti >= 0 for every b with a floor, every t.

    An option whose accuracy is not stated counts as always wrong.
    """
    problem = program.problem
    for b, floor in enumerate(problem.floors):
        if np.isnan(floor):
            continue
        for t in range(len(problem.hours)):
            margins = [
                (segment.shares[b], np.nan_to_num(problem.options[j].accuracy[b]) - floor)
                for j, columns in program.of_hour(t)
                for segment in columns.segments
                if b in segment.shares
            ]
            if any(margin < 0 for _, margin in margins):
                yield f"accuracy_{b}_{t}", total(margins) >= 0


def models_fit_into_memory(program: Program) -> Iterator[Row]:
    """Loaded models share an instance's memory: sum_b m_bj y_bjt <= M_j, and sum_i z_bjti <= y_bjt.

    Only where not all of them fit together.
    """
    for (j, t), columns in program.fleets.items():
        option = program.problem.options[j]
        if not columns.hosted:
            continue
        loaded = [(hosted, option.memory_gib[b]) for b, hosted in columns.hosted.items()]
        yield f"memory_{j}_{t}", total(loaded) <= float(option.device_memory_gib)
        for b, hosted in columns.hosted.items():
            served = [(segment.shares[b], 1.0) for segment in columns.segments if b in segment.shares]
            yield f"hosted_{b}_{j}_{t}", total(served, [(hosted, -1.0)]) <= 0


def starting_is_counted(program: Program) -> Iterator[Row]:
    """Instances started: u_jt >= a_jt - a_j,t-1.

    Where hours repeat, the hour before the first is the last; elsewhere nothing runs before the first.
    """
    problem = program.problem
    for j, t, columns in _with_starts(program):
        before = program.fleets[j, (t - 1) % len(problem.hours)].running if t or problem.cyclic else []
        yield f"start_{j}_{t}", total([(columns.started, 1.0)], times(columns.running, -1), before) >= 0


def what_was_started_stays(program: Program) -> Iterator[Row]:
    """Minimum up-time U_j: sum of u_jt' over the U_j hours up to t <= a_jt."""
    problem, hours = program.problem, len(program.problem.hours)
    for j, t, columns in _with_starts(program):
        stay = problem.options[j].min_up_hours
        if stay > 1:
            lately = [t - back for back in range(min(stay, hours)) if t >= back or problem.cyclic]
            started = [(program.fleets[j, hour % hours].started, 1.0) for hour in lately]
            yield f"stay_{j}_{t}", total(started, times(columns.running, -1)) <= 0


def no_hour_costs_too_much(program: Program) -> Iterator[Row]:
    """Budget of an hour: sum_j (c_jt a_jt + 3600 sum_bi e_bj lambda_bt z_bjti + kappa_j u_jt) <= C for every t."""
    limit = program.problem.max_usd_per_hour
    if limit is None:
        return
    for t in range(len(program.problem.hours)):
        spent = [_spent(program, j, t) for j, _ in program.of_hour(t)]
        if spent:
            yield f"budget_{t}", total(*spent) <= limit


def _with_starts(program: Program) -> Iterator[tuple[int, int, FleetColumns]]:
    for (j, t), columns in program.fleets.items():
        if columns.started is not None:
            yield j, t, columns


RULES: Final[Sequence[Callable[[Program], Iterator[Row]]]] = (
    everything_is_served,
    no_fleet_carries_more_than_its_capacity,
    a_segment_holds_for_its_counts,
    a_zone_may_be_lost,
    options_keep_to_their_limits,
    answers_are_accurate_enough,
    models_fit_into_memory,
    starting_is_counted,
    what_was_started_stays,
    no_hour_costs_too_much,
)
