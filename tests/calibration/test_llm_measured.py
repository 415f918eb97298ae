"""Step times predicted for real servers and accelerators that the fit had not seen; run with -s for the errors.

The measurements stand in SOURCES.md beside them: Splitwise (ISCA 2024) on A100 and H100, per-layer times of vLLM from
LLMServingSim on RTX GPUs, InferenceX serving runs, dstack's fixed batches. Bounds are what was measured here, rounded
up: a change of the fit that predicts worse fails.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import numpy.typing as npt
import pytest

from calibration.llm_evidence import evidence_of
from calibration.llm_fit import fit_steps
from calibration.llm_form import forms_for, solve
from calibration.llm_steps import StepModel
from calibration.observation import Observation, Observations

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Floats = npt.NDArray[np.float64]


def table(name: str) -> list[dict[str, str]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is absent")
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    return list(csv.DictReader(text.splitlines()))


def of_errors(what: str, errors: list[float] | Floats) -> tuple[float, float]:
    """Median and 90th percentile of the sizes of these errors, printed."""
    sizes = np.abs(np.array(errors))
    median, p90 = float(np.median(sizes)), float(np.quantile(sizes, 0.9))
    print(f"{what:<58} median {median:6.1%}   p90 {p90:6.1%}   n {len(sizes)}")
    return median, p90


# --- steps timed on the device ---------------------------------------------------------------------------------------


def splitwise() -> Iterator[tuple[str, Observations]]:
    """Prompt and token times by prompt, batch and answer length, mean of the repeats of each."""
    systems: dict[str, dict[tuple[int, int, int], list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in table("splitwise_perf_model.csv.gz"):
        system = f"{row['model']} {row['hardware']} TP{row['tensor_parallel']}"
        setting = (int(row["prompt_size"]), int(row["batch_size"]), int(row["token_size"]))
        systems[system][setting].append(row)
    for system, settings in systems.items():
        rows = []
        for (prompt, batch, answer), repeats in sorted(settings.items()):
            for phase, column, output in (("prefill", "prompt_time", None), ("decode", "token_time", answer)):
                times = [float(row[column]) for row in repeats]
                latency = {"mean": fmean(times), "std": pstdev(times)}
                rows.append(
                    Observation(
                        batch=batch, prompt_tokens=prompt, output_tokens=output, requests=len(times),
                        latency_ms=latency, notes={"phase": phase},
                    )
                )  # fmt: skip
        yield system, Observations(rows=tuple(rows), scope="device", provenance={"model": system})


def without(measured: Observations, phase: str, tokens: float) -> tuple[Observations, Observations]:
    """The measurements without a line (all prompts of so many tokens together, all steps of so many sequences)."""

    def on_line(row: Observation) -> bool:
        held = row.batch * (row.prompt_tokens or 0) if phase == "prefill" else row.batch
        return row.notes["phase"] == phase and held == tokens

    rows = {flag: tuple(row for row in measured.rows if on_line(row) is flag) for flag in (True, False)}
    return (
        Observations(rows=rows[False], scope="device", provenance=measured.provenance),
        Observations(rows=rows[True], scope="device", provenance=measured.provenance),
    )


def predicted(model: StepModel, row: Observation) -> float:
    prompt, extrapolating = row.prompt_tokens or 0, True
    if row.notes["phase"] == "prefill":
        return float(model.step_ms(row.batch * prompt, 0, 0, allow_extrapolation=extrapolating))
    each = prompt + (row.output_tokens or 0) / 2
    return float(model.token_ms(row.batch, each, allow_extrapolation=extrapolating))


def line_errors(every: int) -> dict[str, tuple[float, float]]:
    """Errors at every inner prompt size and every inner batch size, left out in turn."""
    errors: dict[str, list[float]] = {"prompt": [], "token": []}
    for _, measured in list(splitwise())[::every]:
        for tokens in (256, 512, 1024, 2048, 4096, 8192):
            errors["prompt"] += errors_without(measured, "prefill", tokens)
        for batch in (2, 4, 8, 16, 32):
            errors["token"] += errors_without(measured, "decode", batch)
    print()
    found = {what: of_errors(f"Splitwise, {what} time, line left out", errors[what]) for what in errors}
    return found | {"both": of_errors("Splitwise, both", errors["prompt"] + errors["token"])}


def errors_without(measured: Observations, phase: str, tokens: float) -> list[float]:
    seen, held_out = without(measured, phase, tokens)
    model = fit_steps([seen], resamples=0)
    return [predicted(model, row) / row.latency_ms["mean"] - 1 for row in held_out.rows]


def test_prompt_and_token_times_of_a_line_left_out_are_predicted() -> None:
    """Prompt sizes are a factor of two apart, so that leaving one out leaves a gap of four."""
    errors = line_errors(every=6)
    assert errors["prompt"][0] < 0.12
    assert errors["token"][0] < 0.03


@pytest.mark.slow
def test_prompt_and_token_times_of_a_line_left_out_are_predicted_on_all_twelve_systems() -> None:
    errors = line_errors(every=1)
    assert errors["prompt"][0] < 0.1
    assert errors["token"][0] < 0.03
    assert errors["both"][0] < 0.055


def test_a_measurement_that_contradicts_four_others_is_left_out_and_named() -> None:
    """Llama2-70B on two A100s: 64 prompts of 512 tokens in 0.8 s, 32 of them in 6.6 s. One of them is wrong."""
    measured = dict(splitwise())["llama2-70b a100-80gb TP2"]
    model = fit_steps([measured], resamples=0)
    said = [warning for warning in model.warnings if "others contradict" in warning]
    assert 1 == len(said)
    assert "64 x 512 prompt tokens" in said[0]
    assert 6_000 < float(model.step_ms(16_384, 0, 0)) < 7_500


def layers(name: str, blocks: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Whole steps put together from the times of their layers: prompt tokens, sequences, context of each, ms."""
    folder = "llm_layer_profiles/"
    attention = table(f"{folder}{name}_attention.csv.gz")
    keys = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us")
    prompt, before, sequences, each, attention_us = (np.array([float(row[key]) for row in attention]) for key in keys)
    wanted = (before == 0) & (prompt + sequences <= 2048) & (prompt + sequences > 0)
    prompt, sequences, each, attention_us = prompt[wanted], sequences[wanted], each[wanted], attention_us[wanted]
    total_us = blocks * attention_us
    for rows, x, size in (
        (table(f"{folder}{name}_dense.csv.gz"), "tokens", prompt + sequences),
        (table(f"{folder}{name}_per_sequence.csv.gz"), "sequences", np.maximum(sequences + (prompt > 0), 1)),
    ):
        for layer in {row["layer"] for row in rows}:
            curve = sorted((float(row[x]), float(row["time_us"])) for row in rows if row["layer"] == layer)
            once = layer in ("embedding", "final_layernorm", "lm_head", "sampler")
            times = 1 if once else 2 * blocks if layer == "layernorm" else blocks
            total_us = total_us + times * np.interp(size, *np.array(curve).T)
    return prompt, sequences, each, total_us / 1000


