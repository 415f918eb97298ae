"""A batch curve is monotone, passes through what was measured, and says how sure it is and what is doubtful."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from calibration.curve import MOST_KNOTS, STRAIGHT_WITHIN, CurvePoint, choose_form, fit_curve
from calibration.curve_forms import FORMS, Curve, Floats, TwoParts, fit_two_parts, isotonic
from calibration.curve_intervals import RESAMPLES

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

times = st.lists(st.floats(0.1, 1e3), min_size=1, max_size=12)
curves = st.lists(
    st.tuples(st.integers(1, 4096), st.floats(0.01, 1e4)), min_size=2, max_size=10, unique_by=lambda point: point[0]
).map(sorted)


def points(*pairs: tuple[int, float]) -> list[CurvePoint]:
    """Means alone."""
    return [CurvePoint(batch=batch, mean_ms=ms) for batch, ms in pairs]


def form(method: str, batch: Floats, ms: Floats) -> Curve:
    """A form fitted to points that count alike."""
    return {str(name): fit for name, fit in FORMS.items()}[method](batch, ms, np.ones(len(batch)))


# --- the forms ------------------------------------------------------------------------------------------------------


@given(times, st.integers(0, 2**32 - 1))
def test_pooling_is_isotonic_regression(values: list[float], seed: int) -> None:
    """Against SciPy's pool-adjacent-violators; with weights, one sequence or several at once."""
    y = np.array(values)
    weights = np.random.default_rng(seed).uniform(0.1, 3, len(y))
    expected = isotonic_regression(y, weights=weights).x
    assert expected == pytest.approx(isotonic(y, weights), rel=1e-9)
    both = isotonic(np.stack([y, y[::-1]]), weights)
    assert expected == pytest.approx(both[0], rel=1e-9)


@pytest.mark.parametrize("method", [str(method) for method in FORMS])
@given(curve=curves)
def test_every_form_rises_and_passes_through_points_that_rise(method: str, curve: list[tuple[int, float]]) -> None:
    batch, ms = np.array([b for b, _ in curve], dtype=np.float64), np.array([t for _, t in curve])
    fitted = form(method, batch, ms)
    assert isotonic(ms, np.ones(len(ms))) == pytest.approx(fitted(batch), rel=1e-9)
    rising = form(method, batch, np.sort(ms))(np.linspace(batch[0], batch[-1], 50))
    assert (rising >= np.sort(ms)[0] * (1 - 1e-9)).all()
    assert (rising <= np.sort(ms)[-1] * (1 + 1e-9)).all()


@pytest.mark.parametrize("method", [str(method) for method in FORMS])
def test_resamples_are_fitted_at_once_as_they_are_one_by_one(method: str) -> None:
    """The bootstrap costs one call; two straight parts share their trend, so they are alike only at the points."""
    batch = np.array([1.0, 2.0, 8.0, 32.0])
    rows = np.array([[3.0, 4.0, 9.0, 30.0], [3.5, 3.0, 9.5, 28.0]])
    at = batch if method == "linear_roofline" else np.array([1.0, 1.5, 5.0, 20.0, 32.0])
    together = form(method, batch, rows)(at)
    for row, alone in zip(rows, together, strict=True):
        assert form(method, batch, row)(at) == pytest.approx(alone)


@given(st.floats(0, 20), st.floats(0, 2), st.floats(0, 3), st.sampled_from([2.0, 4.0, 8.0, 16.0]), st.floats(0.01, 100))
def test_two_straight_parts_are_found_again(fixed: float, slow: float, more: float, knee: float, unit: float) -> None:
    """Least squares over every knee and every sign: the exact curve leaves nothing over."""
    batch = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    true = TwoParts(knee, (fixed + 0.5) * unit, slow * unit, (slow + more) * unit)
    found = fit_two_parts(batch, true.at(batch), np.ones(len(batch)))
    assert true.at(batch) == pytest.approx(found.at(batch), rel=1e-6)
    assert 0 <= found.slow <= found.steep


def test_a_flat_part_and_a_proportional_one_are_told_apart_between_points() -> None:
    """Launches hide up to 6 items, then each costs 2 ms: at 6 items straight lines from 4 to 12 err by a quarter."""
    true = TwoParts(knee=6, fixed=9, slow=0.0, steep=2.0)
    batch = np.array([1.0, 2.0, 3.0, 4.0, 12.0, 24.0, 32.0])
    curve = fit_curve(
        [CurvePoint(batch=int(b), mean_ms=float(ms)) for b, ms in zip(batch, true.at(batch), strict=True)]
    )
    assert "linear_roofline" == curve.method
    assert float(true.at(np.array([6.0]))[0]) == pytest.approx(curve.at(6), rel=0.03)
    straight = float(np.interp(6, batch, true.at(batch)))
    assert straight > 1.2 * curve.at(6)


