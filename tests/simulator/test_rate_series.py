"""Requests per interval are read as they stand, and the interval is never guessed in silence."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from calibration.problems import InputError
from simulator.clock import NS_PER_HOUR, NS_PER_S
from simulator.rate_series import read_rate_series

SHARED = Path(__file__).resolve().parents[2] / "../shared"

S = NS_PER_S

ZERO_OR_GUESS = "Write 0 for an interval without requests, and a guess where it is not known."
NAME_IT = "Name the column of requests with column:."
COMPLETE = "Complete the rows (0 requests where there were none), or give interval:."


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is absent")
    return path


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "day.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems_of(path: Path, **options: Any) -> list[str]:
    """What reading this file complains of, without the file's name."""
    with pytest.raises(InputError) as caught:
        read_rate_series(path, **options)
    return [str(problem).removeprefix(f"{path}:").strip() for problem in caught.value.problems]


def test_the_world_cup_by_the_hour_is_read_whole() -> None:
    """1419 hours, and the spacing of their dates."""
    series = read_rate_series(shared("data/worldcup98_hourly.csv"))
    assert 1419 == len(series.requests)
    assert NS_PER_HOUR == series.interval_ns
    assert [324.0, 51622.0] == series.requests[:2].tolist()
    assert ("requests per interval from column requests", "interval of 3600 s, the spacing of column hour_start") == (
        series.notes
    )


def test_minutes_that_nobody_counted_are_refused() -> None:
    """The file has 10 blank minutes in 85110: taken for 0 they would be silences that never were."""
    problems = problems_of(shared("data/worldcup98_per_minute.csv.gz"))
    assert f"10434: requests: must not be blank. {ZERO_OR_GUESS}" == problems[0]
    assert "5 more rows are wrong in the same or another way. Mend those above first." == problems[-1]


@pytest.mark.parametrize(
    ("content", "options", "requests", "interval_ns"),
    [
        ("start_s,requests\n0,3\n60,4.5\n", {}, [3, 4.5], 60 * S),
        ("minute_ms,n\n0,3\n250,4\n", {}, [3, 4], S // 4),
        ("day,visits\n2024-02-28,1\n2024-02-29,2\n2024-03-01,3\n", {}, [1, 2, 3], 24 * NS_PER_HOUR),
        ("t,a\n2024-02-28T01:00+01:00,1\n2024-02-28T00:30Z,2\n", {}, [1, 2], NS_PER_HOUR // 2),
        ("requests\n1\n2\n", {"interval_ns": 5}, [1, 2], 5),
        ("1\n0\n2e3\n", {"interval_ns": 5}, [1, 0, 2000], 5),
        ("name,count\nx,1\ny,2\n", {"interval_ns": 5}, [1, 2], 5),
        ("requests,errors\n1,8\n2,9\n", {"interval_ns": 5, "column": "errors"}, [8, 9], 5),
        ("requests,errors\n1,8\n2,9\n", {"interval_ns": 5, "scale": 10.0}, [10, 20], 5),
        ("# cited\n\nrequests\n7\n", {"interval_ns": 5}, [7], 5),
        (gzip.compress(b"requests\n7\n"), {"interval_ns": 5}, [7], 5),
    ],
)
def test_the_column_and_the_interval_are_found_or_taken_as_said(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], requests: list[float], interval_ns: int
) -> None:
    """A count read from another column, or spread over another interval, is another load."""
    series = read_rate_series(written(tmp_path, content), **options)
    assert requests == series.requests.tolist()
    assert interval_ns == series.interval_ns
    assert len(requests) * interval_ns == series.length_ns
    assert not series.requests.flags.writeable


def test_what_was_assumed_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "start_s,requests\n0,3\n60,4\n")
    assert ("requests per interval from column requests", "interval of 60 s, the spacing of column start_s") == (
        read_rate_series(path).notes
    )
    assert (
        "requests per interval from column requests",
        "column start_s is spaced 60 s; played as intervals of 1 s",
        "requests multiplied by 0.5",
    ) == read_rate_series(path, interval_ns=S, scale=0.5).notes
    assert ("requests per interval, no header",) == read_rate_series(written(tmp_path, "3\n"), interval_ns=S).notes