@pytest.mark.parametrize(
    ("name", "blocks", "most"),
    [
        ("RTX4090_Llama-3.1-8B_tp1", 32, 0.05),
        ("RTXPRO6000_Llama-3.1-8B_tp1", 32, 0.08),
        ("RTXPRO6000_Qwen3-32B_tp1", 64, 0.05),
    ],
)
def test_steps_of_prompts_and_sequences_together_are_predicted_from_a_few_of_them(
    name: str, blocks: int, most: float
) -> None:
    """Adding the two up is too fast: vLLM reads the KV cache more slowly beside a prompt. A few mixed steps tell."""
    prompt, sequences, each, ms = layers(name, blocks)
    mixed = (prompt > 0) & (sequences > 0)
    few = np.isin(np.arange(len(ms)), np.random.default_rng(0).choice(np.flatnonzero(mixed), 24, replace=False))

    def rows(which: npt.NDArray[np.bool_]) -> Iterator[Observation]:
        for p, r, s, time in zip(prompt[which], sequences[which], each[which], ms[which], strict=True):
            phase = "mixed" if p and r else "prefill" if p else "decode"
            length = float(s if r else p)
            notes = {"phase": phase, "prefill_tokens": float(p)}
            yield Observation(batch=float(r or 1), prompt_tokens=length, latency_ms={"mean": float(time)}, notes=notes)

    print()
    found = {}
    for what, seen in (("none", ~mixed), ("24", ~mixed | few)):
        model = fit_steps([Observations(rows=tuple(rows(seen)), scope="device")], resamples=0)
        left = mixed & ~few
        times = model.step_ms(prompt[left], sequences[left], (sequences * each)[left], allow_extrapolation=True)
        found[what] = of_errors(f"{name}, mixed steps, {what} of them seen", times / ms[left] - 1)
    assert found["24"][0] < most
    assert found["24"][0] < found["none"][0]


# --- what clients of a server saw ------------------------------------------------------------------------------------


