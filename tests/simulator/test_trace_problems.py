"""What is wrong with a recorded trace is said, all of it, with the lines where it stands."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from calibration.problems import InputError
from simulator import text_rows
from simulator.traces import read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"

SECONDS = "Times are seconds from the start of the run."
MILLISECONDS = "Times are milliseconds from the start of the run."
NAME_IT = "Name the column of arrival times with column: (and its unit with time_unit:)."
QUOTES = "Check the quotes of that row."
ROW = "Correct or delete the row."
LINE = "Correct or delete the line."


class Bad(NamedTuple):
    """A file, how it is read, and what is said of it."""

    content: str | bytes
    problems: list[str]
    options: dict[str, Any] = {}  # noqa: RUF012


def sort_by(key: str) -> str:
    return f"Sort the file by {key}, earliest first, or correct it."


BAD = {
    "empty": Bad("", ["must not be empty. It must hold at least one request."]),
    "only blanks": Bad("\n \n# nothing\n", ["must not be empty. It must hold at least one request."]),
    "only a header": Bad("arrival_s\n", ["must hold at least one request. It has a header and no rows."]),
    "only Azure's header": Bad(AZURE, ["must hold at least one request. It has a header and no rows."]),
    "cells": Bad(
        "arrival_s\n1\nnan\n-2\n\n,\nx\n",
        [
            f"3: arrival_s: must be a decimal number, got 'nan'. {SECONDS}",
            f"4: arrival_s: must not be negative, got '-2'. {SECONDS}",
            "6: must have 1 cell, as the first row has, got 2. Complete the row or delete it.",
            f"7: arrival_s: must be a decimal number, got 'x'. {SECONDS}",
        ],
    ),
    "ragged": Bad(
        "# of a Monday\nid,arrival_s\na,1\nb\nc,2,3\nd,\n",
        [
            "4: must have 2 cells, as the first row has, got 1. Complete the row or delete it.",
            "5: must have 2 cells, as the first row has, got 3. Complete the row or delete it.",
            f"6: arrival_s: must not be blank. {SECONDS}",
        ],
    ),
    "out of order": Bad(
        "arrival_s\n5\n3\n4\n9\n8\n",
        [
            f"3: arrival_s: must not be earlier than the row before (5), got 3. {sort_by('arrival_s')}",
            f"6: arrival_s: must not be earlier than the row before (9), got 8. {sort_by('arrival_s')}",
        ],
    ),
    "out of order, no header": Bad(
        "2\n1\n",
        ["2: must not be earlier than the row before (2), got 1. Sort the file, earliest first, or correct it."],
    ),
    "dates": Bad(
        "arrival_s\n1700000000\n1700000001\n",
        [
            "must count times from the start of the run, got 1700000000 s for the first. "
            "Subtract the first time from all of them, or give the right time_unit."
        ],
    ),
    "too late": Bad(
        "arrival_s\n9e9\n",
        [f"2: arrival_s: must be within 146 years of the start, got '9e9'. {SECONDS}"],
    ),
    "no such column": Bad(
        "id,arrivals\na,1\n",
        [f"1: must have the column arrival_s, got id, arrivals. Did you mean arrivals? {NAME_IT}"],
    ),
    "no column like it": Bad(
        "x,y\na,1\n",
        [f"1: must have the column when, got x, y. {NAME_IT}"],
        {"column": "when"},
    ),
    "many columns": Bad(
        ",".join(["a_long_name_of_a_column"] * 9) + "\n",
        [f"1: must have the column arrival_s, got {('a_long_name_of_a_column, ' * 9)[:117]}.... {NAME_IT}"],
    ),
    "no header": Bad(
        "1,2\n3,4\n",
        [
            "1: must have the column arrival_s, got 1, 2. "
            "Give the file a header row, and name the column of arrival times with column:."
        ],
    ),
    "column twice": Bad(
        "arrival_s,arrival_s\n3,4\n",
        ["1: must have the column arrival_s once. Delete or rename the other."],
    ),
    "open quote": Bad('arrival_s\n"1\n2\n', [f"3: must be CSV (unexpected end of data). {QUOTES}"]),
    "cell of two lines": Bad('id,arrival_s\n"a\nb",2\n', [f"2: must end each quoted cell on its line. {QUOTES}"]),
    "Azure's columns": Bad(
        AZURE.replace("ContextTokens", "Tokens") + "2023-11-16 18:17:03.5,1,2\n",
        [
            "1: must have the column ContextTokens, got TIMESTAMP, Tokens, GeneratedTokens. "
            "The azure_llm layout has the columns TIMESTAMP, ContextTokens, GeneratedTokens."
        ],
        {"format": "azure_llm"},
    ),
    "Azure's cells": Bad(
        AZURE + "2023-11-16 18:17:03,1,2\n2023-11-31 18:17:03,x,2\n2023-11-16 18:17:02.9999999,1,-2\n",
        [
            f"3: TIMESTAMP: must be a timestamp such as 2023-11-16 18:17:03.9799600, got '2023-11-31 18:17:03'. {ROW}",
            f"3: ContextTokens: must be a whole number of tokens, got 'x'. {ROW}",
            "4: TIMESTAMP: must not be earlier than the row before (2023-11-16 18:17:03), "
            f"got 2023-11-16 18:17:02.9999999. {sort_by('TIMESTAMP')}",
            f"4: GeneratedTokens: must be a whole number of tokens, got '-2'. {ROW}",
        ],
    ),
    "Azure's unit": Bad(
        AZURE + "2023-11-16 18:17:03,1,2\n",
        [
            "column and time_unit must be left out with the azure_llm layout, whose TIMESTAMP is a date. "
            "Delete them, or choose format: column."
        ],
        {"format": "azure_llm", "time_unit": "s"},
    ),
    "JSON array": Bad(
        '[{"timestamp": 0}]\n',
        ["1: must hold one JSON object a line. Write the array's members as lines."],
    ),
    "Mooncake's times": Bad(
        '{"timestamp": 5}\n{"timestamp": 3}\n{"time": 5}\n{"timestamp": "6"}\n{"timestamp": NaN}\n',
        [
            f"2: timestamp: must not be earlier than the row before (5), got 3. {sort_by('timestamp')}",
            f"3: timestamp: must be given. {LINE}",
            f'4: timestamp: must be a number, got "6". {LINE}',
            f"5: timestamp: must be a number, got NaN. {LINE}",
        ],
        {"time_unit": "ms"},
    ),
    "Mooncake's lines": Bad(
        '{"timestamp": 5\n[1]\n{"timestamp": true}\n{"timestamp": -1, "input_length": 1.5}\n',
        [
            f"1:16: must be a JSON object (expecting ',' delimiter). {LINE}",
            "2: must be a JSON object, got [1]. Write one object a line.",
            f"3: timestamp: must be a number, got true. {LINE}",
            f"4: input_length: must be a whole number of tokens, got 1.5. {LINE}",
            f"4: timestamp: must not be negative, got '-1'. {MILLISECONDS}",
        ],
        {"format": "mooncake"},
    ),
    "Mooncake's column": Bad(
        '{"timestamp": 5}\n',
        ["column must be left out with the mooncake layout, whose key is timestamp, got t. Delete it."],
        {"format": "mooncake", "column": "t"},
    ),
    "JSON that only fills memory": Bad(
        '{"timestamp": 1}\n{"timestamp": ' + "1" * 5000 + '}\n{"timestamp": ' + "[" * 90_000 + "}\n",
        [f"{line}: must be a JSON object of numbers and short lists. {LINE}" for line in (2, 3)],
    ),
    "many": Bad(
        "arrival_s\n" + "x\n" * 9,
        [
            *(f"{line}: arrival_s: must be a decimal number, got 'x'. {SECONDS}" for line in range(2, 7)),
            "4 more rows are wrong in the same or another way. Mend those above first.",
        ],
    ),
    "not UTF-8": Bad(
        b"arrival_s\n1\n\xff\xfe\n",
        [f"3: arrival_s: must be a decimal number, got '\\\\xff\\\\xfe'. {SECONDS}"],
    ),
    "cut gzip": Bad(
        gzip.compress(b"arrival_s\n1\n" * 999)[:-30],
        [
            "must be a whole gzip file, is cut or damaged (Compressed file ended before the end-of-stream marker was "
            "reached). Fetch or pack it again."
        ],
    ),
    "zip": Bad(b"PK\x03\x04....", ["must be UTF-8 text or gzip of it, is a zip archive. Convert it first."]),
    "UTF-16": Bad(
        "arrival_s\n1".encode("utf-16"),
        ["must be UTF-8 text or gzip of it, is UTF-16 text. Convert it first."],
    ),
    "endless line": Bad(
        b"arrival_s\n" + b"1" * text_rows.LONGEST_LINE,
        [f"2: must have lines shorter than {text_rows.LONGEST_LINE} characters. Check that it is the file you mean."],
    ),
}


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "trace.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems_of(path: Path, **options: Any) -> list[str]:
    """What reading this file complains of, without the file's name."""
    with pytest.raises(InputError) as caught:
        read_trace(path, **options)
    return [str(problem).removeprefix(f"{path}:").strip() for problem in caught.value.problems]


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, name: str) -> None:
    """Somebody has to find the row in a file of a million."""
    bad = BAD[name]
    assert bad.problems == problems_of(written(tmp_path, bad.content), **bad.options)


def test_the_order_of_rows_is_checked_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of millions of rows is read in blocks: line numbers and order must not start anew with each."""
    monkeypatch.setattr(text_rows, "BLOCK_ROWS", 7)
    texts = [f"{number}.{number:03d}" for number in range(100)]
    path = written(tmp_path, "arrival_s\n" + "\n".join([*texts[:48], "3", *texts[48:]]))
    rule = "must not be earlier than the row before (47.047), got 3."
    assert [f"50: arrival_s: {rule} {sort_by('arrival_s')}"] == problems_of(path)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    assert ["must be a file that exists. Check the path."] == problems_of(tmp_path / "absent.csv")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert ["must be a file, is a directory. Name a file in it."] == problems_of(folder)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert ["must be a regular file. Save it as a file first."] == problems_of(pipe)
    assert ["must be a file that exists. Check the path."] == problems_of(Path("a\x00b"))


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "arrival_s\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert ["must be a file that can be read (Permission denied). Check its permissions."] == problems_of(path)


def test_a_read_error_on_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    path = written(tmp_path, "arrival_s\n1\n")
    monkeypatch.setattr(Path, "open", broken)
    assert ["must be a file that can be read (Input/output error). Check its permissions."] == problems_of(path)
