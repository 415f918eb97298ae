"""Planning questions small enough to write down, to draw at random, and to answer by trying every plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from optimizer.problem import CapacityCurve, Option, PlanProblem, Quota

HOURLY_FEE = 3600.0


def option(
    name: str,
    usd_per_hour: float | Sequence[float],
    rps: Sequence[float] | Sequence[Sequence[float]],
    *,
    counts: Sequence[int] = (1,),
    hours: int = 1,
    **rest: Any,
) -> Option:
    """An option by its price and its requests per second: one a workload, or one a workload and count."""
    rates = np.array(rps, dtype=float)
    rates = rates.reshape(len(rates), len(counts))
    n = len(rates)
    arrays = {"usd_per_request": np.zeros(n), "accuracy": np.full(n, np.nan), "memory_gib": np.zeros(n)}
    arrays |= {key: np.array(rest.pop(key), dtype=float) for key in tuple(rest) if key in arrays}
    curve = CapacityCurve(np.array(counts), rates)
    return Option(name, name, curve, np.broadcast_to(usd_per_hour, hours).astype(float), **arrays, **rest)


def question(demand_rps: Sequence[Sequence[float]], *options: Option, **rest: Any) -> PlanProblem:
    """A problem with a row of demand for each workload, every hour standing for one hour of a month."""
    demand = np.array(demand_rps, dtype=float)
    names = tuple(f"w{row}" for row in range(demand.shape[0]))
    hours = tuple(f"{hour:02d}:00" for hour in range(demand.shape[1]))
    rest.setdefault("weight_h", np.ones(len(hours)))
    return PlanProblem(names, tuple(options), hours, demand_rps=demand, **rest)


@st.composite
def curves(draw: st.DrawFn, workloads: int) -> tuple[tuple[int, ...], list[list[float]]]:
    """Counts, and rates that mostly rise with them; 0 for a workload that is not served."""
    counts = draw(st.sampled_from([(1,), (1,), (1, 2), (1, 3)]))
    rates = []
    for _ in range(workloads):
        rate = draw(st.sampled_from([0, 2, 3, 3, 5, 5, 8]))
        rates.append([float(rate), *(float(max(0, rate + draw(st.integers(-1, 3)) * (rate > 0))) for _ in counts[1:])])
    return counts, rates


@st.composite
def problems(draw: st.DrawFn, *, starts: bool = False) -> PlanProblem:
    """Everything that a problem can hold, in small whole numbers: two or three options, one or two workloads."""
    workloads = draw(st.integers(1, 2))
    hours = draw(st.integers(2, 3) if starts else st.integers(1, 2))
    few = st.integers(0, 4 if starts else 12)
    demand = [[float(draw(few)) for _ in range(hours)] for _ in range(workloads)]
    options = []
    for j in range(2 if starts else draw(st.integers(2, 3))):
        counts, rates = draw(curves(workloads))
        fees = [draw(st.sampled_from([0.0, 0.0, 1.0])) / HOURLY_FEE for _ in range(workloads)]
        rest: dict[str, Any] = {}
        if starts and draw(st.booleans()):
            rest |= {"start_usd": float(draw(st.integers(0, 4))), "min_up_hours": draw(st.integers(0, 3))}
        options.append(
            option(
                f"o{j}",
                [float(draw(st.integers(1, 9))) for _ in range(hours)],
                rates,
                counts=counts,
                hours=hours,
                usd_per_request=fees,
                accuracy=[draw(st.sampled_from([0.5, 0.75, 1.0])) for _ in range(workloads)],
                memory_gib=[float(draw(st.integers(1, 3))) for _ in range(workloads)],
                device_memory_gib=draw(st.sampled_from([3.0, math.inf, math.inf])),
                max_instances=draw(st.sampled_from([None, None, None, 3])),
                spare=draw(st.sampled_from([0, 0, 1])),
                zones=draw(st.sampled_from([1, 1, 3] if starts else [1, 1, 2, 3])),
                **rest,
            )
        )
    quotas = [Quota("both", (0, 1), draw(st.integers(2, 6)))] if draw(st.integers(0, 3)) == 0 else []
    floors = np.array([draw(st.sampled_from([math.nan, math.nan, math.nan, 0.75])) for _ in range(workloads)])
    budget = draw(st.sampled_from([None, None, None, 40.0]))
    return question(
        demand,
        *options,
        quotas=tuple(quotas),
        min_accuracy=floors,
        max_usd_per_hour=budget,
        cyclic=draw(st.booleans()),
    )


def least_usd(problem: PlanProblem) -> float:
    """What does the cheapest plan cost? By trying all counts of instances; infinite where no plan exists.

    Written from the words of the problem, not from its program: only how requests are shared among given instances is
    left to a linear program.
    """
    hours = range(len(problem.hours))
    if not any(_stays(o) for o in problem.options):
        return sum(_least_of_hour(problem, t) for t in hours)
    tables = [_tables(problem, t) for t in hours]
    best = math.inf
    for path in product(*(table.items() for table in tables)):
        rows = np.array([running for running, _ in path]).T
        fresh = _fresh(problem, rows)
        if all(_long_enough(problem, j, rows[j], fresh[j]) for j in range(len(rows))):
            usd = 0.0
            for t, (running, fee) in enumerate(path):
                begun = sum(o.start_usd * fresh[j][t] for j, o in enumerate(problem.options))
                usd += _allowed(problem, t, running, fee + begun)
            best = min(best, usd)
    return best


def _stays(one: Option) -> bool:
    return one.start_usd > 0 or one.min_up_hours > 1


def _fresh(problem: PlanProblem, rows: np.ndarray) -> list[list[int]]:
    """Instances started, by option and hour."""
    begun = []
    for row in rows.tolist():
        before = [row[-1] if problem.cyclic else 0, *row[:-1]]
        begun.append([max(0, now - then) for then, now in zip(before, row, strict=True)])
    return begun


def _long_enough(problem: PlanProblem, j: int, running: np.ndarray, fresh: Sequence[int]) -> bool:
    """Whether those started in the last hours still run."""
    stay, hours = problem.options[j].min_up_hours, len(running)
    if stay < 2:
        return True
    for t in range(hours):
        since = [t - back for back in range(min(stay, hours)) if t >= back or problem.cyclic]
        if sum(fresh[hour % hours] for hour in since) > running[t]:
            return False
    return True


def _least_of_hour(problem: PlanProblem, t: int) -> float:
    """The cheapest plan of an hour on its own: counts in order of what they cost, until one that carries it all."""
    best = math.inf
    priced = sorted((_allowed(problem, t, running, 0.0), running) for running in _counts(problem, t))
    for usd, running in priced:
        if usd >= best:
            break
        best = min(best, _allowed(problem, t, running, _fee_of_running(problem, t, running)))
    return best


def _counts(problem: PlanProblem, t: int) -> Iterator[tuple[int, ...]]:
    """Counts of running instances that could be of use."""
    most = []
    for one in problem.options:
        # what stays may outlast the demand that it was started for
        hours = range(len(problem.hours)) if _stays(one) else [t]
        useful = max(_running(one, _enough(one, problem.demand_rps[:, hour])) for hour in hours)
        most.append(useful if one.max_instances is None else min(useful, one.max_instances))
    return product(*(range(count + 1) for count in most))


def _tables(problem: PlanProblem, t: int) -> Mapping[tuple[int, ...], float]:
    """Least fees of an hour for every count of running instances that carries its demand."""
    fees = {running: _fee_of_running(problem, t, running) for running in _counts(problem, t)}
    return {running: fee for running, fee in fees.items() if fee < math.inf}


def _fee_of_running(problem: PlanProblem, t: int, running: Sequence[int]) -> float:
    left = [_left(one, count) for one, count in zip(problem.options, running, strict=True)]
    return min((_least_fee(problem, t, fewer) for fewer in _no_more(problem, left)), default=math.inf)


def _enough(one: Option, demand: np.ndarray) -> int:
    """Survivors that carry all that the option can serve, even at the lowest of its rates."""
    rates = one.curve.rps_per_instance
    served = rates.max(axis=1) > 0
    if not demand[served].any():
        return 0
    return max(math.ceil(demand[served].sum() / rates[rates > 0].min()), int(one.curve.instances[-1]))


def _no_more(problem: PlanProblem, left: Sequence[int]) -> list[tuple[int, ...]]:
    """Counts that could share the work: all survivors, or fewer where a curve falls."""
    choices = []
    for one, count in zip(problem.options, left, strict=True):
        falls = (np.diff(one.curve.rps_per_instance, axis=1) < 0).any()
        choices.append(range(count + 1) if falls else [count])
    return list(product(*choices))


def _left(one: Option, running: int) -> int:
    lost = math.ceil(running / one.zones) if one.zones > 1 else 0
    return max(0, running - lost - one.spare)


def _running(one: Option, survivors: int) -> int:
    if survivors == 0:
        return 0
    return next(count for count in range(100 * survivors + 100) if _left(one, count) >= survivors)


def _allowed(problem: PlanProblem, t: int, running: Sequence[int], beside: float) -> float:
    """Cost of an hour, infinite where a limit is broken."""
    usd = sum(one.usd_per_hour[t] * count for one, count in zip(problem.options, running, strict=True)) + beside
    held = all(
        one.max_instances is None or count <= one.max_instances
        for one, count in zip(problem.options, running, strict=True)
    )
    held &= all(sum(running[j] for j in quota.options) <= quota.max_instances for quota in problem.quotas)
    held &= problem.max_usd_per_hour is None or usd <= problem.max_usd_per_hour + 1e-9
    return float(usd) if held else math.inf


def _least_fee(problem: PlanProblem, t: int, survivors: Sequence[int]) -> float:
    """Least fees of an hour for which so many survivors carry its demand; infinite where they cannot."""
    return min(_routed(problem, t, survivors, holding) for holding in product(*(_holdings(o) for o in problem.options)))


def _holdings(one: Option) -> list[frozenset[int]]:
    """Sets of models that fit together; the largest suffice."""
    n = len(one.memory_gib)
    fit = [
        frozenset(b for b in range(n) if mask >> b & 1)
        for mask in range(2**n)
        if sum(one.memory_gib[b] for b in range(n) if mask >> b & 1) <= one.device_memory_gib
    ]
    return [held for held in fit if not any(held < other for other in fit)]


def _routed(problem: PlanProblem, t: int, survivors: Sequence[int], holding: Sequence[frozenset[int]]) -> float:
    demand = problem.demand_rps[:, t]
    wanted = np.flatnonzero(demand > 0)
    if not len(wanted):
        return 0.0
    columns = []
    for j, (one, count) in enumerate(zip(problem.options, survivors, strict=True)):
        if count:
            row = max(i for i, start in enumerate(one.curve.instances) if start <= count)
            rates = one.curve.rps_per_instance[:, row]
            columns += [(b, j, rates[b]) for b in wanted if rates[b] > 0 and b in holding[j]]
    room = [sum(rate * survivors[j] for b, j, rate in columns if b == row) for row in wanted]
    if (np.array(room) < demand[wanted] * (1 - 1e-9)).any():
        return math.inf
    fees = [HOURLY_FEE * problem.options[j].usd_per_request[b] * demand[b] for b, j, _ in columns]
    serve = [[float(b == row) for b, _, _ in columns] for row in wanted]
    load = [[demand[b] / rate * (j == fleet) for b, j, rate in columns] for fleet in range(len(survivors))]
    limits = [float(count) for count in survivors]
    for b, floor in enumerate(problem.min_accuracy):
        if not math.isnan(floor):
            accuracy = [np.nan_to_num(problem.options[j].accuracy[row]) * (row == b) for row, j, _ in columns]
            load.append([-each for each in accuracy])
            limits.append(-float(floor) if b in wanted else 0.0)
    found = linprog(fees, A_ub=load, b_ub=limits, A_eq=serve, b_eq=np.ones(len(wanted)))
    return float(found.fun) if found.status == 0 else math.inf
