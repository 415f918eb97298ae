"""Two profiles side by side: a speed-up is told with its interval, and what makes a comparison unequal comes first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import backends
from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.commands.comparing import compare as compare_command
from calibration.compare import compare, compared_outputs, output_sample, ratio_interval
from calibration.comparison_page import comparison_lines, verdict
from calibration.origin import variant_of
from calibration.outputs import SAMPLE_VALUES, SampleError, differences, outputs_of, sample_differences
from calibration.points import Point
from calibration.problems import InputError
from calibration.profile_file import ProfileFile
from tests.calibration.fake_session import Clock, FakeSession
from tests.calibration.one_command import run
from tests.calibration.sample_profiles import PROVENANCE, measured, profile, written

SURE: dict[str, Any] = {"std_ms": [1.0, 1.0], "requests": [400, 400]}
"""Scatter that makes a mean certain to 0.1 ms."""


def named(file: ProfileFile, **provenance: Any) -> ProfileFile:
    """The file with other words in its provenance."""
    return file.model_copy(update={"provenance": {**file.provenance, **provenance}})


# --- speed ------------------------------------------------------------------------------------------------------------


def test_a_speed_up_is_the_time_of_a_over_the_time_of_b_at_each_shared_batch_size() -> None:
    rows = compare(measured("a", [10.0, 24.0, 50.0]), measured("b", [5.0, 16.0])).rows
    assert [(1, 2.0), (2, 1.5)] == [(row.batch, row.speed_up) for row in rows]
    assert [None, None] == [row.beyond_noise for row in rows], "nothing tells the scatter"


def test_a_difference_beyond_the_intervals_is_beyond_noise_and_one_inside_is_not() -> None:
    rows = compare(measured("a", [10.0, 20.0], **SURE), measured("b", [9.5, 19.95], **SURE)).rows
    assert [True, False] == [row.beyond_noise for row in rows]


def test_the_interval_of_a_ratio_of_means_is_that_of_the_delta_method_where_intervals_are_narrow() -> None:
    """To first order relative variances add up: Casella and Berger, Statistical Inference (2002), example 5.5.27."""
    a = Point(batch=1, fitted_ms=20.0, interval_ms=(19.8, 20.2))
    b = Point(batch=1, fitted_ms=10.0, interval_ms=(9.95, 10.05))
    half = 2 * math.hypot(0.01, 0.005)
    assert (2 - half, 2 + half) == pytest.approx(ratio_interval(a, b), abs=3e-4)


means = st.floats(0.1, 1e4)
widths = st.floats(1e-4, 0.5)


@given(means, means, widths, widths)
def test_swapping_the_profiles_inverts_the_speed_up_and_its_interval(a: float, b: float, u: float, v: float) -> None:
    first = Point(batch=1, fitted_ms=a, interval_ms=(a * (1 - u), a * (1 + v)))
    second = Point(batch=1, fitted_ms=b, interval_ms=(b * (1 - v), b * (1 + u)))
    there, back = ratio_interval(first, second), ratio_interval(second, first)
    assert there is not None
    assert back is not None
    assert there == pytest.approx((1 / back[1], 1 / back[0]))
    assert there[0] <= a / b <= there[1]


def test_noise_alone_is_called_a_difference_about_one_time_in_twenty() -> None:
    """Two means of 50 draws of one and the same distribution, 4,000 times."""
    draws = np.random.default_rng(5).lognormal(2.0, 0.1, (2, 4000, 50))
    curve = {"batch": [1, 4000], "latency_ms": [7.0, 8.0]}
    files = []
    for times in draws:
        table = {"batch": list(range(1, 4001)), "latency_ms": times.mean(axis=1).tolist(), "requests": [50] * 4000}
        table["std_ms"] = times.std(axis=1, ddof=1).tolist()
        files.append(profile({"schema": 1, "measurements": table, "service_model": curve}))
    called = [row.beyond_noise for row in compare(*files).rows]
    assert 0.04 <= called.count(True) / 4000 <= 0.07


def test_without_a_shared_batch_size_b_is_read_from_its_curve() -> None:
    a = profile({"schema": 1, "name": "a", "measurements": {"batch": [3, 64], "latency_ms": [30.0, 99.0]}})
    comparison = compare(a, measured("b", [10.0, 12.0, 16.0]))
    assert [(3, 30 / 14)] == [(row.batch, row.speed_up) for row in comparison.rows]
    assert "no batch size was measured in both: B is read from its curve" in " ".join(comparison.cautions)


def test_without_an_overlap_there_is_no_speed_up() -> None:
    a = profile({"schema": 1, "name": "a", "measurements": {"batch": [64], "latency_ms": [99.0]}})
    comparison = compare(a, measured("b", [10.0, 12.0]))
    assert () == comparison.rows
    assert "there is no speed-up to tell" in " ".join(comparison.cautions)
    assert comparison_lines(comparison)


def test_the_verdict_counts_what_is_beyond_noise() -> None:
    a = measured("a", [10.0, 20.0], **SURE)
    assert "B is 1.00 to 2.00 times as fast as A: faster beyond noise at 1 of 2 batch sizes." == verdict(
        compare(a, measured("b", [5.0, 20.0], **SURE))
    )
    assert "B is 0.500 times as fast as A: slower beyond noise at 2 of 2 batch sizes." == verdict(
        compare(a, measured("b", [20.0, 40.0], **SURE))
    )
    assert "B is 1.00 times as fast as A: no difference beyond noise at 2 batch sizes." == verdict(compare(a, a))


# --- what makes it unequal --------------------------------------------------------------------------------------------


def test_other_models_devices_threads_and_machines_are_said_first_and_the_gravest_first() -> None:
    a = named(measured("a", [10.0]), device="T4", host="one", threads=2)
    b = named(measured("b", [10.0]), device="A100", host="two", threads=4, model="resnet50")
    lines = comparison_lines(compare(a, b))
    assert lines[0].startswith("! different models: A bert-base, B resnet50.")
    heads = [line.split(":")[0] for line in lines if line.startswith("! ")]
    assert [
        "! different models",
        "! different devices",
        "! different numbers of threads",
        "! different machines",
    ] == heads


def test_a_device_that_is_not_stated_is_not_taken_for_the_same() -> None:
    silent = profile({"schema": 1, "name": "b", "measurements": {"batch": [1], "latency_ms": [1.0]}})
    cautions = " ".join(compare(measured("a", [10.0]), silent).cautions)
    assert "the device of B is not stated" in cautions


def test_variants_of_one_model_on_one_device_need_no_caution() -> None:
    assert () == compare(measured("a", [10.0]), named(measured("b", [5.0]), precision="int8", runtime="jax")).cautions


def test_memory_tails_and_energy_stand_beside_each_other_where_both_tell_them() -> None:
    a = measured("a", [10.0, 20.0], p99_ms=[12.0, 24.0], memory_bytes=[2**30, 2**31], energy_j=[1.0, 4.0])
    b = measured("b", [5.0, 10.0], p99_ms=[6.0, 12.0], memory_bytes=[2**29, 2**29], power_w=[100.0, 100.0])
    lines = comparison_lines(compare(a, b))
    (head,) = [line for line in lines if "A memory" in line]
    row = lines[lines.index(head) + 2]
    # 4 J for 2 items against 100 W for 10 ms over 2 items.
    assert "2 24.0 12.0 50% 2.00 GiB 512 MiB 25% 2.00 0.500 25%" == " ".join(row.split())
    without = comparison_lines(compare(a, measured("c", [5.0, 10.0])))
    assert not [line for line in without if "memory" in line or "J/item" in line]


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_differences_are_told_with_what_they_are_to_be_seen_against() -> None:
    a = np.array([[1.0, 2.0, 4.0], [8.0, 3.0, 0.0]])
    found = differences(a, a + np.array([[0.0, 0.5, 0.0], [0.0, 0.0, -0.25]]))
    assert (0.5, 0.125, 8.0, 3.0) == (found.max_abs, found.mean_abs, found.largest, found.typical)
    assert 1.0 == found.top1_agreement
    assert 0 == found.narrow, "A decides by 2 and by 5, both more than twice 0.5"


def test_top_1_agreement_is_the_share_of_items_whose_largest_output_is_the_same() -> None:
    a, b = np.eye(4)[[0, 1, 2, 3]], np.eye(4)[[0, 1, 2, 0]]
    found = differences(a, b)
    assert 0.75 == found.top1_agreement
    assert 4 == found.narrow


def test_a_model_of_one_output_has_no_top_1() -> None:
    assert None is differences(np.ones((3, 1)), np.zeros((3, 1))).top1_agreement


def test_items_that_are_no_numbers_are_counted_and_left_out() -> None:
    a, b = np.ones((4, 2)), np.ones((4, 2))
    a[1, 0], b[3, 1] = np.nan, np.inf
    found = differences(a, b)
    assert (2, 2, 0.0) == (found.items, found.broken, found.max_abs)


def session(outputs: Any = None, **fails: Any) -> FakeSession:
    """A model whose outputs are those of a table."""
    table = np.random.default_rng(3).normal(size=(64, 200)) if outputs is None else outputs
    return FakeSession(Clock(), outputs=lambda batch: table[:batch], **fails)


def test_a_kept_sample_is_small_plain_and_tells_the_same_differences() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(32, 1000))
    other = table + rng.normal(scale=0.01, size=table.shape)
    kept = [json.loads(json.dumps(output_sample(session(one)))) for one in (table, other)]
    assert len(json.dumps(kept[0])) < 30_000
    assert (32, SAMPLE_VALUES) == np.array(kept[0]["values"]).shape
    whole, part = differences(table, other), sample_differences(kept[0], kept[1])
    assert (1000, SAMPLE_VALUES) == (part.values_of, part.values)
    assert whole.mean_abs == pytest.approx(part.mean_abs, rel=0.1)
    assert whole.top1_agreement == part.top1_agreement, "of all outputs, not of those kept"


def test_a_sample_with_items_that_are_no_numbers_can_be_kept_and_compared() -> None:
    table = np.ones((32, 3))
    table[5, 1] = np.nan
    kept = json.loads(json.dumps(output_sample(session(table)), allow_nan=False))
    assert (1, None) == (kept["broken"], kept["values"][5])
    found = sample_differences(kept, kept)
    assert (31, 1) == (found.items, found.broken)


def test_samples_of_different_models_do_not_compare() -> None:
    few, many = output_sample(session(np.ones((32, 2)))), output_sample(session(np.ones((32, 3))))
    with pytest.raises(ValueError, match="2 outputs in A and 3 in B"):
        sample_differences(few, many)
    with pytest.raises(ValueError, match="cannot be read"):
        sample_differences({"values_of": 3}, many)


def test_where_memory_is_short_fewer_items_are_run() -> None:
    short = session(fails={64: OutOfMemoryError("no"), 32: OutOfMemoryError("no")})
    assert 16 == len(outputs_of(short, 64))
    with pytest.raises(OutOfMemoryError):
        outputs_of(session(fails={2: OutOfMemoryError("no"), 1: OutOfMemoryError("no")}), 2)


# --- running both again -----------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Variant]:
    """Variants that were opened: int8 is off by 0.5 at every item's first output, cuda is not here."""
    seen: list[Variant] = []

    def open_session(variant: Variant) -> FakeSession:
        seen.append(variant)
        if variant.device != "cpu":
            raise UnavailableError("PyTorch cannot use CUDA.")
        table = np.random.default_rng(variant.seed).normal(size=(64, 10))
        table[:, 0] += 0.5 * (variant.precision == "int8")
        return session(table)

    monkeypatch.setattr(backends, "open_session", open_session)
    return seen


