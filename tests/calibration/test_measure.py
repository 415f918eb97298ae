"""Measuring: what is reported is what was timed, doubt is said aloud, and nothing measured is lost."""

from __future__ import annotations

import gc
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calibration.backends.protocol import OutOfMemoryError, UnavailableError
from calibration.measure import QUICK, Settings, missing, sweep
from calibration.observation import Observation, Observations
from calibration.problems import InputError
from calibration.store import Store, in_memory, opened, read_kept
from tests.calibration.fake_session import Clock, FakeMeter, FakeSession, Times, Witness, scattered, steady

SETTINGS = Settings(repeats=5, min_time_s=2.0, min_executions=100, max_warm_up_s=3.0)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load of the machine that runs the tests is no part of them."""
    monkeypatch.setattr("calibration.measure._load", lambda: 0.5)


def swept(session: FakeSession, *batches: int, settings: Settings = SETTINGS, **more: object) -> Observations:
    return sweep(session, batches, settings, Witness(), in_memory(), clock=session.clock, **more)  # type: ignore[arg-type]


def measured(times: Times, settings: Settings = SETTINGS) -> tuple[Observation, tuple[str, ...]]:
    """Batch 4 of a model with such times, and what is said about it."""
    found = swept(FakeSession(Clock(), times), 4, settings=settings)
    return found.rows[0], found.warnings


# --- What is reported -------------------------------------------------------------------------------------------


def test_a_steady_model_is_measured_exactly() -> None:
    found = swept(FakeSession(Clock()), 1, 2, 4)
    assert [(1, 7.0), (2, 9.0), (4, 13.0)] == [(row.batch, pytest.approx(row.mean_ms)) for row in found.rows]
    assert "device" == found.scope
    assert () == found.warnings
    row = found.rows[-1]
    assert pytest.approx(13.0) == row.latency_ms["p50"] == row.latency_ms["p99"]
    assert 4e6 == row.memory_bytes
    assert "Pocket calculator" == found.provenance["device"]


def test_statistics_are_those_of_single_executions() -> None:
    """A mean of loops passed off as one execution would hide the tail."""
    seen: list[float] = []
    draw = scattered(0.02)

    def times(batch: int, before: int) -> float:
        seen.append(draw(batch, before))
        return seen[-1]

    row, _ = measured(times)
    assert row.requests is not None
    assert row.requests >= SETTINGS.min_executions
    assert "percentiles_of" not in row.notes
    assert 101 == len(row.samples_ms) or row.requests == len(row.samples_ms)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        # The warm-up is in ``seen`` and not in the row, so the two samples differ a little.
        assert pytest.approx(np.quantile(seen, share), rel=0.01) == row.latency_ms[name]
    assert pytest.approx(statistics.stdev(seen), rel=0.15) == row.latency_ms["std"]
    assert sorted(row.samples_ms) == list(row.samples_ms)


def test_executions_too_short_for_the_clock_are_looped_and_it_is_said() -> None:
    """A clock with steps of 10 us says 0 or 10 us of an execution of 1.5 us, never the truth."""
    clock = Clock()

    def coarse() -> float:
        clock.now_s += 20e-9  # what it costs to read it
        return clock.now_s // 1e-5 * 1e-5

    found = sweep(FakeSession(clock, lambda _batch, _before: 0.0015), [1], QUICK, Witness(), in_memory(), clock=coarse)
    row = found.rows[0]
    assert pytest.approx(0.0015, rel=0.01) == row.mean_ms
    assert pytest.approx(0.0015, rel=0.01) == row.latency_ms["max"]
    assert "means of" in row.notes["percentiles_of"]
    assert row.requests is not None
    assert row.requests > 1000, "executions are counted, not loops"


def test_rounds_of_all_batch_sizes_take_turns() -> None:
    """A device that slows down by 10 % while it is measured must not bend the curve towards the last point."""
    clock = Clock()
    begin_s = clock()

    def slowing(batch: int, _before: int) -> float:
        return steady(batch, 0) * (1 + 0.1 * min((clock() - begin_s) / 25.0, 1.0))

    session = FakeSession(clock, slowing)
    found = swept(session, 1, 4, 16)
    ratio = {row.batch: (row.mean_ms or 0.0) / steady(int(row.batch), 0) for row in found.rows}
    assert max(ratio.values()) - min(ratio.values()) < 0.01
    assert [1, 4, 16, 16, 4, 1, 1, 4, 16, 16, 4, 1, 1, 4, 16] == session.prepared


def test_a_batch_size_that_is_costly_to_come_back_to_is_finished_then() -> None:
    """Compiling the same batch size anew for every round would take longer than all that is measured."""
    session = FakeSession(Clock(), prepare_s=20.0)
    found = swept(session, 1, 2)
    assert [1, 2, 2, 1] == session.prepared
    assert [5, 5] == [row.notes["rounds"] for row in found.rows]


def test_a_slow_start_of_the_first_batch_alone_is_not_taken_for_a_costly_one() -> None:
    """A device wakes up once in a process, whichever batch comes first."""
    session = FakeSession(Clock(), lambda batch, n: 20_000.0 if batch == 1 and n == 0 else steady(batch, n))
    swept(session, 1, 2)
    assert [1, 2, 2, 1, 1, 2, 2, 1, 1, 2] == session.prepared


def test_the_time_of_copies_is_part_of_an_execution() -> None:
    """Inputs have to reach the device: a server cannot leave that out."""
    parts = {"preprocess": 0.7, "input": 0.5, "output": 0.25, "postprocess": 0.1}
    row = swept(FakeSession(Clock(), parts=parts), 4).rows[0]
    assert {**parts, "compute": pytest.approx(13.0)} == row.parts_ms
    assert pytest.approx(13.75) == row.mean_ms
    assert pytest.approx(13.75) == row.latency_ms["p99"] == row.samples_ms[0]
    assert ["preprocess", "input", "compute", "output", "postprocess"] == list(row.parts_ms)
    assert 0.75 == row.notes["copies_ms"]


def test_slow_first_executions_are_not_counted() -> None:
    """The first executions compile and allocate: with them, a mean says how often one restarted."""
    row, warnings = measured(lambda batch, before: steady(batch, 0) * (20 if before == 0 else 1 + 2 ** (3 - before)))
    assert pytest.approx(13.0, rel=0.002) == row.latency_ms["max"]
    assert row.notes["warm_up"]["steady"]
    assert pytest.approx(0.26) == row.notes["warm_up"]["first_execution_s"]
    assert () == warnings


def test_the_collector_rests_while_times_are_taken() -> None:
    states: list[bool] = []

    def times(batch: int, before: int) -> float:
        states.append(gc.isenabled())
        return steady(batch, before)

    measured(times)
    assert gc.isenabled()
    assert not all(states)


def test_a_slow_model_is_bounded_in_time_yet_measured() -> None:
    clock = Clock()
    row = swept(FakeSession(clock, lambda _b, _n: 20_000.0), 1, settings=QUICK).rows[0]
    assert 6 == row.requests, "two executions in each of three rounds"
    assert 20.0 * (2 + 2 + 6) == pytest.approx(clock() - 1000.0), "two to warm up, one to settle in each later round"
    assert 20_000.0 == pytest.approx(row.mean_ms)


def test_energy_is_that_of_one_execution() -> None:
    clock = Clock()
    meter = FakeMeter(clock, power_w=200.0, utilisation=0.9, sm_mhz=(1500.0, 1510.0, 1520.0), temperature_c=61.0)
    row = swept(FakeSession(clock), 4, meter=meter).rows[0]
    assert pytest.approx(200.0) == row.power_w
    assert pytest.approx(200.0 * 0.013) == row.energy_j
    assert pytest.approx(200.0 * 0.013 / 4) == row.notes["energy_per_item_j"]
    assert 0.9 == pytest.approx(row.utilisation)
    assert [1500.0, pytest.approx(1510.0), 1520.0] == row.notes["sm_clock_mhz"]
    assert 61.0 == row.notes["temperature_c"]


# --- Doubt ------------------------------------------------------------------------------------------------------


def test_a_little_noise_is_not_unstable() -> None:
    row, warnings = measured(scattered(0.01))
    assert "unstable" not in row.notes
    assert () == warnings


def test_scatter_is_said_with_advice() -> None:
    row, warnings = measured(scattered(0.08))
    assert any(words.startswith("IQR 1") for words in row.notes["unstable"])
    assert any("unstable: batch 4 (IQR" in said and "Close other programs" in said for said in warnings)


def test_two_speeds_are_told_apart_from_scatter() -> None:
    draw = scattered(0.004)
    row, warnings = measured(lambda batch, n: draw(batch, n) * (1.4 if n % 10 < 3 else 1.0))
    assert any("two speeds: 13" in words and "18.2 ms in 30%" in words for words in row.notes["unstable"])
    assert any("nvidia-smi -lgc" in said for said in warnings)


def test_a_few_slow_executions_are_said() -> None:
    row, _ = measured(lambda batch, n: steady(batch, n) * (3.0 if n % 40 == 7 else 1.0))
    assert any("take more than 1.5 medians, the worst 3" in words for words in row.notes["unstable"])


def test_drift_is_said() -> None:
    clock = Clock()
    begin_s = clock()
    session = FakeSession(clock, lambda batch, n: steady(batch, n) * (1 + 0.1 * (clock() - begin_s)))
    row = swept(session, 4).rows[0]
    assert any("later rounds are" in words and "slower" in words for words in row.notes["unstable"])


def test_a_warm_up_that_never_settles_ends_and_is_said() -> None:
    draws = scattered(0.5, seed=3)
    row, warnings = measured(draws)
    assert not row.notes["warm_up"]["steady"]
    assert any("not steady after" in said and "--max-warm-up" in said for said in warnings)


def test_clocks_that_moved_and_heat_are_said() -> None:
    clock = Clock()
    meter = FakeMeter(
        clock, {"power_limit_w": 70.0}, power_w=69.0, sm_mhz=(900.0, 1200.0, 1590.0),
        slowed_by={"power cap": 0.8, "hardware thermal slowdown": 0.1},
    )  # fmt: skip
    found = swept(FakeSession(clock), 4, meter=meter)
    unstable = found.rows[0].notes["unstable"]
    assert ["the clock moved between 900 and 1590 MHz", "hardware thermal slowdown"] == unstable
    assert {"power cap": 0.8, "hardware thermal slowdown": 0.1} == pytest.approx(found.rows[0].notes["slowed_by"])
    assert any("the power limit of 70 W held the clocks down" in said for said in found.warnings)
    assert 70.0 == found.notes["power_limit_w"]


def test_power_over_too_short_a_time_is_said() -> None:
    clock = Clock()
    meter = FakeMeter(clock, power_w=50.0, sm_mhz=(900.0, 900.0, 900.0))
    found = swept(FakeSession(clock), 1, settings=QUICK, meter=meter)
    assert any("power and energy at batch 1 rest on less than 2 s" in said for said in found.warnings)


def test_a_machine_busy_with_other_things_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.measure._load", lambda: 900.0)
    row, warnings = measured(steady)
    assert any(words.startswith("load average 900.0 on") for words in row.notes["unstable"])
    assert any("close them, or choose cores" in said for said in warnings)


def test_a_p99_of_few_executions_is_said() -> None:
    row, warnings = measured(steady, QUICK)
    assert ["p99"] == row.notes["too_few_executions_for"]
    assert any("fewer than 100 executions at batch 4" in said for said in warnings)


# --- Failures ---------------------------------------------------------------------------------------------------


def failures(found: Observations) -> dict[int, tuple[str, list[int]]]:
    return {one["batch"]: (one["reason"], one["not_tried"]) for one in found.notes.get("failures", ())}


def test_a_batch_that_does_not_fit_ends_the_sweep_there() -> None:
    session = FakeSession(Clock(), fails={8: OutOfMemoryError("the device has not enough memory for a batch of 8")})
    found = swept(session, 1, 4, 8, 16, 32)
    assert [1, 4] == [row.batch for row in found.rows]
    assert {8: ("out of memory", [16, 32])} == failures(found)
    said = "batch 8: the device has not enough memory for a batch of 8; batch 16, 32 were not tried."
    assert said == found.warnings[0]
    assert {1, 4, 8} == set(session.prepared)


def test_a_model_that_fails_at_one_size_is_measured_at_the_others() -> None:
    session = FakeSession(Clock(), fails={4: ValueError("bad shape\nsecond line"), 8: UnavailableError("no kernel")})
    found = swept(session, 1, 4, 8, 16)
    assert [1, 16] == [row.batch for row in found.rows]
    assert {4: ("model", []), 8: ("unavailable", [])} == failures(found)
    assert "batch 4: the model failed: ValueError: bad shape." == found.warnings[0]


def test_a_model_that_dies_in_the_middle_keeps_its_rounds() -> None:
    clock = Clock()

    def times(batch: int, before: int) -> float:
        if batch == 8 and clock() > 1003:
            raise RuntimeError("device-side assert")
        return steady(batch, before)

    found = swept(FakeSession(clock, times), 1, 8)
    assert [1, 8] == [row.batch for row in found.rows]
    assert {8: ("model", [])} == failures(found)
    assert any("fewer than 5 rounds were measured at batch 8 (" in said for said in found.warnings)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_outputs_that_are_no_numbers_refuse_the_point(value: float, words: str) -> None:
    """A model full of NaN can be fast, since nothing is computed on them: its time says nothing."""

    def outputs(batch: int) -> np.ndarray:
        made = np.ones((batch, 3))
        if batch == 4:
            made[1, 2] = value
        return made

    found = swept(FakeSession(Clock(), outputs=outputs), 1, 4)
    assert [1] == [row.batch for row in found.rows]
    assert (
        f"batch 4: the model gives {words} for 1 of 4 items, and such a run says nothing of its speed."
        in found.warnings
    )


def test_a_bug_of_ours_is_not_put_down_to_the_model() -> None:
    class Broken(FakeMeter):
        def stop(self) -> None:  # type: ignore[override]
            raise KeyError("ours")

    clock = Clock()
    with pytest.raises(KeyError, match="ours"):
        swept(FakeSession(clock), 1, meter=Broken(clock))


def test_nothing_measured_gives_no_rows() -> None:
    found = swept(FakeSession(Clock(), fails={1: OutOfMemoryError("too small a device")}), 1, 2)
    assert () == found.rows
    assert {1: ("out of memory", [2])} == failures(found)


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"min_time_s": 0.0}, {"max_warm_up_s": float("nan")}, {"parts": -1}])
def test_settings_that_measure_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Settings(**wrong).check()  # type: ignore[arg-type]


# --- Interrupted and resumed ------------------------------------------------------------------------------------


class PoweredOffError(BaseException):
    """Not an Exception: nothing may catch it."""


def interrupted_at(share: float, path: Path, session: FakeSession, batches: list[int]) -> None:
    def stop(done: float) -> None:
        if done >= share:
            raise PoweredOffError

    with pytest.raises(PoweredOffError), opened(path, {}) as store:
        sweep(session, batches, SETTINGS, Witness(stop), store, clock=session.clock)


def rounds_by_batch(store: Store | None) -> Counter[int]:
    return Counter(record["batch"] for record in store.kept("round")) if store is not None else Counter()


def test_a_resumed_sweep_measures_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    interrupted_at(0.5, path, FakeSession(Clock()), [1, 2, 4])
    kept = read_kept(path)
    assert kept is not None
    before = kept.kept("round")
    assert 8 == len(before)
    session = FakeSession(Clock())
    with opened(path, {}) as store:
        left = missing(store, [1, 2, 4], SETTINGS)
        found = sweep(session, [1, 2, 4], SETTINGS, Witness(), store, clock=session.clock)
        assert before == store.kept("round")[: len(before)], "what was measured stays as it was"
    assert 7 == len(left)
    assert Counter(batch for _, batch in left) == Counter(session.prepared)
    assert {1: 5, 2: 5, 4: 5} == rounds_by_batch(read_kept(path))
    assert [(1, 7.0), (2, 9.0), (4, 13.0)] == [(row.batch, pytest.approx(row.mean_ms)) for row in found.rows]


def test_a_finished_sweep_gives_the_same_rows_without_executing_anything(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    session = FakeSession(Clock(), scattered(0.03), parts={"input": 0.25})
    with opened(path, {}) as store:
        first = sweep(session, [1, 2], SETTINGS, Witness(), store, clock=session.clock)
    again = FakeSession(Clock(), scattered(0.03, seed=9))
    with opened(path, {}) as store:
        second = sweep(again, [1, 2], SETTINGS, Witness(), store, clock=again.clock)
    assert first == second
    assert [] == again.prepared


def test_another_device_does_not_go_on_with_the_sweep(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    interrupted_at(0.5, path, FakeSession(Clock()), [1, 2, 4])
    other = FakeSession(Clock(), provenance={"device": "Slide rule"})
    with (
        pytest.raises(InputError, match="was begun with Pocket calculator, got now Slide rule"),
        opened(path, {}) as store,
    ):
        sweep(other, [1, 2, 4], SETTINGS, Witness(), store, clock=other.clock)
    assert [] == other.prepared


def test_what_failed_is_tried_again_and_forgotten_when_it_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    short = FakeSession(Clock(), fails={2: OutOfMemoryError("another program took the memory")})
    with opened(path, {}) as store:
        found = sweep(short, [1, 2, 4], SETTINGS, Witness(), store, clock=short.clock)
    assert [1] == [row.batch for row in found.rows]
    roomy = FakeSession(Clock())
    with opened(path, {}) as store:
        found = sweep(roomy, [1, 2, 4], SETTINGS, Witness(), store, clock=roomy.clock)
    assert [1, 2, 4] == [row.batch for row in found.rows]
    assert {} == failures(found)
    assert () == found.warnings
    assert 1 not in roomy.prepared


def test_progress_only_grows_and_ends_at_one() -> None:
    witness = Witness()
    session = FakeSession(Clock())
    sweep(session, [1, 2], SETTINGS, witness, in_memory(), clock=session.clock)
    assert sorted(witness.shares) == witness.shares
    assert 1.0 == witness.shares[-1]
    assert ["batch 1: warming up", "batch 2: warming up"] == witness.stages
