"""The two built-in halves of a decoder, joined: prompts are measured apart from tokens, and mean one model together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem

HALVES: Final = {"decoder-prefill": ("prefill", "prompt_tokens"), "decoder-decode": ("decode", "context_tokens")}
"""Built-in model to the phase that it is, and to the size that tells how many tokens each sequence has."""


def halves_joined(measured: Sequence[Observations]) -> list[Observations]:
    """Which steps of an LLM do prefills and decodes of the built-in decoder make?

    Parameters
    ----------
    measured
        Of anything; what is no half of a decoder is left as it is, and so is a half alone, which is a batch curve.

    Raises
    ------
    InputError
        When the halves are of decoders of different sizes.
    """
    halves = [one for one in measured if one.provenance.get("model") in HALVES]
    if len({one.provenance["model"] for one in halves}) < len(HALVES):
        return list(measured)
    problems = list(_different_sizes(halves))
    if problems:
        raise InputError(problems)
    return [_as_steps(one) if one.provenance.get("model") in HALVES else one for one in measured]


def _different_sizes(halves: Sequence[Observations]) -> Iterator[Problem]:
    own = {size for _, size in HALVES.values()}
    shapes = [{name: size for name, size in _sizes(one).items() if name not in own} for one in halves]
    for shape in shapes[1:]:
        if shape != shapes[0]:
            rule = f"must be the same for prompts and tokens, and is {shapes[0]} for {halves[0].provenance['model']}"
            remedy = "Measure both with the same --size."
            yield Problem("<measurements>", None, None, "provenance.sizes", rule, str(shape), remedy)


def _as_steps(half: Observations) -> Observations:
    phase, size = HALVES[half.provenance["model"]]
    tokens = _sizes(half).get(size)
    rows = tuple(_as_step(row, phase, tokens) for row in half.rows)
    return replace(half, rows=rows, provenance={**half.provenance, "model": "decoder"})


def _as_step(row: Observation, phase: str, tokens: float | None) -> Observation:
    prompt = row.prompt_tokens if row.prompt_tokens is not None else tokens
    return replace(row, prompt_tokens=prompt, notes={**row.notes, "phase": phase})


def _sizes(one: Observations) -> Mapping[str, Any]:
    sizes = one.provenance.get("sizes")
    return sizes if isinstance(sizes, Mapping) else {}
