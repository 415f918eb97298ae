"""A profile says how long a batch takes, how it scatters, and where the figures come from."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibration.problems import InputError
from calibration.profile import OVERHEADS, Noise, Overheads, Profile
from calibration.profile_file import ProfileFile, read_profile
from calibration.schema import Flaw

TOY: dict[str, Any] = {"batch": [1, 8, 16], "latency_ms": [10, 24, 40]}


def profile(**changes: Any) -> Profile:
    """The toy profile with some keys changed."""
    return Profile.model_validate(TOY | changes)


def flaws(**changes: Any) -> list[tuple[str, str]]:
    """Path and rule of every flaw with which the changed toy profile is refused; each has a remedy."""
    with pytest.raises(ValidationError) as caught:
        profile(**changes)
    (detail,) = caught.value.errors()
    found: tuple[Flaw, ...] = detail["ctx"]["flaws"]
    assert all(flaw.remedy.endswith(".") for flaw in found)
    return [(".".join(map(str, flaw.path)), flaw.rule) for flaw in found]


curves = st.lists(
    st.tuples(st.integers(1, 500), st.floats(0.001, 1e4, allow_nan=False)),
    min_size=1,
    max_size=6,
    unique_by=lambda p: p[0],
).map(lambda points: (sorted(b for b, _ in points), sorted(ms for _, ms in points)))


def test_the_curve_is_exact_at_the_measured_points() -> None:
    assert [10.0, 24.0, 40.0] == profile().mean_latency_ms(np.array([1, 8, 16])).tolist()


def test_between_two_points_the_curve_is_the_straight_line_a_planner_draws() -> None:
    """24 ms at 8 and 40 ms at 16 items give 32 ms at 12."""
    assert [12.0, 32.0] == profile().mean_latency_ms(np.array([2, 12])).tolist()


@given(curves)
def test_a_larger_batch_never_takes_less_time(curve: tuple[list[int], list[float]]) -> None:
    """Inside, below and above the measured range; otherwise waiting for more requests could make a batch faster."""
    batch, latency_ms = curve
    measured = Profile(batch=tuple(batch), latency_ms=tuple(latency_ms))
    sizes = np.arange(1, 2 * batch[-1] + 2)
    times = measured.mean_latency_ms(sizes, allow_extrapolation=True)
    assert (np.diff(times) >= -1e-9 * times[1:]).all()
    assert (times > 0).all()


@given(curves)
def test_below_the_first_point_no_item_is_cheaper_than_there(curve: tuple[list[int], list[float]]) -> None:
    batch, latency_ms = curve
    measured = Profile(batch=tuple(batch), latency_ms=tuple(latency_ms))
    sizes = np.arange(1, batch[0] + 1)
    times = measured.mean_latency_ms(sizes, allow_extrapolation=True)
    assert (times >= latency_ms[0] * sizes / batch[0] * (1 - 1e-12)).all()
    assert (times <= latency_ms[0] * (1 + 1e-12)).all()


def test_above_the_last_point_the_last_line_goes_on() -> None:
    assert [72.0] == profile().mean_latency_ms(np.array([32]), allow_extrapolation=True).tolist()


def test_below_the_first_point_the_first_line_goes_on_until_items_would_be_cheaper() -> None:
    measured = Profile(batch=(8, 16), latency_ms=(24, 40))
    assert [16.0, 10.0] == measured.mean_latency_ms(np.array([4, 1]), allow_extrapolation=True).tolist()
    steep = Profile(batch=(8, 16), latency_ms=(24, 80))
    assert [12.0, 3.0] == steep.mean_latency_ms(np.array([4, 1]), allow_extrapolation=True).tolist()


def test_a_single_point_errs_on_the_slow_side() -> None:
    single = Profile(batch=(4,), latency_ms=(20,))
    times = single.mean_latency_ms(np.array([1, 4, 8]), allow_extrapolation=True)
    assert [20.0, 20.0, 40.0] == times.tolist()


@pytest.mark.parametrize("size", [0, 17, 100])
def test_outside_the_measured_range_there_is_no_answer_unless_allowed(size: int) -> None:
    with pytest.raises(ValueError, match="batch sizes 1 to 16 were measured"):
        profile().mean_latency_ms(np.array([4, size]))


def test_a_valid_range_narrows_what_may_be_asked() -> None:
    narrow = profile(valid_range=[2, 8])
    assert (2, 8) == narrow.range
    with pytest.raises(ValueError, match="batch sizes 2 to 8 were measured"):
        narrow.mean_latency_ms(np.array([1]))


def test_the_shape_of_the_question_is_the_shape_of_the_answer() -> None:
    assert (2, 2) == profile().mean_latency_ms(np.array([[1, 2], [3, 4]])).shape
    assert (0,) == profile().mean_latency_ms(np.array([], dtype=int)).shape
    assert (2, 1) == profile().overhead_ms("reply_ms", np.array([[1], [2]])).shape


def test_an_overhead_is_a_number_or_a_curve() -> None:
    measured = profile(overheads={"reply_ms": [1, 2, 4], "enqueue_ms": 0.2})
    sizes = np.array([1, 12, 16, 99])
    assert [1.0, 3.0, 4.0, 4.0] == measured.overhead_ms("reply_ms", sizes).tolist()
    assert [0.2] * 4 == measured.overhead_ms("enqueue_ms", sizes).tolist()
    assert [0.0] * 4 == measured.overhead_ms("dispatch_ms", sizes).tolist()
    assert set(OVERHEADS) == set(Overheads.model_fields)


def test_percentiles_give_the_cv_of_the_lognormal_that_has_them() -> None:
    """A lognormal has p99/p50 = exp(2.3263 sigma) and CV = sqrt(exp(sigma^2) - 1).

    Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions, vol. 1, 2nd ed. (1994), ch. 14.
    """
    sigma = 0.25
    measured = profile(p50_ms=[10, 24, 40], p99_ms=[p50 * math.exp(2.3263478740408408 * sigma) for p50 in (10, 24, 40)])
    assert "lognormal" == measured.noise_kind
    expected = math.sqrt(math.exp(sigma**2) - 1)
    assert np.allclose(expected, measured.latency_cv_at(np.array([1, 5, 16])), rtol=1e-12)


def test_a_given_cv_wins_over_percentiles() -> None:
    measured = profile(latency_cv=[0.1, 0.2, 0.4], p50_ms=[10, 24, 40], p99_ms=[20, 48, 80])
    assert [0.1, 0.3] == pytest.approx(measured.latency_cv_at(np.array([1, 12])).tolist())


def test_without_any_description_there_is_no_scatter() -> None:
    assert "none" == profile().noise_kind
    assert [0.0] == profile().latency_cv_at(np.array([3])).tolist()
    assert [0.0] == profile(latency_cv=0.5, noise={"kind": "none"}).latency_cv_at(np.array([3])).tolist()


def test_samples_are_resampled_around_the_curve_from_the_nearest_point() -> None:
    measured = profile(samples_ms=[[9, 11], [20, 28], [30, 50]])
    assert "empirical" == measured.noise_kind
    assert [0.9, 1.1] == measured.relative_samples(1).tolist()
    assert [20 / 24, 28 / 24] == pytest.approx(measured.relative_samples(12).tolist()), "12 is as near to 8 as to 16"
    assert [0.75, 1.25] == measured.relative_samples(13).tolist()
    assert [0.1, 4 / 24, 0.25] == pytest.approx(measured.latency_cv_at(np.array([1, 8, 16])).tolist())
    with pytest.raises(ValueError, match="no samples"):
        profile().relative_samples(1)


def test_two_descriptions_of_the_scatter_want_a_decision() -> None:
    both = {"latency_cv": 0.1, "samples_ms": [[9, 11], [20, 28], [30, 50]]}
    assert [("samples_ms", "is one of several descriptions of the scatter")] == flaws(**both)
    assert "empirical" == profile(**both, noise={"kind": "empirical"}).noise_kind
    assert "lognormal" == profile(**both, noise=Noise(kind="lognormal")).noise_kind


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"latency_ms": [10, 24, 20]},
            [("latency_ms.2", "is not increasing: 24 ms at batch 8, but 20 ms at batch 16")],
        ),
        ({"batch": [1, 8, 8]}, [("batch.2", "must be more than the entry before (8)")]),
        ({"latency_ms": [10, 24]}, [("latency_ms", "must be as long as batch (3)")]),
        (
            {"overheads": {"reply_ms": [1, 2]}},
            [("overheads.reply_ms", "must be as long as batch (3) or a single number")],
        ),
        ({"latency_cv": [0.1, 0.2]}, [("latency_cv", "must be as long as batch (3) or a single number")]),
        ({"latency_cv": 11}, [("latency_cv", "must be at most 10")]),
        ({"p50_ms": [1, 2, 3]}, [("p50_ms", "says nothing of the scatter without p99_ms")]),
        ({"p99_ms": [1, 2, 3]}, [("p99_ms", "says nothing of the scatter without p50_ms")]),
        ({"p50_ms": [1, 2, 3], "p99_ms": [1, 1, 3]}, [("p99_ms.1", "must be at least p50_ms (2)")]),
        ({"samples_ms": [[1], [], [2]]}, [("samples_ms.1", "must not be empty")]),
        ({"noise": {"kind": "empirical"}}, [("noise.kind", "needs samples_ms")]),
        ({"noise": {"kind": "lognormal"}}, [("noise.kind", "needs latency_cv, or p50_ms and p99_ms")]),
        ({"slowdown": [1.2, 2]}, [("slowdown", "must start with 1, since one execution alone is not slowed down")]),
        ({"slowdown": [1, 2, 1.5]}, [("slowdown.2", "must be at least the entry before (2)")]),
        ({"slowdown": []}, [("slowdown", "must start with 1, since one execution alone is not slowed down")]),
        ({"valid_range": [1, 32]}, [("valid_range", "must be a range of batch sizes that the points cover")]),
        ({"valid_range": [8, 2]}, [("valid_range", "must be a range of batch sizes that the points cover")]),
        (
            {"latency_ms": [10, 9, 8], "slowdown": [2]},
            [
                ("latency_ms.1", "is not increasing: 10 ms at batch 1, but 9 ms at batch 8"),
                ("latency_ms.2", "is not increasing: 9 ms at batch 8, but 8 ms at batch 16"),
                ("slowdown", "must start with 1, since one execution alone is not slowed down"),
            ],
        ),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert expected == flaws(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": [0, 24, 40]},
        {"latency_ms": [1e-7, 24, 40]},
        {"latency_ms": [10, 24, 1e9]},
        {"latency_ms": [10, 24, math.nan]},
        {"latency_ms": ["10", 24, 40]},
        {"batch": [0, 8, 16]},
        {"batch": [1, 8, 1e6]},
        {"batch": [1.5, 8, 16]},
        {"batch": [], "latency_ms": []},
        {"overheads": {"reply_ms": -1}},
        {"overheads": {"reply_ms": "1"}},
        {"overheads": {"reply": 1}},
        {"latency_cv": True},
        {"noise": {"kind": "pareto"}},
        {"noise": "lognormal"},
    ],
)
def test_impossible_numbers_are_refused(changes: dict[str, Any]) -> None:
    """A time of 0, a batch of 0 or a NaN would only show up as a wrong report."""
    with pytest.raises(ValidationError):
        profile(**changes)


@pytest.mark.parametrize(
    ("provenance", "citation"),
    [
        ({}, "source not stated"),
        ({"source": "NVIDIA table", "device": "T4", "date": 2022}, "NVIDIA table, T4, 2022"),
        ({"source": "two\n lines", "url": "https://x"}, "two lines"),
        ({"citation": "as I say", "source": "else"}, "as I say"),
    ],
)
def test_the_citation_is_one_line(provenance: dict[str, Any], citation: str) -> None:
    assert citation == profile(provenance=provenance).citation


def test_a_profile_is_a_value() -> None:
    one, other = profile(), profile()
    assert one == other
    assert hash(one) == hash(other)
    assert one == pickle.loads(pickle.dumps(one))
    with pytest.raises(ValidationError, match="frozen"):
        one.batch = (1,)


MEASURED: dict[str, Any] = {
    "schema": 1,
    "provenance": {"source": "a table", "device": "T4"},
    "measurements": {**TOY, "p50_ms": [9, 23, 39], "p99_ms": [12, 30, 50], "throughput_rps": [100, 330, 400]},
    "service_model": {"overheads": {"reply_ms": 0.4}, "slowdown": [1, 1.8], "residuals": {"rmse_ms": 0.1}},
}


def written(tmp_path: Path, content: object) -> Path:
    """A profile file with this content."""
    path = tmp_path / "bert.a100.json"
    path.write_text(json.dumps(content))
    return path


def refusals(tmp_path: Path, content: object) -> list[str]:
    """What is said of a file with this content, without the folder."""
    with pytest.raises(InputError) as caught:
        read_profile(written(tmp_path, content))
    return [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems]


def test_a_file_gives_the_measured_curve_and_the_models_overheads(tmp_path: Path) -> None:
    read = read_profile(written(tmp_path, MEASURED))
    assert "bert.a100" == read.name
    assert "a table, T4" == read.citation
    assert ((1, 8, 16), (10.0, 24.0, 40.0)) == (read.batch, read.latency_ms)
    assert [0.4] == read.overhead_ms("reply_ms", np.array([3])).tolist()
    assert (1.0, 1.8) == read.slowdown
    assert {"residuals", "throughput_rps", "p50_ms", "p99_ms"} == set(read.notes)


def test_measured_percentiles_are_evidence_until_the_model_asks_for_them(tmp_path: Path) -> None:
    """A client's p99 under load holds queueing: taking it for the accelerator's scatter would count it twice."""
    assert "none" == read_profile(written(tmp_path, MEASURED)).noise_kind
    asked = MEASURED | {"service_model": {"noise": {"kind": "lognormal"}}}
    read = read_profile(written(tmp_path, asked))
    assert ("lognormal", (9.0, 23.0, 39.0)) == (read.noise_kind, read.p50_ms)
    alone = {key: value for key, value in MEASURED.items() if key != "service_model"}
    assert "lognormal" == read_profile(written(tmp_path, alone)).noise_kind


def test_samples_are_used_when_asked_for(tmp_path: Path) -> None:
    samples = {**TOY, "samples_ms": [[9, 11], [23, 25], [40]]}
    asked = {"schema": 1, "measurements": samples, "service_model": {"noise": {"kind": "empirical"}}}
    assert "empirical" == read_profile(written(tmp_path, asked)).noise_kind
    assert "empirical" == read_profile(written(tmp_path, {"schema": 1, "measurements": samples})).noise_kind


def test_a_fitted_curve_wins_over_the_measured_one(tmp_path: Path) -> None:
    """Raw measurements may be noisy and unsorted; what is used must not be."""
    fitted = {
        "schema": 1,
        "measurements": {"batch": [8, 1, 1], "latency_ms": [20, 12, 11]},
        "service_model": {"batch": [1, 8], "latency_ms": [11.5, 20], "valid_range": {"batch": [1, 4]}},
    }
    read = read_profile(written(tmp_path, fitted))
    assert ((1, 8), (11.5, 20.0), (1, 4)) == (read.batch, read.latency_ms, read.range)
    assert (8, 1, 1) == read.notes["batch"]


def test_a_curve_that_falls_is_refused_at_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"schema": 1,\n "measurements": {"batch": [1, 8],\n  "latency_ms": [10, 9]}}')
    with pytest.raises(InputError) as caught:
        read_profile(path)
    (problem,) = caught.value.problems
    assert (3, 22, "measurements.latency_ms.1") == (problem.line, problem.column, problem.path)
    assert "is not increasing: 10 ms at batch 1, but 9 ms at batch 8" == problem.rule
    assert "measure these points again" in problem.remedy


def test_all_problems_of_a_file_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(
        '{"schema": 2, "measurments": {},\n'
        ' "measurements": {"batch": [1, 8], "latency_ms": [10, NaN], "rate": [1]},\n'
        ' "service_model": {"latncy_cv": 0.1, "slowdown": 2, "slowdown": 3}}'
    )
    with pytest.raises(InputError) as caught:
        read_profile(path)
    assert [
        (1, "schema"),
        (1, "measurments"),
        (2, "measurements.latency_ms.1"),
        (3, "service_model.latncy_cv"),
        (3, "service_model.slowdown"),
        (3, "service_model.slowdown"),
    ] == [(problem.line, problem.path) for problem in caught.value.problems]
    assert "Did you mean 'measurements'?" in str(caught.value)
    assert "Did you mean 'latency_cv'?" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "bert.a100.json:1:1: schema: is required."),
        ({"schema": 1}, "measurements: needs a batch curve. Add measurements: batch and latency_ms."),
        ({"schema": 1, "service_model": {"batch": [1]}}, "service_model.batch: means nothing without latency_ms."),
        (
            {"schema": 1, "measurements": {**TOY, "rps": [1, 2]}},
            "measurements.rps: must be as long as batch (3), got 2 entries.",
        ),
        ({"schema": 1, "measurements": 3}, "measurements: must be a mapping of keys to values, got 3."),
        ({"schema": 1, "measurements": TOY, "service_model": {"kind": "roofline"}}, "must be interpolated"),
        (
            {"schema": 1, "measurements": TOY, "service_model": {"overheads": {"reply_ms": [1]}, "latency_cv": [1, 2]}},
            "service_model.latency_cv: must be as long as batch (3) or a single number, got 2 entries.",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_path_and_rule(content: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert any(expected in text for text in refusals(tmp_path, content)), refusals(tmp_path, content)


def test_an_absent_file_is_a_problem_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, MEASURED)
    with pytest.raises(InputError, match=r"does not exist\. Did you mean 'bert\.a100\.json'"):
        read_profile(tmp_path / "bert.a10.json")


def test_every_field_of_a_profile_file_is_described() -> None:
    """The schema is what people write profile files by."""
    schema = ProfileFile.model_json_schema()
    for name, part in {**schema["$defs"], "file": schema}.items():
        for key, value in part["properties"].items():
            assert value.get("description"), f"{name}.{key}"
