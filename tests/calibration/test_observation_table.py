"""Observations survive the way through the columns of a file: nothing is lost, and nothing absent becomes 0."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.observation import PARTS, STATISTICS, Observation
from calibration.observation_table import columns_of, rows_of

times = st.floats(1e-6, 1e6)
statistics = st.dictionaries(st.sampled_from(STATISTICS), times, max_size=4)
rows = st.builds(
    Observation,
    batch=st.floats(1, 1000),
    merged=st.booleans(),
    concurrency=st.none() | st.floats(1, 1000),
    rate_rps=st.none() | st.just(math.inf) | st.floats(0.1, 1e5),
    model_instances=st.integers(1, 8),
    requests=st.none() | st.integers(0, 10**6),
    failed=st.integers(0, 10),
    throughput_rps=st.none() | st.floats(0, 1e6),
    latency_ms=statistics,
    parts_ms=st.dictionaries(st.sampled_from(PARTS), times, max_size=4),
    samples_ms=st.lists(times, max_size=4).map(tuple),
    prompt_tokens=st.none() | st.floats(1, 1e5),
    ttft_ms=statistics,
    itl_ms=statistics,
    power_w=st.none() | st.floats(0, 1000),
    notes=st.dictionaries(st.sampled_from(["clock_mhz", "window"]), st.integers(), max_size=2),
    place=st.sampled_from(["", "b8.csv:2"]),
)


@given(st.lists(rows, max_size=5).map(tuple))
def test_rows_written_and_read_are_the_rows(written: tuple[Observation, ...]) -> None:
    through_json = json.loads(json.dumps(columns_of(written), allow_nan=False))
    assert written == rows_of(through_json)


def test_what_no_row_tells_has_no_column() -> None:
    """A column of zeros would be read as a measurement."""
    assert {"batch": [1]} == columns_of([Observation()])


def test_what_one_row_lacks_is_null_and_comes_back_as_absent() -> None:
    told, silent = Observation(parts_ms={"compute": 3.5}), Observation(batch=2)
    columns = columns_of([told, silent])
    assert [3.5, None] == columns["compute_ms"]
    assert {} == rows_of(columns)[1].parts_ms


def test_a_column_of_somebody_elses_is_kept_as_a_note() -> None:
    assert {"colour": "red"} == rows_of({"batch": [1], "colour": ["red"]})[0].notes


def test_columns_of_unequal_length_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'latency_ms': 1"):
        rows_of({"batch": [1, 2], "latency_ms": [3.0]})
