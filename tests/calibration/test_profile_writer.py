"""A profile that is written reads back as the same profile, and a failed writing leaves the old file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration import profile_writer
from calibration.observation import Observation
from calibration.observation_table import columns_of
from calibration.problems import InputError
from calibration.profile import Overheads
from calibration.profile_file import Measurements, ProfileFile, ServiceModel, read_profile, read_profile_file
from calibration.profile_writer import observations_in, write_profile

LOADED = Observation(concurrency=8, throughput_rps=900.5, latency_ms={"mean": 8.7, "p99": 11.2})


def a_file() -> ProfileFile:
    return ProfileFile(
        schema=1,
        name="toy",
        provenance={"source": "made up", "device": "none"},
        measurements=Measurements(batch=(1, 8), latency_ms=(3.0, 9.5), p50_ms=(2.9, 9.4), compute_ms=[2.5, 9.0]),
        loads=columns_of([LOADED]),
        service_model=ServiceModel(
            batch=(1, 4, 8),
            latency_ms=(3.0, 5.5, 9.5),
            overheads=Overheads(enqueue_ms=0.5),
            warnings=("few points",),
            ci95_ms=((2.9, 3.1), (5.2, 5.8), (9.4, 9.6)),
        ),
    )


def test_a_written_profile_reads_back_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    write_profile(a_file(), path)
    assert a_file() == read_profile_file(path)
    assert ((1, 4, 8), ("few points",)) == (read_profile(path).batch, read_profile(path).warnings)


def test_what_was_measured_comes_back_apart_from_what_clients_saw(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    write_profile(a_file(), path)
    device, server = observations_in(read_profile_file(path))
    assert ("device", "server") == (device.scope, server.scope)
    assert [2.5, 9.0] == [row.parts_ms["compute"] for row in device.rows]
    assert (LOADED,) == server.rows


def test_a_column_of_numbers_stands_on_one_line(tmp_path: Path) -> None:
    """Somebody reviews a profile as a diff: one line a point and column would be thousands."""
    path = tmp_path / "toy.json"
    write_profile(a_file(), path)
    assert '    "latency_ms": [3.0, 5.5, 9.5],' in path.read_text().splitlines()


def test_a_failed_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.json"
    path.write_text("the old one")

    def full(_: ProfileFile) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(profile_writer, "profile_text", full)
    with pytest.raises(OSError, match="no space"):
        write_profile(a_file(), path)
    assert ["the old one"] == [file.read_text() for file in tmp_path.iterdir()]


def test_nothing_empty_is_written() -> None:
    text = json.loads(
        profile_writer.profile_text(ProfileFile(schema=1, service_model=ServiceModel(batch=(1,), latency_ms=(2.0,))))
    )
    assert {"schema": 1, "service_model": {"batch": [1], "latency_ms": [2.0]}} == text


def test_a_file_of_llm_steps_alone_is_read_but_serves_no_fleet(tmp_path: Path) -> None:
    """A scenario that names it must be told so, instead of finding no latency in the middle of a run."""
    path = tmp_path / "llm.json"
    path.write_text('{"schema": 1, "llm": {"kind": "toy"}}')
    assert {"kind": "toy"} == read_profile_file(path).llm
    with pytest.raises(InputError, match="no batch curve, so that no fleet can be simulated with it"):
        read_profile(path)
