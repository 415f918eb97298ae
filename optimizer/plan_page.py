"""The keys of a plan file as a page for people: ``optimize schema --markdown``.

Nothing is said here that the schema does not say; a key's text is the docstring under its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from optimizer.plan_file import json_schema
from simulator.schema_page import schema_page

PLACES: Final[Mapping[str, str]] = {
    "PlanSpec": "plan",
    "Candidate": "plan.candidates[]",
    "BatchingSearch": "plan.candidates[].batching",
    "QuotaSpec": "plan.quotas.NAME",
    "PlanWorkload": "workloads.NAME",
    "Slo": "workloads.NAME.slo",
    "Profile": "profiles.NAME",
    "Overheads": "profiles.NAME.overheads",
    "Noise": "profiles.NAME.noise",
}
"""Where each part of the schema stands in the file, in the order of the page; arrival processes come after them."""

_INTRODUCTION: Final = """\
# The keys of a plan file

Written by `optimize schema --markdown` from the schema that plan files are checked against; `optimize schema` prints
the JSON Schema itself, for editors. A duration is a number with its unit: `5ms`, `1.5s`, `1h`; so is an amount of
memory: `24GiB`. Unknown keys are refused, and a price that is missing is never 0. A scenario becomes a plan file by
adding `plan`: its `fleets`, `warmup` and `workloads.NAME.fleet` are then not read.
"""


def plan_page() -> str:
    """Lay the keys of a plan file out as Markdown tables."""
    return schema_page(json_schema(), PLACES, _INTRODUCTION)
