"""The mixed-integer program of a plan: one function a constraint, its equation in the docstring.

Sets: workloads b, options j, segments i of an option's capacity curve, hours t. A segment holds for ``lo_ji`` to
``hi_ji`` instances, each of which carries ``k_bji`` requests per second of workload b.

Variables: ``z_bjti`` >= 0, share of workload b that option j serves in hour t on segment i; ``n_jti`` integer, instances
left after any loss that the plan must bear; ``s_jti`` binary, whether the fleet is on segment i; ``a_jt`` integer,
instances that run; ``u_jt`` >= 0, instances started; ``y_bjt`` binary, whether b's model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pulp

from optimizer.problem import PlanProblem

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
    running: Any
    """a_jt: a variable, or the sum that it equals."""
    started: Any | None = None
    hosted: dict[int, Any] = field(default_factory=dict)


@dataclass
class Program:
    """A problem as the solver sees it, with the columns by what they mean."""

    problem: PlanProblem
    model: Any
    fleets: dict[tuple[int, int], FleetColumns] = field(default_factory=dict)
    """By option and hour; absent where the option is of no use."""

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


def segments(problem: PlanProblem, option: int, hour: int) -> list[tuple[int, int]]:
    """Counts of instances, from and to, on each segment of an option's curve that could be of use in an hour."""
    most = problem.most_instances(option, hour)
    starts = [int(count) for count in problem.options[option].curve.instances if count <= most]
    return [(low, high - 1) for low, high in zip(starts, [*starts[1:], most + 1], strict=True)]


def build(problem: PlanProblem, *, relaxed: bool = False) -> Program:
    """Which program has the cheapest plan as its optimum?

    Parameters
    ----------
    problem
        What is asked.
    relaxed
        Whether instances may be fractions: the linear program whose dual values are the shadow prices.
    """
    program = Program(problem, pulp.LpProblem("plan", pulp.LpMinimize))
    for j in range(len(problem.options)):
        for t in range(len(problem.hours)):
            columns = _columns(program, j, t, "Continuous" if relaxed else "Integer")
            if columns is not None:
                program.fleets[j, t] = columns
    program.model.setObjective(monthly_cost(program))
    for rule in RULES:
        for name, row in rule(program):
            program.model.addConstraint(row, name)
    return program


def _columns(program: Program, j: int, t: int, whole: str) -> FleetColumns | None:
    problem, add = program.problem, program.model.add_variable
    option = problem.options[j]
    rates = option.curve.rps_per_instance
    found = []
    for i, (low, high) in enumerate(segments(problem, j, t)):
        served = [b for b in range(len(problem.workloads)) if rates[b, i] > 0 and problem.demand_rps[b, t] > 0]
        if served:
            alone = low == 1 and i == 0 and len(option.curve.instances) == 1 and option.spare == 0
            found.append(
                Segment(
                    i,
                    low,
                    high,
                    add(f"n_{j}_{t}_{i}", 0, high, whole),
                    None if alone else add(f"s_{j}_{t}_{i}", 0, 1, whole),
                    {b: add(f"z_{b}_{j}_{t}_{i}", 0, 1) for b in served},
                )
            )
    if not found:
        return None
    starts = option.start_usd > 0 or option.min_up_hours > 1
    running = add(f"a_{j}_{t}", 0, None, whole) if starts or option.zones > 1 else _survivors_and_spares(found, option)
    columns = FleetColumns(found, running, add(f"u_{j}_{t}", 0, None) if starts else None)
    if option.memory_gib.sum() > option.device_memory_gib:
        able = sorted({b for segment in found for b in segment.shares})
        columns.hosted = {b: add(f"y_{b}_{j}_{t}", 0, 1, whole) for b in able}
    return columns


def _survivors_and_spares(found: Sequence[Segment], option: Any) -> Any:
    terms = [(segment.survivors, 1) for segment in found]
    terms += [(segment.chosen, option.spare) for segment in found if option.spare]
    return pulp.LpAffineExpression(terms)


