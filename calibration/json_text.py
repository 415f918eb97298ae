"""JSON text becomes a :class:`~calibration.tree.Tree`, with everything a strict reader has to say about it.

The standard library judges the syntax, at C speed; a walk over the tokens then builds the values together with their
positions, and notes what the standard library lets pass: duplicate keys, NaN, Infinity, numbers beyond any use.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from calibration.problems import InputError
from calibration.tree import DEEPEST, MOST_VALUES, Place, Tree, join

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+|\n')
_WORDS: Final = {"true": True, "false": False, "null": None}


def parse_json(text: str, file: str) -> Tree:
    """Which values does this JSON text hold, and where?

    Raises
    ------
    InputError
        When the text cannot be read to its end. Problems that leave it readable are in ``Tree.problems``.
    """
    tree = Tree(file)
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        place = Place(error.lineno, error.colno)
        rule = f"is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise tree.stop(place, "", rule, None, "Check the commas, quotes and brackets around that place.") from None
    except RecursionError:
        raise _too_deep(tree, None) from None
    _walk(text, tree)
    return tree


def _too_deep(tree: Tree, place: Place | None) -> InputError:
    return tree.stop(place, "", f"is nested more than {DEEPEST} levels deep", None, "Flatten it.")


def _walk(text: str, tree: Tree) -> None:
    """Build content and positions of a text whose syntax is known to be good."""
    line, line_start, n_values = 1, 0, 0
    holders: list[tuple[Any, str]] = []
    root: list[Any] = []
    holder: Any = root
    path = ""
    key: str | None = None
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            line, line_start = line + 1, match.end()
            continue
        if token in ":,":
            continue
        place = Place(line, match.start() - line_start + 1)
        if token in "]}":
            holder, path = holders.pop()
            continue
        if isinstance(holder, dict) and key is None:
            key = json.loads(token)
            _note_key(tree, holder, path, key, place)
            continue
        here = path if holder is root else join(path, len(holder) if key is None else key)
        repeated = key is not None and key in holder
        tree.values.setdefault(here, place)
        n_values += 1
        if n_values > MOST_VALUES:
            raise tree.stop(place, here, f"holds more than {MOST_VALUES:,} values", None, "Keep big tables in CSV.")
        value = _value(token, tree, place, here)
        if key is None:
            holder.append(value)
        elif not repeated:
            holder[key] = value
        key = None
        if token in "[{":
            holders.append((holder, path))
            if len(holders) > DEEPEST:
                raise _too_deep(tree, place)
            holder, path = value, here
    tree.content = root[0]


def _note_key(tree: Tree, holder: dict[str, Any], path: str, key: str, place: Place) -> None:
    here = join(path, key)
    if key in holder:
        first = tree.keys[here]
        tree.note(place, here, f"is a duplicate key, first given on line {first.line}", None, "Remove one of the two.")
    elif tree.sound_text(key, place, path):
        tree.keys.setdefault(here, place)


def _value(token: str, tree: Tree, place: Place, path: str) -> Any:
    if token == "{":
        return {}
    if token == "[":
        return []
    if token in _WORDS:
        return _WORDS[token]
    if token[0] == '"':
        text = json.loads(token)
        return text if tree.sound_text(text, place, path) else ""
    if token in ("NaN", "Infinity", "-Infinity"):
        tree.lose(place, path, "must be a finite number", token, "Leave the key out where a value is unknown.")
        return None
    return tree.number(token, place, path)
