"""The fit finds the steps that made the measurements, says how sure it is, and says so where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from calibration.llm_evidence import evidence_of
from calibration.llm_fit import fit_steps
from calibration.llm_steps import ClosedLoop, Ranges, StepModel
from calibration.observation import Observation, Observations
from calibration.problems import InputError

WIDE = Ranges(prefill_tokens=(0, 1e6), running=(0, 1e4), context_tokens=(0, 1e9), context_per_sequence=(0, 1e6))
TRUE = StepModel(
    method="linear", fixed_ms=8, tokens=(0, 1000), tokens_ms=(0, 50), running=(0, 10), running_ms=(0, 1.5),
    ms_per_context_token=1e-4, ms_per_context_token_beside_prefill=1.5e-4, valid_range=WIDE,
    closed_loop=ClosedLoop(overhead_ms=20, queue_ms_per_prompt_token=0.003),
)  # fmt: skip
KINKED = StepModel(
    method="roofline", fixed_ms=10, tokens=(0, 512, 4096), tokens_ms=(0, 0, 180), running=(0, 32, 128),
    running_ms=(0, 0, 24), ms_per_context_token=5e-5, valid_range=WIDE,
)  # fmt: skip


def prefill(model: StepModel, tokens: float, factor: float = 1.0) -> Observation:
    time = factor * float(model.step_ms(tokens, 0, 0))
    return Observation(prompt_tokens=tokens, latency_ms={"mean": time}, notes={"phase": "prefill"})


def decode(model: StepModel, running: float, each: float, factor: float = 1.0) -> Observation:
    time = factor * float(model.token_ms(running, each))
    return Observation(batch=running, prompt_tokens=each, latency_ms={"mean": time}, notes={"phase": "decode"})


def mixed(model: StepModel, tokens: float, running: float, each: float) -> Observation:
    time = float(model.step_ms(tokens, running, running * each))
    notes = {"phase": "mixed", "prefill_tokens": tokens}
    return Observation(batch=running, prompt_tokens=each, latency_ms={"mean": time}, notes=notes)


def client(model: StepModel, concurrency: float, prompt: float, answer: float) -> Observation:
    ttft, tpot = (float(time) for time in model.closed_loop_ms(concurrency, prompt, answer))
    return Observation(
        concurrency=concurrency, prompt_tokens=prompt, output_tokens=answer, ttft_ms={"mean": ttft},
        tpot_ms={"mean": tpot},
    )  # fmt: skip


def on_device(rows: Iterable[Observation]) -> list[Observations]:
    return [Observations(rows=tuple(rows), scope="device")]


def at_server(rows: Iterable[Observation]) -> list[Observations]:
    return [Observations(rows=tuple(rows), scope="server")]


def grid(model: StepModel, factor: Callable[[], float] = lambda: 1.0) -> list[Observation]:
    return [
        *(prefill(model, tokens, factor()) for tokens in (64, 128, 256, 512, 1024, 2048, 4096)),
        *(decode(model, running, each, factor()) for running in (1, 4, 16, 32, 64, 128) for each in (128, 1024, 4096)),
    ]


# --- finding what was there -------------------------------------------------------------------------------------------


def test_steps_on_a_straight_line_are_found_exactly() -> None:
    rows = [*grid(TRUE), *(mixed(TRUE, p, r, 512) for p in (256, 1024) for r in (8, 64))]
    model = fit_steps(on_device(rows), resamples=0)
    assert "linear" == model.method
    found = (model.fixed_ms, model.ms_per_prefill_token, model.ms_per_running)
    assert (8, 0.05, 0.15) == pytest.approx(found, rel=1e-3)
    slopes = (model.ms_per_context_token, model.ms_per_context_token_beside_prefill)
    assert (1e-4, 1.5e-4) == pytest.approx(slopes, rel=1e-3)
    assert model.residuals["max"] < 1e-3


def test_a_kink_is_found_where_memory_gives_way_to_compute() -> None:
    """A straight line through both regimes would be wrong by tens of per cent at its middle."""
    model = fit_steps(on_device(grid(KINKED)), resamples=0)
    assert "linear" != model.method
    times = KINKED.step_ms([300, 3000], 0, 0)
    assert model.step_ms([300, 3000], 0, 0) == pytest.approx(times, rel=0.02)
    assert model.token_ms([16, 96], 1024) == pytest.approx(KINKED.token_ms([16, 96], 1024), rel=0.02)
    assert model.cross_validation["linear"].median > model.cross_validation[model.method].median


def test_steps_are_found_from_what_clients_saw() -> None:
    """Of a loop that the model itself describes nothing is lost: prompts, sequences and context are told apart."""
    shapes = ((512, 128), (2048, 128), (512, 1024), (4096, 512))
    rows = [client(TRUE, c, isl, osl) for isl, osl in shapes for c in (1, 4, 16, 64)]
    model = fit_steps(at_server(rows), resamples=0)
    assert model.residuals["max"] < 0.02
    ttft, tpot = model.closed_loop_ms(32, 1024, 256)
    assert tuple(map(float, TRUE.closed_loop_ms(32, 1024, 256))) == pytest.approx((float(ttft), float(tpot)), rel=0.03)
    assert model.closed_loop is not None


def test_an_open_loop_has_as_many_requests_outstanding_as_littles_law_says() -> None:
    closed = client(TRUE, 16, 512, 128)
    lasts_s = (closed.ttft_ms["mean"] + 127 * closed.tpot_ms["mean"]) / 1000
    rate = Observation(
        rate_rps=16 / lasts_s, throughput_rps=16 / lasts_s, prompt_tokens=512, output_tokens=128,
        ttft_ms=closed.ttft_ms, tpot_ms=closed.tpot_ms,
    )  # fmt: skip
    rows = evidence_of(at_server([closed, rate])).measurements
    assert [16, 16, 16, 16] == pytest.approx(rows.concurrency.tolist())


def test_whole_answers_of_fixed_batches_tell_the_steps() -> None:
    def whole(batch: int, isl: int, osl: int) -> Observation:
        steps = [float(TRUE.token_ms(batch, isl + osl / 2))] * (osl - 1)
        time = float(TRUE.step_ms(batch * isl, 0, 0)) + sum(steps)
        return Observation(
            batch=batch, prompt_tokens=isl, output_tokens=osl, latency_ms={"mean": time}, notes={"phase": "generate"}
        )

    rows = [whole(b, isl, osl) for b in (1, 4, 16, 64) for isl, osl in ((128, 256), (2048, 256), (128, 2048))]
    model = fit_steps(on_device(rows), resamples=0)
    assert model.token_ms(8, 512) == pytest.approx(TRUE.token_ms(8, 512), rel=0.02)


def test_what_a_server_adds_to_each_step_is_told_apart_from_the_device() -> None:
    slower = TRUE.model_copy(update={"fixed_ms": 11.0})
    shapes = ((512, 128), (2048, 128), (512, 1024))
    served = [client(slower, c, isl, osl) for isl, osl in shapes for c in (1, 4, 16, 64)]
    device = [*grid(TRUE), *(mixed(TRUE, p, r, 512) for p in (256, 1024, 2048) for r in (8, 64))]
    model = fit_steps([*on_device(device), *at_server(served)], resamples=0)
    assert (8, 3) == pytest.approx((model.fixed_ms, model.scheduling_ms), rel=0.1)
    assert float(model.token_ms(8, 512)) == pytest.approx(float(slower.token_ms(8, 512)), rel=0.03)


# --- how sure it is ---------------------------------------------------------------------------------------------------


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """95 % intervals that hold it in half of all repeats would be worse than none."""
    rng = np.random.default_rng(5)
    hits = []
    for seed in range(20):
        rows = grid(TRUE, lambda: float(np.exp(0.02 * rng.standard_normal())))
        model = fit_steps(on_device(rows), seed=seed, resamples=100)
        if model.method == "linear":  # in a table the cost of the first sequence is part of what every step takes
            low, high = model.ci95["fixed_ms"]
            hits.append(low <= 8 <= high)
    assert len(hits) > 10
    assert sum(hits) >= 0.85 * len(hits)


def test_the_same_seed_gives_the_same_model() -> None:
    rows = on_device(grid(TRUE, iter(np.linspace(0.97, 1.03, 25)).__next__))
    assert fit_steps(rows, seed=3) == fit_steps(rows, seed=3)
    assert fit_steps(rows, seed=3).ci95 != fit_steps(rows, seed=4).ci95


def test_a_model_with_its_measurements_is_plain_json() -> None:
    model = fit_steps([*on_device(grid(TRUE)), *at_server(client(TRUE, c, 512, 128) for c in (1, 8, 64))])
    told = json.loads(json.dumps(model.model_dump(mode="json", exclude_none=True), allow_nan=False))
    assert model == StepModel.model_validate(told)
    assert 25 + 6 == len(told["measurements"]["measured_ms"])


def test_the_valid_range_is_what_was_measured() -> None:
    ranges = fit_steps(on_device(grid(TRUE)), resamples=0).valid_range
    assert ((0, 4096), (0, 128), (0, 128 * 4096), (0, 4096)) == (
        ranges.prefill_tokens, ranges.running, ranges.context_tokens, ranges.context_per_sequence,
    )  # fmt: skip


# --- where it cannot be -----------------------------------------------------------------------------------------------


def warned(rows: Iterable[Observation], about: str) -> list[str]:
    return [warning for warning in fit_steps(on_device(rows), resamples=0).warnings if about in warning]


def test_a_point_that_contradicts_others_is_left_out_and_named() -> None:
    rows = [*grid(TRUE), prefill(TRUE, 8192, 0.02)]
    model = fit_steps(on_device(rows), resamples=0)
    assert model.step_ms(4096, 0, 0) == pytest.approx(TRUE.step_ms(4096, 0, 0), rel=0.02)
    assert any("1 x 8192 prompt tokens (contradicts" in warning for warning in model.warnings)


def test_two_points_that_contradict_each_other_are_both_kept_and_named() -> None:
    assert warned([*grid(TRUE), decode(TRUE, 128, 4096, 0.6)], "more work took less time")


@pytest.mark.parametrize(
    ("rows", "about"),
    [
        ([decode(TRUE, r, 512) for r in (1, 8, 64)], "rests on 3 measured times: few"),
        ([decode(TRUE, r, 512) for r in (1, 8, 64)], "no step with prompts was measured"),
        ([decode(TRUE, r, 512) for r in (1, 8, 64)], "context was never varied"),
        ([prefill(TRUE, p) for p in (64, 512, 4096)], "no step with sequences was measured"),
        (grid(TRUE), "no step held prompts and running sequences at once"),
        ([*(decode(TRUE, r, 512) for r in (1, 8, 64)), prefill(TRUE, 512)], "prompts were of one or two lengths"),
        ([decode(TRUE, 8, 512)] * 3, "none could be left out to check"),
    ],
)
def test_what_the_measurements_do_not_tell_is_said(rows: list[Observation], about: str) -> None:
    assert 1 == len(warned(rows, about))


def test_complete_measurements_raise_no_doubts() -> None:
    rows = [*grid(TRUE), *(mixed(TRUE, p, r, 512) for p in (256, 1024, 2048) for r in (8, 64))]
    assert () == fit_steps(on_device(rows), resamples=0).warnings


def test_requests_that_failed_are_mentioned() -> None:
    rows = [client(TRUE, c, 512, 128) for c in (1, 8, 64)]
    some = [Observation(**{**vars(row), "requests": 90, "failed": 10}) for row in rows]
    assert any("10% of the requests failed" in warning for warning in fit_steps(at_server(some)).warnings)


def test_too_few_rows_are_refused_with_the_reason_for_each() -> None:
    rows = [
        Observation(latency_ms={"mean": 5.0}, place="steps.csv:2"),
        Observation(latency_ms={"mean": 5.0}, notes={"phase": "decode"}, place="steps.csv:3"),
        Observation(prompt_tokens=9, notes={"phase": "decode"}, place="steps.csv:4"),
        Observation(prompt_tokens=9, latency_ms={"mean": 5.0}, notes={"phase": "mixed"}, place="steps.csv:5"),
        Observation(prompt_tokens=9, latency_ms={"mean": 5.0}, notes={"phase": "generate"}, place="steps.csv:6"),
        decode(TRUE, 8, 512),
    ]
    with pytest.raises(InputError) as caught:
        fit_steps(on_device(rows))
    assert [
        "steps.csv:2: does not say which steps it timed. Say so: notes.phase is one of prefill, decode, mixed, "
        "generate.",
        "steps.csv:3: does not say how many tokens are in the KV cache of each sequence. Give --prompt-tokens, or the "
        "column prompt_tokens.",
        "steps.csv:4: has no latency. Give its mean in ms.",
        "steps.csv:5: does not say how many tokens of prompts it computed. Add notes.prefill_tokens.",
        "steps.csv:6: does not say how many tokens it generated. Give --output-tokens, or the column output_tokens.",
        "measurements: hold 1 measured step times, of which a fit needs at least 3. Measure prefill and decode at "
        "several batch sizes, or a server at several concurrencies.",
    ] == [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"prompt_tokens": None}, "must say how long prompts and answers are"),
        ({"tpot_ms": {}, "output_tokens": 128}, "has no time per output token"),
        ({"ttft_ms": {}}, "has no time to the first token"),
        ({"concurrency": None}, "does not say how many requests were outstanding"),
    ],
)
def test_rows_of_a_server_that_lack_something_are_refused(missing: dict[str, object], said: str) -> None:
    whole = vars(client(TRUE, 8, 512, 128))
    with pytest.raises(InputError, match=said):
        fit_steps(at_server([Observation(**{**whole, **missing})]))


def test_time_per_token_follows_from_latency_and_first_token() -> None:
    whole = client(TRUE, 8, 512, 128)
    latency = {"mean": whole.ttft_ms["mean"] + 127 * whole.tpot_ms["mean"]}
    row = Observation(**{**vars(whole), "tpot_ms": {}, "latency_ms": latency})
    assert whole.tpot_ms["mean"] == pytest.approx(evidence_of(at_server([row])).measurements.measured_ms[0])


def test_the_decoders_that_come_with_the_package_state_their_steps_by_name() -> None:
    """``calibrate measure`` of decoder-prefill and decoder-decode needs no notes of its own."""
    rows = tuple(Observation(batch=b, latency_ms={"mean": 5.0 + b}) for b in (1, 2, 4))
    measured = [
        Observations(
            rows=rows, scope="device", provenance={"model": "decoder-prefill", "sizes": {"prompt_tokens": 128}}
        ),
        Observations(
            rows=rows, scope="device", provenance={"model": "decoder-decode", "sizes": {"context_tokens": 512}}
        ),
    ]
    found = evidence_of(measured).measurements
    assert ["prefill"] * 3 + ["decode"] * 3 == found.kind.tolist()
    assert [128, 256, 512, 0, 0, 0] == found.prefill_tokens.tolist()
    assert [0, 0, 0, 512, 1024, 2048] == found.context_tokens.tolist()
