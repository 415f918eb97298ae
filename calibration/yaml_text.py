"""YAML 1.2 text becomes a :class:`~calibration.tree.Tree`, with everything a strict reader has to say about it.

ruamel.yaml scans and parses; the values are composed here from its events rather than by its loader, because that
reports every duplicate key instead of the first, counts what aliases expand to before expanding anything (a YAML bomb
of ten lines asks for billions of values), never recurses, and constructs nothing but plain values.

Plain scalars follow YAML 1.2's core schema: ``1e3`` is a number; ``no``, ``12:30`` and ``1_000`` are text (and so are
hexadecimal and octal numbers, which nothing here needs). Merge keys (``<<: *base``) are read, since people who use
anchors expect them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from calibration.tree import DEEPEST, Place, Tree, join, shown

MOST_YAML_VALUES: Final = 100_000
"""Values a YAML text may hold, aliases counted as often as they are used; ruamel reads some 40,000 a second."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(eq=False, slots=True)
class _Node:
    """A scalar, a list or a mapping of the text; an alias is the same node met again."""

    place: Place
    kind: type[Event]
    text: str = ""
    plain: bool = False
    children: list[tuple[_Node, Place]] = field(default_factory=list)
    """Items, or keys and values in turn, each with the place where it is used."""
    size: int = 1
    depth: int = 1
    open: bool = False
    flaw: tuple[str, str | None, str] | None = None
    """Rule, value and remedy of what is wrong with the node itself; it is then read as null."""


def parse_yaml(text: str, file: str) -> Tree:
    """Which values does this YAML text hold, and where?

    Raises
    ------
    InputError
        When the text cannot be read to its end. Problems that leave it readable are in ``Tree.problems``.
    """
    tree = Tree(file)
    root = _compose(_events(text, tree), tree)
    if root is not None:
        tree.values[""] = root.place
        tree.content = _plain(root, "", tree)
    return tree


def _events(text: str, tree: Tree) -> Iterator[Event]:
    """Events of the text; what the parser raises becomes an InputError with a place."""
    place = Place(1, 1)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            place = _place(event.start_mark)
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found = " ".join(str(error.problem or error.context or "it cannot be read").split())
        rule = f"is not valid YAML: {found}"
        raise tree.stop(_place(mark) if mark else place, "", rule, None, _syntax_remedy(found)) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        rule = f"is not valid YAML: character U+{ord(text[error.position]):04X} is not allowed"
        raise tree.stop(place, "", rule, None, "Remove it; the file must be plain UTF-8 text.") from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, RecursionError):
        # The scanner converts escapes and numbers unguarded: "\U00110000" makes chr() fail, for one.
        rule = "is not valid YAML: the text after this place cannot be read"
        raise tree.stop(place, "", rule, None, "Check the escapes and quotes there.") from None


def _syntax_remedy(found: str) -> str:
    if r"'\t'" in found or "tab" in found:
        return "Indent with spaces; YAML allows no tabs there."
    if "mapping values are not allowed" in found:
        return "Check the indentation, and put quotes around text that holds ': '."
    return "Check the indentation, quotes and brackets around that place."


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _compose(events: Iterator[Event], tree: Tree) -> _Node | None:
    """Nodes of the first document, sizes and depths known, nothing expanded."""
    root: _Node | None = None
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    n_nodes = n_documents = 0
    for event in events:
        if isinstance(event, DocumentStartEvent):
            n_documents += 1
            if n_documents > 1:
                rule = "must hold one document, a second one starts here"
                tree.note(_place(event.start_mark), "", rule, None, "Remove the line '---', or split the file.")
                break
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            _close(stack.pop(), tree)
        elif isinstance(event, AliasEvent | ScalarEvent | SequenceStartEvent | MappingStartEvent):
            n_nodes += 1
            place = _place(event.start_mark)
            node = _node(event, place, anchors)
            if stack:
                stack[-1].children.append((node, place))
            else:
                root = node
            if node.open and not isinstance(event, AliasEvent):
                stack.append(node)
            if len(stack) > DEEPEST:
                raise tree.stop(place, "", f"is nested more than {DEEPEST} levels deep", None, "Flatten it.")
            if n_nodes > MOST_YAML_VALUES:
                raise _too_many(tree, place)
    return root