# --- the choice -----------------------------------------------------------------------------------------------------


def test_straight_lines_stay_where_nothing_is_better() -> None:
    batch = np.array([1.0, 4.0, 8.0, 16.0, 32.0])
    method, errors = choose_form(batch, 5 + 2 * batch, np.ones(5))
    assert "points" == method
    assert errors is not None
    assert set(map(str, FORMS)) == set(errors)
    assert 0.0 == errors["points"]


def test_a_smooth_curve_is_drawn_smoothly() -> None:
    batch = np.array([1.0, 8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 64.0])
    method, _ = choose_form(batch, 10 + 0.02 * batch**2, np.ones(len(batch)))
    assert "isotonic_pchip" == method


@pytest.mark.parametrize("count", [1, 2, 3])
def test_below_four_points_there_is_no_choice_and_it_is_said(count: int) -> None:
    curve = fit_curve(points((1, 5.0), (2, 6.0), (4, 9.0))[:count])
    assert ("points", None) == (curve.method, curve.cross_validation)
    assert any(warning.startswith("only batch") for warning in curve.warnings)


def published_curves() -> list[tuple[Floats, Floats]]:
    """NVIDIA's tables (SOURCES.md there): Triton's static batching and framework loops, of 5 and more batch sizes."""
    files = {"triton_static_batch.csv": "client_batch", "nvidia_batch_latency.csv": "batch"}
    if not all((DATA / name).exists() for name in files):
        pytest.skip("../shared/data/triton_static_batch.csv or nvidia_batch_latency.csv is absent")
    setting = ("framework", "model", "context", "gpu", "precision", "compiler", "seq_len", "mem_len", "resolution")
    groups: dict[object, dict[float, float]] = defaultdict(dict)
    repeated: set[object] = set()
    for name, column in files.items():
        with (DATA / name).open(encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                ms = row.get("server_compute_infer_ms") or row["avg_ms"]
                key = row.get("curve_id") or tuple(row[each] for each in (*setting, "gpu_raw", "path"))
                if not ms or float(ms) <= 0:
                    continue
                batch = float(row[column])
                if batch in groups[key]:
                    repeated.add(key)
                groups[key][batch] = float(ms)
    found = [sorted(curve.items()) for key, curve in groups.items() if key not in repeated and len(curve) >= 5]
    return [(np.array([b for b, _ in curve]), np.array([ms for _, ms in curve])) for curve in found]


def held_out_errors(some: list[tuple[Floats, Floats]]) -> dict[str, Floats]:
    """Relative error at each inner point, predicted from the others by each form and by the one that they choose."""
    errors: dict[str, list[float]] = defaultdict(list)
    for batch, ms in some:
        for left_out in range(1, len(batch) - 1):
            rest = np.arange(len(batch)) != left_out
            chosen, _ = choose_form(batch[rest], ms[rest], np.ones(len(batch) - 1))
            for method in FORMS:
                predicted = form(str(method), batch[rest], ms[rest])(batch[[left_out]])
                error = abs(float(predicted[0]) / float(ms[left_out]) - 1)
                errors[str(method)].append(error)
                if method == chosen:
                    errors["chosen"].append(error)
    return {name: np.array(each) for name, each in errors.items()}


@pytest.mark.slow
def test_the_choice_predicts_published_points_no_worse_than_straight_lines() -> None:
    """1,133 points of 189 curves: 2.31 % in the median against 2.32 %, 4.94 % on average against 5.20 %."""
    errors = held_out_errors(published_curves())
    assert np.median(errors["chosen"]) <= np.median(errors["points"])
    assert errors["chosen"].mean() <= 0.97 * errors["points"].mean()
    assert np.quantile(errors["chosen"], 0.9) <= np.quantile(errors["points"], 0.9)


def test_the_choice_predicts_some_published_points_no_worse_than_straight_lines() -> None:
    """Every ninth curve: on so few the median is told to half a per cent only."""
    errors = held_out_errors(published_curves()[::9])
    assert np.median(errors["chosen"]) <= np.median(errors["points"]) + 0.005
    assert errors["chosen"].mean() <= errors["points"].mean() + 0.001


# --- written out as points ------------------------------------------------------------------------------------------


def test_the_straight_lines_that_a_run_draws_stay_within_a_thousandth_of_the_curve() -> None:
    batch = np.array([1.0, 8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 64.0])
    ms = 10 + 0.02 * batch**2
    curve = fit_curve([CurvePoint(batch=int(b), mean_ms=float(t)) for b, t in zip(batch, ms, strict=True)])
    every = np.arange(1.0, 65.0)
    smooth = form(curve.method, batch, ms)(every)
    straight = np.interp(every, curve.batch, curve.latency_ms)
    assert np.abs(straight / smooth - 1).max() <= STRAIGHT_WITHIN
    assert set(batch.astype(int).tolist()) <= set(curve.batch)
    assert len(curve.batch) <= MOST_KNOTS


@given(curves)
def test_a_written_curve_rises_and_is_not_long(curve: list[tuple[int, float]]) -> None:
    written = fit_curve(points(*curve))
    assert (np.diff(written.latency_ms) >= 0).all()
    assert (np.diff(written.batch) > 0).all()
    assert len(written.batch) <= MOST_KNOTS
    assert (curve[0][0], curve[-1][0]) == written.valid_range


def test_at_measured_points_the_curve_is_the_measurement_whatever_its_form() -> None:
    measured = {1: 5.1, 2: 5.3, 4: 5.2, 8: 8.1, 16: 15.0, 32: 31.0}
    curve = fit_curve(points(*measured.items()))
    for size, ms in measured.items():
        expected = 5.25 if size in (2, 4) else ms
        assert expected == pytest.approx(curve.at(size), rel=1e-9)
        assert 1 - expected / ms == pytest.approx(curve.residuals[size], abs=1e-9)


# --- intervals ------------------------------------------------------------------------------------------------------


def sampled(seed: int, executions: int = 60) -> list[CurvePoint]:
    """Executions of 5 + b ms with a tenth of scatter."""
    rng = np.random.default_rng(seed)
    found = []
    for batch in (1, 4, 8, 16, 32):
        samples = (5 + batch) * rng.normal(1, 0.1, executions)
        found.append(CurvePoint(batch=batch, mean_ms=float(samples.mean()), samples_ms=tuple(samples.tolist())))
    return found


def test_intervals_of_samples_hold_the_truth_as_often_as_they_say() -> None:
    """95 % of 5 points in 80 fits: 380 expected; fewer than 355 or all 400 would be six standard errors away."""
    held = 0
    for seed in range(80):
        curve = fit_curve(sampled(seed))
        assert curve.ci95_ms is not None
        assert "samples" == curve.interval_from
        held += sum(
            low <= 5 + b <= high
            for b, (low, high) in zip(curve.batch, curve.ci95_ms, strict=True)
            if b in (1, 4, 8, 16, 32)
        )
    assert 355 <= held <= 398


def test_intervals_are_the_same_for_a_seed_and_rest_on_a_thousand_resamples() -> None:
    assert RESAMPLES >= 1_000
    assert fit_curve(sampled(1), seed=3) == fit_curve(sampled(1), seed=3)
    assert fit_curve(sampled(1), seed=3).ci95_ms != fit_curve(sampled(1), seed=4).ci95_ms


def test_the_interval_shrinks_with_the_root_of_the_executions() -> None:
    def width(executions: int) -> float:
        some = [CurvePoint(batch=b, mean_ms=5.0 + b, std_ms=1.0, executions=executions) for b in (1, 8)]
        interval = fit_curve(some).ci95_ms
        assert interval is not None
        return interval[0][1] - interval[0][0]

    assert 2 * 1.96 / 10 == pytest.approx(width(100), rel=0.1)
    assert 10 == pytest.approx(width(100) / width(10_000), rel=0.1)


def test_quantiles_that_stand_for_many_executions_give_the_interval_of_many() -> None:
    samples = tuple(np.random.default_rng(1).normal(10, 1, 100).tolist())
    few = fit_curve([CurvePoint(batch=1, mean_ms=10.0, samples_ms=samples)]).ci95_ms
    many = fit_curve([CurvePoint(batch=1, mean_ms=10.0, samples_ms=samples, executions=10_000)]).ci95_ms
    assert few is not None
    assert many is not None
    assert 10 == pytest.approx((few[0][1] - few[0][0]) / (many[0][1] - many[0][0]), rel=0.02)


def test_the_spread_from_run_to_run_counts_for_more_than_that_within_a_run() -> None:
    """Runs that differ by 10 % although each is steady to 0.01 %: the narrow interval would be a lie."""
    repeats = [
        CurvePoint(batch=batch, mean_ms=ms * factor, std_ms=0.01, executions=1_000)
        for batch, ms in ((1, 10.0), (8, 24.0))
        for factor in (0.95, 1.0, 1.05)
    ]
    curve = fit_curve(repeats)
    assert "repeats" == curve.interval_from
    assert curve.ci95_ms is not None
    low, high = curve.ci95_ms[0]
    # Student's t with 4 degrees of freedom: 2.776 x 0.05 / sqrt(3) on either side.
    assert 10 * 2 * 2.776 * 0.05 / 3**0.5 == pytest.approx(high - low, rel=0.15)


def test_rounds_that_took_turns_are_repeats() -> None:
    rounds = [CurvePoint(batch=b, mean_ms=10.0, repeats_ms=(9.0, 10.0, 11.0)) for b in (1, 2, 4)]
    assert "repeats" == fit_curve(rounds).interval_from


def test_where_only_means_are_known_many_points_still_tell_how_they_scatter() -> None:
    rng = np.random.default_rng(5)
    noisy = [(b, (4 + b) * float(rng.normal(1, 0.03))) for b in (1, 2, 4, 8, 16, 32, 64, 128)]
    curve = fit_curve(points(*noisy))
    assert "residuals" == curve.interval_from
    assert curve.ci95_ms is not None
    assert all(low <= ms <= high for ms, (low, high) in zip(curve.latency_ms, curve.ci95_ms, strict=True))
    assert fit_curve(points(*noisy[:6])).ci95_ms is None


def test_no_interval_is_invented() -> None:
    curve = fit_curve(points((1, 5.0), (8, 9.0)))
    assert curve.ci95_ms is None
    assert "nothing tells how the measurements scatter: the curve has no intervals" in curve.warnings


# --- doubts ---------------------------------------------------------------------------------------------------------


def told(*measured: CurvePoint) -> str:
    """All warnings."""
    return "\n".join(fit_curve(measured).warnings)


def test_a_larger_batch_that_is_faster_is_pooled_and_named() -> None:
    warnings = told(*points((1, 5.0), (2, 10.0), (4, 8.0), (8, 20.0)))
    assert "batch 4 took 20% less than batch 2 (8 ms against 10), which cannot be" in warnings
    assert "batches 2 and 4 count as 9 ms" in warnings


def test_a_fall_within_five_per_cent_is_pooled_in_silence() -> None:
    curve = fit_curve(points((1, 5.0), (2, 10.0), (4, 9.8), (8, 20.0)))
    assert 9.9 == pytest.approx(curve.at(4))
    assert not any("cannot be" in warning for warning in curve.warnings)


def test_repeats_that_contradict_each_other_are_named() -> None:
    far = [CurvePoint(batch=4, mean_ms=ms, std_ms=0.1, executions=100) for ms in (10.0, 13.0)]
    near = [CurvePoint(batch=4, mean_ms=ms, std_ms=3.0, executions=20) for ms in (10.0, 11.0)]
    assert "batch 4 was measured 2 times, from 10 to 13 ms: 26% apart" in told(*far)
    assert "apart" not in told(*near)


def test_a_wide_gap_between_batch_sizes_is_named() -> None:
    found = told(*points((1, 5.0), (16, 20.0), (32, 40.0), (64, 80.0)))
    assert "nothing was measured between batches 1 and 16" in found
    assert "nothing was measured" not in told(*points((1, 5.0), (8, 20.0)))


def test_an_unstable_point_is_named_unless_what_measured_it_has_said_so() -> None:
    samples = tuple(np.linspace(8, 12, 101).tolist())
    assert "batch 1 is unstable: the middle half of its executions spreads over 20%" in told(
        CurvePoint(batch=1, mean_ms=10.0, samples_ms=samples)
    )
    assert "unstable" not in told(CurvePoint(batch=1, mean_ms=10.0, samples_ms=samples, doubted=True))


@pytest.mark.parametrize("bad", [[], points((1, 0.0)), points((0, 5.0)), points((1, float("nan")))])
def test_no_curve_is_drawn_through_nothing(bad: list[CurvePoint]) -> None:
    with pytest.raises(ValueError, match=r"point|greater than 0"):
        fit_curve(bad)


def test_a_knee_that_nothing_tells_is_the_smallest_that_fits() -> None:
    """ResNet-50 on a V100 without its batch of 64: any knee from 32 to 128 fits alike, and rounding chose one."""
    batch = np.array([1.0, 2, 4, 8, 16, 32, 128])
    times = np.array([1.66375, 2.1645, 3.0745, 4.9475, 8.549, 15.664, 72.4075])
    found = fit_two_parts(batch, times, np.ones(7))
    assert 32 <= found.knee < 34
