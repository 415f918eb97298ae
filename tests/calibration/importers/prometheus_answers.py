"""Answers of ``query_range``, made up: counters that grow at a constant rate, and what one wants beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START = 1_763_770_000
STEP = 15


def series(name: str, texts: Sequence[Any], **labels: str) -> dict[str, Any]:
    """A series with these values, one a step."""
    values = [[START + STEP * index, str(text)] for index, text in enumerate(texts)]
    return {"metric": {"__name__": name, **labels}, "values": values}


def counter(name: str, per_second: float, count: int = 5, start: float = 0.0, **labels: str) -> dict[str, Any]:
    """A counter that grows at a constant rate."""
    return series(name, [start + per_second * STEP * index for index in range(count)], **labels)


def gauge(name: str, level: float, count: int = 5, **labels: str) -> dict[str, Any]:
    """A gauge that stands still."""
    return series(name, [level] * count, **labels)


def answer(tmp_path: Path, *result: Mapping[str, Any], name: str = "answer.json", **fields: Any) -> Path:
    """A file with these series."""
    path = tmp_path / name
    content = {"status": "success", "data": {"resultType": "matrix", "result": list(result)}, **fields}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
