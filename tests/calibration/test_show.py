"""A profile for people: every figure on the page is that of the file, and what is not known is not shown."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.commands.showing import show
from calibration.page import Heading, print_page, says_unicode, significant, table
from calibration.points import points_of
from calibration.show import profile_lines, profile_text
from calibration.text_plot import text_plot, ticks
from tests.calibration.one_command import run
from tests.calibration.sample_profiles import FITTED, PROVENANCE, measured, profile, written


def line_with(text: str, words: str) -> str:
    """The only line that holds these words."""
    (found,) = [line for line in text.splitlines() if words in line]
    return found


# --- the table of the curve -------------------------------------------------------------------------------------------


def test_each_batch_size_has_fit_interval_measurement_residual_tail_and_rate() -> None:
    """At batch 4: 26 ms fitted, 25 measured: 4% above; 4 items in 26 ms are 154 a second, of at most 200."""
    row = line_with(profile_text(profile()), "  26.0")
    assert ["4", "26.0", "25.0", "to", "27.0", "25.0", "+4.0%", "28.0", "154", "77%"] == row.split()[:10]
    assert "█" * 12 == row.split()[10], "77% of 16 columns"


def test_the_curve_is_read_at_measured_sizes_between_the_points_of_the_fit() -> None:
    file = profile(measurements={"batch": [1, 3, 16], "latency_ms": [10.0, 20.0, 80.0]})
    (point,) = [point for point in points_of(file) if point.batch == 3]
    assert 20.5 == point.fitted_ms, "half way from 15 ms at 2 to 26 ms at 4"
    assert (19.5, 21.5) == point.interval_ms
    assert 0.025 == pytest.approx(point.residual)


def test_without_a_fit_the_means_stand_alone() -> None:
    text = profile_text(measured("plain", [5.0, 8.0]))
    assert ["batch", "mean", "ms", "items/s", "of", "best"] == line_with(text, "items/s").split()
    assert "the measured points themselves" in text
    assert "+0.0%" not in text


def test_the_interval_of_a_mean_is_its_standard_error_where_no_fit_tells_a_better_one() -> None:
    """Standard deviation 2 ms over 100 executions: 1.984 x 0.2 ms to either side; over 4: 3.182 x 1 ms.

    Student's t at 0.975 with 99 and 3 degrees of freedom: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
    """
    many, few = points_of(measured("plain", [10.0, 20.0], std_ms=[2.0, 2.0], requests=[100, 4]))
    assert (10 - 0.3968, 10 + 0.3968) == pytest.approx(many.interval_ms, abs=1e-4)
    assert (20 - 3.182, 20 + 3.182) == pytest.approx(few.interval_ms, abs=1e-3)


def test_a_single_point_says_that_it_tells_no_growth() -> None:
    text = profile_text(measured("lone", [5.0]))
    assert "how the time grows with the batch is not known" in text
    assert "└" not in text, "a plot of one point shows nothing"


def test_long_tables_say_what_they_leave_out() -> None:
    batches = list(range(1, 41))
    file = profile({**FITTED, "measurements": {"batch": batches, "latency_ms": [float(b) for b in batches]}},
                   service_model=None)  # fmt: skip
    assert "... and 16 more batch sizes, up to 40" in profile_text(file)


# --- everything else --------------------------------------------------------------------------------------------------


def test_the_page_begins_with_what_was_measured_and_who_says_so() -> None:
    first, second, third = profile_lines(profile())[:3]
    assert "fitted: bert-base, fp32, torch on Pocket calculator (driver 5.1)" == first
    assert isinstance(first, Heading)
    assert "  measured with calibrate, 2026-11-22, torch 2.13.0" == second
    assert "! Batch 16 was measured unstable." == third


def test_what_a_run_uses_is_said_in_words() -> None:
    text = profile_text(profile())
    assert "isotonic regression, then PCHIP" in line_with(text, "curve  ")
    assert "batch 1 to 16" in line_with(text, "range  ")
    assert "isotonic_pchip 2.1%, linear_roofline 4.3%" in line_with(text, "left out")
    assert "lognormal, coefficient of variation 2.0% to 4.0%" in line_with(text, "noise  ")
    assert "enqueue 0.200, dispatch 0.100 to 0.500" in line_with(text, "overheads")
    # Two at once, each 1.9 times as slow, do 2 / 1.9 of the work.
    assert "2 at once 1.90 times as slow (+5.3% throughput)" in line_with(text, "slow-down")


def test_what_was_not_measured_is_not_shown_as_zero() -> None:
    text = profile_text(measured("plain", [5.0, 8.0]))
    assert "none known: the profile is of the execution alone" in line_with(text, "overheads")
    assert "not measured" in line_with(text, "slow-down")
    assert "none: every execution takes the mean" in line_with(text, "noise")
    for absent in ("Cold start", "What clients", "p99", "interval"):
        assert absent not in text


def test_memory_and_energy_are_told_where_they_were_measured() -> None:
    """4 J for 16 items; without a power meter there is no line for power."""
    text = profile_text(profile())
    assert ["memory", "1.00", "GiB", "to", "2.00", "GiB"] == line_with(text, "memory").split()
    assert ["energy,", "J", "an", "item", "1.00", "to", "0.250"] == line_with(text, "energy").split()
    assert "power" not in text
    assert "What the device took" not in profile_text(measured("plain", [5.0, 8.0]))


def test_what_clients_saw_is_a_table_of_what_they_told() -> None:
    loads = {"batch": [1, 1], "concurrency": [1, 16], "throughput_rps": [18.34, 190.0], "latency_ms": [54.12, 84.6],
             "p99_ms": [66.0, None]}  # fmt: skip
    text = profile_text(profile(loads=loads))
    assert ["concurrency", "items", "requests/s", "mean", "ms", "p99", "ms"] == line_with(text, "concurrency").split()
    assert ["16", "1", "190", "84.6"] == line_with(text, "84.6").split()


def test_loads_alone_are_shown_as_what_they_are() -> None:
    loads = {"batch": [1], "concurrency": [16], "throughput_rps": [190.0]}
    text = profile_text(profile({"schema": 1, "name": "loads", "provenance": PROVENANCE, "loads": loads}))
    assert "Too little was measured for a batch curve" in text
    assert ["16", "1", "190"] == text.splitlines()[-1].split()


def test_a_cold_start_is_shown_by_stage() -> None:
    text = profile_text(profile(cold_start={"import_s": 3.456, "load_s": 0.8, "runs": [{"import_s": 3.4}]}))
    assert ["import_s", "3.46"] == line_with(text, "import_s").split()


def test_step_times_of_an_llm_are_shown_in_tokens() -> None:
    """8 ms a step, 0.1 ms a sequence, 0.1 us a token of context: 32 sequences of 8,192 tokens take 37.4 ms."""
    llm = {
        "method": "linear",
        "fixed_ms": 8.0,
        "tokens": [0, 1000],
        "tokens_ms": [0, 50],
        "running": [0, 10],
        "running_ms": [0, 1],
        "ms_per_context_token": 0.0001,
        "warnings": ["Measured on a warm day."],
        "valid_range": {
            "prefill_tokens": [0, 1000],
            "running": [1, 32],
            "context_tokens": [0, 262144],
            "context_per_sequence": [0, 8192],
        },
    }
    file = profile({"schema": 1, "name": "llm", "provenance": PROVENANCE, "llm": llm})
    text = profile_text(file)
    assert ["32", "11.6", "14.5", "37.4", "2,756"] == line_with(text, "    32 ").split()
    assert ["1,000", "58.0", "17,241"] == line_with(text, "1,000  ").split()
    assert "! Measured on a warm day." in text
    assert () == points_of(file)


def test_step_times_of_an_unknown_form_are_shown_as_they_stand() -> None:
    file = profile(llm={"form": "of tomorrow", "step_ms": [1.0, 2.5]})
    assert ["step_ms", "1,", "2.5"] == line_with(profile_text(file), "step_ms").split()


# --- how it is written ------------------------------------------------------------------------------------------------


def test_a_stream_without_unicode_gets_the_same_page_in_ascii() -> None:
    plain = profile_text(profile(), unicode=False)
    plain.encode("ascii")
    assert 3 == sum(line.count("o") for line in plain.splitlines() if " |" in line), "a mark for every point"
    figures = re.compile(r"\d+\.\d+")
    assert figures.findall(profile_text(profile()))[:20] == figures.findall(plain)[:20]


def test_whether_a_stream_takes_unicode_is_its_encoding() -> None:
    assert says_unicode(io.StringIO())
    assert says_unicode(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert not says_unicode(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert not says_unicode(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_headings_are_bold_on_a_terminal_and_plain_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = _Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        print_page([Heading("head [red]"), "body"], stream)
    assert "head [red]\nbody\n" == pipe.getvalue()
    assert "\x1b[1;36mhead [red]" in terminal.getvalue()


def test_no_line_of_prose_is_wider_than_a_page() -> None:
    file = profile(provenance={**PROVENANCE, "citation": "word " * 100, "source": None})
    assert max(map(len, profile_lines(file))) <= 110


@given(st.floats(1e-6, 1e12, allow_nan=False))
def test_three_digits_are_off_by_at_most_half_a_per_cent(value: float) -> None:
    assert value == pytest.approx(float(significant(value).replace(",", "")), rel=0.0051)


def test_columns_line_up_on_the_side_asked_for() -> None:
    lines = table([("a", "bb"), ("ccc", "d")], "lr")
    assert ["a    bb", "ccc   d"] == lines


# --- the plot ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unicode", [True, False])
def test_every_point_of_the_plot_lies_on_the_curve_that_it_stems_from(unicode: bool) -> None:
    """A straight line on two logarithmic axes is drawn as one: its marks go from corner to corner."""
    points = [(float(2**k), 3.0 * 2**k) for k in range(6)]
    lines = text_plot(points, lambda x: 3 * x, width=41, height=11, unicode=unicode)
    mark = "●" if unicode else "o"
    rows = [line[line.index("│" if unicode else "|") + 1 :] for line in lines[:11]]
    assert [40, 32, 24, 16, 8, 0] == [row.index(mark) for row in rows if mark in row]
    assert [0, 2, 4, 6, 8, 10] == [number for number, row in enumerate(rows) if mark in row]
    assert 11 == sum(bool(row.strip()) for row in rows), "the curve leaves no line out"


def test_the_plot_labels_both_ends_of_its_axes() -> None:
    lines = text_plot([(1.0, 5.0), (8.0, 20.0), (64.0, 150.0)], lambda x: 5 + 2 * x)
    assert ["1", "8", "64"] == lines[-1].split()
    assert ["100", "50", "20", "10", "5"] == [label for line in lines if (label := line[:3].strip())]


def test_a_flat_curve_can_be_drawn() -> None:
    assert text_plot([(1.0, 5.0), (8.0, 5.0)], lambda _: 5.0)


@given(st.floats(1e-3, 1e4), st.floats(1.0, 1e5))
def test_ticks_lie_inside_their_axis(low: float, factor: float) -> None:
    found = ticks(low, low * factor)
    assert 2 <= len(found) <= 16
    assert low * 0.95 <= found[0] <= found[-1] <= low * factor * 1.05


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_the_page_and_writes_the_figure(tmp_path: Path) -> None:
    path, figure = written(profile(), tmp_path), tmp_path / "curve.svg"
    ran = run(show, path, "--figure", figure)
    assert 0 == ran.code
    assert profile_text(profile()) == ran.out
    assert f"wrote {figure}\n" == ran.err
    assert "<svg" in figure.read_text(encoding="utf-8")


def test_json_holds_the_figures_unrounded(tmp_path: Path) -> None:
    told: dict[str, Any] = run(show, written(profile(), tmp_path), "--json").json()
    assert 1 == told["schema_version"]
    assert [1, 4, 16] == [point["batch"] for point in told["points"]]
    middle = told["points"][1]
    assert (26.0, 25.0, [25.0, 27.0], 28.0) == tuple(
        middle[key] for key in ("fitted_ms", "measured_ms", "interval_ms", "p99_ms")
    )
    assert 4000 / 26 == middle["items_per_s"]
    assert 0.5 == middle["joules_per_item"], "2 J for an execution of 4 items"
    assert {"kind": "lognormal", "latency_cv": [0.04, 0.03, 0.03, 0.02, 0.02]} == told["noise"]
    assert [1, 1.9, 2.75] == told["slowdown"]
    assert None is told["llm"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("absent.json",), "absent.json: does not exist"),
        (("{profile}", "--figure", "curve.gif"), "--figure: must end in .svg, .png, .pdf, got curve.gif"),
        (("{profile}", "--figure", "nowhere/curve.svg"), "--figure: must be in a folder that exists"),
    ],
)
def test_what_cannot_be_shown_is_said_without_a_traceback(
    args: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(profile(), tmp_path)
    ran = run(show, *(arg.format(profile=path) for arg in args))
    assert 2 == ran.code
    assert "" == ran.out
    assert said in ran.err
