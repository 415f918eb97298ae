"""The scenarios that come with the app, and what each of them asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Kind = Literal["scenario", "plan", "budget"]

FIRST: Final = "peak"
"""The scenario that the app opens with."""

_BESIDE: Final = (Path(__file__).with_name("scenarios"), Path(__file__).resolve().parents[1] / "scenarios")
"""Where they lie in an installed copy, and in a checkout."""


@dataclass(frozen=True)
class Shipped:
    """One file that is shipped."""

    name: str
    path: Path
    question: str
    """What it asks: the first sentence of its header."""
    kind: Kind
    """What is asked of it: a scenario is simulated, a plan solved, a budget forecast and solved."""


def scenario_folder() -> Path | None:
    """The folder of the shipped scenarios; None where there is none."""
    return next((folder for folder in _BESIDE if folder.is_dir()), None)


def shipped(kind: Kind = "scenario") -> dict[str, Shipped]:
    """Which files of this kind are shipped? By name, the one that the app opens with first."""
    folder = scenario_folder()
    found = [] if folder is None else [_shipped(path) for path in sorted(folder.glob("*.yaml"))]
    return {one.name: one for one in sorted(found, key=lambda one: (one.name != FIRST, one.name)) if one.kind == kind}


def _shipped(path: Path) -> Shipped:
    text = path.read_text(encoding="utf-8")
    keys = {line.partition(":")[0] for line in text.splitlines()}
    kind: Kind = "budget" if "budget" in keys else "plan" if "plan" in keys else "scenario"
    return Shipped(path.stem, path, question_of(text), kind)


def question_of(text: str) -> str:
    r"""The question that the comment at the head of a scenario asks: up to its first question mark, or its first line.

    >>> question_of("# Does one GPU hold a p99 of 80 ms when 350 requests\n# a second arrive? Yes.\nschema: 1\n")
    'Does one GPU hold a p99 of 80 ms when 350 requests a second arrive?'
    >>> question_of("schema: 1\n")
    ''
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    words = " ".join(lines).strip()
    if "?" in words:
        return words[: words.index("?") + 1]
    return lines[0] if lines else ""
