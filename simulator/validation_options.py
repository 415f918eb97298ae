"""What a person says on the command line of ``simulate validate``, read into what the comparison takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from calibration.catalogue import profile_path
from calibration.importers import ImportOptions
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, did_you_mean
from calibration.units import duration_ns
from simulator.scenario import Scenario, load_scenario
from simulator.validation_cases import JUDGED, RULES, Server, sizes_in
from simulator.validation_files import Measured, read_measured
from simulator.validation_scenario import Setting, check_base


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options, as they were written."""

    profile: str
    against: tuple[Path, ...]
    format: str | None = None
    batches: tuple[int, ...] = ()
    rule: str | None = None
    max_batch_size: int | None = None
    max_queue_delay: str | None = None
    preferred_batch_sizes: str | None = None
    model_instances: int | None = None
    scenario: str | None = None


def read(asked: Asked) -> tuple[Measured, Setting]:
    """Which loads were measured, and what is put behind them?

    Raises
    ------
    InputError
        With everything that is wrong with the options and the files they name.
    """
    problems: list[Problem] = []
    server = _server(asked, problems)
    base: Scenario | None = None
    measured: Measured | None = None
    try:
        base = _base(asked, server, problems)
    except InputError as error:
        problems += error.problems
    try:
        options = ImportOptions(batches=asked.batches)
        measured = read_measured(asked.against, format=asked.format, options=options)
    except InputError as error:
        problems += error.problems
    if problems or measured is None:
        raise InputError(problems)
    return measured, Setting(profile=profile_path(asked.profile, Path()), server=server, base=base)


def within(text: str | None, *, check: bool) -> dict[str, float]:
    """Which errors are allowed, by figure, as shares?

    Parameters
    ----------
    text
        ``figure=per cent``, separated by commas.
    check
        Whether somebody relies on them.

    Raises
    ------
    InputError
        When the text says something else, or nothing is said and somebody relies on it.

    >>> within("p50=5%, throughput=0.02", check=False)
    {'p50': 0.05, 'throughput': 0.02}
    """
    if text is None:
        if check:
            remedy = "Say what must hold, as in --within p50=5%,p99=10%."
            raise InputError([_problem("--check", "needs --within", None, remedy)])
        return {}
    problems = []
    allowed: dict[str, float] = {}
    for part in text.split(","):
        name, _, written = (piece.strip() for piece in part.partition("="))
        share = _share(written)
        if name not in JUDGED:
            near = did_you_mean(name, JUDGED)
            rule = f"must name one of {', '.join(JUDGED)}"
            problems.append(_problem("--within", rule, repr(part.strip()), near or "Write p50=5%."))
        elif share is None or share <= 0:
            rule = "must give a share greater than 0 for each figure"
            problems.append(_problem("--within", rule, repr(part.strip()), "Write p50=5%."))
        else:
            allowed[name] = share
    if problems:
        raise InputError(problems)
    return allowed


def _share(text: str) -> float | None:
    percent = text.endswith("%")
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return None
    value = value / 100 if percent else value
    return value if math.isfinite(value) else None


def _server(asked: Asked, problems: list[Problem]) -> Server:
    delay_ms: float | None = None
    if asked.rule is not None and asked.rule not in RULES:
        near = did_you_mean(asked.rule, RULES)
        rule = f"must be one of {', '.join(RULES)}"
        problems.append(_problem("--rule", rule, repr(asked.rule), near or "Name the server's rule."))
    if asked.max_queue_delay is not None:
        try:
            delay_ms = duration_ns(asked.max_queue_delay) / 1e6
        except PydanticCustomError as error:
            rule, remedy = error.message(), str((error.context or {}).get("remedy", ""))
            problems.append(_problem("--max-queue-delay", rule, repr(asked.max_queue_delay), remedy))
    preferred = sizes_in(asked.preferred_batch_sizes or "")
    if asked.preferred_batch_sizes is not None and preferred is None:
        rule = "must be whole numbers of at least 1"
        problems.append(_problem("--preferred-batch-sizes", rule, repr(asked.preferred_batch_sizes), "Write 4,8."))
    return Server(
        rule=asked.rule,
        max_batch_size=asked.max_batch_size,
        max_queue_delay_ms=delay_ms,
        preferred_batch_sizes=preferred,
        model_instances=asked.model_instances,
    )


def _base(asked: Asked, server: Server, problems: list[Problem]) -> Scenario | None:
    if asked.scenario is None:
        return None
    if server != Server():
        said = "the server's settings stand in the scenario"
        problems.append(
            _problem("--scenario", f"must not be given beside options of the server: {said}", None, "Leave these out.")
        )
    base = load_scenario(asked.scenario)
    check_base(base)
    return base


def _problem(option: str, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem(COMMAND_LINE, None, None, option, rule, value, remedy)