def serving() -> list[tuple[tuple[str, ...], float, float, Floats]]:
    """InferenceX runs with at least five concurrencies: system, tokens in and out, rows of (c, TTFT, TPOT)."""
    asked = {
        "id", "silicon_data_source", "silicon_ttft_ms", "silicon_tpot_ms", "concurrency", "measured", "batch_size",
    }  # fmt: skip
    runs: dict[tuple[tuple[str, str], ...], dict[int, list[tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in table("llm_serving_concurrency_points.csv.gz"):
        times = row["silicon_ttft_ms"], row["silicon_tpot_ms"]
        if row["mode"] == "agg" and row["concurrency"] and all(times) and float(times[1]) > 0:
            setting = tuple((key, value) for key, value in row.items() if key not in asked)
            runs[setting][int(row["concurrency"])].append((float(times[0]), float(times[1])))
    found = []
    for setting, levels in runs.items():
        if len(levels) >= 5:
            told = dict(setting)
            system = tuple(value for key, value in setting if key not in ("isl", "osl"))
            points = np.array([(c, *np.median(np.array(levels[c]), axis=0)) for c in sorted(levels)])
            found.append((system, float(told["isl"]), float(told["osl"]), points))
    return found


def clients(points: Floats, isl: float, osl: float) -> tuple[Observation, ...]:
    return tuple(
        Observation(
            concurrency=float(c), prompt_tokens=isl, output_tokens=osl, ttft_ms={"mean": float(ttft)},
            tpot_ms={"mean": float(tpot)},
        )
        for c, ttft, tpot in points
    )  # fmt: skip


def level_errors(every: int) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """Errors of TTFT and TPOT at a concurrency left out, between the others and above them."""
    errors: dict[str, list[tuple[float, float]]] = {"between": [], "above": []}
    for _, isl, osl, points in serving()[::every]:
        for index in range(1, len(points)):
            rest = np.delete(points, index, axis=0)
            model = fit_steps([Observations(rows=clients(rest, isl, osl), scope="server")], resamples=0)
            c, ttft, tpot = points[index]
            times = model.closed_loop_ms(c, isl, osl, allow_extrapolation=True)
            where = "between" if index < len(points) - 1 else "above"
            errors[where].append((float(times[0]) / ttft - 1, float(times[1]) / tpot - 1))
    print()
    return {
        where: (
            of_errors(f"InferenceX, TTFT, concurrency {where} those seen", [ttft for ttft, _ in pairs]),
            of_errors(f"InferenceX, TPOT, concurrency {where} those seen", [tpot for _, tpot in pairs]),
        )
        for where, pairs in errors.items()
    }


def test_ttft_and_tpot_of_a_concurrency_left_out_are_predicted() -> None:
    errors = level_errors(every=24)
    (ttft, _), (tpot, _) = errors["between"]
    assert ttft < 0.12
    assert tpot < 0.05
    assert errors["above"][1][0] < 0.25


@pytest.mark.slow
def test_ttft_and_tpot_of_a_concurrency_left_out_are_predicted_on_all_288_servers() -> None:
    errors = level_errors(every=1)
    (ttft, _), (tpot, _) = errors["between"]
    assert ttft < 0.08
    assert tpot < 0.035
    assert errors["above"][1][0] < 0.15


def shape_errors(every: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Errors of TTFT and TPOT for prompts and answers of other lengths than those seen, on the same server."""
    systems: dict[tuple[str, ...], list[tuple[float, float, Floats]]] = defaultdict(list)
    for system, isl, osl, points in serving():
        systems[system].append((isl, osl, points))
    errors: list[tuple[float, float]] = []
    for shapes in [shapes for shapes in systems.values() if len(shapes) >= 3][::every]:
        for left, (isl, osl, points) in enumerate(shapes):
            rows = [row for at, shape in enumerate(shapes) if at != left for row in clients(shape[2], *shape[:2])]
            model = fit_steps([Observations(rows=tuple(rows), scope="server")], resamples=0)
            times = model.closed_loop_ms(points[:, 0], isl, osl, allow_extrapolation=True)
            errors += zip((times[0] / points[:, 1] - 1).tolist(), (times[1] / points[:, 2] - 1).tolist(), strict=True)
    print()
    return (
        of_errors("InferenceX, TTFT, other lengths than those seen", [ttft for ttft, _ in errors]),
        of_errors("InferenceX, TPOT, other lengths than those seen", [tpot for _, tpot in errors]),
    )


def test_prompts_and_answers_of_other_lengths_are_predicted_roughly() -> None:
    """From 1024 in and 1024 out, and 1024 in and 8192 out, to 8192 in: this is extrapolation, and shows it."""
    ttft, tpot = shape_errors(every=6)
    assert ttft[0] < 0.35
    assert tpot[0] < 0.15


@pytest.mark.slow
def test_prompts_and_answers_of_other_lengths_are_predicted_roughly_on_all_58_servers() -> None:
    ttft, tpot = shape_errors(every=1)
    assert ttft[0] < 0.25
    assert tpot[0] < 0.1


def test_whole_answers_of_fixed_batches_are_predicted() -> None:
    """dstack: Llama 3.1 405B on 8 H100 and 8 MI300X, end to end for batches of 4 to 256, each left out in turn."""
    systems: dict[str, list[Observation]] = defaultdict(list)
    for row in table("dstack_llama405b_batch_latency.csv"):
        systems[row["gpu"]].append(
            Observation(
                batch=int(row["batch_size"]), prompt_tokens=int(row["input_len"]), output_tokens=int(row["output_len"]),
                latency_ms={"mean": 1000 * float(row["end_to_end_latency"])}, notes={"phase": "generate"},
            )
        )  # fmt: skip
    errors: list[float] = []
    for rows in systems.values():
        batches = sorted({row.batch for row in rows})
        for batch in batches[1:-1]:
            evidence = evidence_of([Observations(rows=tuple(r for r in rows if r.batch != batch), scope="device")])
            others = evidence_of([Observations(rows=tuple(r for r in rows if r.batch == batch), scope="device")])
            form = list(forms_for(evidence.measurements))[1]
            errors += solve(form, evidence.measurements).errors(others.measurements).tolist()
    print()
    median, p90 = of_errors("dstack, end to end, batch left out", errors)
    assert median < 0.06
    assert p90 < 0.25
