"""What measurements tell of the steps of an LLM: every row becomes a sum of steps and the time it took.

A row of a device states its steps itself (``notes["phase"]``). A row of a server states what clients saw: their time
per output token is the mean step of a loop in balance, and their time to the first token is a step with their prompt
(:func:`calibration.llm_steps.in_balance`), plus waiting. :mod:`calibration.llm_fit` explains all rows at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.llm_steps import in_balance
from calibration.observation import Observation, Observations
from calibration.problems import Problem

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Kind = Literal["prefill", "decode", "mixed", "generate", "tpot", "ttft"]
"""Of a device: one step that computes prompts, that continues sequences, or both; a whole answer of a fixed batch.
Of a server: its clients' time per output token, and to the first token."""

PHASES: Final = ("prefill", "decode", "mixed", "generate")
"""What ``notes["phase"]`` of a row of a device may say. Columns of the row by phase:

``prefill``: ``batch`` prompts of ``prompt_tokens`` each. ``decode``: one token for each of ``batch`` sequences with
``prompt_tokens`` in the KV cache (and half of ``output_tokens``, where the latency is the mean over that many steps).
``mixed``: a step of both, with ``notes["prefill_tokens"]``. ``generate``: ``batch`` prompts from the first step to the
last of ``output_tokens``.
"""


class StepRow(NamedTuple):
    """One measured time, as a sum of steps."""

    kind: Kind
    measured_ms: float
    """What was measured."""
    prompt_tokens: float = 0.0
    """Of one prompt."""
    output_tokens: float = math.nan
    """Of one answer; not a number for a single step."""
    concurrency: float = math.nan
    """Requests outstanding at the server; not a number on a device."""
    prefill_steps: float = 0.0
    """Steps that compute prompts."""
    prefill_tokens: float = 0.0
    """Tokens of prompts in each of these."""
    prefill_running: float = 0.0
    """Sequences that run in each of these beside the prompts."""
    prefill_context: float = 0.0
    """Their context tokens."""
    decode_steps: float = 0.0
    """Steps that compute none."""
    running: float = 0.0
    """Sequences in each of these."""
    context_tokens: float = 0.0
    """Their context tokens."""
    scatter: float = math.nan
    """Standard error of the time, as a share of it, where the source tells."""


@dataclass(frozen=True)
class StepMeasurements:
    """Rows of :class:`StepRow` as columns of equal length."""

    kind: npt.NDArray[np.str_]
    measured_ms: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    concurrency: Floats
    prefill_steps: Floats
    prefill_tokens: Floats
    prefill_running: Floats
    prefill_context: Floats
    decode_steps: Floats
    running: Floats
    context_tokens: Floats
    scatter: Floats

    @classmethod
    def of(cls, rows: Sequence[StepRow]) -> StepMeasurements:
        """The columns of these rows."""
        numbers = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), len(StepRow._fields) - 1)
        return cls(np.array([row.kind for row in rows], dtype=np.str_), *numbers.T)

    def __len__(self) -> int:
        return len(self.measured_ms)

    def take(self, which: Flags) -> StepMeasurements:
        """The rows that are wanted."""
        return StepMeasurements(*(getattr(self, field.name)[which] for field in fields(self)))

    def with_times(self, measured_ms: Floats) -> StepMeasurements:
        """The same rows with other times."""
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        return StepMeasurements(**{**mine, "measured_ms": measured_ms})

    @property
    def served(self) -> Flags:
        """Which rows a client of a server measured?"""
        seen: Flags = np.isin(self.kind, ("tpot", "ttft"))
        return seen

    @property
    def per_sequence(self) -> Floats:
        """Context tokens of each running sequence; not a number where none runs."""
        each: Floats = np.where(self.running > 0, self.context_tokens / np.maximum(self.running, 1e-9), np.nan)
        return each

    def columns(self) -> dict[str, list[Any]]:
        """The rows for a file: columns that say nothing left out, what is not a number null."""
        columns: dict[str, list[Any]] = {}
        for field in fields(self):
            values = getattr(self, field.name).tolist()
            told = [
                value if isinstance(value, str) else None if math.isnan(value) else _short(value) for value in values
            ]
            if any(value not in (None, 0) for value in told):
                columns[field.name] = told
        return columns


