"""Measurements become a profile that reads back, says what it rests on, and gives a lone client what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calibration.fit import fit_profile
from calibration.observation import Observation, Observations
from calibration.observation_table import rows_of
from calibration.problems import InputError
from calibration.profile import Profile
from calibration.profile_file import ProfileFile, ServiceModel, profile_from, read_profile, read_profile_file
from calibration.profile_writer import observations_in, write_profile
from calibration.source import Source
from simulator.compiling import compile_model
from simulator.run import run
from simulator.scenario import scenario_from


def device(*pairs: tuple[int, float], **provenance: Any) -> Observations:
    """Executions, their means alone."""
    rows = tuple(Observation(batch=batch, latency_ms={"mean": ms}) for batch, ms in pairs)
    return Observations(rows=rows, scope="device", provenance=provenance)


def server(*rows: Observation, **provenance: Any) -> Observations:
    """Requests to a server."""
    return Observations(rows=rows, scope="server", provenance=provenance)


def lone(batch: int, mean_ms: float, **more: Any) -> Observation:
    """A lone request."""
    return Observation(**{"batch": batch, "concurrency": 1, "latency_ms": {"mean": mean_ms}} | more)


def model_of(*measured: Observations, **more: Any) -> ServiceModel:
    """The service model that these measurements give."""
    model = fit_profile(measured, **more).service_model
    assert model is not None
    return model


def profile_of(file: ProfileFile, folder: Path) -> Profile:
    """The file written, and read as a scenario reads it."""
    write_profile(file, folder / "profile.json")
    return read_profile(folder / "profile.json")


TRITON = tuple(
    lone(batch, 0.9 + 0.1 * batch + compute, parts_ms={
        "send": 0.1, "network": 0.5, "queue": 0.1, "input": 0.05 * batch, "compute": compute, "output": 0.05 * batch,
        "receive": 0.2,
    })
    for batch, compute in ((1, 5.0), (4, 7.0), (8, 11.0), (16, 20.0), (32, 39.0))
)  # fmt: skip
"""What perf_analyzer tells of a server with one model instance."""


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "measured",
    [
        [device((1, 5.0))],
        [device((1, 5.0), (2, 4.9), (8, 9.0), (64, 50.0), (64, 51.0))],
        [server(*TRITON)],
        [server(lone(1, 9.0)), device((1, 8.0), (8, 15.0))],
    ],
    ids=["one point", "repeats", "server", "both"],
)
def test_what_is_fitted_is_a_profile_that_reads_back(measured: list[Observations], tmp_path: Path) -> None:
    file = fit_profile(measured, name="some")
    profile = profile_of(file, tmp_path)
    model = file.service_model
    assert model is not None
    assert (model.batch, model.latency_ms) == (profile.batch, profile.latency_ms)
    assert model.warnings == profile.warnings
    assert "some" == profile.name


@given(
    st.lists(
        st.tuples(st.integers(1, 512), st.floats(0.05, 500)), min_size=1, max_size=9, unique_by=lambda point: point[0]
    )
)
@example([(1, 206.0), (47, 20.0), (56, 0.05), (65, 14.0), (271, 1.0), (277, 1.0), (437, 288.0)])
@settings(max_examples=50)
def test_any_times_give_a_profile(pairs: list[tuple[int, float]]) -> None:
    """Also such as fall, that lie far apart, that are alike."""
    file = fit_profile([device(*pairs)])
    model = file.service_model
    assert model is not None
    assert model.batch is not None
    assert model.latency_ms is not None
    Profile(batch=model.batch, latency_ms=model.latency_ms, valid_range=model.valid_range)


rows = st.builds(
    lambda batch, load, instances, largest, rate, mean, tail, parts: Observation(
        batch=batch,
        concurrency=load,
        model_instances=instances,
        max_batch_size=largest,
        throughput_rps=rate,
        latency_ms={"mean": mean, "p50": 0.9 * mean, "p90": mean * tail, "p99": mean * tail**2},
        parts_ms=dict(zip(("network", "queue", "input", "compute", "output"), parts, strict=False)),
        notes={"max_queue_delay_ms": 0.1},
    ),
    st.sampled_from([1, 2, 8, 32]),
    st.sampled_from([1, 2, 16, 128]),
    st.sampled_from([1, 1, 2, 3]),
    st.sampled_from([None, 1, 8]),
    st.floats(0.1, 1e4),
    st.floats(0.2, 1e3),
    st.floats(1.0, 3.0),
    st.lists(st.floats(0, 100), max_size=5),
)


@given(st.lists(rows, min_size=1, max_size=12), st.sampled_from(["T4", "CPU"]), st.booleans())
@settings(max_examples=100)
def test_any_rows_of_a_server_give_a_profile(found: list[Observation], name: str, timed: bool) -> None:
    """Also such as contradict one another: warned of, never refused, and nothing in the profile is negative."""
    measured = [server(*found, device=name)]
    if timed:
        measured.append(device((1, 5.0), (8, 20.0), device=name))
    file = fit_profile(measured)
    assert file.loads is not None
    assert file.has_curve
    chosen = json.loads(file.model_dump_json(by_alias=True, exclude_none=True))
    profile, problems = profile_from(Source("fitted", chosen), name="fitted")
    assert [] == problems
    assert profile is not None


def test_the_same_measurements_and_seed_give_the_same_file() -> None:
    samples = tuple(np.random.default_rng(0).normal(10, 1, 50).tolist())
    row = Observation(batch=1, latency_ms={"mean": 10.0}, samples_ms=samples)
    once, twice, other = (fit_profile([Observations(rows=(row,), scope="device")], seed=seed) for seed in (1, 1, 2))
    assert once == twice
    assert once != other


def test_a_file_that_is_fitted_again_gives_the_same_curve_and_overheads() -> None:
    """``calibrate fit`` reads what an earlier fit has written."""
    first = fit_profile([server(*TRITON, device="CPU")])
    again = fit_profile(observations_in(first))
    for one, other in ((first.service_model, again.service_model), (first.measurements, again.measurements)):
        assert one is not None
        assert other is not None
    before, after = first.service_model, again.service_model
    assert before is not None
    assert after is not None
    assert (before.batch, before.latency_ms) == (after.batch, after.latency_ms)
    assert before.overheads == after.overheads


def test_timed_executions_and_a_served_profile_join_without_counting_requests_as_executions(tmp_path: Path) -> None:
    """The curve of a served profile was found inside its requests, which hold more than the execution."""
    timed = fit_profile([device((1, 10.0), (8, 24.0), device="CPU")])
    served = fit_profile([server(lone(1, 15.0), device="CPU")])
    assert served.measurements is not None
    assert (15.0,) == served.measurements.latency_ms
    write_profile(served, tmp_path / "served.json")
    model = model_of(*observations_in(timed), *observations_in(read_profile_file(tmp_path / "served.json")))
    assert (10.0, 24.0) == model.latency_ms


def test_files_imported_one_by_one_and_joined_fit_as_if_imported_together() -> None:
    apart = [fit_profile([server(row)]) for row in TRITON]
    together = fit_profile([server(*TRITON)])
    joined = fit_profile([one for file in apart for one in observations_in(file)])
    assert together.service_model == joined.service_model


def test_measurements_are_the_device_and_loads_are_the_clients() -> None:
    busy = Observation(batch=1, concurrency=8, throughput_rps=180.0, latency_ms={"mean": 44.0, "p99": 60.0})
    file = fit_profile([server(*TRITON, busy)])
    assert file.measurements is not None
    assert file.loads is not None
    assert (1, 4, 8, 16, 32) == file.measurements.batch
    assert (5.1, 7.4, 11.8, 21.6, 42.2) == pytest.approx(file.measurements.latency_ms)
    assert file.measurements.p99_ms is None
    assert (*TRITON, busy) == rows_of(file.loads)


def test_a_batch_size_measured_twice_is_one_row_that_names_both() -> None:
    file = fit_profile([device((1, 5.0), (4, 8.0)), device((4, 8.4))])
    assert file.measurements is not None
    assert (1, 4) == file.measurements.batch
    assert (5.0, 8.2) == pytest.approx(file.measurements.latency_ms)
    notes = (file.measurements.model_extra or {})["notes"]
    assert [8.0, 8.4] == notes[1]["round_medians_ms"]
    assert model_of(*observations_in(file)).ci95_ms is not None


def test_notes_cold_start_and_warnings_of_the_measuring_are_kept() -> None:
    told = Observations(
        rows=device((1, 5.0)).rows,
        scope="device",
        notes={"cold_start": {"load_s": 2.0}, "governor": "performance"},
        warnings=("the clock was not pinned",),
    )
    file = fit_profile([told])
    assert {"load_s": 2.0} == file.cold_start
    assert {"governor": "performance"} == file.notes
    assert file.service_model is not None
    assert "the clock was not pinned" in file.service_model.warnings


# --- what may be joined ---------------------------------------------------------------------------------------------


def test_measurements_of_different_hardware_models_or_precisions_are_not_joined() -> None:
    one = device((1, 5.0), device="T4", model="bert", precision="fp16")
    other = device((8, 9.0), device="A100", model="bert", precision="int8")
    with pytest.raises(InputError) as caught:
        fit_profile([one, other])
    said = str(caught.value)
    assert "provenance.device: must be the same in everything that is joined, and is 'T4' elsewhere, got 'A100'" in said
    assert "provenance.precision: must be the same in everything that is joined, and is 'fp16' elsewhere" in said
    assert 2 == len(caught.value.problems)


def test_case_and_spaces_make_no_other_device_and_silence_agrees_with_all() -> None:
    file = fit_profile([device((1, 5.0), device="NVIDIA  T4"), device((8, 9.0), device="nvidia t4"), device((4, 7.0))])
    assert "NVIDIA  T4" == file.provenance["device"]


def test_the_sources_of_what_is_joined_are_all_kept() -> None:
    parts = [device((1, 5.0), device="T4", date="2026-01-01"), device((8, 9.0), device="T4", date="2026-02-01")]
    file = fit_profile(parts)
    assert ["2026-01-01", "2026-02-01"] == [source["date"] for source in file.provenance["joined"]]
    assert file.provenance["joined"] == fit_profile(observations_in(file)).provenance.get("joined", [])
    assert "joined" not in fit_profile(parts[:1]).provenance


# --- what a lone client sees ----------------------------------------------------------------------------------------


def closed_loop_mean_ms(profile: Profile, batch: int, **fleet: Any) -> float:
    """Mean latency of one client that sends requests of this size one after the other, by simulation."""
    scenario = scenario_from(
        {
            "schema": 1,
            "name": "one client",
            "horizon": "20s",
            "profiles": {"fitted": json.loads(profile.model_dump_json(exclude_none=True))},
            "fleets": {
                "server": {
                    "profile": "fitted",
                    "usd_per_hour": 1.0,
                    "instances": 1,
                    "batching": {"policy": "dynamic", "max_batch_size": max(profile.batch)},
                    **fleet,
                }
            },
            "workloads": {
                "client": {
                    "fleet": "server",
                    "items_per_request": batch,
                    "arrivals": {"process": "closed_loop", "concurrency": 1},
                }
            },
        }
    )
    log = run(compile_model(scenario))
    return float((log.requests.left_ns - log.requests.arrival_ns).mean() / 1e6)


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_a_lone_client_of_the_simulator_waits_as_long_as_the_one_that_was_measured(batch: int, tmp_path: Path) -> None:
    profile = profile_of(fit_profile([server(*TRITON, device="CPU")]), tmp_path)
    measured = next(row.latency_ms["mean"] for row in TRITON if row.batch == batch)
    assert measured == pytest.approx(closed_loop_mean_ms(profile, batch), rel=0.01)


def test_also_where_a_saturated_run_and_a_front_end_take_part_of_it(tmp_path: Path) -> None:
    busy = Observation(batch=1, concurrency=64, max_batch_size=8, throughput_rps=8000 / 17.2)
    null = server(Observation(concurrency=64, throughput_rps=5_000.0))
    measured = [device((1, 9.0), (4, 12.0), (8, 16.0), device="CPU"), server(lone(1, 10.0), busy)]
    profile = profile_of(fit_profile(measured, null_model=null), tmp_path)
    assert (0.2,) == profile.overheads.frontend_ms
    assert 10.0 == pytest.approx(closed_loop_mean_ms(profile, 1), rel=0.01)


def test_the_capacity_of_the_simulator_is_the_throughput_at_saturation(tmp_path: Path) -> None:
    """The gap between full batches is what a curve of executions alone leaves out."""
    busy = Observation(batch=1, concurrency=64, max_batch_size=8, throughput_rps=8000 / 17.2)
    file = fit_profile([device((1, 9.0), (4, 12.0), (8, 16.0), device="CPU"), server(lone(1, 10.0), busy)])
    profile = profile_of(file, tmp_path)
    held = sum(float(profile.overhead_ms(name, np.array([8]))[0]) for name in ("dispatch_ms", "release_ms"))
    assert 17.2 == pytest.approx(16.0 + held)


# --- the parts of the model -----------------------------------------------------------------------------------------


def test_every_part_says_what_it_rests_on() -> None:
    rows = [
        *TRITON,
        *(Observation(model_instances=k, concurrency=32, throughput_rps=r) for k, r in ((1, 190), (2, 200))),
    ]
    basis = model_of(server(*rows)).basis
    assert {"curve", "noise", "overheads", "slowdown"} == set(basis)
    assert basis["curve"].startswith("executions inside lone requests to a server")
    assert "2 model instances" in basis["slowdown"]


def test_rounds_of_our_own_measuring_give_the_intervals() -> None:
    rows = tuple(
        Observation(
            batch=batch,
            requests=500,
            latency_ms={"mean": ms, "std": 0.1 * ms},
            samples_ms=tuple((ms * np.linspace(0.9, 1.1, 101)).tolist()),
            notes={"round_medians_ms": [0.98 * ms, ms, 1.02 * ms]},
        )
        for batch, ms in ((1, 10.0), (8, 24.0))
    )
    model = model_of(Observations(rows=rows, scope="device"))
    assert "intervals from repeats" in model.basis["curve"]
    assert model.ci95_ms is not None
    low, high = model.ci95_ms[0]
    # Student's t with 4 degrees of freedom: 2.776 x 0.2 / sqrt(3) on either side.
    assert 2 * 2.776 * 0.2 / 3**0.5 == pytest.approx(high - low, rel=0.15)


def test_samples_that_are_no_lognormal_are_resampled_at_every_point_of_the_curve() -> None:
    ratios = np.where(np.arange(200) % 10 == 0, 2.0, 1.0)
    rows = tuple(
        Observation(
            batch=batch, latency_ms={"mean": float((ms * ratios).mean())}, samples_ms=tuple((ms * ratios).tolist())
        )
        for batch, ms in ((1, 10.0), (8, 24.0))
    )
    model = model_of(Observations(rows=rows, scope="device"))
    assert model.noise is not None
    assert "empirical" == model.noise.kind
    assert model.samples_ms is not None
    assert [11.0, 26.4] == pytest.approx([float(np.mean(samples)) for samples in model.samples_ms], rel=1e-4)


def test_a_fit_from_few_or_contradictory_points_says_so() -> None:
    warnings = model_of(device((1, 5.0), (64, 4.0), (64, 6.0))).warnings
    assert any(warning.startswith("only batches 1 and 64 were measured") for warning in warnings)
    assert any(warning.startswith("batch 64 was measured 2 times, from 4 to 6 ms") for warning in warnings)
    assert any(warning.startswith("nothing was measured between batches 1 and 64") for warning in warnings)


def test_nothing_to_fit_is_refused() -> None:
    for measured in ([], [server()], [server(Observation(throughput_rps=5.0))]):
        with pytest.raises(InputError, match="must hold the latency of at least one execution, or of one request"):
            fit_profile(measured)


def test_steps_of_an_llm_go_into_a_model_of_their_own() -> None:
    rows = tuple(
        Observation(batch=b, prompt_tokens=1024, latency_ms={"mean": 8 + 0.1 * b}, notes={"phase": "decode"})
        for b in (1, 8, 16, 32, 64)
    )
    told = Observations(rows=rows, scope="device", warnings=("the cache was cold",))
    file = fit_profile([told])
    assert file.llm is not None
    assert file.measurements is None
    assert not file.has_curve
    assert file.service_model is not None
    assert ("the cache was cold",) == file.service_model.warnings
    both = fit_profile([told, device((1, 5.0))])
    assert both.llm is not None
    assert both.has_curve
