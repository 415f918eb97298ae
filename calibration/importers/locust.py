"""Locust: ``<prefix>_stats.csv``, the whole run, or ``<prefix>_stats_history.csv``, a row for each second.

Times are ms, percentiles rounded to whole ms and to two digits beyond 100 ms. Failed requests count among the
requests, and their times among the times. The number of requests outstanding is not told: users think between two
requests. It follows from Little's law, rate x mean time. Columns: locust/stats.py of Locust 2.47.

The percentiles of the history are those of the whole run so far, unless Locust ran with ``--csv-full-history``; only
its totals tell what happened between two rows. So each stretch of a constant number of users becomes one row, from
the difference of the totals at its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from calibration.csv_sheet import Row
from calibration.importers.columns import Table, read_table, unknown_columns
from calibration.importers.options import ImportOptions, option_problem
from calibration.importers.part import Part
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean, printable

MS_PER_S: Final = 1000.0

AGGREGATED: Final = "Aggregated"
SETTLED_S: Final = 10.0
"""Stretches of the history that are shorter are left out where there are longer ones: users were still starting."""

FAILED: Final = 0.01
"""Share of failed requests from which their part in the latencies is told."""

TYPE, NAME, USERS, TIME = "Type", "Name", "User Count", "Timestamp"
COUNT, FAILURES = "Request Count", "Failure Count"
MEDIAN, MEAN, LEAST, MOST = "Median Response Time", "Average Response Time", "Min Response Time", "Max Response Time"
RATE, FAILURE_RATE, SIZE = "Requests/s", "Failures/s", "Average Content Size"

_TOGETHER: Final = (AGGREGATED, "Total")
"""Names of the row of all endpoints together, today and before release 1.0."""

_STATS: Final = (TYPE, NAME, COUNT, FAILURES, MEDIAN, MEAN, LEAST, MOST, RATE, FAILURE_RATE, SIZE)
_TOTALS: Final = tuple(f"Total {column}" for column in (COUNT, FAILURES, MEDIAN, MEAN, LEAST, MOST, SIZE))
_HISTORY: Final = (TIME, USERS, TYPE, NAME, RATE, FAILURE_RATE, *_TOTALS)


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did Locust measure?

    Parameters
    ----------
    files
        Statistics of one or more runs; the history of a run instead of its statistics, not beside them.
    options
        ``endpoint`` chooses an endpoint by its name, or by its type and name; the default is all together.
        ``batches``: items in a request, one for each file.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    _refuse_both_of_a_run(files)
    batches = options.batch_for_each(len(files))
    parts: list[Part] = []
    problems: list[Problem] = []
    for index, file in enumerate(files):
        try:
            parts.append(_read_one(file, options))
        except InputError as error:
            problems += error.problems
            continue
        if batches:
            rows = tuple(replace(row, batch=float(batches[index])) for row in parts[-1].rows)
            parts[-1] = replace(parts[-1], rows=rows)
    if problems:
        raise InputError(problems)
    warnings = [warning for part in parts for warning in part.warnings]
    if not batches:
        words = "it is taken to be 1; --batch N says otherwise"
        warnings.append(f"the file does not say how many items a request has: {words}")
    return Observations(
        rows=tuple(row for part in parts for row in part.rows),
        scope="server",
        provenance=options.provenance(tool="Locust"),
        notes={"rounding": "Locust rounds times to 1 ms, beyond 100 ms to two digits"},
        warnings=(*dict.fromkeys(warnings), *unknown_columns(name for part in parts for name in part.unknown)),
    )


def _refuse_both_of_a_run(files: Sequence[Path]) -> None:
    runs = {path.with_name(path.name.replace("_stats_history.csv", "_stats.csv")) for path in files}
    if len(runs) < len(files):
        shown = ", ".join(printable(path) for path in files)
        rule, remedy = "must not hold a run twice, or its history beside its statistics", "Name one file of each run."
        raise InputError([option_problem("FILE", rule, shown, remedy)])


def _read_one(path: Path, options: ImportOptions) -> Part:
    table = read_table(path, "Locust")
    history = table.has(USERS)
    if history:
        table.require([TIME, NAME, f"Total {COUNT}", f"Total {FAILURES}", f"Total {MEAN}"], "Locust's history")
    else:
        table.require([NAME, COUNT, FAILURES, MEAN, RATE, FAILURE_RATE], "Locust's statistics")
    percentiles = {column: _percentile(column) for column in table.columns if column.endswith("%")}
    unknown = table.others([*(_HISTORY if history else _STATS), *percentiles])
    named = {column: name for column, name in percentiles.items() if name is not None}
    kept = _Kept(named, [column for column in percentiles if column not in named], unknown)
    chosen, warnings = _endpoint(table, options)
    rows, said = (_stretches if history else _totals)(table, chosen, kept)
    table.stop_at_problems()
    if not rows:
        rule, remedy = "holds no request that was answered", "Look at Locust's failures first."
        raise InputError([Problem(table.sheet.file, None, None, "", rule, None, remedy)])
    given = {"model_instances": options.model_instances, "max_batch_size": options.max_batch_size}
    setting: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    failed = sum(row.failed for row in rows)
    asked = failed + sum(row.requests or 0 for row in rows)
    if failed > FAILED * asked:
        said.append(f"{failed:,} of {asked:,} requests failed; Locust counts their times among the latencies")
    rows = [replace(row, **setting) for row in rows]
    return Part(rows=tuple(rows), warnings=(*warnings, *said), unknown=unknown)


def _percentile(column: str) -> str | None:
    return "max" if column == "100%" else percentile_name(column)


def _endpoint(table: Table, options: ImportOptions) -> tuple[list[Row], list[str]]:
    """Rows of the endpoint that is wanted, and what must be said of it."""
    named = [(row, table.text(row, TYPE) or "", table.text(row, NAME) or "") for row in table.rows]
    own = list(dict.fromkeys(f"{kind} {name}".strip() for _, kind, name in named if name not in _TOGETHER))
    wanted = options.endpoint
    if wanted is None:
        together = [row for row, _, name in named if name in _TOGETHER]
        warnings = [f"requests to {len(own)} endpoints together; --endpoint chooses one"] if len(own) > 1 else []
        if together or len(own) == 1:
            return together or [row for row, _, _ in named], warnings
        rule = f"must say which of the {len(own)} endpoints of {table.sheet.file} is meant"
        raise InputError([option_problem("--endpoint", rule, None, f"Choose one of {', '.join(own)}.")])
    found = [(row, kind) for row, kind, name in named if wanted in (name, f"{kind} {name}".strip())]
    if len({kind for _, kind in found}) == 1:
        return [row for row, _ in found], []
    rule = "must be an endpoint of the file" if not found else "must be one endpoint: give its type, too"
    remedy = " ".join(filter(None, [did_you_mean(wanted, own), f"Choose one of {', '.join(own) or AGGREGATED}."]))
    raise InputError([option_problem("--endpoint", rule, repr(wanted), remedy)])


def _totals(table: Table, rows: Sequence[Row], kept: _Kept) -> tuple[list[Observation], list[str]]:
    """The whole run: one row of the file."""
    found = []
    for row in rows:
        seen = _Seen(0.0, *_counted(table, row, "", table.needed(row, MEAN)))
        rate, failures = table.needed(row, RATE), table.needed(row, FAILURE_RATE)
        if seen.requests > seen.failed and rate and failures is not None:
            least, most = table.number(row, LEAST, above=0), table.number(row, MOST, above=0)
            latency = {"min": least, "max": most, **_percentiles(table, row, kept)}
            notes = table.notes(row, [*kept.unnamed, *kept.unknown, SIZE])
            found.append(_observation(seen, rate, failures, latency, notes, table.place(row)))
    return found, []


def _stretches(table: Table, rows: Sequence[Row], kept: _Kept) -> tuple[list[Observation], list[str]]:
    """Each stretch of time with a constant number of users, from the totals at its ends."""
    stretches: list[_Stretch] = []
    before: _Seen | None = None
    for row in rows:
        users = table.number(row, USERS)
        time = table.needed(row, TIME)
        seen = _Seen(time or 0.0, *_counted(table, row, "Total ", table.number(row, f"Total {MEAN}")))
        if before is not None and seen.requests < before.requests:  # the statistics were reset
            before, users_before = _Seen(before.time_s, 0, 0, 0.0), None
        else:
            users_before = stretches[-1].users if stretches else None
        if users != users_before:
            stretches.append(_Stretch(users or 0.0, before or seen, []))
        stretches[-1].rows.append((row, seen))
        before = seen
    table.stop_at_problems()
    served = [one for one in stretches if one.users > 0 and one.seconds > 0 and one.answered > 0]
    long = [one for one in served if one.seconds >= SETTLED_S]
    warnings = []
    if long and len(long) < len(served):
        left = len(served) - len(long)
        warnings.append(f"{left} stretches of less than {SETTLED_S:g} s with one number of users are left out")
    current = any(table.text(row, NAME) not in _TOGETHER for row in table.rows)
    whole = len(served) == 1 and served[0].start.requests == 0
    if not current and not whole:
        words = "the history's are those of the whole run so far (but for --csv-full-history)"
        warnings.append(f"no percentiles: {words}")
    return [_of_stretch(table, one, kept, current=current, whole=whole) for one in long or served], warnings


def _of_stretch(table: Table, stretch: _Stretch, kept: _Kept, *, current: bool, whole: bool) -> Observation:
    start, end = stretch.start, stretch.rows[-1][1]
    seen = _Seen(end.time_s, end.requests - start.requests, end.failed - start.failed, end.busy_ms - start.busy_ms)
    latency: dict[str, float | None] = {}
    if whole:
        latency = {**_percentiles(table, stretch.rows[-1][0], kept)}
    elif current:
        # The percentiles of a row are those of the ten seconds before it: the first rows still tell of what was before.
        rows = [row for row, at in stretch.rows if at.time_s - start.time_s >= SETTLED_S] or [stretch.rows[-1][0]]
        columns = [_percentiles(table, row, kept) for row in rows]
        latency = {name: median(one[name] for one in columns if name in one) for name in columns[-1]}
    notes = {USERS: stretch.users, **table.notes(stretch.rows[-1][0], kept.unknown)}
    place = table.place(stretch.rows[0][0])
    return _observation(seen, seen.requests / stretch.seconds, seen.failed / stretch.seconds, latency, notes, place)


class _Kept(NamedTuple):
    """What there is beside the columns that every file has."""

    named: Mapping[str, str]
    """Column of a percentile to its statistic."""
    unnamed: Sequence[str]
    """Columns of percentiles that have no statistic."""
    unknown: Sequence[str]


class _Seen(NamedTuple):
    """What had been counted at some time."""

    time_s: float
    requests: int
    failed: int
    busy_ms: float
    """Sum of all times."""


class _Stretch(NamedTuple):
    """Rows in which as many users were there."""

    users: float
    start: _Seen
    rows: list[tuple[Row, _Seen]]

    @property
    def seconds(self) -> float:
        return self.rows[-1][1].time_s - self.start.time_s

    @property
    def answered(self) -> int:
        end = self.rows[-1][1]
        return (end.requests - end.failed) - (self.start.requests - self.start.failed)


def _counted(table: Table, row: Row, total: str, mean_ms: float | None) -> tuple[int, int, float]:
    count, failed = table.needed(row, f"{total}{COUNT}"), table.needed(row, f"{total}{FAILURES}")
    return int(count or 0), int(failed or 0), (mean_ms or 0.0) * (count or 0.0)


def _percentiles(table: Table, row: Row, kept: _Kept) -> dict[str, float]:
    found = {name: table.number(row, column) for column, name in kept.named.items()}
    return {name: value for name, value in found.items() if value}


def _observation(
    seen: _Seen, rate: float, failures: float, latency: Mapping[str, float | None], notes: Mapping[str, Any], place: str
) -> Observation:
    mean_ms = seen.busy_ms / seen.requests
    outstanding = rate * mean_ms / MS_PER_S
    alone = notes.get(USERS) == 1
    return Observation(
        concurrency=1.0 if alone else outstanding,
        rate_rps=None if alone else rate,
        requests=seen.requests - seen.failed,
        failed=seen.failed,
        throughput_rps=rate - failures,
        latency_ms={"mean": mean_ms, **{name: value for name, value in latency.items() if value is not None}},
        notes=notes,
        place=place,
    )