class Evidence(NamedTuple):
    """What could be used of some Observations."""

    measurements: StepMeasurements
    """The rows that say something of steps."""
    unused: tuple[Problem, ...]
    """The others, and why."""
    warnings: tuple[str, ...]
    """What could mislead."""


def evidence_of(measured: Sequence[Observations]) -> Evidence:
    """What do these measurements tell of the steps?"""
    rows: list[StepRow] = []
    unused: list[Problem] = []
    failed = requests = 0
    for observations in measured:
        for row in observations.rows:
            reader = _served_rows if observations.scope == "server" else _device_rows
            found, problem = reader(row, observations.provenance)
            rows += found
            if problem is not None:
                source = str(observations.provenance.get("source") or observations.provenance.get("tool") or "")
                unused.append(_unused(row, source or "measurements", *problem))
            failed += row.failed
            requests += row.requests or 0
    warnings = []
    if failed > 0.01 * (failed + requests):
        share = failed / (failed + requests)
        warnings.append(f"{share:.0%} of the requests failed, and are in no figure: a server that refuses looks fast")
    return Evidence(StepMeasurements.of(rows), tuple(unused), tuple(warnings))


Found = tuple[list[StepRow], tuple[str, str] | None]
"""Rows, and else the rule that is broken and how to mend it."""


def _device_rows(row: Observation, provenance: Mapping[str, Any]) -> Found:
    """A row of a device: its steps are stated."""
    phase = row.notes.get("phase") or _BUILT_IN.get(str(provenance.get("model")))
    if phase not in PHASES:
        return [], ("does not say which steps it timed", f"Say so: notes.phase is one of {', '.join(PHASES)}.")
    time_ms = row.mean_ms
    if time_ms is None or not time_ms > 0:
        return [], ("has no latency", "Give its mean in ms.")
    sizes = provenance.get("sizes")
    prompt: Any = row.prompt_tokens
    if prompt is None and isinstance(sizes, Mapping):
        prompt = sizes.get("context_tokens" if phase == "decode" else "prompt_tokens")
    if prompt is None:
        meant = "in the KV cache of each sequence" if phase == "decode" else "of each prompt"
        return [], (f"does not say how many tokens are {meant}", "Give --prompt-tokens, or the column prompt_tokens.")
    scatter = _standard_error(row, time_ms)
    if phase == "prefill":
        tokens = row.batch * prompt
        return [StepRow("prefill", time_ms, prompt, prefill_steps=1, prefill_tokens=tokens, scatter=scatter)], None
    context = row.batch * (prompt + (row.output_tokens or 0) / 2)
    if phase == "decode":
        decode = StepRow("decode", time_ms, prompt, decode_steps=1, running=row.batch, context_tokens=context)
        return [decode._replace(scatter=scatter)], None
    if phase == "mixed":
        tokens = row.notes.get("prefill_tokens")
        if not isinstance(tokens, int | float) or not tokens > 0:
            return [], ("does not say how many tokens of prompts it computed", "Add notes.prefill_tokens.")
        mixed = StepRow("mixed", time_ms, float(tokens), prefill_steps=1, prefill_tokens=float(tokens))
        return [mixed._replace(prefill_running=row.batch, prefill_context=context, scatter=scatter)], None
    answer = row.output_tokens
    if answer is None or answer < 1:
        return [], ("does not say how many tokens it generated", "Give --output-tokens, or the column output_tokens.")
    whole = StepRow("generate", time_ms, prompt, answer, prefill_steps=1, prefill_tokens=row.batch * prompt)
    return [whole._replace(decode_steps=answer - 1, running=row.batch, context_tokens=context, scatter=scatter)], None


_BUILT_IN: Final = {"decoder-prefill": "prefill", "decoder-decode": "decode"}