def monthly_cost(program: Program) -> Any:
    """Dollars a month: sum_t H_t (sum_j c_jt a_jt + 3600 sum_bji e_bj lambda_bt z_bjti) + W sum_jt kappa_j u_jt.

    H_t are the hours of a month that hour t stands for; W is how often a month repeats the hours listed.
    """
    problem = program.problem
    repeats = problem.month_h / len(problem.hours)
    cost = pulp.LpAffineExpression()
    for (j, t), columns in program.fleets.items():
        option = problem.options[j]
        cost += float(problem.weight_h[t] * option.usd_per_hour[t]) * columns.running
        if columns.started is not None:
            cost += float(repeats * option.start_usd) * columns.started
        for segment in columns.segments:
            for b, share in segment.shares.items():
                fee = option.usd_per_request[b] * problem.demand_rps[b, t] * SECONDS_PER_HOUR
                if fee:
                    cost += float(problem.weight_h[t] * fee) * share
    return cost


def everything_is_served(program: Program) -> Iterator[Row]:
    """All of a workload's requests go somewhere: sum_ji z_bjti = 1 for every b, t with demand."""
    problem = program.problem
    for t in range(len(problem.hours)):
        terms: dict[int, list[tuple[Any, float]]] = {b: [] for b in range(len(problem.workloads))}
        for _, columns in program.of_hour(t):
            for segment in columns.segments:
                for b, share in segment.shares.items():
                    terms[b].append((share, 1.0))
        for b, shares in terms.items():
            if problem.demand_rps[b, t] > 0:
                yield f"serve_{b}_{t}", pulp.LpAffineExpression(shares) == 1


def no_fleet_carries_more_than_its_capacity(program: Program) -> Iterator[Row]:
    """Load of a fleet: sum_b lambda_bt z_bjti / k_bji <= n_jti for every j, t, i."""
    problem = program.problem
    for (j, t), columns in program.fleets.items():
        rates = problem.options[j].curve.rps_per_instance
        for segment in columns.segments:
            load = [
                (share, float(problem.demand_rps[b, t] / rates[b, segment.index]))
                for b, share in segment.shares.items()
            ]
            yield f"load_{j}_{t}_{segment.index}", pulp.LpAffineExpression([*load, (segment.survivors, -1.0)]) <= 0


def a_segment_holds_for_its_counts(program: Program) -> Iterator[Row]:
    """Level choice: lo_ji s_jti <= n_jti <= hi_ji s_jti, and sum_i s_jti <= 1, for every j, t."""
    for (j, t), columns in program.fleets.items():
        choices = []
        for segment in columns.segments:
            if segment.chosen is not None:
                i, n, s = segment.index, segment.survivors, segment.chosen
                choices.append((s, 1.0))
                yield f"least_{j}_{t}_{i}", pulp.LpAffineExpression([(n, 1.0), (s, -float(segment.low))]) >= 0
                yield f"most_{j}_{t}_{i}", pulp.LpAffineExpression([(n, 1.0), (s, -float(segment.high))]) <= 0
        if len(choices) > 1:
            yield f"one_segment_{j}_{t}", pulp.LpAffineExpression(choices) <= 1


def a_zone_may_be_lost(program: Program) -> Iterator[Row]:
    """What is left when one of Z zones is lost must carry the load: (Z - 1) a_jt >= Z sum_i (n_jti + spare s_jti).

    Instances are spread evenly, so a zone holds a_jt / Z of them. With one zone, a_jt >= sum_i (n_jti + spare s_jti).
    """
    for (j, t), columns in program.fleets.items():
        option = program.problem.options[j]
        needed = _survivors_and_spares(columns.segments, option)
        if option.zones > 1:
            left = float(option.zones - 1) * columns.running - float(option.zones) * needed
            yield f"zones_{j}_{t}", left >= 0
        elif columns.started is not None:
            yield f"running_{j}_{t}", columns.running - needed >= 0