def variant_file(**changes: Any) -> ProfileFile:
    """A profile of a variant of bert-base on the CPU, with changes."""
    variant: Mapping[str, Any] = {**PROVENANCE["variant"], **changes}
    told = {key: value for key, value in changes.items() if key in ("model", "precision")}
    return named(measured("v", [5.0]), variant=variant, **told)


def test_both_variants_are_run_on_the_same_items(opened: list[Variant]) -> None:
    found = compared_outputs(variant_file(), variant_file(precision="int8"))
    assert ["fp32", "int8"] == [variant.precision for variant in opened]
    assert (64, 0.5, 0.05) == (found.items, pytest.approx(found.max_abs), pytest.approx(found.mean_abs))
    assert "items generated from seed 0, both variants run here" == found.origin
    assert 8 == compared_outputs(variant_file(), variant_file(), items=8).items


def test_kept_outputs_are_compared_without_running_anything(opened: list[Variant]) -> None:
    kept = {"outputs": output_sample(session())}
    a, b = (variant_file(device="cuda").model_copy(update={"notes": kept}) for _ in range(2))
    assert 0.0 == compared_outputs(a, b).max_abs
    assert [] == opened
    with pytest.raises(UnavailableError, match=r"A cannot run here\. PyTorch cannot use CUDA"):
        compared_outputs(a, b, rerun=True)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (variant_file(), variant_file(device="cuda"), "B cannot run here. PyTorch cannot use CUDA."),
        (variant_file(), variant_file(model="resnet50"), "A is bert-base, B is resnet50."),
        (variant_file(), variant_file(seed=1), "different seed"),
        (variant_file(), variant_file(sizes={"layers": 2}), "different sizes"),
        (variant_file(), named(measured("v", [1.0]), variant=None), "B was not measured by calibrate"),
        (variant_file(model="my:net"), variant_file(model="my:net"), "'my:net' is no built-in model. --rerun runs it"),
    ],
)
def test_what_cannot_be_compared_is_said(a: ProfileFile, b: ProfileFile, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        compared_outputs(a, b)


def test_a_profile_from_anybody_does_not_make_us_run_their_code(opened: list[Variant]) -> None:
    mine = variant_file(model="my:net")
    with pytest.raises(UnavailableError):
        compared_outputs(mine, mine)
    assert [] == opened
    assert 0.0 == compared_outputs(mine, mine, rerun=True).max_abs


def test_a_variant_comes_back_from_its_profile() -> None:
    variant = Variant(model="bert-base", precision="int8", sizes={"layers": 2}, threads=3, seed=4)
    kept = json.loads(json.dumps({**vars(variant), "of tomorrow": 1}))
    assert variant == variant_of(named(measured("v", [1.0]), variant=kept))


@pytest.mark.usefixtures("opened")
def test_a_given_sample_must_fit_the_model(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(SampleError) as caught:
            compared_outputs(variant_file(), variant_file(), sample=path)
        return str(caught.value)

    (tmp_path / "text.npy").write_text("no numbers", encoding="utf-8")
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "single.npy", np.float32(1))
    np.savez(tmp_path / "unequal.npz", a=np.ones((2, 3)), b=np.ones((3, 3)))
    assert "does not exist" in refused(tmp_path / "absent.npy") or "no such file" in refused(tmp_path / "absent.npy")
    assert "must be a .npy or .npz file of numbers" in refused(tmp_path / "text.npy")
    assert "must be a .npy or .npz file of numbers" in refused(tmp_path / "objects.npy")
    assert "one row an item, all of one length, got ()" in refused(tmp_path / "single.npy")
    assert "one row an item, all of one length" in refused(tmp_path / "unequal.npz")


@pytest.mark.usefixtures("opened")
def test_a_runtime_that_takes_no_inputs_of_ours_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.zeros((5, 8)))
    with pytest.raises(SampleError, match="--sample: cannot be given to this runtime"):
        compared_outputs(variant_file(), variant_file(), sample=tmp_path / "tokens.npy")


