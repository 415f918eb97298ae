"""A tool's JSON is read by name, and whatever is wrong with it is told by its line, however large it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from calibration.importers.json_fields import LARGEST_WITH_PLACES, read_document, read_documents
from calibration.problems import InputError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "export.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_behind_each_other_and_one_a_line_are_all_read(tmp_path: Path) -> None:
    documents = read_documents(written(tmp_path, '{"a": 1}{"a": 2}\n{\n"a": 3}\n\n'))
    assert [1, 2, 3] == [document.content["a"] for document in documents]
    assert [1, 1, 2] == [document.line for document in documents]


def test_a_problem_in_a_later_value_has_its_line_in_the_file(tmp_path: Path) -> None:
    last = read_documents(written(tmp_path, '{"a": 1}\n{"a": 2}\n{\n  "a": {"b": [1, "x"]}\n}'))[-1]
    assert [] == last.root.fields("a").numbers("b")
    (problem,) = last.located()
    assert "export.json:4:18: a.b.1: must be a number, got 'x'." == str(problem).removeprefix(f"{tmp_path}/")


def test_one_value_is_wanted_where_there_are_two(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"export.json:2: must be one JSON value, another begins here"):
        read_document(written(tmp_path, "{}\n{}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("  \n", "is empty"), ('{"a": ', "is not valid JSON"), ("[" * 100_000, "is nested too deeply")],
)
def test_text_that_is_no_json_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_documents(written(tmp_path, text))


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read_documents(path)
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="must be UTF-8 text, byte 7 is not"):
        read_documents(path)


def test_a_file_too_large_for_places_is_read_all_the_same(tmp_path: Path) -> None:
    """A file with a record for each request is larger than what the reader with line numbers is made for."""
    text = json.dumps({"many": [0.1] * (LARGEST_WITH_PLACES // 4), "rate": "fast"})
    document = read_document(written(tmp_path, text))
    assert LARGEST_WITH_PLACES // 4 == len(document.root.numbers("many"))
    assert document.root.number("rate") is None
    assert [None] == [problem.line for problem in document.located()]


@pytest.mark.parametrize(
    ("value", "number", "said"),
    [
        (3, 3.0, None),
        (None, None, None),
        (math.nan, None, None),
        (math.inf, None, "must be a number"),
        ("3", None, "must be a number, got '3'"),
        (True, None, "must be a number, got true"),
        (-1, None, "must be at least 0, got -1"),
    ],
)
def test_a_number_is_a_number(tmp_path: Path, value: object, number: float | None, said: str | None) -> None:
    document = read_document(written(tmp_path, json.dumps({"rate": value})))
    assert number == document.root.number("rate")
    assert [said is not None] == [bool(document.problems)]
    assert said is None or said in str(document.problems[0])


def test_mappings_and_lists_that_are_none_are_problems(tmp_path: Path) -> None:
    root = read_document(written(tmp_path, '{"a": 1, "b": {"c": 2}, "d": [1, {}]}')).root
    assert {} == root.fields("a").content
    assert [] == root.numbers("b")
    assert ["d.1"] == [entry.path for entry in root.each("d")]
    assert [] == list(root.each("b"))
    assert ["a", "b", "d.0", "b"] == [problem.path for problem in root.document.problems]


def test_a_required_number_that_is_absent_is_a_problem(tmp_path: Path) -> None:
    root = read_document(written(tmp_path, "{}")).root
    assert root.number("mean", required=True) is None
    assert "mean: is required" in str(root.document.problems[0])


def test_a_list_where_a_mapping_belongs_is_refused_once(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "[1]"))
    assert {} == document.root.content == document.root.content
    assert 1 == len(document.problems)


def test_long_values_are_no_notes(tmp_path: Path) -> None:
    root = read_document(written(tmp_path, json.dumps({"a": 1, "b": 2, "texts": ["x" * 3000], "none": None}))).root
    assert {"b": 2} == root.rest(("a",))
