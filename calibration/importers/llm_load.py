"""What the load tests of LLM servers have in common: rows completed by what was said, joined, and doubted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_fields import Document, read_documents
from calibration.importers.loads import about_load
from calibration.importers.options import ImportOptions
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem

MOST_NAMED: Final = 8
"""Keys named in one warning."""


def documents_of(files: Sequence[Path]) -> list[Document]:
    """All JSON values of all files.

    Raises
    ------
    InputError
        With the problems of all files that cannot be read.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in files:
        try:
            documents += read_documents(file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return documents


def joined(
    rows: Sequence[Observation],
    documents: Iterable[Document],
    options: ImportOptions,
    *,
    tool: str,
    found: Mapping[str, Any],
    warnings: Sequence[str] = (),
    notes: Mapping[str, Any] | None = None,
) -> Observations:
    """The rows as Observations of a server, completed by what was said.

    Raises
    ------
    InputError
        With all problems of all documents, or when there is no row.
    """
    documents = list(documents)
    problems = [problem for document in documents for problem in document.located()]
    if not rows and not problems:
        files = documents[0].file if documents else "the files"
        rule, remedy = "holds no requests that were answered", "Measure again."
        problems.append(Problem(files, None, None, "", rule, None, remedy))
    if problems:
        raise InputError(problems)
    completed = tuple(with_said(row, options) for row in rows)
    told = [*warnings, *_about_failures(completed), *_about_setting(completed), *about_load(completed)]
    return Observations(
        rows=completed, scope="server", provenance=options.provenance(tool=tool, **found), notes=dict(notes or {}),
        warnings=tuple(dict.fromkeys(told)),
    )  # fmt: skip


def with_said(row: Observation, options: ImportOptions) -> Observation:
    """The row with what the person who imports it said, which wins."""
    said = {
        name: getattr(options, name)
        for name in ("prompt_tokens", "output_tokens", "model_instances", "max_batch_size")
        if getattr(options, name) is not None
    }
    return replace(row, **said)


def one_of(values: Iterable[str | None]) -> str | None:
    """What all that say something agree on, or all that was said, joined."""
    told = list(dict.fromkeys(value for value in values if value))
    return ", ".join(told) if told else None


def about_unknown(kind: str, keys: Iterable[str]) -> list[str]:
    """One warning for keys that could matter and are not known."""
    names = sorted(set(keys))
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"{kind} that are not known are kept as notes: {', '.join(names[:MOST_NAMED])}{more}"]


def _about_failures(rows: Sequence[Observation]) -> list[str]:
    failed = sum(row.failed for row in rows)
    answered = sum(row.requests or 0 for row in rows)
    if not failed:
        return []
    return [f"{failed} of {failed + answered} requests failed or were cut off; they are in no figure"]


def _about_setting(rows: Sequence[Observation]) -> list[str]:
    """What the rows lack that a fit needs."""
    lacking = []
    if any(row.concurrency is None and not _open_loop(row) for row in rows):
        lacking.append("how many requests were outstanding, or at which rate they were sent, is not told")
    if any(row.prompt_tokens is None or row.output_tokens is None for row in rows):
        lacking.append("the lengths of prompts and answers are not told: give --prompt-tokens and --output-tokens")
    return lacking


def _open_loop(row: Observation) -> bool:
    return row.rate_rps is not None and not math.isnan(row.rate_rps)
