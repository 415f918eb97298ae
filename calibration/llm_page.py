"""Step times of an LLM, for people: what a token and a first token take, and how well the fit holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from calibration.llm_steps import HeldOut, StepModel
from calibration.origin import pairs, said
from calibration.page import Heading, count, per_cent, significant, table

_STEPS: Final = 6
"""Rows of a table: values between the ends of a range, each about the same factor apart."""

_SHORT: Final = 64
"""The longest context over a short one."""


def llm_lines(llm: Mapping[str, Any]) -> list[str]:
    """What does a person want to know of step times? Values as they stand where they are of a form not known here."""
    try:
        model = StepModel.model_validate(llm)
    except ValidationError:
        return [Heading("LLM steps"), *pairs(llm)]
    lines = [*_tokens(model)]
    first = [*_first_tokens(model)]
    if first:
        lines += ["", *first]
    return [*lines, "", Heading("LLM steps"), *pairs(_facts(model))]


def _tokens(model: StepModel) -> Iterator[str]:
    """Time per output token by running sequences, at the ends of the context."""
    contexts = contexts_of(model)
    yield Heading("Time per output token, while no prompt comes in (ms)")
    rows = [("running", *(f"context {count(context)}" for context in contexts), "tokens/s at most")]
    for running in _spread(*model.valid_range.running):
        times = [_inside(model, running, context) for context in contexts]
        known = [time for time in times if time is not None]
        rows.append(
            (
                count(running),
                *("" if time is None else significant(time) for time in times),
                significant(1000 * running / min(known)) if known else "",
            )
        )
    yield from ("  " + line for line in table(rows, "r" * len(rows[0])))


def contexts_of(model: StepModel) -> list[float]:
    """A short, a middling and the longest context of a sequence that was measured, in tokens."""
    low, high = model.valid_range.context_per_sequence
    return _spread(max(low, high / _SHORT), high, steps=3)


def _inside(model: StepModel, running: float, context: float) -> float | None:
    """Time per output token, where it was measured."""
    try:
        return float(model.token_ms(running, context))
    except ValueError:
        return None


def _first_tokens(model: StepModel) -> Iterator[str]:
    low, high = model.valid_range.prefill_tokens
    if high <= 0:
        return
    rows = [("prompt tokens", "ms", "prompt tokens/s")]
    for prompt in _spread(max(low, 1), high):
        time = float(model.first_token_ms(prompt, allow_extrapolation=True))
        rows.append((count(prompt), significant(time), significant(1000 * prompt / time)))
    yield Heading("Time to the first token of a prompt alone (ms)")
    yield from ("  " + line for line in table(rows, "rrr"))


def _spread(low: float, high: float, *, steps: int = _STEPS) -> list[float]:
    """Whole numbers from low to high, each about the same factor after the one before.

    >>> _spread(1, 64), _spread(8, 8)
    ([1.0, 2.0, 5.0, 12.0, 28.0, 64.0], [8.0])
    """
    low = max(low, 1.0)
    factor = max(high / low, 1.0) ** (1 / (steps - 1))
    return sorted({float(round(low * factor**step)) for step in range(steps)})


def _facts(model: StepModel) -> dict[str, str]:
    ranges = model.valid_range
    facts = {
        "fixed": f"{significant(model.fixed_ms + model.scheduling_ms)} ms a step",
        "prompts": f"{significant(1000 * model.ms_per_prefill_token)} us a token in a long prompt",
        "sequences": f"{significant(1000 * model.ms_per_running)} us for each of many",
        "context": f"{significant(1e6 * model.ms_per_context_token)} ns a token in the KV cache",
        "form": model.method,
        "range": "; ".join(
            f"{name} {count(low)} to {count(high)}"
            for name, (low, high) in (
                ("prompt tokens", ranges.prefill_tokens),
                ("running", ranges.running),
                ("context of a sequence", tuple(map(round, ranges.context_per_sequence))),
            )
        ),
    }
    if model.closed_loop is not None:
        facts["beside the step"] = f"{significant(model.closed_loop.overhead_ms)} ms before the first token"
    if model.residuals:
        facts["error of the fit"] = said({name: per_cent(abs(error)) for name, error in model.residuals.items()})
    for name, held_out in model.cross_validation.items():
        facts[f"error, {name}"] = _error(held_out)
    if model.extrapolation is not None:
        facts["error beyond the ends"] = _error(model.extrapolation)
    return facts


def _error(held_out: HeldOut) -> str:
    return f"median {per_cent(held_out.median)}, p90 {per_cent(held_out.p90)} at what was left out"
