"""Profiles a line each: sorted, within the width of a terminal, a broken file named and the others listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration import catalogue
from calibration.commands.listing import list_profiles
from calibration.listing import WIDTH, listed, listing_lines
from tests.calibration.one_command import run
from tests.calibration.sample_profiles import PROVENANCE, measured, profile, written


def put(folder: Path, name: str, **provenance: Any) -> Path:
    """A profile in a folder, of its own provenance."""
    return written(measured(name, [5.0, 8.0]).model_copy(update={"provenance": {**PROVENANCE, **provenance}}), folder)


def test_a_line_tells_model_device_precision_runtime_range_date_and_source(tmp_path: Path) -> None:
    put(tmp_path, "bert", device="T4", source="a table")
    ran = run(list_profiles, tmp_path)
    assert 0 == ran.code
    head, line, empty, source = ran.out.splitlines()
    assert ["profile", "model", "device", "precision", "runtime", "batch", "date", "source"] == head.split()
    assert ["bert", "bert-base", "T4", "fp32", "torch", "1-2", "2026-11-22", "[1]"] == line.split()
    assert ("", "[1] a table") == (empty, source)


def test_profiles_are_sorted_by_model_and_device_with_numbers_in_their_order(tmp_path: Path) -> None:
    for name, device in (("c", "A100"), ("b", "A10"), ("a", "T4")):
        put(tmp_path, name, device=device)
    put(tmp_path, "d", model="albert", device="T4")
    entries, _ = listed({path.stem: path for path in tmp_path.glob("*.json")})
    assert ["d", "b", "c", "a"] == [entry.name for entry in entries]


def test_lines_keep_within_the_terminal_and_names_whole(tmp_path: Path) -> None:
    """A name is what a scenario needs: it is never cut."""
    long = {"device": "NVIDIA A100-SXM4-80GB " * 3, "source": "NVIDIA/DeepLearningExamples " * 6, "model": "m" * 40}
    put(tmp_path, "short")
    put(tmp_path, "resnet50.a100-80gb.tensorrt-fp16", **long)
    entries, _ = listed({path.stem: path for path in tmp_path.glob("*.json")})
    lines = listing_lines(entries)
    assert max(map(len, lines)) <= WIDTH
    assert "resnet50.a100-80gb.tensorrt-fp16 " in lines[2]
    assert "mmmmmmmmmmmmmmmm.." in lines[2]
    assert "  A100-SXM4-80GB A1..  " in lines[2], "the vendor says less than what follows"


def test_a_broken_file_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "sound")
    (tmp_path / "broken.json").write_text('{"schema": 1, "measurements": {"batch": [1]}}', encoding="utf-8")
    (tmp_path / "torn.json").write_text('{"schema": 1,', encoding="utf-8")
    ran = run(list_profiles, tmp_path)
    assert 2 == ran.code
    assert ran.out.splitlines()[1].startswith("sound ")
    broken, torn = ran.err.splitlines()
    assert f"{tmp_path / 'broken.json'}:1:15: measurements.latency_ms: is required" in broken
    assert f"{tmp_path / 'torn.json'}:1:" in torn


def test_other_json_in_the_folder_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "sound")
    (tmp_path / "report.json").write_text(json.dumps({"schema_version": 1, "workloads": {}}), encoding="utf-8")
    ran = run(list_profiles, tmp_path)
    assert (0, "", 4) == (ran.code, ran.err, len(ran.out.splitlines()))


def test_words_choose_models_and_devices_whatever_the_case(tmp_path: Path) -> None:
    put(tmp_path, "one", device="NVIDIA T4")
    put(tmp_path, "two", device="NVIDIA A10")
    told = run(list_profiles, tmp_path, "--device", "a10", "--json").json()
    assert ["two"] == [entry["name"] for entry in told["profiles"]]
    none = run(list_profiles, tmp_path, "--model", "gpt")
    assert (0, "") == (none.code, none.out)
    assert f"None of the 2 profiles in {tmp_path} is of that model and device." in none.err


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    ran = run(list_profiles, tmp_path)
    assert (0, "") == (ran.code, ran.out)
    assert "calibrate measure" in ran.err
    assert "calibrate import" in ran.err


@pytest.mark.parametrize(("name", "rule"), [("absent", "does not exist"), ("file.json", "is not a folder")])
def test_what_is_no_folder_is_said(name: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("{}", encoding="utf-8")
    ran = run(list_profiles, tmp_path / name)
    assert 2 == ran.code
    assert f"{tmp_path / name}: {rule}." in ran.err


def test_without_a_folder_the_shipped_profiles_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "shipped-one")
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    told = run(list_profiles, "--json").json()
    assert ["shipped-one"] == [entry["name"] for entry in told["profiles"]]
    assert {"schema_version", "profiles", "broken"} == told.keys()
    assert str(tmp_path / "shipped-one.json") == told["profiles"][0]["path"]


def test_step_times_of_an_llm_are_listed_by_their_running_sequences(tmp_path: Path) -> None:
    llm = {"valid_range": {"running": [1.0, 64.0]}}
    path = written(profile({"schema": 1, "name": "llama", "provenance": {"server": "vLLM"}, "llm": llm}), tmp_path)
    ((entry,), _) = listed({"llama": path})
    assert ("64 seqs", "vLLM", "-") == (entry.batches, entry.runtime, entry.model)


def test_every_shipped_profile_can_be_listed() -> None:
    entries, broken = listed(catalogue.shipped())
    assert () == broken
    assert len(entries) == len(catalogue.shipped())
