"""Figures hold the points, the curve, its interval and its limits; and the same figure is the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.compare import compare
from calibration.figures import OKABE_ITO, check_figure_path, comparison_figure, curve_figure, save_figure
from calibration.problems import InputError
from tests.calibration.sample_profiles import PROVENANCE, measured, profile

pytest.importorskip("matplotlib")


def line_of(axes: Any, label: str) -> Any:
    """The only line with this label."""
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found


def test_the_figure_holds_the_measured_points_and_the_curve() -> None:
    above, below = curve_figure(profile()).axes
    assert ("log", "log") == (above.get_xscale(), above.get_yscale())
    points = line_of(above, "mean, measured")
    assert [1, 4, 16] == points.get_xdata().tolist()
    assert [10.0, 25.0, 80.0] == points.get_ydata().tolist()
    curve = dict(zip(*line_of(above, "curve of the profile").get_data(), strict=True))
    assert {1: 10.0, 2: 15.0, 4: 26.0, 8: 44.0, 16: 80.0}.items() <= curve.items()
    assert [12.0, 28.0, 90.0] == line_of(above, "p99, measured").get_ydata().tolist()
    assert [100.0, 160.0, 200.0] == below.get_lines()[1].get_ydata().tolist(), "items a second"


def test_the_band_is_the_interval_of_the_fit() -> None:
    above, _ = curve_figure(profile()).axes
    (band,) = [one for one in above.collections if one.get_label() == "95% interval"]
    corners = {(float(x), float(y)) for x, y in band.get_paths()[0].vertices}
    assert {(1, 9), (1, 11), (4, 25), (4, 27), (16, 76), (16, 84)} <= corners


def test_without_an_interval_there_is_no_band() -> None:
    above, _ = curve_figure(measured("plain", [5.0, 8.0])).axes
    assert [] == [one for one in above.collections if one.get_label() == "95% interval"]


def test_beyond_the_valid_range_the_figure_is_grey() -> None:
    file = profile(service_model={"valid_range": [4, 16]})
    above, _ = curve_figure(file).axes
    left, right = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in above.patches)
    assert pytest.approx(4) == left[1]
    assert pytest.approx(16) == right[0]
    assert left[0] < 1 < 16 < right[1]


def test_every_axis_names_its_unit_and_the_title_its_source() -> None:
    figure = curve_figure(profile())
    above, below = figure.axes
    assert "time of a batch (ms)" == above.get_ylabel()
    assert "batch (items)" == below.get_xlabel()
    assert below.get_ylabel().startswith("items/s")
    assert "fitted: bert-base, fp32, torch on Pocket calculator (driver 5.1)" == figure.get_suptitle()
    assert "measured with calibrate, 2026-11-22" in figure.get_supxlabel()
    assert "outside batch 1 to 16" in figure.get_supxlabel()
    assert ["1", "4", "16"] == [label.get_text() for label in below.get_xticklabels()]


def test_batch_sizes_that_would_overlap_are_not_all_labelled() -> None:
    file = profile({"schema": 1, "name": "x", "measurements": {
        "batch": list(range(1, 33)), "latency_ms": [float(b) for b in range(1, 33)]}})  # fmt: skip
    _, below = curve_figure(file).axes
    labels = [int(label.get_text()) for label in below.get_xticklabels()]
    assert 1 == labels[0]
    assert min(np.diff(np.log(labels))) > 0.1


def test_a_comparison_shows_both_curves_and_the_speed_up_with_its_interval() -> None:
    slow = measured("slow", [10.0, 20.0], std_ms=[1.0, 1.0], requests=[100, 100])
    fast = measured("fast", [5.0, 20.1], std_ms=[0.5, 1.0], requests=[100, 100])
    comparison = compare(slow, fast)
    above, below = comparison_figure(comparison).axes
    a, b = line_of(above, "A: slow"), line_of(above, "B: fast")
    assert (OKABE_ITO["blue"], OKABE_ITO["vermilion"]) == (a.get_color(), b.get_color())
    assert a.get_linestyle() != b.get_linestyle(), "told apart without colours, too"
    labels = [text.get_text() for text in below.get_legend().get_texts()]
    assert ["beyond noise", "within noise, or interval unknown"] == labels
    drawn = {container.get_label(): container.lines[0].get_xydata().tolist() for container in below.containers}
    assert [[1, 2.0]] == drawn["beyond noise"]
    assert [[2, pytest.approx(20 / 20.1)]] == drawn["within noise, or interval unknown"]
    bars = np.array(below.containers[0].lines[2][0].get_segments())
    assert pytest.approx(comparison.rows[0].interval) == bars[0, :, 1].tolist()


def test_step_times_of_an_llm_have_a_figure_of_their_own() -> None:
    llm = {
        "method": "linear",
        "fixed_ms": 8.0,
        "running": [0, 10],
        "running_ms": [0, 1],
        "valid_range": {
            "prefill_tokens": [0, 1000],
            "running": [1, 32],
            "context_tokens": [0, 262144],
            "context_per_sequence": [0, 8192],
        },
    }
    file = profile({"schema": 1, "name": "llm", "provenance": PROVENANCE, "llm": llm})
    above, below = curve_figure(file).axes
    line = line_of(above, "128 tokens of context each")
    assert (32.0, pytest.approx(11.2)) == tuple(line.get_xydata()[-1])
    assert "time to its first token (ms)" == below.get_ylabel()
    with pytest.raises(InputError, match="--figure: needs a batch curve to draw, got llm"):
        comparison_figure(compare(file, profile()))


@pytest.mark.parametrize(
    ("suffix", "first"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_the_suffix_chooses_the_format_and_a_figure_is_the_same_file_twice(
    suffix: str, first: bytes, tmp_path: Path
) -> None:
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    for path in (one, other):
        save_figure(curve_figure(profile()), path)
    assert one.read_bytes().startswith(first)
    assert one.read_bytes() == other.read_bytes()


def test_no_figure_is_left_behind_in_pyplot() -> None:
    """Without that pyplot keeps every figure it makes until somebody closes it, and wants a display."""
    import sys

    loaded = "matplotlib.pyplot" in sys.modules
    curve_figure(profile())
    assert loaded == ("matplotlib.pyplot" in sys.modules)


@pytest.mark.parametrize("name", ["curve.gif", "curve", "absent/curve.svg"])
def test_a_file_that_cannot_be_drawn_into_is_refused_before_anything_is_done(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--figure: must"):
        check_figure_path(tmp_path / name)


def test_a_folder_in_the_place_of_the_figure_is_said(tmp_path: Path) -> None:
    (tmp_path / "curve.svg").mkdir()
    with pytest.raises(InputError, match="cannot be written: is a directory"):
        save_figure(curve_figure(profile()), tmp_path / "curve.svg")
