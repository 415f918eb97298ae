"""Files become values that know their place; whatever is wrong becomes problems, never a traceback."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from calibration import source as source_module
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, Source, file_problem, parse_source, read_source
from calibration.tree import DEEPEST


def fatal(text: str, *, is_json: bool = False) -> tuple[Problem, ...]:
    """Problems with which reading the text is given up."""
    with pytest.raises(InputError) as caught:
        parse_source(text, "f", is_json=is_json)
    return caught.value.problems


def place(problem: Problem) -> tuple[int | None, int | None]:
    return problem.line, problem.column


def test_every_value_knows_its_line_and_column() -> None:
    source = parse_source("a: 1\nb:\n  - x\n  - {c: 2}\n", "f.yaml")
    assert {"a": 1, "b": ["x", {"c": 2}]} == source.content
    assert (1, 4) == place(source.problem("a", ""))
    assert (3, 5) == place(source.problem("b.0", ""))
    assert (4, 9) == place(source.problem("b.1.c", ""))


def test_a_mapping_is_pointed_at_by_its_key() -> None:
    """The value of a block starts on the next line: an error there would seem to be about its first key."""
    source = parse_source("a:\n  b: 1\n", "f.yaml")
    assert (1, 1) == place(source.problem("a", ""))
    assert (1, 1) == place(source.problem("a.missing", ""))
    assert (2, 3) == place(source.problem("a.b", "", at_key=True))


def test_a_path_that_is_nowhere_in_the_file_is_placed_at_its_top() -> None:
    assert (1, 1) == place(parse_source("a: 1\n", "f.yaml").problem("horizon", ""))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("no", "no"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0123", 123),
        ("+.5", 0.5),
        ("~", None),
        ("", None),
        ("True", True),
        ("'true'", "true"),
        ("2026-01-01", "2026-01-01"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """PyYAML reads 1e3 as text, 12:30 as 750 and no as False."""
    found = parse_source(f"a: {text}", "f").content["a"]
    assert value == found
    assert type(value) is type(found)


def test_keys_are_text_in_both_formats() -> None:
    assert {"1": 0.5, "true": 2} == parse_source("1: 0.5\ntrue: 2", "f").content


def test_all_duplicate_keys_are_reported_each_with_its_first() -> None:
    source = parse_source("a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n", "f.yaml")
    assert [
        "f.yaml:2:11: b.c: is a duplicate key, first given on line 2. Remove one of the two.",
        "f.yaml:3:1: a: is a duplicate key, first given on line 1. Remove one of the two.",
        "f.yaml:4:1: a: is a duplicate key, first given on line 1. Remove one of the two.",
    ] == sorted(map(str, source.problems))


def test_all_duplicate_keys_of_a_json_file_are_reported() -> None:
    source = parse_source('{"a": {"b": 1,\n "b": 2},\n "a": {"b": 3}}', "f.json", is_json=True)
    assert {"a": {"b": 1}} == source.content
    assert [(2, 2, "a.b"), (3, 2, "a")] == [(p.line, p.column, p.path) for p in source.problems]
    assert (1, 13) == place(source.problem("a.b", "")), "places are those of the values that are kept"


@pytest.mark.parametrize(
    ("text", "is_json"), [(".nan", False), (".inf", False), ("-.INF", False), ("NaN", True), ("-Infinity", True)]
)
def test_numbers_that_are_not_finite_are_refused_by_name(text: str, is_json: bool) -> None:
    content = f'{{"a": [1, {text}]}}'
    (problem,) = parse_source(content, "f", is_json=is_json).problems
    assert f"f:1:11: a.1: must be a finite number, got {text}." in str(problem)


@pytest.mark.parametrize("is_json", [False, True])
@pytest.mark.parametrize("text", ["1e999", "9" * 30, "9" * 5000, "-" + "9" * 20])
def test_absurdly_large_numbers_are_refused(text: str, is_json: bool) -> None:
    (problem,) = parse_source(f'{{"a": {text}}}', "f", is_json=is_json).problems
    assert "is too large a number" == problem.rule
    assert problem.value is not None
    assert len(problem.value) < 70


@pytest.mark.parametrize("is_json", [False, True])
def test_half_a_character_is_refused_since_it_cannot_be_printed(is_json: bool) -> None:
    (problem,) = parse_source('{"a": "\\ud83d"}', "f", is_json=is_json).problems
    assert "half of a character" in problem.rule


def test_tags_are_refused_and_nothing_is_constructed() -> None:
    source = parse_source("a: !!python/object/apply:os.system [echo]\nb: !mine x\n", "f")
    assert [(1, 4), (2, 4)] == [place(problem) for problem in source.problems]
    assert {"a": None, "b": None} == source.content


def test_aliases_and_merge_keys_are_read() -> None:
    text = "a: &a {x: 1, y: [1]}\nb: {<<: *a, x: 2}\nc: *a\nd: {<<: [{z: 3}, *a]}\n"
    source = parse_source(text, "f")
    expected = {"x": 1, "y": [1]}
    assert {"a": expected, "b": {**expected, "x": 2}, "c": expected, "d": {"z": 3, **expected}} == source.content
    assert (2, 16) == place(source.problem("b.x", ""))
    assert (1, 17) == place(source.problem("b.y", ""))
    assert (1, 18) == place(source.problem("b.y.0", ""))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: *x", "alias *x has no anchor &x before it"),
        ("a: &a [*a]", "is an alias of itself"),
        ("a: {<<: 3}", "must name mappings to merge"),
        ("? [a]\n: 1", "is a key that is not plain text"),
        ("a: 1\n---\nb: 2\n", "must hold one document, a second one starts here"),
    ],
)
def test_what_yaml_allows_but_a_scenario_does_not(text: str, rule: str) -> None:
    (problem,) = parse_source(text, "f").problems
    assert rule == problem.rule
    assert problem.line is not None
    assert problem.remedy


def test_a_yaml_bomb_is_refused_before_it_goes_off() -> None:
    """Nine lines of aliases stand for a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = fatal("\n".join(lines))
    assert problem.rule.startswith("holds more than 100,000 values, aliases counted")
    assert 5 == problem.line