def _served_rows(row: Observation, provenance: Mapping[str, Any]) -> Found:
    """A row of a server: its steps follow from the balance of the loop."""
    del provenance  # a server's rows say everything themselves
    prompt, answer = row.prompt_tokens, row.output_tokens
    if prompt is None or answer is None:
        return [], ("must say how long prompts and answers are", "Give --prompt-tokens and --output-tokens.")
    ttft, tpot = _typical(row.ttft_ms), _typical(row.tpot_ms) or _typical(row.itl_ms)
    total = _typical(row.latency_ms)
    if tpot is None and total is not None and ttft is not None and answer > 1:
        tpot = (total - ttft) / (answer - 1)
    if tpot is None or not tpot > 0 or answer < 2:
        return [], ("has no time per output token", "Let the tool stream the answers, of at least 2 tokens.")
    if ttft is None:
        ttft = (total or 0.0) - (answer - 1) * tpot
    if not ttft > 0:
        return [], ("has no time to the first token", "Let the tool stream the answers.")
    outstanding = row.concurrency
    if row.rate_rps is not None and math.isfinite(row.rate_rps) and row.throughput_rps is not None:
        outstanding = row.throughput_rps * (ttft + (answer - 1) * tpot) / 1000  # Little's law
    if outstanding is None or not outstanding > 0:
        return [], ("does not say how many requests were outstanding", "Give the concurrency, or rate and throughput.")
    one = np.ones(1)
    balance = in_balance(outstanding * one, prompt * one, answer * one, ttft * one, tpot * one)
    running, context, share, prompts = (float(value[0]) for value in balance)
    known = StepRow("tpot", tpot, prompt, answer, outstanding)
    mean = known._replace(
        prefill_steps=share, prefill_tokens=prompts, prefill_running=running, prefill_context=context,
        decode_steps=1 - share, running=running, context_tokens=context,
    )  # fmt: skip
    first = known._replace(kind="ttft", measured_ms=ttft, prefill_steps=1.0, prefill_tokens=prompt)
    return [mean, first._replace(prefill_running=running, prefill_context=context)], None


def axes_of(measurements: StepMeasurements) -> tuple[tuple[Flags, Floats], ...]:
    """Along which axes was measured? For each the rows that have a place on it, and their places.

    Tokens of prompts, running sequences and context of each for steps; concurrency, and the lengths of prompts and
    answers, for what clients saw. Places are given in three digits, so that equal settings are equal.
    """
    steps = ~measurements.served
    with_prompts = steps & (measurements.prefill_steps > 0)
    decoding = steps & (measurements.decode_steps > 0)
    axes = (
        (with_prompts, measurements.prefill_tokens),
        (with_prompts, measurements.prefill_running),
        (decoding, measurements.running),
        (decoding, measurements.per_sequence),
        (measurements.served, measurements.concurrency),
        (measurements.served, measurements.prompt_tokens),
        (measurements.served, measurements.output_tokens),
    )
    return tuple((rows, np.array([float(f"{value:.3g}") for value in values])) for rows, values in axes)


def lines_of(measurements: StepMeasurements) -> Iterator[tuple[Flags, Flags]]:
    """Which lines does the grid of these measurements have, and which of their rows do the others surround?

    A line is the rows at one value of one axis. A row is surrounded when, along each axis that it has a place on, rows
    outside the line lie on both sides of it or beside it: to predict it is to interpolate.
    """
    axes = axes_of(measurements)
    seen: set[bytes] = set()
    for rows, places in axes:
        distinct = np.unique(places[rows])
        for value in distinct if len(distinct) > 1 else ():
            line: Flags = rows & (places == value)
            if line.tobytes() in seen:
                continue
            seen.add(line.tobytes())
            surrounded = line.copy()
            for others, at in axes:
                rest = at[others & ~line]
                low, high = (rest.min(), rest.max()) if rest.size else (math.inf, -math.inf)
                surrounded &= ~others | ((at >= low) & (at <= high))
            yield line, surrounded


def _typical(statistics: Mapping[str, float]) -> float | None:
    value = statistics.get("mean", statistics.get("p50"))
    return value if value is not None and math.isfinite(value) else None


def _standard_error(row: Observation, time_ms: float) -> float:
    spread = row.latency_ms.get("std")
    if spread is None and len(row.samples_ms) > 1:
        spread = float(np.std(row.samples_ms))
    count = row.requests or len(row.samples_ms)
    return spread / math.sqrt(count) / time_ms if spread is not None and count else math.nan


def _unused(row: Observation, source: str, rule: str, remedy: str) -> Problem:
    file, _, line = row.place.rpartition(":")
    if file and line.isdigit():
        return Problem(file, int(line), None, "", rule, None, remedy)
    return Problem(row.place or source, None, None, "", rule, None, remedy)


def _short(value: float) -> float | int | None:
    """A number in six digits, whole where it is; null for what is none."""
    if math.isnan(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