def test_a_given_interval_needs_no_equal_spacing(tmp_path: Path) -> None:
    path = written(tmp_path, "start_s,requests\n0,3\n60,4\n61,5\n")
    assert ("requests per interval from column requests",) == read_rate_series(path, interval_ns=S).notes


@pytest.mark.parametrize(
    ("content", "options", "problems"),
    [
        ("", {}, ["must not be empty. It must hold at least one request."]),
        ("requests\n", {}, ["must hold at least one interval. It has a header and no rows."]),
        (
            "requests\n1\n2\n",
            {},
            ["must say how long an interval is. Give interval:, or add a column of equally spaced dates."],
        ),
        (
            "start_s,requests\n0,1\n",
            {},
            ["must say how long an interval is. Give interval:, or add a column of equally spaced dates."],
        ),
        (
            "n,requests\n1,\n2,-3\n3,nan\n4,x\n5,1e999\n",
            {"interval_ns": 5},
            [
                f"2: requests: must not be blank. {ZERO_OR_GUESS}",
                f"3: requests: must not be negative, got '-3'. {ZERO_OR_GUESS}",
                f"4: requests: must be a number, got 'nan'. {ZERO_OR_GUESS}",
                f"5: requests: must be a number, got 'x'. {ZERO_OR_GUESS}",
                f"6: requests: must be a number, got '1e999'. {ZERO_OR_GUESS}",
            ],
        ),
        (
            "requests\n0\n0.0\n",
            {"interval_ns": 5},
            ["must have a request in some interval, got 0 in all. A series of zeros brings no request."],
        ),
        (
            "a,b\n1,2\n3,4\n",
            {"interval_ns": 5},
            [f"must have the column requests, got several columns of numbers: a, b. {NAME_IT}"],
        ),
        (
            "a,b\nx,y\n",
            {"interval_ns": 5},
            [f"must have the column requests, got no column of numbers: a, b. {NAME_IT}"],
        ),
        ("a,bees\n1,2\n", {"column": "bee"}, ["1: must have the column bee, got a, bees. Did you mean bees?"]),
        ("a,bees\n1,2\n", {"column": "x"}, [f"1: must have the column x, got a, bees. {NAME_IT}"]),
        (
            "requests,requests\n1,2\n",
            {"interval_ns": 5},
            ["1: must have the column requests once. Delete or rename the other."],
        ),
        (
            "hour,requests\n2024-01-01 00:00,1\n2024-01-01 01:00,2\n2024-01-01 03:00,3\n2024-01-01 02:00,3\n",
            {},
            [
                f"4: hour: must be 3600 s after the row before (2024-01-01 01:00), got 2024-01-01 03:00. {COMPLETE}",
                f"5: hour: must be 3600 s after the row before (2024-01-01 03:00), got 2024-01-01 02:00. {COMPLETE}",
            ],
        ),
        (
            "start_s,requests\n5,1\n5,2\n",
            {},
            [f"3: start_s: must be later than the row before (5), got 5. {COMPLETE}"],
        ),
        (
            "start_s,requests\n0,1\n1,2,3\n",
            {},
            ["3: must have 2 cells, as the first row has, got 3. Complete the row or delete it."],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, content: str, options: dict[str, Any], problems: list[str]
) -> None:
    """A hole in the night would shift the morning."""
    assert problems == problems_of(written(tmp_path, content), **options)


def test_a_file_that_is_absent_is_told(tmp_path: Path) -> None:
    assert ["must be a file that exists. Check the path."] == problems_of(tmp_path / "absent.csv")


@pytest.mark.parametrize("options", [{"interval_ns": 0}, {"scale": 0.0}, {"scale": float("nan")}])
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        read_rate_series(written(tmp_path, "requests\n1\n"), **options)