def test_a_bomb_of_merge_keys_is_refused() -> None:
    lines = ["a0: &a0 {x: [1, 1, 1, 1, 1, 1, 1, 1]}"]
    lines += [f"a{n}: &a{n} {{k: [{', '.join([f'{{<<: *a{n - 1}}}'] * 10)}]}}" for n in range(1, 10)]
    assert fatal("\n".join(lines))[0].rule.startswith("holds more than 100,000 values")


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ("[" * 3000 + "]" * 3000, False),
        ("a: " + "{b: " * 200 + "1" + "}" * 200, False),
        ("- " * 3000, False),
        ("\n".join([f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 40)]).replace("*a0", "0"), False),
        ("[" * 200 + "]" * 200, True),
        ("[" * 100_000, True),
    ],
)
def test_deep_nesting_is_refused_without_a_stack_overflow(text: str, is_json: bool) -> None:
    assert f"is nested more than {DEEPEST} levels deep" == fatal(text, is_json=is_json)[-1].rule


@pytest.mark.parametrize(
    ("text", "at", "hint"),
    [
        ("a: [1, 2", (1, 9), "brackets"),
        ("a: b: c", (1, 5), "put quotes around text that holds ': '"),
        ("a:\n\t- 1", (2, 1), "YAML allows no tabs there"),
        ("a: 'x", (1, 6), "quotes"),
        ("a: 1\nb: \x01", (2, 4), "plain UTF-8 text"),
        ('a: "\\U00110000"', (1, 1), "escapes"),
        ("%YAML 3.0\n---\na: 1", (1, 1), ""),
        ("a: !foo!bar x", (1, 4), ""),
    ],
)
def test_a_syntax_error_of_yaml_has_its_place_and_a_remedy(text: str, at: tuple[int, int], hint: str) -> None:
    (problem,) = fatal(text)
    assert at == place(problem)
    assert problem.rule.startswith("is not valid YAML: ")
    assert hint in problem.remedy
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("text", "at"),
    [('{"a": 1,}', (1, 9)), ('{"a": 1\n "b": 2}', (2, 2)), ("{'a': 1}", (1, 2)), ('{"a": 1} x', (1, 10))],
)
def test_a_syntax_error_of_json_has_its_place(text: str, at: tuple[int, int]) -> None:
    (problem,) = fatal(text, is_json=True)
    assert problem.rule.startswith("is not valid JSON: ")
    assert abs(at[1] - (problem.column or 0)) <= 1
    assert at[0] == problem.line