def _node(event: Event, place: Place, anchors: dict[str, _Node]) -> _Node:
    if isinstance(event, AliasEvent):
        target = anchors.get(event.anchor)
        if target is not None and not target.open:
            return target
        rule = "is an alias of itself" if target else f"alias *{event.anchor} has no anchor &{event.anchor} before it"
        return _Node(place, ScalarEvent, flaw=(rule, None, "Write the value out."))
    node = _Node(place, type(event), open=not isinstance(event, ScalarEvent))
    if isinstance(event, ScalarEvent):
        node.text, node.plain = event.value, event.implicit[0]
    tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
    if tag is not None:
        node.flaw = ("has a tag, and tags are not read", shown(str(tag)), "Remove the tag.")
    if anchor is not None:
        anchors[anchor] = node
    return node


def _close(node: _Node, tree: Tree) -> None:
    node.open = False
    node.size += sum(child.size for child, _ in node.children)
    node.depth += max((child.depth for child, _ in node.children), default=0)
    if node.size > MOST_YAML_VALUES:
        raise _too_many(tree, node.place)
    if node.depth > DEEPEST:
        raise tree.stop(node.place, "", f"is nested more than {DEEPEST} levels deep", None, "Flatten it.")


def _too_many(tree: Tree, place: Place) -> Exception:
    rule = f"holds more than {MOST_YAML_VALUES:,} values, aliases counted as often as they are used"
    return tree.stop(place, "", rule, None, "Keep big tables in CSV files, and use fewer aliases.")


def _plain(node: _Node, path: str, tree: Tree) -> Any:
    """Values of a node, their places recorded under the path; at most DEEPEST levels of recursion."""
    if node.flaw is not None:
        tree.lose(node.place, path, *node.flaw)
        return None
    if node.kind is ScalarEvent:
        return _scalar(node, path, tree)
    if node.kind is SequenceStartEvent:
        items = []
        for index, (item, place) in enumerate(node.children):
            here = join(path, index)
            tree.values[here] = place
            items.append(_plain(item, here, tree))
        return items
    mapping: dict[str, Any] = {}
    _fill(mapping, node, path, tree)
    return mapping


def _fill(mapping: dict[str, Any], node: _Node, path: str, tree: Tree) -> None:
    """Enter the keys of a mapping node, then those it merges in and has not got itself."""
    merged: list[tuple[_Node, Place]] = []
    own: dict[str, Place] = {}
    children = iter(node.children)
    for (key, place), (value, value_place) in zip(children, children, strict=True):
        if key.kind is not ScalarEvent or key.flaw is not None:
            rule, shown_key, remedy = key.flaw or ("is a key that is not plain text", None, "Write a plain key.")
            tree.note(place, path, rule, shown_key, remedy)
            continue
        here = join(path, key.text)
        if key.text in own:
            rule = f"is a duplicate key, first given on line {own[key.text].line}"
            tree.note(place, here, rule, None, "Remove one of the two.")
            continue
        own[key.text] = place
        if key.plain and key.text == "<<":
            merged.extend(value.children if value.kind is SequenceStartEvent else [(value, value_place)])
        elif tree.sound_text(key.text, place, path):
            tree.keys[here], tree.values[here] = place, value_place
            mapping[key.text] = _plain(value, here, tree)
    for base, place in merged:
        if base.kind is MappingStartEvent:
            _merge(mapping, base, path, tree)
        else:
            rule, remedy = "must name mappings to merge", "Write <<: *name, with the anchor of a mapping."
            tree.note(place, join(path, "<<"), rule, None, remedy)


def _merge(mapping: dict[str, Any], base: _Node, path: str, tree: Tree) -> None:
    """Enter the keys of the base that the mapping lacks; what is wrong in the base is noted where the base stands."""
    aside = Tree(tree.file)
    inherited: dict[str, Any] = {}
    _fill(inherited, base, path, aside)
    for key, value in inherited.items():
        if key not in mapping:
            mapping[key] = value
            start = join(path, key)
            for places, found in ((tree.keys, aside.keys), (tree.values, aside.values)):
                places.update({at: place for at, place in found.items() if at == start or at.startswith(start + ".")})


def _scalar(node: _Node, path: str, tree: Tree) -> Any:
    text = node.text
    if not node.plain:
        return text if tree.sound_text(text, node.place, path) else ""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NUMBER.fullmatch(text):
        return tree.number(text, node.place, path)
    if _NOT_FINITE.fullmatch(text):
        tree.lose(node.place, path, "must be a finite number", text, "Leave the key out where a value is unknown.")
        return None
    return text
