"""A budget file: a plan file with the section ``budget``. What it can get wrong is found here, all at once.

:func:`load_budget` is the way in. A :class:`BudgetQuestion` that exists is sound: its histories are read, its prices
known, and every rate that a purchase plan lacks is named. Where to read next: what may be written
(:mod:`optimizer.budget.budget_spec`), what is made of it (:mod:`optimizer.budget.chain`).
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from calibration.problems import InputError, Problem
from calibration.schema import problems_of
from calibration.source import Source, did_you_mean, file_problem, read_source
from calibration.tree import shown
from optimizer.budget.budget_spec import BudgetSpec, HistorySpec
from optimizer.budget.demand_history import LEAST_HOURS, DemandHistory, read_history
from optimizer.plan_file import Question, question_in
from simulator.overrides import with_overrides
from simulator.sections import entries_of, in_order, sound_entries

SECTION: Final = "budget"
"""The key that makes a plan file a budget file."""

_UNBILLED: Final = ("usd_per_request", "egress_usd_per_gb", "start_usd", "min_up")
"""Keys of a candidate whose money a budget does not hold."""

_STAND_IN: Final = {"process": "poisson", "rate": 1.0}
"""Arrivals of a workload that says none: its rate comes from the forecast."""


@dataclass(frozen=True)
class BudgetQuestion:
    """A budget file with everything that it names."""

    plan: Question
    """What is served, by what, at which prices: the plan file in it."""
    spec: BudgetSpec
    """What was written under ``budget``."""
    history: Mapping[str, DemandHistory]
    """Past demand by workload, in the order of the file."""
    source: Source = field(default=Source("<budget>"), repr=False, compare=False)
    """Where each value stands."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return self.plan.file.name

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names, in the order of the file."""
        return tuple(self.plan.workloads)

    @property
    def start(self) -> dt.datetime:
        """First hour of the budget, UTC."""
        return dt.datetime.combine(self.spec.start, dt.time(), dt.UTC)

    @property
    def end(self) -> dt.datetime:
        """The hour after its last one."""
        return dt.datetime.combine(self.spec.horizon.after(self.spec.start), dt.time(), dt.UTC)

    @property
    def hours(self) -> int:
        """Hours of the budget."""
        return (self.end - self.start) // dt.timedelta(hours=1)

    def tags(self, workload: str) -> dict[str, str]:
        """Who pays for a workload; always with its name."""
        return {"workload": workload, **self.spec.tags.get(workload, {})}

    def problem(self, path: str, rule: str, value: str | None = None, remedy: str = "") -> Problem:
        """Give a problem that a later stage found, with line and column of the value at this dotted path."""
        return self.source.problem(path, rule, value, remedy)


def is_budget(content: Mapping[str, Any]) -> bool:
    """Are these the values of a budget file? One look at its keys.

    >>> is_budget({"schema": 1, "plan": {}, "budget": {}}), is_budget({"schema": 1, "plan": {}})
    (True, False)
    """
    return SECTION in content


def load_budget(path: str | Path, settings: Mapping[str, str] | Sequence[str] = ()) -> BudgetQuestion:
    """Which budget does this YAML or JSON file ask for?

    Parameters
    ----------
    path
        The file.
    settings
        ``path.to.key=value`` texts of ``--set``, or values by path.

    Raises
    ------
    InputError
        With everything that is wrong with the file, the files it names, its prices, and the settings.
    """
    return _question(read_source(path), Path(path), settings, Path(path).parent)


def budget_from(content: Mapping[str, Any], *, folder: str | Path = ".", file: str = "<budget>") -> BudgetQuestion:
    """Which budget do these values ask for? They are what the YAML would hold.

    Raises
    ------
    InputError
        With everything that is wrong with them.
    """
    return _question(Source(file, dict(content)), None, (), Path(folder))


def _question(
    source: Source, path: Path | None, settings: Mapping[str, str] | Sequence[str], folder: Path
) -> BudgetQuestion:
    source, problems = with_overrides(source, settings)
    spec: BudgetSpec | None = None
    if SECTION not in source.content:
        problems.append(source.problem("", "must have the section budget", None, "See docs/budget.md, or plan it."))
    try:
        spec = BudgetSpec.model_validate(source.content.get(SECTION), context={"folder": folder})
    except ValidationError as error:
        problems += problems_of(error, source, BudgetSpec, under=(SECTION,)) if SECTION in source.content else []
    problems += _unbilled(source)
    plan: Question | None = None
    try:
        plan = question_in(_plan_in(source), path, (), folder)
    except InputError as error:
        problems += error.problems
    names = tuple(entries_of(source.content.get("workloads")))
    if spec is not None:
        problems += _between(source, spec, names)
    context = {"folder": folder}
    entries = sound_entries(HistorySpec, entries_of(source.content.get(SECTION)).get("history"), context)
    history, found = _histories(source, spec, entries, names)
    problems += found
    problems = in_order(problems, source.file)
    if problems or plan is None or spec is None:
        raise InputError(problems)
    return BudgetQuestion(plan, spec, history, source)


def _plan_in(source: Source) -> Source:
    """The plan file in it: without ``budget``, and with a rate for every workload."""
    content = {key: value for key, value in source.content.items() if key != SECTION}
    workloads = content.get("workloads")
    if isinstance(workloads, dict):
        content["workloads"] = {name: _with_arrivals(workload) for name, workload in workloads.items()}
    return source.with_content(content, {})


def _with_arrivals(workload: object) -> object:
    if not isinstance(workload, dict) or "arrivals" in workload:
        return copy.deepcopy(workload)
    return {**workload, "arrivals": dict(_STAND_IN)}


def _unbilled(source: Source) -> Iterator[Problem]:
    """What a plan may have and a budget does not hold."""
    for name, workload in entries_of(source.content.get("workloads")).items():
        process = entries_of(entries_of(workload).get("arrivals")).get("process")
        if process in {"rate_series", "trace"}:
            rule = "has rates of its own, which the forecast would replace"
            remedy = f"Leave arrivals out, or use poisson; name the file under budget.history.{name}."
            yield source.problem(f"workloads.{name}.arrivals.process", rule, str(process), remedy)
    candidates = entries_of(source.content.get("plan")).get("candidates")
    for index, candidate in enumerate(candidates if isinstance(candidates, list) else []):
        for key in _UNBILLED:
            if entries_of(candidate).get(key):
                rule = "is money or time that a budget does not hold: it bills hours of instances"
                value = shown(candidate[key])
                yield source.problem(f"plan.candidates.{index}.{key}", rule, value, "Plan it, or leave it out.")


def _between(source: Source, spec: BudgetSpec, workloads: tuple[str, ...]) -> Iterator[Problem]:
    """Names that must exist, and days that must lie within the budget."""
    if not workloads:
        return
    listed = f"There are: {', '.join(workloads)}."
    named = [(f"budget.{key}.{name}", name) for key in ("history", "tags", "growth") for name in getattr(spec, key)]
    for key in ("events", "demand_scenarios"):
        entries = enumerate(getattr(spec, key))
        named += [(f"budget.{key}.{index}.workload", one.workload) for index, one in entries if one.workload]
    for path, name in named:
        if name not in workloads:
            remedy = f"{did_you_mean(name, workloads)} {listed}".lstrip()
            yield source.problem(path, "names no workload", f"'{name}'", remedy)
    for name in workloads:
        if name not in spec.history:
            remedy = f"Add {name}: {{file: demand.csv}}, or {{means: ..., week_shape: ...}}."
            yield source.problem("budget.history", f"must name the past demand of the workload '{name}'", None, remedy)
    end = spec.horizon.after(spec.start)
    for key in ("price_cuts", "demand_scenarios"):
        for index, one in enumerate(getattr(spec, key)):
            if not spec.start <= one.first < end:
                rule = f"must be within the budget, from {spec.start} to the day before {end}"
                remedy = "Outside of it nothing changes."
                yield source.problem(f"budget.{key}.{index}.first", rule, str(one.first), remedy)


def _histories(
    source: Source, spec: BudgetSpec | None, entries: Mapping[str, HistorySpec], workloads: tuple[str, ...]
) -> tuple[dict[str, DemandHistory], list[Problem]]:
    """Past demand by workload, and what is wrong with it; entries that are broken themselves are absent."""
    found: dict[str, DemandHistory] = {}
    problems: list[Problem] = []
    for name in (*workloads, *(name for name in entries if name not in workloads)):
        absent = list(_absent(source, entries[name], f"budget.history.{name}")) if name in entries else []
        problems += absent
        if name not in entries or absent:
            continue
        try:
            found[name] = read_history(entries[name])
        except InputError as error:
            problems += error.problems
            continue
        problems += _unusable(source, spec, name, found[name])
    return found, problems


def _absent(source: Source, entry: HistorySpec, place: str) -> Iterator[Problem]:
    for key in ("file", "means", "week_shape"):
        path = getattr(entry, key)
        unreadable = None if path is None else file_problem(path)
        if unreadable is not None:
            rule, remedy = unreadable
            yield source.problem(f"{place}.{key}", f"names a file that {rule}", f"'{path}'", remedy)


def _unusable(source: Source, spec: BudgetSpec | None, name: str, history: DemandHistory) -> Iterator[Problem]:
    """A history that is too short, ends in the budget, or long before it; or that asks nothing."""
    place = f"budget.history.{name}"
    hours = len(history.rps)
    if hours < LEAST_HOURS:
        rule = f"must be at least {LEAST_HOURS // 168} weeks long: a trend cannot be told from a season otherwise"
        yield source.problem(place, rule, f"{hours:,} hours", "Give a longer history, or state growth and a plan.")
    if not history.rps.any():
        yield source.problem(place, "must have demand in some hour", "0 in all", "Leave the workload out.")
    if spec is None:
        return
    start = dt.datetime.combine(spec.start, dt.time(), dt.UTC)
    if history.end > start:
        rule = f"must end before the budget starts ({spec.start})"
        remedy = "Start the budget later, or cut the history: what is past needs no forecast."
        yield source.problem(place, rule, f"{history.end:%Y-%m-%d %H:%M}", remedy)
    elif (start - history.end).days > 366:
        rule = f"must end within a year before the budget starts ({spec.start})"
        remedy = "Bring it up to date; with shift: it can be taken to have been later."
        yield source.problem(place, rule, f"{history.end:%Y-%m-%d}", remedy)
