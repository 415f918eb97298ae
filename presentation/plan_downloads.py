"""A plan to take away: JSON as ``optimize --json`` prints it, and Markdown for a wiki or a pull request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from optimizer.pareto import Frontier
from optimizer.plan import Plan, plan_json
from optimizer.render import plan_text
from presentation.plan_look import (
    alternative_rows,
    closeness,
    fleet_rows,
    frontier_rows,
    reasons,
    relax_words,
    round_rows,
    single_rows,
    verdict,
    verified_rows,
    warnings,
)


def plan_document(plan: Plan, frontiers: Sequence[Frontier] = ()) -> str:
    """The object that ``optimize --json`` prints."""
    document = plan_json(plan)
    if frontiers:
        document["pareto"] = [asdict(frontier) for frontier in frontiers]
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def plan_markdown(plan: Plan, frontiers: Sequence[Frontier] = (), *, command: str = "") -> str:
    """The plan for a wiki or a pull request: the verdict, the fleets, the proof, the reasons."""
    found = verdict(plan)
    lines = [f"# {plan.name}", "", f"**{found.sentence}** ({found.badge})"]
    lines += ["", f"The solver: {closeness(plan)}."] if closeness(plan) else []
    lines += [f"\n> {text}" for text in warnings(plan)[0]]
    if plan.feasible:
        shown = ("fleet", "instances", "serves", "full", "bought", "USD/month")
        fleets = [{key: row[key] for key in shown} for row in fleet_rows(plan)]
        tables = {"Fleets": fleets, "Simulated": verified_rows(plan), "One type alone": single_rows(plan),
                  "Other plans that cost nearly as little": alternative_rows(plan)}  # fmt: skip
        for head, rows in tables.items():
            lines += _table(head, rows)
        for head, sentences in reasons(plan).items():
            lines += ["", f"## {head}", "", *(f"- {text}" for text in sentences)]
    else:
        lines += ["", "## What would have to give way", "", *(f"- {text}" for text in relax_words(plan))]
    for frontier in frontiers:
        lines += _table(f"Cost against {frontier.kind}", frontier_rows(frontier))
    lines += _table("Rounds of proof", round_rows(plan))
    lines += ["", "## The whole report", "", "```text", plan_text(plan, frontiers).rstrip("\n"), "```"]
    lines += ["", f"The same by the command line: `{command}`"] if command else []
    return "\n".join(lines) + "\n"


def _table(head: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table under its heading; nothing without rows."""
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["", f"## {head}", "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return lines + [f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows]
