"""Plans for tests: small ones that are solved at once, one that was simulated, one that cannot be."""

from __future__ import annotations

from functools import cache

from optimizer.plan import Miss, Plan, Round, Verified
from optimizer.plan_file import Question, load_plan
from optimizer.study import optimize
from presentation.door import Given, workspace

STATED = """\
schema: 1
name: small # two kinds of machines
workloads:
  chat: {arrivals: {process: poisson, rate: 30}, slo: {p99: 200ms}}
plan:
  candidates:
    - {name: big, usd_per_hour: 3, capacity_rps: {chat: 20}, max_instances: 8}
    - {name: little, usd_per_hour: 1, capacity_rps: {chat: 5}}
    - {name: dear, usd_per_hour: 9, capacity_rps: {chat: 1}}
"""
"""30 requests a second: one big and two little ones, $5 an hour."""

BY_HOUR = STATED.replace("{process: poisson, rate: 30}", "{process: rate_series, file: day.csv}")
DAY = "start,requests\n" + "".join(f"2026-01-01T{h:02}:00:00Z,{36_000 * (1 + h)}\n" for h in range(4))

IMPOSSIBLE = STATED.replace("plan:\n", "plan:\n  max_usd_per_hour: 2\n")


def given(text: str = STATED) -> Given:
    """A plan file that somebody uploads."""
    return Given("small.yaml", text, {"day.csv": DAY.encode()} if "day.csv" in text else {})


@cache
def question_of(text: str = STATED, *overrides: str) -> Question:
    """What it asks."""
    with workspace(given(text)) as space:
        return space.opened_by(load_plan, overrides)


@cache
def plan_of(text: str = STATED, *overrides: str) -> Plan:
    """Its plan."""
    return optimize(question_of(text, *overrides))


def simulated(met: bool = True) -> Plan:
    """The same as if it had been simulated: one round missed, the next one held, or not."""
    from dataclasses import replace

    seen = Verified({"p99_ms": 200.0}, {"p99_ms": 180.0}, {"p99_ms": (175.0, 185.0)}, {"p99_ms": 190.0}, met, 0.995,
                    "big", "all day", 1, 10, 200_000)  # fmt: skip
    miss = Miss("little: batch 8, profile toy", "all day", 1, 2, False, "chat", "p99_ms", 200.0, 240.0, 0.9)
    rounds = (Round(4.0, 4.0, "optimal", 3, (miss,)), Round(5.0, 5.0, "optimal", 2))
    return replace(plan_of(), verified={"chat": seen}, rounds=rounds, warnings=("profile toy: is a guess", "stale"))
