"""A small budget file with its histories, as somebody uploads them, and the answer to it, worked out once."""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from calibration.console import Unwatched
from optimizer.budget.purchases import newsvendor
from presentation.budget_run import Answer, answered
from presentation.door import Given, given_upload
from tests.optimizer.budget_questions import content, steps, write_demand


def upload(**changes: Any) -> dict[str, bytes]:
    """The file, which is JSON and so YAML, and the tables that it names."""
    with tempfile.TemporaryDirectory() as name:
        write_demand(Path(name))
        files = {path.name: path.read_bytes() for path in Path(name).iterdir()}
    return {"small.yaml": json.dumps(content(**changes), indent=1).encode(), **files}


def given(**changes: Any) -> Given:
    """The same, as the door has it."""
    return given_upload(upload(**changes))


@lru_cache(maxsize=4)
def small(*, bare: bool = False) -> Answer:
    """What it comes to: with promises, or with everything on demand."""
    cut = {"name": "cut", "first": "2027-02-01", "share": 0.33}
    changes = {"purchases": None} if bare else {"price_cuts": [cut]}
    return answered(given(**changes), (), Unwatched(), steps, buyer=newsvendor)
