"""Prompts and tokens of one decoder are measured apart and fitted together; halves of two decoders are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.fit import fit_profile
from calibration.observation import Observation, Observations
from calibration.problems import InputError
from calibration.profile_file import read_profile_file
from calibration.profile_writer import observations_in, write_profile


def half(model: str, size: str, tokens: int, times: dict[int, float], layers: int = 4) -> Observations:
    rows = tuple(Observation(batch=b, latency_ms={"mean": ms}) for b, ms in times.items())
    told = {"model": model, "device": "a CPU", "sizes": {"layers": layers, size: tokens}}
    return Observations(rows=rows, scope="device", provenance=told)


PREFILLS = [
    half("decoder-prefill", "prompt_tokens", n, {b: 5 + 0.1 * n * b for b in (1, 2, 4)}) for n in (64, 256, 512)
]
DECODES = [
    half("decoder-decode", "context_tokens", n, {b: 5 + 0.5 * b + 1e-4 * n * b for b in (1, 4, 16)})
    for n in (64, 256, 1024)
]


def test_prompts_and_tokens_make_one_decoder() -> None:
    file = fit_profile([*PREFILLS, *DECODES], name="decoder")
    assert ("decoder", False) == (file.provenance["model"], file.has_curve)
    assert file.llm is not None


def test_a_half_alone_is_a_batch_curve() -> None:
    """A decode step at one length of context is a curve over sequences that run at once: of use by itself."""
    file = fit_profile([DECODES[0]])
    assert (True, None) == (file.has_curve, file.llm)


def test_halves_of_two_decoders_are_refused() -> None:
    other = half("decoder-decode", "context_tokens", 64, {1: 9.0}, layers=8)
    with pytest.raises(InputError, match="must be the same for prompts and tokens"):
        fit_profile([*PREFILLS, other])


def test_steps_that_were_written_are_fitted_again_as_they_were(tmp_path: Path) -> None:
    """Calibrate fit of an LLM's profile would find nothing in it."""
    file = fit_profile([*PREFILLS, *DECODES], name="decoder")
    write_profile(file, tmp_path / "decoder.json")
    again = fit_profile(observations_in(read_profile_file(tmp_path / "decoder.json")), name="decoder")
    assert file.llm == again.llm