# --- with a real framework --------------------------------------------------------------------------------------------

SMALL = {"layers": 2, "hidden": 32, "heads": 2, "ffn": 64, "vocab": 100, "positions": 16, "sequence_length": 8}


def test_int8_differs_from_fp32_by_little_and_itself_not_at_all() -> None:
    pytest.importorskip("torch")
    fp32, int8 = variant_file(sizes=SMALL), variant_file(sizes=SMALL, precision="int8")
    assert 0.0 == compared_outputs(fp32, fp32, items=16).max_abs
    found = compared_outputs(fp32, int8, items=16)
    assert 0 < found.max_abs < 0.2 * found.largest
    assert 16 == found.items


def test_outputs_are_compared_on_a_sample_of_the_users_own(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    tokens = np.random.default_rng(1).integers(0, 100, (5, 8))
    np.save(tmp_path / "tokens.npy", tokens)
    np.save(tmp_path / "long.npy", np.zeros((5, 9), dtype=np.int64))
    fp32, int8 = variant_file(sizes=SMALL), variant_file(sizes=SMALL, precision="int8")
    found = compared_outputs(fp32, int8, sample=tmp_path / "tokens.npy")
    assert 5 == found.items
    assert str(tmp_path / "tokens.npy") in found.origin
    with pytest.raises(InputError, match="--sample: does not fit: bert-base takes 5x8 as input 1, not 5x9"):
        compared_outputs(fp32, int8, sample=tmp_path / "long.npy")


@pytest.mark.parametrize("runtime", ["onnxruntime", "jax"])
def test_the_same_weights_give_the_same_outputs_in_another_framework(runtime: str, tmp_path: Path) -> None:
    """Otherwise a difference between two runtimes would be one of weights or inputs, not of the runtimes."""
    pytest.importorskip("torch")
    pytest.importorskip(runtime)
    np.save(tmp_path / "tokens.npy", np.random.default_rng(1).integers(0, 100, (5, 8)))
    here, there = variant_file(sizes=SMALL), variant_file(sizes=SMALL, runtime=runtime)
    for wanted in ({"items": 4}, {"sample": tmp_path / "tokens.npy"}):
        found = compared_outputs(here, there, **wanted)
        assert found.max_abs < 1e-5 * found.largest
        assert 1.0 == found.top1_agreement


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("opened")
def test_the_command_tells_speed_and_outputs_on_a_page(tmp_path: Path) -> None:
    a, b = (written(variant_file(precision=one).model_copy(update={"name": one}), tmp_path) for one in ("fp32", "int8"))
    ran = run(compare_command, a, b, "--figure", tmp_path / "both.png")
    assert 0 == ran.code
    assert ran.out.startswith("A  fp32: bert-base, fp32, torch on Pocket calculator")
    assert "B is 1.00 times as fast as A" in ran.out
    assert "64 items, 10 values each; items generated from seed 0, both variants run here" in ran.out
    assert "The weights of a built-in model are random" in " ".join(ran.out.split())
    assert [
        "running A: bert-base, fp32, torch on cpu",
        "running B: bert-base, int8, torch on cpu",
        f"wrote {tmp_path / 'both.png'}",
    ] == ran.err.splitlines()


@pytest.mark.usefixtures("opened")
def test_the_command_compares_figures_where_outputs_cannot_be_had(tmp_path: Path) -> None:
    a, b = (
        written(variant_file(device=one).model_copy(update={"name": one.replace(":", "")}), tmp_path)
        for one in ("cpu", "cuda:1")
    )
    ran = run(compare_command, a, b, "--json")
    told = ran.json()
    assert 0 == ran.code
    assert None is told["outputs"]
    assert "not compared: B cannot run here. PyTorch cannot use CUDA." == told["outputs_note"]
    (row,) = told["batches"]
    assert (1, 1.0, None, None) == tuple(row[key] for key in ("batch", "speed_up", "ci95", "beyond_noise"))


def test_no_outputs_runs_nothing(tmp_path: Path, opened: list[Variant]) -> None:
    path = written(variant_file(), tmp_path)
    assert "not compared" in run(compare_command, path, path, "--no-outputs").out
    assert [] == opened
    refused = run(compare_command, path, path, "--no-outputs", "--rerun")
    assert 2 == refused.code
    assert "--no-outputs: must not be given with --sample, --items or --rerun" in refused.err