def options_keep_to_their_limits(program: Program) -> Iterator[Row]:
    """Most instances of one option, and quotas over several: a_jt <= A_j, sum_{j in Q} a_jt <= A_Q, for every t."""
    problem = program.problem
    for (j, t), columns in program.fleets.items():
        limit = problem.options[j].max_instances
        if limit is not None:
            yield f"limit_{j}_{t}", columns.running <= limit
    for q, quota in enumerate(problem.quotas):
        for t in range(len(problem.hours)):
            held = [program.fleets[j, t].running for j in quota.options if (j, t) in program.fleets]
            if held:
                yield f"quota_{q}_{t}", pulp.lpSum(held) <= quota.max_instances


def answers_are_accurate_enough(program: Program) -> Iterator[Row]:
    """Mean accuracy of a workload's answers: sum_ji A_bj z_bjti >= A_b for every b with a floor, every t."""
    problem = program.problem
    for b, floor in enumerate(problem.floors):
        if np.isnan(floor):
            continue
        for t in range(len(problem.hours)):
            terms = [
                (segment.shares[b], float(np.nan_to_num(problem.options[j].accuracy[b])))
                for j, columns in program.of_hour(t)
                for segment in columns.segments
                if b in segment.shares
            ]
            if terms:
                yield f"accuracy_{b}_{t}", pulp.LpAffineExpression(terms) >= float(floor)


def models_fit_into_memory(program: Program) -> Iterator[Row]:
    """Loaded models share an instance's memory: sum_b m_bj y_bjt <= M_j, and sum_i z_bjti <= y_bjt."""
    for (j, t), columns in program.fleets.items():
        option = program.problem.options[j]
        if not columns.hosted:
            continue
        loaded = [(hosted, float(option.memory_gib[b])) for b, hosted in columns.hosted.items()]
        yield f"memory_{j}_{t}", pulp.LpAffineExpression(loaded) <= float(option.device_memory_gib)
        for b, hosted in columns.hosted.items():
            served = [(segment.shares[b], 1.0) for segment in columns.segments if b in segment.shares]
            yield f"hosted_{b}_{j}_{t}", pulp.LpAffineExpression([*served, (hosted, -1.0)]) <= 0


def starting_is_counted(program: Program) -> Iterator[Row]:
    """Instances started: u_jt >= a_jt - a_j,t-1; the hour before the first is the last where hours repeat, else empty."""
    for j, t, columns in _with_starts(program):
        before = _running_before(program, j, t)
        yield f"start_{j}_{t}", columns.started - columns.running + before >= 0


def what_was_started_stays(program: Program) -> Iterator[Row]:
    """Minimum up-time U_j: sum of u_jt' over the U_j hours up to t <= a_jt."""
    hours = len(program.problem.hours)
    for j, t, columns in _with_starts(program):
        stay = program.problem.options[j].min_up_hours
        if stay > 1:
            earlier = [t - back for back in range(min(stay, hours)) if t - back >= 0 or program.problem.cyclic]
            started = [program.fleets[j, h % hours].started for h in earlier if (j, h % hours) in program.fleets]
            yield f"stay_{j}_{t}", pulp.lpSum(started) - columns.running <= 0


def no_hour_costs_too_much(program: Program) -> Iterator[Row]:
    """Budget of an hour: sum_j c_jt a_jt <= C for every t."""
    limit = program.problem.max_usd_per_hour
    if limit is None:
        return
    for t in range(len(program.problem.hours)):
        spent = [
            float(program.problem.options[j].usd_per_hour[t]) * columns.running for j, columns in program.of_hour(t)
        ]
        if spent:
            yield f"budget_{t}", pulp.lpSum(spent) <= limit


def _with_starts(program: Program) -> Iterator[tuple[int, int, FleetColumns]]:
    for (j, t), columns in program.fleets.items():
        if columns.started is not None:
            yield j, t, columns


def _running_before(program: Program, j: int, t: int) -> Any:
    hours = len(program.problem.hours)
    if t == 0 and not program.problem.cyclic:
        return 0
    before = program.fleets.get((j, (t - 1) % hours))
    return 0 if before is None else before.running


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
