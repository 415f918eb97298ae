"""The members of a large JSON object one at a time: AWS's EC2 price list of one region has hundreds of megabytes.

As Python values such a file would take gigabytes at once. Here the text is held, and one product or one offer is
decoded at a time, by the standard library's decoder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from calibration.csv_sheet import file_problem
from calibration.problems import InputError, Problem

LARGEST_BYTES: Final = 4 << 30
"""Larger files are refused: AWS's EC2 list of all regions together is larger, that of one region is not."""

_BLANK = re.compile(r"[ \t\r\n]*")
_Found = Generator[tuple[tuple[str, ...], Any], None, int]


def read_text(path: str | Path) -> str:
    """The text of a JSON file that a person named.

    Raises
    ------
    InputError
        It is absent, no file, empty, too large, or no text.
    """
    file, source = str(path), Path(path)
    try:
        if source.exists() and not source.is_file():
            raise InputError([file_problem(file, "must be a JSON file", "Name a file.")])
        if source.stat().st_size > LARGEST_BYTES:
            rule = f"must be smaller than {LARGEST_BYTES >> 30} GiB"
            raise InputError([file_problem(file, rule, "Name the list of one region.")])
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 text, byte {error.start} is not"
        raise InputError([file_problem(file, rule, "Unpack it first if it is compressed.")]) from None
    except FileNotFoundError:
        raise InputError([file_problem(file, "must be a file that exists", "Check the path.")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([file_problem(file, f"must be a file that can be read ({reason})", "Check it.")]) from None
    if not text.strip():
        raise InputError([file_problem(file, "must not be empty", "Fetch it again.")])
    return text


def entries(text: str, file: str, depths: Mapping[str, int]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of the members below some keys of the outermost object, each decoded when it is asked for.

    Parameters
    ----------
    text
        JSON.
    file
        Its name, for errors.
    depths
        For each key of the outermost object that is wanted, how many keys deep its members are taken: at 1 the value
        itself, at 2 its members, and so on. Members of an array are counted as keys "0", "1", ...

    Raises
    ------
    InputError
        It is no JSON, or its outermost value is no object.

    Examples
    --------
    >>> list(entries('{"a": {"x": 1, "y": [2]}, "b": 3}', "f", {"a": 2}))
    [(('a', 'x'), 1), (('a', 'y'), [2])]
    """
    decoder = json.JSONDecoder()
    try:
        start = _skip(text, 0)
        if text[start : start + 1] != "{":
            raise InputError([file_problem(file, "must be a JSON object", "Name AWS's file as it was fetched.")])
        end = yield from _members(decoder, text, start, (), depths)
        if _skip(text, end) != len(text):
            raise json.JSONDecodeError("Extra data", text, _skip(text, end))
    except json.JSONDecodeError as error:
        rule = f"must be valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        remedy = "A file cut short must be fetched again."
        raise InputError([Problem(file, error.lineno, error.colno, "", rule, None, remedy)]) from None
    except RecursionError:
        raise InputError([file_problem(file, "must not be nested so deeply", "Name AWS's own file.")]) from None


def _members(decoder: json.JSONDecoder, text: str, at: int, path: tuple[str, ...], depths: Mapping[str, int]) -> _Found:
    """Walk the object or array at a position; give the position behind it."""
    closing = "}" if text[at] == "{" else "]"
    at = _skip(text, at + 1)
    if text[at : at + 1] == closing:
        return at + 1
    index = 0
    while True:
        key = str(index)
        if closing == "}":
            if text[at : at + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
            key, at = decoder.raw_decode(text, at)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
            at = _skip(text, at + 1)
        here = (*path, key)
        if text[at : at + 1] in ("{", "[") and len(here) < depths.get(here[0], 1):
            at = yield from _members(decoder, text, at, here, depths)
        elif here[0] not in depths and text[at : at + 1] in ("{", "["):
            at = yield from _passed(_members(decoder, text, at, here, {here[0]: 3}))
        else:
            value, at = decoder.raw_decode(text, at)
            if len(here) == depths.get(here[0], 0):
                yield here, value
        at = _skip(text, at)
        if text[at : at + 1] == closing:
            return at + 1
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at, index = _skip(text, at + 1), index + 1


def _passed(found: _Found) -> _Found:
    """Walk past members that nobody asked for, one at a time; give the position behind them."""
    while True:
        try:
            next(found)
        except StopIteration as done:
            return int(done.value)
        yield from ()


def _skip(text: str, at: int) -> int:
    """Position of the next character that is not blank."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