@pytest.mark.parametrize("text", ["", "   \n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    assert "is empty" == fatal(text)[0].rule
    assert "is empty" == fatal("", is_json=True)[0].rule


@pytest.mark.parametrize(("text", "is_json"), [("- 1\n", False), ("word", False), ("[1]", True), ('"x"', True)])
def test_the_top_of_a_file_is_a_mapping(text: str, is_json: bool) -> None:
    (problem,) = fatal(text, is_json=is_json)
    assert "must be a mapping of keys to values" == problem.rule
    assert (1, 1) == place(problem)


def refused(path: str | Path) -> Problem:
    """The problem with which reading the file is refused; looking at it without reading must say the same."""
    with pytest.raises(InputError) as caught:
        read_source(path)
    (problem,) = caught.value.problems
    assert (problem.rule, problem.remedy) == file_problem(path)
    assert str(path) == problem.file
    return problem


def test_an_absent_file_is_answered_with_the_near_name(tmp_path: Path) -> None:
    (tmp_path / "peak.yaml").write_text("a: 1")
    problem = refused(tmp_path / "paek.yaml")
    assert "does not exist" == problem.rule
    assert "Did you mean 'peak.yaml'?" == problem.remedy


def test_an_absent_folder_is_said_to_be_absent(tmp_path: Path) -> None:
    problem = refused(tmp_path / "nowhere" / "peak.yaml")
    assert "There is no folder" in problem.remedy
    (tmp_path / "plain").write_text("")
    assert "A part of its path is a file, not a folder." == refused(tmp_path / "plain" / "peak.yaml").remedy


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "is a directory, not a file" == refused(tmp_path).rule


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1")

    def denied(*_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(source_module, "open", denied, raising=False)
    problem = refused(path)
    assert "cannot be read: permission denied" == problem.rule
    assert "chmod u+r" in problem.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_really_without_permission_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    assert "cannot be read: permission denied" == refused(path).rule


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte"])
def test_an_impossible_path_is_a_problem_too(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / name)
    assert caught.value.problems[0].rule.startswith("cannot be read: ")
    assert "\0" not in str(caught.value)


def test_text_that_is_not_utf_8_is_refused_at_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nname: caf\xe9\n")
    with pytest.raises(InputError, match="must be UTF-8 text, got byte 0xE9") as caught:
        read_source(path)
    assert (2, 10) == place(caught.value.problems[0])


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert {"a": 1, "b": 2} == read_source(path).content


@pytest.mark.parametrize(("name", "most"), [("big.yaml", "1 MiB"), ("big.json", "8 MiB")])
def test_a_file_too_large_is_refused_unread(name: str, most: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError, match=f"must not be larger than {most}"):
        read_source(path)


def test_many_values_in_a_small_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.json_text.MOST_VALUES", 1000)
    assert "holds more than 1,000 values" in fatal('{"a": [' + "1," * 2000 + "1]}", is_json=True)[0].rule


def test_a_value_from_the_command_line_names_its_option() -> None:
    source = Source("f", {"a": {"b": 3}}).with_content({"a": {"b": 4}}, {"a.b": "a.b=4"})
    problem = source.problem("a.b", "must be 5", "4")
    assert f"{COMMAND_LINE}: a.b: must be 5, got 4 (from --set a.b=4)." == str(problem)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.sampled_from([None, 1]))
def test_json_is_read_as_the_standard_library_reads_it(content: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(content, indent=indent)
    source = parse_source(text, "f", is_json=True)
    if not source.problems:
        assert json.loads(text) == source.content


scalars = (
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(alphabet="abc :#[]{}-'\"\n0123.eE~", max_size=8)
)


@given(st.dictionaries(st.text(alphabet="abcxyz", min_size=1, max_size=3), scalars, min_size=1, max_size=5))
def test_yaml_written_by_ruamel_is_read_back(content: dict[str, Any]) -> None:
    """Composing values from events by hand must not lose what a loader would have read."""
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(content, stream)
    source = parse_source(stream.getvalue(), "f")
    assert () == source.problems
    loaded = YAML(typ="safe", pure=True).load(stream.getvalue())
    for key, value in loaded.items():
        if not isinstance(value, int) or isinstance(value, bool):
            assert value == source.content[key]


def read_or_told(text: str, *, is_json: bool = False) -> bool:
    """Whether the text is read as a mapping, or refused with problems; anything else it raises fails the test."""
    try:
        return isinstance(parse_source(text, "f", is_json=is_json).content, dict)
    except InputError as error:
        return bool(error.problems)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60), st.booleans())
def test_no_text_whatever_raises_anything_else(text: str, is_json: bool) -> None:
    assert read_or_told(text, is_json=is_json)


@given(st.text(alphabet="ab:-?!&*[]{},|>#%@`'\" \n\t\\0<~.=", max_size=60))
def test_no_yaml_punctuation_raises_anything_else(text: str) -> None:
    assert read_or_told(text)
